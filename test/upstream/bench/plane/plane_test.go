// SPDX-License-Identifier: Apache-2.0

package plane

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStatFields(t *testing.T) {
	const fields = " S 12 12 12 0 -1 4194560 5 6 7 8 250 31 0 0 20 0 1 0 100"
	tests := map[string]struct {
		line, wantName, wantUser string
		wantErr                  bool
	}{
		"a plain name":              {line: "7 (etcd)" + fields, wantName: "etcd", wantUser: "250"},
		"a name like other fields":  {line: "7 (a) S 1 (b)" + fields, wantName: "a) S 1 (b", wantUser: "250"},
		"no name":                   {line: "7 etcd" + fields, wantErr: true},
		"cut off before the times":  {line: "7 (etcd) S 12 12", wantErr: true},
		"brackets in the wrong way": {line: "7 )etcd(" + fields, wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			gotName, got, err := statFields(tc.line)
			if (err != nil) != tc.wantErr {
				t.Fatalf("Got error %v, want one: %v", err, tc.wantErr)
			}
			if err == nil && (gotName != tc.wantName || got[fieldUser] != tc.wantUser) {
				t.Errorf("Got name %q and user time %s, want %q and %s", gotName, got[fieldUser], tc.wantName, tc.wantUser)
			}
		})
	}
}

func TestParsePeak(t *testing.T) {
	tests := map[string]struct {
		status  string
		want    int64
		wantErr bool
	}{
		"among other lines": {status: "Name:\tmanager\nVmPeak:\t  900 kB\nVmHWM:\t  100 kB\nVmRSS:\t 90 kB\n", want: 102400},
		"missing":           {status: "Name:\tmanager\nVmRSS:\t 90 kB\n", wantErr: true},
		"not a number":      {status: "VmHWM:\t many kB\n", wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parsePeak(tc.status)
			if got != tc.want || (err != nil) != tc.wantErr {
				t.Errorf("Got %d and error %v, want %d and one: %v", got, err, tc.want, tc.wantErr)
			}
		})
	}
}

const earlier = `# HELP apiserver_request_total Counter of apiserver requests.
apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="POST",version="v1"} 10
apiserver_request_duration_seconds_count{resource="pods",verb="POST"} 99
apiserver_flowcontrol_dispatched_requests_total{flow_schema="bench-controllers",priority_level="workload-high"} 20
`

const later = `apiserver_request_total{code="201",component="apiserver",resource="pods",subresource="",verb="POST"} 1.5e+01
apiserver_request_total{code="429",component="apiserver",resource="pods",subresource="",verb="POST"} 2
apiserver_request_total{code="200",component="apiserver",resource="replicasets",subresource="status",verb="PUT"} 3
apiserver_flowcontrol_dispatched_requests_total{flow_schema="bench-controllers",priority_level="workload-high"} 28
apiserver_flowcontrol_dispatched_requests_total{flow_schema="exempt",priority_level="exempt"} 1000
apiserver_flowcontrol_rejected_requests_total{flow_schema="bench-controllers",priority_level="workload-high",reason="queue-full"} 2
apiserver_flowcontrol_rejected_requests_total{flow_schema="other",priority_level="workload-high",reason="queue-full"} 50
`

func TestCounters(t *testing.T) {
	before, err := parseCounters(earlier)
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseCounters(later)
	if err != nil {
		t.Fatal(err)
	}
	want := Counters{Sent: 10, Refused: 2, Kinds: map[string]int{"POST pods": 7, "PUT replicasets/status": 3}}
	if diff := cmp.Diff(want, after.Since(before)); diff != "" {
		t.Errorf("What was added differs (-want +got):\n%s", diff)
	}
	if _, err := parseCounters(`apiserver_request_total{verb="POST"} many`); err == nil {
		t.Error("A number that is none was accepted")
	}
}
