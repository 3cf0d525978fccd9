// SPDX-License-Identifier: Apache-2.0

// Package integration runs the real scheduler with this project's plugins, the configuration and the rights that are
// deployed, against a real API server. Nodes are API objects only: no kubelet, no other controller runs.
package integration

import (
	"errors"
	"fmt"
	"log"
	"os"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// admin reaches the API server as a member of system:masters.
var admin *rest.Config

func TestMain(m *testing.M) {
	if err := runTests(m); err != nil {
		log.Fatal(err)
	}
}

// runTests returns what kept the tests from running. Whether they passed is in m: the test binary ends with its code.
func runTests(m *testing.M) (err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return errors.New("KUBEBUILDER_ASSETS is not set: these tests need a folder with kube-apiserver and etcd; `make test` prepares one and sets it")
	}
	// The default of 20 s is not enough on a machine that compiles beside it.
	env := &envtest.Environment{ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: startTimeout}
	// No controller removes the taint that this plugin puts on new nodes.
	env.ControlPlane.GetAPIServer().Configure().Append("disable-admission-plugins", "TaintNodesByCondition")
	if admin, err = env.Start(); err != nil {
		return fmt.Errorf("starting the API server and etcd from KUBEBUILDER_ASSETS: %w", err)
	}
	defer func() {
		if stopErr := env.Stop(); stopErr != nil {
			err = fmt.Errorf("stopping the API server and etcd: %w", stopErr)
		}
	}()
	m.Run()
	return nil
}
