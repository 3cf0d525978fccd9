// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"strings"
	"testing"
)

// TestDecodeDecisions: one record that does not fit must not hide those after it.
func TestDecodeDecisions(t *testing.T) {
	const (
		good   = `{"source":"decision","data":{"pod":{"namespace":"demo","name":"NAME","uid":"1"},"scheduler":"s","time":"2026-11-28T00:00:00Z","move":{"event":"NodeAdd"}}}`
		absent = `{"source":"decision","data":{"pod":{"namespace":"demo","name":"b","uid":"1"},"scheduler":"s","time":"2026-11-28T00:00:00Z","attempt":{"number":1,"outcome":"placed","matrix":{"nodes":["n"],"scored":[7],"scores":[]},"evaluation":{}}}}`
	)
	body := strings.Join([]string{strings.Replace(good, "NAME", "a", 1), absent, "{", strings.Replace(good, "NAME", "c", 1)}, "\n")
	records, err := decodeDecisions(strings.NewReader(body), "podtrail-scheduler-x")
	var names []string
	for _, r := range records {
		names = append(names, r.Pod.Name)
	}
	if got := strings.Join(names, " "); got != "a c" {
		t.Errorf("decoded the records of %q, want those of a and c", got)
	}
	if err == nil || !strings.Contains(err.Error(), "served 2 records that this podtrail can't read, the first: ") {
		t.Errorf("error %v, want one that counts 2 records", err)
	}
}
