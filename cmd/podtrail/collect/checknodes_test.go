// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// checked is when the recorders answered, by their own clock; this machine's is never asked.
var checked = time.Date(2001, time.May, 4, 10, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return checked.Add(-d) }

// sends is a sender that is as it should be, after a change.
func sends(name string, change ...func(*source.Sender)) source.Sender {
	s := source.Sender{Name: name, Spans: 1, First: before(time.Hour), Last: before(time.Second), Connections: 1}
	for _, f := range change {
		f(&s)
	}
	return s
}

// recorderOn is a recorder whose node delivers all, after a change.
func recorderOn(n node, change ...func(*Keeper)) Keeper {
	names := []string{trail.SourceCNI, trail.SourceOCI}
	senders := []source.Sender{sends(trail.SenderRuntime), sends(trail.SenderKubelet)}
	if n.controlPlane {
		names = append(names, trail.SourceAudit, trail.SourceEtcd, trail.SourceLease)
		senders = append(senders, sends(trail.SenderAPIServer))
	}
	k := Keeper{Component: "recorder", Pod: "recorder-" + n.name, Node: n.name, ControlPlane: n.controlPlane, Version: "v1"}
	for _, name := range names { // nothing is kept yet, which is no lack
		k.Sources = append(k.Sources, source.Status{Source: name, Node: n.name, Now: checked})
	}
	k.Sources = append(k.Sources, source.Status{Source: trail.SourceSpan, Node: n.name, Now: checked, Since: before(time.Hour), Senders: senders})
	for _, f := range change {
		f(&k)
	}
	return k
}

// withSender replaces what the node's recorder knows of a sender; nil takes it out.
func withSender(name string, change func(*source.Sender)) func(*Keeper) {
	return func(k *Keeper) {
		spans := &k.Sources[len(k.Sources)-1]
		var kept []source.Sender
		for _, s := range spans.Senders {
			if s.Name == name && change == nil {
				continue
			}
			if s.Name == name {
				change(&s)
			}
			kept = append(kept, s)
		}
		spans.Senders = kept
	}
}

// withSource changes one source of the recorder; nil takes it out.
func withSource(name string, change func(*source.Status)) func(*Keeper) {
	return func(k *Keeper) {
		var kept []source.Status
		for _, s := range k.Sources {
			if s.Source == name && change == nil {
				continue
			}
			if s.Source == name {
				change(&s)
			}
			kept = append(kept, s)
		}
		k.Sources = kept
	}
}

