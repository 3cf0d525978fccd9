// SPDX-License-Identifier: Apache-2.0

package plane

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: Linux reports them to user space in hundredths of a second, on all
// architectures that Kubernetes runs on.
const tick = 10 * time.Millisecond

// The fields of /proc/PID/stat after the name, counted from 0: see proc_pid_stat(5).
const (
	fieldParent = 1
	fieldUser   = 11
	fieldSystem = 12
)

// statFields returns the name in a line of /proc/PID/stat, and the fields after it. The name may contain anything, so
// it ends at the last bracket.
func statFields(line string) (name string, fields []string, err error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return "", nil, fmt.Errorf("%q has no name in brackets", line)
	}
	fields = strings.Fields(line[end+1:])
	if len(fields) <= fieldSystem {
		return "", nil, fmt.Errorf("%q has %d fields after the name, want more than %d", line, len(fields), fieldSystem)
	}
	return line[open+1 : end], fields, nil
}

func readStat(pid int) (name string, fields []string, err error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", nil, fmt.Errorf("reading what process %d has used: %w", pid, err)
	}
	return statFields(string(line))
}

// processorTime is what all threads of a process have used, those that have ended included.
func processorTime(pid int) (time.Duration, error) {
	_, fields, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	user, err := strconv.ParseInt(fields[fieldUser], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	system, err := strconv.ParseInt(fields[fieldSystem], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return time.Duration(user+system) * tick, nil
}

// peakMemory is the most that a process has had in memory so far, in bytes.
func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return parsePeak(string(status))
}

// parsePeak finds VmHWM in /proc/PID/status, which is given in kB and means KiB.
func parsePeak(status string) (int64, error) {
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("line %q: %w", line, err)
			}
			return kib * 1024, nil
		}
	}
	return 0, fmt.Errorf("no line VmHWM in %q", status)
}

// childNamed finds this process's child of that name.
func childNamed(want string) (int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, fmt.Errorf("listing the processes: %w", err)
	}
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		// A process that has ended since it was listed is not the one.
		name, fields, err := readStat(pid)
		if err == nil && name == want && fields[fieldParent] == strconv.Itoa(os.Getpid()) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no child process is called %q", want)
}
