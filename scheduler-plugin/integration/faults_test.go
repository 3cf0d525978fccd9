// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

const (
	fullNodes, podsPerNode = 8, 20
	// settleTimeout bounds the placing of all Pods with faults: each failed attempt costs a back-off of up to 2 s.
	settleTimeout = 2 * time.Minute
	watchLife     = 3 * time.Second
)

// TestFaults fills nodes to the last place, so that a Pod counted twice would leave another without one.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		faults  bool
		restart bool
	}{
		"bindings conflict, fail, are refused, and succeed without saying so": {faults: true},
		"the scheduler is restarted in the middle":                            {restart: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			applyRBAC(t)
			c := newClient(t)
			for i := range fullNodes {
				node := diskNode(fmt.Sprintf("full-%d", i), "100Gi", "full")
				node.Status.Allocatable[corev1.ResourcePods] = *resource.NewQuantity(podsPerNode, resource.DecimalSI)
				createNode(t, c, node)
			}
			proxy := startProxy(t, tc.faults)
			start := func() instance {
				configuration := deployedConfig(t)
				configuration["podMaxBackoffSeconds"] = 2
				return run(t, setUp(t, writeConfig(t, configuration, proxy.kubeconfig()), ours))
			}
			running := start()
			placed := watchPlaces(t)
			for i := range fullNodes * podsPerNode {
				pod := newPod(fmt.Sprintf("pod-%d", i), schedulerName, "web")
				pod.Spec.NodeSelector = map[string]string{"pool": "full"}
				createPod(t, c, pod)
				if tc.restart && i == fullNodes*podsPerNode/2 {
					running.stop()
					running = start()
				}
			}
			err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, settleTimeout, true, func(context.Context) (bool, error) {
				return placed.count() == fullNodes*podsPerNode, nil
			})
			if err != nil {
				t.Fatalf("After %s %d of %d Pods have a node", settleTimeout, placed.count(), fullNodes*podsPerNode)
			}
			running.stop()
			proxy.server.Close() // returns when every request has been answered, and so counted
			for pod, nodes := range placed.all() {
				if len(nodes) != 1 {
					t.Errorf("Pod %s has been on the nodes %v", pod, nodes)
				}
			}
			for pod, times := range proxy.bound {
				if times != 1 {
					t.Errorf("Pod %s was bound %d times", pod, times)
				}
			}
			if len(proxy.bound) != fullNodes*podsPerNode {
				t.Errorf("%d Pods were bound, want %d", len(proxy.bound), fullNodes*podsPerNode)
			}
			for _, fault := range []string{"409", "500", "429", "lost answer", "cut watch"} {
				if hits := proxy.injected[fault]; tc.faults && hits < 5 {
					t.Errorf("%q was injected %d times, want more for this to prove anything", fault, hits)
				}
			}
		})
	}
}

// proxy stands between the scheduler and the API server.
type proxy struct {
	server  *httptest.Server
	forward *httputil.ReverseProxy
	faults  bool

	mu       sync.Mutex
	random   *rand.Rand
	bound    map[string]int // by the path of the binding: how often the API server has answered 201
	injected map[string]int
}

func startProxy(t *testing.T, faults bool) *proxy {
	t.Helper()
	asScheduler := rest.CopyConfig(admin)
	asScheduler.Impersonate = rest.ImpersonationConfig{UserName: schedulerUser, Groups: schedulerGroups}
	transport, err := rest.TransportFor(asScheduler)
	if err != nil {
		t.Fatalf("Building the proxy's transport: %v", err)
	}
	target, err := url.Parse(admin.Host)
	if err != nil {
		t.Fatalf("Parsing the API server's address %q: %v", admin.Host, err)
	}
	if target.Scheme == "" {
		target = &url.URL{Scheme: "https", Host: admin.Host}
	}
	p := &proxy{faults: faults, random: rand.New(rand.NewPCG(1, 2)), bound: map[string]int{}, injected: map[string]int{}}
	p.forward = &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1,
		ErrorLog:       log.New(io.Discard, "", 0),
		ModifyResponse: p.observe,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *proxy) kubeconfig() clientcmdapi.Config {
	const name = "proxy"
	return clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: p.server.URL}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}
}

