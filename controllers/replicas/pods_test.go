// SPDX-License-Identifier: Apache-2.0

package replicas

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"podtrail.dev/podtrail/test/wrappers"
)

func TestNewPod(t *testing.T) {
	owner := wrappers.MakeTeachingReplicaSet("ns", "web").UID("uid").
		TemplateAnnotation("note", "kept").TemplateFinalizer("example.com/kept").Obj()
	kept := owner.DeepCopy()
	got, err := NewPod(owner, "web-bcdfg")
	if err != nil {
		t.Fatalf("NewPod: %v", err)
	}
	want := wrappers.MakePod("ns", "web-bcdfg").Of(owner).Annotation("note", "kept").Finalizer("example.com/kept").Obj()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Pod differs (-want +got):\n%s", diff)
	}
	got.Labels["app"], got.Annotations["note"], got.Spec.Containers[0].Name = "x", "x", "x"
	if diff := cmp.Diff(kept, owner); diff != "" {
		t.Errorf("The Pod shares data with the template:\n%s", diff)
	}
}

func TestNewPodWithoutLabels(t *testing.T) {
	owner := wrappers.MakeTeachingReplicaSet("ns", "web").TemplateLabels(nil).Obj()
	if _, err := NewPod(owner, "web-bcdfg"); !errors.Is(err, errNoLabels) {
		t.Errorf("Got error %v, want %v", err, errNoLabels)
	}
}
