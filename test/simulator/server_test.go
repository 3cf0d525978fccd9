// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

type trs = podtrailv1alpha1.TeachingReplicaSet

const namespace = "sim"

// resource is one of the two that the controller watches.
type resource int

const (
	pods resource = iota
	owners
)

func (r resource) String() string { return [...]string{"pods", "teachingreplicasets"}[r] }

func (r resource) group() schema.GroupResource {
	if r == pods {
		return schema.GroupResource{Resource: "pods"}
	}
	return schema.GroupResource{Group: podtrailv1alpha1.GroupVersion.Group, Resource: "teachingreplicasets"}
}

// change is one entry of the server's history: the watch event, who caused it and by what.
type change struct {
	version  uint64
	resource resource
	name     string
	// old is nil for a creation, updated for a removal.
	old, updated client.Object
	verb         string
	// by is the pass of a controller that wrote it, nil for everyone else.
	by *pass
	at time.Time
	// lost reports that the writer got an error for an answer.
	lost bool
}

// server models the API server and etcd for one namespace. Objects that it stores are never changed afterwards.
type server struct {
	version uint64
	uids    int
	live    [2]map[string]client.Object
	history []*change
	// watch holds the history of each resource, in the order in which every watch shows it.
	watch [2][]*change
	// quota refuses creations; terminating does too, as a namespace that is being deleted does.
	quota, terminating bool
}

func newServer() *server {
	return &server{live: [2]map[string]client.Object{{}, {}}}
}

// names returns what exists, sorted.
func (s *server) names(r resource) []string { return slices.Sorted(maps.Keys(s.live[r])) }

func (s *server) pod(name string) *corev1.Pod {
	pod, _ := s.live[pods][name].(*corev1.Pod)
	return pod
}

func (s *server) owner(name string) *trs {
	owner, _ := s.live[owners][name].(*trs)
	return owner
}

func now() metav1.Time { return metav1.Now().Rfc3339Copy() }

// commit stores an object, or its removal if updated is nil, and appends it to the history.
func (s *server) commit(r resource, name string, updated client.Object, verb string, by *pass) {
	s.version++
	c := &change{version: s.version, resource: r, name: name, old: s.live[r][name], updated: updated, verb: verb, by: by, at: time.Now()}
	if updated == nil {
		delete(s.live[r], name)
	} else {
		updated.SetResourceVersion(strconv.FormatUint(s.version, 10))
		s.live[r][name] = updated
	}
	s.history = append(s.history, c)
	s.watch[r] = append(s.watch[r], c)
}

func (s *server) newUID() types.UID {
	s.uids++
	return types.UID(fmt.Sprintf("uid-%04d", s.uids))
}

func (s *server) createPod(pod *corev1.Pod, verb string, by *pass) (client.Object, error) {
	switch {
	case s.terminating && by != nil:
		err := apierrors.NewForbidden(pods.group(), pod.Name, fmt.Errorf("namespace %s is being terminated", namespace))
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return nil, err
	case s.quota && by != nil:
		return nil, apierrors.NewForbidden(pods.group(), pod.Name, fmt.Errorf("exceeded quota"))
	case s.live[pods][pod.Name] != nil:
		return nil, apierrors.NewAlreadyExists(pods.group(), pod.Name)
	}
	stored := pod.DeepCopy()
	stored.UID, stored.CreationTimestamp, stored.Status.Phase = s.newUID(), now(), corev1.PodPending
	s.commit(pods, pod.Name, stored, verb, by)
	return stored, nil
}

// deletePod follows pkg/registry/core/pod/strategy.go CheckGracefulDelete: a Pod without a node, or that has
// finished, goes at once; others stay until the kubelet has ended them. Finalizers keep either.
func (s *server) deletePod(name string, uid *types.UID, verb string, by *pass) error {
	pod := s.pod(name)
	if pod == nil {
		return apierrors.NewNotFound(pods.group(), name)
	}
	if uid != nil && *uid != pod.UID {
		return apierrors.NewConflict(pods.group(), name, fmt.Errorf("the UID in the precondition (%s) does not match (%s)", *uid, pod.UID))
	}
	if (pod.Spec.NodeName == "" || finished(pod)) && len(pod.Finalizers) == 0 {
		s.commit(pods, name, nil, verb, by)
		return nil
	}
	if pod.DeletionTimestamp == nil {
		s.updatePod(name, verb, by, func(pod *corev1.Pod) { pod.DeletionTimestamp = ptr.To(now()) })
	}
	return nil
}

