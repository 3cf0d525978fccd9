// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"github.com/prometheus/client_golang/prometheus"

	"podtrail.dev/podtrail/trail/source"
)

// figure is one field of a source.Status as a metric.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(source.Status) float64
}

// Collector gives the figures of source.Status as metrics when they are scraped, so that they are counted once, by
// the sources, and /v1/sources and /metrics cannot disagree.
type Collector struct {
	sources []Source
	figures []figure
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector to register.
func NewCollector(sources ...Source) *Collector {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	return &Collector{sources: sources, figures: []figure{
		newFigure("records_kept", gauge, "Pieces of evidence held in memory now.",
			func(s source.Status) float64 { return float64(s.Kept) }),
		newFigure("kept_bytes", gauge, "Memory that the held evidence takes, in bytes; --buffer-bytes bounds it.",
			func(s source.Status) float64 { return float64(s.KeptBytes) }),
		newFigure("records_dropped_total", counter,
			"Pieces of evidence that were kept and had to go to keep the bound, the oldest first. If it grows, trails of older Pods are not whole.",
			func(s source.Status) float64 { return float64(s.Dropped) }),
		newFigure("records_filtered_total", counter, "What the source gave and no trail can need, such as reads and events about other resources.",
			func(s source.Status) float64 { return float64(s.Filtered) }),
		newFigure("records_malformed_total", counter, "What the source gave and could not be understood: cut off, too long or not of its form.",
			func(s source.Status) float64 { return float64(s.Malformed) }),
		newFigure("source_up", gauge, "1 if the source could be read the last time, 0 if not; /v1/sources says why. On nodes without an audit log it is 0 for audit.",
			func(s source.Status) float64 {
				if s.LastError != "" {
					return 0
				}
				return 1
			}),
	}}
}

func newFigure(name string, kind prometheus.ValueType, help string, value func(source.Status) float64) figure {
	return figure{desc: prometheus.NewDesc("podtrail_recorder_"+name, help, []string{"source"}, nil), kind: kind, value: value}
}

// Describe is part of prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		out <- f.desc
	}
}

// Collect is part of prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.sources {
		status := s.Status()
		for _, f := range c.figures {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.value(status), status.Source)
		}
	}
}
