// SPDX-License-Identifier: Apache-2.0

// Command build-image makes one single-platform Linux image from files and pushes it to a registry or writes
// it as a Docker archive. The same files always give the same digest: no time, user name or host goes in.
//
//	build-image -tag REF [-arch ARCH] [-push] [-output FILE.tar] [-entrypoint PATH] [-user UID:GID] SOURCE=TARGET…
//
// It prints REF@DIGEST. A SOURCE that is a folder is added with all that is below it.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// architectures are those that Kubernetes has nodes of.
var architectures = []string{"386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"}

type options struct {
	tag, arch, output, entrypoint, user string
	push                                bool
	files                               []string
}

func main() {
	var o options
	flag.StringVar(&o.tag, "tag", "", "reference of the image, for example localhost:5001/podtrail/manager:dev")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture that the files are for, in Go's words")
	flag.StringVar(&o.output, "output", "", "write a Docker archive to this file")
	flag.StringVar(&o.entrypoint, "entrypoint", "", "path of the program inside the image")
	flag.StringVar(&o.user, "user", "65532:65532", "UID:GID that the program runs as")
	flag.BoolVar(&o.push, "push", false, "push to the registry that -tag names")
	flag.Parse()
	o.files = flag.Args()
	reference, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "build-image:", err)
		os.Exit(1)
	}
	fmt.Println(reference)
}

func run(o options) (string, error) {
	ref, err := name.NewTag(o.tag)
	if err != nil {
		return "", fmt.Errorf("-tag %q: want REGISTRY/NAME:TAG: %w", o.tag, err)
	}
	if !slices.Contains(architectures, o.arch) {
		return "", fmt.Errorf("-arch %q: want one of %s", o.arch, strings.Join(architectures, ", "))
	}
	img, err := build(o)
	if err != nil {
		return "", err
	}
	if o.output != "" {
		if err := tarball.WriteToFile(o.output, ref, img); err != nil {
			return "", fmt.Errorf("writing %s: %w", o.output, err)
		}
	}
	if o.push {
		if err := remote.Write(ref, img); err != nil {
			return "", fmt.Errorf("pushing %s: %w", ref, err)
		}
	}
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("digesting %s: %w", ref, err)
	}
	return ref.Context().Digest(digest.String()).String(), nil
}

func build(o options) (v1.Image, error) {
	entries, err := collect(o.files)
	if err != nil {
		return nil, err
	}
	content, err := archive(entries)
	if err != nil {
		return nil, err
	}
	// Compressed once and quickly: the images travel no further than from this machine to the cluster's registry.
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithCompressedCaching, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("making the layer: %w", err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("adding the layer: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", o.arch
	file.Config.User = o.user
	file.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if o.entrypoint != "" {
		file.Config.Entrypoint = []string{o.entrypoint}
	}
	return mutate.ConfigFile(img, file)
}

// collect maps each path in the image to the file on this machine that fills it.
func collect(pairs []string) (map[string]string, error) {
	entries := map[string]string{}
	for _, pair := range pairs {
		source, target, found := strings.Cut(pair, "=")
		if !found || !path.IsAbs(target) {
			return nil, fmt.Errorf("argument %q: want SOURCE=/ABSOLUTE/TARGET", pair)
		}
		err := filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			below, err := filepath.Rel(source, file)
			if err != nil {
				return err
			}
			entries[path.Join(target, filepath.ToSlash(below))] = file
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", source, err)
		}
	}
	if len(entries) == 0 {
		return nil, errors.New("no files: want at least one SOURCE=/ABSOLUTE/TARGET")
	}
	return entries, nil
}

// archive writes the files in the order of their paths, owned by root and dated at the epoch.
func archive(entries map[string]string) ([]byte, error) {
	targets := make([]string, 0, len(entries))
	for target := range entries {
		targets = append(targets, target)
	}
	sort.Strings(targets)

	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	folders := map[string]bool{"/": true}
	for _, target := range targets {
		if err := addFolders(writer, path.Dir(target), folders); err != nil {
			return nil, err
		}
		if err := addFile(writer, target, entries[target]); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("closing the layer: %w", err)
	}
	return buffer.Bytes(), nil
}

func addFolders(writer *tar.Writer, folder string, written map[string]bool) error {
	if written[folder] {
		return nil
	}
	if err := addFolders(writer, path.Dir(folder), written); err != nil {
		return err
	}
	written[folder] = true
	return writer.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: strings.TrimPrefix(folder, "/") + "/", Mode: 0o755, ModTime: time.Unix(0, 0),
	})
}

// addFile keeps of a file's mode only whether it can be run, so that the umask of the builder does not matter.
// Links are followed.
func addFile(writer *tar.Writer, target, source string) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("reading %s for %s: %w", source, target, err)
	}
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("reading %s for %s: %w", source, target, err)
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(target, "/"), Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0),
	}
	if err := writer.WriteHeader(header); err != nil {
		return fmt.Errorf("adding %s: %w", target, err)
	}
	if _, err := writer.Write(content); err != nil {
		return fmt.Errorf("adding %s: %w", target, err)
	}
	return nil
}
