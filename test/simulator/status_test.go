// SPDX-License-Identifier: Apache-2.0

package simulator

import "time"

// wantStatus is what the status of an owner has to say once everything has been seen. It counts on its own, not with
// the controller's functions.
func (w *world) wantStatus(owner *trs) (replicas, labelled, ready, available, terminating int32) {
	for _, name := range w.server.names(pods) {
		pod := w.server.pod(name)
		if controllerUID(pod) != owner.UID || !selects(owner, pod) || finished(pod) {
			continue
		}
		if pod.DeletionTimestamp != nil {
			terminating++
			continue
		}
		replicas++
		full := true
		for key, value := range owner.Spec.Template.Labels {
			full = full && pod.Labels[key] == value
		}
		if full {
			labelled++
		}
		if isReady(pod) {
			ready++
			since := pod.Status.Conditions[0].LastTransitionTime
			if time.Since(since.Time) >= time.Duration(owner.Spec.MinReadySeconds)*time.Second {
				available++
			}
		}
	}
	return replicas, labelled, ready, available, terminating
}
