// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"strings"
	"time"

	"podtrail.dev/podtrail/trail"
)

// CNIResult is what libcni caches of a sandbox's network set-up (cachedInfo in containernetworking/cni's
// libcni/api.go, kind cniCacheV1), without the network's configuration: that may hold credentials.
type CNIResult struct {
	Kind      string `json:"kind"`
	Sandbox   string `json:"containerId"`
	Interface string `json:"ifName"`
	Network   string `json:"networkName"`
	// Args are pairs; those that containerd sets begin with K8S_.
	Args   [][2]string `json:"cniArgs"`
	Result struct {
		Interfaces []struct {
			Name string `json:"name"`
			MAC  string `json:"mac"`
			// Netns is where the interface is; empty for one on the node.
			Netns string `json:"sandbox,omitempty"`
		} `json:"interfaces"`
		IPs []struct {
			Address string `json:"address"`
			Gateway string `json:"gateway,omitempty"`
		} `json:"ips"`
		Routes []struct {
			To  string `json:"dst"`
			Via string `json:"gw,omitempty"`
		} `json:"routes"`
	} `json:"result"`
	// Written is the file's modification time.
	Written time.Time `json:"written"`
}

// Names of the CNI arguments that say for which Pod a network was set up.
const (
	CNIPodNamespace = "K8S_POD_NAMESPACE"
	CNIPodName      = "K8S_POD_NAME"
	CNIPodUID       = "K8S_POD_UID"
)

// Arg returns the value of a CNI argument, "" if it is not there.
func (r CNIResult) Arg(name string) string {
	for _, arg := range r.Args {
		if arg[0] == name {
			return arg[1]
		}
	}
	return ""
}

// ParseCNI turns one CNIResult into an observation of stage Run of the Pod whose UID it holds.
func ParseCNI(record Record) ([]trail.Observation, error) {
	result, err := decode[CNIResult](record)
	if err != nil {
		return nil, err
	}
	uid := result.Arg(CNIPodUID)
	if uid == "" || result.Sandbox == "" {
		return nil, fmt.Errorf("CNI record of node %q has sandbox %q and Pod UID %q, want both", record.Node, result.Sandbox, uid)
	}
	o := trail.Observation{
		Subject:  trail.Subject{Kind: "Pod", Namespace: result.Arg(CNIPodNamespace), Name: result.Arg(CNIPodName), UID: uid},
		Keys:     trail.Keys{Sandbox: result.Sandbox},
		Stage:    trail.Run,
		Time:     result.Written,
		Evidence: trail.Evidence{Source: trail.SourceCNI, Node: record.Node, ID: result.Sandbox},
		Facts: known(
			trail.Fact{Key: trail.FactSandbox, Value: result.Sandbox},
			trail.Fact{Key: "network", Value: result.Network},
		),
	}
	o.Facts = append(o.Facts, result.facts()...)
	inside, _ := o.Fact(trail.FactPodInterface)
	outside, _ := o.Fact(trail.FactHostVeth)
	address, _ := o.Fact(trail.FactAddress)
	o.Summary = "network " + result.Network + ": " + address
	if inside != "" && outside != "" {
		o.Summary += ", veth pair " + interfaceName(inside) + " in the Pod and " + interfaceName(outside) + " on the node"
	}
	return []trail.Observation{o}, nil
}

// interfaceName is the interface's name without its hardware address.
func interfaceName(shown string) string {
	before, _, _ := strings.Cut(shown, " ")
	return before
}

func (r CNIResult) facts() []trail.Fact {
	var facts []trail.Fact
	for _, i := range r.Result.Interfaces {
		key, netns := trail.FactHostVeth, ""
		if i.Netns != "" {
			key, netns = trail.FactPodInterface, i.Netns
		}
		facts = append(facts, trail.Fact{Key: key, Value: strings.TrimSpace(i.Name + " " + i.MAC)},
			trail.Fact{Key: "network namespace", Value: netns})
	}
	for _, ip := range r.Result.IPs {
		facts = append(facts, trail.Fact{Key: trail.FactAddress, Value: ip.Address}, trail.Fact{Key: trail.FactGateway, Value: ip.Gateway})
	}
	for _, route := range r.Result.Routes {
		to := route.To
		if route.Via != "" {
			to += " via " + route.Via
		}
		facts = append(facts, trail.Fact{Key: trail.FactRoute, Value: to})
	}
	return known(facts...)
}
