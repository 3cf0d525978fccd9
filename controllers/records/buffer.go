// SPDX-License-Identifier: Apache-2.0

package records

import (
	"encoding/json"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Buffer keeps the newest records up to a number of bytes, and the triggers of the passes to come.
type Buffer struct {
	controller string
	maxBytes   int
	clock      clock.PassiveClock

	mu       sync.Mutex
	lines    []line
	bytes    int
	triggers map[types.NamespacedName]*pending
}

// line is one encoded record.
type line struct {
	namespace string
	data      json.RawMessage
}

// pending holds the triggers that have not yet led to a pass.
type pending struct {
	triggers []Trigger
	more     int
}

// NewBuffer returns a buffer for the records of a controller. maxBytes bounds the encoded records, the oldest of
// which go first.
func NewBuffer(controller string, maxBytes int, c clock.PassiveClock) *Buffer {
	return &Buffer{
		controller: controller, maxBytes: maxBytes, clock: c,
		triggers: map[types.NamespacedName]*pending{},
	}
}

// Trigger says that an event has asked for a pass over the object of that name. make is called only if records are
// kept.
func (b *Buffer) Trigger(name types.NamespacedName, makeTrigger func() Trigger) {
	if b == nil {
		return
	}
	trigger := makeTrigger()
	trigger.At = b.clock.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.triggers[name]
	if p == nil {
		p = &pending{}
		b.triggers[name] = p
	}
	if len(p.triggers) == maxTriggers {
		p.more++
		return
	}
	p.triggers = append(p.triggers, trigger)
}

// Start begins a record of a pass over the object of that name, with all triggers since the last.
func (b *Buffer) Start(name types.NamespacedName) *Pass {
	if b == nil {
		return nil
	}
	pass := &Pass{buffer: b, record: Record{
		Controller: b.controller, Namespace: name.Namespace, Name: name.Name, Start: b.clock.Now(),
	}}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.triggers[name]; p != nil {
		delete(b.triggers, name)
		pass.record.Triggers, pass.record.MoreTriggers = p.triggers, p.more
		pass.record.QueueSeconds = pass.record.Start.Sub(p.triggers[0].At).Seconds()
	}
	return pass
}

// keep drops a record that alone exceeds the bound.
func (b *Buffer) keep(record *Record) {
	data, err := json.Marshal(record)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil || len(data) > b.maxBytes {
		return
	}
	b.lines = append(b.lines, line{namespace: record.Namespace, data: data})
	b.bytes += len(data)
	for b.bytes > b.maxBytes {
		b.bytes -= len(b.lines[0].data)
		b.lines[0] = line{}
		b.lines = b.lines[1:]
	}
}

// kept returns the records of a namespace, or all for an empty one, oldest first.
func (b *Buffer) kept(namespace string) []json.RawMessage {
	b.mu.Lock()
	defer b.mu.Unlock()
	var data []json.RawMessage
	for _, l := range b.lines {
		if namespace == "" || l.namespace == namespace {
			data = append(data, l.data)
		}
	}
	return data
}
