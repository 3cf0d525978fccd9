// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClusterIsNotRemoved: only the user removes a cluster that was complete.
func TestClusterIsNotRemoved(t *testing.T) {
	const reuse = `
		mkdir -p "$FAKE_FOLDER/hack"
		printf '#!/bin/sh\necho "cluster-down $*"\n' >"$FAKE_FOLDER/hack/cluster-down.sh"
		chmod +x "$FAKE_FOLDER/hack/cluster-down.sh"
		ROOT=$FAKE_FOLDER
		kubectl() { echo "the connection was refused" >&2; return 1; }
		if reuse_cluster; then echo reused; else echo "none now"; fi
	`
	nodes := "FAKE_NODES=podtrail-control-plane podtrail-worker podtrail-worker2"
	for name, tc := range map[string]struct {
		env      []string
		complete bool
		lines    string
		want     want
	}{
		"there is none": {lines: reuse, want: want{says: []string{"none now"}, not: []string{"cluster-down"}}},
		"it cannot be repaired": {
			env: []string{nodes, "FAKE_START=Error response from daemon: no space left on device"}, complete: true, lines: reuse,
			want: want{code: 1, says: []string{
				"the cluster podtrail is not usable: ", "no space left on device",
				"error: the cluster podtrail could not be repaired: the registry podtrail-registry does not run. It is left as it is. To start over, which deletes all that is in it: make cluster-down cluster-up\n",
			}, not: []string{"cluster-down --keep", "none now"}},
		},
		"another name": {
			env: []string{nodes, "CLUSTER_NAME=podtrail", "FAKE_START=no"}, complete: true, lines: "CLUSTER_NAME=two;" + reuse,
			want: want{code: 1, says: []string{"make cluster-down cluster-up CLUSTER_NAME=two\n"}},
		},
		"it can be repaired": {
			env: []string{nodes}, complete: true, lines: "repair() { true; };" + reuse,
			want: want{says: []string{"reused"}, not: []string{"cluster-down"}},
		},
		"an earlier cluster-up did not finish": {
			env: []string{nodes}, lines: reuse,
			want: want{says: []string{"an earlier cluster-up of podtrail did not finish, so nothing of yours is in it: removing it and starting over\ncluster-down --keep-docker\n", "none now"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set(tc.env...)
			if tc.complete {
				m.write(t, "cache/clusters/podtrail/complete", "")
			}
			m.source(t, tc.lines).check(t, tc.want)
			if calls := m.read(t, "calls"); strings.Contains(calls, "rm ") {
				t.Errorf("docker removed something:\n%s", calls)
			}
			if _, err := os.Stat(filepath.Join(m.folder, "cache/clusters/podtrail/complete")); tc.complete && err != nil {
				t.Errorf("the cluster's state is gone: %v", err)
			}
		})
	}
}

// TestKubeletsReportAfter: the nodes' clock may be hours behind this machine's, as a virtual machine's after sleep.
func TestKubeletsReportAfter(t *testing.T) {
	const before = "a 2020-01-01T08:00:00.5Z\nb 2020-01-01T08:00:01.5Z\nc 2020-01-01T08:00:02.5Z"
	for name, tc := range map[string]struct {
		now  string
		want want
	}{
		"all have":                  {now: "a 2020-01-01T08:00:10.5Z\nb 2020-01-01T08:00:11.5Z\nc 2020-01-01T08:00:12.5Z"},
		"one is silent":             {now: "a 2020-01-01T08:00:10.5Z\nb 2020-01-01T08:00:01.5Z\nc 2020-01-01T08:00:12.5Z", want: want{code: 1, says: []string{"silent: b"}}},
		"none has":                  {now: before, want: want{code: 1, says: []string{"silent: a b c"}}},
		"nobody answers":            {now: "", want: want{code: 1, says: []string{"the API server does not answer"}}},
		"a clock that was put back": {now: "a 2019-12-31T08:00:10.5Z\nb 2019-12-31T08:00:11.5Z\nc 2019-12-31T08:00:12.5Z"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set("NOW="+tc.now, "BEFORE="+before)
			m.source(t, `kubectl() { [ -n "$NOW" ] && echo "$NOW"; }; kubelets_report_after "$BEFORE"`).check(t, tc.want)
		})
	}
}

// TestForeignDaemonIsLeft: a normal user of the docker group may use the daemon that root started, but not end it.
func TestForeignDaemonIsLeft(t *testing.T) {
	m := newMachine(t)
	m.write(t, "run/docker.pid", "4242\n")
	m.source(t, `
		OWN_DOCKER_RUN=$FAKE_FOLDER/run
		own_docker_runs() { true; }
		kill() { return 1; }
		stop_own_docker
	`).check(t, want{says: []string{"podtrail's Docker daemon goes on: another user started it (process 4242)\n"}})
	if m.read(t, "run/docker.pid") == "" {
		t.Error("the daemon's files are gone")
	}
}
