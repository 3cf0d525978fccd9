// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/manager"

	"podtrail.dev/podtrail/recorder/auditlog"
	"podtrail.dev/podtrail/recorder/etcdwatch"
	"podtrail.dev/podtrail/recorder/evidence"
	"podtrail.dev/podtrail/recorder/nodefiles"
	"podtrail.dev/podtrail/recorder/otlp"
	"podtrail.dev/podtrail/telemetry/serve"
	"podtrail.dev/podtrail/trail/source"
)

// pending is the share of spans that wait for the one that says what their trace is about.
const pending = "pending spans"

// shares say how the sources that are switched on divide the memory among each other. They follow what 5,000 Pods took,
// see docs/recorder.md, with more for audit events than that: they are what a trail needs first.
var shares = map[string]int64{
	source.Audit: 8, source.Span: 10, pending: 3, source.Etcd: 4, source.Lease: 1, source.CNI: 1, source.OCI: 1,
}

// sources are those of one recorder, and what runs to fill them.
type sources struct {
	served    []serve.Source
	runnables []manager.Runnable
}

// names lists the shares that the options switch on.
func (o *options) names() []string {
	var names []string
	for _, of := range []struct {
		given string
		names []string
	}{
		{o.auditLog, []string{source.Audit}},
		{o.otlpBindAddress, []string{source.Span, pending}},
		{o.etcd.Endpoint, []string{source.Etcd, source.Lease}},
		{o.cniResults, []string{source.CNI}},
		{o.ociBundles, []string{source.OCI}},
	} {
		if of.given != "" {
			names = append(names, of.names...)
		}
	}
	return names
}

// divide gives each share its bytes.
func divide(total int64, names []string) map[string]int64 {
	var parts int64
	for _, name := range names {
		parts += shares[name]
	}
	bytes := map[string]int64{}
	for _, name := range names {
		bytes[name] = total * shares[name] / parts
	}
	return bytes
}

// open makes the sources that the options switch on.
func (o *options) open() (sources, error) {
	var s sources
	bytes := divide(o.bufferBytes, o.names())
	store := func(name string) *evidence.Store { return evidence.New(name, o.nodeName, bytes[name]) }
	add := func(follower manager.Runnable, served ...serve.Source) {
		s.runnables, s.served = append(s.runnables, follower), append(s.served, served...)
	}
	if o.auditLog != "" {
		follower := auditlog.New(o.auditLog, store(source.Audit))
		add(follower, follower)
	}
	if o.otlpBindAddress != "" {
		receiver, err := otlp.New(o.otlpBindAddress, bytes[pending], store(source.Span))
		if err != nil {
			return sources{}, fmt.Errorf("--otlp-bind-address: %w", err)
		}
		add(receiver, receiver)
	}
	if o.etcd.Endpoint != "" {
		stored, renewed := store(source.Etcd), store(source.Lease)
		watcher, err := etcdwatch.New(o.etcd, o.etcdPrefix, stored, renewed)
		if err != nil {
			return sources{}, fmt.Errorf("--etcd-endpoint: %w", err)
		}
		add(watcher, stored, renewed)
	}
	if o.cniResults != "" {
		follower := nodefiles.NewCNI(o.cniResults, store(source.CNI))
		add(follower, follower)
	}
	if o.ociBundles != "" {
		follower := nodefiles.NewOCI(o.ociBundles, store(source.OCI))
		add(follower, follower)
	}
	return s, nil
}
