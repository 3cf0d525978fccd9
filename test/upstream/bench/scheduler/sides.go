// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// configurations are the sides: a KubeSchedulerConfiguration each, whose first
// lines say what the side is called, which program runs it, and with which flags.
//
//go:embed sides/*.yaml
var configurations embed.FS

const (
	folder = "sides"
	// schedulerName is that of each side's one profile.
	schedulerName = "bench"
	// upstream is the side that others are compared with, and plain the same
	// with this project's program.
	upstream, plain = "upstream", "ours, without plugins"
)

// side is a scheduler that is measured.
type side struct {
	name, program string
	flags         []string
	configuration []byte
}

var header = regexp.MustCompile(`\A# side: (.+)\n# program: (\S+)\n(?:# flags: (.+)\n)?`)

// allSides returns the sides in the order of their files.
func allSides() ([]side, error) {
	files, err := configurations.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading the sides: %w", err)
	}
	var sides []side
	for _, file := range files {
		content, err := configurations.ReadFile(path.Join(folder, file.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading side %s: %w", file.Name(), err)
		}
		named := header.FindSubmatch(content)
		if named == nil {
			return nil, fmt.Errorf("%s does not begin with \"# side: NAME\" and \"# program: NAME\"", file.Name())
		}
		sides = append(sides, side{name: string(named[1]), program: string(named[2]), flags: strings.Fields(string(named[3])), configuration: content})
	}
	return sides, nil
}

// write completes the configuration with what is the same for all sides, and
// returns the path of the file.
func (s side) write(scratch, kubeconfig string) (string, error) {
	var configuration map[string]any
	if err := yaml.Unmarshal(s.configuration, &configuration); err != nil {
		return "", fmt.Errorf("decoding the configuration of side %q: %w", s.name, err)
	}
	configuration["leaderElection"] = map[string]any{"leaderElect": false}
	configuration["clientConnection"] = map[string]any{"kubeconfig": kubeconfig, "qps": clientQPS, "burst": clientQPS}
	content, err := yaml.Marshal(configuration)
	if err != nil {
		return "", fmt.Errorf("encoding the configuration of side %q: %w", s.name, err)
	}
	file := filepath.Join(scratch, "scheduler.yaml")
	return file, os.WriteFile(file, content, 0o600)
}
