// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configure runs what cluster-up runs right before kind makes the nodes.
const configure = `node_image=podtrail/node:test built=true proxy_mode=nftables
	use_running_docker
	write_configuration
	kind create cluster
`

// shownKind stands in for kind and prints what of its environment matters.
const shownKind = `tool() { for v in HTTP_PROXY HTTPS_PROXY NO_PROXY no_proxy KIND_EXPERIMENTAL_PROVIDER KIND_EXPERIMENTAL_DOCKER_NETWORK; do echo "kind's $v=${!v-unset}"; done; }
`

func TestDockersSide(t *testing.T) {
	const lacking = "Name:\tsed\nCapBnd:\t000001fffeffffff\n"
	for name, tc := range map[string]struct {
		env   []string
		limit string
		caps  string
		lines string
		want  want
		// patched reports whether the configuration keeps the nodes' containerd from lowering OOM scores.
		patched bool
	}{
		"all is well": {
			want: want{says: []string{"kind's HTTP_PROXY=unset\n", "kind's NO_PROXY=unset\n"}, not: []string{"warning", "proxy "}},
		},
		"folders that Docker does not share": {
			env: []string{"FAKE_SEES=denied"},
			want: want{code: 1, says: []string{
				"error: Docker cannot see the files that the nodes need, below ", "Mounts denied", "share it with Docker (Docker Desktop: Settings, Resources, File sharing)", "PODTRAIL_CACHE",
			}},
		},
		"folders that are empty there": {
			env:  []string{"FAKE_SEES=nothing"},
			want: want{code: 1, says: []string{"error: Docker cannot see the files that the nodes need", "share it with Docker"}},
		},
		"a Docker on another machine": {
			env:  []string{"FAKE_SEES=nothing", "DOCKER_HOST=ssh://elsewhere"},
			want: want{code: 1, says: []string{"Docker runs on another machine (DOCKER_HOST=ssh://elsewhere)"}},
		},
		"a Docker from snap": {
			env:  []string{"FAKE_SEES=nothing", "FAKE_INFO_DockerRootDir=/var/snap/docker/common/var-lib-docker"},
			want: want{code: 1, says: []string{"Docker is from snap, which cannot read hidden folders: use Docker's own packages"}},
		},
		"a Docker that runs no container": {
			env:  []string{"FAKE_SEES=broken"},
			want: want{code: 1, says: []string{"error: Docker cannot run a privileged container of podtrail/node:test", "no such runtime"}},
		},
		"a full disk of a virtual machine": {
			env:  []string{"FAKE_DISK=2097152"},
			want: want{code: 1, says: []string{"error: 2.0 GiB are free on Docker's disk, three nodes need 4"}},
		},
		"a disk that is no number": {env: []string{"FAKE_DISK=-"}},
		"128 inotify instances": {
			limit: "128\n", lines: "id() { echo 1000; }; uname() { echo Linux; };",
			want: want{says: []string{"warning: Docker's machine allows root 128 inotify instances; three nodes need about 150", ": sudo sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288\n"}},
		},
		"128 inotify instances in colima": {
			limit: "128\n", env: []string{"FAKE_CONTEXT=colima"}, lines: "uname() { echo Darwin; };",
			want: want{says: []string{": colima ssh -- sudo sysctl -w fs.inotify.max_user_instances=512"}},
		},
		"a limit that is no number": {limit: "max\n", want: want{not: []string{"warning"}}},
		"nodes without CAP_SYS_RESOURCE": {
			caps: lacking, patched: true,
		},
		"no word of capabilities": {
			caps: "Name:\tsed\n", want: want{says: []string{`warning: Docker does not say what its privileged containers may do: CapBnd is ""`}},
		},
		"a proxy": {
			env: []string{"HTTP_PROXY=http://me:secret@proxy.example:3128", "NO_PROXY=example.org", "no_proxy=example.org"},
			want: want{
				says: []string{
					"the nodes get the proxy http://proxy.example:3128 of this shell", "kind's HTTP_PROXY=http://me:secret@proxy.example:3128\n",
					"kind's NO_PROXY=example.org,podtrail-registry,localhost,127.0.0.1\n", "kind's no_proxy=example.org,podtrail-registry,localhost,127.0.0.1\n",
				},
			},
		},
		"a proxy in small letters": {
			env:  []string{"https_proxy=http://127.0.0.1:9", "no_proxy=example.org"},
			want: want{says: []string{"the nodes get the proxy http://127.0.0.1:9 of this shell", "kind's NO_PROXY=example.org,podtrail-registry,localhost,127.0.0.1\n"}},
		},
		"a proxy in Docker's configuration": {
			env: []string{"FAKE_HTTP_PROXY=http://proxy.example:3128"},
			want: want{says: []string{
				"the nodes get the proxy http://proxy.example:3128 of Docker's configuration", "docker-config/config.json",
				"kind's HTTP_PROXY=http://proxy.example:3128\n", "kind's NO_PROXY=podtrail-registry,localhost,127.0.0.1\n",
			}},
		},
		"kind's settings in the user's shell": {
			env:  []string{"KIND_EXPERIMENTAL_PROVIDER=podman", "KIND_EXPERIMENTAL_DOCKER_NETWORK=mine"},
			want: want{says: []string{"kind's KIND_EXPERIMENTAL_PROVIDER=unset\n", "kind's KIND_EXPERIMENTAL_DOCKER_NETWORK=unset\n"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.set(tc.env...)
			m.write(t, "images", "podtrail/node:test="+m.env["FAKE_ARCH"]+"\n")
			if tc.limit != "" {
				m.write(t, "proc/sys/fs/inotify/max_user_instances", tc.limit)
			}
			if tc.caps != "" {
				m.write(t, "proc/self/status", tc.caps)
			}
			m.source(t, shownKind+tc.lines+configure).check(t, tc.want)
			if tc.want.code != 0 {
				return
			}
			checkConfiguration(t, m.read(t, "cache/clusters/podtrail/cluster.yaml"), filepath.Join(m.folder, "cache"), tc.patched)
		})
	}
}

func checkConfiguration(t *testing.T, configuration, cache string, patched bool) {
	t.Helper()
	if got := strings.Contains(configuration, "restrict_oom_score_adj = true\n"); got != patched {
		t.Errorf("restrict_oom_score_adj = true is in the configuration: %t, want %t", got, patched)
	}
	if !patched && strings.Contains(configuration, "restrict_oom_score_adj") {
		t.Error("the configuration overrides kind's own restrict_oom_score_adj")
	}
	if !strings.Contains(configuration, "hostPath: "+cache+"/clusters/podtrail/node/apiserver\n") {
		t.Error("the configuration mounts another folder than the one that was filled")
	}
	for line := range strings.Lines(configuration) {
		if strings.Contains(line, "@") && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			t.Errorf("not filled in: %s", line)
		}
	}
}

