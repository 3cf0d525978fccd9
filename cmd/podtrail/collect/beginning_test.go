// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestBeginning(t *testing.T) {
	minute := func(n int) time.Time { return time.Date(2026, 5, 4, 10, n, 0, 0, time.UTC) }
	object := func(kind, name string, created int, owners ...string) metav1.PartialObjectMetadata {
		o := metav1.PartialObjectMetadata{}
		o.Kind, o.Name, o.UID, o.CreationTimestamp = kind, name, types.UID(kind+"/"+name), metav1.NewTime(minute(created))
		for _, owner := range owners {
			o.OwnerReferences = append(o.OwnerReferences, metav1.OwnerReference{UID: types.UID(owner)})
		}
		return o
	}
	deployment := []metav1.PartialObjectMetadata{
		object("Deployment", "web", 10),
		object("ReplicaSet", "web-1", 11, "Deployment/web"),
		object("ReplicaSet", "web-2", 30, "Deployment/web"),
		object("Pod", "web-2-a", 31, "ReplicaSet/web-2"),
		object("Pod", "other", 5),
	}
	tests := map[string]struct {
		live       []metav1.PartialObjectMetadata
		kind, name string
		want       time.Time
	}{
		"of a Pod, its oldest owner's":                  {deployment, "Pod", "web-2-a", minute(10)},
		"of a Deployment, its own":                      {deployment, "Deployment", "web", minute(10)},
		"of a Pod of nobody, its own":                   {deployment, "Pod", "other", minute(5)},
		"of an owner that adopted an older Pod, Pod's":  {[]metav1.PartialObjectMetadata{object("TeachingReplicaSet", "web", 20), object("Pod", "orphan", 3, "TeachingReplicaSet/web")}, "TeachingReplicaSet", "web", minute(3)},
		"always, if it does not live":                   {deployment, "Pod", "gone", time.Time{}},
		"always, if the name is that of another kind":   {deployment, "Pod", "web", time.Time{}},
		"always, if an owner is not among what is read": {[]metav1.PartialObjectMetadata{object("Pod", "job-a", 9, "Job/job")}, "Pod", "job-a", time.Time{}},
		"also where owners go round in a circle":        {[]metav1.PartialObjectMetadata{object("Pod", "a", 9, "Pod/b"), object("Pod", "b", 8, "Pod/a")}, "Pod", "a", minute(8)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			want := tc.want
			if !want.IsZero() {
				want = want.Add(-beforeBeginning)
			}
			if got := beginning(tc.live, tc.kind, tc.name); !got.Equal(want) {
				t.Errorf("beginning %v, want %v", got, want)
			}
		})
	}
}
