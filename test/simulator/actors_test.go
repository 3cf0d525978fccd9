// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"podtrail.dev/podtrail/controllers/replicas"
	"podtrail.dev/podtrail/test/wrappers"
)

// hold is a finalizer that somebody put on a Pod and that nobody has to take off.
const hold = "example.com/hold"

var ownerNames = []string{"web", "api"}

// makeOwner builds one of the owners. In one run out of three both have the same selector.
func (w *world) makeOwner(name string) *trs {
	app := name
	if w.seed%3 == 0 {
		app = "shared"
	}
	selector := metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	return wrappers.MakeTeachingReplicaSet(namespace, name).Selector(selector).
		TemplateLabels(map[string]string{"app": app, "tier": "front"}).
		Replicas(int32(w.random.IntN(5))).MinReadySeconds([]int32{0, 10}[w.seed%2]).Obj()
}

// randomPod returns the name of a Pod for which ok holds, or "".
func (w *world) randomPod(ok func(*corev1.Pod) bool) string {
	names := slices.DeleteFunc(w.server.names(pods), func(name string) bool { return !ok(w.server.pod(name)) })
	if len(names) == 0 {
		return ""
	}
	return names[w.random.IntN(len(names))]
}

// kubelet moves one Pod along: onto a node, to running and ready, back, to an end, or away.
func (w *world) kubelet() bool {
	name := w.randomPod(func(*corev1.Pod) bool { return true })
	if name == "" {
		return false
	}
	pod := w.server.pod(name)
	switch {
	case pod.DeletionTimestamp != nil:
		return w.endPod(pod)
	case pod.Spec.NodeName == "":
		w.change(name, "is assigned to a node", func(pod *corev1.Pod) { pod.Spec.NodeName = fmt.Sprintf("node-%d", w.random.IntN(2)) })
	case finished(pod):
		return false
	case w.random.IntN(12) == 0:
		w.change(name, "fails", func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed; setReady(pod, false) })
	default:
		ready := !isReady(pod)
		w.change(name, fmt.Sprintf("is ready: %t", ready), func(pod *corev1.Pod) {
			pod.Status.Phase = corev1.PodRunning
			setReady(pod, ready)
		})
	}
	return true
}

// endPod removes a Pod whose containers have ended, or what keeps it.
func (w *world) endPod(pod *corev1.Pod) bool {
	switch {
	case len(pod.Finalizers) == 0:
		w.logf("kubelet: Pod %s is gone", pod.Name)
		w.server.commit(pods, pod.Name, nil, "kubelet", nil)
	case !finished(pod) && w.random.IntN(2) == 0:
		w.change(pod.Name, "has ended, a finalizer keeps it", func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded; setReady(pod, false) })
	case w.random.IntN(3) == 0:
		w.change(pod.Name, "loses its finalizers", func(pod *corev1.Pod) { pod.Finalizers = nil })
	default:
		return false
	}
	return true
}

func (w *world) change(name, what string, mutate func(*corev1.Pod)) {
	w.logf("kubelet: Pod %s %s", name, what)
	w.server.updatePod(name, "kubelet", nil, mutate)
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func setReady(pod *corev1.Pod, ready bool) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: now()}}
}

// user does one of the things that people and other controllers do.
func (w *world) user() bool {
	name := ownerNames[w.random.IntN(len(ownerNames))]
	owner := w.server.owner(name)
	choice := w.random.IntN(20)
	switch {
	case owner == nil:
		w.logf("user: creates %s", name)
		w.server.createOwner(w.makeOwner(name))
	case choice < 6:
		count := int32(w.random.IntN(6))
		w.logf("user: scales %s to %d", name, count)
		w.server.updateOwner(name, "user", func(owner *trs) { owner.Spec.Replicas = &count })
	case choice < 8:
		policies := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan}
		policy := policies[w.random.IntN(len(policies))]
		w.logf("user: deletes %s, propagation %s", name, policy)
		w.server.deleteOwner(name, policy)
	case choice == 8:
		w.logf("user: %s paused: %t", name, !owner.Spec.Paused)
		w.server.updateOwner(name, "user", func(owner *trs) { owner.Spec.Paused = !owner.Spec.Paused })
	case choice == 9:
		return w.createStranger(owner)
	case choice == 10:
		w.server.quota = !w.server.quota
		w.logf("user: quota exhausted: %t", w.server.quota)
	case choice == 11 && w.random.IntN(20) == 0:
		w.logf("user: deletes the namespace")
		w.server.terminating = true
	default:
		return w.touchPod(owner)
	}
	return true
}

