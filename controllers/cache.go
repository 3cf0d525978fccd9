// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/controllers/expectations"
)

// The resources whose caches are compared with this controller's writes.
const (
	resourcePods   expectations.Resource = "pods"
	resourceOwners expectations.Resource = "teachingreplicasets.apps.podtrail.dev"
)

// controllerIndex finds objects by the UID of their controller, and Pods without a controller by their namespace, as
// AddPodControllerIndexer in controller_utils.go does. Pods whose controller is not a TeachingReplicaSet are not in it.
const controllerIndex = "controllerUID"

// view reads the informers' stores without copying. Callers must not modify what it returns.
type view struct {
	owners toolscache.Indexer
	pods   toolscache.Indexer
}

// newView adds the indexes. It must be called before the manager starts.
func newView(ctx context.Context, c cache.Cache) (*view, error) {
	owners, err := addIndex(ctx, c, &podtrailv1alpha1.TeachingReplicaSet{}, ownerIndexKeys)
	if err != nil {
		return nil, err
	}
	pods, err := addIndex(ctx, c, &corev1.Pod{}, podIndexKeys)
	if err != nil {
		return nil, err
	}
	return &view{owners: owners, pods: pods}, nil
}

func addIndex(ctx context.Context, c cache.Cache, obj client.Object, keys toolscache.IndexFunc) (toolscache.Indexer, error) {
	informer, err := c.GetInformer(ctx, obj, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("getting the informer of %T: %w", obj, err)
	}
	shared, ok := informer.(toolscache.SharedIndexInformer)
	if !ok {
		return nil, fmt.Errorf("the informer of %T is a %T, not a SharedIndexInformer: "+
			"the manager's cache must not be split by namespace", obj, informer)
	}
	if err := shared.AddIndexers(toolscache.Indexers{controllerIndex: keys}); err != nil {
		return nil, fmt.Errorf("indexing %T by controller: %w", obj, err)
	}
	return shared.GetIndexer(), nil
}

func ownerIndexKeys(obj any) ([]string, error) {
	owner, err := apimeta.Accessor(obj)
	if err != nil {
		return nil, fmt.Errorf("indexing an owner: %w", err)
	}
	if ref := metav1.GetControllerOfNoCopy(owner); ref != nil {
		return []string{string(ref.UID)}, nil
	}
	return nil, nil
}

func podIndexKeys(obj any) ([]string, error) {
	pod, err := apimeta.Accessor(obj)
	if err != nil {
		return nil, fmt.Errorf("indexing a Pod: %w", err)
	}
	ref := metav1.GetControllerOfNoCopy(pod)
	switch {
	case ref == nil:
		return []string{orphanKey(pod.GetNamespace())}, nil
	case isOwnKind(ref):
		return []string{string(ref.UID)}, nil
	default:
		return nil, nil
	}
}

// orphanKey cannot be a UID, because a UID contains no slash.
func orphanKey(namespace string) string { return "orphans/" + namespace }

// isOwnKind reports whether a reference names a TeachingReplicaSet of any version.
func isOwnKind(ref *metav1.OwnerReference) bool {
	if ref.Kind != podtrailv1alpha1.Kind {
		return false
	}
	group, _, _ := strings.Cut(ref.APIVersion, "/")
	return group == podtrailv1alpha1.GroupVersion.Group
}

// owner returns the object of that name, or false if the cache does not have it.
func (v *view) owner(name types.NamespacedName) (*podtrailv1alpha1.TeachingReplicaSet, bool) {
	obj, exists, err := v.owners.GetByKey(name.String())
	if err != nil || !exists {
		return nil, false
	}
	owner, ok := obj.(*podtrailv1alpha1.TeachingReplicaSet)
	return owner, ok
}

// podsFor returns the Pods that owner controls and the orphans of its namespace. Mirrors FilterPodsByOwner in
// controller_utils.go, but reads the orphans first: a Pod that is adopted between the two reads is in both, and is
// returned once. Upstream's order would miss it, and the pass would create another.
func (v *view) podsFor(owner *podtrailv1alpha1.TeachingReplicaSet) ([]*corev1.Pod, error) {
	orphans, err := v.podsOf(orphanKey(owner.Namespace))
	if err != nil {
		return nil, err
	}
	controlled, err := v.podsOf(string(owner.UID))
	if err != nil || len(orphans) == 0 {
		return controlled, err
	}
	left := make(map[string]*corev1.Pod, len(orphans))
	for _, pod := range orphans {
		left[pod.Name] = pod
	}
	for _, pod := range controlled {
		delete(left, pod.Name)
	}
	for _, pod := range orphans {
		if left[pod.Name] != nil {
			controlled = append(controlled, pod)
		}
	}
	return controlled, nil
}

