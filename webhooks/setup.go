// SPDX-License-Identifier: Apache-2.0

// Package webhooks connects the decisions of mutation and validation to the
// API server's admission webhooks. The configurations that send requests here
// are in config/webhook.
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

// Options of the webhooks.
type Options struct {
	// SidecarImage is the image of the injected proxy. Required.
	SidecarImage string
	// SchedulerName is given to Pods that chose none. Required.
	SchedulerName string
	// Version is written into the Pods that are changed. Required.
	Version string
	// ExemptNamespaces are never touched, whatever their labels.
	ExemptNamespaces []string
	// Reader finds the TeachingReplicaSets that share a namespace; without it
	// nothing is said about overlapping selectors. SetupWithManager puts the
	// manager's cache here: it is asked within an admission request.
	Reader client.Reader
}

func (o Options) validate() error {
	var errs []error
	if o.SidecarImage == "" {
		errs = append(errs, errors.New("no sidecar image: give the image that holds the sample app's proxy"))
	}
	if o.SchedulerName == "" {
		errs = append(errs, errors.New("no scheduler name: give the name of a profile of the scheduler"))
	}
	if o.Version == "" {
		errs = append(errs, errors.New("no version: give the one that the Pods' annotation shall show"))
	}
	return errors.Join(errs...)
}

// SetupWithManager registers the webhooks with the manager's webhook server,
// which runs on every replica, leader or not.
func SetupWithManager(mgr ctrl.Manager, o Options) error {
	o.Reader = mgr.GetCache()
	// Not by the first request, which would have to wait for it.
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
