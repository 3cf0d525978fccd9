// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// node is one whose evidence a trail may need.
type node struct {
	name         string
	controlPlane bool
}

// delivery is what a node's recorder must get: a source, or the spans of a sender.
type delivery struct {
	source, sender string
	// controlPlane says that only nodes of a control plane have it.
	controlPlane bool
	// shows is what a trail lacks without it. Remedy says what to look at; NODE in it is the node's name.
	shows, remedy string
}

const configz = "kubectl get --raw /api/v1/nodes/NODE/proxy/configz, whose tracing must have endpoint 127.0.0.1:4317 and samplingRatePerMillion 1000000; " +
	"an exporter that found no recorder tries again within 2 minutes: podtrail doctor --wait 150s"

// deliveries are what each node must deliver.
var deliveries = []delivery{
	{source: trail.SourceAudit, controlPlane: true, shows: "stages 1 to 5",
		remedy: "start the API server with --audit-log-path and --audit-policy-file (make cluster-up does), then make deploy"},
	{source: trail.SourceEtcd, controlPlane: true, shows: "what etcd holds (stage 6)", remedy: "make deploy: the recorder on the control plane watches etcd"},
	{source: trail.SourceCNI, shows: "the Pod's network (stage 9)", remedy: "make deploy: the recorder of each node reads the CNI cache"},
	{source: trail.SourceOCI, shows: "namespaces and limits (stage 9)", remedy: "make deploy: the recorder of each node reads the OCI specs"},
	{source: trail.SourceSpan, shows: "all spans", remedy: "make deploy: the recorder of each node receives spans on 127.0.0.1:4317"},
	{sender: trail.SenderAPIServer, controlPlane: true, shows: "the times of stages 3 to 6",
		remedy: "kubectl get pod kube-apiserver-NODE -n kube-system -o yaml, which must have --tracing-config-file (make cluster-up does that); " +
			"an exporter that found no recorder tries again within 2 minutes: podtrail doctor --wait 150s"},
	{sender: trail.SenderKubelet, shows: "the kubelet's steps (stage 9)", remedy: configz},
	{sender: trail.SenderRuntime, shows: "containerd's steps (stage 9)",
		remedy: "OTEL_EXPORTER_OTLP_ENDPOINT in the environment of containerd on NODE (make cluster-up sets it); " +
			"an exporter that found no recorder tries again within 2 minutes: podtrail doctor --wait 150s"},
}

// moreWatches lifts the limits that a laptop's distribution sets for one user; all nodes of a kind cluster share them.
const moreWatches = "sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288"

// nodesOf are the nodes that have a recorder.
func nodesOf(held []Keeper) []node {
	var out []node
	for _, k := range held {
		if k.Component == keepers[0].component && k.Node != "" {
			out = append(out, node{k.Node, k.ControlPlane})
		}
	}
	slices.SortFunc(out, func(a, b node) int { return cmp.Compare(a.name, b.name) })
	return slices.Compact(out)
}

// checkNodes judges each node by what its own recorder has.
func checkNodes(nodes []node, held []Keeper) []Finding {
	var out []Finding
	for _, n := range nodes {
		found := checkNode(n, held)
		if !slices.ContainsFunc(found, Finding.Missing) {
			out = append(out, Finding{What: "node " + n.name + " delivers " + n.delivers()})
		}
		out = append(out, found...)
	}
	return out
}

// checkNode returns what is wrong with a node.
func checkNode(n node, held []Keeper) []Finding {
	i := slices.IndexFunc(held, func(k Keeper) bool { return k.Component == keepers[0].component && k.Node == n.name })
	if i < 0 {
		return []Finding{{
			What: "node " + n.name + " has no recorder, so nothing of it is recorded",
			Next: keepers[0].look(nil) + ", then " + deployAgain,
		}}
	}
	recorder := held[i]
	if recorder.Err != nil {
		return []Finding{{
			What: fmt.Sprintf("node %s: its recorder can't be read: %v", n.name, recorder.Err), Next: keepers[0].look(recorder.Err),
		}}
	}
	var out []Finding
	for _, d := range deliveries {
		if d.controlPlane && !n.controlPlane {
			continue
		}
		if lack := d.lack(recorder.Sources); lack != "" {
			out = append(out, Finding{
				What: fmt.Sprintf("node %s: %s, so a trail lacks %s", n.name, lack, d.shows), Next: strings.ReplaceAll(d.remedy, "NODE", n.name),
			})
		}
	}
	return append(out, warnings("node "+n.name, recorder.Sources)...)
}

