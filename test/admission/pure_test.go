// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/sets"
)

// leastCases is how many Pods issue and documents promise.
const leastCases = 80

func TestPureFunctions(t *testing.T) {
	table, err := Pods()
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < leastCases {
		t.Errorf("the table holds %d cases, want at least %d", len(table.Cases), leastCases)
	}
	pure, err := NewPure(table, "../../config/webhook")
	if err != nil {
		t.Fatal(err)
	}
	for i := range table.Cases {
		c := &table.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			got, _, err := pure.Run(c)
			if err != nil {
				t.Fatal(err)
			}
			want := c.Wanted(c.Pure)
			if want.Verdict == Allowed && c.Pure != nil {
				// Nothing is stored where the API server refuses it.
				got = Result{Verdict: got.Verdict}
				want = Result{Verdict: want.Verdict}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the functions answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	cases, err := Templates()
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		c := &cases[i]
		t.Run(c.Name, func(t *testing.T) {
			if diff := cmp.Diff(sets.List(sets.New(c.Fields...)), sets.List(c.RefusedFields())); diff != "" {
				t.Errorf("fields that the functions refuse (-want +got):\n%s", diff)
			}
		})
	}
}
