// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

func trs(change ...func(*corev1.PodTemplateSpec)) *podtrailv1alpha1.TeachingReplicaSet {
	s := &podtrailv1alpha1.TeachingReplicaSet{}
	s.Spec.Selector.MatchLabels = map[string]string{"app": "web"}
	s.Spec.Template.Labels = map[string]string{"app": "web"}
	s.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "app", Resources: limits("1")}}
	for _, f := range change {
		f(&s.Spec.Template)
	}
	return s
}

func TestTeachingReplicaSet(t *testing.T) {
	app := func(change func(*corev1.Container)) func(*corev1.PodTemplateSpec) {
		return func(s *corev1.PodTemplateSpec) { change(&s.Spec.Containers[0]) }
	}
	cases := map[string]struct {
		trs, old     *podtrailv1alpha1.TeachingReplicaSet
		wantErrors   []string
		wantWarnings []string
	}{
		"a good template":      {trs: trs()},
		"no container":         {trs: trs(func(s *corev1.PodTemplateSpec) { s.Spec.Containers = nil }), wantErrors: []string{"spec.template.spec.containers: Required value"}},
		"no image":             {trs: trs(app(func(c *corev1.Container) { c.Image = "" })), wantErrors: []string{"spec.template.spec.containers[0].image: Required value"}},
		"a space in the image": {trs: trs(app(func(c *corev1.Container) { c.Image = "app " })), wantErrors: []string{`containers[0].image: Invalid value: "app "`}},
		"no name":              {trs: trs(app(func(c *corev1.Container) { c.Name = "" })), wantErrors: []string{"containers[0].name: Required value"}},
		"a name in capitals":   {trs: trs(app(func(c *corev1.Container) { c.Name = "App" })), wantErrors: []string{`containers[0].name: Invalid value: "App"`}},
		"an init container of the same name": {
			trs:        trs(func(s *corev1.PodTemplateSpec) { s.Spec.InitContainers = s.Spec.Containers }),
			wantErrors: []string{`spec.template.spec.initContainers[0].name: Duplicate value: "app"`},
		},
		"a port that is none": {
			trs:        trs(app(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 70000}} })),
			wantErrors: []string{"containers[0].ports[0].containerPort: Invalid value: 70000"},
		},
		"a volume that does not exist": {
			trs:        trs(app(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}} })),
			wantErrors: []string{`containers[0].volumeMounts[0].name: Not found: "data"`},
		},
		"a volume that exists": {
			trs: trs(app(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}} }),
				func(s *corev1.PodTemplateSpec) { s.Spec.Volumes = []corev1.Volume{{Name: "data"}} }),
		},
		"more requested than allowed": {
			trs: trs(app(func(c *corev1.Container) {
				c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
			})),
			wantErrors: []string{`resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`},
		},
		"a negative limit": {
			trs:        trs(app(func(c *corev1.Container) { c.Resources = limits("-1") })),
			wantErrors: []string{`resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0`},
		},
		"ephemeral containers": {
			trs: trs(func(s *corev1.PodTemplateSpec) {
				s.Spec.EphemeralContainers = []corev1.EphemeralContainer{{}}
			}),
			wantErrors: []string{"spec.template.spec.ephemeralContainers: Forbidden"},
		},
		"a label that is none": {
			trs:        trs(func(s *corev1.PodTemplateSpec) { s.Labels = map[string]string{"a b": "c"} }),
			wantErrors: []string{`spec.template.metadata.labels: Invalid value: "a b"`},
		},
		"several errors at once": {
			trs:        trs(app(func(c *corev1.Container) { c.Name, c.Image = "", "" })),
			wantErrors: []string{"containers[0].name: Required value", "containers[0].image: Required value"},
		},
		"no CPU limit: a warning": {
			trs:          trs(app(func(c *corev1.Container) { c.Resources = corev1.ResourceRequirements{} })),
			wantWarnings: []string{`spec.template: Pods will be refused by rule cpu-limits: container "app" has no CPU limit`},
		},
		"a changed template: a warning": {
			trs: trs(app(func(c *corev1.Container) { c.Image = "new" })), old: trs(),
			wantWarnings: []string{"spec.template: existing Pods keep the old template; delete them to have them made from the new one"},
		},
		"an update beside the template passes, even with a template from before the rule": {
			trs: trs(app(func(c *corev1.Container) { c.Image = "" })), old: trs(app(func(c *corev1.Container) { c.Image = "" })),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := DecideTeachingReplicaSet(TeachingReplicaSetRequest{Object: tc.trs, Old: tc.old})
			want := verdict.Allowed
			if len(tc.wantErrors) > 0 {
				want = verdict.Denied
			}
			if d.Verdict.Outcome != want {
				t.Errorf("outcome is %s, want %s: %s", d.Verdict.Outcome, want, d.Message)
			}
			for _, text := range tc.wantErrors {
				if !strings.Contains(d.Message, text) {
					t.Errorf("the message lacks %q:\n%s", text, d.Message)
				}
			}
			if lines := strings.Count(d.Message, "\n"); lines != len(tc.wantErrors) {
				t.Errorf("the message names %d errors, want %d:\n%s", lines, len(tc.wantErrors), d.Message)
			}
			if diff := cmp.Diff(tc.wantWarnings, d.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			for _, w := range d.Warnings {
				if len(w) > 120 {
					t.Errorf("warning of %d characters, at most 120 are shown: %s", len(w), w)
				}
			}
		})
	}
}

