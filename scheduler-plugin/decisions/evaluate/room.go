// SPDX-License-Identifier: Apache-2.0

package evaluate

import fwk "k8s.io/kube-scheduler/framework"

// room is memory that is used for one attempt after another: while a scheduler places hundreds of Pods a second, what is
// made anew for each of them is cleared away by its garbage collector.
type room struct {
	statuses []*fwk.Status
	looked   []bool
	rows     []int
	indexes  []int
	scored   []int
	scores   []int64
	key      []byte
}

// cleared returns n zero values and keeps them for the next time.
func cleared[T any](kept *[]T, n int) []T {
	if cap(*kept) < n {
		*kept = make([]T, n)
	}
	*kept = (*kept)[:n]
	clear(*kept)
	return *kept
}
