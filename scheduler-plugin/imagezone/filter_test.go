// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

const (
	app  = "registry.example/app:v1"
	tool = "registry.example/tool:v1"
)

// verdict is what the framework makes of a status: what kind of refusal, and why.
type verdict struct {
	Code   fwk.Code
	Reason string
}

var fits = verdict{Code: fwk.Success}

func refused(reason string) verdict { return verdict{Code: fwk.Unschedulable, Reason: reason} }
func unresolvable(reason string) verdict {
	return verdict{Code: fwk.UnschedulableAndUnresolvable, Reason: reason}
}

func verdicts(statuses map[string]*fwk.Status) map[string]verdict {
	if statuses == nil {
		return nil
	}
	got := map[string]verdict{}
	for node, status := range statuses {
		got[node] = verdict{Code: status.Code(), Reason: status.Message()}
	}
	return got
}

func TestFilter(t *testing.T) {
	// holder reports the size of the image; its own disk is not known.
	holder := makeDisk("holder", 0, images{app: 100 * mb, tool: 50 * mb})
	tests := map[string]struct {
		nodes        []*corev1.Node
		pods         []*corev1.Pod
		pod          *corev1.Pod
		args         string
		wantVerdicts map[string]verdict
	}{
		"a disk as large as the image is enough, a byte less is not, not even without other Pods": {
			nodes: []*corev1.Node{holder, makeDisk("exact", 100*mb, nil), makeDisk("small", 100*mb-1, nil)},
			pod:   makePod(0, app),
			wantVerdicts: map[string]verdict{
				"holder": fits, "exact": fits,
				"small": unresolvable("node(s) had 99Mi of disk left for 100Mi of images to pull"),
			},
		},
		"what Pods on the node request is not free, but they might be preempted": {
			nodes: []*corev1.Node{holder, makeDisk("busy", 300*mb, nil)},
			pods:  []*corev1.Pod{storagePod("a", "busy", 150*mb), storagePod("b", "busy", 60*mb)},
			pod:   makePod(0, app),
			wantVerdicts: map[string]verdict{
				"holder": fits,
				"busy":   refused("node(s) had 90Mi of disk left for 100Mi of images to pull"),
			},
		},
		"what the Pod itself requests is not free either, whoever is preempted": {
			nodes: []*corev1.Node{holder, makeDisk("busy", 300*mb, nil)},
			pods:  []*corev1.Pod{storagePod("a", "busy", 150*mb)},
			pod:   makePod(250*mb, app),
			wantVerdicts: map[string]verdict{
				"holder": fits,
				"busy":   unresolvable("node(s) had 0 of disk left for 100Mi of images to pull"),
			},
		},
		"only the images that the node does not hold need room": {
			nodes: []*corev1.Node{
				holder, makeDisk("none", 60*mb, nil),
				makeDisk("app", 60*mb, images{app: 100 * mb}), makeDisk("both", 1, images{app: 100 * mb, tool: 50 * mb}),
			},
			pod: makePod(0, app, tool),
			wantVerdicts: map[string]verdict{
				"holder": fits, "app": fits, "both": fits,
				"none": unresolvable("node(s) had 60Mi of disk left for 150Mi of images to pull"),
			},
		},
		"an image of two containers is pulled once": {
			nodes:        []*corev1.Node{holder, makeDisk("exact", 100*mb, nil)},
			pod:          makePod(0, app, app),
			wantVerdicts: map[string]verdict{"holder": fits, "exact": fits},
		},
		"two names of one image are pulled once": {
			nodes: []*corev1.Node{
				listing(makeDisk("holder", 0, nil), 100*mb, app, "registry.example/app"+digest), makeDisk("exact", 100*mb, nil),
			},
			pod:          makePod(0, app, "registry.example/app"+digest),
			wantVerdicts: map[string]verdict{"holder": fits, "exact": fits},
		},
		"a node that reports no disk is not refused": {
			nodes:        []*corev1.Node{holder, makeDisk("silent", 0, nil)},
			pod:          makePod(0, app),
			wantVerdicts: map[string]verdict{"holder": fits, "silent": fits},
		},
		"of images of known and unknown size the known ones need room": {
			nodes:        []*corev1.Node{holder, makeDisk("exact", 100*mb, nil)},
			pod:          makePod(0, app, "registry.example/unheard-of:v1"),
			wantVerdicts: map[string]verdict{"holder": fits, "exact": fits},
		},
		"nothing to decide when no size is known": {
			nodes: []*corev1.Node{holder, makeDisk("small", 1, nil)},
			pod:   makePod(0, "registry.example/unheard-of:v1"),
		},
		"nothing to decide where the filter is off": {
			nodes: []*corev1.Node{holder, makeDisk("small", 1, nil)},
			pod:   makePod(0, app),
			args:  `{"diskFilter":false}`,
		},
		"the image of a volume needs room": {
			nodes: []*corev1.Node{holder, makeDisk("small", 1*mb, nil)},
			pod:   withVolume(makePod(0), app),
			wantVerdicts: map[string]verdict{
				"holder": fits,
				"small":  unresolvable("node(s) had 1.0Mi of disk left for 100Mi of images to pull"),
			},
		},
		"sizes beyond what adds up are refused": {
			nodes: []*corev1.Node{makeDisk("holder", 0, images{app: math.MaxInt64, tool: math.MaxInt64}), makeDisk("small", mb, nil)},
			pod:   makePod(0, app, tool),
			wantVerdicts: map[string]verdict{
				"holder": fits,
				"small":  unresolvable("node(s) had 1.0Mi of disk left for 8200Pi of images to pull"),
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := verdicts(cluster{nodes: tc.nodes, pods: tc.pods}.filter(t, tc.args, tc.pod))
			if diff := cmp.Diff(tc.wantVerdicts, got); diff != "" {
				t.Errorf("Verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// Preemption takes Pods from a copy of the NodeInfo and asks Filter again.
func TestFilterSeesWhatPreemptionRemoves(t *testing.T) {
	victim := storagePod("victim", "busy", 250*mb)
	pl, nodes := cluster{
		nodes: []*corev1.Node{makeDisk("holder", 0, images{app: 100 * mb}), makeDisk("busy", 300*mb, nil)},
		pods:  []*corev1.Pod{victim},
	}.plugin(t, "")
	state := framework.NewCycleState()
	if _, status := pl.PreFilter(t.Context(), state, makePod(0, app), nodes); !status.IsSuccess() {
		t.Fatalf("PreFilter: %v", status)
	}
	busy := nodes[1].Snapshot()
	if status := pl.Filter(t.Context(), state, nil, busy); status.Code() != fwk.Unschedulable {
		t.Errorf("With the victim: got %v, want it refused for as long as the victim is there", status)
	}
	if err := busy.RemovePod(klog.Background(), victim); err != nil {
		t.Fatalf("Removing the victim: %v", err)
	}
	if status := pl.Filter(t.Context(), state, nil, busy); !status.IsSuccess() {
		t.Errorf("Without the victim: got %v, want success", status)
	}
}

func TestPreFilterKeepsEveryNode(t *testing.T) {
	pl, nodes := cluster{nodes: []*corev1.Node{makeDisk("holder", mb, images{app: 100 * mb}), makeDisk("small", 1, nil)}}.plugin(t, "")
	result, status := pl.PreFilter(t.Context(), framework.NewCycleState(), makePod(0, app), nodes)
	if !status.IsSuccess() || !result.AllNodes() {
		t.Errorf("Got nodes %v and status %v, want all nodes and success", result, status)
	}
	if extensions := pl.PreFilterExtensions(); extensions != nil {
		t.Errorf("Got extensions %v, want none: no state depends on the Pods of a node", extensions)
	}
}

func TestFilterWithoutPreFilterIsAnError(t *testing.T) {
	pl, nodes := cluster{nodes: []*corev1.Node{makeNode("a", "", nil)}}.plugin(t, "")
	if status := pl.Filter(t.Context(), framework.NewCycleState(), st.MakePod().Obj(), nodes[0]); !status.IsError() {
		t.Errorf("Filter: want an error status, got %v", status)
	}
}

func TestFilterAllocatesNothingOnSuccess(t *testing.T) {
	pl, nodes := cluster{
		nodes: []*corev1.Node{makeDisk("holder", 300*mb, images{app: 100 * mb}), makeDisk("room", 300*mb, nil)},
		pods:  []*corev1.Pod{storagePod("a", "room", 100*mb)},
	}.plugin(t, "")
	pod, state := makePod(mb, app, tool), framework.NewCycleState()
	if _, status := pl.PreFilter(t.Context(), state, pod, nodes); !status.IsSuccess() {
		t.Fatalf("PreFilter: %v", status)
	}
	for _, node := range nodes {
		allocations := testing.AllocsPerRun(1000, func() {
			if status := pl.Filter(t.Context(), state, pod, node); status != nil {
				t.Fatalf("Filter: %v", status)
			}
		})
		if allocations != 0 {
			t.Errorf("Filter of node %s allocates %v times, want 0", node.Node().Name, allocations)
		}
	}
}

func TestRounded(t *testing.T) {
	tests := map[int64]struct{ wantDown, wantUp string }{
		-1:                 {"0", "0"},
		0:                  {"0", "0"},
		7:                  {"7", "7"},
		1023:               {"1000", "1100"},
		1024:               {"1.0Ki", "1.0Ki"},
		1025:               {"1.0Ki", "1.1Ki"},
		100 * mb:           {"100Mi", "100Mi"},
		100*mb + 1:         {"100Mi", "110Mi"},
		10*mb - 1:          {"9.9Mi", "10Mi"},
		1023 * mb:          {"1000Mi", "1100Mi"},
		1536 * mb:          {"1.5Gi", "1.5Gi"},
		123 * 1024 * mb:    {"120Gi", "130Gi"},
		math.MaxInt64:      {"8100Pi", "8200Pi"},
		math.MaxInt64 >> 3: {"1000Pi", "1100Pi"},
	}
	for bytes, tc := range tests {
		if down, up := roundedDown(bytes), roundedUp(bytes); down != tc.wantDown || up != tc.wantUp {
			t.Errorf("%d: got %s down and %s up, want %s and %s", bytes, down, up, tc.wantDown, tc.wantUp)
		}
	}
}

// The scheduler writes every different reason into the Pod's status.
func TestReasonsOfManyNodesAreFew(t *testing.T) {
	c := cluster{nodes: []*corev1.Node{makeDisk("holder", 0, images{app: 400 * mb})}}
	for i := range int64(5000) {
		c.nodes = append(c.nodes, makeDisk(fmt.Sprintf("node-%d", i), 1+i*70_001, nil))
	}
	reasons := sets.New[string]()
	for _, status := range c.filter(t, "", makePod(0, app)) {
		reasons.Insert(status.Message())
	}
	if got, most := reasons.Len(), 300; got > most || got < 100 {
		t.Errorf("5000 nodes with different disks give %d reasons, want 100 to %d", got, most)
	}
}

func listing(node *corev1.Node, size int64, names ...string) *corev1.Node {
	node.Status.Images = append(node.Status.Images, corev1.ContainerImage{Names: names, SizeBytes: size})
	return node
}

func withVolume(pod *corev1.Pod, reference string) *corev1.Pod {
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
		Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: reference}},
	})
	return pod
}