// TestEachNodeIsJudgedByItself: what one node delivers never hides what another does not.
func TestEachNodeIsJudgedByItself(t *testing.T) {
	cp, w1, w2 := node{"cp", true}, node{"w1", false}, node{"w2", false}
	all := []node{cp, w1, w2}
	good := "✓ node cp delivers audit, etcd, cni, oci and the spans of kube-apiserver, kubelet, containerd\n" +
		"✓ node w1 delivers cni, oci and the spans of kubelet, containerd\n"
	for name, tc := range map[string]struct {
		change func(*Keeper) // of w2's recorder; nil takes it away
		want   string        // of w2
	}{
		"all deliver":                        {func(*Keeper) {}, "✓ node w2 delivers cni, oci and the spans of kubelet, containerd\n"},
		"one has no recorder":                {nil, "✗ node w2 has no recorder, so nothing of it is recorded\n"},
		"one's recorder can't be read":       {func(k *Keeper) { k.Err = errors.New("is Pending") }, "✗ node w2: its recorder can't be read: is Pending\n"},
		"one's kubelet has never sent":       {withSender("kubelet", nil), "✗ node w2: kubelet has sent nothing yet, so a trail lacks the kubelet's steps (stage 9)\n"},
		"one's containerd has never sent":    {withSender("containerd", nil), "✗ node w2: containerd has sent nothing yet, so a trail lacks containerd's steps (stage 9)\n"},
		"one's kubelet is connected, silent": {withSender("kubelet", func(s *source.Sender) { s.Last = before(200 * time.Second) }), "✗ node w2: kubelet has sent nothing for 3m20s, its last span came at 09:56:40Z, so a trail lacks the kubelet's steps (stage 9)\n"},
		"silent for as long as it may be":    {withSender("kubelet", func(s *source.Sender) { s.Last = before(3 * time.Minute) }), "✓ node w2 delivers cni, oci and the spans of kubelet, containerd\n"},
		"one's kubelet has gone": {withSender("kubelet", func(s *source.Sender) { s.Connections, s.Disconnected = 0, before(31*time.Second) }),
			"✗ node w2: kubelet has had no connection for 31s, its last span came at 09:59:59Z, so a trail lacks the kubelet's steps (stage 9)\n"},
		"one's kubelet restarts":       {withSender("kubelet", func(s *source.Sender) { s.Connections, s.Disconnected = 0, before(30*time.Second) }), "✓ node w2 delivers cni, oci and the spans of kubelet, containerd\n"},
		"one's recorder is older":      {func(k *Keeper) { k.Sources[len(k.Sources)-1].Now = time.Time{} }, "✗ node w2: its recorder is older than this podtrail and does not say whether kubelet sends spans (make deploy), so a trail lacks the kubelet's steps (stage 9)\n✗ node w2: its recorder is older than this podtrail and does not say whether containerd sends spans (make deploy), so a trail lacks containerd's steps (stage 9)\n"},
		"one has a source that fails":  {withSource("oci", func(s *source.Status) { s.LastError = "no such directory" }), "✗ node w2: source oci can't be read: no such directory, so a trail lacks namespaces and limits (stage 9)\n"},
		"one lacks a source":           {withSource("cni", nil), "✗ node w2: its recorder keeps no source cni, so a trail lacks the Pod's network (stage 9)\n"},
		"one receives no spans at all": {withSource("span", nil), "✗ node w2: its recorder keeps no source span, so a trail lacks all spans\n"},
		"one can't watch its folders": {withSource("cni", func(s *source.Status) { s.Warning = "no watch: too many open files; scanning every 2s" }),
			"✓ node w2 delivers cni, oci and the spans of kubelet, containerd\n! node w2: source cni: no watch: too many open files; scanning every 2s\n"},
		"one has dropped records": {withSource("span", func(s *source.Status) { s.Dropped = 7 }),
			"✓ node w2 delivers cni, oci and the spans of kubelet, containerd\n! node w2: source span has dropped 7 records, the oldest first: it knows since 09:00:00Z\n"},
	} {
		t.Run(name, func(t *testing.T) {
			held := []Keeper{recorderOn(cp), recorderOn(w1), {Component: "manager", Node: "w2"}}
			if tc.change != nil {
				held = append(held, recorderOn(w2, tc.change))
			}
			findings := checkNodes(all, held)
			if diff := cmp.Diff(good+tc.want, marked(findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			for _, f := range findings {
				if strings.Contains(f.Next, "NODE") {
					t.Errorf("the remedy does not name the node: %s", f.Next)
				}
			}
		})
	}
}

// TestAControlPlaneDeliversMore than a worker.
func TestAControlPlaneDeliversMore(t *testing.T) {
	cp := node{"cp", true}
	for name, change := range map[string]func(*Keeper){
		"audit": withSource("audit", nil), "etcd": withSource("etcd", func(s *source.Status) { s.LastError = "refused" }), "kube-apiserver": withSender("apiserver", nil),
	} {
		got := marked(checkNodes([]node{cp}, []Keeper{recorderOn(cp, change)}))
		if !strings.HasPrefix(got, "✗ node cp: ") || strings.Count(got, "\n") != 1 || !strings.Contains(got, name) {
			t.Errorf("without %s: %s", name, got)
		}
	}
}

func marked(findings []Finding) string {
	var out strings.Builder
	for _, f := range findings {
		mark := "✓"
		switch {
		case f.Warning:
			mark = "!"
		case f.Missing():
			mark = "✗"
		}
		fmt.Fprintf(&out, "%s %s\n", mark, f.What)
	}
	return out.String()
}

// TestProof: what of doctor's request came back, and after how long by the clock of the node.
func TestProof(t *testing.T) {
	probe := func(id string, took time.Duration) source.Probe {
		return source.Probe{AuditID: id, Received: before(time.Minute), Arrived: before(time.Minute).Add(took)}
	}
	with := func(audit, span []source.Probe) Keeper {
		return Keeper{Node: "cp", Sources: []source.Status{{Source: "audit", Now: checked, Probes: audit}, {Source: "span", Now: checked, Probes: span}}}
	}
	mine, other := "podtrail-doctor-1", "podtrail-doctor-2"
	audited, traced := probe(mine, 800*time.Millisecond), probe(mine, 4900*time.Millisecond)
	for name, tc := range map[string]struct {
		held []Keeper
		want string
	}{
		"whole": {[]Keeper{with([]source.Probe{probe(other, 0), audited}, []source.Probe{traced})}, "✓ a request of mine came back: audit event after 0.8 s, span after 4.9 s\n"},
		"whole, from the second of two API servers": {[]Keeper{with(nil, nil), with([]source.Probe{audited}, []source.Probe{traced})}, "✓ a request of mine came back: audit event after 0.8 s, span after 4.9 s\n"},
		"without its span":                          {[]Keeper{with([]source.Probe{audited}, []source.Probe{probe(other, 0)})}, "✗ a request of mine did not come back whole: no span at the recorder on cp within 30s (audit event after 0.8 s)\n"},
		"without its audit event":                   {[]Keeper{with(nil, []source.Probe{traced})}, "✗ a request of mine did not come back whole: no audit event at the recorder on cp within 30s (span after 4.9 s)\n"},
		"not at all":                                {[]Keeper{with(nil, nil)}, "✗ a request of mine did not come back whole: no audit event and no span at the recorder on cp within 30s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, marked([]Finding{proof{}.with(tc.held, mine).judge(tc.held)})); diff != "" {
				t.Errorf("finding (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSkew(t *testing.T) {
	held := []Keeper{
		{Component: "recorder", Version: "v1"}, {Component: "recorder", Version: "v1"}, {Component: "manager"},
		{Component: "scheduler", Version: "v0", Err: errors.New("not read")},
	}
	for own, want := range map[string]string{
		"v1": "podtrail is v1 and in the cluster run manager of an older version",
		"v2": "podtrail is v2 and in the cluster run manager of an older version, recorder v1",
		"":   "",
	} {
		if got := Skew(own, held); got != want {
			t.Errorf("with %q: %q, want %q", own, got, want)
		}
	}
}
