// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// TestFilterOnRandomClusters checks every verdict against a recount of the API objects, and that the order of nodes and
// Pods does not matter.
func TestFilterOnRandomClusters(t *testing.T) {
	seen := map[fwk.Code]int{}
	for seed := range uint64(randomClusters) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c, pod := randomDisks(rnd)
		got := codes(c.filter(t, "", pod))
		if diff := cmp.Diff(recountDisks(c, pod), got); diff != "" {
			t.Fatalf("Seed %d: verdicts (-recounted +got):\n%s", seed, diff)
		}
		rnd.Shuffle(len(c.nodes), func(i, j int) { c.nodes[i], c.nodes[j] = c.nodes[j], c.nodes[i] })
		rnd.Shuffle(len(c.pods), func(i, j int) { c.pods[i], c.pods[j] = c.pods[j], c.pods[i] })
		if diff := cmp.Diff(got, codes(c.filter(t, "", pod))); diff != "" {
			t.Fatalf("Seed %d: verdicts in another order (-first +second):\n%s", seed, diff)
		}
		for _, code := range got {
			seen[code]++
		}
	}
	for _, code := range []fwk.Code{fwk.Success, fwk.Unschedulable, fwk.UnschedulableAndUnresolvable} {
		if seen[code] < randomClusters/2 {
			t.Errorf("Only %d verdicts were %v", seen[code], code)
		}
	}
}

func codes(statuses map[string]*fwk.Status) map[string]fwk.Code {
	got := map[string]fwk.Code{}
	for node, status := range statuses {
		got[node] = status.Code()
	}
	return got
}

// randomDisks returns nodes whose disks, images and requests are of one order of magnitude, and a Pod with images of
// containers, init containers and a volume.
func randomDisks(rnd *rand.Rand) (cluster, *corev1.Pod) {
	catalogue := map[string]int64{}
	var names []string
	for i := range 8 {
		name := fmt.Sprintf("registry.example/image-%d:v1", i)
		names = append(names, name)
		catalogue[name] = 1 + rnd.Int64N(1000)
	}
	pick := func() string { return names[rnd.IntN(len(names))] }
	c := cluster{}
	for i := range 1 + rnd.IntN(10) {
		node := makeDisk(fmt.Sprintf("node-%d", i), rnd.Int64N(4000)*rnd.Int64N(2), nil)
		for name, size := range catalogue {
			if rnd.IntN(4) == 0 {
				listing(node, size, name+"-alias", name)
			}
		}
		c.nodes = append(c.nodes, node)
	}
	for i := range rnd.IntN(30) {
		c.pods = append(c.pods, storagePod(fmt.Sprintf("pod-%d", i), c.nodes[rnd.IntN(len(c.nodes))].Name, rnd.Int64N(1500)))
	}
	pod := withVolume(makePod(rnd.Int64N(500), pick(), pick()), pick())
	pod.Spec.InitContainers = []corev1.Container{{Image: pick()}}
	return c, pod
}

// recountDisks computes the verdicts from only the API objects. It is empty if no size is known.
func recountDisks(c cluster, pod *corev1.Pod) map[string]fwk.Code {
	needed := map[string]int64{}
	for _, node := range c.nodes {
		for _, img := range node.Status.Images {
			if wants(pod, img) {
				needed[strings.Join(img.Names, " ")] = img.SizeBytes
			}
		}
	}
	verdicts := map[string]fwk.Code{}
	if len(needed) == 0 {
		return verdicts
	}
	own := sumOfRequests(pod)
	for _, node := range c.nodes {
		var pull, requested int64
		for _, size := range needed {
			pull += size
		}
		for _, img := range node.Status.Images {
			pull -= needed[strings.Join(img.Names, " ")]
		}
		for _, other := range c.pods {
			if other.Spec.NodeName == node.Name {
				requested += sumOfRequests(other)
			}
		}
		switch disk := node.Status.Allocatable.StorageEphemeral().Value(); {
		case disk == 0 || pull == 0 || requested+own+pull <= disk:
			verdicts[node.Name] = fwk.Success
		case own+pull <= disk:
			verdicts[node.Name] = fwk.Unschedulable
		default:
			verdicts[node.Name] = fwk.UnschedulableAndUnresolvable
		}
	}
	return verdicts
}

func wants(pod *corev1.Pod, img corev1.ContainerImage) bool {
	wanted := []string{pod.Spec.Volumes[0].Image.Reference}
	for _, ctr := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		wanted = append(wanted, ctr.Image)
	}
	return slices.ContainsFunc(wanted, func(name string) bool { return slices.Contains(img.Names, name) })
}

func sumOfRequests(pod *corev1.Pod) int64 {
	var sum int64
	for _, ctr := range pod.Spec.Containers {
		sum += ctr.Resources.Requests.StorageEphemeral().Value()
	}
	return sum
}
