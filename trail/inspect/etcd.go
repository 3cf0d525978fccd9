// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/diff"
	"podtrail.dev/podtrail/trail/source"
)

// Etcd writes each revision of an object's key: its size and first bytes, what the envelope says, what differs from
// the revision before, and whose write stored it.
func Etcd(out io.Writer, o *trail.Object, records []source.Record) error {
	p := &page{}
	revisions := revisionsOf(o, records)
	if len(revisions) == 0 {
		p.line("%s: no revision of it in etcd is kept", reference(o.Subject))
		p.missing("what etcd holds", "podtrail doctor, which says whether a recorder watches etcd on the control plane")
		return p.to(out)
	}
	p.line("%s    %d revisions seen, created at %d", revisions[0].Key, len(revisions), created(revisions))
	var before *source.Stored
	for i := range revisions {
		p.line("")
		p.revision(before, &revisions[i], writer(o, revisions[i].ModRevision))
		before = &revisions[i]
	}
	p.line("")
	p.forms(revisions[len(revisions)-1])
	p.line("next: podtrail explain-stage 6")
	return p.to(out)
}

// revisionsOf are the revisions of the object, in order; those of an object of the same name before it are not.
func revisionsOf(o *trail.Object, records []source.Record) []source.Stored {
	seen := map[int64]bool{}
	var out []source.Stored
	for _, record := range records {
		var stored source.Stored
		if record.Source != trail.SourceEtcd || json.Unmarshal(record.Data, &stored) != nil {
			continue
		}
		if stored.UID == o.Subject.UID && o.Subject.UID != "" && !seen[stored.ModRevision] {
			seen[stored.ModRevision] = true
			out = append(out, stored)
		}
	}
	slices.SortFunc(out, func(a, b source.Stored) int { return cmp.Compare(a.ModRevision, b.ModRevision) })
	return out
}

func created(revisions []source.Stored) int64 {
	return revisions[0].CreateRevision
}

// writer names who sent the write that stored a revision.
func writer(o *trail.Object, revision int64) string {
	version := strconv.FormatInt(revision, 10)
	for _, w := range append([]trail.Write{o.Created}, o.Writes...) {
		if w.ResourceVersion == version && w.Seen() {
			name := w.User[strings.LastIndexByte(w.User, ':')+1:]
			if w.Subresource != "" {
				return name + " (" + w.Verb + " " + w.Subresource + ")"
			}
			return name + " (" + w.Verb + ")"
		}
	}
	return "a write that no other source shows"
}

// shownBytes is how many of a value's first bytes are shown.
const shownBytes = 16

func (p *page) revision(before, now *source.Stored, by string) {
	if now.Event == source.StoredDelete {
		p.line("rev %d  deleted    by %s", now.ModRevision, by)
		return
	}
	size := fmt.Sprintf("%d B", now.Size)
	if before != nil {
		size = fmt.Sprintf("%+d B", now.Size-before.Size)
	}
	bytes := now.FirstBytes[:min(len(now.FirstBytes), shownBytes)]
	p.line("rev %d  %-8s % x …  by %s", now.ModRevision, size, bytes, by)
	p.line("  %s", envelope(now))
	switch {
	case before == nil:
	case len(before.Value) == 0 || len(now.Value) == 0:
		p.line("  values are kept only of namespaces that opted in")
	default:
		var was, is any
		if json.Unmarshal(before.Value, &was) != nil || json.Unmarshal(now.Value, &is) != nil {
			return
		}
		changes := slices.DeleteFunc(diff.Compare(was, is), func(c diff.Change) bool {
			return strings.HasPrefix(c.Path, "metadata.managedFields") || c.Path == "metadata.resourceVersion"
		})
		for _, words := range source.ChangeWords(changes) {
			p.line("  %s", words)
		}
	}
}

// envelope says what the first bytes are.
func envelope(stored *source.Stored) string {
	switch stored.Encoding {
	case source.EncodingProtobuf:
		return fmt.Sprintf(`k8s\0, then a runtime.Unknown: apiVersion %s, kind %s, the object as protobuf`, stored.APIVersion, stored.Kind)
	case source.EncodingJSON:
		return fmt.Sprintf("JSON from the first byte on: apiVersion %s, kind %s", stored.APIVersion, stored.Kind)
	}
	return "in a form that is neither protobuf nor JSON, as encryption at rest leaves it"
}

// forms puts the two forms beside each other, which texts mix up.
func (p *page) forms(last source.Stored) {
	if n := len(last.Value); n > 0 && last.Encoding == source.EncodingProtobuf {
		p.line("as JSON, without managedFields, the same object is %d B", n)
	}
	p.line(`built-in types are stored as k8s\0 and protobuf; custom resources, such as teachingreplicasets, as JSON: they have no protobuf form`)
}
