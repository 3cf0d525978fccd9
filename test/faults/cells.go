// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Cell is one way in which things go wrong during a scenario.
type Cell struct {
	Name   string
	Faults []Fault
	// Crash is the number of the write at which the controller dies, 0 if it does not; another is then started.
	Crash int
	// Committed is true if the API server still carries the fatal write out.
	Committed bool
	// Leaders is how many controllers run at the same time; the faults are the first one's.
	Leaders int
	// Node is where the Pods are; see Subject.MakeOwner.
	Node string
}

// The bounds on how often a fault happens, so that a scenario comes to its end.
const (
	timesOfRequest = 8
	timesOfWatch   = 3
	crashPoints    = 14
)

// Cells returns every combination that is tried.
func Cells() []Cell {
	cells := []Cell{{Name: "no fault"}}
	cells = append(cells, requestCells()...)
	cells = append(cells, watchCells()...)
	for write := 1; write <= crashPoints; write++ {
		cells = append(cells,
			Cell{Name: fmt.Sprintf("crash before write %d", write), Crash: write},
			Cell{Name: fmt.Sprintf("crash after write %d", write), Crash: write, Committed: true})
	}
	cells = append(cells, leaderCells()...)
	// In every second cell deleted Pods stay terminating and keep their names; in the others names become free.
	for i := range cells {
		if i%2 == 1 {
			cells[i].Node = "node"
		}
	}
	return cells
}

func requestCells() []Cell {
	targets := []struct{ verb, resource string }{
		{"create", "pods"}, {"delete", "pods"}, {"patch", "pods"}, {"update", "owners/status"},
	}
	faults := []struct {
		name string
		do   Action
	}{
		{"delayed", delay(300 * time.Millisecond)},
		{"dropped", drop},
		{"committed, then reset", commitThenReset},
		{"committed, then timed out", commitThenTimeout},
		{"409", refuse(http.StatusConflict, metav1.StatusReasonConflict, 0)},
		{"429 with Retry-After", refuse(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, 1)},
		{"500", refuse(http.StatusInternalServerError, metav1.StatusReasonInternalError, 0)},
		{"503", refuse(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, 0)},
		{"403", refuse(http.StatusForbidden, metav1.StatusReasonForbidden, 0)},
	}
	var cells []Cell
	for _, target := range targets {
		for _, fault := range faults {
			cells = append(cells, Cell{
				Name: fmt.Sprintf("%s %s %s", target.verb, target.resource, fault.name),
				Faults: []Fault{{
					Verb: target.verb, Resource: target.resource, Every: 2, Times: timesOfRequest, Do: fault.do,
				}},
			})
		}
	}
	return cells
}

func watchCells() []Cell {
	faults := []struct {
		name string
		do   Action
	}{
		{"cut", cutWatch(3)},
		{"stalled", stallWatch(200 * time.Millisecond)},
		{"loses an event", loseEvent},
		{"410", expire},
	}
	var cells []Cell
	for _, resource := range []string{"pods", "owners"} {
		for _, fault := range faults {
			cells = append(cells, Cell{
				Name:   fmt.Sprintf("watch %s %s", resource, fault.name),
				Faults: []Fault{{Verb: "watch", Resource: resource, Every: 1, Times: timesOfWatch, Do: fault.do}},
			})
		}
	}
	return cells
}

func leaderCells() []Cell {
	return []Cell{
		{Name: "two leaders", Leaders: 2},
		{Name: "two leaders, one with a stalled watch", Leaders: 2, Faults: []Fault{
			{Verb: "watch", Resource: "pods", Every: 1, Do: stallWatch(200 * time.Millisecond)},
		}},
		{Name: "two leaders, one slow to write", Leaders: 2, Faults: []Fault{
			{Verb: AnyWrite, Every: 1, Do: delay(150 * time.Millisecond)},
		}},
		{Name: "two leaders, one loses its answers", Leaders: 2, Faults: []Fault{
			{Verb: "create", Resource: "pods", Every: 2, Times: timesOfRequest, Do: commitThenReset},
		}},
		{Name: "creations committed then reset, watch stalled", Faults: []Fault{
			{Verb: "create", Resource: "pods", Every: 2, Times: timesOfRequest, Do: commitThenReset},
			{Verb: "watch", Resource: "pods", Every: 1, Times: timesOfWatch, Do: stallWatch(100 * time.Millisecond)},
		}},
	}
}
