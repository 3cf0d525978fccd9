// SPDX-License-Identifier: Apache-2.0

package scripts

import "testing"

// probe asks the kernel that the machine plays and chooses kube-proxy's mode.
const probe = `. "$ROOT/hack/lib/built-image.sh"
kernel_facts() { sh "$ROOT/hack/node-image/probe-kernel.sh"; }
facts=$(kernel_facts)
echo "mode $(choose_proxy_mode)"
echo "queue $(kernel_fact queue)"
`

func TestWhatTheKernelLacksIsSaid(t *testing.T) {
	const takesAll = "#!/bin/sh\ncat >/dev/null\n"
	for name, tc := range map[string]struct {
		iptables, nft, built string
		want                 want
	}{
		"a kernel with everything": {
			iptables: takesAll, nft: takesAll, built: "true",
			want: want{says: []string{"mode iptables\n", "queue yes\n"}, not: []string{"kube-proxy runs"}},
		},
		"a kernel without a match of kube-proxy's": {
			iptables: "#!/bin/sh\ncat >/dev/null\necho 'Warning: Extension recent revision 0 not supported, missing kernel module?' >&2\necho 'line 8: RULE_APPEND failed' >&2\nexit 4\n",
			nft:      takesAll, built: "true",
			want: want{says: []string{
				"mode nftables\n", "queue yes\n", "kube-proxy runs in nftables mode here",
				"this kernel refuses its rules (Warning: Extension recent revision 0 not supported, missing kernel module?)",
			}},
		},
		"kind's own image on such a kernel": {
			iptables: "#!/bin/sh\nexit 4\n", nft: takesAll, built: "false",
			want: want{says: []string{"mode iptables\n"}, not: []string{"kube-proxy runs"}},
		},
		"a kernel without nftables' queue": {
			iptables: takesAll, built: "true",
			nft:  "#!/bin/sh\ncat >/dev/null\necho 'Error: Could not process rule: No such file or directory' >&2\nexit 1\n",
			want: want{says: []string{"mode iptables\n", "queue no: Error: Could not process rule: No such file or directory\n"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.script(t, "iptables-nft-restore", tc.iptables)
			m.script(t, "nft", tc.nft)
			m.source(t, "built="+tc.built+"\n"+probe).check(t, tc.want)
		})
	}
}
