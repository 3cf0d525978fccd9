// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail"
)

// OCISpec is the part of a runtime specification (config.json of the bundle that containerd's shim hands to runc)
// that a trail shows. What is not named here is never kept: environment values and mounts' sources among it. Of the
// arguments the recorder keeps the program alone, because the kubelet has expanded $(VARIABLE) in them.
type OCISpec struct {
	// ID is the sandbox's or container's.
	ID      string `json:"id"`
	Process struct {
		// Args holds the program, and "<redacted>" for each further argument.
		Args []string `json:"args"`
		// Env holds the variables' names.
		Env  []string `json:"env,omitempty"`
		User struct {
			UID uint32 `json:"uid"`
			GID uint32 `json:"gid"`
		} `json:"user"`
		NoNewPrivileges bool `json:"noNewPrivileges"`
		Capabilities    struct {
			Bounding []string `json:"bounding"`
		} `json:"capabilities"`
	} `json:"process"`
	Root struct {
		Readonly bool `json:"readonly"`
	} `json:"root"`
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		Namespaces []struct {
			Type string `json:"type"`
			// Path is that of a namespace which is joined; empty for a new one.
			Path string `json:"path,omitempty"`
		} `json:"namespaces"`
		CgroupsPath string `json:"cgroupsPath"`
		Resources   struct {
			Memory struct {
				Limit *int64 `json:"limit,omitempty"`
			} `json:"memory"`
			CPU struct {
				Shares *uint64 `json:"shares,omitempty"`
				Quota  *int64  `json:"quota,omitempty"`
				Period *uint64 `json:"period,omitempty"`
			} `json:"cpu"`
			Pids struct {
				Limit *int64 `json:"limit,omitempty"`
			} `json:"pids"`
		} `json:"resources"`
	} `json:"linux"`
	// Written is the file's modification time.
	Written time.Time `json:"written"`
}

// Annotations by which containerd's CRI says whose container it is: internal/cri/annotations of containerd.
const (
	OCIContainerType    = "io.kubernetes.cri.container-type"
	OCIContainerName    = "io.kubernetes.cri.container-name"
	OCIImageName        = "io.kubernetes.cri.image-name"
	OCISandboxID        = "io.kubernetes.cri.sandbox-id"
	OCISandboxUID       = "io.kubernetes.cri.sandbox-uid"
	OCISandboxName      = "io.kubernetes.cri.sandbox-name"
	OCISandboxNamespace = "io.kubernetes.cri.sandbox-namespace"
)

// ParseOCI turns one OCISpec into an observation of stage Run of the Pod whose UID it holds.
func ParseOCI(record Record) ([]trail.Observation, error) {
	spec, err := decode[OCISpec](record)
	if err != nil {
		return nil, err
	}
	uid := spec.Annotations[OCISandboxUID]
	if uid == "" || spec.ID == "" {
		return nil, fmt.Errorf("OCI record of node %q has id %q and Pod UID %q, want both", record.Node, spec.ID, uid)
	}
	o := trail.Observation{
		Subject: trail.Subject{
			Kind: "Pod", Namespace: spec.Annotations[OCISandboxNamespace], Name: spec.Annotations[OCISandboxName], UID: uid,
		},
		Keys:     trail.Keys{Sandbox: spec.Annotations[OCISandboxID]},
		Stage:    trail.Run,
		Time:     spec.Written,
		Evidence: trail.Evidence{Source: trail.SourceOCI, Node: record.Node, ID: spec.ID},
	}
	if spec.Annotations[OCIContainerType] == "sandbox" {
		o.Keys.Sandbox = spec.ID
		o.Summary = "sandbox with namespaces of its own: " + strings.Join(spec.namespaces(false), ", ")
	} else {
		o.Keys.Container = spec.ID
		o.Summary = "container " + spec.Annotations[OCIContainerName] + " joins the sandbox's " +
			strings.Join(spec.namespaces(true), ", ") + spec.limits()
	}
	o.Facts = spec.facts(o.Keys)
	return []trail.Observation{o}, nil
}

// namespaces lists the types of namespaces that are joined, or that are new.
func (s OCISpec) namespaces(joined bool) []string {
	var types []string
	for _, namespace := range s.Linux.Namespaces {
		if (namespace.Path != "") == joined {
			types = append(types, namespace.Type)
		}
	}
	if len(types) == 0 {
		return []string{"none"}
	}
	return types
}

// limits says in words what the container's limits became.
func (s OCISpec) limits() string {
	cpu := s.Linux.Resources.CPU
	if cpu.Quota == nil || cpu.Period == nil || *cpu.Quota <= 0 {
		return ", no CPU quota"
	}
	return fmt.Sprintf(", CPU quota %d of every %d µs", *cpu.Quota, *cpu.Period)
}

func (s OCISpec) facts(keys trail.Keys) []trail.Fact {
	resources := s.Linux.Resources
	facts := []trail.Fact{
		{Key: trail.FactSandbox, Value: keys.Sandbox},
		{Key: trail.FactContainerID, Value: keys.Container},
		{Key: trail.FactContainer, Value: s.Annotations[OCIContainerName]},
		{Key: trail.FactImage, Value: s.Annotations[OCIImageName]},
		{Key: "program", Value: strings.Join(s.Process.Args, " ")},
		{Key: "environment", Value: strings.Join(s.Process.Env, ", ")},
		{Key: "user", Value: fmt.Sprintf("%d:%d", s.Process.User.UID, s.Process.User.GID)},
		{Key: "capabilities", Value: firstOf(strings.Join(s.Process.Capabilities.Bounding, ", "), "none")},
		{Key: "read-only root", Value: strconv.FormatBool(s.Root.Readonly)},
		{Key: "no new privileges", Value: strconv.FormatBool(s.Process.NoNewPrivileges)},
		{Key: trail.FactCgroup, Value: s.Linux.CgroupsPath},
		{Key: trail.FactCPUQuota, Value: decimal(resources.CPU.Quota)},
		{Key: trail.FactCPUPeriod, Value: decimal(resources.CPU.Period)},
		{Key: "CPU shares", Value: decimal(resources.CPU.Shares)},
		{Key: trail.FactMemoryLimit, Value: decimal(resources.Memory.Limit)},
		{Key: "pids limit", Value: decimal(resources.Pids.Limit)},
	}
	for _, namespace := range s.Linux.Namespaces {
		facts = append(facts, trail.Fact{Key: trail.FactNamespace, Value: namespace.Type + " " + firstOf(namespace.Path, "new")})
	}
	return known(facts...)
}

// decimal writes a number that may be unknown.
func decimal[N int64 | uint64](n *N) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}
