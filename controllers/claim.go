// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/controllers/tracing"
)

// claimPods adopts the Pods in claims.Adopt and releases those in claims.Release. It returns the active Pods, the
// adopted ones included. Mirrors ClaimPods in controller_ref_manager.go.
func (r *Reconciler) claimPods(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, claims *replicas.Claims) ([]*corev1.Pod, error) {
	active := slices.Clone(claims.Active)
	// The owner is read from the API server once, before the first adoption: the cache may not show yet that it is being
	// deleted, and then the garbage collector may already have passed the orphan.
	canAdopt := sync.OnceValue(func() error { return r.recheckDeletionTimestamp(ctx, owner) })
	var errs []error
	for _, pod := range claims.Adopt {
		adopted, err := r.adoptPod(ctx, owner, pod, canAdopt)
		if err != nil {
			errs = append(errs, err)
		}
		if adopted {
			active = append(active, pod)
		}
	}
	for _, pod := range claims.Release {
		if err := r.releasePod(ctx, owner, pod); err != nil {
			errs = append(errs, err)
		}
	}
	return active, errors.Join(errs...)
}

// recheckDeletionTimestamp returns an error unless the API server still has owner and it is not being deleted. Mirrors
// RecheckDeletionTimestamp in controller_ref_manager.go.
func (r *Reconciler) recheckDeletionTimestamp(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet) error {
	fresh := &podtrailv1alpha1.TeachingReplicaSet{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(owner), fresh); err != nil {
		return fmt.Errorf("rechecking the owner before an adoption: %w", err)
	}
	if fresh.UID != owner.UID {
		return fmt.Errorf("the owner is gone: its name now belongs to UID %s, not to %s", fresh.UID, owner.UID)
	}
	if fresh.DeletionTimestamp != nil {
		return fmt.Errorf("the owner was deleted at %s", fresh.DeletionTimestamp)
	}
	return nil
}

// adoptPod makes owner the controller of an orphan. It returns false and no error if the Pod is gone. Mirrors AdoptPod
// in controller_ref_manager.go.
func (r *Reconciler) adoptPod(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod, canAdopt func() error) (bool, error) {
	if err := canAdopt(); err != nil {
		return false, fmt.Errorf("adopting Pod %s: %w", pod.Name, err)
	}
	err := r.patchPod(ctx, owner, pod, []any{replicas.ControllerRef(owner)})
	if apierrors.IsNotFound(err) {
		podWrites.WithLabelValues(writeAdopt, writeRepeated).Inc()
		return false, nil
	}
	if err != nil {
		podWrites.WithLabelValues(writeAdopt, writeFailed).Inc()
		return false, fmt.Errorf("adopting Pod %s: %w", pod.Name, err)
	}
	podWrites.WithLabelValues(writeAdopt, writeDone).Inc()
	return true, nil
}

// releasePod removes owner's reference from a Pod that owner no longer selects. A Pod that is gone, or whose UID or
// references have changed since (the API server answers Invalid), needs no release. Mirrors ReleasePod in
// controller_ref_manager.go.
func (r *Reconciler) releasePod(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod) error {
	ctrl.LoggerFrom(ctx).V(2).Info("Patching pod to remove its controllerRef", "pod", klog.KObj(pod))
	err := r.patchPod(ctx, owner, pod, []any{map[string]any{"$patch": "delete", "uid": owner.UID}})
	switch {
	case err == nil:
		podWrites.WithLabelValues(writeRelease, writeDone).Inc()
		return nil
	case apierrors.IsNotFound(err) || apierrors.IsInvalid(err):
		podWrites.WithLabelValues(writeRelease, writeRepeated).Inc()
		return nil
	}
	podWrites.WithLabelValues(writeRelease, writeFailed).Inc()
	return fmt.Errorf("releasing Pod %s: %w", pod.Name, err)
}

// patchPod sends a strategic merge patch of the ownerReferences. It includes the Pod's UID, so the API server refuses
// it for another Pod with the same name.
func (r *Reconciler) patchPod(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod, references []any) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "ownerReferences": references},
	})
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	ctx = tracing.AboutPod(ctx, pod.Name)
	patched := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	err = r.client.Patch(ctx, patched, client.RawPatch(types.StrategicMergePatchType, patch), fieldOwner)
	if err == nil {
		r.expectations.Wrote(identity(owner), resourcePods, patched.ResourceVersion)
	}
	return err
}
