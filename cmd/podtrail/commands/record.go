// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/recording"
	"podtrail.dev/podtrail/trail/render"
	"podtrail.dev/podtrail/trail/source"
)

// toStdout is the file name that stands for standard output, toStdin the same for input.
const toStdout, toStdin = "-", "-"

func newRecord(flags *genericclioptions.ConfigFlags, version string, streams genericiooptions.IOStreams) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "record KIND/NAME -o FILE",
		Short: "Write the evidence of a trail to a file that replays without the cluster",
		Long: `Write the evidence that a trail is made of to a file: what podtrail trail reads now, and nothing else of the namespace.
The file is JSON lines, zipped if its name ends in .gz; - is standard output. Values of environment variables are in
none of the sources, so they are not in a recording.`,
		Example: `  podtrail record deployment/nginx-deployment -n podtrail-demo -o nginx.jsonl.gz
  podtrail replay nginx.jsonl.gz`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := parseReference(args)
			if err != nil {
				return err
			}
			if file == "" {
				return &collect.Problem{
					Code: collect.WrongUse, What: "Where to write is missing: -o FILE.",
					Next: fmt.Sprintf("podtrail record %s/%s -o %s.jsonl.gz", kind.Argument, name, name),
				}
			}
			cluster, namespace, err := connect(flags)
			if err != nil {
				return err
			}
			ref := trail.Subject{Kind: kind.Kind, Namespace: namespace, Name: name}
			return record(cmd.Context(), cluster, kind, ref, file, version, streams)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "the file to write")
	return cmd
}

func record(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject, file, version string, streams genericiooptions.IOStreams) error {
	found, evidence, err := readTrail(ctx, cluster, kind, ref, streams.ErrOut)
	if err != nil {
		return err
	}
	records, ok := recording.Only(evidence.Records, found.Subject)
	if !ok { // the trail was built from the same records
		return fmt.Errorf("choose the records of %s: it is not among them", found.Subject)
	}
	header := recording.Header{Subject: found.Subject, Taken: time.Now().UTC(), Kubernetes: cluster.Version(ctx), Podtrail: version, Sources: evidence.Sources}
	for _, p := range evidence.Problems {
		header.Problems = append(header.Problems, recording.Problem{What: p.What, Next: p.Next})
	}
	write := func(out io.Writer) error {
		return recording.Write(out, header, records, strings.HasSuffix(file, ".gz"))
	}
	if file == toStdout {
		return write(streams.Out)
	}
	out, err := os.Create(file)
	if err != nil {
		return &collect.Problem{Code: collect.WrongUse, What: fmt.Sprintf("%s can't be written: %v.", file, err), Next: "podtrail record --help", Cause: err}
	}
	if err := errors.Join(write(out), out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = fmt.Fprintf(streams.Out, "%s: %d records, %d facts of %s\nnext: podtrail replay %s\n",
		file, len(records), found.Observed+found.Inferred, render.Reference(found.Subject), file)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

func newReplay(streams genericiooptions.IOStreams) *cobra.Command {
	s := newShow(streams)
	cmd := &cobra.Command{
		Use:   "replay FILE [KIND/NAME]",
		Short: "Print the trail in a recording, without a cluster",
		Long: `Print the trail in a file that podtrail record wrote; - is standard input. It needs no cluster and no network. With
KIND/NAME it prints the trail of another object in the same recording, such as one Pod of a Deployment.`,
		Example: `  podtrail replay docs/recordings/deployment.jsonl.gz
  podtrail replay docs/recordings/deployment.jsonl.gz -o table`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := s.check("podtrail replay " + args[0]); err != nil {
				return err
			}
			tape, err := openTape(args[0], streams.In)
			if err != nil {
				return err
			}
			found, err := tape.trailOf(args[1:])
			if err != nil {
				return err
			}
			s.now = func() time.Time { return tape.header.Taken }
			return s.print(found, tape.problems())
		},
	}
	s.addFlags(cmd)
	return cmd
}

// tape is a recording that was read.
type tape struct {
	file     string
	header   recording.Header
	evidence collect.Evidence
	garbage  map[string]int
}

// openTape reads a recording from a file or, as "-", from in.
func openTape(file string, in io.Reader) (*tape, error) {
	unreadable := func(err error) error {
		return &collect.Problem{
			Code: collect.WrongUse, Cause: err, What: fmt.Sprintf("%s can't be replayed: %v.", file, err),
			Next: "podtrail record KIND/NAME -o FILE, or podtrail replay docs/recordings/deployment.jsonl.gz",
		}
	}
	if file != toStdin {
		opened, err := os.Open(file)
		if err != nil {
			return nil, unreadable(err)
		}
		defer func() { _ = opened.Close() }() // only read from
		in = opened
	}
	t := &tape{file: file}
	var err error
	if t.header, t.evidence.Records, err = recording.Read(in); err != nil {
		return nil, unreadable(err)
	}
	t.evidence.Observations, t.garbage = recording.Observe(t.evidence.Records)
	return t, nil
}

// trailOf builds the trail of the object that the arguments name, else of what was recorded.
func (t *tape) trailOf(args []string) (trail.Trail, error) {
	ref := t.header.Subject
	if len(args) > 0 {
		kind, name, err := parseReference(args)
		if err != nil {
			return trail.Trail{}, err
		}
		ref = trail.Subject{Kind: kind.Kind, Namespace: ref.Namespace, Name: name}
	}
	found, ok := trail.Build(t.evidence.Observations, source.Listening(t.header.Sources)...).Focus(ref)
	if !ok {
		return trail.Trail{}, &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("%s holds no evidence of %s; it is a recording of %s.",
				t.file, render.Reference(ref), render.Reference(t.header.Subject)),
			Next: "podtrail replay " + t.file,
		}
	}
	return found, nil
}

// problems are the sources that could not be read when it was recorded, and what can't be read now.
func (t *tape) problems() []render.Problem {
	var out []render.Problem
	for _, p := range t.header.Problems {
		out = append(out, render.Problem{What: "When this was recorded: " + p.What, Next: p.Next})
	}
	for name, n := range t.garbage {
		out = append(out, render.Problem{
			What: fmt.Sprintf("%d records of source %s can't be read by this version of podtrail.", n, name),
			Next: "podtrail version, against the version in the first line of the recording",
		})
	}
	return out
}
