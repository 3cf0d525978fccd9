// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/recorder/etcdwatch"
	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/recorder/otlp"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// runUntilTheEnd runs a source of the recorder until the test ends.
func runUntilTheEnd(t *testing.T, start func(context.Context) error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- start(t.Context()) }()
	t.Cleanup(func() { must(t, <-ended) })
}

// observationsOf parses all that a store keeps.
func observationsOf(g Gomega, kept *evidence.Store) []trail.Observation {
	var all []trail.Observation
	for record := range kept.Records(func(buffer.About) bool { return true }) {
		observations, err := source.Parse(record)
		g.Expect(err).NotTo(HaveOccurred(), "%s", record.Data)
		all = append(all, observations...)
	}
	return all
}

// TestRecorderTakesSpansFromARealExporter sends what a kubelet and containerd send, through OpenTelemetry's own SDK.
func TestRecorderTakesSpansFromARealExporter(t *testing.T) {
	const address = "127.0.0.1:14317"
	kept := evidence.New(source.Span, "n", 1<<20)
	receiver, err := otlp.New(address, 1<<20, kept)
	must(t, err)
	runUntilTheEnd(t, receiver.Start)

	exporter, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())
	must(t, err)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(sdkresource.NewSchemaless(attribute.String("service.name", "kubelet"))))
	tracer := provider.Tracer("test")
	ctx, sync := tracer.Start(t.Context(), "syncPod")
	sync.SetAttributes(attribute.String("k8s.pod.uid", "u"), attribute.String("k8s.pod.name", "p"), attribute.String("k8s.namespace.name", "demo"))
	_, run := tracer.Start(ctx, "runtime.v1.RuntimeService/RunPodSandbox")
	run.End()
	sync.End()
	_, other := tracer.Start(t.Context(), "Containers/GarbageCollect")
	other.End()
	must(t, provider.Shutdown(t.Context()))

	NewWithT(t).Eventually(func(g Gomega) {
		observations := observationsOf(g, kept)
		g.Expect(observations).To(HaveLen(2))
		for _, o := range observations {
			g.Expect(o.Subject).To(Equal(trail.Subject{Kind: "Pod", Namespace: "demo", Name: "p", UID: "u"}))
		}
		g.Expect(observations[0].Keys.Parent).To(Equal(observations[1].Keys.Span), "RunPodSandbox is inside of syncPod")
		g.Expect(kept.Status().Filtered).To(BeEquivalentTo(1))
	}).WithTimeout(recorderWait).Should(Succeed())
}

// TestRecorderWatchesEtcd compares what the recorder saw in etcd with what the API server says, and looks that nothing
// can be written there.
func TestRecorderWatchesEtcd(t *testing.T) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "etcd-", Labels: map[string]string{etcdwatch.RecordingLabel: etcdwatch.RecordingEnabled}}}
	other := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "etcd-other-"}}
	create(t.Context(), t, ns, other)
	before := podWithSecret(ns.Name, "before")
	create(t.Context(), t, before)

	stored, renewed := evidence.New(source.Etcd, "n", 8<<20), evidence.New(source.Lease, "n", 1<<20)
	watcher, err := etcdwatch.New(etcdwatch.Config{Endpoint: etcdURL}, "/registry", stored, renewed)
	must(t, err)
	runUntilTheEnd(t, watcher.Start)
	g := NewWithT(t)
	g.Eventually(func(g Gomega) {
		g.Expect(revisionsOf(observationsOf(g, stored), before)).To(HaveKey(before.ResourceVersion), "what was there before is known")
	}).WithTimeout(recorderWait).Should(Succeed())

	after, quiet := podWithSecret(ns.Name, "after"), podWithSecret(other.Name, "quiet")
	create(t.Context(), t, after, quiet)
	versions := []string{after.ResourceVersion}
	after.Labels = map[string]string{"step": "2"}
	must(t, k8sClient.Update(t.Context(), after))
	versions = append(versions, after.ResourceVersion)
	must(t, k8sClient.Delete(t.Context(), after, client.GracePeriodSeconds(0)))

	var observations []trail.Observation
	g.Eventually(func(g Gomega) {
		observations = observationsOf(g, stored)
		seen := revisionsOf(observations, after)
		g.Expect(seen).To(ContainElement(HaveField("Summary", HavePrefix("key deleted"))), "the deletion, with the UID of what is gone")
		for _, version := range versions {
			g.Expect(seen).To(HaveKey(version), "the resourceVersion that the API server told")
		}
		g.Expect(revisionsOf(observations, quiet)).To(HaveLen(1))
	}).WithTimeout(recorderWait).Should(Succeed())
	for _, o := range observations {
		if value, kept := o.Fact(trail.FactStoredValue); o.Subject.Name == "quiet" && kept {
			t.Errorf("a namespace that did not opt in has its value kept: %s", value)
		}
	}
	value, _ := revisionsOf(observations, after)[versions[1]].Fact(trail.FactStoredValue)
	if !strings.Contains(value, `"step":"2"`) {
		t.Errorf("the value of revision %s is %q, want what was stored", versions[1], value)
	}
	for record := range stored.Records(func(buffer.About) bool { return true }) {
		if strings.Contains(string(record.Data), passphrase) {
			t.Errorf("the recording holds the value that no recording may hold: %s", record.Data)
		}
	}
}

func podWithSecret(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "app", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: passphrase}},
		}}},
	}
}

// revisionsOf are the observations of an object by the resourceVersion that they show.
func revisionsOf(observations []trail.Observation, of client.Object) map[string]trail.Observation {
	out := map[string]trail.Observation{}
	for _, o := range observations {
		if o.Subject.UID == string(of.GetUID()) {
			out[o.Keys.ResourceVersion] = o
		}
	}
	return out
}

// TestRecorderCannotWriteToEtcd calls etcd's writing methods through the recorder's own client.
func TestRecorderCannotWriteToEtcd(t *testing.T) {
	reader, err := etcdwatch.Connect(etcdwatch.Config{Endpoint: etcdURL})
	must(t, err)
	defer func() { must(t, reader.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), recorderWait)
	defer cancel()
	for name, write := range map[string]func() error{
		"put":    func() error { _, err := reader.Put(ctx, "/registry/podtrail-test", "x"); return err },
		"delete": func() error { _, err := reader.Delete(ctx, "/registry/", clientv3.WithPrefix()); return err },
		"transaction": func() error {
			_, err := reader.Txn(ctx).Then(clientv3.OpPut("/registry/podtrail-test", "x")).Commit()
			return err
		},
		"compaction": func() error { _, err := reader.Compact(ctx, 1); return err },
		"lease":      func() error { _, err := reader.Grant(ctx, 60); return err },
		"membership": func() error { _, err := reader.MemberRemove(ctx, 1); return err },
		"defragment": func() error { _, err := reader.Defragment(ctx, etcdURL); return err },
	} {
		if err := write(); err == nil || !strings.Contains(err.Error(), "only reads") {
			t.Errorf("%s: error %v, want it refused in this process", name, err)
		}
	}
	answer, err := reader.Get(ctx, "/registry/podtrail-test")
	must(t, err)
	if answer.Count != 0 {
		t.Error("a key was written")
	}
}