// lack says what keeps a recorder from having the delivery, "" if nothing does. Nothing kept yet is no lack: there may be
// nothing to keep.
func (d delivery) lack(sources []source.Status) string {
	if d.sender != "" {
		return d.senderLack(sources)
	}
	i := slices.IndexFunc(sources, func(s source.Status) bool { return s.Source == d.source })
	switch {
	case i < 0:
		return "its recorder keeps no source " + d.source
	case sources[i].LastError != "":
		return "source " + d.source + " can't be read: " + sources[i].LastError
	}
	return ""
}

// senderLack is lack of a sender's spans. Where there is no source of spans, that is the lack.
func (d delivery) senderLack(sources []source.Status) string {
	i := slices.IndexFunc(sources, func(s source.Status) bool { return s.Source == trail.SourceSpan })
	if i < 0 {
		return ""
	}
	heard := source.Listening(sources[i : i+1])
	if len(heard) == 0 {
		return "its recorder is older than this podtrail and does not say whether " + trail.SenderTitle(d.sender) + " sends spans (" + deployAgain + ")"
	}
	if lack := heard[0].Lack(d.sender); lack != "" {
		return trail.SenderTitle(d.sender) + " " + lack
	}
	return ""
}

// delivers lists what a node delivers when nothing is wrong.
func (n node) delivers() string {
	var sources, senders []string
	for _, d := range deliveries {
		switch {
		case d.controlPlane && !n.controlPlane, d.source == trail.SourceSpan:
		case d.source != "":
			sources = append(sources, d.source)
		default:
			senders = append(senders, trail.SenderTitle(d.sender))
		}
	}
	return strings.Join(sources, ", ") + " and the spans of " + strings.Join(senders, ", ")
}

// warnings are what is not as well as it could be with sources.
func warnings(where string, sources []source.Status) []Finding {
	var out []Finding
	for _, s := range sources {
		if s.Warning != "" {
			out = append(out, Finding{What: fmt.Sprintf("%s: source %s: %s", where, s.Source, s.Warning), Next: moreWatches, Warning: true})
		}
		if s.Dropped > 0 {
			out = append(out, Finding{
				What: fmt.Sprintf("%s: source %s has dropped %d records, the oldest first: it knows since %s",
					where, s.Source, s.Dropped, s.Since.UTC().Format("15:04:05Z")),
				Next: "for older Pods' trails give that part a larger buffer in config/, then " + deployAgain, Warning: true,
			})
		}
	}
	return out
}

// partSources are what the parts beside the recorders keep.
var partSources = []struct{ component, source, shows, remedy string }{
	{"manager", trail.SourceReconcile, "why the TeachingReplicaSet controller acted (stage 7)", "set the manager's --reconcile-records-bytes above 0"},
	{"scheduler", trail.SourceDecision, "how podtrail-scheduler chose the node (stage 8)",
		"enable the plugin DecisionRecorder in config/scheduler/scheduler-config.yaml, then " + deployAgain},
}

// checkKept judges what manager and scheduler keep. Each replica must, since any may come to lead.
func checkKept(held []Keeper) []Finding {
	var out []Finding
	for _, want := range partSources {
		kept, replicas := 0, 0
		for _, k := range held {
			if k.Component != want.component {
				continue
			}
			where := k.Component + " " + k.Pod
			i := slices.IndexFunc(k.Sources, func(s source.Status) bool { return s.Source == want.source })
			switch {
			case k.Err != nil:
				out = append(out, Finding{What: fmt.Sprintf("%s can't be read: %v", where, k.Err), Next: keeper{component: want.component}.look(k.Err)})
			case i < 0:
			default:
				kept, replicas = kept+k.Sources[i].Kept, replicas+1
				out = append(out, warnings(where, k.Sources)...)
			}
		}
		if replicas == 0 {
			out = append(out, Finding{What: "nobody keeps source " + want.source + ", so a trail lacks " + want.shows, Next: want.remedy})
			continue
		}
		out = append(out, Finding{What: fmt.Sprintf("source %s: %d records, replicas of the %s: %d", want.source, kept, want.component, replicas)})
	}
	return out
}
