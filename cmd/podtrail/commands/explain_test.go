// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

func TestExplain(t *testing.T) {
	make3 := func() *wrappers.TeachingReplicaSetWrapper {
		return wrappers.MakeTeachingReplicaSet("demo", "web").UID("web-uid").Replicas(3)
	}
	owner := make3().Obj()
	pod := func(name string) *wrappers.PodWrapper { return wrappers.MakePod("demo", name).UID(name).Of(owner) }
	slot := func(i int) string { return replicas.SlotName("web", "web-uid", i) }
	tests := map[string]struct {
		owner *podtrailv1alpha1.TeachingReplicaSet
		pods  []*corev1.Pod
		want  string
	}{
		"no Pods yet": {
			owner: owner,
			want: `demo/web wants 3 and has 0.
It creates 3: ` + strings.Join([]string{slot(0), slot(1), slot(2)}, ", ") + `.
`,
		},
		"one too many, among others": {
			owner: owner,
			pods: []*corev1.Pod{
				pod("ready").Node("n").Ready(time.Now().Add(-time.Hour)).Obj(),
				pod("waiting").Obj(),
				pod("starting").Node("n").Phase(corev1.PodPending).Obj(),
				wrappers.MakePod("demo", "orphan").UID("o").Label("app", "web").Node("n").Phase(corev1.PodRunning).Obj(),
				pod("moved").Label("app", "x").Obj(),
				pod("failed").Phase(corev1.PodFailed).Obj(),
				wrappers.MakePod("demo", "another").ControlledBy("apps/v1", "ReplicaSet", "web", "rs").Label("app", "web").Obj(),
			},
			want: `demo/web wants 3 and has 4.
It deletes 1: waiting.

POD        VERDICT    GOES   BEFORE THE NEXT BECAUSE
waiting    Active     now    not assigned to a node
starting   Active     no     earlier phase (Pending, Unknown, Running)
orphan     Adopt      no     not ready
ready      Active     no     -
failed     Finished   -      -
moved      Release    -      -
`,
		},
		"paused": {
			owner: make3().Paused().Obj(),
			pods:  []*corev1.Pod{pod("one").Obj()},
			want: `demo/web wants 3 and has 1.
It does nothing: spec.paused is set.

POD   VERDICT   GOES   BEFORE THE NEXT BECAUSE
one   Active    no     -
`,
		},
		"as it should be": {
			owner: make3().Replicas(0).Obj(),
			want: `demo/web wants 0 and has 0.
There is nothing to do.
`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, podtrailv1alpha1.AddToScheme} {
				if err := add(scheme); err != nil {
					t.Fatalf("Building the scheme: %v", err)
				}
			}
			objs := []client.Object{tc.owner}
			for _, pod := range tc.pods {
				objs = append(objs, pod)
			}
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).Build()
			seen, err := observe(t.Context(), c, "demo", "web")
			if err != nil {
				t.Fatalf("observe: %v", err)
			}
			var out strings.Builder
			if err := printExplanation(&out, seen); err != nil {
				t.Fatalf("printExplanation: %v", err)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("Output differs (-want +got):\n%s", diff)
			}
		})
	}
}
