// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mutant is a wrong controller: the real one, with something wrong put in where it meets its client, its cache or
// its watch. The zero mutant is the real one.
type mutant struct {
	name string
	// want is the invariant that has to catch it.
	want       string
	profile    func(*profile)
	client     func(*process, client.Client) client.Client
	live       func(*process, client.Reader) client.Reader
	indexer    func(*informer) toolscache.Indexer
	deaf       func(resource, notification) bool
	beforePass func(*process, string)
}
