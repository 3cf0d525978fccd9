// SPDX-License-Identifier: Apache-2.0

package nodefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// changes says when something in a directory changed, as far as the kernel can be made to. The kernel refuses a watch when
// the user, who is root for all nodes of a kind cluster together, has fs.inotify.max_user_instances or
// fs.inotify.max_user_watches of them.
type changes struct {
	directory string
	// make makes a watcher; a test may let it fail.
	make    func() (*fsnotify.Watcher, error)
	watcher *fsnotify.Watcher
	watched bool
}

// watch watches the directory if nothing does yet. It returns why it can't. That there is no such directory is no reason:
// whoever reads it says so.
func (c *changes) watch() error {
	if c.watched {
		return nil
	}
	if c.watcher == nil {
		watcher, err := c.make()
		if err != nil {
			return fmt.Errorf("making a watcher: %w", err)
		}
		c.watcher = watcher
	}
	err := c.watcher.Add(c.directory)
	c.watched = err == nil
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// events and errors have nothing to say while there is no watcher.
func (c *changes) events() <-chan fsnotify.Event {
	if c.watcher == nil {
		return nil
	}
	return c.watcher.Events
}

func (c *changes) errors() <-chan error {
	if c.watcher == nil {
		return nil
	}
	return c.watcher.Errors
}

func (c *changes) close() {
	if c.watcher != nil {
		_ = c.watcher.Close() // the process ends with it
	}
}

// warning is what the status says while there is no watch, "" if there is one.
func warning(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("no watch: %s; scanning every %s", strings.TrimSpace(err.Error()), scanInterval)
}
