// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/test/admission"
	"podtrail.dev/podtrail/test/wrappers"
)

// column runs the cases against the API server as it is configured now.
type column struct {
	table *admission.Table
	// namespaces maps the table's names to real ones.
	namespaces map[string]string
	clients    map[string]client.Client
	said       warnings
	// stored are the Pods that cases find, by the case's index.
	stored map[int]*unstructured.Unstructured
}

// newColumn makes the namespaces, stores the Pods that the cases find, and only
// then opts their namespace in.
func newColumn(t *testing.T, table *admission.Table) *column {
	t.Helper()
	c := &column{
		table: table, namespaces: map[string]string{}, clients: map[string]client.Client{},
		stored: map[int]*unstructured.Unstructured{},
	}
	for name, user := range table.Users {
		config := rest.CopyConfig(restConfig)
		config.WarningHandler = &c.said
		config.Impersonate = rest.ImpersonationConfig{UserName: user.Name, Groups: user.Groups}
		as, err := client.New(config, client.Options{Scheme: scheme})
		if err != nil {
			t.Fatalf("Making a client for %s: %v", name, err)
		}
		c.clients[name] = as
	}
	for name, labels := range table.Namespaces {
		c.namespaces[name] = c.namespace(t, name, labels)
	}
	for i := range table.Cases {
		c.store(t, i)
	}
	optInAndWait(t, c.namespaces["late"])
	return c
}

func (c *column) namespace(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	if name == metav1.NamespaceSystem || name == systemNamespace {
		optIn(t, name)
		return name
	}
	if name == "late" {
		labels = nil
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "table-", Labels: labels}}
	create(t.Context(), t, namespace)
	return namespace.Name
}

func (c *column) store(t *testing.T, i int) {
	t.Helper()
	tc := &c.table.Cases[i]
	raw, err := c.table.StoredPod(tc)
	if err != nil {
		t.Fatalf("%s: %v", tc.Name, err)
	}
	if raw == nil {
		return
	}
	obj := objectFrom(t, raw)
	obj.SetNamespace(c.namespaces[tc.Namespace])
	obj.SetName("")
	obj.SetGenerateName("stored-")
	create(t.Context(), t, obj)
	c.stored[i] = obj
}

func (c *column) answers(t *testing.T) []answer {
	t.Helper()
	answers := make([]answer, len(c.table.Cases))
	for i := range c.table.Cases {
		answers[i] = c.answer(t, i)
	}
	return answers
}

func (c *column) answer(t *testing.T, i int) answer {
	t.Helper()
	tc := &c.table.Cases[i]
	var stored json.RawMessage
	if c.stored[i] != nil {
		stored = rawFrom(t, c.stored[i])
	}
	sent, err := c.table.SentPod(tc, stored)
	if err != nil {
		t.Fatalf("%s: %v", tc.Name, err)
	}
	obj := objectFrom(t, sent)
	obj.SetNamespace(c.namespaces[tc.Namespace])
	if c.stored[i] == nil && obj.GetName() != "" {
		obj.SetName(fmt.Sprintf("case-%d", i)) // some cases are stored
	}
	c.said = nil
	var a answer
	switch err := c.send(t.Context(), tc, obj); {
	case err == nil:
		a.Verdict = admission.Allowed
		a.Pod = podFrom(t, rawFrom(t, obj))
		a.Describe(a.Pod)
	case apierrors.IsInvalid(err):
		a.Verdict = admission.Invalid
		return a // what was said before does not matter any more
	case apierrors.IsForbidden(err):
		a.Verdict, a.Message = admission.Denied, deniedBecause(err)
	default:
		t.Fatalf("%s: neither a verdict of a rule nor of the API server: %v", tc.Name, err)
	}
	a.Warnings = ownWarnings(c.said)
	return a
}

func (c *column) send(ctx context.Context, tc *admission.Case, obj *unstructured.Unstructured) error {
	as := c.clients[tc.As]
	switch tc.Operation {
	case admission.Create:
		if tc.Persist {
			return as.Create(ctx, obj)
		}
		return as.Create(ctx, obj, client.DryRunAll)
	case admission.Update:
		return as.Update(ctx, obj, client.DryRunAll)
	default:
		return as.SubResource(string(tc.Operation)).Update(ctx, obj, client.DryRunAll)
	}
}

// deniedBecause returns what a rule said, without the API server's words around it.
func deniedBecause(err error) string {
	message := err.Error()
	for _, before := range []string{"denied the request: ", "denied request: "} {
		if _, own, found := strings.Cut(message, before); found {
			return admission.Words(own)
		}
	}
	return message
}

var policyPrefix = regexp.MustCompile(`^Validation failed for ValidatingAdmissionPolicy '[^']+' with binding '[^']+': `)

