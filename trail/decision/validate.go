// SPDX-License-Identifier: Apache-2.0

package decision

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Decode returns the record in data, which is valid (Record.Validate), so that nobody has to check an index again. The
// error names the field, its value and what would be right.
func Decode(data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, err //nolint:wrapcheck // the caller knows whose record it is
	}
	if err := r.Validate(); err != nil {
		return Record{}, err
	}
	return r, nil
}

// Validate returns an error if the record names no Pod, holds none or several of Attempt, Binding, Move and Victim, or
// has an attempt with an invalid matrix.
func (r *Record) Validate() error {
	if r.Pod.UID == "" {
		return errors.New("pod.uid is empty: the record names no Pod")
	}
	set := 0
	for _, isSet := range []bool{r.Attempt != nil, r.Binding != nil, r.Move != nil, r.Victim != nil} {
		if isSet {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("the record of Pod %s/%s holds %d of attempt, binding, move and victim, want one", r.Pod.Namespace, r.Pod.Name, set)
	}
	if r.Attempt == nil {
		return nil
	}
	if err := r.Attempt.Matrix.Validate(); err != nil {
		return fmt.Errorf("attempt %d of Pod %s/%s: matrix.%w", r.Attempt.Number, r.Pod.Namespace, r.Pod.Name, err)
	}
	return nil
}

// Validate returns an error if an index is out of range, a node is in two rows, a scored node is in none or scored
// twice, or a row has not one verdict for each filter or a score plugin not one score for each scored node. A matrix of
// nodes without rows is valid.
func (m *Matrix) Validate() error {
	inRow := make([]bool, len(m.Nodes))
	for i := range m.Rows {
		if err := m.validateRow(&m.Rows[i], inRow); err != nil {
			return fmt.Errorf("rows[%d].%w", i, err)
		}
	}
	if err := m.validateScored(inRow); err != nil {
		return err
	}
	for i := range m.Scores {
		if err := m.validateScore(&m.Scores[i]); err != nil {
			return fmt.Errorf("scores[%d].%w", i, err)
		}
	}
	return nil
}

// validateRow also sets inRow for the row's nodes.
func (m *Matrix) validateRow(row *Row, inRow []bool) error {
	for i, node := range row.Nodes {
		switch {
		case node < 0 || node >= len(m.Nodes):
			return fmt.Errorf("nodes[%d] is %d, want an index in matrix.nodes, which has %d", i, node, len(m.Nodes))
		case inRow[node]:
			return fmt.Errorf("nodes[%d] is %d (%s), which is in a row already", i, node, m.Nodes[node])
		}
		inRow[node] = true
	}
	if len(row.Verdicts) != len(m.Filters) {
		return fmt.Errorf("verdicts has %d, want one for each of the %d filters", len(row.Verdicts), len(m.Filters))
	}
	for i, v := range row.Verdicts {
		if v.Refused() && (v.Reason < 0 || v.Reason >= len(m.Reasons)) {
			return fmt.Errorf("verdicts[%d] is %d, want 0 to %d: there are %d reasons",
				i, v.Number(), firstRefusal+2*len(m.Reasons)-1, len(m.Reasons))
		}
	}
	return nil
}

func (m *Matrix) validateScored(inRow []bool) error {
	scored := make([]bool, len(m.Nodes))
	for i, node := range m.Scored {
		switch {
		case node < 0 || node >= len(m.Nodes):
			return fmt.Errorf("scored[%d] is %d, want an index in matrix.nodes, which has %d", i, node, len(m.Nodes))
		case !inRow[node]:
			return fmt.Errorf("scored[%d] is %d (%s), which is in no row", i, node, m.Nodes[node])
		case scored[node]:
			return fmt.Errorf("scored[%d] is %d (%s), which is scored already", i, node, m.Nodes[node])
		}
		scored[node] = true
	}
	return nil
}

func (m *Matrix) validateScore(score *Score) error {
	if len(score.Normalised) != len(m.Scored) {
		return fmt.Errorf("normalised of %s has %d, want one for each of the %d scored nodes", score.Plugin, len(score.Normalised), len(m.Scored))
	}
	if len(score.Raw) != 0 && len(score.Raw) != len(m.Scored) {
		return fmt.Errorf("raw of %s has %d, want none or one for each of the %d scored nodes", score.Plugin, len(score.Raw), len(m.Scored))
	}
	return nil
}
