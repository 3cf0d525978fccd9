// SPDX-License-Identifier: Apache-2.0

package plane

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
)

// Counters are numbers of requests that the API server has answered.
type Counters struct {
	// Sent is how many the controllers have sent, which priority and fairness counts; Refused is how many of them it
	// has answered with 429, because too many were waiting.
	Sent, Refused int
	// Kinds is how many there were of each kind, such as "POST pods", whoever asked.
	Kinds map[string]int
}

// Since is what has been added to earlier.
func (c Counters) Since(earlier Counters) Counters {
	added := Counters{Sent: c.Sent - earlier.Sent, Refused: c.Refused - earlier.Refused, Kinds: map[string]int{}}
	for kind, count := range c.Kinds {
		if more := count - earlier.Kinds[kind]; more > 0 {
			added.Kinds[kind] = more
		}
	}
	return added
}

// Counters reads the API server's metrics, which costs it processor time: do it outside of what is measured.
func (p *Plane) Counters(ctx context.Context) (Counters, error) {
	clientset, err := kubernetes.NewForConfig(p.Config)
	if err != nil {
		return Counters{}, fmt.Errorf("making a client for the metrics: %w", err)
	}
	text, err := clientset.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return Counters{}, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	return parseCounters(string(text))
}

const (
	answered   = "apiserver_request_total"
	dispatched = "apiserver_flowcontrol_dispatched_requests_total"
	rejected   = "apiserver_flowcontrol_rejected_requests_total"
)

var label = regexp.MustCompile(`(\w+)="([^"]*)"`)

func parseCounters(text string) (Counters, error) {
	counters := Counters{Kinds: map[string]int{}}
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(line, "{")
		if !found || name != answered && name != dispatched && name != rejected {
			continue
		}
		_, number, _ := strings.Cut(rest, "} ")
		value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil {
			return Counters{}, fmt.Errorf("metrics line %q: %w", line, err)
		}
		labels := map[string]string{}
		for _, match := range label.FindAllStringSubmatch(rest, -1) {
			labels[match[1]] = match[2]
		}
		counters.count(name, labels, int(value))
	}
	return counters, nil
}

func (c *Counters) count(name string, labels map[string]string, value int) {
	ours := labels["flow_schema"] == controllers
	switch {
	case name == answered:
		c.Kinds[kindOf(labels)] += value
	case name == dispatched && ours:
		c.Sent += value
	case name == rejected && ours:
		c.Sent += value
		c.Refused += value
	}
}

func kindOf(labels map[string]string) string {
	kind := labels["verb"] + " " + labels["resource"]
	if labels["subresource"] != "" {
		kind += "/" + labels["subresource"]
	}
	return kind
}
