// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/mutation"
	"podtrail.dev/podtrail/webhooks/validation"
)

// Config is what the functions, the webhooks and the policies are all given.
var Config = mutation.Config{SidecarImage: "registry.example/proxy:1", SchedulerName: "podtrail-scheduler", Version: "test"}

// scope says when the API server asks a webhook, without its matchConditions:
// the functions hold to those by themselves.
type scope struct {
	Rules             []admissionregistrationv1.RuleWithOperations `json:"rules"`
	NamespaceSelector metav1.LabelSelector                         `json:"namespaceSelector"`
	ObjectSelector    metav1.LabelSelector                         `json:"objectSelector"`
}

// Pure runs cases through the functions.
type Pure struct {
	table            *Table
	mutate, validate scope
}

// NewPure reads the scopes from the folder config/webhook.
func NewPure(t *Table, configFolder string) (*Pure, error) {
	p := &Pure{table: t}
	for file, into := range map[string]*scope{"mutating.yaml": &p.mutate, "validating.yaml": &p.validate} {
		content, err := os.ReadFile(filepath.Join(configFolder, file))
		if err != nil {
			return nil, fmt.Errorf("reading the webhook configuration: %w", err)
		}
		var configuration struct {
			Webhooks []struct {
				Name string `json:"name"`
				scope
			} `json:"webhooks"`
		}
		if err := yaml.Unmarshal(content, &configuration); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		for _, hook := range configuration.Webhooks {
			if strings.HasSuffix(hook.Name, ".pods.podtrail.dev") {
				*into = hook.scope
			}
		}
		if len(into.Rules) == 0 {
			return nil, fmt.Errorf("%s holds no webhook for Pods", file)
		}
	}
	return p, nil
}

// Run decides the case and returns the Pod as it would be stored.
func (p *Pure) Run(c *Case) (Result, json.RawMessage, error) {
	stored, err := p.table.StoredPod(c)
	if err != nil {
		return Result{}, nil, err
	}
	sent, err := p.table.SentPod(c, stored)
	if err != nil {
		return Result{}, nil, err
	}
	result := Result{Verdict: Allowed}
	sent, result.Warnings, err = p.mutated(c, sent)
	if err != nil {
		return Result{}, nil, err
	}
	pod, err := decode(sent)
	if err != nil {
		return Result{}, nil, err
	}
	if p.asked(&p.validate, c, pod) {
		write := validation.PodRequest{Pod: pod, ByNode: slices.Contains(p.table.Users[c.As].Groups, "system:nodes")}
		if stored != nil {
			if write.Old, err = decode(stored); err != nil {
				return Result{}, nil, err
			}
		}
		if d := validation.PodCPULimits(write); d.Denied() {
			result.Verdict, result.Message = Denied, Words(d.Message)
			return result, nil, nil
		}
	}
	result.Describe(pod)
	return result, sent, nil
}

// mutated returns the Pod after the mutating webhook's patch.
func (p *Pure) mutated(c *Case, sent json.RawMessage) (json.RawMessage, []string, error) {
	pod, err := decode(sent)
	if err != nil || !p.asked(&p.mutate, c, pod) {
		return sent, nil, err
	}
	d := mutation.DecidePod(pod, Config)
	if len(d.Patches) == 0 {
		return sent, d.Warnings, nil
	}
	raw, err := json.Marshal(d.Patches)
	if err != nil {
		return nil, nil, fmt.Errorf("writing the patch: %w", err)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the patch: %w", err)
	}
	after, err := patch.Apply(sent)
	if err != nil {
		return nil, nil, fmt.Errorf("applying %s: %w", raw, err)
	}
	return after, d.Warnings, nil
}

// asked reports whether rules and selectors send the case's request.
func (p *Pure) asked(s *scope, c *Case, pod *corev1.Pod) bool {
	namespace := labels.Set{corev1.LabelMetadataName: c.Namespace}
	for key, value := range p.table.Namespaces[c.Namespace] {
		namespace[key] = value
	}
	operation, resource := admissionregistrationv1.Update, "pods"
	switch c.Operation {
	case Create:
		operation = admissionregistrationv1.Create
	case Update:
	default:
		resource += "/" + string(c.Operation)
	}
	matches := slices.ContainsFunc(s.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return slices.Contains(r.Operations, operation) && slices.Contains(r.Resources, resource)
	})
	return matches && selects(&s.NamespaceSelector, namespace) && selects(&s.ObjectSelector, labels.Set(pod.Labels))
}

func selects(selector *metav1.LabelSelector, set labels.Set) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(set)
}

// Describe notes what became of the Pod.
func (r *Result) Describe(pod *corev1.Pod) {
	r.Scheduler, r.Record = pod.Spec.SchedulerName, pod.Annotations[podtrailv1alpha1.InjectedAnnotationKey]
	if r.Scheduler == "" {
		r.Scheduler = corev1.DefaultSchedulerName
	}
	for i := range pod.Spec.InitContainers {
		r.Init = append(r.Init, pod.Spec.InitContainers[i].Name)
	}
}

// Words makes white space equal.
func Words(message string) string { return strings.Join(strings.Fields(message), " ") }

// decode reads a Pod as the API server and the webhooks do, field names with their case.
func decode(raw json.RawMessage) (*corev1.Pod, error) {
	var pod corev1.Pod
	if err := utiljson.Unmarshal(raw, &pod); err != nil {
		return nil, fmt.Errorf("reading the Pod: %w", err)
	}
	return &pod, nil
}
