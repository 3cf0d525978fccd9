// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"podtrail.dev/podtrail/test/admission"
	"podtrail.dev/podtrail/webhooks/mutation"
)

// answer is what one column makes of one case; Pod is nil if it was refused.
type answer struct {
	admission.Result
	Pod *corev1.Pod
}

// TestAdmissionTable runs the cases of test/admission through the webhooks, the
// policies and both at once, on a real API server, beside the pure functions.
func TestAdmissionTable(t *testing.T) {
	table, err := admission.Pods()
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string][]answer{"pure": pureColumn(t, table)}
	for _, column := range []struct {
		name  string
		start []func(*testing.T)
	}{
		{"webhook", []func(*testing.T){func(t *testing.T) { startWebhooks(t) }}},
		{"policy", []func(*testing.T){installPolicies}},
		{"both", []func(*testing.T){installPolicies, func(t *testing.T) { startWebhooks(t) }}},
	} {
		// The subtest's end takes the column's configuration away.
		t.Run(column.name, func(t *testing.T) {
			for _, start := range column.start {
				start(t)
			}
			columns[column.name] = newColumn(t, table).answers(t)
		})
	}
	if t.Failed() {
		return
	}
	equal, documented := 0, 0
	for i := range table.Cases {
		c := &table.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			webhook := columns["webhook"][i]
			check(t, "webhook", c.Want, webhook.Result)
			check(t, "policy", c.Wanted(c.Policy), columns["policy"][i].Result)
			check(t, "both", c.Wanted(c.Both), columns["both"][i].Result)
			if c.Policy == nil {
				samePod(t, "policy", webhook.Pod, columns["policy"][i].Pod)
			}
			if c.Both == nil {
				samePod(t, "both", webhook.Pod, columns["both"][i].Pod)
			}
			if c.Pure == nil {
				check(t, "pure", c.Want, columns["pure"][i].Result)
				sameSidecar(t, c, webhook.Pod, columns["pure"][i].Pod)
			}
		})
		if c.Pure == nil && c.Policy == nil && c.Both == nil {
			equal++
		} else {
			documented++
		}
	}
	t.Logf("%d cases: %d answered alike by the functions, the webhooks, the policies and both at once; %d with a documented difference",
		len(table.Cases), equal, documented)
}

func check(t *testing.T, column string, want, got admission.Result) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s answers (-want +got):\n%s", column, diff)
	}
}

// samePod compares every field that does not follow from where and when the Pod was written.
func samePod(t *testing.T, column string, webhook, other *corev1.Pod) {
	t.Helper()
	if webhook == nil || other == nil {
		return // the results tell
	}
	ignored := cmp.Options{
		cmpopts.IgnoreFields(corev1.Pod{}, "Name", "Namespace", "UID", "ResourceVersion", "CreationTimestamp", "ManagedFields"),
		cmpopts.IgnoreFields(corev1.PodCondition{}, "LastTransitionTime"),
	}
	if diff := cmp.Diff(webhook, other, ignored); diff != "" {
		t.Errorf("the Pod differs (-webhook +%s):\n%s", column, diff)
	}
}

// sameSidecar: what the functions add is what is stored, but for the one field
// of the sidecar that they leave to the API server's defaults. A sidecar that
// came with the Pod is not theirs.
func sameSidecar(t *testing.T, c *admission.Case, webhook, pure *corev1.Pod) {
	t.Helper()
	stored, added := sidecarOf(webhook), sidecarOf(pure)
	if stored == nil || added == nil || strings.Contains(string(c.Pod), mutation.SidecarName) {
		return
	}
	stored = stored.DeepCopy()
	stored.TerminationMessagePath = ""
	if !equality.Semantic.DeepEqual(stored, added) {
		t.Errorf("the sidecar differs (-pure +webhook):\n%s", cmp.Diff(added, stored))
	}
}

func sidecarOf(pod *corev1.Pod) *corev1.Container {
	if pod == nil {
		return nil
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == mutation.SidecarName {
			return &pod.Spec.InitContainers[i]
		}
	}
	return nil
}

func pureColumn(t *testing.T, table *admission.Table) []answer {
	t.Helper()
	pure, err := admission.NewPure(table, "../../config/webhook")
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]answer, len(table.Cases))
	for i := range table.Cases {
		result, raw, err := pure.Run(&table.Cases[i])
		if err != nil {
			t.Fatalf("%s: %v", table.Cases[i].Name, err)
		}
		answers[i].Result = result
		if raw != nil {
			answers[i].Pod = podFrom(t, raw)
		}
	}
	return answers
}
