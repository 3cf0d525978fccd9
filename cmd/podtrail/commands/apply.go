// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"

	"podtrail.dev/podtrail/cmd/podtrail/collect"
	"podtrail.dev/podtrail/trail"
)

// fieldManager is the manager under which podtrail apply owns fields.
const fieldManager = "podtrail"

// applyOptions are the inputs of podtrail apply.
type applyOptions struct {
	trailOptions

	files   []string
	force   bool
	timeout time.Duration
}

func newApply(flags *genericclioptions.ConfigFlags, version string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &applyOptions{trailOptions: trailOptions{show: newShow(streams), flags: flags, version: version}}
	o.connect = o.connectByFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Apply objects and follow their Pods, stage by stage, until they are Ready or failed",
		Long: `Apply objects by server-side apply, each request with an Audit-ID of its own, and follow the Pods that come of them: the
stages are printed as they happen, then the trail. Objects of which no trail is kept, such as Namespaces, are applied
and not followed.

Exit codes: 0 all Pods are Ready; 1 the API server refused an object or a Pod failed; 2 wrong use; 3 the cluster can't
be reached, or it is not decided after --timeout.`,
		Example: `  podtrail apply -f config/samples/nginx-deployment.yaml -n podtrail-demo
  podtrail apply -f config/samples/pod-without-limit.yaml -n podtrail-demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.apply(cmd.Context()) },
	}
	o.addFlags(cmd)
	cmd.Flags().StringSliceVarP(&o.files, "filename", "f", nil, "files, folders or URLs of what to apply, - for standard input")
	cmd.Flags().BoolVar(&o.force, "force-conflicts", false, "take fields over from other field managers")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to follow")
	return cmd
}

// apply applies and follows each object in the order of the files.
func (o *applyOptions) apply(ctx context.Context) error {
	next := "podtrail apply -f FILE"
	if err := o.check(next); err != nil {
		return err
	}
	if len(o.files) == 0 {
		return &collect.Problem{Code: collect.WrongUse, What: "What to apply is missing: -f FILE.", Next: next}
	}
	if o.timeout <= 0 {
		return &collect.Problem{Code: collect.WrongUse, What: fmt.Sprintf("--timeout is %s, want more than 0.", o.timeout), Next: next + " --timeout=2m"}
	}
	cluster, namespace, err := o.connect()
	if err != nil {
		return err
	}
	ids := &auditIDs{}
	o.flags.WrapConfigFn = func(config *rest.Config) *rest.Config {
		config.Wrap(ids.wrap)
		return config
	}
	infos, err := resource.NewBuilder(o.flags).Unstructured().NamespaceParam(namespace).DefaultNamespace().
		FilenameParam(*o.flags.Namespace != "", &resource.FilenameOptions{Filenames: o.files}).
		ContinueOnError().Flatten().Do().Infos()
	if err != nil {
		return &collect.Problem{Code: collect.WrongUse, What: fmt.Sprintf("What to apply can't be read: %v.", err), Next: next, Cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	var outcome error
	for _, info := range infos {
		if err := o.applyOne(ctx, cluster, info, ids); err != nil && !errors.Is(err, errPodFailed) {
			return err
		} else if err != nil {
			outcome = err // the others are applied all the same
		}
	}
	return outcome
}

// applyOne sends one object and follows it if a trail is kept of its kind. A refusal is a trail as well.
func (o *applyOptions) applyOne(ctx context.Context, cluster *collect.Cluster, info *resource.Info, ids *auditIDs) error {
	name := info.Mapping.Resource.Resource + "/" + info.Name
	data, err := runtime.Encode(unstructured.UnstructuredJSONScheme, info.Object)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	_, err = resource.NewHelper(info.Client, info.Mapping).WithFieldManager(fieldManager).
		Patch(info.Namespace, info.Name, types.ApplyPatchType, data, &metav1.PatchOptions{Force: &o.force})
	id := ids.last()
	switch {
	case err == nil:
		_, _ = fmt.Fprintf(o.streams.ErrOut, "%s applied, Audit-ID %s\n", name, id)
	case apierrors.IsConflict(err):
		return &collect.Problem{Code: collect.WrongUse, Cause: err, What: fmt.Sprintf("%s: %v.", name, err), Next: "podtrail apply --force-conflicts -f FILE"}
	case isAnswer(err):
		_, _ = fmt.Fprintf(o.streams.ErrOut, "%s refused, Audit-ID %s: %v\n", name, id, err)
	default:
		return &collect.Problem{Code: collect.Unreachable, Cause: err, What: fmt.Sprintf("%s can't be sent: %v.", name, err), Next: "make cluster-status"}
	}
	refused := err != nil
	kind, err := collect.ParseKind(info.Mapping.Resource.GroupResource().String())
	if err != nil {
		if refused {
			return errPodFailed
		}
		return nil
	}
	err = o.followTo(ctx, cluster, kind, trail.Subject{Kind: kind.Kind, Namespace: info.Namespace, Name: info.Name})
	if refused && err == nil {
		return errPodFailed // an object that was there before stays as it was, and its trail tells of that
	}
	if err == nil && ctx.Err() != nil {
		return &collect.Problem{
			Code: collect.Unreachable, What: fmt.Sprintf("%s is not Ready after %s.", name, o.timeout),
			Next: fmt.Sprintf("podtrail trail %s/%s -n %s --follow", kind.Argument, info.Name, info.Namespace),
		}
	}
	return err
}

// isAnswer says that the API server answered, with a refusal.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code >= 400
}

// auditIDs gives each write an Audit-ID of its own, by which the API server's audit event and span are found. The API
// server takes a client's as it is (k8s.io/apiserver pkg/endpoints/filters/audit_init.go).
type auditIDs struct {
	mu   sync.Mutex
	sent string
}

func (a *auditIDs) wrap(next http.RoundTripper) http.RoundTripper { return auditTransport{a, next} }

func (a *auditIDs) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent
}

type auditTransport struct {
	ids  *auditIDs
	next http.RoundTripper
}

// RoundTrip adds the header to what writes.
func (t auditTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPatch {
		id := string(uuid.NewUUID())
		t.ids.mu.Lock()
		t.ids.sent = id
		t.ids.mu.Unlock()
		request = request.Clone(request.Context())
		request.Header.Set(auditv1.HeaderAuditID, id)
	}
	return t.next.RoundTrip(request)
}
