// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/test/faults"
	"podtrail.dev/podtrail/test/wrappers"
)

// outcome is what a controller did that can be seen from outside. Names of Pods that it made itself do not count,
// because the two controllers name them differently.
type outcome struct {
	// Calls counts the writes by verb and resource, without those of the status.
	Calls map[string]int
	// Left holds the names of the Pods that it chose to keep when it was scaled down, of those that the test made.
	Left []string
	// Released is the name of the Pod that it let go.
	Released string
	Status   faults.Status
}

// TestDifferential has Kubernetes' ReplicaSet controller and ours adopt the same Pods, scale down among Pods that every
// rule of the order of deletion tells apart, release, heal and scale up, and compares what they did.
func TestDifferential(t *testing.T) {
	scheme := newScheme(t)
	silence(t)
	cfg, c := startControlPlane(t, scheme)
	want := play(t, upstream{}, cfg, c)
	got := play(t, faults.Ours{Scheme: scheme}, cfg, c)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("We differ from upstream (-upstream +ours):\n%s", diff)
	}
	if len(want.Left) != 4 || want.Calls["patch pods"] != len(rankedPods())+1 || want.Calls["delete pods"] != 6 {
		t.Errorf("The scenario did not do what it is for: %+v", want)
	}
}

// rankedPods returns Pods in the order in which they should go: each differs from the next in one rule. Their times
// are far apart, so that no tie is broken by the UID.
func rankedPods() []*corev1.Pod {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	pod := func(name string) *wrappers.PodWrapper {
		return wrappers.MakePod("", name).Label("app", "web")
	}
	return []*corev1.Pod{
		pod("unassigned").Phase(corev1.PodPending).Obj(),
		pod("pending").Node("a").Phase(corev1.PodPending).Obj(),
		pod("not-ready-restarting").Node("b").Phase(corev1.PodRunning).Restarts("app", 9).Obj(),
		pod("not-ready").Node("c").Phase(corev1.PodRunning).Obj(),
		pod("cheap").Node("d").Ready(ago(1000*time.Hour)).Annotation(corev1.PodDeletionCost, "-10").Obj(),
		pod("ready-lately").Node("e").Ready(ago(time.Minute)).Obj(),
		pod("ready-for-an-hour").Node("f").Ready(ago(time.Hour)).Obj(),
		pod("ready-for-a-day").Node("g").Ready(ago(24 * time.Hour)).Obj(),
		pod("ready-for-long").Node("h").Ready(ago(1000 * time.Hour)).Obj(),
		pod("dear").Node("i").Ready(ago(time.Minute)).Annotation(corev1.PodDeletionCost, "10").Obj(),
	}
}

func play(t *testing.T, subject faults.Subject, cfg *rest.Config, c client.WithWatch) outcome {
	t.Helper()
	namespace, err := newNamespace(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, subject: subject, client: c, namespace: namespace}
	for _, pod := range rankedPods() {
		p.makePod(pod)
	}
	proxy, stop := p.start(cfg)
	defer stop()

	p.owner = subject.MakeOwner(namespace, 10, "")
	p.do("making the owner", c.Create(t.Context(), p.owner))
	p.await(10)
	p.scale(4)
	p.await(4)
	result := outcome{Left: p.names(), Calls: map[string]int{}}

	result.Released = result.Left[0]
	p.patchPod(result.Released, `{"metadata":{"labels":{"app":"gone"}}}`)
	p.await(4)
	p.fail(result.Left[1])
	p.await(4)
	p.scale(7)
	p.await(7)
	result.Status = subject.Status(p.owner)
	for _, call := range proxy.Writes() {
		if call.Resource != "owners/status" {
			result.Calls[call.Verb+" "+call.Resource]++
		}
	}
	return result
}

// player carries the scenario out for one controller.
type player struct {
	t         *testing.T
	subject   faults.Subject
	client    client.WithWatch
	namespace string
	owner     client.Object
}

func (p *player) do(what string, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s: %s: %v", p.subject.Name(), what, err)
	}
}

// start runs the controller through a proxy that notes what it writes.
func (p *player) start(cfg *rest.Config) (*faults.Proxy, func()) {
	proxy, err := faults.NewProxy(cfg)
	p.do("starting the proxy", err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.subject.Run(ctx, proxy.Config(), p.namespace, func(func() int) {}); err != nil && ctx.Err() == nil {
			p.t.Errorf("%s ended: %v", p.subject.Name(), err)
		}
	})
	return proxy, func() {
		cancel()
		running.Wait()
		proxy.Close()
	}
}

// makePod makes a Pod with its status.
func (p *player) makePod(pod *corev1.Pod) {
	status := pod.Status
	pod.Namespace = p.namespace
	p.do("making a Pod", p.client.Create(p.t.Context(), pod))
	pod.Status = status
	p.do("writing a Pod's status", p.client.Status().Update(p.t.Context(), pod))
}

func (p *player) patchPod(name, patch string) {
	pod := wrappers.MakePod(p.namespace, name).Obj()
	p.do("changing a Pod", p.client.Patch(p.t.Context(), pod, client.RawPatch(types.MergePatchType, []byte(patch))))
}

func (p *player) fail(name string) {
	pod := wrappers.MakePod(p.namespace, name).Obj()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`))
	p.do("letting a Pod fail", p.client.Status().Patch(p.t.Context(), pod, patch))
}

func (p *player) scale(to int) {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, to))
	p.do("scaling", p.client.Patch(p.t.Context(), p.owner, patch))
}

// active returns the Pods that count.
func (p *player) active(ctx context.Context) []corev1.Pod {
	var list corev1.PodList
	p.do("listing", p.client.List(ctx, &list, client.InNamespace(p.namespace), client.MatchingLabels{"app": "web"}))
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return !metav1.IsControlledBy(&pod, p.owner) || pod.Status.Phase == corev1.PodFailed || pod.DeletionTimestamp != nil
	})
}

func (p *player) names() []string {
	var names []string
	for _, pod := range p.active(p.t.Context()) {
		names = append(names, pod.Name)
	}
	slices.Sort(names)
	return names
}

// await waits until there are want Pods and the status says so.
func (p *player) await(want int) {
	p.t.Helper()
	var status faults.Status
	pods := 0
	err := wait.PollUntilContextTimeout(p.t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		pods = len(p.active(ctx))
		p.do("reading the owner", p.client.Get(ctx, client.ObjectKeyFromObject(p.owner), p.owner))
		status = p.subject.Status(p.owner)
		return pods == want && int(status.Replicas) == want && status.ObservedGeneration == p.owner.GetGeneration() &&
			status.Terminating == p.terminating(ctx), nil
	})
	if err != nil {
		p.t.Fatalf("%s has %d Pods and status %+v, want %d", p.subject.Name(), pods, status, want)
	}
}

// terminating counts the owner's Pods that are being deleted: those on a node, which no kubelet ends.
func (p *player) terminating(ctx context.Context) int32 {
	var list corev1.PodList
	p.do("listing", p.client.List(ctx, &list, client.InNamespace(p.namespace)))
	count := int32(0)
	for i := range list.Items {
		if pod := &list.Items[i]; metav1.IsControlledBy(pod, p.owner) && pod.DeletionTimestamp != nil {
			count++
		}
	}
	return count
}
