// SPDX-License-Identifier: Apache-2.0

package mutation

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

const generatedPods = 10_000

// TestPodIsIdempotentAndDropsNothing decides about generated Pods, in JSON with fields that no Go type knows. The
// patched Pod needs no second patch, and taking the additions away yields the Pod as it was.
func TestPodIsIdempotentAndDropsNothing(t *testing.T) {
	mutated := 0
	for seed := range uint64(generatedPods) {
		before := randomPod(rand.New(rand.NewPCG(seed, 1)))
		raw, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		first := DecidePod(typed(t, raw), testConfig)
		after := applyRaw(t, raw, first)
		if again := DecidePod(typed(t, after), testConfig); len(again.Patches) > 0 {
			t.Fatalf("seed %d: the second pass patches %v\nfirst: %v\nPod: %s", seed, again.Patches, first.Patches, raw)
		}
		var got map[string]any
		if err := json.Unmarshal(after, &got); err != nil {
			t.Fatal(err)
		}
		for _, path := range missing("", generic(t, raw), got) {
			t.Fatalf("seed %d: %s is lost or changed\nbefore: %s\nafter: %s", seed, path, raw, after)
		}
		if len(first.Patches) > 0 {
			mutated++
		}
	}
	if mutated < generatedPods/2 {
		t.Fatalf("only %d of %d generated Pods were mutated: the generator no longer reaches the code", mutated, generatedPods)
	}
}

func typed(t *testing.T, raw []byte) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

func generic(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// mayChange are the fields that the webhook is there to change.
var mayChange = map[string]bool{
	"/spec/schedulerName": true,
	"/metadata/annotations/" + podtrailv1alpha1.InjectedAnnotationKey: true,
}

// missing lists the paths of before whose value is absent from after or differs.
func missing(path string, before, after any) []string {
	switch b := before.(type) {
	case nil:
		return nil // null says as much as an absent field
	case map[string]any:
		a, ok := after.(map[string]any)
		if !ok {
			return []string{path}
		}
		var lost []string
		for key, value := range b {
			if at := path + "/" + key; !mayChange[at] {
				lost = append(lost, missing(at, value, a[key])...)
			}
		}
		return lost
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) < len(b) {
			return []string{path}
		}
		var lost []string
		for i := range b {
			lost = append(lost, missing(fmt.Sprintf("%s/%d", path, i), b[i], a[i])...)
		}
		return lost
	default:
		if !reflect.DeepEqual(before, after) {
			return []string{path}
		}
		return nil
	}
}

func randomPod(r *rand.Rand) map[string]any {
	chance := func(percent int) bool { return r.IntN(100) < percent }
	pick := func(values ...any) any { return values[r.IntN(len(values))] }
	strange := func(m map[string]any) map[string]any {
		if chance(50) {
			m["fieldOfAnotherVersion"] = map[string]any{"deep": []any{r.IntN(9), nil, "x"}}
		}
		return m
	}
	containers := func(prefix string, least int) []any {
		var list []any
		for i := range least + r.IntN(3) {
			c := map[string]any{"name": fmt.Sprintf("%s%d", prefix, i), "image": "i"}
			if chance(5) {
				c["name"] = SidecarName
			}
			if chance(70) {
				port := map[string]any{"containerPort": pick(80, 8080, int(SidecarPort)), "protocol": pick("TCP", "UDP", "SCTP")}
				c["ports"] = []any{strange(port)}
			}
			list = append(list, strange(c))
		}
		return list
	}
	metadata := map[string]any{"generateName": "p-"}
	if chance(60) {
		annotations := map[string]any{}
		if chance(50) {
			annotations["a/b~c"] = "kept"
		}
		if chance(30) {
			annotations[podtrailv1alpha1.InjectedAnnotationKey] = pick("", "true", `{"sidecar":"podtrail-proxy"}`, `{"version":7}`)
		}
		metadata["annotations"] = annotations
	}
	if chance(20) {
		metadata["labels"] = map[string]any{podtrailv1alpha1.AdmissionLabelKey: pick("enabled", "disabled")}
	}
	spec := map[string]any{"containers": containers("c", 1)}
	if chance(50) {
		spec["initContainers"] = containers("i", 0)
	}
	if chance(80) {
		spec["schedulerName"] = pick("default-scheduler", "podtrail-scheduler", "other", "")
	}
	if chance(5) {
		spec["hostNetwork"] = true
	}
	if chance(5) {
		spec["nodeName"] = "worker"
	}
	if chance(20) {
		spec["resources"] = map[string]any{"limits": map[string]any{"cpu": "1"}}
	}
	return strange(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": strange(metadata), "spec": strange(spec)})
}
