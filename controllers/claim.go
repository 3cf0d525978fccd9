// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/records"
	"podtrail.dev/podtrail/controllers/replicas"
)

// carryOutClaims adopts and releases what was judged so, and returns the Pods that count from now on. Mirrors
// ClaimPods in controller_ref_manager.go.
func (r *Reconciler) carryOutClaims(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, claims replicas.Claims) ([]*corev1.Pod, error) {
	active := append([]*corev1.Pod(nil), claims[replicas.Counted]...)
	// Before the first adoption the owner is read from the API server once: the cache may not know yet that it is
	// being deleted, and then the garbage collector may already have passed the orphan.
	mayAdopt := sync.OnceValue(func() error { return r.recheckOwner(ctx, owner) })
	var errs []error
	for _, pod := range claims[replicas.Adopt] {
		adopted, err := r.adopt(ctx, owner, pod, mayAdopt)
		if err != nil {
			errs = append(errs, err)
		}
		if adopted {
			active = append(active, pod)
		}
	}
	for _, pod := range claims[replicas.Release] {
		if err := r.release(ctx, owner, pod); err != nil {
			errs = append(errs, err)
		}
	}
	return active, errors.Join(errs...)
}

// recheckOwner returns an error unless the API server still has owner and nobody has asked for its deletion.
func (r *Reconciler) recheckOwner(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet) error {
	fresh := &podtrailv1alpha1.TeachingReplicaSet{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(owner), fresh); err != nil {
		return fmt.Errorf("rechecking the owner before an adoption: %w", err)
	}
	if fresh.UID != owner.UID {
		return fmt.Errorf("the owner is gone: its name belongs to UID %s now, not to %s", fresh.UID, owner.UID)
	}
	if fresh.DeletionTimestamp != nil {
		return fmt.Errorf("the owner has been deleted at %s", fresh.DeletionTimestamp)
	}
	return nil
}

// adopt makes owner the controller of an orphan. It reports false without an error if the Pod is gone.
func (r *Reconciler) adopt(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod, mayAdopt func() error) (bool, error) {
	if err := mayAdopt(); err != nil {
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

// release removes owner's reference from a Pod that it no longer selects. A Pod that is gone, or whose UID or
// references have changed since (the API server answers Invalid), needs no release.
func (r *Reconciler) release(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod) error {
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

// patchPod sends a strategic merge of the ownerReferences. The Pod's UID is part of it, so that the API server
// refuses it for another Pod of the same name.
func (r *Reconciler) patchPod(ctx context.Context, owner *podtrailv1alpha1.TeachingReplicaSet, pod *corev1.Pod, references []any) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "ownerReferences": references},
	})
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	ctx = records.AboutPod(ctx, pod.Name)
	patched := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	err = r.client.Patch(ctx, patched, client.RawPatch(types.StrategicMergePatchType, patch), fieldOwner)
	if err == nil {
		r.expectations.Wrote(identity(owner), resourcePods, patched.ResourceVersion)
	}
	return err
}