// podsOf returns the Pods under one key of the controller index.
func (v *view) podsOf(key string) ([]*corev1.Pod, error) {
	objs, err := v.pods.ByIndex(controllerIndex, key)
	if err != nil {
		return nil, fmt.Errorf("looking up the Pods of %q: %w", key, err)
	}
	pods := make([]*corev1.Pod, 0, len(objs))
	for _, obj := range objs {
		if pod, ok := obj.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// siblings returns the TeachingReplicaSets that owner's controller controls, owner included, or none if owner has no
// controller. Mirrors getReplicaSetsWithSameController in replica_set.go.
func (v *view) siblings(owner *podtrailv1alpha1.TeachingReplicaSet) ([]*podtrailv1alpha1.TeachingReplicaSet, error) {
	ref := metav1.GetControllerOfNoCopy(owner)
	if ref == nil {
		return nil, nil
	}
	objs, err := v.owners.ByIndex(controllerIndex, string(ref.UID))
	if err != nil {
		return nil, fmt.Errorf("looking up the TeachingReplicaSets of %s: %w", ref.UID, err)
	}
	siblings := make([]*podtrailv1alpha1.TeachingReplicaSet, 0, len(objs))
	for _, obj := range objs {
		if sibling, ok := obj.(*podtrailv1alpha1.TeachingReplicaSet); ok {
			siblings = append(siblings, sibling)
		}
	}
	return siblings, nil
}

// relatedPods returns the Pods of all siblings. Mirrors getIndirectlyRelatedPods in replica_set.go, but returns the
// Pods that the siblings control, and not those that they select.
func (v *view) relatedPods(owner *podtrailv1alpha1.TeachingReplicaSet) ([]*corev1.Pod, error) {
	siblings, err := v.siblings(owner)
	if err != nil {
		return nil, err
	}
	var related []*corev1.Pod
	for _, sibling := range siblings {
		pods, err := v.podsOf(string(sibling.UID))
		if err != nil {
			return nil, err
		}
		related = append(related, pods...)
	}
	return related, nil
}

// selecting returns the TeachingReplicaSets of the Pod's namespace that select it. Mirrors getPodReplicaSets in
// replica_set.go.
func (v *view) selecting(pod client.Object) []*podtrailv1alpha1.TeachingReplicaSet {
	objs, err := v.owners.ByIndex(toolscache.NamespaceIndex, pod.GetNamespace())
	if err != nil {
		return nil
	}
	var owners []*podtrailv1alpha1.TeachingReplicaSet
	for _, obj := range objs {
		owner, ok := obj.(*podtrailv1alpha1.TeachingReplicaSet)
		if !ok {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&owner.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(pod.GetLabels())) {
			owners = append(owners, owner)
		}
	}
	return owners
}

// nameTaken returns a function that reports whether a Pod holds a name. The cache may have moved on since owner's Pods
// were listed, and the count and the names must be of the same state. So a Pod of owner that is not in listed does not
// hold its name here: its creation is answered with AlreadyExists, and it counts, instead of another Pod being created.
func (v *view) nameTaken(owner *podtrailv1alpha1.TeachingReplicaSet, listed []*corev1.Pod) func(string) bool {
	known := sync.OnceValue(func() sets.Set[string] {
		names := sets.New[string]()
		for _, pod := range listed {
			names.Insert(pod.Name)
		}
		return names
	})
	return func(name string) bool {
		obj, exists, err := v.pods.GetByKey(owner.Namespace + "/" + name)
		if err != nil || !exists {
			return false
		}
		pod, ok := obj.(*corev1.Pod)
		return !ok || !metav1.IsControlledBy(pod, owner) || known().Has(name)
	}
}

// resourceVersion returns the newest resourceVersion that the cache of the resource has seen.
func (v *view) resourceVersion(resource expectations.Resource) string {
	if resource == resourcePods {
		return v.pods.LastStoreSyncResourceVersion()
	}
	return v.owners.LastStoreSyncResourceVersion()
}
