// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
)

const (
	// checkEvery is the pause between two checks of doctor --wait, saidEvery how often what is still missing is said again.
	checkEvery = 2 * time.Second
	saidEvery  = 10 * time.Second
)

// doctor is what podtrail doctor needs of a cluster.
type doctor interface {
	Check(ctx context.Context, version string) ([]collect.Finding, error)
	Prove(ctx context.Context) collect.Finding
}

// doctorOptions are the inputs of podtrail doctor.
type doctorOptions struct {
	streams genericiooptions.IOStreams
	version string
	wait    time.Duration
	// checkEvery and now are constants that a test may set.
	checkEvery time.Duration
	now        func() time.Time
}

func newDoctor(flags *genericclioptions.ConfigFlags, version string, streams genericiooptions.IOStreams) *cobra.Command {
	o := doctorOptions{streams: streams, version: versionOf(version), checkEvery: checkEvery, now: time.Now}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what a trail needs, and say how to mend what is missing",
		Long: `Check that the API server answers, that podtrail's parts are there and ready, that their recordings can be read with the
permissions at hand, and that each node delivers its evidence: audit events, etcd's revisions and kube-apiserver's spans
on the control plane, the kubelet's and containerd's spans, CNI results and OCI specs on every node. Then send one
request that is stored nowhere (a SelfSubjectReview) and wait up to 30 s until its audit event and its span are with the
recorder.

Lines with ✗ are what a trail lacks, lines with ! are what could be better. Ends with 0 if there is no ✗, else with 3.`,
		Example: `  podtrail doctor
  podtrail doctor --wait 150s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.wait < 0 {
				return &collect.Problem{
					Code: collect.WrongUse, What: fmt.Sprintf("--wait is %s, want 0 or more.", o.wait), Next: "podtrail doctor --wait 150s",
				}
			}
			cluster, _, err := connect(flags)
			if err != nil {
				return err
			}
			if o.wait > 0 {
				return o.waitFor(cmd.Context(), cluster)
			}
			progress := startProgress(streams.ErrOut)
			cluster.Doing = progress.doing
			findings, err := o.examine(cmd.Context(), cluster, true)
			progress.stop()
			if err != nil {
				return err
			}
			return o.print(findings)
		},
	}
	cmd.Flags().DurationVar(&o.wait, "wait", 0, "repeat until nothing is missing, for as long as this, such as 150s")
	return cmd
}

// examine makes all checks. The proof, which takes time itself, is made always or only if nothing is missing without it.
func (o doctorOptions) examine(ctx context.Context, of doctor, always bool) ([]collect.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, collect.Timeout)
	defer cancel()
	findings, err := of.Check(ctx, o.version)
	if err == nil && (always || !slices.ContainsFunc(findings, collect.Finding.Missing)) {
		findings = append(findings, of.Prove(ctx))
	}
	return findings, err
}

// waitFor repeats the checks until nothing is missing or the time is over, says on stderr what is still missing, and prints
// the last findings.
func (o doctorOptions) waitFor(ctx context.Context, of doctor) error {
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	start, said := o.now(), saying{out: o.streams.ErrOut}
	var last []collect.Finding
	var failed error
	for {
		findings, err := o.examine(ctx, of, false)
		var problem *collect.Problem
		switch {
		case ctx.Err() != nil && (last != nil || failed != nil): // cut off: what was found before tells more
		case errors.As(err, &problem) && problem.Code == collect.WrongUse:
			return err
		default:
			last, failed = findings, err
		}
		if failed == nil && !slices.ContainsFunc(last, collect.Finding.Missing) {
			return o.print(last)
		}
		said.waiting(o.now().Sub(start), missing(last, failed))
		if !wait(ctx, o.checkEvery) {
			break
		}
	}
	if failed != nil {
		return failed
	}
	return o.print(last)
}

// missing is what is still waited for.
func missing(findings []collect.Finding, failed error) []string {
	if failed != nil {
		return []string{failed.Error()}
	}
	var out []string
	for _, f := range findings {
		if f.Missing() {
			out = append(out, f.What)
		}
	}
	return out
}

// print writes a line for each finding, and returns a problem if one is missing.
func (o doctorOptions) print(findings []collect.Finding) error {
	var first *collect.Finding
	wrong := 0
	for _, finding := range findings {
		mark := "✓"
		switch {
		case finding.Warning:
			mark = "!"
		case finding.Missing():
			mark = "✗"
			wrong++
			if first == nil {
				first = &finding
			}
		}
		if _, err := fmt.Fprintf(o.streams.Out, "%s %s\n", mark, finding.What); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		if finding.Next != "" {
			_, _ = fmt.Fprintf(o.streams.Out, "  next: %s\n", finding.Next)
		}
	}
	if first == nil {
		return nil
	}
	after := ""
	if o.wait > 0 {
		after = fmt.Sprintf(" after %s", o.wait)
	}
	return &collect.Problem{
		Code: collect.Unreachable, What: fmt.Sprintf("%d of %d checks found something missing%s.", wrong, len(findings), after), Next: first.Next,
	}
}
