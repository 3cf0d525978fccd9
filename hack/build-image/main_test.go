// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestArchitecture builds for another machine than Go's: Docker's may be another.
func TestArchitecture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(t.TempDir(), "image.tar")
	o := options{tag: "example.org/x:y", arch: "s390x", output: output, files: []string{file + "=/file"}}
	if _, err := run(o); err != nil {
		t.Fatalf("run: %v", err)
	}
	image, err := tarball.ImageFromPath(output, nil)
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if configuration.OS != "linux" || configuration.Architecture != "s390x" {
		t.Errorf("the image is for %s/%s, want linux/s390x", configuration.OS, configuration.Architecture)
	}
}

func TestUnknownArchitecture(t *testing.T) {
	_, err := run(options{tag: "example.org/x:y", arch: "x86_64", files: []string{"/etc/hostname=/x"}})
	if err == nil || !strings.Contains(err.Error(), `-arch "x86_64": want one of 386, amd64`) {
		t.Errorf("error = %v, want it to name -arch, the value and what would be right", err)
	}
}
