// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/render"
)

const (
	// followInterval is the time between two readings while a trail is followed.
	followInterval = 700 * time.Millisecond
	// settleReadings is how many readings a trail must stay final for, so that evidence that comes late is in it.
	settleReadings = 2
	// spanReadings is the same for a trail that lacks spans: exporters send every 5 s.
	spanReadings = 9
	// failureReadings is the same for a failure: a Pod whose image could not be pulled once may still come up.
	failureReadings = 6
)

// followTo prints the stages as they appear until the outcome is final, then the whole trail. What is not there yet is
// waited for. It ends with the context, with what is known until then.
func (o *trailOptions) followTo(ctx context.Context, cluster *collect.Cluster, kind collect.KindInfo, ref trail.Subject) error {
	var news render.News
	var found trail.Trail
	var evidence collect.Evidence
	readings, known := 0, false
	for {
		latest, read, err := readNow(ctx, cluster, kind, ref, o.streams.ErrOut)
		if err != nil && ctx.Err() == nil && !notYet(err) {
			return err
		}
		if err == nil {
			found, evidence, known = latest, read, true
			if err := o.printNews(&news, found); err != nil {
				return err
			}
		}
		readings = settled(found, known, readings)
		if readings < 0 || !wait(ctx, followInterval) {
			break
		}
	}
	if !known {
		return &collect.Problem{
			Code: collect.Unreachable, What: fmt.Sprintf("No evidence of %s came in time.", render.Reference(ref)),
			Next: "podtrail doctor",
		}
	}
	if o.output == "tree" {
		_, _ = fmt.Fprintln(o.streams.Out)
	}
	return o.printAndExport(ctx, found, evidence)
}

// notYet says that there is no trace of what was asked for, which may still come.
func notYet(err error) bool {
	var problem *collect.Problem
	return errors.As(err, &problem) && problem.Code == collect.WrongUse
}

// printNews prints the stages that are new, for people.
func (o *trailOptions) printNews(news *render.News, found trail.Trail) error {
	if o.output != "tree" {
		return nil
	}
	return news.Write(o.streams.Out, found, terminalOptions(o.streams.Out))
}

// settled counts the readings that agree on a final outcome; -1 when there were enough.
func settled(t trail.Trail, known bool, readings int) int {
	enough := settleReadings
	switch {
	case !known:
		return 0
	case t.Outcome.Result == trail.Failed:
		enough = failureReadings
	case t.Outcome.Result == trail.Ready && t.LacksSpans():
		enough = spanReadings
	case t.Outcome.Result != trail.Ready && t.Outcome.Result != trail.Refused:
		return 0
	}
	if readings++; readings >= enough {
		return -1
	}
	return readings
}

// wait returns false if the context ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
