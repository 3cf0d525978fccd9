// SPDX-License-Identifier: Apache-2.0

package trail_test

import (
	"testing"
	"time"

	"podtrail.dev/podtrail/trail"
)

func TestANameMeansTheLivingObjectOrElseTheNewestAttempt(t *testing.T) {
	begin := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	named := trail.Subject{Kind: "Pod", Namespace: "demo", Name: "no-limit"}
	stored := func(uid, version string, minute int) []trail.Observation {
		subject := named
		subject.UID = uid
		received := begin.Add(time.Duration(minute) * time.Minute)
		return []trail.Observation{
			{Subject: subject, Stage: trail.Submit, Request: &trail.Request{
				AuditID: "made-" + uid, Verb: "create", Creates: true, Code: 201, ResourceVersion: version, Received: received,
			}},
			{Subject: subject, Stage: trail.Submit, Request: &trail.Request{
				AuditID: "deleted-" + uid, Verb: "delete", Code: 200, Received: received.Add(time.Second),
			}},
		}
	}
	refused := func(minute int) []trail.Observation {
		return []trail.Observation{{
			Subject: named, Stage: trail.Validate, Failure: &trail.Failure{Reason: "Forbidden", Code: 403},
			Request: &trail.Request{
				AuditID: "refused", Verb: "create", Creates: true, Code: 403,
				Received: begin.Add(time.Duration(minute) * time.Minute),
			},
		}}
	}
	living := func(uid, version string) []trail.Observation {
		subject := named
		subject.UID = uid
		return []trail.Observation{{Subject: subject, Stage: trail.Persist, State: &trail.State{ResourceVersion: version, Live: true}}}
	}
	tests := map[string]struct {
		seen       [][]trail.Observation
		wantUID    string
		wantResult trail.Result
	}{
		"refused after one of that name had lived and gone": {
			seen: [][]trail.Observation{stored("first", "10", 0), refused(1)}, wantResult: trail.Refused,
		},
		"gone after it had been refused and mended": {
			seen: [][]trail.Observation{refused(0), stored("second", "20", 1)}, wantUID: "second", wantResult: trail.Gone,
		},
		"made again after it had gone": {
			seen: [][]trail.Observation{stored("first", "10", 0), stored("second", "20", 1)}, wantUID: "second", wantResult: trail.Gone,
		},
		"living though the same name was refused later": {
			seen: [][]trail.Observation{living("third", "30"), refused(2)}, wantUID: "third", wantResult: trail.Waiting,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var all []trail.Observation
			for _, part := range tc.seen {
				all = append(all, part...)
			}
			got, ok := trail.Build(all).Focus(named)
			if !ok {
				t.Fatal("nothing of that name was found")
			}
			if got.Subject.UID != tc.wantUID || got.Outcome.Result != tc.wantResult {
				t.Errorf("found UID %q, %s; want UID %q, %s", got.Subject.UID, got.Outcome.Result, tc.wantUID, tc.wantResult)
			}
		})
	}
}
