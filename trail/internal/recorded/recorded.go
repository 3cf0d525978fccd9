// SPDX-License-Identifier: Apache-2.0

// Package recorded loads the recordings of real runs that are shipped in docs/recordings, for tests.
package recorded

import (
	"fmt"
	"os"
	"path/filepath"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/recording"
	"podtrail.dev/podtrail/trail/source"
)

// Load returns what a recording holds. Root is the path of the repository.
func Load(root, name string) (recording.Header, []source.Record, error) {
	file, err := os.Open(filepath.Join(root, "docs", "recordings", name+".jsonl.gz"))
	if err != nil {
		return recording.Header{}, nil, fmt.Errorf("open recording: %w", err)
	}
	defer func() { _ = file.Close() }() // only read from
	header, records, err := recording.Read(file)
	if err != nil {
		return header, nil, fmt.Errorf("recording %s: %w", name, err)
	}
	return header, records, nil
}

// Observe returns what a recording is evidence of. Every record must be understood.
func Observe(root, name string) ([]trail.Observation, error) {
	_, records, err := Load(root, name)
	if err != nil {
		return nil, err
	}
	observations, garbage := recording.Observe(records)
	if len(garbage) > 0 {
		return nil, fmt.Errorf("recording %s: records of these sources can't be parsed: %v", name, garbage)
	}
	return observations, nil
}
