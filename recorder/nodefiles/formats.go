// SPDX-License-Identifier: Apache-2.0

package nodefiles

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/recorder/redact"
	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

// NewCNI returns a follower of libcni's cache of results, /var/lib/cni/results by default.
func NewCNI(directory string, kept *evidence.Store) *Follower {
	return newFollower(directory, format{path: func(entry string) string { return entry }, parse: parseCNI}, kept)
}

// NewOCI returns a follower of the bundles of containerd's shims:
// /run/containerd/io.containerd.runtime.v2.task/k8s.io by default.
func NewOCI(directory string, kept *evidence.Store) *Follower {
	return newFollower(directory, format{
		path: func(entry string) string { return filepath.Join(entry, "config.json") }, parse: parseOCI,
	}, kept)
}

// cacheKind is what libcni writes into each file of its cache.
const cacheKind = "cniCacheV1"

// parseCNI takes a sandbox's result; the network's configuration beside it, which may hold credentials, is not decoded.
func parseCNI(_ string, content []byte, written time.Time) (buffer.About, []byte, error) {
	var result source.CNIResult
	if err := json.Unmarshal(content, &result); err != nil {
		return buffer.About{}, nil, fmt.Errorf("decoding a CNI result: %w", err)
	}
	if result.Kind != cacheKind {
		return buffer.About{}, nil, fmt.Errorf("kind of a CNI result is %q, want %q", result.Kind, cacheKind)
	}
	if result.Arg(source.CNIPodUID) == "" {
		return buffer.About{}, nil, errIrrelevant
	}
	pod := result.Args[:0]
	for _, arg := range result.Args {
		if arg[0] == source.CNIPodNamespace || arg[0] == source.CNIPodName || arg[0] == source.CNIPodUID {
			pod = append(pod, arg)
		}
	}
	result.Args, result.Written = pod, written
	data, err := encode(result)
	return buffer.About{Namespace: result.Arg(source.CNIPodNamespace), Pod: result.Arg(source.CNIPodName), Time: written}, data, err
}

// parseOCI takes of a specification what source.OCISpec names, without the values of the environment and without the
// arguments.
func parseOCI(entry string, content []byte, written time.Time) (buffer.About, []byte, error) {
	var spec source.OCISpec
	if err := json.Unmarshal(content, &spec); err != nil {
		return buffer.About{}, nil, fmt.Errorf("decoding an OCI specification: %w", err)
	}
	if spec.Annotations[source.OCISandboxUID] == "" {
		return buffer.About{}, nil, errIrrelevant
	}
	spec.ID, spec.Written = entry, written
	for i := range spec.Process.Args {
		if i > 0 {
			spec.Process.Args[i] = redact.Redacted
		}
	}
	for i, variable := range spec.Process.Env {
		spec.Process.Env[i], _, _ = strings.Cut(variable, "=")
	}
	shown := map[string]string{}
	for _, key := range []string{
		source.OCIContainerType, source.OCIContainerName, source.OCIImageName, source.OCISandboxID,
		source.OCISandboxUID, source.OCISandboxName, source.OCISandboxNamespace,
	} {
		if value := spec.Annotations[key]; value != "" {
			shown[key] = value
		}
	}
	spec.Annotations = shown
	data, err := encode(spec)
	return buffer.About{Namespace: shown[source.OCISandboxNamespace], Pod: shown[source.OCISandboxName], Time: written}, data, err
}
