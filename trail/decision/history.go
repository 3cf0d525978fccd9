// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// History is all that is kept of one Pod, the oldest attempt first.
type History struct {
	Pod       Pod         `json:"pod"`
	Scheduler string      `json:"scheduler"`
	Attempts  []Attempted `json:"attempts"`
	// Moves are those after the last attempt: the Pod is on its way to the next one.
	Moves []Moved `json:"moves,omitempty"`
}

// Attempted is an attempt with all that belongs to it.
type Attempted struct {
	Time time.Time `json:"time"`
	// Woken is what moved the Pod to this attempt; nil for a new Pod, and if that record is gone.
	Woken *Moved `json:"woken,omitempty"`
	Attempt
	Victims []Victim `json:"victims,omitempty"`
	// Binding is nil while the Pod waits in Permit or is being bound, and if the attempt placed it nowhere.
	Binding *Binding `json:"binding,omitempty"`
}

// Moved is a move with its time.
type Moved struct {
	Time time.Time `json:"time"`
	Move
}

// Histories joins records by the Pods' UIDs, the Pod with the newest record last. Records that belong to an attempt
// which is no longer kept are left out, moves before the oldest attempt too.
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

// join makes one Pod's history of its records, the oldest first.
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
			// A scheduler that was restarted counts from 1 again: the last attempt of that number before it is meant.
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

// last returns the last attempt that began not after a time and fits.
func (h *History) last(until time.Time, fits func(*Attempted) bool) *Attempted {
	for i := len(h.Attempts) - 1; i >= 0; i-- {
		if a := &h.Attempts[i]; !a.Time.After(until) && fits(a) {
			return a
		}
	}
	return nil
}

// addMove gives a move to the first attempt after it. More than one can lie before the same attempt; the first one
// took the Pod out of the unschedulable ones.
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

// MoveWords says what woke a Pod.
func MoveWords(m *Move) string {
	text := "woken by " + m.Event
	if m.Object != "" {
		text += " of " + m.Object
	}
	if len(m.Plugins) > 0 {
		text += " (queueing hint of " + strings.Join(m.Plugins, ", ") + ")"
	}
	return text
}
