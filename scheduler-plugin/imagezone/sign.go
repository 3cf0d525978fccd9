// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// signature is what the plugin's answers depend on besides the images of containers. Its fields are exported because
// fragments are encoded as JSON.
type signature struct {
	VolumeImages []string `json:"volumeImages,omitempty"`
	Storage      int64    `json:"storage"`
}

// SignPod signs a Pod by what Filter and Score read from it: the images of its containers, under the key and with the
// value that upstream's ImageLocality uses, so that both plugins share one fragment; and under the plugin's own key the
// images of volumes and the ephemeral-storage that the Pod requests. Two image names with the same signature are looked
// up under the same names, see listedNames.
//
// A Pod whose siblings are counted is not signed: its score on every node of a zone changes with each sibling that is
// placed there, so the scores of the Pod before it must not be reused (KEP-5598).
func (pl *ImageZone) SignPod(_ context.Context, pod *corev1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	if pl.weights.zone > 0 && metav1.GetControllerOfNoCopy(pod) != nil {
		return nil, fwk.NewStatus(fwk.Unschedulable, "the zone score depends on where the Pod's siblings are")
	}
	return []fwk.SignFragment{
		{Key: fwk.ImageNamesSignerName, Value: sets.List(containerImages(pod))},
		{Key: Name, Value: signature{VolumeImages: sets.List(volumeImages(pod)), Storage: requestedStorage(pod)}},
	}, nil
}
