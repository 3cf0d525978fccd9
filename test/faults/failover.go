// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// moment is when something first happened.
type moment struct {
	once     sync.Once
	happened chan struct{}
	// at may be read once happened is closed.
	at time.Time
}

func (m *moment) now() {
	m.once.Do(func() {
		m.at = time.Now()
		close(m.happened)
	})
}

// firstWrites notes when a controller first wrote its Lease, and the status of an object.
type firstWrites struct{ lease, status moment }

func newFirstWrites() *firstWrites {
	return &firstWrites{lease: moment{happened: make(chan struct{})}, status: moment{happened: make(chan struct{})}}
}

// watch is a rest.Config's transport wrapper. A write counts once the API server has accepted it.
func (f *firstWrites) watch(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil || resp.StatusCode >= http.StatusBadRequest || req.Method == http.MethodGet {
			return resp, err
		}
		switch {
		case strings.Contains(req.URL.Path, "/leases"):
			f.lease.now()
		case strings.HasSuffix(req.URL.Path, "/status"):
			f.status.now()
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Failover is what one change of the leader took, counted from when the old one was asked to end.
type Failover struct {
	// End is how long the old leader took to end; EndTimeout if it took longer.
	End time.Duration
	// Acquired is when the new one had the Lease, FirstWrite when it had written the first status.
	Acquired, FirstWrite time.Duration
}

// Failovers are several.
type Failovers []Failover

// String is one line for people.
func (f Failovers) String() string {
	var end, acquired, written []time.Duration
	for _, one := range f {
		end, acquired, written = append(end, one.End), append(acquired, one.Acquired), append(written, one.FirstWrite)
	}
	return fmt.Sprintf("%d failovers, each from when the leader was asked to end: the leader had ended after %s; "+
		"the other had the Lease after %s and had made its first write after %s", len(f), spread(end), spread(acquired), spread(written))
}

// FailOver runs two controllers of which one leads, ends the leader while all objects change, and starts another in its
// place, as many times as asked. The subject must elect its leader. An error means that the scenario could not be
// carried out, or that no controller was writing startTimeout after the leader had been asked to end.
func FailOver(ctx context.Context, subject Subject, cfg *rest.Config, c client.WithWatch, namespace string, times int) (Failovers, error) {
	r := &run{subject: subject, cfg: cfg, client: c, namespace: namespace}
	stop, err := r.changeOwners(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	leader := r.start(ctx, subject)
	defer func() { leader.end() }()
	if err := leader.awaitWrite(ctx); err != nil {
		return nil, err
	}
	var failovers Failovers
	for range times {
		next := r.start(ctx, subject)
		// The caches of the next one are filled while it waits, as those of a second replica are.
		pause(ctx, settleFor)
		took, _ := leader.end()
		before := leader.ended
		leader = next
		if err := leader.awaitWrite(ctx); err != nil {
			return failovers, err
		}
		failovers = append(failovers, Failover{
			End: took, Acquired: leader.writes.lease.at.Sub(before), FirstWrite: leader.writes.status.at.Sub(before),
		})
	}
	return failovers, nil
}
