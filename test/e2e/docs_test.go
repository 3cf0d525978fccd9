// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
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
		blocks := docs.Blocks(read(filepath.Join("config", "samples", "README.md")))
		ran := 0
		for i, block := range blocks {
			if block.Info != "sh" {
				continue
			}
			ran++
			refusal := ""
			if i+1 < len(blocks) && len(blocks[i+1].Lines) > 0 && strings.HasPrefix(blocks[i+1].Lines[0], "Error from server") {
				refusal = blocks[i+1].Lines[0]
			}
			output, err := shell(ctx, strings.Join(block.Lines, "\n"))
			if refusal != "" {
				Expect(err).To(HaveOccurred(), "%s", output)
				Expect(output).To(ContainSubstring(refusal))
				continue
			}
			Expect(err).NotTo(HaveOccurred(), "%s\n%s", strings.Join(block.Lines, "\n"), output)
		}
		Expect(ran).To(BeNumerically(">=", 5), "blocks of commands in the samples' README")
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