// createStranger creates a Pod that no owner made: an orphan that one would adopt, or one of another controller,
// now and then under a name that the owner would give.
func (w *world) createStranger(owner *trs) bool {
	pod := wrappers.MakePod(namespace, fmt.Sprintf("stranger-%d", w.steps)).Obj()
	pod.Labels = map[string]string{"app": owner.Spec.Template.Labels["app"]}
	if w.random.IntN(2) == 0 {
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "other", UID: "uid-other", Controller: ptr.To(true),
		}}
		taken := func(name string) bool { return w.server.pod(name) != nil }
		if names := replicas.FreeNames(owner, 1, taken); w.random.IntN(2) == 0 {
			pod.Name = names[0]
		}
	}
	w.logf("user: creates Pod %s of %q", pod.Name, controllerUID(pod))
	_, err := w.server.createPod(pod, "user", nil)
	return err == nil
}

// touchPod deletes or changes one Pod.
func (w *world) touchPod(owner *trs) bool {
	name := w.randomPod(func(*corev1.Pod) bool { return true })
	if name == "" {
		return false
	}
	edit := func(what string, mutate func(*corev1.Pod)) {
		w.logf("user: Pod %s %s", name, what)
		w.server.updatePod(name, "user", nil, mutate)
	}
	app := owner.Spec.Template.Labels["app"]
	switch w.random.IntN(6) {
	case 0, 1:
		w.logf("user: deletes Pod %s", name)
		return w.server.deletePod(name, nil, "user", nil) == nil
	case 2:
		edit("gets other labels", func(pod *corev1.Pod) { pod.Labels = map[string]string{"app": "none"} })
	case 3:
		edit("gets the labels of "+app, func(pod *corev1.Pod) { pod.Labels = map[string]string{"app": app} })
	case 4:
		edit("loses its owners", func(pod *corev1.Pod) { pod.OwnerReferences = nil })
	default:
		if w.server.pod(name).DeletionTimestamp != nil {
			return false
		}
		edit("gets a finalizer and a deletion cost", func(pod *corev1.Pod) {
			pod.Finalizers = []string{hold}
			pod.Annotations = map[string]string{corev1.PodDeletionCost: fmt.Sprint(w.random.IntN(3))}
		})
	}
	return true
}

// collect is one step of the garbage collector.
func (w *world) collect() bool {
	for _, name := range w.server.names(pods) {
		pod := w.server.pod(name)
		for _, ref := range pod.OwnerReferences {
			if ref.Kind == "ReplicaSet" || pod.DeletionTimestamp != nil {
				continue
			}
			owner := w.server.owner(ref.Name)
			gone := owner == nil || owner.UID != ref.UID
			if gone || slices.Contains(owner.Finalizers, metav1.FinalizerDeleteDependents) {
				w.logf("garbage collector: deletes Pod %s", name)
				return w.server.deletePod(name, &pod.UID, "gc", nil) == nil
			}
			if slices.Contains(owner.Finalizers, metav1.FinalizerOrphanDependents) {
				w.logf("garbage collector: orphans Pod %s", name)
				w.server.updatePod(name, "gc", nil, func(pod *corev1.Pod) { pod.OwnerReferences = nil })
				return true
			}
		}
	}
	for _, name := range w.server.names(owners) {
		owner := w.server.owner(name)
		if owner.DeletionTimestamp != nil && (slices.Contains(owner.Finalizers, metav1.FinalizerOrphanDependents) || !w.hasDependents(owner.UID)) {
			w.logf("garbage collector: ends %s", name)
			w.server.updateOwner(name, "gc", func(owner *trs) { owner.Finalizers = nil })
			return true
		}
	}
	return false
}

func (w *world) hasDependents(uid types.UID) bool {
	return w.randomPod(func(pod *corev1.Pod) bool { return controllerUID(pod) == uid }) != ""
}

// selects reports whether an owner's selector matches a Pod.
func selects(owner *trs, pod *corev1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(&owner.Spec.Selector)
	return err == nil && selector.Matches(labels.Set(pod.Labels))
}
