// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"cmp"
	"net"
	"strconv"
	"testing"
)

// TestRefusedMachines runs hack/cluster-up.sh itself on machines on which it must end before it changes anything.
func TestRefusedMachines(t *testing.T) {
	foreign := []string{"FAKE_NODES=podtrail-control-plane"}
	for name, tc := range map[string]struct {
		env  []string
		want want
	}{
		"docker is podman's shim": {
			env:  []string{"FAKE_VERSION=podman version 5.4.2"},
			want: want{code: 1, says: []string{"error: docker is podman here, which is not supported: podtrail needs Docker Engine"}},
		},
		"podman answers behind Docker's own command": {
			env:  []string{"FAKE_COMPONENTS=Podman Engine Conmon"},
			want: want{code: 1, says: []string{"error: docker is podman here, which is not supported"}},
		},
		"a virtual machine with 2 GiB": {
			env:  []string{"FAKE_INFO_MemTotal=2060000000"},
			want: want{code: 1, says: []string{"Docker has 1964 MiB of memory", "colima start --cpu 4 --memory 6", ".wslconfig"}},
		},
		"a cluster that podtrail did not make": {
			env:  foreign,
			want: want{code: 1, says: []string{"a kind cluster named podtrail exists that podtrail did not make: delete it (kind delete cluster --name podtrail)"}},
		},
		"a memory that is no number": {
			env:  append([]string{"FAKE_INFO_MemTotal=<no value>"}, foreign...),
			want: want{code: 1, says: []string{`warning: docker info gives "<no value>" for Docker's memory`, "that podtrail did not make"}},
		},
		"an architecture that is no word": {
			env:  []string{"FAKE_ARCH=<no value>"},
			want: want{code: 1, says: []string{`docker version gives "<no value>" for the architecture of Docker's machine, want for example amd64`}},
		},
		"rootless Docker on cgroup v1": {
			env:  []string{"FAKE_INFO_SecurityOptions=[name=seccomp,profile=builtin name=rootless]", "FAKE_INFO_CgroupVersion=1"},
			want: want{code: 1, says: []string{"Docker is rootless and on cgroup v1"}},
		},
		"rootless Docker that may not limit": {
			env:  []string{"FAKE_INFO_SecurityOptions=[name=rootless]", "FAKE_INFO_CPUShares=false"},
			want: want{code: 1, says: []string{"Docker is rootless and may not limit", "Delegate=yes"}},
		},
		"rootless Docker that kind takes": {
			env:  append([]string{"FAKE_INFO_SecurityOptions=[name=rootless]"}, foreign...),
			want: want{code: 1, says: []string{"warning: Docker is rootless: nobody has tested podtrail with it"}, not: []string{"  - Docker is rootless"}},
		},
		"a registry port that is none": {
			env:  []string{"REGISTRY_PORT=http"},
			want: want{code: 1, says: []string{"REGISTRY_PORT=http: want the number of a free port"}},
		},
		"a node image from nowhere": {
			env:  []string{"NODE_IMAGE=Pull"},
			want: want{code: 1, says: []string{"NODE_IMAGE=Pull: want auto, pull or build"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set(tc.env...)
			// Should it not end there, it must not go on to build.
			m.script(t, "go", "#!/bin/sh\n[ \"$1\" = env ] || { echo \"it went on to: go $*\"; exit 96; }\necho go1.99.0\n")
			m.run(t, repositoryRoot(t), "bash", "hack/cluster-up.sh").check(t, tc.want)
		})
	}
}

func TestNoDocker(t *testing.T) {
	const root = "can_install_packages() { true; }; "
	for name, tc := range map[string]struct {
		info  string
		lines string
		want  want
	}{
		"a user who may not use it": {
			info: "denied", lines: "can_install_packages() { false; }; connect_docker",
			want: want{code: 1, says: []string{"error: your user may not use Docker: sudo usermod -aG docker $USER"}},
		},
		"a user without rights to install": {
			lines: "can_install_packages() { false; }; connect_docker",
			want:  want{code: 1, says: []string{"error: no Docker daemon answers: install and start Docker Engine or Docker Desktop"}},
		},
		"root on Debian": {
			lines: root + `WSL_FOLDER="$FAKE_FOLDER/none"; connect_docker`,
			want:  want{code: 97, says: []string{"would install: dockerd=docker.io"}},
		},
		"root in WSL, where Docker Desktop may be stopped": {
			lines: root + `WSL_FOLDER=$FAKE_FOLDER; connect_docker`,
			want:  want{code: 1, says: []string{"no Docker daemon answers in this WSL: start Docker Desktop"}, not: []string{"would install"}},
		},
		"root in WSL, by the preconditions": {
			lines: root + `WSL_FOLDER=$FAKE_FOLDER; check_preconditions`,
			want:  want{code: 1, says: []string{"no Docker daemon answers in this WSL: start Docker Desktop"}, not: []string{"would install"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set("FAKE_INFO=" + cmp.Or(tc.info, "down"))
			m.source(t, tc.lines).check(t, tc.want)
		})
	}
}

// TestFreeDisk plays df as well: 8 GiB are asked for, and 16 only where a node image is sure to be built.
func TestFreeDisk(t *testing.T) {
	for name, tc := range map[string]struct {
		kib   int
		lines string
		want  want
	}{
		"10 GiB for kind's image":           {kib: 10 << 20, lines: "check_preconditions"},
		"10 GiB for a build that is wanted": {kib: 10 << 20, lines: "NODE_IMAGE=build; check_preconditions", want: want{code: 1, says: []string{"10.0 GiB are free below", "up to 16 GiB are needed"}}},
		"10 GiB for an image that was built before": {
			kib: 10 << 20, lines: `NODE_IMAGE=build; echo "podtrail/node:test=$FAKE_ARCH" >"$FAKE_FOLDER/images"; check_preconditions`,
		},
		"15.9 GiB are not rounded to 15": {kib: 16<<20 - 1<<16, lines: "NODE_IMAGE=build; check_preconditions", want: want{code: 1, says: []string{"15.9 GiB are free below"}}},
		"7 GiB":                          {kib: 7 << 20, lines: "check_preconditions", want: want{code: 1, says: []string{"7.0 GiB are free below", "up to 8 GiB are needed"}}},
		"a df that gives no number":      {kib: -1, lines: "check_preconditions", want: want{says: []string{`gives "-1" for what is free`}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set("REGISTRY_PORT=" + freePort(t))
			m.script(t, "df", "#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted on\necho fake 1 1 "+strconv.Itoa(tc.kib)+" 1% /\n")
			m.source(t, tc.lines).check(t, tc.want)
		})
	}
}

func TestRegistryPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, taken, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const push = `build_program() { echo "/built/$1"; }; build_image() { echo "$*" >&2; echo x@sha256:0; }; BIN=$FAKE_FOLDER/made; push_images`
	for name, tc := range map[string]struct {
		env   []string
		lines string
		want  want
	}{
		"in use by another program": {
			env: []string{"REGISTRY_PORT=" + taken}, lines: "check_preconditions",
			want: want{code: 1, says: []string{"port " + taken + ", which the registry would take, is in use", "REGISTRY_PORT=5010"}},
		},
		"in use by the cluster's registry": {
			env: []string{"REGISTRY_PORT=5001", "FAKE_REGISTRY_PORT=" + taken}, lines: "check_preconditions",
		},
		"a push goes to the registry that runs": {
			env: []string{"REGISTRY_PORT=5001", "FAKE_REGISTRY_PORT=5010"}, lines: push,
			want: want{says: []string{"localhost:5010/podtrail/manager:dev"}, not: []string{"5001"}},
		},
		"a push before there is one": {
			env: []string{"REGISTRY_PORT=5011"}, lines: push,
			want: want{says: []string{"localhost:5011/podtrail/manager:dev"}},
		},
		"a port that Docker does not know": {
			env: []string{"REGISTRY_PORT=5011", "FAKE_REGISTRY_PORT=<no value>"}, lines: "registry_port",
			want: want{says: []string{"5011\n"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.set(tc.env...)
			m.source(t, tc.lines).check(t, tc.want)
		})
	}
}

// TestSnapReadsStandardInput: the docker here opens no file, as a snap's in a hidden folder.
func TestSnapReadsStandardInput(t *testing.T) {
	m := newMachine(t)
	m.source(t, `build_component() { :; }; build_image() { while [ $# -gt 1 ]; do [ "$1" != -output ] || echo archive >"$2"; shift; done; }
		build_registry_image`).check(t, want{})
	if got := m.read(t, "loaded"); got != "archive\n" {
		t.Errorf("docker load read %q, want the archive", got)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
