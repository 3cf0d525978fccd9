// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

// TestItSaysItsVersion sets the variable as the linker does for the image. The kubeconfig ends the run after the start.
func TestItSaysItsVersion(t *testing.T) {
	defer func(was string) { version = was }(version)
	version = "v9.9.9"
	broken := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", broken)
	var said strings.Builder
	log := funcr.New(func(_, line string) { said.WriteString(line + "\n") }, funcr.Options{})
	if err := run(t.Context(), log, options{nodeName: "worker", bufferBytes: 1 << 20}); err == nil {
		t.Error("it ran with a kubeconfig that is none")
	}
	if want := `"msg"="Starting" "version"="v9.9.9" "node"="worker"`; !strings.Contains(said.String(), want) {
		t.Errorf("log lacks %s:\n%s", want, &said)
	}
}