// observe counts bindings that succeeded.
func (p *proxy) observe(response *http.Response) error {
	path := response.Request.URL.Path
	if strings.HasSuffix(path, "/binding") && response.StatusCode == http.StatusCreated {
		p.mu.Lock()
		p.bound[path]++
		p.mu.Unlock()
	}
	return nil
}

// ServeHTTP spoils four of ten bindings, a fifth of all other writes but to the Lease, and every watch after a while.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	binding := strings.HasSuffix(r.URL.Path, "/binding")
	if binding {
		// To the end, even if the scheduler no longer waits: so that it is counted. The deadline is no ornament: for a
		// context that can't end, ReverseProxy gives up when the client's connection closes.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), settleTimeout)
		defer cancel()
		r = r.WithContext(ctx)
	}
	switch {
	case !p.faults || strings.Contains(r.URL.Path, "/leases"):
	case r.URL.Query().Get("watch") != "":
		p.note("cut watch")
		ctx, cancel := context.WithTimeout(r.Context(), watchLife)
		defer cancel()
		r = r.WithContext(ctx)
	case r.Method == http.MethodGet:
	default:
		switch dice := p.roll(); {
		case dice < 10:
			answer(w, r, http.StatusInternalServerError, metav1.StatusReasonInternalError, p.note("500"))
			return
		case dice < 20:
			w.Header().Set("Retry-After", "1")
			answer(w, r, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, p.note("429"))
			return
		case binding && dice < 30:
			answer(w, r, http.StatusConflict, metav1.StatusReasonConflict, p.note("409"))
			return
		case binding && dice < 40:
			// The API server does it; the scheduler hears of an error.
			p.forward.ServeHTTP(httptest.NewRecorder(), r)
			answer(w, r, http.StatusGatewayTimeout, metav1.StatusReasonTimeout, p.note("lost answer"))
			return
		}
	}
	p.forward.ServeHTTP(w, r)
}

func (p *proxy) roll() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.IntN(100)
}

func (p *proxy) note(fault string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.injected[fault]++
	return "injected: " + fault
}

// answer writes an API error. The body of the request is read first, so that the connection can be used again.
func answer(w http.ResponseWriter, r *http.Request, code int, reason metav1.StatusReason, message string) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":%q}`, code, reason, message)
}

// places is which nodes each Pod has been on, as a watch shows it.
type places struct {
	mu    sync.Mutex
	nodes map[string]map[string]bool
}

func (p *places) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.nodes)
}

func (p *places) all() map[string]map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.nodes)
}

func watchPlaces(t *testing.T) *places {
	t.Helper()
	pods, err := cache.New(admin, cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}})
	if err != nil {
		t.Fatalf("Making the watch: %v", err)
	}
	go func() {
		// It ends with the test; what goes wrong before shows as a time-out.
		_ = pods.Start(t.Context())
	}()
	informer, err := pods.GetInformer(t.Context(), &corev1.Pod{})
	if err != nil {
		t.Fatalf("Watching Pods: %v", err)
	}
	p := &places{nodes: map[string]map[string]bool{}}
	take := func(obj any) {
		pod, ok := obj.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" || !strings.HasPrefix(pod.Name, "pod-") {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.nodes[pod.Name] == nil {
			p.nodes[pod.Name] = map[string]bool{}
		}
		p.nodes[pod.Name][pod.Spec.NodeName] = true
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: take, UpdateFunc: func(_, obj any) { take(obj) }})
	if err != nil {
		t.Fatalf("Watching Pods: %v", err)
	}
	return p
}
