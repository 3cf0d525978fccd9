// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

// fakeSource serves what a buffer holds under a name.
type fakeSource struct {
	name   string
	status source.Status
	kept   *buffer.Buffer
}

func (s fakeSource) Status() source.Status {
	status := s.status
	status.Source = s.name
	return status
}

func (s fakeSource) Records(match buffer.Match) iter.Seq[source.Record] {
	return func(yield func(source.Record) bool) {
		for e := range s.kept.Entries(match) {
			if !yield(source.Record{Source: s.name, Node: "n", Data: e.Data}) {
				return
			}
		}
	}
}

func makeSource(name string, namespaces ...string) fakeSource {
	s := fakeSource{name: name, kept: buffer.New(64 << 20)}
	for i, namespace := range namespaces {
		s.kept.Add(buffer.Entry{About: buffer.About{Namespace: namespace, Time: timeOf(i)}, Data: fmt.Appendf(nil, `{"n":%d,"ns":"<%s>"}`, i, namespace)})
	}
	return s
}

// timeOf is the time of a record: the first has none, the others are of one minute after another.
func timeOf(record int) time.Time {
	if record == 0 {
		return time.Time{}
	}
	return time.Date(2026, time.May, 4, 10, record, 0, 0, time.UTC)
}

func get(t *testing.T, path string, sources ...Source) (int, string, http.Header) {
	t.Helper()
	mux := http.NewServeMux()
	for path, handler := range Handlers("v1.2.3", sources...) {
		mux.Handle(path, handler)
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	response, err := http.Get(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response.Header
}

func TestRecords(t *testing.T) {
	const (
		a0   = `{"source":"audit","node":"n","data":{"n":0,"ns":"<a>"}}` + "\n"
		b1   = `{"source":"audit","node":"n","data":{"n":1,"ns":"<b>"}}` + "\n"
		node = `{"source":"audit","node":"n","data":{"n":2,"ns":"<>"}}` + "\n"
		span = `{"source":"span","node":"n","data":{"n":0,"ns":"<a>"}}` + "\n"
	)
	tests := map[string]struct {
		query      string
		wantStatus int
		wantBody   string
	}{
		"everything, as it was kept":                     {wantStatus: 200, wantBody: a0 + b1 + node + span},
		"one namespace and what is in none":              {query: "?namespace=a", wantStatus: 200, wantBody: a0 + node + span},
		"a namespace nobody has":                         {query: "?namespace=c", wantStatus: 200, wantBody: node},
		"one source":                                     {query: "?source=span", wantStatus: 200, wantBody: span},
		"one source and one namespace":                   {query: "?source=audit&namespace=b", wantStatus: 200, wantBody: b1 + node},
		"a source that is not there":                     {query: "?source=etcd", wantStatus: 400, wantBody: `parameter "source" is "etcd", want one of this recorder's sources ["audit" "span"]` + "\n"},
		"an empty namespace, which would be all of them": {query: "?namespace=", wantStatus: 400, wantBody: `parameter "namespace" is ""`},
		"a namespace that cannot be":                     {query: "?namespace=A/b", wantStatus: 400, wantBody: `parameter "namespace" is "A/b"`},
		"what is not older, and what has no time":        {query: "?source=audit&since=2026-05-04T10:02:00Z", wantStatus: 200, wantBody: a0 + node},
		"one namespace since a time between two":         {query: "?namespace=b&since=2026-05-04T12:00:00.5%2B02:00", wantStatus: 200, wantBody: b1 + node},
		"a Pod without its namespace":                    {query: "?pod=web", wantStatus: 400, wantBody: `parameter "pod" is "web" without "namespace": want the Pod's namespace too`},
		"a Pod that cannot be":                           {query: "?namespace=a&pod=A/b", wantStatus: 400, wantBody: `parameter "pod" is "A/b", want the name of a Pod`},
		"a time that is none":                            {query: "?since=10:00", wantStatus: 400, wantBody: `parameter "since" is "10:00", want a time of RFC 3339`},
		"a parameter with a typing error":                {query: "?namespce=a", wantStatus: 400, wantBody: `parameter "namespce" is not known: want namespace or pod or since or source`},
		"a parameter twice":                              {query: "?namespace=a&namespace=b", wantStatus: 400, wantBody: `parameter "namespace" is given 2 times`},
		"a query that is none":                           {query: "?namespace=%zz", wantStatus: 400, wantBody: "cannot be parsed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status, body, header := get(t, RecordsPath+tc.query, makeSource("audit", "a", "b", ""), makeSource("span", "a"))
			if status != tc.wantStatus {
				t.Errorf("status %d, want %d", status, tc.wantStatus)
			}
			if status != http.StatusOK {
				if !strings.Contains(body, tc.wantBody) {
					t.Errorf("body %q, want %q in it", body, tc.wantBody)
				}
				return
			}
			if diff := cmp.Diff(tc.wantBody, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got := header.Get("Content-Type"); got != "application/jsonl" {
				t.Errorf("content type %q, want application/jsonl", got)
			}
		})
	}
}

// TestRecordsOfOnePod: what is about no one Pod, or does not tell which, stays.
func TestRecordsOfOnePod(t *testing.T) {
	kept := fakeSource{name: "audit", kept: buffer.New(1 << 20)}
	for _, about := range []buffer.About{
		{Namespace: "a", Pod: "web"}, {Namespace: "a", Pod: "other"}, {Namespace: "b", Pod: "web"}, {Namespace: "a"}, {},
	} {
		kept.kept.Add(buffer.Entry{About: about, Data: fmt.Appendf(nil, `"%s/%s"`, about.Namespace, about.Pod)})
	}
	var want strings.Builder
	for _, data := range []string{"a/web", "a/", "/"} {
		fmt.Fprintf(&want, `{"source":"audit","node":"n","data":"%s"}`+"\n", data)
	}
	status, body, _ := get(t, RecordsPath+"?namespace=a&pod=web", kept)
	if diff := cmp.Diff(want.String(), body); diff != "" || status != http.StatusOK {
		t.Errorf("status %d, body (-want +got):\n%s", status, diff)
	}
}

func TestSources(t *testing.T) {
	audit := makeSource("audit")
	audit.status = source.Status{Node: "n", Since: time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC), Kept: 1, LastError: "gone"}
	at := audit.status.Since
	heard := makeSource("span")
	heard.status = source.Status{
		Warning: "slow", Now: at, Senders: []source.Sender{{Name: "kubelet", Spans: 2, First: at, Last: at, Connections: 1}},
		Probes: []source.Probe{{AuditID: "p", Received: at, Arrived: at}},
	}
	tests := map[string]struct {
		query      string
		sources    []Source
		wantStatus int
		wantBody   string
	}{
		"a recorder without sources": {wantStatus: 200, wantBody: "[]\n"},
		"one source": {
			sources: []Source{audit}, wantStatus: 200,
			wantBody: `[{"source":"audit","node":"n","since":"2026-11-22T12:00:00Z","kept":1,"keptBytes":0,"dropped":0,"filtered":0,"malformed":0,"lastError":"gone"}]` + "\n",
		},
		"one source with senders": {
			sources: []Source{heard}, wantStatus: 200,
			wantBody: `[{"source":"span","since":"0001-01-01T00:00:00Z","kept":0,"keptBytes":0,"dropped":0,"filtered":0,"malformed":0,"warning":"slow","now":"2026-11-22T12:00:00Z",` +
				`"senders":[{"name":"kubelet","spans":2,"first":"2026-11-22T12:00:00Z","last":"2026-11-22T12:00:00Z","connections":1}],` +
				`"probes":[{"auditID":"p","received":"2026-11-22T12:00:00Z","arrived":"2026-11-22T12:00:00Z"}]}]` + "\n",
		},
		"a parameter": {query: "?namespace=a", wantStatus: 400, wantBody: `parameter "namespace" is not known: this path takes none` + "\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			status, body, header := get(t, SourcesPath+tc.query, tc.sources...)
			version := header.Get(VersionHeader)
			if diff := cmp.Diff(tc.wantBody, body); diff != "" || status != tc.wantStatus {
				t.Errorf("status %d, want %d; body (-want +got):\n%s", status, tc.wantStatus, diff)
			}
			if version != "v1.2.3" {
				t.Errorf("the answer is of version %q, want v1.2.3", version)
			}
		})
	}
}

