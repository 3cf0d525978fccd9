// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// History is all that is recorded about one Pod, the oldest attempt first.
type History struct {
	Pod       Pod         `json:"pod"`
	Scheduler string      `json:"scheduler"`
	Attempts  []Attempted `json:"attempts"`
	// Moves are those after the last attempt: the Pod waits for the next one.
	Moves []Moved `json:"moves,omitempty"`
}

// Attempted is an attempt with the other records that belong to it.
type Attempted struct {
	Time time.Time `json:"time"`
	// Woken is the move that led to this attempt, or nil for a new Pod, or if that record was dropped.
	Woken *Moved `json:"woken,omitempty"`
	Attempt
	Victims []Victim `json:"victims,omitempty"`
	// Binding is nil while the Pod waits in Permit or is being bound, and if the attempt found no node.
	Binding *Binding `json:"binding,omitempty"`
}

// Moved is a move with its time.
type Moved struct {
	Time time.Time `json:"time"`
	Move
}

// Histories joins records by the UID of their Pod, and returns the Pod with the newest record last. It leaves out the
// records of an attempt that was dropped, and moves before the oldest attempt.
func Histories(records []Record) []History {
	byUID := map[string][]Record{}
	for _, r := range records {
		byUID[r.Pod.UID] = append(byUID[r.Pod.UID], r)
	}
	histories := make([]History, 0, len(byUID))
	newest := map[string]time.Time{}
	for uid, own := range byUID {
		slices.SortStableFunc(own, func(a, b Record) int { return a.Time.Compare(b.Time) })
		newest[uid] = own[len(own)-1].Time
		histories = append(histories, join(own))
	}
	slices.SortFunc(histories, func(a, b History) int {
		return cmp.Or(newest[a.Pod.UID].Compare(newest[b.Pod.UID]), cmp.Compare(a.Pod.UID, b.Pod.UID))
	})
	return histories
}

// join returns the history of one Pod. The records are sorted, the oldest first.
func join(records []Record) History {
	h := History{Pod: records[0].Pod, Scheduler: records[0].Scheduler}
	for _, r := range records {
		if r.Attempt != nil {
			h.Attempts = append(h.Attempts, Attempted{Time: r.Time, Attempt: *r.Attempt})
		}
	}
	for _, r := range records {
		switch {
		case r.Binding != nil:
			// A restarted scheduler counts from 1 again, so it is the last attempt with that number before the binding.
			if a := h.last(r.Time, func(a *Attempted) bool { return a.Number == r.Binding.Attempt }); a != nil {
				a.Binding = r.Binding
			}
		case r.Victim != nil:
			if a := h.last(r.Time, func(a *Attempted) bool { return a.Preemption != nil }); a != nil {
				a.Victims = append(a.Victims, *r.Victim)
			}
		case r.Move != nil:
			h.addMove(Moved{Time: r.Time, Move: *r.Move})
		}
	}
	return h
}

// last returns the last attempt that began no later than until and that match accepts, or nil.
func (h *History) last(until time.Time, match func(*Attempted) bool) *Attempted {
	for i := len(h.Attempts) - 1; i >= 0; i-- {
		if a := &h.Attempts[i]; !a.Time.After(until) && match(a) {
			return a
		}
	}
	return nil
}

// addMove adds a move to the first attempt after it. Of several moves before one attempt the first counts: it took the
// Pod out of the unschedulable Pods.
func (h *History) addMove(m Moved) {
	for i := range h.Attempts {
		if h.Attempts[i].Time.Before(m.Time) {
			continue
		}
		if h.Attempts[i].Woken == nil {
			h.Attempts[i].Woken = &m
		}
		return
	}
	h.Moves = append(h.Moves, m)
}

// DescribeVictim returns what preemption does to a victim, for people.
func DescribeVictim(v *Victim) string {
	text := fmt.Sprintf("Pod %s/%s on %s", v.Pod.Namespace, v.Pod.Name, v.Node)
	if v.Error != "" {
		return "failed to preempt " + text + ": " + v.Error
	}
	return "preempts " + text
}

// DescribeMove returns what woke a Pod, for people.
func DescribeMove(m *Move) string {
	text := "woken by " + m.Event
	if m.Object != "" {
		text += " of " + m.Object
	}
	if len(m.Plugins) > 0 {
		text += " (queueing hint of " + strings.Join(m.Plugins, ", ") + ")"
	}
	return text
}
