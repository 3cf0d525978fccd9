// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestVersion sets the variable as the linker does in `make build`. Without it, as with go install, the version is the
// module's.
func TestVersion(t *testing.T) {
	defer func(was string) { version = was }(version)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	for set, want := range map[string]string{"v9.9.9": "podtrail v9.9.9, ", "": "podtrail (devel), "} {
		version = set
		var out, errOut bytes.Buffer
		code := run([]string{"podtrail", "version"}, strings.NewReader(""), &out, &errOut)
		if code != 0 || !strings.HasPrefix(out.String(), want) {
			t.Errorf("with version %q: exit code %d, printed %q %q, want %q first", set, code, out.String(), errOut.String(), want)
		}
	}
}