// A caller that leaves in the middle of a large answer must not hold its handler.
func TestRecordsForACallerThatLeaves(t *testing.T) {
	s := makeSource("audit")
	for range 2000 {
		s.kept.Add(buffer.Entry{Data: []byte(`"` + strings.Repeat("x", 16<<10) + `"`)})
	}
	ended := make(chan struct{})
	handler := Handlers("v1.2.3", s)[RecordsPath]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	response, err := http.Get(server.URL + RecordsPath)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(response.Body).ReadBytes('\n')
	if err != nil || !json.Valid(line) {
		t.Errorf("first line %.40q with error %v, want JSON", line, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the handler still runs 10 s after its caller left")
	}
}

func TestMetrics(t *testing.T) {
	audit := makeSource("audit")
	audit.status = source.Status{Kept: 1, KeptBytes: 2, Dropped: 3, Filtered: 4, Malformed: 5}
	broken := makeSource("broken")
	broken.status = source.Status{LastError: "gone"}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(audit, broken))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName() + "{" + m.GetLabel()[0].GetValue() + "}"
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{}
	for name, value := range map[string]float64{
		"records_kept": 1, "kept_bytes": 2, "records_dropped_total": 3, "records_filtered_total": 4, "records_malformed_total": 5, "source_up": 1,
	} {
		want["podtrail_recorder_"+name+"{audit}"] = value
		want["podtrail_recorder_"+name+"{broken}"] = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
