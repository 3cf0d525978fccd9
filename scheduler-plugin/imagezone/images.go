// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"math"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// imageStates is what a node holds, by listed name (fwk.NodeInfo.GetImageStates).
type imageStates = map[string]*fwk.ImageStateSummary

// image is one image that a Pod needs before its containers can start.
type image struct {
	// names are those under which a node may list the image.
	names []string
	// bytes is the unpacked size, as nodes report it.
	bytes int64
}

// imageNames returns the image of each init container and container.
// Ephemeral containers are left out: they are added to Pods that already have
// a node.
func imageNames(pod *corev1.Pod) []string {
	names := make([]string, 0, len(pod.Spec.InitContainers)+len(pod.Spec.Containers))
	for i := range pod.Spec.InitContainers {
		names = append(names, pod.Spec.InitContainers[i].Image)
	}
	for i := range pod.Spec.Containers {
		names = append(names, pod.Spec.Containers[i].Image)
	}
	return names
}

// sortedImageNames returns the Pod's distinct images as upstream's
// ImageLocality signs them.
func sortedImageNames(pod *corev1.Pod) []string {
	distinct := sets.New[string]()
	for _, name := range imageNames(pod) {
		distinct.Insert(normalizedImageName(name))
	}
	return sets.List(distinct)
}

// knownImages returns the Pod's distinct images that at least one of the nodes
// holds, and the sum of their sizes. An image that none of them holds must be
// pulled whichever node is chosen, so it decides nothing.
//
// The size comes from the first node that lists the image: the scheduler's
// cache gives an image the same size on every node (cache.addNodeImageStates).
// An image that the Pod asks for under a tag and under a digest counts twice.
func knownImages(pod *corev1.Pod, nodes []fwk.NodeInfo) ([]image, int64) {
	var known []image
	var total int64
	for _, name := range sortedImageNames(pod) {
		img := image{names: listedNames(name)}
		for _, node := range nodes {
			if img.bytes = listedBytes(img.names, node.GetImageStates()); img.bytes > 0 {
				known = append(known, img)
				total = addSaturated(total, img.bytes)
				break
			}
		}
	}
	return known, total
}

// heldBytes returns how many bytes of the images a node need not pull. It is
// at most the sum of the images' sizes.
func heldBytes(images []image, states imageStates) int64 {
	var held int64
	for i := range images {
		if listedBytes(images[i].names, states) > 0 {
			held = addSaturated(held, images[i].bytes)
		}
	}
	return held
}

// listedBytes returns the size under the first of the names that the node
// lists, 0 if it lists none.
func listedBytes(names []string, states imageStates) int64 {
	for _, name := range names {
		if state, ok := states[name]; ok {
			return state.Size
		}
	}
	return 0
}

// listedNames returns the names under which a node may list an image: the
// short one, as upstream looks it up, and the one in full, as containerd lists
// it (docker.io/library/nginx:latest for nginx; of tag and digest only the
// digest). A name that is no reference is looked up as it stands.
func listedNames(name string) []string {
	names := []string{normalizedImageName(name)}
	if ref, err := reference.ParseDockerRef(name); err == nil && ref.String() != names[0] {
		names = append(names, ref.String())
	}
	return names
}

// normalizedImageName adds the tag that an image name implies. It mirrors the
// function of the same name in upstream's imagelocality.
func normalizedImageName(name string) string {
	if strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
		return name + ":latest"
	}
	return name
}

// addSaturated adds two sizes. Sizes are what nodes claim, so their sum is
// kept from turning negative.
func addSaturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
