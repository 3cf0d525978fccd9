// SPDX-License-Identifier: Apache-2.0

// Package webhooks serves the decisions of packages mutation and validation as admission webhooks. The configurations
// that send requests here are in config/webhook.
package webhooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/mutation"
)

// The paths that config/webhook names.
const (
	PodDefaultPath                 = "/default-pod"
	PodValidatePath                = "/validate-pod"
	TeachingReplicaSetDefaultPath  = "/default-teachingreplicaset"
	TeachingReplicaSetValidatePath = "/validate-teachingreplicaset"
)

// Options configure the webhooks.
type Options struct {
	// SidecarImage is the image of the injected proxy. Required.
	SidecarImage string
	// SchedulerName is set in Pods that did not choose a scheduler. Required.
	SchedulerName string
	// Version is written into the Pods that the webhook changes. Required.
	Version string
	// ExemptNamespaces are never touched, whatever their labels.
	ExemptNamespaces []string
	// Reader lists the TeachingReplicaSets of a namespace. Without it there are no warnings about overlapping selectors.
	// SetupWithManager ignores it and uses the manager's cache, because it is read during an admission request.
	Reader client.Reader
}

func (o Options) validate() error {
	var errs []error
	if o.SidecarImage == "" {
		errs = append(errs, errors.New("no sidecar image: set the image that contains the sample app's proxy"))
	}
	if o.SchedulerName == "" {
		errs = append(errs, errors.New("no scheduler name: set the name of a scheduler profile"))
	}
	if o.Version == "" {
		errs = append(errs, errors.New("no version: set the one to write into the Pods' annotation"))
	}
	return errors.Join(errs...)
}

// SetupWithManager registers the webhooks with the manager's webhook server, which runs on every replica, leader or
// not.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	o.Reader = mgr.GetCache()
	// If the first request started the informer, it would have to wait until the cache is filled.
	if _, err := mgr.GetCache().GetInformer(context.Background(), &podtrailv1alpha1.TeachingReplicaSet{}, cache.BlockUntilSynced(false)); err != nil {
		return fmt.Errorf("getting the informer of TeachingReplicaSets: %w", err)
	}
	handlers, err := Handlers(o)
	if err != nil {
		return err
	}
	for path, handler := range handlers {
		mgr.GetWebhookServer().Register(path, handler)
	}
	return nil
}

// Handlers returns the HTTP handler of each path.
func Handlers(o Options) (map[string]http.Handler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	exempt := exemptNamespaces(o.ExemptNamespaces)
	config := mutation.Config{SidecarImage: o.SidecarImage, SchedulerName: o.SchedulerName, Version: o.Version}
	handlers := map[string]http.Handler{}
	for path, h := range map[string]admission.Handler{
		PodDefaultPath:                 podDefaulter{config: config, exempt: exempt},
		PodValidatePath:                podValidator{exempt: exempt},
		TeachingReplicaSetDefaultPath:  teachingReplicaSetDefaulter{},
		TeachingReplicaSetValidatePath: teachingReplicaSetValidator{reader: o.Reader},
	} {
		handlers[path] = guard(&admission.Webhook{Handler: h}, readTimeout)
	}
	return handlers, nil
}
