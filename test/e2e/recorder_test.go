// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// secretive is a Pod that has a Secret in every place where a Pod can have one, and an environment value of its own.
const secretive = `
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {key: THE-SECRET}
---
apiVersion: v1
kind: Pod
metadata: {name: secretive}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: IMAGE
    args: ["proxy", "--listen=:8080", "--target=$(FROM_SECRET):80"]
    env:
    - {name: FROM_SECRET, valueFrom: {secretKeyRef: {name: hidden, key: key}}}
    - {name: PLAIN, value: PLAINVALUE}
    resources: {limits: {cpu: 100m, memory: 32Mi}}
    volumeMounts: [{name: hidden, mountPath: /hidden, readOnly: true}]
  volumes: [{name: hidden, secret: {secretName: hidden}}]
`

var _ = Describe("The recorders", func() {
	It("keep a Pod's evidence from every source, agree with the cluster, and show no Secret", func(ctx context.Context) {
		ns := namespace(ctx, map[string]string{"podtrail.dev/recording": "enabled"})
		secret, plain := "s3cret-"+rand.String(20), "plain-"+rand.String(20)
		apply(ns, strings.NewReplacer("THE-SECRET", secret, "PLAINVALUE", plain, "IMAGE", image).Replace(secretive)).succeeds()
		pod := &corev1.Pod{}
		Eventually(ctx, func(g Gomega) {
			g.Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: "secretive"}, pod)).To(Succeed())
			g.Expect(pod.Status.ContainerStatuses).NotTo(BeEmpty())
			g.Expect(pod.Status.ContainerStatuses[0].ContainerID).NotTo(BeEmpty(), "the container was started")
			g.Expect(pod.Status.PodIP).NotTo(BeEmpty())
		}).WithTimeout(soon).WithPolling(poll).Should(Succeed())

		token := strings.TrimSpace(kubectl("create", "token", "podtrail-viewer", "-n", system).succeeds())
		var bodies string
		found := map[string][]trail.Observation{}
		Eventually(ctx, func(g Gomega) { // exporters send every five seconds
			clear(found)
			bodies = ""
			for _, recorder := range podsOf(ctx, system, "recorder") {
				status, body := ask(ctx, &recorder, "/v1/records?namespace="+ns, token)
				g.Expect(status).To(Equal(http.StatusOK), body)
				bodies += body
				for _, o := range parsed(g, body) {
					if o.Subject.Name == "secretive" {
						found[o.Evidence.Source] = append(found[o.Evidence.Source], o)
					}
				}
			}
			for _, name := range []string{source.Audit, source.Span, source.Etcd, source.CNI, source.OCI} {
				g.Expect(found).To(HaveKey(name), "evidence of source %s", name)
			}
			g.Expect(facts(found[source.Etcd], trail.FactModRevision)).To(ContainElement(pod.ResourceVersion), "etcd's revision is the resourceVersion")
			g.Expect(facts(found[source.Span], "span")).To(ContainElements("syncPod", "cri.sandbox.run"), "kubelet's and containerd's spans in one trace")
		}).WithTimeout(soon).WithPolling(time.Second).Should(Succeed())

		Expect(facts(found[source.CNI], trail.FactAddress)).To(ContainElement(HavePrefix(pod.Status.PodIP + "/")))
		Expect(facts(found[source.OCI], trail.FactCPUQuota)).To(ContainElement("10000"), "a limit of 100m in every 100,000 µs")
		Expect(facts(found[source.OCI], trail.FactContainerID)).To(ContainElement(
			strings.TrimPrefix(pod.Status.ContainerStatuses[0].ContainerID, "containerd://")))
		for what, value := range map[string]string{"the Secret": secret, "an environment's value": plain} {
			Expect(strings.Contains(bodies, value)).To(BeFalse(), "%s is in a recording", what)
			Expect(strings.Contains(bodies, base64.StdEncoding.EncodeToString([]byte(value)))).To(BeFalse(), "%s is in a recording, in base64", what)
		}
	})

	It("can all read their sources, and have dropped nothing", func(ctx context.Context) {
		token := strings.TrimSpace(kubectl("create", "token", "podtrail-viewer", "-n", system).succeeds())
		for _, recorder := range podsOf(ctx, system, "recorder") {
			status, body := ask(ctx, &recorder, "/v1/sources", token)
			Expect(status).To(Equal(http.StatusOK), body)
			var statuses []source.Status
			Expect(json.Unmarshal([]byte(body), &statuses)).To(Succeed())
			Expect(len(statuses)).To(BeNumerically(">=", 3))
			for _, s := range statuses {
				Expect(s.LastError).To(BeEmpty(), "source %s on %s", s.Source, s.Node)
				Expect(s.Malformed).To(BeZero(), "source %s on %s", s.Source, s.Node)
			}
		}
	})

	It("answer nobody without the right", func(ctx context.Context) {
		recorder := podsOf(ctx, system, "recorder")[0]
		stranger := strings.TrimSpace(kubectl("create", "token", "default", "-n", system).succeeds())
		for token, want := range map[string]int{"": http.StatusUnauthorized, "junk": http.StatusUnauthorized, stranger: http.StatusForbidden} {
			for _, path := range []string{"/v1/records", "/v1/sources", "/metrics"} {
				status, _ := ask(ctx, &recorder, path, token)
				Expect(status).To(Equal(want), "GET %s", path)
			}
		}
	})

	// The host may have no route to the nodes, as with Docker Desktop; another node has one, and is an attacker's place.
	It("listen on no address of the node's but the loopback", func(ctx context.Context) {
		recorders := podsOf(ctx, system, "recorder")
		Expect(len(recorders)).To(BeNumerically(">", 1), "recorders, one on the node that is asked from")
		for i, recorder := range recorders {
			from := recorders[(i+1)%len(recorders)].Spec.NodeName
			Expect(reachable(from, recorder.Status.HostIP, "10250")).To(BeTrue(), "the kubelet of %s from %s, else this proves nothing", recorder.Spec.NodeName, from)
			for _, port := range recorder.Spec.Containers[0].Ports {
				Expect(reachable(from, recorder.Status.HostIP, decimal(port.ContainerPort))).To(BeFalse(), "port %s of %s from %s", port.Name, recorder.Name, from)
			}
		}
	})
})

