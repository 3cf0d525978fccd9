// SPDX-License-Identifier: Apache-2.0

package trail

// Keys of the facts that the recorder's sources on the nodes and in etcd tell.
const (
	FactEtcdKey        = "key"
	FactCreateRevision = "create revision"
	FactModRevision    = "mod revision"
	FactStoredSize     = "size in etcd"
	FactFirstBytes     = "first bytes"
	FactEncoding       = "encoding"
	FactStoredValue    = "value"

	FactSandbox      = "sandbox"
	FactContainerID  = "container ID"
	FactPodInterface = "interface in the Pod"
	FactHostVeth     = "interface on the node"
	FactAddress      = "address"
	FactGateway      = "gateway"
	FactRoute        = "route"
	FactNamespace    = "namespace"
	FactCgroup       = "cgroup"
	FactCPUQuota     = "CPU quota"
	FactCPUPeriod    = "CPU period"
	FactMemoryLimit  = "memory limit"

	FactWebhook = "webhook"
	FactTook    = "took"
)
