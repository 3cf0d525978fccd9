// SPDX-License-Identifier: Apache-2.0

package collect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Exit codes of the command.
const (
	PodFailed   = 1
	WrongUse    = 2
	Unreachable = 3
)

// Problem is an error that a person can act on: one sentence, and the command to try next.
type Problem struct {
	Code       int
	What, Next string
	// Cause is the error behind it, nil if there is none.
	Cause error
}

// Error gives the sentence and the next command.
func (p *Problem) Error() string { return p.What + "\nnext: " + p.Next }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Configuration returns the client configuration, or says what is wrong with the kubeconfig.
//
// Server is the address that a flag gave, if one did: without it and without a cluster in the kubeconfig, client-go
// would ask localhost:8080.
func Configuration(loader clientcmd.ClientConfig, contextName, server string) (*rest.Config, error) {
	raw, err := loader.RawConfig()
	if err == nil {
		if len(raw.Clusters) == 0 && server == "" {
			return nil, noCluster(nil)
		}
		if problem := checkContext(raw, contextName); problem != nil {
			return nil, problem
		}
		var config *rest.Config
		if config, err = loader.ClientConfig(); err == nil {
			return config, nil
		}
	}
	if clientcmd.IsEmptyConfig(err) {
		return nil, noCluster(err)
	}
	return nil, &Problem{
		Code: Unreachable, Cause: err,
		What: fmt.Sprintf("The kubeconfig can't be used: %v.", err), Next: "kubectl config view",
	}
}

func noCluster(err error) error {
	return &Problem{
		Code: Unreachable, Cause: err,
		What: "No cluster is configured: there is no kubeconfig, or it names no cluster.",
		Next: "make cluster-up, or set KUBECONFIG or --kubeconfig to the file of a running cluster",
	}
}

// checkContext finds a context that isn't there, and lists those that are.
func checkContext(raw clientcmdapi.Config, name string) error {
	if name == "" {
		name = raw.CurrentContext
	}
	if _, ok := raw.Contexts[name]; ok || name == "" {
		return nil
	}
	names := make([]string, 0, len(raw.Contexts))
	for known := range raw.Contexts {
		names = append(names, known)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return noCluster(nil)
	}
	suggestion := names[0]
	if closest, ok := Closest(name, names); ok {
		suggestion = closest
	}
	return &Problem{
		Code: WrongUse,
		What: fmt.Sprintf("There is no context %q in the kubeconfig; there are %s.", name, strings.Join(names, ", ")),
		Next: "podtrail --context " + suggestion + " trail KIND/NAME",
	}
}

// explain turns an error of the API into a problem. Doing says what was attempted; verb and resource name the
// permission that it takes.
func explain(err error, server, doing, verb, resource, namespace string) *Problem {
	p := &Problem{Code: Unreachable, Cause: err}
	var netError net.Error
	var urlError *url.Error
	switch {
	case apierrors.IsForbidden(err):
		p.What = fmt.Sprintf("No permission to %s: %s %s in namespace %s is forbidden.", doing, verb, resource, namespace)
		p.Next = fmt.Sprintf("kubectl auth can-i %s %s -n %s; ask who administers the cluster for a role that allows it",
			verb, resource, namespace)
	case apierrors.IsUnauthorized(err):
		p.What = fmt.Sprintf("The API server at %s does not accept the credential of this context.", server)
		p.Next = "kubectl auth whoami, then renew the credential or choose another --context"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netError) && netError.Timeout():
		p.What = fmt.Sprintf("The API server at %s did not answer in time while it was asked to %s.", server, doing)
		p.Next = "kubectl get --raw /readyz --request-timeout=10s"
	case errors.As(err, &urlError):
		p.What = fmt.Sprintf("The cluster at %s can't be reached: %v.", server, urlError.Err)
		p.Next = "make cluster-status, or kubectl config get-contexts to choose another cluster"
	default:
		p.What = fmt.Sprintf("The API server at %s failed to %s: %v.", server, doing, err)
		p.Next = "kubectl get --raw '/readyz?verbose'"
	}
	return p
}
