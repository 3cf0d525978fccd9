// SPDX-License-Identifier: Apache-2.0

// Command replicaset runs Kubernetes' own ReplicaSet controller in a process of its own, set up as
// kube-controller-manager sets it up, so that its processor time and memory can be told from everything else's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/controller/replicaset"
)

// resync is kube-controller-manager's --min-resync-period. There each informer adds up to as much again at random.
const resync = 12 * time.Hour

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "replicaset:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("replicaset", flag.ContinueOnError)
	qps := flags.Float64("kube-api-qps", 20, "requests per second to the API server, as in kube-controller-manager; -1: no limit")
	burst := flags.Int("kube-api-burst", 30, "requests above -kube-api-qps in a burst")
	workers := flags.Int("concurrent-replicaset-syncs", 5, "how many ReplicaSets are synced at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *workers < 1 {
		return fmt.Errorf("-concurrent-replicaset-syncs is %d: give 1 or more", *workers)
	}
	path := os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return fmt.Errorf("reading $KUBECONFIG, %q: %w", path, err)
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.QPS, config.Burst = float32(*qps), *burst
	return start(ctx, config, *workers)
}

// start mirrors newReplicaSetController in cmd/kube-controller-manager/app/apps.go: one client for the informers, one
// of the controller's own, whose limit its events share.
func start(ctx context.Context, config *rest.Config, workers int) error {
	shared, err := kubernetes.NewForConfig(rest.AddUserAgent(config, "shared-informers"))
	if err != nil {
		return fmt.Errorf("making the informers' client: %w", err)
	}
	own, err := kubernetes.NewForConfig(rest.AddUserAgent(config, "replicaset-controller"))
	if err != nil {
		return fmt.Errorf("making the controller's client: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(shared, resync, informers.WithTransform(trim))
	controller := replicaset.NewReplicaSetController(ctx, factory.Apps().V1().ReplicaSets(), factory.Core().V1().Pods(),
		own, replicaset.BurstReplicas)
	factory.Start(ctx.Done())
	controller.Run(ctx, workers)
	return nil
}

// trim is the transform of kube-controller-manager's informers: see CreateControllerContext in
// cmd/kube-controller-manager/app/controllermanager.go.
func trim(obj any) (any, error) {
	if accessor, err := apimeta.Accessor(obj); err == nil && accessor.GetManagedFields() != nil {
		accessor.SetManagedFields(nil)
	}
	return obj, nil
}