// ask sends a request to a recorder through the API server's port-forward; an empty token sends none.
func ask(ctx context.Context, recorder *corev1.Pod, path, token string) (status int, body string) {
	GinkgoHelper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	Expect(err).NotTo(HaveOccurred())
	cluster, err := collect.New(config)
	Expect(err).NotTo(HaveOccurred())
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		raw, err := cluster.Dial(ctx, recorder.Namespace, recorder.Name, 10318)
		if err != nil {
			return nil, err
		}
		return tls.Client(raw, &tls.Config{InsecureSkipVerify: true}), nil // the tunnel is authenticated, see collect
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://recorder"+path, http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport, Timeout: commandTimeout}).Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(answer)
}

// parsed are the observations in an answer of records.
func parsed(g Gomega, body string) []trail.Observation {
	var all []trail.Observation
	lines := bufio.NewScanner(strings.NewReader(body))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var record source.Record
		g.Expect(json.Unmarshal(lines.Bytes(), &record)).To(Succeed())
		observations, err := source.Parse(record)
		g.Expect(err).NotTo(HaveOccurred())
		all = append(all, observations...)
	}
	g.Expect(lines.Err()).NotTo(HaveOccurred())
	return all
}

// facts are the values of all facts with that key.
func facts(observations []trail.Observation, key string) []string {
	var values []string
	for _, o := range observations {
		for _, fact := range o.Facts {
			if fact.Key == key {
				values = append(values, fact.Value)
			}
		}
	}
	return values
}

// reachable reports whether something accepts connections there from a node. bash opens the address of /dev/tcp itself.
func reachable(from, host, port string) bool {
	GinkgoHelper()
	return runPath("", "docker", "exec", from, "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port).code == 0
}

func decimal[N int32 | int64](n N) string { return strconv.FormatInt(int64(n), 10) }
