// SPDX-License-Identifier: Apache-2.0

package nodefiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

// TestResultsOfBothVersions reads what libcni left on nodes: with the version that kindnet asks for, and with the one
// after it, which most other networks ask for. Both were taken from /var/lib/cni/results on a podtrail cluster.
func TestResultsOfBothVersions(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"0.3.1": {
			"sandbox": "b21fc4557ea23e1cb28116a1b61c5957fc8abaab48837291644eecec7b172c07", "network": "podtrail",
			"interface on the node": "vethbfdd0354 0e:90:5e:67:1a:99", "interface in the Pod": "eth0 4e:de:70:d5:16:45",
			"network namespace": "/var/run/netns/cni-4e367482-59ee-953c-032d-b297a95937eb",
			"address":           "10.244.2.12/24", "gateway": "10.244.2.1", "route": "0.0.0.0/0",
		},
		"1.0.0": {
			"sandbox": "89e0091ea0a530ef76eb34501037d2de4b50a1b0cb685e9ceb805402a8921e3c", "network": "podtrail",
			"interface on the node": "vethde9e184d 46:1f:6e:d6:48:a2", "interface in the Pod": "eth0 3a:54:85:71:e2:87",
			"network namespace": "/var/run/netns/cni-6a64caec-eb0a-da54-da22-b69f14a3050b",
			"address":           "10.244.2.13/24", "gateway": "10.244.2.1", "route": "0.0.0.0/0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("testdata", "cni-result-"+name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			if version := `"cniVersion":"` + name + `"`; !strings.Contains(string(content), version) {
				t.Fatalf("the file has no %s", version)
			}
			r := newRig(t, NewCNI)
			r.write("net-1-eth0", string(content))
			r.scan()
			r.want(1, 0, 0)
			got := map[string]string{}
			for record := range r.f.Records(func(buffer.About) bool { return true }) {
				record.Source = source.CNI // the rig has a name of its own
				observations, err := source.Parse(record)
				r.must(err)
				for _, o := range observations {
					for _, fact := range o.Facts {
						got[fact.Key] = fact.Value
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}
