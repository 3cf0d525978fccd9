// SPDX-License-Identifier: Apache-2.0

package decision_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"podtrail.dev/podtrail/trail/decision"
	"podtrail.dev/podtrail/trail/internal/recorded"
	"podtrail.dev/podtrail/trail/render"
	"podtrail.dev/podtrail/trail/source"
)

// attemptWith is the JSON of a record whose attempt came to node a and has this matrix.
func attemptWith(matrix string) string {
	return `{"pod":{"namespace":"demo","name":"web","uid":"u"},"time":"2026-05-04T10:02:11Z",` +
		`"attempt":{"number":1,"outcome":"placed","node":"a","matrix":` + matrix + `}}`
}

func TestDecodeRefusesWhatDoesNotFit(t *testing.T) {
	const (
		nodes   = `"nodes":["a","b"],"filters":[{"plugin":"Fit"}],"reasons":[{"text":"Insufficient cpu"}]`
		allPass = nodes + `,"rows":[{"nodes":"0-1","looked":true,"verdicts":[1]}]`
	)
	tests := map[string]struct{ data, want string }{
		"no JSON":           {`{"pod":`, "unexpected end of JSON input"},
		"no Pod":            {`{"attempt":{}}`, "pod.uid is empty"},
		"no evidence":       {`{"pod":{"namespace":"demo","name":"web","uid":"u"}}`, "Pod demo/web holds 0 of attempt, binding, move and victim, want one"},
		"two at once":       {`{"pod":{"uid":"u"},"attempt":{},"move":{}}`, "holds 2 of attempt"},
		"a node beyond all": {attemptWith(`{` + nodes + `,"rows":[{"nodes":"0-2","verdicts":[1]}]}`), "attempt 1 of Pod demo/web: matrix.rows[0].nodes[2] is 2, want an index in matrix.nodes, which has 2"},
		"a negative node":   {attemptWith(`{` + nodes + `,"rows":[{"nodes":[-1],"verdicts":[1]}]}`), "matrix.rows[0].nodes[0] is -1, want an index"},
		"a node in two rows": {
			attemptWith(`{` + nodes + `,"rows":[{"nodes":"0-1","verdicts":[1]},{"nodes":"1","verdicts":[3]}]}`),
			"matrix.rows[1].nodes[0] is 1 (b), which is in a row already",
		},
		"fewer verdicts than filters": {attemptWith(`{` + nodes + `,"rows":[{"nodes":"0","verdicts":[]}]}`), "matrix.rows[0].verdicts has 0, want one for each of the 1 filters"},
		"more verdicts than filters":  {attemptWith(`{` + nodes + `,"rows":[{"nodes":"0","verdicts":[1,1]}]}`), "matrix.rows[0].verdicts has 2, want one for each of the 1 filters"},
		"a reason beyond all":         {attemptWith(`{` + nodes + `,"rows":[{"nodes":"0","verdicts":[5]}]}`), "matrix.rows[0].verdicts[0] is 5, want 0 to 4: there are 1 reasons"},
		"a negative verdict":          {attemptWith(`{` + nodes + `,"rows":[{"nodes":"0","verdicts":[-2]}]}`), "is -2, want 0"},
		"a scored node beyond all":    {attemptWith(`{` + allPass + `,"scored":[2]}`), "matrix.scored[0] is 2, want an index in matrix.nodes, which has 2"},
		"a scored node without a row": {attemptWith(`{` + nodes + `,"rows":[{"nodes":"0","verdicts":[1]}],"scored":[0,1]}`), "matrix.scored[1] is 1 (b), which is in no row"},
		"a node that is scored twice": {attemptWith(`{` + allPass + `,"scored":[0,0]}`), "matrix.scored[1] is 0 (a), which is scored already"},
		"fewer normalised scores than scored nodes": {
			attemptWith(`{` + allPass + `,"scored":[0,1],"scoresSeen":true,"scores":[{"plugin":"Fit","weight":1,"normalised":[7]}]}`),
			"matrix.scores[0].normalised of Fit has 1, want one for each of the 2 scored nodes",
		},
		"fewer raw scores than scored nodes": {
			attemptWith(`{` + allPass + `,"scored":[0,1],"scores":[{"plugin":"Fit","raw":[7],"normalised":[7,7]}]}`),
			"matrix.scores[0].raw of Fit has 1, want none or one for each of the 2 scored nodes",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := decision.Decode([]byte(tc.data)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestDecodeTakesWhatFits(t *testing.T) {
	tests := map[string]string{
		"nodes and no rows":       `{"nodes":["a","b"]}`,
		"nothing":                 `{}`,
		"an array for the ranges": `{"nodes":["a","b"],"rows":[{"nodes":[1,0],"verdicts":[]}]}`,
		"one node that is scored": `{"nodes":["a"],"rows":[{"nodes":"0","verdicts":[]}],"scored":[0],"scoresSeen":true,"scores":[{"plugin":"Fit","normalised":[7]}]}`,
	}
	for name, matrix := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := decision.Decode([]byte(attemptWith(matrix))); err != nil {
				t.Errorf("Decode: %v", err)
			}
		})
	}
}

// recordings are the shipped ones with decisions; they were made when Indexes were still arrays.
var recordings = []string{"deployment", "teachingreplicaset"}

func TestShippedRecordingsAreDecoded(t *testing.T) {
	for _, name := range recordings {
		_, records, err := recorded.Load("../..", name)
		if err != nil {
			t.Fatalf("Reading recording %s: %v", name, err)
		}
		decoded := 0
		for _, record := range records {
			if record.Source != source.Decision {
				continue
			}
			decoded++
			if _, err := decision.Decode(record.Data); err != nil {
				t.Errorf("Recording %s: %v", name, err)
			}
		}
		if decoded == 0 {
			t.Errorf("Recording %s has no decision record", name)
		}
	}
}

// FuzzDecision: no record stops whoever reads it. Each line of the input that is a record is one of the same History.
func FuzzDecision(f *testing.F) {
	f.Add([]byte(attemptWith(`{"nodes":["a"],"rows":[{"nodes":"0","verdicts":[]}],"scored":[0],"scoresSeen":true,"scores":[{"plugin":"Fit","normalised":[7]}]}`)))
	f.Add([]byte(attemptWith(`{"nodes":["a","b"],"rows":[{"nodes":"0-1","verdicts":[]}],"scored":[0,1],"scoresSeen":true,"scores":[{"plugin":"Fit","normalised":[7]}]}`)))
	f.Add([]byte(strings.ReplaceAll(attemptWith(`{"nodes":["a","b"],"filters":[{"plugin":"Fit"}],"reasons":[{"text":"full"}],"rows":[{"nodes":"0-1","looked":true,"verdicts":[3]}]}`), `"node":"a",`, "")))
	f.Add([]byte(`{"pod":{"uid":"u"},"move":{"event":"NodeAdd","plugins":["Fit"]}}`))
	f.Add([]byte(`{"pod":{"uid":"u"},"time":"2026-05-04T10:02:10Z","attempt":{"number":1,"preemption":{}}}` + "\n" +
		`{"pod":{"uid":"u"},"time":"2026-05-04T10:02:11Z","victim":{"pod":{"uid":"v"},"node":"a"}}` + "\n" +
		`{"pod":{"uid":"u"},"time":"2026-05-04T10:02:12Z","binding":{"attempt":1,"node":"a","outcome":"bound"}}`))
	for _, name := range recordings {
		_, records, err := recorded.Load("../..", name)
		if err != nil {
			f.Fatalf("Reading recording %s: %v", name, err)
		}
		for _, record := range records {
			if record.Source == source.Decision {
				f.Add([]byte(record.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var records []decision.Record
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			record, err := decision.Decode(line)
			if err != nil {
				continue
			}
			records = append(records, record)
			if _, err := json.Marshal(record); err != nil {
				t.Errorf("A record that was read cannot be written: %v", err)
			}
		}
		for _, h := range decision.Histories(records) {
			for i := range h.Attempts {
				a := &h.Attempts[i].Attempt
				if decision.Summary(a) == "" || decision.Why(a) == "" && a.Node != "" {
					t.Errorf("No summary or no reason for attempt %+v", a)
				}
			}
			err := render.Schedule(io.Discard, h, render.ScheduleOptions{Nodes: true, All: true, Now: time.Unix(0, 0)})
			if (err == nil) != (len(h.Attempts) > 0) {
				t.Errorf("Schedule of %d attempts: %v, want an error if there is none", len(h.Attempts), err)
			}
			if err := render.ScheduleJSON(io.Discard, h); err != nil {
				t.Errorf("ScheduleJSON: %v", err)
			}
		}
	})
}
