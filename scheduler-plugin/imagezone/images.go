// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"math"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/lru"
)

// imageStates is what a node holds, by listed name (fwk.NodeInfo.GetImageStates).
type imageStates = map[string]*fwk.ImageStateSummary

// image is one image that a Pod needs before its containers can start.
type image struct {
	// names are those under which a node may list the image.
	names []string
	// bytes is the size that nodes report. containerd reports the compressed size, which is what is pulled
	// (internal/cri/store/image), CRI-O the unpacked size.
	bytes int64
}

// containerImages returns the distinct images of the Pod's init containers and containers, as upstream's ImageLocality
// signs them. Ephemeral containers are left out: they are added to Pods that already have a node.
func containerImages(pod *corev1.Pod) sets.Set[string] {
	distinct := sets.New[string]()
	for i := range pod.Spec.InitContainers {
		distinct.Insert(normalizedImageName(pod.Spec.InitContainers[i].Image))
	}
	for i := range pod.Spec.Containers {
		distinct.Insert(normalizedImageName(pod.Spec.Containers[i].Image))
	}
	return distinct
}

// volumeImages returns the distinct images that the Pod mounts as volumes. The kubelet pulls them as it pulls those of
// containers.
func volumeImages(pod *corev1.Pod) sets.Set[string] {
	distinct := sets.New[string]()
	for i := range pod.Spec.Volumes {
		if source := pod.Spec.Volumes[i].Image; source != nil && source.Reference != "" {
			distinct.Insert(normalizedImageName(source.Reference))
		}
	}
	return distinct
}

// neededImages returns all images that must be on a node before the Pod can start there, each once, in alphabetical
// order.
func neededImages(pod *corev1.Pod) []string {
	return sets.List(containerImages(pod).Union(volumeImages(pod)))
}

// knownImages returns the Pod's distinct images that at least one of the nodes holds, and the sum of their sizes. The
// size of any other image is not known, and it must be pulled whichever node is chosen, so it makes no difference.
//
// The size comes from the first node that lists the image: the scheduler's cache gives an image the same size on every
// node (cache.addNodeImageStates). Two names of the Pod for what that node lists as one image count once.
func knownImages(names *listedNames, pod *corev1.Pod, nodes []fwk.NodeInfo) ([]image, int64) {
	var known []image
	var total int64
	for _, name := range neededImages(pod) {
		img := image{names: names.of(name)}
		for _, node := range nodes {
			if img.bytes = listedBytes(img.names, node.GetImageStates()); img.bytes == 0 {
				continue
			}
			if !listedWith(known, img.names, node.Node().Status.Images) {
				known = append(known, img)
				total = addSaturated(total, img.bytes)
			}
			break
		}
	}
	return known, total
}

// listedWith reports whether a node lists one of the images and the names as the same image.
func listedWith(images []image, names []string, listed []corev1.ContainerImage) bool {
	if len(images) == 0 {
		return false
	}
	for i := range listed {
		if !intersect(names, listed[i].Names) {
			continue
		}
		return slices.ContainsFunc(images, func(img image) bool { return intersect(img.names, listed[i].Names) })
	}
	return false
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}

// heldBytes returns how many bytes of the images a node need not pull: at most the sum of the images' sizes.
func heldBytes(images []image, states imageStates) int64 {
	var held int64
	for i := range images {
		if listedBytes(images[i].names, states) > 0 {
			held = addSaturated(held, images[i].bytes)
		}
	}
	return held
}

// listedBytes returns the size under the first of the names that the node lists, or 0 if it lists none.
func listedBytes(names []string, states imageStates) int64 {
	for _, name := range names {
		if state, ok := states[name]; ok {
			return state.Size
		}
	}
	return 0
}

// listedNames remembers under which names nodes may list an image: parsing a reference is slow, and Pods of one
// workload have the same images.
type listedNames struct {
	cache *lru.Cache
}

// rememberedNames bounds the number of images whose names are remembered.
const rememberedNames = 1024

func newListedNames() *listedNames {
	return &listedNames{cache: lru.New(rememberedNames)}
}

// of returns the short name, as upstream looks it up, and the full name, as containerd lists it
// (docker.io/library/nginx:latest for nginx; of tag and digest only the digest). A name that is not a reference is
// looked up as it is.
func (l *listedNames) of(name string) []string {
	if names, ok := l.cache.Get(name); ok {
		return names.([]string)
	}
	names := []string{normalizedImageName(name)}
	if ref, err := reference.ParseDockerRef(name); err == nil && ref.String() != names[0] {
		names = append(names, ref.String())
	}
	l.cache.Add(name, names)
	return names
}

// normalizedImageName adds the tag that an image name implies. It mirrors the function of the same name in upstream's
// imagelocality.
func normalizedImageName(name string) string {
	if strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
		return name + ":latest"
	}
	return name
}

// addSaturated adds two sizes. Nodes can report any size, so the sum must not overflow.
func addSaturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