// ownWarnings returns the project's own warnings, each once: the webhook and the
// policy say the same.
func ownWarnings(said warnings) []string {
	var own []string
	seen := map[string]bool{}
	for _, text := range said {
		text = policyPrefix.ReplaceAllString(text, "")
		if strings.HasPrefix(text, "podtrail ") && !seen[text] {
			own = append(own, text)
			seen[text] = true
		}
	}
	return own
}

// configurePolicy gives a policy what the functions get in these tests, as
// hack/deploy-policies.sh gives it what the manager gets.
func configurePolicy(t *testing.T, obj *unstructured.Unstructured) {
	t.Helper()
	values := map[string]string{
		"version": admission.Config.Version, "schedulerName": admission.Config.SchedulerName, "sidecarImage": admission.Config.SidecarImage,
	}
	variables, _, err := unstructured.NestedSlice(obj.Object, "spec", "variables")
	if err != nil {
		t.Fatal(err)
	}
	for i := range variables {
		variable, ok := variables[i].(map[string]any)
		if !ok {
			t.Fatalf("Variable %d of %s is no object", i, obj.GetName())
		}
		if value, ours := values[fmt.Sprint(variable["name"])]; ours {
			variable["expression"] = "'" + value + "'"
		}
	}
	if len(variables) == 0 {
		return
	}
	if err := unstructured.SetNestedSlice(obj.Object, variables, "spec", "variables"); err != nil {
		t.Fatal(err)
	}
}

// installPolicies applies config/policy and waits until all of it is in force.
// It goes when the test ends.
func installPolicies(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	namespaceOfProbes := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "probe-", Labels: map[string]string{podtrailv1alpha1.AdmissionLabelKey: podtrailv1alpha1.AdmissionEnabled},
	}}
	create(ctx, t, namespaceOfProbes)
	probe := namespaceOfProbes.Name
	// Cleanups run last first: this one begins when all is deleted.
	t.Cleanup(func() {
		gone := wrappers.MakePod(probe, "unlimited").Obj()
		gomega.NewWithT(t).Eventually(func() error { return k8sClient.Create(context.WithoutCancel(ctx), gone.DeepCopy(), dryRun) }).
			WithTimeout(eventually).WithPolling(poll).Should(gomega.Succeed(), "the policies are gone")
	})
	for _, obj := range readManifests(t, "policy/*.yaml") {
		configurePolicy(t, obj)
		create(ctx, t, obj)
		t.Cleanup(func() {
			if err := k8sClient.Delete(context.WithoutCancel(ctx), obj); err != nil {
				t.Errorf("Deleting %s %s: %v", obj.GetKind(), obj.GetName(), err)
			}
		})
	}
	await(t, "the policies are in force", func(ctx context.Context) error { return policiesInForce(ctx, t, probe) })
}

func policiesInForce(ctx context.Context, t *testing.T, namespace string) error {
	t.Helper()
	if err := k8sClient.Create(ctx, wrappers.MakePod(namespace, "unlimited").Obj(), dryRun); !apierrors.IsForbidden(err) {
		return fmt.Errorf("a Pod without a limit got %w", err)
	}
	c, said := clientWithWarnings(t)
	pod := limitedPod(namespace, "limited")
	if err := c.Create(ctx, pod, dryRun); err != nil {
		return err
	}
	if pod.Spec.SchedulerName != admission.Config.SchedulerName {
		return fmt.Errorf("schedulerName is %q", pod.Spec.SchedulerName)
	}
	if len(*said) == 0 {
		return fmt.Errorf("no notice about the missing port")
	}
	trs := wrappers.MakeTeachingReplicaSet(namespace, "web").Obj()
	*said = nil
	if err := c.Create(ctx, trs, dryRun); err != nil {
		return err
	}
	if trs.Spec.Template.Spec.RestartPolicy == "" || len(*said) == 0 {
		return fmt.Errorf("a TeachingReplicaSet got restartPolicy %q and %d warnings", trs.Spec.Template.Spec.RestartPolicy, len(*said))
	}
	trs.Spec.Template.Spec.Containers[0].Image = " "
	if err := c.Create(ctx, trs, dryRun); !apierrors.IsForbidden(err) {
		return fmt.Errorf("a TeachingReplicaSet without an image got %w", err)
	}
	return nil
}

func objectFrom(t *testing.T, raw json.RawMessage) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(raw); err != nil {
		t.Fatalf("Reading %s: %v", raw, err)
	}
	return obj
}

func rawFrom(t *testing.T, obj *unstructured.Unstructured) json.RawMessage {
	t.Helper()
	raw, err := obj.MarshalJSON()
	if err != nil {
		t.Fatalf("Writing %s: %v", obj.GetName(), err)
	}
	return raw
}

func podFrom(t *testing.T, raw json.RawMessage) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatalf("Reading %s: %v", raw, err)
	}
	return &pod
}
