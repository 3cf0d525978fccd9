// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

// TestPodWrites checks that each way in which a write to a Pod ends is counted under its name.
func TestPodWrites(t *testing.T) {
	owner := makeOwner("web").Replicas(2).Obj()
	orphan := wrappers.MakePod("ns", "orphan").Label("app", "web").Obj()
	former := wrappers.MakePod("ns", "former").Of(owner).Label("app", "x").Obj()
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "x")
	tests := map[string]struct {
		objs   []client.Object
		answer error
		want   map[string]float64
	}{
		"all goes well": {
			objs: []client.Object{orphan, former},
			want: map[string]float64{"adopt done": 1, "release done": 1, "create done": 1},
		},
		"claims refused": {
			objs: []client.Object{orphan, former}, answer: errFake,
			want: map[string]float64{"adopt failed": 1, "release failed": 1},
		},
		"Pods to claim gone": {
			objs: []client.Object{orphan, former}, answer: gone,
			want: map[string]float64{"adopt repeated": 1, "release repeated": 1, "create failed": 1},
		},
		"too many": {objs: runningPods(owner, "a", "b", "c"), want: map[string]float64{"delete done": 1}},
		"too many, gone": {
			objs: runningPods(owner, "a", "b", "c"), answer: gone, want: map[string]float64{"delete repeated": 1},
		},
		"too many, refused": {
			objs: runningPods(owner, "a", "b", "c"), answer: errFake, want: map[string]float64{"delete failed": 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, append(tc.objs, owner)...)
			h.before = func(call string) error {
				if strings.HasPrefix(call, "status") {
					return nil
				}
				return tc.answer
			}
			podWrites.Reset()
			// What it returns is other tests' matter.
			_, _ = h.reconcile(t, owner)
			if diff := cmp.Diff(tc.want, counted()); diff != "" {
				t.Errorf("Writes counted differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRepeatedCreation checks that a creation which finds its Pod is counted as repeated.
func TestRepeatedCreation(t *testing.T) {
	owner := makeOwner("web").Obj()
	h := newHarness(t, owner)
	pod := wrappers.MakePod("ns", replicas.SlotName("web", owner.UID, 0)).Of(owner).Obj()
	if err := h.server.Create(t.Context(), pod); err != nil {
		t.Fatalf("Making the Pod: %v", err)
	}
	podWrites.Reset()
	if _, err := h.reconcile(t, owner); err != nil {
		t.Fatalf("Reconcile: %v", err)
	}
	if diff := cmp.Diff(map[string]float64{"create repeated": 1}, counted()); diff != "" {
		t.Errorf("Writes counted differ (-want +got):\n%s", diff)
	}
}

// counted returns the counters that are not 0.
func counted() map[string]float64 {
	got := map[string]float64{}
	for _, action := range []string{writeCreate, writeDelete, writeAdopt, writeRelease} {
		for _, result := range []string{writeDone, writeRepeated, writeFailed} {
			if n := testutil.ToFloat64(podWrites.WithLabelValues(action, result)); n != 0 {
				got[action+" "+result] = n
			}
		}
	}
	return got
}
