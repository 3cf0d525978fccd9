// SPDX-License-Identifier: Apache-2.0

// Package decisions is the scheduler plugin DecisionRecorder: it enables recording the decisions of its profile, and it
// holds Pods in Permit that ask to be held.
//
// A plugin cannot see the answers of other plugins. So the plugin itself only enables recording, holds Pods and listens
// to the queue. Package observe does the recording: it wraps the scheduler's framework. Package evaluate asks the
// plugins what the scheduler did not ask them.
package decisions

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1listers "k8s.io/client-go/listers/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name is the plugin's name in the registry and in KubeSchedulerConfiguration.
const Name = "DecisionRecorder"

// DecisionRecorder makes no scheduling decision. It only delays Pods that ask to be held.
type DecisionRecorder struct {
	handle     fwk.Handle
	args       DecisionRecorderArgs
	namespaces corev1listers.NamespaceLister
	pods       corev1listers.PodLister
	// stopped is closed when the scheduler ends. The context that Permit gets does not outlive its cycle.
	stopped <-chan struct{}
	// onEnqueue is called with each Pod that enters the queue. It may be nil, and is set before the scheduler runs.
	onEnqueue func(*corev1.Pod)
}

var (
	_ fwk.PreEnqueuePlugin  = &DecisionRecorder{}
	_ fwk.PermitPlugin      = &DecisionRecorder{}
	_ fwk.EnqueueExtensions = &DecisionRecorder{}
	_ fwk.SignPlugin        = &DecisionRecorder{}
)

// New is the plugin's factory (runtime.PluginFactory). It fails if the arguments are not valid DecisionRecorderArgs, so
// that the scheduler does not start. ctx is the scheduler's: when it ends, nothing looks after held Pods any more.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args, err := decodeArgs(obj)
	if err != nil {
		return nil, fmt.Errorf("configuring profile %q: %w", handle.ProfileName(), err)
	}
	informers := handle.SharedInformerFactory()
	if informers == nil {
		return nil, errors.New("the framework handle has no informers")
	}
	return &DecisionRecorder{
		handle: handle, args: *args,
		namespaces: informers.Core().V1().Namespaces().Lister(),
		pods:       informers.Core().V1().Pods().Lister(),
		stopped:    ctx.Done(),
	}, nil
}

// Name returns the plugin's name.
func (pl *DecisionRecorder) Name() string {
	return Name
}

// Wants reports whether the decisions about Pods of a namespace are to be recorded.
func (pl *DecisionRecorder) Wants(namespace string) bool {
	if pl.args.Record == RecordAll {
		return true
	}
	ns, err := pl.namespaces.Get(namespace)
	return err == nil && ns.Labels[NamespaceLabelKey] == NamespaceLabelValue
}

// OnEnqueue makes the plugin call fn with each Pod that enters or re-enters the queue, under the queue's lock: fn must
// not call the queue and must be quick. It must be called before the scheduler runs.
func (pl *DecisionRecorder) OnEnqueue(fn func(*corev1.Pod)) {
	pl.onEnqueue = fn
}

// PreEnqueue lets every Pod pass. It is the only extension point that is called whenever a Pod enters the queue.
func (pl *DecisionRecorder) PreEnqueue(_ context.Context, pod *corev1.Pod) *fwk.Status {
	if pl.onEnqueue != nil {
		pl.onEnqueue(pod)
	}
	return nil
}

// EventsToRegister registers no event: the plugin rejects no Pod, so it has none to wake. Without this method the
// framework would register the plugin for every event.
func (pl *DecisionRecorder) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return nil, nil
}

// SignPod adds nothing to a Pod's signature: the plugin neither filters nor scores. A held Pod can share a batch with
// others, because Permit is asked for each Pod by itself.
func (pl *DecisionRecorder) SignPod(context.Context, *corev1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return nil, nil
}

// holdTimeout returns how long a Pod is held at most.
func (pl *DecisionRecorder) holdTimeout() time.Duration {
	return time.Duration(*pl.args.HoldTimeoutSeconds) * time.Second
}