// updatePod stores a changed copy of a Pod; the last finalizer of a Pod that has ended takes it along.
func (s *server) updatePod(name, verb string, by *pass, mutate func(*corev1.Pod)) {
	updated := s.pod(name).DeepCopy()
	mutate(updated)
	if updated.DeletionTimestamp != nil && len(updated.Finalizers) == 0 && (finished(updated) || updated.Spec.NodeName == "") {
		s.commit(pods, name, nil, verb, by)
		return
	}
	s.commit(pods, name, updated, verb, by)
}

// patchPod applies a strategic merge with the API server's own library and refuses what its validation refuses.
func (s *server) patchPod(name string, patch []byte, by *pass) (client.Object, error) {
	pod := s.pod(name)
	if pod == nil {
		return nil, apierrors.NewNotFound(pods.group(), name)
	}
	original, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergePatch(original, patch, corev1.Pod{})
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	updated := &corev1.Pod{}
	if err := json.Unmarshal(merged, updated); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	controllers := 0
	valid := updated.UID == pod.UID
	for _, ref := range updated.OwnerReferences {
		valid = valid && ref.APIVersion != "" && ref.Kind != "" && ref.Name != "" && ref.UID != ""
		if ptr.Deref(ref.Controller, false) {
			controllers++
		}
	}
	if !valid || controllers > 1 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), name, nil)
	}
	if equality.Semantic.DeepEqual(pod, updated) {
		return pod, nil
	}
	s.commit(pods, name, updated, "patch", by)
	return updated, nil
}

// updateStatus replaces only the status; resourceVersion and UID, where given, must be the stored ones.
func (s *server) updateStatus(sent *trs, by *pass) (client.Object, error) {
	stored := s.owner(sent.Name)
	if stored == nil {
		return nil, apierrors.NewNotFound(owners.group(), sent.Name)
	}
	if (sent.UID != "" && sent.UID != stored.UID) || (sent.ResourceVersion != "" && sent.ResourceVersion != stored.ResourceVersion) {
		return nil, apierrors.NewConflict(owners.group(), sent.Name, fmt.Errorf("the object has been modified"))
	}
	if equality.Semantic.DeepEqual(stored.Status, sent.Status) {
		return stored, nil
	}
	updated := stored.DeepCopy()
	updated.Status = *sent.Status.DeepCopy()
	s.commit(owners, sent.Name, updated, "status", by)
	return updated, nil
}

func (s *server) createOwner(owner *trs) {
	stored := owner.DeepCopy()
	stored.UID, stored.CreationTimestamp, stored.Generation = s.newUID(), now(), 1
	s.commit(owners, owner.Name, stored, "user", nil)
}

// updateOwner stores a changed copy; a change of the specification or a deletion makes a new generation.
func (s *server) updateOwner(name, verb string, mutate func(*trs)) {
	stored := s.owner(name)
	updated := stored.DeepCopy()
	mutate(updated)
	if !equality.Semantic.DeepEqual(stored.Spec, updated.Spec) || (stored.DeletionTimestamp == nil) != (updated.DeletionTimestamp == nil) {
		updated.Generation++
	}
	if updated.DeletionTimestamp != nil && len(updated.Finalizers) == 0 {
		s.commit(owners, name, nil, verb, nil)
		return
	}
	s.commit(owners, name, updated, verb, nil)
}

// deleteOwner deletes with one of the API's propagation policies; the finalizer is what they leave to the garbage
// collector.
func (s *server) deleteOwner(name string, policy metav1.DeletionPropagation) {
	if s.owner(name).DeletionTimestamp != nil {
		return
	}
	s.updateOwner(name, "user", func(owner *trs) {
		owner.DeletionTimestamp = ptr.To(now())
		switch policy {
		case metav1.DeletePropagationForeground:
			owner.Finalizers = append(owner.Finalizers, metav1.FinalizerDeleteDependents)
		case metav1.DeletePropagationOrphan:
			owner.Finalizers = append(owner.Finalizers, metav1.FinalizerOrphanDependents)
		}
	})
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// controllerUID is the UID of an object's controller, empty if it has none.
func controllerUID(obj client.Object) types.UID {
	if ref := metav1.GetControllerOfNoCopy(obj); ref != nil {
		return ref.UID
	}
	return ""
}
