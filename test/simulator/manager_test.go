// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// fakeManager is as much of a manager as SetupWithManager asks for.
type fakeManager struct {
	manager.Manager
	proc *process
}

// GetCache implements manager.Manager.
func (m *fakeManager) GetCache() cache.Cache { return &caches{proc: m.proc} }

// GetClient implements manager.Manager.
func (m *fakeManager) GetClient() client.Client {
	var c client.Client = &gatedClient{proc: m.proc}
	if wrap := m.proc.world.mutant.client; wrap != nil {
		c = wrap(m.proc, c)
	}
	return c
}

// GetAPIReader implements manager.Manager.
func (m *fakeManager) GetAPIReader() client.Reader {
	var r client.Reader = &gatedClient{proc: m.proc}
	if wrap := m.proc.world.mutant.live; wrap != nil {
		r = wrap(m.proc, r)
	}
	return r
}

// GetEventRecorder implements manager.Manager.
func (m *fakeManager) GetEventRecorder(string) events.EventRecorder { return &recorder{proc: m.proc} }

// GetLogger implements manager.Manager.
func (m *fakeManager) GetLogger() logr.Logger { return logr.New(&sink{proc: m.proc}) }

// GetControllerOptions implements manager.Manager. The queue is client-go's own: the priority queue leaves tickers
// behind that a simulated clock would have to serve for ever.
func (m *fakeManager) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: ptr.To(true), RecoverPanic: ptr.To(false), UsePriorityQueue: ptr.To(false)}
}

// Add implements manager.Manager.
func (m *fakeManager) Add(r manager.Runnable) error {
	if _, ok := r.(controller.Controller); !ok {
		return fmt.Errorf("a %T was added, not a controller", r)
	}
	m.proc.runnable = r
	return nil
}

// recorder hands events to the oracle.
type recorder struct{ proc *process }

// Eventf implements events.EventRecorder.
func (r *recorder) Eventf(regarding, _ runtime.Object, _, reason, _, _ string, args ...any) {
	owner, ok := regarding.(*trs)
	if ok && len(args) > 0 {
		r.proc.world.checkEvent(owner.UID, reason, fmt.Sprint(args[0]))
	}
}

// sink is where a worker logs that it begins a pass, and how it ended.
type sink struct {
	proc *process
	name string
}

// Init implements logr.LogSink.
func (*sink) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink.
func (*sink) Enabled(int) bool { return true }

// Info implements logr.LogSink.
func (s *sink) Info(_ int, message string, _ ...any) {
	if message == "Skipped" && !s.proc.crashed() {
		s.proc.world.logf("%s: skips %s: a cache has yet to see its own writes", s.proc, s.name)
	}
}

// Error implements logr.LogSink.
func (s *sink) Error(err error, message string, _ ...any) {
	if !s.proc.crashed() {
		s.proc.world.logf("%s: %s: %v", s.proc, message, err)
	}
}

// WithName implements logr.LogSink.
func (s *sink) WithName(string) logr.LogSink { return s }

// WithValues implements logr.LogSink. controller-runtime adds a reconcileID when a worker has taken an object and is
// about to reconcile it.
func (s *sink) WithValues(keysAndValues ...any) logr.LogSink {
	named := &sink{proc: s.proc, name: s.name}
	for n := 0; n+1 < len(keysAndValues); n += 2 {
		switch keysAndValues[n] {
		case "name":
			named.name = fmt.Sprint(keysAndValues[n+1])
		case "reconcileID":
			s.proc.begin(s.name)
		}
	}
	return named
}

var _ ctrl.Manager = &fakeManager{}
