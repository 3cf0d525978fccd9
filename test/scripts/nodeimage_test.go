// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// choose runs choose_node_image as a user who can build one or not; the build only notes that it ran.
const choose = `
	mkdir -p "$FAKE_FOLDER/hack"
	printf '#!/bin/sh\necho built >>"$FAKE_FOLDER/calls"\necho "podtrail/node:test=$FAKE_ARCH" >>"$FAKE_FOLDER/images"\n' >"$FAKE_FOLDER/hack/build-node-image.sh"
	chmod +x "$FAKE_FOLDER/hack/build-node-image.sh"
	ROOT=$FAKE_FOLDER
	choose_node_image
	echo "chosen: $node_image built: $built"
`

func TestChooseNodeImage(t *testing.T) {
	const user = "can_install_packages() { false; };" + choose
	const root = "can_install_packages() { true; };" + choose
	// Long enough for the fake docker to start on a busy machine.
	const hasty = "ANSWER_SECONDS=4;"
	const unreachable = `FAKE_PULL=Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.0.0.1:53: no such host`
	const builtBefore = "podtrail/node:test=" + runtime.GOARCH
	for name, tc := range map[string]struct {
		env    []string
		images string
		lines  string
		want   want
		// calls matches what docker and the build were called with.
		calls string
	}{
		"it can be pulled": {
			lines: user, calls: `^pull kindest/node\S+\n$`,
			want: want{says: []string{"chosen: kindest/node:", "built: false"}},
		},
		"a rate limit": {
			env:   []string{"FAKE_PULL=Error response from daemon: toomanyrequests: You have reached your pull rate limit.\nSee https://www.docker.com/increase-rate-limit"},
			lines: user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{
				"error: Docker cannot pull kind's node image kindest/node:",
				"  Error response from daemon: toomanyrequests: You have reached your pull rate limit.\n  See https://www.docker.com/increase-rate-limit\n",
				"\nNext: docker login, then repeat",
			}, not: []string{"no registry", "root", "sudo"}},
		},
		"a rate limit does not lead to a build": {
			env: []string{"FAKE_PULL=toomanyrequests: slow down"}, lines: root, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"Next: docker login"}},
		},
		"a program for credentials that is not there": {
			env:   []string{"FAKE_PULL=error getting credentials - err: exec: \"docker-credential-desktop\": executable file not found in $PATH, out: ``"},
			lines: user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{`take "credsStore" and "credHelpers" out of `, "docker-config/config.json"}, not: []string{"no registry", "root"}},
		},
		"a download that breaks off once": {
			env: []string{"FAKE_PULL=broken-once"}, lines: user, calls: `^(pull \S+\n){2}$`,
			want: want{says: []string{"the download broke off (unexpected EOF): trying again", "chosen: kindest/node:"}},
		},
		"a download that always breaks off": {
			env:   []string{"FAKE_PULL=read tcp 10.0.0.2:443: connection reset by peer", "FAKE_PULLING=1"},
			lines: root, calls: `^(pull \S+\n){3}$`,
			want: want{code: 1, says: []string{"  read tcp 10.0.0.2:443: connection reset by peer\n", "Next: repeat: it broke off 3 times"}, not: []string{"no registry", "Pulling fs layer"}},
		},
		"a limit in the middle of a download": {
			env:   []string{"FAKE_PULL=toomanyrequests: limit", "FAKE_PULLING=1"},
			lines: user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"Next: docker login"}},
		},
		"no answer": {
			env: []string{"FAKE_PULL=silent"}, lines: hasty + user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"It says:\n  nothing\n", "Next: NODE_IMAGE=pull, which waits as long as Docker does: the registry was silent for 4 s"}},
		},
		"no answer, where one can be built": {
			env: []string{"FAKE_PULL=silent"}, lines: hasty + root, calls: `^pull \S+\nbuilt\n$`,
			want: want{says: []string{"no registry can be reached (nothing): building the node image", "built: true"}},
		},
		"no network": {
			env: []string{unreachable}, lines: user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"no such host", "Next: see that Docker has a network"}, not: []string{"root"}},
		},
		"no network, where one can be built": {
			env: []string{unreachable}, lines: root, calls: `^pull \S+\nbuilt\n$`,
			want: want{says: []string{"no registry can be reached", "no such host", "built: true"}},
		},
		"no network, and only a pull is wanted": {
			env: []string{unreachable, "NODE_IMAGE=pull"}, lines: root, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"Next: see that Docker has a network"}},
		},
		"a company's certificate": {
			env:   []string{"FAKE_PULL=Get \"https://registry-1.docker.io/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority"},
			lines: root, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"Next: give Docker the certificate"}},
		},
		"a full disk": {
			env:   []string{"FAKE_PULL=failed to register layer: write /usr/bin/kubelet: no space left on device", "FAKE_PULLING=1"},
			lines: user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"Next: free some of Docker's disk"}},
		},
		"words that nobody knows": {
			env: []string{"FAKE_PULL=the moon is full"}, lines: user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"  the moon is full\n", "Next: see what stops this command: docker pull kindest/node"}},
		},
		"root has built one before, and a user takes it": {
			images: builtBefore, lines: user, calls: `^$`,
			want: want{says: []string{"chosen: podtrail/node:test built: true"}},
		},
		"a user wants to build, and root has done so": {
			env: []string{"NODE_IMAGE=build"}, images: builtBefore, lines: user, calls: `^$`,
			want: want{says: []string{"chosen: podtrail/node:test built: true"}},
		},
		"an image for another architecture is no image": {
			env: []string{unreachable}, images: "podtrail/node:test=s390x", lines: user, calls: `^pull \S+\n$`,
			want: want{code: 1, says: []string{"Next: see that Docker has a network"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.set(tc.env...)
			m.write(t, "images", tc.images+"\n")
			m.source(t, tc.lines).check(t, tc.want)
			if calls := changing(m.read(t, "calls")); !regexp.MustCompile(tc.calls).MatchString(calls) {
				t.Errorf("docker and the build were called with\n%swant a match of %s", calls, tc.calls)
			}
		})
	}
}

