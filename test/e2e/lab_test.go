// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
)

// labTimeout bounds the lab, which waits for a Pod twice.
const labTimeout = 3 * time.Minute

var _ = Describe("The lab of the webhook deadlock", Serial, func() {
	It("shows the refusals and the way out, and leaves nothing behind", func() {
		lab := startLab()
		Eventually(lab, labTimeout).Should(gexec.Exit(0))
		Expect(string(lab.Out.Contents())).To(And(
			ContainSubstring("$ kubectl run hello -n kube-system"),
			ContainSubstring("Error creating: Internal error occurred: failed calling webhook"),
			ContainSubstring("$ kubectl delete validatingwebhookconfiguration/lab-webhook-deadlock"),
			ContainSubstring(`deployment "careless" successfully rolled out`),
		))
		Expect(string(lab.Err.Contents())).To(ContainSubstring(`failed calling webhook "careless.lab.podtrail.dev"`))
		expectNothingLeft()
	})

	It("restores the cluster when it is interrupted while Pods are blocked", func(ctx context.Context) {
		lab := startLab()
		Eventually(lab, labTimeout).Should(gbytes.Say("Now no Pod can be made"))
		// As Ctrl-C does, to the whole group.
		Expect(syscall.Kill(-lab.Command.Process.Pid, syscall.SIGINT)).To(Succeed())
		Eventually(lab, labTimeout).Should(gexec.Exit(130))
		expectNothingLeft()
		ns := namespace(ctx, nil)
		apply(ns, podManifest("free", "{}")).succeeds()
	})
})

func startLab() *gexec.Session {
	GinkgoHelper()
	session, err := gexec.Start(hackScript("lab-webhook-deadlock.sh"), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { session.Kill().Wait(labTimeout) })
	return session
}

// expectNothingLeft looks for what the lab makes.
func expectNothingLeft() {
	GinkgoHelper()
	for _, object := range []string{"validatingwebhookconfiguration/lab-webhook-deadlock", "namespace/lab-webhook-deadlock"} {
		Expect(kubectl("get", object).failsWith(1)).To(ContainSubstring("NotFound"))
	}
}

// hackScript is a script of hack/ for the suite's cluster, in a process group of its own.
func hackScript(name string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(root, "hack", name))
	cluster := strings.TrimSuffix(filepath.Base(os.Getenv("KUBECONFIG")), ".kubeconfig")
	cmd.Env = append(os.Environ(), "CLUSTER_NAME="+cluster)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// After all specs have used what the parts can do, nothing else may be granted to them. A run of some of the specs
// says nothing about it.
var _ = ReportAfterSuite("the rights that the parts have", func(report Report) {
	c := report.SuiteConfig
	if !report.SuiteSucceeded || len(c.FocusStrings)+len(c.SkipStrings)+len(c.FocusFiles)+len(c.SkipFiles) > 0 || c.LabelFilter != "" || c.DryRun {
		return
	}
	cmd := hackScript("audit-rbac.sh")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	GinkgoWriter.Println(output.String())
	Expect(err).NotTo(HaveOccurred(), output.String())
})
