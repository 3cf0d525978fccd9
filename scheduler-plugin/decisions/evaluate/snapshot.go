// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	"fmt"

	fwk "k8s.io/kube-scheduler/framework"
)

// snapshot is a fwk.SharedLister over copied nodes, for the framework that evaluates. Its nodes change only between two
// evaluations.
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
