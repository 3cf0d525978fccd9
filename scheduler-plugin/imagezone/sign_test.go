// SPDX-License-Identifier: Apache-2.0

package imagezone

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/imagelocality"
	st "k8s.io/kubernetes/pkg/scheduler/testing"
)

func TestSignPod(t *testing.T) {
	free := withImages(st.MakePod().Obj(), "nginx", "registry.example/app:v1", "nginx:latest")
	free.Spec.InitContainers = []corev1.Container{{Image: "busybox" + digest}}
	owned := withImages(ownedPod("new", "web", ""), "nginx")
	tests := map[string]struct {
		pod           *corev1.Pod
		args          string
		wantFragments []fwk.SignFragment
		wantRefused   bool
	}{
		"a Pod without siblings is signed by its distinct images": {
			pod: free,
			wantFragments: []fwk.SignFragment{
				{Key: fwk.ImageNamesSignerName, Value: []string{"busybox" + digest, "nginx:latest", "registry.example/app:v1"}},
				{Key: Name, Value: signature{VolumeImages: []string{}}},
			},
		},
		"a Pod whose siblings are counted is not": {
			pod:         owned,
			wantRefused: true,
		},
		"a Pod whose siblings are not counted is signed": {
			pod:  owned,
			args: `{"zoneWeight":0}`,
			wantFragments: []fwk.SignFragment{
				{Key: fwk.ImageNamesSignerName, Value: []string{"nginx:latest"}},
				{Key: Name, Value: signature{VolumeImages: []string{}}},
			},
		},
		"what the disk filter reads is signed, too": {
			pod: withVolume(makePod(7*mb, "nginx"), "registry.example/model:v1"),
			wantFragments: []fwk.SignFragment{
				{Key: fwk.ImageNamesSignerName, Value: []string{"nginx:latest", "registry.example/of-unknown-size:v1"}},
				{Key: Name, Value: signature{VolumeImages: []string{"registry.example/model:v1"}, Storage: 7 * mb}},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			pl, _ := cluster{}.plugin(t, tc.args)
			fragments, status := pl.SignPod(t.Context(), tc.pod)
			if refused := status.Code() == fwk.Unschedulable; refused != tc.wantRefused {
				t.Fatalf("Status %v, want refused: %t", status, tc.wantRefused)
			}
			if diff := cmp.Diff(tc.wantFragments, fragments); diff != "" {
				t.Errorf("Fragments (-want +got):\n%s", diff)
			}
		})
	}
}

// The framework keeps one fragment per key, so two plugins that use the same key must give it the same value.
func TestSignPodAgreesWithImageLocality(t *testing.T) {
	pod := withImages(st.MakePod().Obj(), "nginx", "registry.example/app:v1"+digest, "nginx:latest", "registry.example:5000/app")
	pod.Spec.InitContainers = []corev1.Container{{Image: "busybox"}}
	pl, _ := cluster{}.plugin(t, "")
	upstream, err := imagelocality.New(t.Context(), nil, pl.handle)
	if err != nil {
		t.Fatalf("Building ImageLocality: %v", err)
	}

	wantFragments, _ := upstream.(fwk.SignPlugin).SignPod(t.Context(), pod)
	fragments, _ := pl.SignPod(t.Context(), pod)

	if diff := cmp.Diff(wantFragments, fragments[:1]); diff != "" {
		t.Errorf("Fragments (-ImageLocality +ImageZone):\n%s", diff)
	}
}
