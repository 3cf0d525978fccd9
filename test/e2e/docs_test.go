// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"podtrail.dev/podtrail/test/docs"
)

// blockTimeout bounds one block of commands.
const blockTimeout = 3 * time.Minute

var _ = Describe("The documents' commands", Serial, Ordered, func() {
	It("in config/samples/README.md do what it says", func(ctx context.Context) {
		// The last of them remove the samples, which the other specs need.
		DeferCleanup(applySamples)
		DeferCleanup(func(ctx context.Context) {
			if CurrentSpecReport().Failed() { // perhaps between make deploy-policies and make deploy-webhooks
				output, err := shell(ctx, "make deploy-webhooks")
				Expect(err).NotTo(HaveOccurred(), "%s", output)
			}
		})
		Expect(runExamples(ctx, filepath.Join("config", "samples", "README.md"))).To(BeNumerically(">=", 5), "blocks of commands in the samples' README")
	})

	It("in docs/first-hour.md do what it says, and leave the cluster as it was", func(ctx context.Context) {
		kept := func() string {
			return kubectl("get", "namespaces,validatingwebhookconfigurations", "-o", "name").succeeds() +
				kubectl("get", "pods,configmaps,deployments,trs", "-n", demo, "-o", "name").succeeds()
		}
		before := kept()
		Expect(runExamples(ctx, filepath.Join("docs", "first-hour.md"))).To(BeNumerically(">=", 10), "blocks of commands in the guided hour")
		Expect(kept()).To(Equal(before))
	})

	It("in README.md select the cluster and show a trail", func(ctx context.Context) {
		for _, block := range docs.Blocks(read("README.md")) {
			text := strings.Join(block.Lines, "\n")
			if block.Info != "sh" || !strings.Contains(text, "make -s env") {
				continue
			}
			output, err := shell(ctx, text)
			Expect(err).NotTo(HaveOccurred(), "%s", output)
			Expect(output).To(And(ContainSubstring("web"), ContainSubstring("Pods Ready")))
			return
		}
		Fail("README.md no longer says how to select the cluster")
	})

	It("in README.md get out: without the webhook configurations nothing is refused", func(ctx context.Context) {
		DeferCleanup(func() {
			kubectl("delete", "pod/no-limit", "-n", demo, "--ignore-not-found", "--wait=false").succeeds()
			kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=podtrail-deploy", "-k", filepath.Join(root, "bin", "overlay")).succeeds()
			Eventually(func() int {
				return kubectl("apply", "--dry-run=server", "-f", sample("pod-without-limit.yaml"), "-n", demo).code
			}, soon, poll).Should(Equal(1), "the webhooks refuse again")
		})
		for _, command := range docs.Commands(read("README.md")) {
			if strings.HasPrefix(command, "kubectl delete mutatingwebhookconfiguration") {
				output, err := shell(ctx, command)
				Expect(err).NotTo(HaveOccurred(), "%s", output)
				kubectl("apply", "-f", sample("pod-without-limit.yaml"), "-n", demo).succeeds()
				return
			}
		}
		Fail("README.md no longer says how to delete the webhook configurations")
	})
})

func read(file string) string {
	GinkgoHelper()
	content, err := os.ReadFile(filepath.Join(root, file))
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// runExamples runs the blocks of commands of a document, one after the other, holds what each prints against what the
// document says, and returns how many there were.
func runExamples(ctx context.Context, file string) int {
	GinkgoHelper()
	examples := docs.Examples(read(file))
	for _, example := range examples {
		By(fmt.Sprintf("%s, line %d", file, example.First))
		output, err := shell(ctx, example.Script())
		if example.Fails() {
			Expect(err).To(HaveOccurred(), "%s\n%s", example.Text(), output)
		} else {
			Expect(err).NotTo(HaveOccurred(), "%s\n%s", example.Text(), output)
		}
		Expect(example.Missing(output)).To(BeEmpty(), "%s, line %d: a line that is promised and not printed by\n%s\nIt printed:\n%s",
			file, example.First, example.Text(), output)
	}
	return len(examples)
}

// shell runs lines as a reader would type them, in the repository's top folder; the first that fails ends it.
func shell(ctx context.Context, lines string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, blockTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", lines)
	cmd.Dir = root
	bin, err := filepath.Abs(filepath.Join(root, "bin"))
	Expect(err).NotTo(HaveOccurred())
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	// A port-forward that a failed block leaves behind must not keep the test waiting for its output.
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	return string(output), err
}
