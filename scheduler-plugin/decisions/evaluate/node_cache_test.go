// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"slices"
	"testing"

	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

func nodeInfo(name string) *framework.NodeInfo {
	info := framework.NewNodeInfo()
	info.SetNode(st.MakeNode().Name(name).Obj())
	return info
}

func TestNodeCacheKeepsNamesWhileTheNodesAreTheSame(t *testing.T) {
	var cache NodeCache
	one, two, three := nodeInfo("one"), nodeInfo("two"), nodeInfo("three")
	first := cache.Names([]fwk.NodeInfo{one, two})
	if want := []string{"one", "two"}; !slices.Equal(first.names, want) {
		t.Fatalf("Names %v, want %v", first.names, want)
	}
	if again := cache.Names([]fwk.NodeInfo{one, two}); &again.names[0] != &first.names[0] {
		t.Error("The same nodes got other names, so that a record of them would keep them twice")
	}
	for _, nodes := range [][]fwk.NodeInfo{{one, three}, {three, one}, {one}, {one, two, three}} {
		var want []string
		for _, node := range nodes {
			want = append(want, node.Node().Name)
		}
		names := cache.Names(nodes)
		if !slices.Equal(names.names, want) {
			t.Errorf("Names %v, want %v", names.names, want)
		}
		for i, name := range want {
			for guess := range 4 {
				if got, ok := names.find(name, guess); !ok || got != i {
					t.Errorf("%s is found at %d (%v) from the guess %d, want %d", name, got, ok, guess, i)
				}
			}
		}
	}
	if want := []string{"one", "two"}; !slices.Equal(first.names, want) {
		t.Errorf("The names of before became %v, want %v: a record may still need them", first.names, want)
	}
}

// TestNodeCacheCopiesWhatChanged: a copy stays as it was taken, and an unchanged node is not copied again.
func TestNodeCacheCopiesWhatChanged(t *testing.T) {
	var cache NodeCache
	one, two := nodeInfo("one"), nodeInfo("two")
	nodes := []fwk.NodeInfo{one, two}
	before := cache.Copies(nodes)
	pod, err := framework.NewPodInfo(st.MakePod().Name("web").UID("web").Obj())
	if err != nil {
		t.Fatalf("Making a PodInfo: %v", err)
	}
	changed := one.Snapshot().(*framework.NodeInfo)
	changed.AddPodInfo(pod)
	*one = *changed // as Cache.UpdateSnapshot does
	after := cache.Copies(nodes)
	if n := len(before[0].GetPods()); n != 0 {
		t.Errorf("The copy of before has %d Pods, want 0", n)
	}
	if n := len(after[0].GetPods()); n != 1 {
		t.Errorf("The copy of after has %d Pods, want 1", n)
	}
	if before[1] != after[1] {
		t.Error("A node that has not changed was copied again")
	}
}
