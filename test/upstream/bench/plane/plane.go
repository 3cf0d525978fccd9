// SPDX-License-Identifier: Apache-2.0

// Package plane runs an API server with its etcd, and controllers beside it as processes of their own, and reads what
// each of them has used.
package plane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	podtrailv1alpha1 "podtrail.dev/podtrail/api/v1alpha1"
)

// controllers is the group of the controllers' user and the name of its flow schema. All controllers use one user, so
// that the API server's priority and fairness treats them alike.
const controllers = "bench-controllers"

// priorityLevel is the one that Kubernetes' own controllers get.
const priorityLevel = "workload-high"

// Plane is an API server with its etcd.
type Plane struct {
	// Client belongs to the one who measures. It is exempt from priority and fairness and has no limit of its own.
	Client client.Client
	// Config is Client's.
	Config *rest.Config

	environment *envtest.Environment
	folder      string
	kubeconfig  string
	apiServer   int
	etcd        int
}

// Start starts the API server and etcd from assets, with the CustomResourceDefinitions of crds. What it writes goes
// to folder.
func Start(ctx context.Context, assets, crds, folder string) (*Plane, error) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return nil, fmt.Errorf("processor time and memory are read from /proc, which only Linux has: %w", err)
	}
	p := &Plane{folder: folder, environment: &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{crds},
		ErrorIfCRDPathMissing:    true,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: time.Minute},
		ControlPlaneStartTimeout: 3 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}}
	config, err := p.environment.Start()
	if err == nil {
		p.Config = config
		err = p.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the API server and etcd of %s: %w", assets, err), p.Stop())
	}
	return p, nil
}

// Stop ends the API server and etcd.
func (p *Plane) Stop() error {
	if err := p.environment.Stop(); err != nil {
		return fmt.Errorf("stopping the API server and etcd: %w", err)
	}
	return nil
}

func (p *Plane) prepare(ctx context.Context) (err error) {
	if p.apiServer, err = childNamed("kube-apiserver"); err != nil {
		return err
	}
	if p.etcd, err = childNamed("etcd"); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), podtrailv1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("registering the API types: %w", err)
	}
	p.Config.QPS = -1
	if p.Client, err = client.New(p.Config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	for _, obj := range surroundings() {
		if err := p.Client.Create(ctx, obj); err != nil {
			return fmt.Errorf("creating %T %s: %w", obj, obj.GetName(), err)
		}
	}
	user, err := p.environment.AddUser(envtest.User{Name: controllers, Groups: []string{controllers}}, nil)
	if err != nil {
		return fmt.Errorf("adding the controllers' user: %w", err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return fmt.Errorf("making the controllers' kubeconfig: %w", err)
	}
	p.kubeconfig = filepath.Join(p.folder, "kubeconfig")
	return os.WriteFile(p.kubeconfig, kubeconfig, 0o600)
}

// surroundings are the rights and the priority of the controllers, and what the manager expects to find: a Secret for
// its certificate, and webhook configurations, which name no webhook here.
func surroundings() []client.Object {
	const system = "podtrail-system"
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	all := []string{"*"}
	return []client.Object{
		&corev1.Namespace{ObjectMeta: named(system)},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "podtrail-webhook-cert"}},
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: named("podtrail-mutating-webhooks")},
		&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: named("podtrail-validating-webhooks")},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: named(controllers),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: controllers}},
		},
		&flowcontrolv1.FlowSchema{ObjectMeta: named(controllers), Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: priorityLevel},
			MatchingPrecedence:         500,
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: controllers}}},
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{
					{Verbs: all, APIGroups: all, Resources: all, ClusterScope: true, Namespaces: all},
				},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
			}},
		}},
	}
}

// Kubeconfig is the path of the controllers' kubeconfig, for those that don't read $KUBECONFIG.
func (p *Plane) Kubeconfig() string { return p.kubeconfig }
