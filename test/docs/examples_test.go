// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExamples(t *testing.T) {
	const text = "```sh\nkubectl get trs\n```\n\n```\nNAME   READY\nweb    …\n```\nThen:\n```sh\nPOD=$(kubectl get pods)\nmake demo\n```\n" +
		"Much later, and about something else:\n\n\n```\ntext\n```\n```sh\nkubectl apply -f x\n```\n```\nError from server (Forbidden): …\n```\n"
	got := Examples(text)
	want := []Example{
		{Block: Block{Info: "sh", First: 2, Lines: []string{"kubectl get trs"}}, Prints: []string{"NAME   READY", "web    …"}},
		{Block: Block{Info: "sh", First: 11, Lines: []string{"POD=$(kubectl get pods)", "make demo"}}},
		{
			Block: Block{Info: "sh", First: 21, Lines: []string{"kubectl apply -f x"}}, Given: []string{"POD=$(kubectl get pods)"},
			Prints: []string{"Error from server (Forbidden): …"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("examples (-want +got):\n%s", diff)
	}
	if script := got[2].Script(); script != "POD=$(kubectl get pods)\nkubectl apply -f x\n" {
		t.Errorf("the script of the last is %q", script)
	}
	if got[0].Fails() || !got[2].Fails() {
		t.Error("only the last example is meant to fail")
	}
}

func TestWhatAnExamplePromises(t *testing.T) {
	const output = "NAME  DESIRED  READY\nweb   3        3\nother 1        0\n  ┃  ├─ 9 Run  configmap\n  ┃  │         not found\n"
	for name, test := range map[string]struct {
		prints []string
		want   string
	}{
		"nothing":                        {},
		"lines with other white space":   {prints: []string{"NAME DESIRED   READY", "web 3 3"}},
		"a part that differs every time": {prints: []string{"NAME … READY", "other … 0"}},
		"a line that was wrapped":        {prints: []string{"9 Run … configmap not found"}},
		"a line that is not there":       {prints: []string{"web 3 3", "third 1 1"}, want: "third 1 1"},
		"lines in another order":         {prints: []string{"other 1 0", "web 3 3"}, want: "web 3 3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (Example{Prints: test.prints}).Missing(output); got != test.want {
				t.Errorf("missing %q, want %q", got, test.want)
			}
		})
	}
}
