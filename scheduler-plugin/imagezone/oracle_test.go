// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

const randomClusters = 1000

// TestScoreOnRandomClusters checks what holds for every cluster: the scores are those that a plain recount of the API
// objects gives, they are within the framework's bounds, and the order of nodes and Pods does not matter.
func TestScoreOnRandomClusters(t *testing.T) {
	graded := 0
	for seed := range uint64(randomClusters) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		c, pod := randomCluster(rnd)
		w := weights{image: rnd.Int64N(4), zone: 1 + rnd.Int64N(4)}
		args := fmt.Sprintf(`{"imageWeight":%d,"zoneWeight":%d}`, w.image, w.zone)

		scores := c.score(t, args, pod)

		for node, score := range scores {
			if score < fwk.MinScore || score > fwk.MaxScore {
				t.Fatalf("Seed %d: node %s has score %d, out of %d to %d", seed, node, score, fwk.MinScore, fwk.MaxScore)
			}
		}
		if diff := cmp.Diff(recount(c, w, pod), scores); diff != "" {
			t.Fatalf("Seed %d: scores (-recounted +got):\n%s", seed, diff)
		}
		rnd.Shuffle(len(c.nodes), func(i, j int) { c.nodes[i], c.nodes[j] = c.nodes[j], c.nodes[i] })
		rnd.Shuffle(len(c.pods), func(i, j int) { c.pods[i], c.pods[j] = c.pods[j], c.pods[i] })
		if diff := cmp.Diff(scores, c.score(t, args, pod)); diff != "" {
			t.Fatalf("Seed %d: scores in another order (-first +second):\n%s", seed, diff)
		}
		if scores != nil {
			graded++
		}
	}
	if graded < randomClusters/2 {
		t.Errorf("Only %d of %d clusters had anything to grade", graded, randomClusters)
	}
}

func randomCluster(rnd *rand.Rand) (cluster, *corev1.Pod) {
	catalogue := images{}
	var imageNames []string
	for i := range 6 {
		name := fmt.Sprintf("registry.example/image-%d:v1", i)
		imageNames = append(imageNames, name)
		catalogue[name] = 1 + rnd.Int64N(2000*mb)
	}
	c := cluster{}
	for i := range 1 + rnd.IntN(12) {
		held := images{}
		for _, name := range imageNames {
			if rnd.IntN(3) == 0 {
				held[name] = catalogue[name]
			}
		}
		zone := []string{"", "zone-a", "zone-b", "zone-c"}[rnd.IntN(4)]
		node := makeNode(fmt.Sprintf("node-%d", i), zone, held)
		c.nodes = append(c.nodes, node)
		if i > 0 && rnd.IntN(5) == 0 {
			c.full = append(c.full, node.Name)
		}
	}
	for i := range rnd.IntN(40) {
		owner := []string{"web", "db"}[rnd.IntN(2)]
		c.pods = append(c.pods, ownedPod(fmt.Sprintf("pod-%d", i), owner, c.nodes[rnd.IntN(len(c.nodes))].Name))
	}
	pod := ownedPod("new", "web", "")
	return c, withImages(pod, imageNames[rnd.IntN(6)], imageNames[rnd.IntN(6)])
}

// recount computes the scores from only the API objects: share of the known image bytes, and distance from the fullest
// zone, in thousandths, each rounded down, then their weighted mean.
func recount(c cluster, w weights, pod *corev1.Pod) map[string]int64 {
	feasible := slices.DeleteFunc(slices.Clone(c.nodes), func(n *corev1.Node) bool { return slices.Contains(c.full, n.Name) })
	bytes, total := recountBytes(feasible, pod)
	if total == 0 {
		w.image = 0
	}
	siblings, fewest, most := recountSiblings(c, feasible)
	if len(siblings) == 0 || fewest == most {
		w.zone = 0
	}
	if w.image+w.zone == 0 {
		return nil
	}
	scores := map[string]int64{}
	for _, node := range feasible {
		var sum int64
		if w.image > 0 {
			sum += w.image * (1000 * bytes[node.Name] / total)
		}
		if count, ok := siblings[node.Labels[corev1.LabelTopologyZone]]; ok && w.zone > 0 {
			sum += w.zone * (1000 * (most - count) / (most - fewest))
		}
		scores[node.Name] = sum / 10 / (w.image + w.zone)
	}
	return scores
}

func recountBytes(feasible []*corev1.Node, pod *corev1.Pod) (map[string]int64, int64) {
	onNode, known := map[string]int64{}, images{}
	for _, node := range feasible {
		for _, img := range node.Status.Images {
			if slices.ContainsFunc(pod.Spec.Containers, func(ctr corev1.Container) bool { return ctr.Image == img.Names[0] }) {
				onNode[node.Name] += img.SizeBytes
				known[img.Names[0]] = img.SizeBytes
			}
		}
	}
	var total int64
	for _, size := range known {
		total += size
	}
	return onNode, total
}

func recountSiblings(c cluster, feasible []*corev1.Node) (siblings map[string]int64, fewest, most int64) {
	siblings = map[string]int64{}
	for _, node := range feasible {
		if zone := node.Labels[corev1.LabelTopologyZone]; zone != "" {
			siblings[zone] = 0
		}
	}
	for _, pod := range c.pods {
		node := c.nodes[slices.IndexFunc(c.nodes, func(n *corev1.Node) bool { return n.Name == pod.Spec.NodeName })]
		zone := node.Labels[corev1.LabelTopologyZone]
		if _, ok := siblings[zone]; ok && pod.OwnerReferences[0].UID == "web" {
			siblings[zone]++
		}
	}
	first := true
	for _, count := range siblings {
		if first {
			fewest, most, first = count, count, false
		}
		fewest, most = min(fewest, count), max(most, count)
	}
	return siblings, fewest, most
}
