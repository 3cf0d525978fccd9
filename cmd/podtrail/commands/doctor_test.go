// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

var (
	fine    = collect.Finding{What: "node cp delivers all"}
	hint    = collect.Finding{What: "node cp: no watch", Next: "sysctl", Warning: true}
	kubelet = collect.Finding{What: "node w2: kubelet has sent nothing yet", Next: "look at its tracing"}
	back    = collect.Finding{What: "a request of mine came back"}
	lost    = collect.Finding{What: "a request of mine did not come back", Next: "wait"}
	away    = &collect.Problem{Code: collect.Unreachable, What: "The cluster can't be reached.", Next: "make cluster-status"}
	badUse  = &collect.Problem{Code: collect.WrongUse, What: "There is no context.", Next: "choose one"}
)

// checks are the answers of a cluster, one check after another; the last one stays.
type checks struct {
	answers []any
	proofs  []collect.Finding
	asked   int
	proved  int
}

func (c *checks) Check(context.Context, string) ([]collect.Finding, error) {
	answer := c.answers[min(c.asked, len(c.answers)-1)]
	c.asked++
	if err, failed := answer.(error); failed {
		return nil, err
	}
	return answer.([]collect.Finding), nil
}

func (c *checks) Prove(context.Context) collect.Finding {
	c.proved++
	return c.proofs[min(c.proved, len(c.proofs))-1]
}

func TestDoctorWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		checks     checks
		wait       time.Duration
		wantCode   int
		wantAsked  int
		wantProved int
		wantOut    []string
		wantErr    []string
	}{
		"not at all where nothing is missing": {
			checks: checks{answers: []any{[]collect.Finding{fine, hint}}, proofs: []collect.Finding{back}}, wait: time.Minute,
			wantAsked: 1, wantProved: 1, wantOut: []string{"✓ node cp delivers all\n! node cp: no watch\n  next: sysctl\n✓ a request of mine came back\n"},
		},
		"until the cluster answers and the last node delivers": {
			checks: checks{answers: []any{away, []collect.Finding{fine, kubelet}, []collect.Finding{fine}}, proofs: []collect.Finding{back}}, wait: time.Minute,
			wantAsked: 3, wantProved: 1, wantOut: []string{"✓ node cp delivers all\n✓ a request"},
			wantErr: []string{"waiting (0s): The cluster can't be reached.", "waiting (0s): node w2: kubelet has sent nothing yet"},
		},
		"until the request comes back": {
			checks: checks{answers: []any{[]collect.Finding{fine}}, proofs: []collect.Finding{lost, back}}, wait: time.Minute,
			wantAsked: 2, wantProved: 2, wantErr: []string{"waiting (0s): a request of mine did not"},
		},
		"no longer than it may, and says which node's is missing": {
			checks: checks{answers: []any{[]collect.Finding{fine, kubelet}}}, wait: 50 * time.Millisecond, wantCode: 3,
			wantOut: []string{"✗ node w2: kubelet has sent nothing yet\n  next: look at its tracing\n"},
			wantErr: []string{"1 of 2 checks found something missing after 50ms."},
		},
		"no longer than it may for a cluster that does not answer": {
			checks: checks{answers: []any{away}}, wait: 50 * time.Millisecond, wantCode: 3, wantErr: []string{"The cluster can't be reached."},
		},
		"not for what waiting can't mend": {
			checks: checks{answers: []any{badUse}}, wait: time.Minute, wantCode: 2, wantAsked: 1, wantErr: []string{"There is no context."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			o := doctorOptions{
				streams: genericiooptions.IOStreams{Out: &out, ErrOut: &errOut}, wait: tc.wait, checkEvery: time.Millisecond,
				now: func() time.Time { return time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC) },
			}
			code := exitCode(o.waitFor(t.Context(), &tc.checks), &errOut)
			if code != tc.wantCode {
				t.Errorf("exit code %d, want %d", code, tc.wantCode)
			}
			if tc.wantAsked > 0 && (tc.checks.asked != tc.wantAsked || tc.checks.proved != tc.wantProved) {
				t.Errorf("checked %d times and proved %d times, want %d and %d", tc.checks.asked, tc.checks.proved, tc.wantAsked, tc.wantProved)
			}
			for printed, wants := range map[string][]string{out.String(): tc.wantOut, errOut.String(): tc.wantErr} {
				for _, want := range wants {
					if !strings.Contains(printed, want) {
						t.Errorf("lacks %q:\n%s", want, printed)
					}
				}
			}
		})
	}
}

// TestWhatIsWaitedForIsSaidOnce: and again after a while, or once it is something else.
func TestWhatIsWaitedForIsSaidOnce(t *testing.T) {
	var out bytes.Buffer
	said := saying{out: &out}
	for _, of := range []struct {
		after time.Duration
		what  string
	}{{0, "a"}, {2 * time.Second, "a"}, {4 * time.Second, "b"}, {13 * time.Second, "b"}, {14 * time.Second, "b"}} {
		said.waiting(of.after, []string{of.what})
	}
	if want := "waiting (0s): a\nwaiting (4s): b\nwaiting (14s): b\n"; out.String() != want {
		t.Errorf("said %q, want %q", out.String(), want)
	}
}

func TestDoctorRefusesToWaitBackwards(t *testing.T) {
	code, _, errOut := call(t, "doctor", "--wait=-1s")
	if code != collect.WrongUse || !strings.Contains(errOut, "--wait is -1s, want 0 or more") {
		t.Errorf("exit code %d, says %q", code, errOut)
	}
}
