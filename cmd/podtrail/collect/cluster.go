// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"podtrail.dev/podtrail/trail"
	"podtrail.dev/podtrail/trail/source"
)

// pageSize bounds one answer of the API server when a namespace is listed.
const pageSize = 500

// Timeout bounds all that is read for one trail.
const Timeout = 60 * time.Second

// Cluster reads from one cluster.
type Cluster struct {
	config *rest.Config
	client kubernetes.Interface
	// Dial opens a connection to a port of a Pod. It goes through the API server unless a test says otherwise.
	Dial DialFunc
	// Doing is told what is being read, for progress.
	Doing func(what string)
}

// New makes the client for a configuration.
func New(config *rest.Config) (*Cluster, error) {
	typed := rest.CopyConfig(config)
	typed.ContentType, typed.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(typed)
	if err != nil {
		return nil, fmt.Errorf("make client for %s: %w", config.Host, err)
	}
	c := &Cluster{config: config, client: client, Doing: func(string) {}}
	c.Dial = c.dialThroughAPIServer
	return c, nil
}

// Evidence is what was read, and what could not be.
type Evidence struct {
	// Records are the evidence as it was served, the form of a recording; Observations are what it tells.
	Records      []source.Record
	Observations []trail.Observation
	// told are the observations record by record, until all are read: there can be too many to move them often.
	told [][]trail.Observation
	// Names are the objects of each kind that exist now.
	Names map[string][]string
	live  []liveObject
	// events are read, and not yet known to be of the scope.
	events []corev1.Event
	// Sources are what the recorders said of their sources, if the trail lacked spans.
	Sources []source.Status
	// Problems are sources that could not be read; the trail lacks their evidence.
	Problems []*Problem
}

// add takes a record in and what it tells.
func (e *Evidence) add(record source.Record) error {
	observations, err := source.Parse(record)
	if err != nil {
		return fmt.Errorf("read a record of source %s: %w", record.Source, err)
	}
	e.Records = append(e.Records, record)
	e.told = append(e.told, observations)
	return nil
}

// merge takes in what was read beside it.
func (e *Evidence) merge(other *Evidence) {
	e.Records = append(e.Records, other.Records...)
	e.told = append(e.told, other.told...)
	e.Problems = append(e.Problems, other.Problems...)
	e.live = append(e.live, other.live...)
	e.events = append(e.events, other.events...)
	for i := range other.live {
		object := &other.live[i]
		e.Names[object.Kind] = append(e.Names[object.Kind], object.Name)
	}
}

// Around reads what there is around one object: the evidence of its namespace, without what can't be of the object (see
// scope). The objects of its kind must be readable; what else is not becomes a problem beside the trail.
func (c *Cluster) Around(ctx context.Context, namespace string, asked KindInfo, name string) (Evidence, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from := make(chan reached, 1)
	go func() { from <- c.reach(ctx) }()
	what := scope{namespace: namespace}
	if asked.Kind == "Pod" {
		what.pod = name
	}
	evidence, err := c.objects(ctx, what, asked)
	if err == nil && what.pod != "" && len(evidence.Names[asked.Kind]) == 0 {
		// It is not there: which Pods there are is told instead, and any record may be of one of that name that was refused.
		what.pod = ""
		evidence, err = c.objects(ctx, what, asked)
	}
	if err != nil {
		return Evidence{}, err
	}
	what = what.narrow(evidence.live, asked.Kind, name)
	if err := evidence.addEvents(what); err != nil {
		evidence.Problems = append(evidence.Problems, explain(err, c.config.Host, "read events", "list", "events", namespace))
	}
	c.records(ctx, <-from, what, &evidence)
	evidence.Observations, evidence.told = slices.Concat(evidence.told...), nil
	return evidence, nil
}

// objects reads the objects of every kind, and the events about them.
func (c *Cluster) objects(ctx context.Context, what scope, asked KindInfo) (Evidence, error) {
	parts := make([]Evidence, len(Kinds)+1)
	failures := make([]error, len(Kinds))
	var wait sync.WaitGroup
	for i, kind := range Kinds {
		wait.Go(func() { failures[i] = c.objectsOf(ctx, what, kind, asked, &parts[i]) })
	}
	wait.Go(func() { c.events(ctx, what, &parts[len(Kinds)]) })
	wait.Wait()
	evidence := Evidence{Names: map[string][]string{}}
	for i := range parts {
		if i < len(Kinds) && failures[i] != nil {
			return Evidence{}, failures[i]
		}
		evidence.merge(&parts[i])
	}
	return evidence, nil
}

// objectsOf reads the objects of one kind.
func (c *Cluster) objectsOf(ctx context.Context, what scope, kind, asked KindInfo, evidence *Evidence) error {
	c.Doing("reading " + kind.Resource + " in namespace " + what.namespace)
	options := metav1.ListOptions{}
	if kind.Kind == "Pod" && what.pod != "" {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", what.pod).String()
	}
	err := c.list(ctx, what.namespace, kind, options, func(raw []byte) error { return evidence.addObject(kind, raw) })
	if err == nil {
		return nil
	}
	if kind.Group == "apps.podtrail.dev" && apierrors.IsNotFound(err) {
		if kind.Kind == asked.Kind {
			return &Problem{
				Code: WrongUse, What: "The cluster has no kind TeachingReplicaSet.", Next: "make deploy", Cause: err,
			}
		}
		return nil
	}
	problem := explain(err, c.config.Host, "list "+kind.Resource, "list", kind.Resource, what.namespace)
	if kind.Kind == asked.Kind || !apierrors.IsForbidden(err) {
		return problem
	}
	evidence.Problems = append(evidence.Problems, problem)
	return nil
}