// TestInotifyInUse counts in a folder like /proc.
func TestInotifyInUse(t *testing.T) {
	m := newMachine(t)
	for name, target := range map[string]string{"1/fd/3": "anon_inode:inotify", "1/fd/4": "/dev/null", "20/fd/9": "anon_inode:inotify", "self/fd/3": "anon_inode:inotify"} {
		file := filepath.Join(m.folder, "proc", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, file); err != nil {
			t.Fatal(err)
		}
	}
	// Docker's files are here, and whoever runs the tests is root for once.
	m.set("FAKE_INFO_DockerRootDir=" + m.folder)
	const asRoot = `user=$(id -u); id() { echo 0; }; uname() { echo Linux; }; PROC=$FAKE_FOLDER/proc COUNTED_USER=$user; use_running_docker; `
	for name, tc := range map[string]struct {
		limit string
		want  want
	}{
		"enough":       {limit: "512"},
		"a low limit":  {limit: "128", want: want{says: []string{"allows root 128 inotify instances, 2 of them are in use", ": sysctl -w fs.inotify.max_user_instances=512"}}},
		"too few left": {limit: "512; INOTIFY_NEED=511; check_inotify 512", want: want{says: []string{"allows root 512 inotify instances, 2 of them", "max_user_instances=1024"}}},
	} {
		t.Run(name, func(t *testing.T) {
			m.source(t, asRoot+"check_inotify "+tc.limit).check(t, tc.want)
		})
	}
}
