// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const scrapeTimeout = 30 * time.Second

// histogram is a scheduler's histogram, in seconds.
type histogram struct {
	count   uint64
	sum     float64
	buckets []bucket
}

// bucket is how many were at most that long.
type bucket struct {
	most  float64
	count uint64
}

// scrape reads how long attempts that placed a Pod took: in all, with the
// binding, and the part of it that looks for a node.
func scrape(ctx context.Context, port int) (attempts, algorithm histogram, err error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/metrics", port), nil)
	if err != nil {
		return attempts, algorithm, fmt.Errorf("asking for the metrics: %w", err)
	}
	// The scheduler signs its certificate itself; it was started by this process, on the loopback.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return attempts, algorithm, fmt.Errorf("reading the scheduler's metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return attempts, algorithm, fmt.Errorf("reading the scheduler's metrics: %s", response.Status)
	}
	return parse(response.Body)
}

func parse(text io.Reader) (attempts, algorithm histogram, err error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return attempts, algorithm, fmt.Errorf("parsing the scheduler's metrics: %w", err)
	}
	attempts = find(families["scheduler_scheduling_attempt_duration_seconds"])
	algorithm = find(families["scheduler_scheduling_algorithm_duration_seconds"])
	if attempts.count == 0 || algorithm.count == 0 {
		return attempts, algorithm, errors.New("the scheduler has no metrics of its attempts: are their names still right?")
	}
	return attempts, algorithm, nil
}

// find returns the one of a family that is about scheduled Pods, or has no result at all.
func find(family *dto.MetricFamily) histogram {
	for _, metric := range family.GetMetric() {
		scheduled := true
		for _, label := range metric.GetLabel() {
			scheduled = scheduled && (label.GetName() != "result" || label.GetValue() == "scheduled")
		}
		if !scheduled {
			continue
		}
		h := histogram{count: metric.GetHistogram().GetSampleCount(), sum: metric.GetHistogram().GetSampleSum()}
		for _, b := range metric.GetHistogram().GetBucket() {
			h.buckets = append(h.buckets, bucket{most: b.GetUpperBound(), count: b.GetCumulativeCount()})
		}
		return h
	}
	return histogram{}
}

// quantile estimates as Prometheus' histogram_quantile does: evenly within a bucket.
func (h histogram) quantile(q float64) float64 {
	rank := q * float64(h.count)
	least, below := 0.0, uint64(0)
	for _, b := range h.buckets {
		if float64(b.count) >= rank && b.count > below {
			if math.IsInf(b.most, 1) {
				return least
			}
			return least + (b.most-least)*(rank-float64(below))/float64(b.count-below)
		}
		least, below = b.most, b.count
	}
	return least
}

func (h histogram) mean() float64 {
	if h.count == 0 {
		return 0
	}
	return h.sum / float64(h.count)
}
