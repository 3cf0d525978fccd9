// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"

	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// Taker copies the nodes of the scheduler's snapshot so that they can be read after the cycle. It is used by the
// scheduling goroutine alone.
//
// It costs a comparison for each node and a copy for each that has changed. A copy shares what the original points to,
// and nothing writes there: between cycles the cache replaces a NodeInfo's whole content (Cache.UpdateSnapshot), and
// within a cycle who wants to change one takes a NodeInfo.Snapshot.
type Taker struct {
	originals   []fwk.NodeInfo
	generations []int64
	copies      []fwk.NodeInfo
}

// Take returns copies of the nodes. They must not be changed.
func (t *Taker) Take(nodes []fwk.NodeInfo) []fwk.NodeInfo {
	if len(nodes) != len(t.originals) {
		t.originals = make([]fwk.NodeInfo, len(nodes))
		t.generations = make([]int64, len(nodes))
		t.copies = make([]fwk.NodeInfo, len(nodes))
	}
	shared := true // with attempts that were taken before
	for i, node := range nodes {
		generation := node.GetGeneration()
		if t.originals[i] == node && t.generations[i] == generation {
			continue
		}
		if shared {
			t.copies = append([]fwk.NodeInfo(nil), t.copies...)
			shared = false
		}
		t.originals[i], t.generations[i], t.copies[i] = node, generation, copyOf(node)
	}
	return t.copies
}

func copyOf(node fwk.NodeInfo) fwk.NodeInfo {
	if concrete, ok := node.(*framework.NodeInfo); ok {
		content := *concrete
		return &content
	}
	return node.Snapshot()
}

// snapshot is a fwk.SharedLister over copied nodes, for the framework that evaluates. Its nodes change only between
// two evaluations.
type snapshot struct {
	nodes                  []fwk.NodeInfo
	index                  map[string]int
	affinity, antiAffinity []fwk.NodeInfo
}

var (
	_ fwk.SharedLister      = &snapshot{}
	_ fwk.NodeInfoLister    = &snapshot{}
	_ fwk.StorageInfoLister = &snapshot{}
)

func (s *snapshot) set(nodes []fwk.NodeInfo, index map[string]int) {
	*s = snapshot{nodes: nodes, index: index}
	for _, node := range nodes {
		if len(node.GetPodsWithAffinity()) > 0 {
			s.affinity = append(s.affinity, node)
		}
		if len(node.GetPodsWithRequiredAntiAffinity()) > 0 {
			s.antiAffinity = append(s.antiAffinity, node)
		}
	}
}

func (s *snapshot) NodeInfos() fwk.NodeInfoLister           { return s }
func (s *snapshot) StorageInfos() fwk.StorageInfoLister     { return s }
func (s *snapshot) PodGroupStates() fwk.PodGroupStateLister { return noPodGroups{} }

func (s *snapshot) List() ([]fwk.NodeInfo, error)                     { return s.nodes, nil }
func (s *snapshot) HavePodsWithAffinityList() ([]fwk.NodeInfo, error) { return s.affinity, nil }
func (s *snapshot) HavePodsWithRequiredAntiAffinityList() ([]fwk.NodeInfo, error) {
	return s.antiAffinity, nil
}

func (s *snapshot) Get(name string) (fwk.NodeInfo, error) {
	i, ok := s.index[name]
	if !ok {
		return nil, fmt.Errorf("node %q is not among the copied ones", name)
	}
	return s.nodes[i], nil
}

func (s *snapshot) IsPVCUsedByPods(key string) bool {
	for _, node := range s.nodes {
		if node.GetPVCRefCounts()[key] > 0 {
			return true
		}
	}
	return false
}

// noPodGroups stands for Pod groups, which the gate GenericWorkload (alpha, off) schedules and which are not recorded.
type noPodGroups struct{}

func (noPodGroups) Get(namespace, name string) (fwk.PodGroupState, error) {
	return nil, fmt.Errorf("pod group %s/%s: pod groups are not recorded", namespace, name)
}
