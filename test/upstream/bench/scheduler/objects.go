// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// cell is a cluster and what is scheduled on it.
type cell struct {
	name        string
	nodes, pods int
	// alone: a Pod takes a whole node and has no controller, so that batching works.
	alone bool
}

var cells = []cell{
	{name: "1000", nodes: 1000, pods: 2000},
	{name: "5000", nodes: 5000, pods: 2000},
	{name: "batch", nodes: 1000, pods: 1000, alone: true},
}

func (c cell) title() string {
	if c.alone {
		return fmt.Sprintf("%d Pods, one to a node, of %d", c.pods, c.nodes)
	}
	return fmt.Sprintf("%d Pods on %d nodes", c.pods, c.nodes)
}

const (
	// imagesPerNode is as many as a kubelet lists by default, catalogue how many there are.
	imagesPerNode, catalogue = 50, 100
	zones                    = 3
	// podsPerOwner is how many Pods share a controller.
	podsPerOwner = 200
	// wanted is the image of every Pod; half of the nodes hold it.
	wanted = 7
)

func imageName(i int) string { return fmt.Sprintf("registry.example/bench/image-%d:1.2.3", i) }

// makeNode returns a node of the size of a common machine.
func makeNode(i int) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), Labels: map[string]string{
		corev1.LabelHostname: nodeName(i), corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%zones),
	}}}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("32"),
		corev1.ResourceMemory:           resource.MustParse("128Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("200Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	node.Status.Capacity = node.Status.Allocatable
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	for image := range imagesPerNode {
		node.Status.Images = append(node.Status.Images, corev1.ContainerImage{
			Names: []string{imageName((i + image) % catalogue)}, SizeBytes: int64(100+image) << 20,
		})
	}
	return node
}

func nodeName(i int) string { return fmt.Sprintf("bench-node-%04d", i) }

func (c cell) makePod(i int) *corev1.Pod {
	cpu := "50m"
	if c.alone {
		cpu = "20"
	}
	requests := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("64Mi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Gi"),
	}
	owner := fmt.Sprintf("web-%d", i/podsPerOwner)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("bench-%04d", i), Labels: map[string]string{"app": owner},
		},
		Spec: corev1.PodSpec{
			SchedulerName:                 schedulerName,
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			Containers: []corev1.Container{{
				Name: "web", Image: imageName(wanted), Resources: corev1.ResourceRequirements{Requests: requests},
			}},
		},
	}
	if !c.alone {
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: ptr.To(true),
		}}
	} else {
		pod.Labels = nil
	}
	return pod
}
