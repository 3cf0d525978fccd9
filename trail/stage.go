// SPDX-License-Identifier: Apache-2.0

// Package trail turns observations into a trail: the way that an object went, from the request that asked for it
// to the container that runs. It is pure: no client, no clock and no network, so a recorded trail replays without
// a cluster.
package trail

import (
	"fmt"
	"strings"
)

// Stage is one of the ten stages of a trail. Its number is its place in the order of cause.
type Stage int

// The ten stages. Stages Submit to Persist happen for every write, whoever sends it.
const (
	Submit Stage = iota + 1
	Authenticate
	Authorize
	Mutate
	Validate
	Persist
	Reconcile
	Schedule
	Run
	Heal
)

var stageNames = [...]string{
	Submit: "Submit", Authenticate: "Authenticate", Authorize: "Authorize", Mutate: "Mutate", Validate: "Validate",
	Persist: "Persist", Reconcile: "Reconcile", Schedule: "Schedule", Run: "Run", Heal: "Heal",
}

// String gives the stage's name.
func (s Stage) String() string {
	if s < Submit || s > Heal {
		return fmt.Sprintf("Stage(%d)", int(s))
	}
	return stageNames[s]
}

// MarshalText makes the stage's name its form in JSON and YAML.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a stage's name, in any case.
func (s *Stage) UnmarshalText(text []byte) error {
	for stage := Submit; stage <= Heal; stage++ {
		if strings.EqualFold(stageNames[stage], string(text)) {
			*s = stage
			return nil
		}
	}
	return fmt.Errorf("unknown stage %q", text)
}

// ofWrite says whether the stage belongs to a single API request.
func (s Stage) ofWrite() bool { return s >= Submit && s <= Persist }
