// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
	"podtrail.dev/podtrail/webhooks/verdict"
)

func trs(change ...func(*corev1.PodTemplateSpec)) *podtrailv1alpha1.TeachingReplicaSet {
	s := &podtrailv1alpha1.TeachingReplicaSet{}
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
			wantErrors: []string{`spec.template.spec.containers[0].name: Duplicate value: "app"`},
		},
		"a port that is none": {
			trs:        trs(app(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 70000}} })),
			wantErrors: []string{"containers[0].ports[0].containerPort: Invalid value: 70000"},
		},
		"a volume that does not exist": {
			trs:        trs(app(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "data"}} })),
			wantErrors: []string{`containers[0].volumeMounts[0].name: Not found: "data"`},
		},
		"a volume that exists": {
			trs: trs(app(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "data"}} }),
				func(s *corev1.PodTemplateSpec) { s.Spec.Volumes = []corev1.Volume{{Name: "data"}} }),
		},
		"more requested than allowed": {
			trs: trs(app(func(c *corev1.Container) {
				c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
			})),
			wantErrors: []string{`resources.requests[cpu]: Invalid value: "2": must not exceed the limit 1`},
		},
		"a negative limit": {
			trs:        trs(app(func(c *corev1.Container) { c.Resources = limits("-1") })),
			wantErrors: []string{`resources.limits[cpu]: Invalid value: "-1": must not be negative`},
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
			d := TeachingReplicaSet(tc.trs, tc.old)
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
