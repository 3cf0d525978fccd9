// SPDX-License-Identifier: Apache-2.0

package evaluate

import (
	fwk "k8s.io/kube-scheduler/framework"

	"podtrail.dev/podtrail/trail/decision"
)

// scratch holds buffers that are reused from one attempt to the next. A scheduler places hundreds of Pods a second, and
// its garbage collector would have to free new ones each time.
type scratch struct {
	statuses []*fwk.Status
	looked   []bool
	verdicts []decision.Verdict
	rows     []int
	indexes  []int
	scored   []int
	scores   []int64
	key      []byte
}

// zeroed returns n zero values from the buffer, which it replaces if it is too small.
func zeroed[T any](buffer *[]T, n int) []T {
	if cap(*buffer) < n {
		*buffer = make([]T, n)
	}
	*buffer = (*buffer)[:n]
	clear(*buffer)
	return *buffer
}
