// SPDX-License-Identifier: Apache-2.0

// Command list-unused-rights reads an audit log from its standard input and prints, for each service account, which of
// its RBAC rights no request has used, and which ones no part of podtrail may have. hack/audit-rbac.sh gives it both.
//
// It exits with 1 if an account of -check has such a right. The accounts of -show are only printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// readTimeout bounds how long the API server may take to list its roles.
const readTimeout = 30 * time.Second

var (
	errUsage = errors.New("wrong use of list-unused-rights")
	errFound = errors.New("rights to take away, or to list with their reason in hack/list-unused-rights/exceptions.yaml")
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "list-unused-rights:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("list-unused-rights", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "of a cluster's admin")
	exceptionsFile := flags.String("exceptions", "", "YAML file of rights that may stay unused")
	check := flags.String("check", "", "service accounts NAMESPACE/NAME,… that may have no unused and no dangerous right")
	show := flags.String("show", "", "service accounts NAMESPACE/NAME,… that are only printed")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	checked, err := parseAccounts(*check)
	if err != nil {
		return fmt.Errorf("%w: -check: %w", errUsage, err)
	}
	shown, err := parseAccounts(*show)
	if err != nil {
		return fmt.Errorf("%w: -show: %w", errUsage, err)
	}
	exceptions, err := readExceptions(*exceptionsFile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := readBindings(ctx, *kubeconfig)
	if err != nil {
		return err
	}
	accounts := append(checked, shown...)
	used, err := requestsOf(accounts, log)
	if err != nil {
		return err
	}
	problems := 0
	for i, a := range accounts {
		n, err := report(out, all, a, used[a], exceptions)
		if err != nil {
			return err
		}
		if i < len(checked) {
			problems += n
		}
	}
	if problems > 0 {
		return fmt.Errorf("%d %w", problems, errFound)
	}
	return nil
}

// report prints what was found about one account and returns the number of problems.
func report(out io.Writer, all bindings, a account, used []*auditv1.Event, exceptions []exception) (int, error) {
	rights, err := all.granted(a)
	if err != nil {
		return 0, err
	}
	if len(rights) == 0 {
		return 0, fmt.Errorf("%s has no rights: is it the right cluster and the right name?", a)
	}
	findings, err := judge(a, rights, func(r right) bool { return anyAllowed(r, used) }, exceptions)
	if err != nil {
		return 0, err
	}
	return printFindings(out, a, len(used), findings), nil
}

func parseAccounts(text string) ([]account, error) {
	var all []account
	for one := range strings.SplitSeq(text, ",") {
		namespace, name, found := strings.Cut(one, "/")
		if one != "" && (!found || namespace == "" || name == "") {
			return nil, fmt.Errorf("%q is no NAMESPACE/NAME", one)
		}
		if one != "" {
			all = append(all, account{namespace, name})
		}
	}
	return all, nil
}

func readExceptions(file string) ([]exception, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the exceptions: %w", err)
	}
	var all []exception
	if err := yaml.UnmarshalStrict(text, &all); err != nil {
		return nil, fmt.Errorf("reading the exceptions of %s: %w", file, err)
	}
	return all, nil
}

func readBindings(ctx context.Context, kubeconfig string) (all bindings, err error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return all, fmt.Errorf("%w: -kubeconfig: %w", errUsage, err)
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return all, fmt.Errorf("making a client: %w", err)
	}
	rbac, options := clientset.RbacV1(), metav1.ListOptions{}
	clusterRoles, err1 := rbac.ClusterRoles().List(ctx, options)
	roles, err2 := rbac.Roles("").List(ctx, options)
	clusterRoleBindings, err3 := rbac.ClusterRoleBindings().List(ctx, options)
	roleBindings, err4 := rbac.RoleBindings("").List(ctx, options)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return all, fmt.Errorf("reading the cluster's roles: %w", err)
	}
	return bindings{clusterRoles.Items, roles.Items, clusterRoleBindings.Items, roleBindings.Items}, nil
}

// requestsOf returns each account's requests that were allowed, one for each that differs in what RBAC looks at.
func requestsOf(accounts []account, log io.Reader) (map[account][]*auditv1.Event, error) {
	byUser := map[string]account{}
	for _, a := range accounts {
		byUser[a.user()] = a
	}
	requests, known := map[account][]*auditv1.Event{}, map[string]bool{}
	err := eachEvent(log, func(e *auditv1.Event) {
		a, found := byUser[e.User.Username]
		if !found || e.Annotations["authorization.k8s.io/decision"] != "allow" {
			return
		}
		key := fmt.Sprint(a, e.Verb)
		if o := e.ObjectRef; o != nil {
			key += fmt.Sprint(o.APIGroup, "/", o.Resource, "/", o.Subresource, "/", o.Namespace, "/", o.Name)
		} else {
			key += e.RequestURI
		}
		if !known[key] {
			known[key], requests[a] = true, append(requests[a], e)
		}
	})
	return requests, err
}

func anyAllowed(r right, events []*auditv1.Event) bool {
	for _, e := range events {
		if r.allows(e) {
			return true
		}
	}
	return false
}