// list calls visit with each object of a kind that the options choose, page by page, in JSON. The objects are not decoded, as
// visit wants a few of their fields.
func (c *Cluster) list(ctx context.Context, namespace string, kind KindInfo, options metav1.ListOptions, visit func([]byte) error) error {
	prefix := "/apis/" + kind.Group
	if kind.Group == "" {
		prefix = "/api"
	}
	options.Limit = pageSize
	for {
		answer := c.client.CoreV1().RESTClient().Get().AbsPath(prefix, versionOf(kind)).Namespace(namespace).Resource(kind.Resource).
			VersionedParams(&options, scheme.ParameterCodec).SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx)
		if err := answer.Error(); err != nil {
			return err // explained by the caller, who knows what it was for
		}
		raw, _ := answer.Raw() // it has no error
		var page struct {
			metav1.ListMeta `json:"metadata"`
			Items           []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return fmt.Errorf("decode the list of %s: %w", kind.Resource, err)
		}
		for _, item := range page.Items {
			if err := visit(item); err != nil {
				return err
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}

func versionOf(kind KindInfo) string {
	if kind.Group == "apps.podtrail.dev" {
		return "v1alpha1"
	}
	return "v1"
}

// addObject takes in one object of a kind.
func (e *Evidence) addObject(kind KindInfo, raw []byte) error {
	var object liveObject
	if err := json.Unmarshal(raw, &object); err != nil {
		return fmt.Errorf("decode metadata of %s: %w", kind.Kind, err)
	}
	record, err := source.ObjectRecord(kind.Kind, raw)
	if err != nil {
		return err
	}
	object.Kind = kind.Kind
	e.live = append(e.live, object)
	return e.add(record)
}

// addEvents takes in the events of the scope. The error is of those that are none of podtrail's form, which are left out.
func (e *Evidence) addEvents(what scope) error {
	var unread []error
	for i := range e.events {
		if !what.tells(&e.events[i]) {
			continue
		}
		record, err := source.EventRecord(&e.events[i])
		if err == nil {
			err = e.add(record)
		}
		if err != nil {
			unread = append(unread, err)
		}
	}
	e.events = nil
	return errors.Join(unread...)
}

// events reads the events about the scope. Those that can't be read become a problem.
func (c *Cluster) events(ctx context.Context, what scope, evidence *Evidence) {
	c.Doing("reading events in namespace " + what.namespace)
	selectors := what.eventsAbout()
	parts, failures := make([]Evidence, len(selectors)), make([]error, len(selectors))
	var wait sync.WaitGroup
	for i, selector := range selectors {
		wait.Go(func() { failures[i] = c.eventsOf(ctx, what.namespace, selector, &parts[i]) })
	}
	wait.Wait()
	for i := range parts {
		evidence.merge(&parts[i])
	}
	if failed := slices.IndexFunc(failures, func(err error) bool { return err != nil }); failed >= 0 {
		evidence.Problems = append(evidence.Problems,
			explain(failures[failed], c.config.Host, "list events", "list", "events", what.namespace))
	}
}

func (c *Cluster) eventsOf(ctx context.Context, namespace string, selector fields.Selector, evidence *Evidence) error {
	options := metav1.ListOptions{FieldSelector: selector.String(), Limit: pageSize}
	for {
		page, err := c.client.CoreV1().Events(namespace).List(ctx, options)
		if err != nil {
			return err // explained by the caller
		}
		evidence.events = append(evidence.events, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}

// Elsewhere returns the other namespaces in which an object of that kind and name exists. Without permission to look,
// there are none.
func (c *Cluster) Elsewhere(ctx context.Context, kind KindInfo, name, namespace string) []string {
	var out []string
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	err := c.list(ctx, metav1.NamespaceAll, kind, options, func(raw []byte) error {
		object, err := metadataOf(raw)
		if err == nil && object.Namespace != namespace && object.Name == name {
			out = append(out, object.Namespace)
		}
		return err
	})
	if err != nil {
		return nil
	}
	return out
}

// NamespaceExists says whether there is such a namespace; without permission to look, it is taken to exist.
func (c *Cluster) NamespaceExists(ctx context.Context, namespace string) bool {
	_, err := c.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	return !apierrors.IsNotFound(err)
}

// CompletionNames lists the names of a kind, for the shell's completion.
func (c *Cluster) CompletionNames(ctx context.Context, kind KindInfo, namespace string) ([]string, error) {
	var names []string
	err := c.list(ctx, namespace, kind, metav1.ListOptions{}, func(raw []byte) error {
		object, err := metadataOf(raw)
		names = append(names, object.Name)
		return err
	})
	return names, err
}

func metadataOf(raw []byte) (metav1.PartialObjectMetadata, error) {
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &object); err != nil {
		return object, fmt.Errorf("decode metadata: %w", err)
	}
	return object, nil
}