// TestOverlappingSelectors: one of two objects selects the Pods that the other makes.
func TestOverlappingSelectors(t *testing.T) {
	named := func(name string, selector metav1.LabelSelector, labels map[string]string) podtrailv1alpha1.TeachingReplicaSet {
		s := trs()
		s.Name, s.Spec.Selector, s.Spec.Template.Labels = name, selector, labels
		return *s
	}
	byLabel := func(key, value string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	has := func(key string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpExists}}}
	}
	web, webAndTier := map[string]string{"app": "web"}, map[string]string{"app": "web", "tier": "front"}
	leaving := named("leaving", byLabel("app", "web"), web)
	leaving.DeletionTimestamp = &metav1.Time{}
	overlap := func(name string) string {
		return "spec.selector: overlaps with trs/" + name + ": either can adopt an orphaned Pod of the other"
	}
	object := named("new", byLabel("app", "web"), webAndTier)

	cases := map[string]struct {
		old    *podtrailv1alpha1.TeachingReplicaSet
		others []podtrailv1alpha1.TeachingReplicaSet
		want   []string
	}{
		"alone":                       {},
		"itself in the cache":         {others: []podtrailv1alpha1.TeachingReplicaSet{object}},
		"another app":                 {others: []podtrailv1alpha1.TeachingReplicaSet{named("db", byLabel("app", "db"), map[string]string{"app": "db"})}},
		"the same selector":           {others: []podtrailv1alpha1.TeachingReplicaSet{named("twin", byLabel("app", "web"), web)}, want: []string{overlap("twin")}},
		"it selects our Pods only":    {others: []podtrailv1alpha1.TeachingReplicaSet{named("tier", has("tier"), map[string]string{"tier": "back"})}, want: []string{overlap("tier")}},
		"we select its Pods only":     {others: []podtrailv1alpha1.TeachingReplicaSet{named("narrow", byLabel("only", "its"), map[string]string{"app": "web", "only": "its"})}, want: []string{overlap("narrow")}},
		"an empty selector":           {others: []podtrailv1alpha1.TeachingReplicaSet{named("none", metav1.LabelSelector{}, map[string]string{"app": "db"})}},
		"one that is being deleted":   {others: []podtrailv1alpha1.TeachingReplicaSet{leaving}},
		"an update beside the labels": {old: &object, others: []podtrailv1alpha1.TeachingReplicaSet{named("twin", byLabel("app", "web"), web)}},
		"more than an answer should hold": {
			others: []podtrailv1alpha1.TeachingReplicaSet{
				named("a", byLabel("app", "web"), web), named("b", byLabel("app", "web"), web), named("c", byLabel("app", "web"), web),
				named("d", byLabel("app", "web"), web), named(strings.Repeat("e", 60), byLabel("app", "web"), web),
			},
			want: []string{overlap("a"), overlap("b"), overlap("c"), "spec.selector: overlaps with 2 more TeachingReplicaSets"},
		},
		"a long name": {
			others: []podtrailv1alpha1.TeachingReplicaSet{named(strings.Repeat("e", 60), byLabel("app", "web"), web)},
			want:   []string{overlap(strings.Repeat("e", 40))},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := DecideTeachingReplicaSet(TeachingReplicaSetRequest{Object: &object, Old: tc.old, Others: tc.others})
			if d.Denied() {
				t.Errorf("denied: %s", d.Message)
			}
			if diff := cmp.Diff(tc.want, d.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			for _, w := range d.Warnings {
				if len(w) > 120 {
					t.Errorf("warning of %d characters, at most 120 are shown: %s", len(w), w)
				}
			}
		})
	}
}

func TestSelectorThatCannotBeParsed(t *testing.T) {
	s := trs()
	s.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a b", Operator: metav1.LabelSelectorOpDoesNotExist}}
	d := DecideTeachingReplicaSet(TeachingReplicaSetRequest{Object: s})
	if want := `spec.selector.matchExpressions[0].key: Invalid value: "a b"`; !d.Denied() || !strings.Contains(d.Message, want) {
		t.Errorf("outcome is %s, want a refusal with %q:\n%s", d.Verdict.Outcome, want, d.Message)
	}
}