// changing leaves out the calls that only look.
func changing(calls string) string {
	var kept strings.Builder
	for line := range strings.Lines(calls) {
		if strings.HasPrefix(line, "pull ") || strings.HasPrefix(line, "built") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestBuildNodeImage runs hack/build-node-image.sh itself as a user who is not root.
func TestBuildNodeImage(t *testing.T) {
	reference := strings.TrimSpace(newMachine(t).run(t, repositoryRoot(t), "bash", "-c",
		`for lib in common components rootfs container-images; do . "$REPOSITORY/hack/lib/$lib.sh"; done; NODE_ARCH=$FAKE_ARCH; node_image_reference`).output)
	for name, tc := range map[string]struct {
		images string
		path   string
		want   want
	}{
		"root has built it before": {
			images: reference + "=" + runtime.GOARCH,
			want:   want{says: []string{"node image " + reference + " is in Docker's store already"}},
		},
		"not on Debian": {
			path: without(t, "apt-get"),
			want: want{code: 1, says: []string{"on Debian or Ubuntu only. Next: NODE_IMAGE=pull"}, not: []string{"root"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if tc.path != "" {
				m.set("PATH=" + m.folder + "/bin:" + tc.path)
			}
			m.write(t, "images", tc.images+"\n")
			m.script(t, "id", "#!/bin/sh\necho 1000\n")
			m.run(t, repositoryRoot(t), "bash", "hack/build-node-image.sh").check(t, tc.want)
		})
	}
}

func TestPlatformOfTheShell(t *testing.T) {
	m := newMachine(t)
	m.set("DOCKER_DEFAULT_PLATFORM=linux/amd64", "FAKE_ARCH=arm64", "FAKE_PULL=no network: connection refused")
	// An image that was pulled while the variable was set.
	m.write(t, "images", "kindest/node=amd64\n")
	m.script(t, "go", "#!/bin/sh\n[ \"$1\" = env ] && exec \"$REAL_GO\" \"$@\"\necho \"GOOS=$GOOS GOARCH=$GOARCH $*\"\n")
	m.set("REAL_GO=" + lookPath(t, "go"))
	m.source(t, `use_running_docker; link_program manager "$FAKE_FOLDER/manager"; build_image -tag x; component_path kubelet; KIND_NODE_IMAGE=kindest/node; docker_has kindest/node || echo "another machine's"`).
		check(t, want{says: []string{"GOOS=linux GOARCH=arm64 build", "GOOS= GOARCH= run . -arch arm64 -tag x", "another machine's"}})
	if calls := m.read(t, "calls"); strings.Contains(calls, "DOCKER_DEFAULT_PLATFORM") {
		t.Errorf("docker was called with the user's DOCKER_DEFAULT_PLATFORM:\n%s", calls)
	}
}

func TestSameMinorAsKinds(t *testing.T) {
	const ours, digest = "kindest/node:v1.36.1@sha256:3489", "@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5"
	for name, tc := range map[string]struct {
		image string
		code  int
	}{
		"kind's own":     {image: "kindest/node:v1.36.1" + digest},
		"a newer patch":  {image: "kindest/node:v1.36.4" + digest},
		"another minor":  {image: "kindest/node:v1.37.1" + digest, code: 1},
		"no digest":      {image: "kindest/node:v1.36.4", code: 1},
		"another's":      {image: "example.org/node:v1.36.4" + digest, code: 1},
		"a longer minor": {image: "kindest/node:v1.365.1" + digest, code: 1},
	} {
		t.Run(name, func(t *testing.T) {
			newMachine(t).source(t, "of_same_minor '"+tc.image+"' '"+ours+"'").check(t, want{code: tc.code})
		})
	}
}
