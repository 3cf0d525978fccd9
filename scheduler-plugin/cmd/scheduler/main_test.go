// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/config"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	schedulerapi "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/utils/ptr"

	"podtrail.dev/podtrail/scheduler-plugin/imagezone"
)

const (
	configFile  = "../../../config/scheduler/scheduler-config.yaml"
	profileName = "podtrail-scheduler"
	plainName   = "podtrail-scheduler-plain"
)

// setUp builds the scheduler from a configuration file as the command does. It opens no connection: nothing is
// listening at the API server's address.
func setUp(t *testing.T, configuration []byte) (*config.CompletedConfig, *scheduler.Scheduler, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, configuration, 0o600); err != nil {
		t.Fatalf("Writing %s: %v", path, err)
	}
	opts := options.NewOptions()
	if err := opts.Flags.FlagSet("misc").Parse([]string{"--config=" + path, "--master=https://127.0.0.1:1"}); err != nil {
		t.Fatalf("Parsing flags: %v", err)
	}
	if err := opts.Flags.FlagSet("secure serving").Parse([]string{"--secure-port=0"}); err != nil {
		t.Fatalf("Parsing flags: %v", err)
	}
	return app.Setup(klog.NewContext(t.Context(), klog.Background()), opts, withPlugins)
}

func readConfig(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(configFile)
	if err != nil {
		t.Fatalf("Reading the configuration that is deployed: %v", err)
	}
	return content
}

func TestDeployedConfiguration(t *testing.T) {
	completed, sched, err := setUp(t, readConfig(t))
	if err != nil {
		t.Fatalf("Setting up the scheduler: %v", err)
	}

	t.Run("has a profile with the plugins and one without, under names of its own", func(t *testing.T) {
		if diff := cmp.Diff([]string{profileName, plainName}, slices.Sorted(maps.Keys(sched.Profiles))); diff != "" {
			t.Errorf("Profiles (-want +got):\n%s", diff)
		}
	})
	t.Run("adds ImageZone to upstream's plugins", func(t *testing.T) {
		wantWeights := map[string]int32{
			"TaintToleration": 3, "NodeAffinity": 2, "NodeResourcesFit": 1, "PodTopologySpread": 2, "InterPodAffinity": 2,
			"NodeResourcesBalancedAllocation": 1, "ImageLocality": 1, "DynamicResources": 2, "VolumeBinding": 1,
		}
		if diff := cmp.Diff(wantWeights, scoreWeights(sched, plainName)); diff != "" {
			t.Errorf("Score plugins of the plain profile (-want +got):\n%s", diff)
		}
		wantWeights[imagezone.Name] = 3
		if diff := cmp.Diff(wantWeights, scoreWeights(sched, profileName)); diff != "" {
			t.Errorf("Score plugins (-want +got):\n%s", diff)
		}
	})
	t.Run("lets ImageZone filter in its own profile only", func(t *testing.T) {
		for profile, want := range map[string]bool{profileName: true, plainName: false} {
			got := slices.ContainsFunc(sched.Profiles[profile].ListPlugins().Filter.Enabled, func(plugin schedulerapi.Plugin) bool {
				return plugin.Name == imagezone.Name
			})
			if got != want {
				t.Errorf("ImageZone filters in %s: %t, want %t", profile, got, want)
			}
		}
	})
	t.Run("takes a Lease that no other scheduler takes", func(t *testing.T) {
		election := completed.ComponentConfig.LeaderElection
		got := []any{election.LeaderElect, election.ResourceLock, election.ResourceNamespace, election.ResourceName}
		if diff := cmp.Diff([]any{true, "leases", "podtrail-system", "podtrail-scheduler"}, got); diff != "" {
			t.Errorf("Leader election (-want +got):\n%s", diff)
		}
	})
	t.Run("signs Pods for batching unless their siblings count", func(t *testing.T) {
		pod := &corev1.Pod{Spec: corev1.PodSpec{SchedulerName: profileName, Containers: []corev1.Container{{Image: "nginx"}}}}
		if sched.Profiles[profileName].SignPod(t.Context(), pod) == nil {
			t.Errorf("A Pod without a controller is not signed, so it is never scheduled in a batch")
		}
		pod.OwnerReferences = []metav1.OwnerReference{{UID: types.UID("web"), Controller: ptr.To(true)}}
		if signature := sched.Profiles[profileName].SignPod(t.Context(), pod); signature != nil {
			t.Errorf("A Pod whose siblings are counted is signed: %s", signature)
		}
		if sched.Profiles[plainName].SignPod(t.Context(), pod) == nil {
			t.Errorf("A Pod of the plain profile is not signed, so it is never scheduled in a batch")
		}
	})
}

func scoreWeights(sched *scheduler.Scheduler, profile string) map[string]int32 {
	weights := map[string]int32{}
	for _, plugin := range sched.Profiles[profile].ListPlugins().Score.Enabled {
		weights[plugin.Name] = plugin.Weight
	}
	return weights
}

func TestConfigurationThatIsRefused(t *testing.T) {
	tests := map[string]struct {
		old, new string
		wantErr  []string
	}{
		"a weight out of range": {
			old: "zoneWeight: 2", new: "zoneWeight: 200",
			wantErr: []string{profileName, "pluginConfig[ImageZone].args.zoneWeight", "200", "from 0 to 100"},
		},
		"a misspelt argument": {
			old: "zoneWeight: 2", new: "zoneWieght: 2",
			wantErr: []string{profileName, "pluginConfig[ImageZone].args", "zoneWieght"},
		},
		"a plugin that is not linked in": {
			old: "- name: ImageZone\n        #", new: "- name: ImageZoo\n        #",
			wantErr: []string{"ImageZoo"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			content := string(readConfig(t))
			if strings.Count(content, tc.old) != 1 {
				t.Fatalf("The configuration has %q %d times, the test needs it once", tc.old, strings.Count(content, tc.old))
			}
			_, _, err := setUp(t, []byte(strings.Replace(content, tc.old, tc.new, 1)))
			if err == nil {
				t.Fatalf("No error, want one that names %q", tc.wantErr)
			}
			for _, want := range tc.wantErr {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Error %q does not name %q", err, want)
				}
			}
		})
	}
}
