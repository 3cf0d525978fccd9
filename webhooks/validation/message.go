// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"

	"podtrail.dev/podtrail/webhooks/verdict"
)

// exampleLimit is the limit that the message suggests. It is enough for a small web server.
const exampleLimit = "    limits: {cpu: 100m}"

// refusal returns the message that names the containers without a CPU limit and the lines to add. worse holds the
// containers that the request leaves without a limit, all also those that the request does not change.
func refusal(worse, all []container) string {
	ephemeral, own := split(worse)
	if len(own) == 0 {
		_, others := split(all)
		return fmt.Sprintf("rule %s: nothing bounds the CPU of %s: Kubernetes gives it no limit of its own, "+
			"and the Pod's cgroup has none because of %s. Recreate the Pod with this under the resources of each:\n%s",
			verdict.CPULimits, names(ephemeral), names(others), exampleLimit)
	}
	if len(own) == 1 {
		return fmt.Sprintf("rule %s: %s has no CPU limit. Add under its resources:\n%s",
			verdict.CPULimits, own[0], exampleLimit)
	}
	return fmt.Sprintf("rule %s: %d containers have no CPU limit: %s. Add under the resources of each:\n%s",
		verdict.CPULimits, len(own), names(own), exampleLimit)
}

func split(list []container) (ephemeral, own []container) {
	for _, c := range list {
		if c.kind == kindEphemeral {
			ephemeral = append(ephemeral, c)
		} else {
			own = append(own, c)
		}
	}
	return ephemeral, own
}

func names(list []container) string {
	var all []string
	for _, c := range list {
		all = append(all, c.String())
	}
	return strings.Join(all, ", ")
}
