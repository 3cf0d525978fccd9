// SPDX-License-Identifier: Apache-2.0

// Command unsigned is cmd/scheduler with an ImageZone that signs no Pod, to measure what that costs: a plugin without
// SignPod turns batching off for the whole profile (computeBatchablePlugins in pkg/scheduler/framework/runtime).
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"

	"podtrail.dev/podtrail/scheduler-plugin/imagezone"
)

// plugin is all of ImageZone except SignPod.
type plugin interface {
	fwk.PreFilterPlugin
	fwk.FilterPlugin
	fwk.EnqueueExtensions
	fwk.PreScorePlugin
	fwk.ScorePlugin
}

type unsigned struct{ plugin }

func newUnsigned(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	built, err := imagezone.New(ctx, args, handle)
	if err != nil {
		return nil, err
	}
	whole, ok := built.(plugin)
	if !ok {
		return nil, fmt.Errorf("%s has lost an extension point", imagezone.Name)
	}
	return unsigned{whole}, nil
}

func main() {
	os.Exit(cli.Run(app.NewSchedulerCommand(app.WithPlugin(imagezone.Name, newUnsigned))))
}
