// SPDX-License-Identifier: Apache-2.0

// Package e2e checks podtrail as its users meet it: on a kind cluster with real kubelets, through kubectl and the
// podtrail command. `make test-e2e` makes the cluster, deploys all parts and runs it.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

const (
	demo   = "podtrail-demo"
	system = "podtrail-system"
	// soon bounds what a healthy cluster does in seconds, with room for a loaded two-core machine.
	soon = 90 * time.Second
	poll = 250 * time.Millisecond
	// commandTimeout bounds one run of kubectl or podtrail.
	commandTimeout = 60 * time.Second
)

// root is the checkout; the suite runs in test/e2e.
var root = filepath.Join("..", "..")

// k8s reads and writes as the cluster's admin; restConfig is what it was made from.
var (
	k8s        client.Client
	restConfig *rest.Config
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "podtrail on kind")
}

var _ = BeforeSuite(func() {
	kubeconfig := os.Getenv("KUBECONFIG")
	Expect(kubeconfig).To(ContainSubstring("e2e"), "KUBECONFIG must name the cluster that make test-e2e makes; run: make test-e2e")
	var err error
	restConfig, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(podtrailv1alpha1.AddToScheme(scheme)).To(Succeed())
	k8s, err = client.New(restConfig, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	applySamples()
	captureFirstTrails()
})

// unlimitedClient is k8s without a limit of requests per second.
func unlimitedClient() client.Client {
	GinkgoHelper()
	config := rest.CopyConfig(restConfig)
	config.QPS = -1
	c, err := client.New(config, client.Options{Scheme: k8s.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// applySamples makes the samples and waits until all of their Pods are Ready.
func applySamples() {
	GinkgoHelper()
	kubectl("apply", "-k", sample("")).succeeds()
	kubectl("rollout", "status", "-n", demo, "deployment/nginx-deployment", "--timeout=55s").succeeds()
	Eventually(func() string {
		return kubectl("get", "trs", "web", "-n", demo, "-o", "jsonpath={.status.readyReplicas}").stdout
	}, soon, poll).Should(Equal("3"), "the TeachingReplicaSet's Pods are Ready")
}

// result is what a command printed and how it ended.
type result struct {
	command, stdout, stderr string
	code                    int
}

// succeeds fails the spec unless the command ended with 0; it returns what was printed.
func (r result) succeeds() string {
	GinkgoHelper()
	Expect(r.code).To(BeZero(), "%s\nstdout: %s\nstderr: %s", r.command, r.stdout, r.stderr)
	return r.stdout
}

// failsWith fails the spec unless the command ended with that code; it returns what was printed as an error.
func (r result) failsWith(code int) string {
	GinkgoHelper()
	Expect(r.code).To(Equal(code), "%s\nstdout: %s\nstderr: %s", r.command, r.stdout, r.stderr)
	return r.stderr
}

func kubectl(args ...string) result  { return run("", "kubectl", args...) }
func podtrail(args ...string) result { return run("", "podtrail", args...) }

// apply pipes a manifest into kubectl apply.
func apply(namespace, manifest string) result {
	return run(manifest, "kubectl", "apply", "-n", namespace, "-f", "-")
}

// onNode runs a command on the Pod's node, which is a container, and returns what it printed.
func onNode(pod *corev1.Pod, command ...string) string {
	GinkgoHelper()
	return runPath("", "docker", append([]string{"exec", pod.Spec.NodeName}, command...)...).succeeds()
}

// run runs a program of the checkout's bin.
func run(stdin, program string, args ...string) result {
	GinkgoHelper()
	return runPath(stdin, filepath.Join(root, "bin", program), args...)
}

func runPath(stdin, program string, args ...string) result {
	GinkgoHelper()
	return runWithin(commandTimeout, stdin, program, args...)
}

func runWithin(timeout time.Duration, stdin, program string, args ...string) result {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		Fail(fmt.Sprintf("%s could not be run: %v", program, err))
	}
	return result{
		command: filepath.Base(program) + " " + strings.Join(args, " "),
		stdout:  stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode(),
	}
}

// sample is the path of a file in config/samples.
func sample(name string) string { return filepath.Join(root, "config", "samples", name) }

// namespace makes a namespace for one spec, with these labels, and removes it afterwards.
func namespace(ctx context.Context, labels map[string]string) string {
	GinkgoHelper()
	ns := makeNamespace(labels)
	Expect(k8s.Create(ctx, ns)).To(Succeed())
	DeferCleanup(func(ctx context.Context) {
		Expect(client.IgnoreNotFound(k8s.Delete(ctx, ns))).To(Succeed())
	})
	// Until its service account is there, admission refuses every Pod.
	Eventually(ctx, func(ctx context.Context) error {
		return k8s.Get(ctx, client.ObjectKey{Namespace: ns.Name, Name: "default"}, &corev1.ServiceAccount{})
	}, soon, poll).Should(Succeed())
	return ns.Name
}
