// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/manifests"
	"podtrail.dev/podtrail/test/upstream/bench/workload"
)

// The ways to admit a Pod that are compared: what config/webhook or config/policy has of one kind, or of both.
const (
	none = "none"

	mutatingWebhook   = "mutating webhook"
	validatingWebhook = "validating webhook"
	bothWebhooks      = "both webhooks"

	// The least that a webhook can cost: see empty.go.
	emptyMutating   = "empty mutating webhook"
	emptyValidating = "empty validating webhook"

	mutatingPolicy   = "mutating policies (CEL)"
	validatingPolicy = "validating policies (CEL)"
	bothPolicies     = "all policies (CEL)"
)

var sides = []string{
	none, mutatingWebhook, emptyMutating, mutatingPolicy, validatingWebhook, emptyValidating, validatingPolicy, bothWebhooks, bothPolicies,
}

// wanted tells which objects a side needs: by the start of their kind, such as MutatingWebhook.
func wanted(side string) []string {
	switch side {
	case mutatingWebhook:
		return []string{"MutatingWebhook"}
	case validatingWebhook:
		return []string{"ValidatingWebhook"}
	case bothWebhooks:
		return []string{"MutatingWebhook", "ValidatingWebhook"}
	case mutatingPolicy:
		return []string{"MutatingAdmissionPolicy"}
	case validatingPolicy:
		return []string{"ValidatingAdmissionPolicy"}
	case bothPolicies:
		return []string{"MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"}
	default:
		return nil
	}
}

// mutates and validates tell what a side does with a Pod.
func mutates(side string) bool {
	return slices.ContainsFunc(wanted(side), func(kind string) bool { return strings.HasPrefix(kind, "Mutating") })
}

func validates(side string) bool {
	return slices.ContainsFunc(wanted(side), func(kind string) bool { return strings.HasPrefix(kind, "Validating") })
}

// switchTimeout bounds how long the API server may take to do what it is configured to.
const switchTimeout = 2 * time.Minute

// switchboard configures the API server's admission for one side after the other.
type switchboard struct {
	client    client.Client
	namespace string
	// objects are the webhook configurations and the policies with their bindings.
	objects []*unstructured.Unstructured
	empty   *emptyWebhook
}

// newSwitchboard installs what all sides share, the Service and the policies' parameters, and reads the rest.
func newSwitchboard(ctx context.Context, c client.Client, config string, webhookPort int) (*switchboard, error) {
	s := &switchboard{client: c, namespace: "bench-admission", empty: startEmptyWebhook()}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: s.namespace, Labels: map[string]string{podtrailv1alpha1.AdmissionLabelKey: podtrailv1alpha1.AdmissionEnabled},
	}}
	if err := c.Create(ctx, namespace); err != nil {
		return nil, fmt.Errorf("creating the namespace: %w", err)
	}
	for _, folder := range []string{"webhook", "policy"} {
		all, err := manifests.Read(filepath.Join(config, folder, "*.yaml"))
		if err != nil {
			return nil, err
		}
		for _, obj := range all {
			if err := manifests.Redirect(obj, int64(webhookPort)); err != nil {
				return nil, err
			}
			if strings.Contains(obj.GetAPIVersion(), "admissionregistration.k8s.io/") {
				s.objects = append(s.objects, obj)
			} else if err := c.Create(ctx, obj); err != nil && !apierrors.IsAlreadyExists(err) {
				return nil, fmt.Errorf("creating %s %s: %w", obj.GetKind(), obj.GetName(), err)
			}
		}
	}
	return s, nil
}

// turnTo makes the API server admit Pods as the side does, and returns when it does so.
func (s *switchboard) turnTo(ctx context.Context, side string) error {
	for _, obj := range s.objects {
		isWanted := slices.ContainsFunc(wanted(side), func(kind string) bool { return strings.HasPrefix(obj.GetKind(), kind) })
		if err := s.put(ctx, obj, isWanted); err != nil {
			return fmt.Errorf("turning to %s: %w", side, err)
		}
	}
	for _, of := range []string{emptyMutating, emptyValidating} {
		if err := s.putEmpty(ctx, of, of == side); err != nil {
			return fmt.Errorf("turning to %s: %w", side, err)
		}
	}
	var last error
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, switchTimeout, true, func(ctx context.Context) (bool, error) {
		last = s.behavesLike(ctx, side)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("turning to %s: %w; last: %w", side, err, last)
	}
	return nil
}

// put creates or deletes an object. A webhook configuration stays, without webhooks, because the manager looks after
// it.
func (s *switchboard) put(ctx context.Context, obj *unstructured.Unstructured, isWanted bool) error {
	if !strings.HasSuffix(obj.GetKind(), "WebhookConfiguration") {
		if isWanted {
			return ignoring(apierrors.IsAlreadyExists, s.client.Create(ctx, obj.DeepCopy()))
		}
		return client.IgnoreNotFound(s.client.Delete(ctx, obj.DeepCopy()))
	}
	change := obj.DeepCopy()
	if !isWanted {
		change.Object["webhooks"] = []any{}
	}
	change.SetResourceVersion("")
	// By merge patch a list is replaced, without a conflict with the manager, which writes the CA.
	return s.client.Patch(ctx, change, client.Merge)
}

func ignoring(is func(error) bool, err error) error {
	if is(err) {
		return nil
	}
	return err
}

// behavesLike tries a Pod that a validating side refuses, and one that a mutating side changes.
func (s *switchboard) behavesLike(ctx context.Context, side string) error {
	unlimited := s.pod()
	unlimited.Spec.Containers[0].Resources.Limits = nil
	err := s.client.Create(ctx, unlimited, client.DryRunAll)
	if refused := apierrors.IsForbidden(err) || apierrors.IsInvalid(err); refused != validates(side) || err != nil && !refused {
		return fmt.Errorf("a Pod without a limit is refused: %v (%w)", refused, err)
	}
	good, calls := s.pod(), s.empty.calls.Load()
	if err := s.client.Create(ctx, good, client.DryRunAll); err != nil {
		return err
	}
	if called := s.empty.calls.Load() > calls; called != (side == emptyMutating || side == emptyValidating) {
		return fmt.Errorf("the empty webhook is called: %v", called)
	}
	if changed := len(good.Spec.InitContainers) > 0; changed != mutates(side) {
		return fmt.Errorf("a Pod is given the sidecar: %v", changed)
	}
	return nil
}

// pod passes all checks and is given the sidecar.
func (s *switchboard) pod() *corev1.Pod {
	template := workload.PodTemplate("admitted")
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.GenerateName = s.namespace, "admitted-"
	return pod
}
