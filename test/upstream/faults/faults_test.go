// SPDX-License-Identifier: Apache-2.0

// Package faults runs our controller and Kubernetes' own through the same faults and prints what came of it.
package faults

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/faults"
)

var (
	only     = flag.String("cells", "", "regular expression of the cells to run; empty runs all")
	parallel = flag.Int("at-once", 8, "how many scenarios run at the same time")
	peer     = flag.Bool("upstream", true, "run Kubernetes' own controller too")
)

// row is one cell's result for each subject.
type row struct {
	cell    faults.Cell
	results map[string]faults.Result
}

// TestFaults fails if our controller does in any cell what it must not do. Upstream's results are printed beside ours
// and fail nothing.
func TestFaults(t *testing.T) {
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatalf("-cells: %v", err)
	}
	scheme := newScheme(t)
	silence(t)
	cfg, c := startControlPlane(t, scheme)
	subjects := []faults.Subject{faults.Ours{Scheme: scheme}}
	if *peer {
		subjects = append(subjects, upstream{})
	}

	var rows []row
	for _, cell := range faults.Cells() {
		if pattern.MatchString(cell.Name) {
			rows = append(rows, row{cell: cell, results: map[string]faults.Result{}})
		}
	}
	if len(rows) == 0 {
		t.Fatalf("-cells=%s matches none of the %d cells", *only, len(faults.Cells()))
	}
	runAll(t, rows, subjects, cfg, c)
	fmt.Println(table(rows, subjects))
	for _, r := range rows {
		for _, violation := range r.results[subjects[0].Name()].Violations {
			t.Errorf("%s: %s", r.cell.Name, violation)
		}
	}
}

// silence turns the controllers' logs off, which have every fault in them.
func silence(t *testing.T) {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Parse([]string{"-logtostderr=false", "-stderrthreshold=FATAL"}); err != nil {
		t.Fatalf("Setting klog's flags: %v", err)
	}
	klog.SetOutput(io.Discard)
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, podtrailv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatalf("Building the scheme: %v", err)
		}
	}
	return scheme
}

// startControlPlane runs kube-apiserver and etcd until the test ends.
func startControlPlane(t *testing.T, scheme *runtime.Scheme) (*rest.Config, client.WithWatch) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set; run `make test-faults`, which sets it to the directory of kube-apiserver and etcd")
	}
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{"../../../config/crd/bases"},
		ErrorIfCRDPathMissing: true,
	}
	cfg, err := environment.Start()
	if err != nil {
		t.Fatalf("Starting kube-apiserver and etcd: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("Stopping kube-apiserver and etcd: %v", err)
		}
	})
	cfg.QPS = -1
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatalf("Making the client: %v", err)
	}
	return cfg, c
}

// runAll runs every cell for every subject, some at the same time, and says how far it has come.
func runAll(t *testing.T, rows []row, subjects []faults.Subject, cfg *rest.Config, c client.WithWatch) {
	t.Helper()
	var (
		wait  sync.WaitGroup
		mu    sync.Mutex
		done  int
		slots = make(chan struct{}, *parallel)
	)
	for i := range rows {
		for _, subject := range subjects {
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				result, err := runCell(t.Context(), subject, rows[i].cell, cfg, c)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("%s, %s: %v", rows[i].cell.Name, subject.Name(), err)
				}
				rows[i].results[subject.Name()] = result
				done++
				fmt.Printf("%d/%d %s: %s\n", done, len(rows)*len(subjects), subject.Name(), rows[i].cell.Name)
			})
		}
	}
	wait.Wait()
}

func runCell(ctx context.Context, subject faults.Subject, cell faults.Cell, cfg *rest.Config, c client.WithWatch) (faults.Result, error) {
	namespace, err := newNamespace(ctx, c)
	if err != nil {
		return faults.Result{}, err
	}
	return faults.Run(ctx, subject, cell, cfg, c, namespace)
}

func newNamespace(ctx context.Context, c client.Client) (string, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "faults-"}}
	if err := c.Create(ctx, namespace); err != nil {
		return "", fmt.Errorf("making a namespace: %w", err)
	}
	return namespace.Name, nil
}

// table is the results as Markdown.
func table(rows []row, subjects []faults.Subject) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 1, ' ', 0)
	header, rule := "| Fault\t", "|---\t"
	for _, s := range subjects {
		header += fmt.Sprintf("| %s: faults\t| too many\t| Pods made\t| settled\t| violations\t", s.Name())
		rule += "|---\t|---\t|---\t|---\t|---\t"
	}
	_, _ = fmt.Fprintln(w, header+"|\n"+rule+"|")
	for _, r := range rows {
		line := "| " + r.cell.Name + "\t"
		for _, s := range subjects {
			result := r.results[s.Name()]
			line += fmt.Sprintf("| %d\t| %d\t| %d\t| %s\t| %d\t", result.Injected, result.Overshoot, result.Created,
				result.Converged.Round(10*time.Millisecond), len(result.Violations))
		}
		_, _ = fmt.Fprintln(w, line+"|")
	}
	_ = w.Flush()
	return text.String()
}
