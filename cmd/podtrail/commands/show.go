// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/render"
)

// outputs are the values of -o.
var outputs = []string{"tree", "table", "json", "yaml"}

// show says in which form, and how much of, a trail is printed.
type show struct {
	streams genericiooptions.IOStreams
	output  string
	verbose bool
	stages  []string
	since   time.Duration
	now     func() time.Time
}

func newShow(streams genericiooptions.IOStreams) show {
	return show{streams: streams, output: "tree", now: time.Now}
}

func (s *show) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.output, "output", "o", "tree", "one of "+strings.Join(outputs, ", "))
	cmd.Flags().BoolVarP(&s.verbose, "verbose", "v", false, "show the evidence, every write and every fact")
	cmd.Flags().StringSliceVar(&s.stages, "stage", nil, "show these stages only, by name or number: persist,run or 6,9")
	cmd.Flags().DurationVar(&s.since, "since", 0, "show only what happened in this time before now, such as 5m; 0 shows all")
	names := []string{}
	for stage := trail.Submit; stage <= trail.Heal; stage++ {
		names = append(names, strings.ToLower(stage.String()))
	}
	// Both fail only for a flag that isn't there.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("stage", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

// check refuses what can't be shown, before anything is read. Next is the command as it would be right.
func (s *show) check(next string) error {
	if !slices.Contains(outputs, s.output) {
		return &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("There is no output %q; there are %s.", s.output, strings.Join(outputs, ", ")),
			Next: next + " -o tree",
		}
	}
	if s.since < 0 {
		return &collect.Problem{
			Code: collect.WrongUse, What: fmt.Sprintf("--since is %s; it counts back from now, so it must be above 0.", s.since),
			Next: next + " --since=5m",
		}
	}
	_, err := s.chosen()
	return err
}

// chosen are the stages that were asked for; none means all.
func (s *show) chosen() ([]trail.Stage, error) {
	var out []trail.Stage
	for _, word := range s.stages {
		stage, err := parseStage(word)
		if err != nil {
			return nil, err
		}
		out = append(out, stage)
	}
	return out, nil
}

// parseStage reads a stage's name in any case, or its number.
func parseStage(word string) (trail.Stage, error) {
	var stage trail.Stage
	if n, err := strconv.Atoi(word); err == nil && n >= int(trail.Submit) && n <= int(trail.Heal) {
		return trail.Stage(n), nil
	}
	if stage.UnmarshalText([]byte(word)) == nil {
		return stage, nil
	}
	names := []string{}
	for stage := trail.Submit; stage <= trail.Heal; stage++ {
		names = append(names, fmt.Sprintf("%d %s", stage, stage))
	}
	return 0, &collect.Problem{
		Code: collect.WrongUse, What: fmt.Sprintf("There is no stage %q; there are %s.", word, strings.Join(names, ", ")),
		Next: "podtrail explain-stage 1",
	}
}

// print writes the trail, and returns errPodFailed if it tells of a failure.
func (s *show) print(t trail.Trail, problems []render.Problem) error {
	result := t.Outcome.Result
	stages, err := s.chosen()
	if err != nil {
		return err
	}
	var from time.Time
	if s.since > 0 {
		from = s.now().Add(-s.since)
	}
	if err := s.write(t.Only(stages, from), problems); err != nil {
		return err
	}
	if result == trail.Refused || result == trail.Failed {
		return errPodFailed
	}
	return nil
}

func (s *show) write(t trail.Trail, problems []render.Problem) error {
	switch s.output {
	case "json":
		return render.JSON(s.streams.Out, t, problems)
	case "yaml":
		return render.YAML(s.streams.Out, t, problems)
	case "table":
		// Rows alone go to stdout, so that a program can read them.
		for _, p := range problems {
			_, _ = fmt.Fprintf(s.streams.ErrOut, "missing: %s\nnext:    %s\n", p.What, p.Next)
		}
		return render.Table(s.streams.Out, t)
	}
	options := terminalOptions(s.streams.Out)
	options.Verbose, options.Problems = s.verbose, problems
	return render.Tree(s.streams.Out, t, options)
}

// terminalOptions are the width and the colour that the output takes.
func terminalOptions(out io.Writer) render.Options {
	width, terminal := terminalOf(out)
	return render.Options{Width: width, Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// terminalOf returns the width to write for, and whether a terminal shows it. What is no terminal gets 100 columns.
func terminalOf(out io.Writer) (int, bool) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 100, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return 100, true
	}
	return width, true
}

// shownProblems are problems in the form that is printed.
func shownProblems(problems []*collect.Problem) []render.Problem {
	out := make([]render.Problem, 0, len(problems))
	for _, p := range problems {
		out = append(out, render.Problem{What: p.What, Next: p.Next})
	}
	return out
}
