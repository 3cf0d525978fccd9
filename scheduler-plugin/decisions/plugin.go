// SPDX-License-Identifier: Apache-2.0

// Package decisions is the scheduler plugin DecisionRecorder: it lets the decisions of its profile be recorded, and
// it holds a Pod in Permit that asks for it.
//
// A plugin cannot see what other plugins say: the framework hands each of them its own question only. So the plugin
// is but the switch, the hold and the ear at the queue; who listens is in the package observe, which stands between the
// scheduler and its framework, and evaluate, which asks again what the scheduler did not ask.
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

// NamespaceLabelKey, with the value NamespaceLabelValue, on a namespace asks for recording its Pods' decisions.
const (
	NamespaceLabelKey   = "podtrail.dev/decisions"
	NamespaceLabelValue = "enabled"
)

// DecisionRecorder decides nothing but how long a Pod waits that asks to.
type DecisionRecorder struct {
	handle     fwk.Handle
	args       DecisionRecorderArgs
	namespaces corev1listers.NamespaceLister
	pods       corev1listers.PodLister
	// stopped is closed when the scheduler ends. The context that Permit gets does not outlive its cycle.
	stopped <-chan struct{}
	// enqueued is told of each Pod that the queue takes up; nil if nobody listens. It is set before the scheduler runs.
	enqueued func(*corev1.Pod)
}

var (
	_ fwk.PreEnqueuePlugin  = &DecisionRecorder{}
	_ fwk.PermitPlugin      = &DecisionRecorder{}
	_ fwk.EnqueueExtensions = &DecisionRecorder{}
	_ fwk.SignPlugin        = &DecisionRecorder{}
)

// New is the plugin's factory (runtime.PluginFactory). It fails if the arguments are not valid DecisionRecorderArgs;
// the scheduler then does not start. A hold ends with ctx, which is the scheduler's.
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

// Wants says whether the decisions on Pods of a namespace are to be recorded.
func (pl *DecisionRecorder) Wants(namespace string) bool {
	if pl.args.Record == RecordAll {
		return true
	}
	ns, err := pl.namespaces.Get(namespace)
	return err == nil && ns.Labels[NamespaceLabelKey] == NamespaceLabelValue
}

// OnEnqueue lets fn be called with each Pod that comes or comes back into the queue, under the queue's lock: fn must
// not call the queue and must be quick. It must be set before the scheduler runs.
func (pl *DecisionRecorder) OnEnqueue(fn func(*corev1.Pod)) {
	pl.enqueued = fn
}

// PreEnqueue lets every Pod pass. The queue calls it whenever it takes a Pod up, which no other extension point tells.
func (pl *DecisionRecorder) PreEnqueue(_ context.Context, pod *corev1.Pod) *fwk.Status {
	if pl.enqueued != nil {
		pl.enqueued(pod)
	}
	return nil
}

// EventsToRegister registers no event: the plugin rejects no Pod, so there is none to wake. Without this method the
// framework would register the plugin for every event there is.
func (pl *DecisionRecorder) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return nil, nil
}

// SignPod adds nothing to a Pod's signature: the plugin neither filters nor scores. A held Pod can share a batch with
// others, because Permit is asked for each Pod by itself.
func (pl *DecisionRecorder) SignPod(context.Context, *corev1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return nil, nil
}

// holdTimeout is how long a Pod is held at most.
func (pl *DecisionRecorder) holdTimeout() time.Duration {
	return time.Duration(*pl.args.HoldTimeoutSeconds) * time.Second
}
