// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// podsPerSecond are created by dry run while certificates are exchanged.
	podsPerSecond = 60
	// heldBack is longer than a replica holds a new certificate back (settle in webhooks/certs).
	heldBack = 7 * time.Second
	// requestTimeout bounds one creation, whatever the webhooks do.
	requestTimeout = 20 * time.Second
	// webhookTimeout is timeoutSeconds in config/webhook.
	webhookTimeout = 3 * time.Second
)

var _ = Describe("The webhooks", Serial, func() {
	It("exchange their CA three times while 50 Pods per second are created, and none fails", func(ctx context.Context) {
		stop := createPods(ctx)
		begin := time.Now()
		secret := &corev1.Secret{}
		key := client.ObjectKey{Namespace: system, Name: "podtrail-webhook-cert"}
		for range 3 {
			Expect(k8s.Get(ctx, key, secret)).To(Succeed())
			before := secret.Data["ca.crt"]
			secret.Data = nil
			Expect(k8s.Update(ctx, secret)).To(Succeed())
			Eventually(ctx, func(ctx context.Context) ([]byte, error) {
				err := k8s.Get(ctx, key, secret)
				return secret.Data["ca.crt"], err
			}, soon, poll).Should(And(Not(BeEmpty()), Not(Equal(before))), "the manager makes another CA")
			select {
			case <-ctx.Done():
			case <-time.After(heldBack):
			}
		}
		elapsed := time.Since(begin)
		created, failures := stop()
		GinkgoWriter.Printf("3 rotations, %d Pods in %s\n", created, elapsed)
		Expect(failures).To(BeEmpty())
		Expect(float64(created)/elapsed.Seconds()).To(BeNumerically(">=", 50), "Pods per second")
	})

	It("cost a request their time-out at most when they hang, and others nothing", func(ctx context.Context) {
		elsewhere := namespace(ctx, nil)
		DeferCleanup(func() {
			signalManagers("CONT")
			kubectl("rollout", "status", "-n", system, "deployment/podtrail-manager", "--timeout=55s").succeeds()
		})
		signalManagers("STOP")
		begin := time.Now()
		said := apply(demo, podManifest("waits", "{limits: {cpu: 100m}}")).failsWith(1)
		waited := time.Since(begin)
		Expect(said).To(And(ContainSubstring("failed calling webhook"), ContainSubstring("default.pods.podtrail.dev")))
		// kubectl itself takes a while on a busy machine.
		Expect(waited).To(BeNumerically("<", webhookTimeout+3*time.Second))
		begin = time.Now()
		apply(elsewhere, podManifest("does-not-wait", "{}")).succeeds()
		Expect(time.Since(begin)).To(BeNumerically("<", webhookTimeout), "the creation of a Pod that the webhooks are not asked about")
	})
})

// createPods creates Pods by dry run in the opted-in namespace until it is stopped, and tells how many and what failed.
func createPods(ctx context.Context) (stop func() (created int64, failures []string)) {
	GinkgoHelper()
	unlimited := unlimitedClient()
	ctx, cancel := context.WithCancel(ctx)
	var (
		created  atomic.Int64
		next     atomic.Int64
		mutex    sync.Mutex
		failures []string
		senders  sync.WaitGroup
		begin    = time.Now()
	)
	for range 16 {
		senders.Go(func() {
			for {
				due := begin.Add(time.Duration(next.Add(1)) * time.Second / podsPerSecond)
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(due)):
				}
				// Not ctx: what is under way when the load stops is still to succeed.
				request, done := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
				err := unlimited.Create(request, limitedPod(demo), client.DryRunAll)
				done()
				if err != nil {
					mutex.Lock()
					failures = append(failures, err.Error())
					mutex.Unlock()
				}
				created.Add(1)
			}
		})
	}
	stop = sync.OnceValues(func() (int64, []string) {
		cancel()
		senders.Wait()
		return created.Load(), failures
	})
	DeferCleanup(func() { stop() })
	return stop
}

// signalManagers sends a signal to the manager's process on every node.
func signalManagers(signal string) {
	GinkgoHelper()
	const script = `for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" != manager ] || kill -$0 "${p#/proc/}"; done`
	for _, node := range nodes(context.Background()) {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		var output bytes.Buffer
		cmd := exec.CommandContext(ctx, "docker", "exec", node.Name, "sh", "-c", script, signal)
		cmd.Stdout, cmd.Stderr = &output, &output
		err := cmd.Run()
		cancel()
		Expect(err).NotTo(HaveOccurred(), "sending %s to the managers of %s: %s", signal, node.Name, &output)
	}
}
