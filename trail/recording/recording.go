// SPDX-License-Identifier: Apache-2.0

// Package recording writes evidence to a file and reads it back, so that a trail replays without a cluster.
//
// A recording is JSON lines, zipped or not: a Header, then one source.Record for each piece of evidence, as it was
// served. A trail is built from it by the same code as from a cluster.
package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// APIVersion and Kind are in the first line of every recording.
const (
	APIVersion = trail.APIVersion
	Kind       = "Recording"
)

const (
	// maxLine bounds one record, maxBytes all that is unzipped: what is more is no recording of a namespace.
	maxLine  = 16 << 20
	maxBytes = 1 << 30
)

// Header says what a recording is of.
type Header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Subject is what was recorded; without a kind it is everything in its namespace.
	Subject trail.Subject `json:"subject"`
	// Taken is when it was recorded, Kubernetes and Podtrail are the versions of the API server and of the command.
	Taken      time.Time `json:"taken"`
	Kubernetes string    `json:"kubernetes,omitempty"`
	Podtrail   string    `json:"podtrail,omitempty"`
	// Problems are the sources that could not be read then; their evidence is not in the recording.
	Problems []Problem `json:"problems,omitempty"`
	// Sources are what the recorders said of their sources, if the trail lacked spans then: it tells why.
	Sources []source.Status `json:"sources,omitempty"`
}

// Problem is a source that could not be read.
type Problem struct {
	What string `json:"what"`
	Next string `json:"next"`
}

// Write writes a recording, zipped if asked for. It completes the header's apiVersion and kind.
func Write(out io.Writer, header Header, records []source.Record, zipped bool) error {
	header.APIVersion, header.Kind = APIVersion, Kind
	var zip *gzip.Writer
	if zipped {
		zip, _ = gzip.NewWriterLevel(out, gzip.BestCompression) // fails only for a level that there is not
		out = zip
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(header); err != nil {
		return fmt.Errorf("write header of recording: %w", err)
	}
	for _, record := range records {
		if err := encoder.Encode(record); err != nil {
			return fmt.Errorf("write record of source %s: %w", record.Source, err)
		}
	}
	if zip == nil {
		return nil
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("zip recording: %w", err)
	}
	return nil
}

// Read reads a recording, zipped or not. An error names the line that is wrong.
func Read(in io.Reader) (Header, []source.Record, error) {
	in, err := unzipped(in)
	if err != nil {
		return Header{}, nil, err
	}
	limited := &io.LimitedReader{R: in, N: maxBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxLine)
	var header Header
	var records []source.Record
	for n := 1; lines.Scan(); n++ {
		switch {
		case n == 1:
			err = readHeader(lines.Bytes(), &header)
		case len(bytes.TrimSpace(lines.Bytes())) > 0:
			var record source.Record
			if err = json.Unmarshal(lines.Bytes(), &record); err == nil {
				records = append(records, record)
			}
		}
		if err != nil {
			return Header{}, nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return Header{}, nil, fmt.Errorf("read recording after %d records: %w", len(records), err)
	case limited.N <= 0:
		return Header{}, nil, fmt.Errorf("read recording: it is longer than %d bytes", int64(maxBytes))
	case header.Kind == "":
		return Header{}, nil, errors.New("the recording is empty")
	}
	return header, records, nil
}

// unzipped looks at the first two bytes for gzip's magic number.
func unzipped(in io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(in)
	if magic, err := buffered.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return buffered, nil //nolint:nilerr // what is too short to be zipped is read as it is
	}
	zip, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("unzip recording: %w", err)
	}
	return zip, nil
}

func readHeader(line []byte, header *Header) error {
	if err := json.Unmarshal(line, header); err != nil {
		return fmt.Errorf("this is no recording of podtrail record: %w", err)
	}
	if header.APIVersion != APIVersion || header.Kind != Kind {
		return fmt.Errorf("apiVersion %q, kind %q: want %q and %q", header.APIVersion, header.Kind, APIVersion, Kind)
	}
	return nil
}

// Observe parses records. Records that cannot be parsed are counted by source and left out; the others count.
func Observe(records []source.Record) (observations []trail.Observation, garbage map[string]int) {
	garbage = map[string]int{}
	told := make([][]trail.Observation, len(records))
	for i, record := range records {
		found, err := source.Parse(record)
		if err != nil {
			garbage[record.Source]++
			continue
		}
		told[i] = found
	}
	return slices.Concat(told...), garbage
}

// Only keeps the records that a trail of one subject is made of. It returns false if there is none of that subject.
func Only(records []source.Record, subject trail.Subject) ([]source.Record, bool) {
	observations, _ := Observe(records)
	focused, ok := trail.Build(observations).Focus(subject)
	if !ok {
		return nil, false
	}
	evidence := map[trail.Evidence]bool{}
	focused.Walk(func(o *trail.Object) {
		for _, e := range o.Entries() {
			for _, obs := range e.Observations {
				evidence[anywhere(obs.Evidence)] = true
			}
		}
	})
	var kept []source.Record
	for _, record := range records {
		found, err := source.Parse(record)
		if err != nil {
			continue
		}
		for _, obs := range found {
			if evidence[anywhere(obs.Evidence)] {
				kept = append(kept, record)
				break
			}
		}
	}
	return kept, true
}

// anywhere is the evidence whichever node's recorder saw it.
func anywhere(e trail.Evidence) trail.Evidence {
	e.Node = ""
	return e
}
