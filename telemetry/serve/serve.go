// SPDX-License-Identifier: Apache-2.0

// Package serve hands out what the sources of a recorder keep, to callers that the API server authenticates and
// RBAC allows, and to nobody else.
package serve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"

	"podtrail.dev/podtrail/telemetry/buffer"
	"podtrail.dev/podtrail/trail/source"
)

// The paths that are served; RBAC grants them as nonResourceURLs.
const (
	RecordsPath = "/v1/records"
	SourcesPath = "/v1/sources"
)

const (
	// writeTimeout bounds how long a caller may take nothing before it is given up. It is for each chunk, not for the
	// whole answer, so that a slow line still gets everything.
	writeTimeout = 30 * time.Second
	chunkBytes   = 64 << 10
)

// Source is one kind of evidence that a recorder keeps.
type Source interface {
	Status() source.Status
	// Records yields the records that match accepts, the oldest first.
	Records(match buffer.Match) iter.Seq[source.Record]
}

// VersionHeader is in each answer: the version of the program that gives it.
const VersionHeader = "Podtrail-Version"

// Handlers returns the handlers by path. They check parameters only: who may call them is for Authenticated. Version is
// that of the program.
func Handlers(version string, sources ...Source) map[string]http.Handler {
	return map[string]http.Handler{
		RecordsPath: versioned(version, records(sources)),
		SourcesPath: versioned(version, statuses(sources)),
	}
}

// versioned tells the version with each answer, refusals too: a caller that asks for what this version does not know
// learns which one it is.
func versioned(version string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(VersionHeader, version)
		next.ServeHTTP(w, r)
	})
}

// records answers GET /v1/records with one source.Record for each line, source by source, the oldest first. With
// namespace=NS it leaves out what is about objects in other namespaces; what is about cluster-scoped objects (Nodes)
// stays, because a Pod's trail needs it. With pod=NAME beside it, it leaves out what is about other Pods of the namespace,
// as far as the evidence tells which Pod it is about. With since=T, a time of RFC 3339, it leaves out what happened before,
// as far as the evidence tells its time. With source=S it gives that source only.
func records(sources []Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := parameters(r, "namespace", "pod", "since", "source")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		match, err := matchOf(query)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		chosen, err := choose(sources, query)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/jsonl")
		if err := stream(r.Context(), w, chosen, match); err != nil {
			abort(r, err)
		}
	})
}

// statuses answers GET /v1/sources with an array of source.Status.
func statuses(sources []Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := parameters(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := make([]source.Status, 0, len(sources))
		for _, s := range sources {
			answer = append(answer, s.Status())
		}
		body, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, fmt.Sprintf("encoding the sources: %v", err), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := newDeadlineWriter(w).Write(append(body, '\n')); err != nil {
			abort(r, err)
		}
	})
}

// abort gives up a caller that left or stopped reading. The cut connection tells it that the answer is not whole;
// returning would end the answer as if it were.
func abort(r *http.Request, err error) {
	ctrl.LoggerFrom(r.Context()).V(1).Info("Stopped answering", "path", r.URL.Path, "reason", err.Error())
	panic(http.ErrAbortHandler)
}

// stream writes the records in chunks and ends at the first write that fails.
func stream(ctx context.Context, w http.ResponseWriter, sources []Source, match buffer.Match) error {
	buffered := bufio.NewWriterSize(newDeadlineWriter(w), chunkBytes)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false) // the data stays as it was seen
	for _, s := range sources {
		for record := range s.Records(match) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := encoder.Encode(record); err != nil {
				return fmt.Errorf("writing a record: %w", err)
			}
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing the last records: %w", err)
	}
	return nil
}

// deadlineWriter gives each write its own deadline; net/http takes the last one away after the answer.
type deadlineWriter struct {
	response io.Writer
	control  *http.ResponseController
}

func newDeadlineWriter(w http.ResponseWriter) *deadlineWriter {
	return &deadlineWriter{response: w, control: http.NewResponseController(w)}
}

func (w *deadlineWriter) Write(p []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, fmt.Errorf("setting a write deadline: %w", err)
	}
	return w.response.Write(p)
}

// parameters returns the query, and an error that names the first parameter that is not known or is given twice.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("query %q cannot be parsed: %w", r.URL.RawQuery, err)
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return nil, fmt.Errorf("parameter %q is not known: this path takes none", name)
			}
			return nil, fmt.Errorf("parameter %q is not known: want %s", name, strings.Join(known, " or "))
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("parameter %q is given %d times: want it once", name, len(values))
		}
	}
	return query, nil
}

// matchOf returns what the parameters namespace, pod and since ask for.
func matchOf(query url.Values) (buffer.Match, error) {
	namespace, pod, since := query.Get("namespace"), query.Get("pod"), time.Time{}
	if query.Has("namespace") {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return nil, fmt.Errorf("parameter \"namespace\" is %q, want the name of a namespace: %s", namespace, strings.Join(problems, "; "))
		}
	}
	if query.Has("pod") {
		if problems := validation.IsDNS1123Subdomain(pod); len(problems) > 0 {
			return nil, fmt.Errorf("parameter \"pod\" is %q, want the name of a Pod: %s", pod, strings.Join(problems, "; "))
		}
		if namespace == "" {
			return nil, fmt.Errorf("parameter \"pod\" is %q without \"namespace\": want the Pod's namespace too", pod)
		}
	}
	if query.Has("since") {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, query.Get("since")); err != nil {
			return nil, fmt.Errorf("parameter \"since\" is %q, want a time of RFC 3339, as 2026-05-04T10:00:00Z", query.Get("since"))
		}
	}
	return func(about buffer.About) bool {
		return isOrUnset(about.Namespace, namespace) && isOrUnset(about.Pod, pod) && (about.Time.IsZero() || !about.Time.Before(since))
	}, nil
}

// isOrUnset says whether a name is the one that is wanted, or one of the two is not given.
func isOrUnset(is, want string) bool { return want == "" || is == "" || is == want }

func choose(sources []Source, query url.Values) ([]Source, error) {
	if !query.Has("source") {
		return sources, nil
	}
	want := query.Get("source")
	known := []string{}
	for _, s := range sources {
		name := s.Status().Source
		if name == want {
			return []Source{s}, nil
		}
		known = append(known, name)
	}
	return nil, fmt.Errorf("parameter \"source\" is %q, want one of this recorder's sources %q", want, known)
}
