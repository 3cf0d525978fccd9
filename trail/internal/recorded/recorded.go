// SPDX-License-Identifier: Apache-2.0

// Package recorded loads the recordings of real runs that tests replay.
package recorded

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// maxLine bounds one record.
const maxLine = 4 << 20

// Load returns the observations of a recording: NAME.jsonl.gz holds what a recorder served, NAME.objects.json.gz the
// objects and events of the API at its end, as a List.
func Load(folder, name string) ([]trail.Observation, error) {
	records, err := loadRecords(filepath.Join(folder, name+".jsonl.gz"))
	if err != nil {
		return nil, err
	}
	objects, err := loadObjects(filepath.Join(folder, name+".objects.json.gz"))
	if err != nil {
		return nil, err
	}
	return append(records, objects...), nil
}

func loadRecords(path string) (out []trail.Observation, err error) {
	err = unzip(path, func(lines *bufio.Scanner) error {
		for lines.Scan() {
			var record source.Record
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
				return fmt.Errorf("decode record: %w", err)
			}
			observations, err := source.Parse(record)
			if err != nil {
				return err
			}
			out = append(out, observations...)
		}
		return lines.Err()
	})
	return out, err
}

func loadObjects(path string) (out []trail.Observation, err error) {
	err = unzip(path, func(lines *bufio.Scanner) error {
		lines.Scan()
		var list struct {
			Items []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(lines.Bytes(), &list); err != nil {
			return fmt.Errorf("decode list: %w", err)
		}
		for _, item := range list.Items {
			var object metav1.TypeMeta
			if err := json.Unmarshal(item, &object); err != nil {
				return fmt.Errorf("decode object: %w", err)
			}
			name := trail.SourceObject
			if object.Kind == "Event" {
				name = trail.SourceEvent
			}
			observations, err := source.Parse(source.Record{Source: name, Data: item})
			if err != nil {
				return err
			}
			out = append(out, observations...)
		}
		return nil
	})
	return out, err
}

func unzip(path string, read func(*bufio.Scanner) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open recording: %w", err)
	}
	defer func() { _ = file.Close() }() // only read from
	zipped, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("unzip %s: %w", path, err)
	}
	lines := bufio.NewScanner(zipped)
	lines.Buffer(nil, maxLine)
	if err := read(lines); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
