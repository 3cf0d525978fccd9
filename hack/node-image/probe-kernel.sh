#!/bin/sh
# Runs in a container of the node image, in a network namespace of its own, and prints what this kernel can do:
#   iptables=yes|no: LAST ERROR      every match and target that kube-proxy's iptables mode uses
#   queue=yes|no: LAST ERROR         the nftables expression that network policy engines use
# Rules are really loaded: only then does the kernel say what it lacks. They go with the container.

# The rules of pkg/proxy/iptables/proxier.go, one of each kind.
rules='*nat
:PROBE - [0:0]
-A PROBE -m comment --comment "probe" -m addrtype --dst-type LOCAL -j RETURN
-A PROBE -m mark ! --mark 0x4000/0x4000 -j RETURN
-A PROBE -j MARK --xor-mark 0x4000
-A PROBE -m statistic --mode random --probability 0.5 -j RETURN
-A PROBE -m recent --name probe --rcheck --seconds 10 --reap -j RETURN
-A PROBE -m recent --name probe --set -m tcp -p tcp -j DNAT --to-destination 192.0.2.1:80
-A PROBE -m udp -p udp -j DNAT --to-destination 192.0.2.1:53
-A PROBE -j MASQUERADE --random-fully
COMMIT
*filter
:PROBE - [0:0]
-A PROBE -m conntrack --ctstate INVALID -j DROP
-A PROBE -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A PROBE -m comment --comment "probe" -j REJECT
COMMIT
*mangle
:PROBE - [0:0]
COMMIT'

# report NAME ERROR-OUTPUT STATUS
report() {
	if [ "$3" = 0 ]; then
		echo "$1=yes"
	else
		echo "$1=no: $(echo "$2" | grep . | head -n 1 | cut -c1-160)"
	fi
}

# kube-proxy's image has the variant of iptables that speaks nftables.
output=$(echo "$rules" | iptables-nft-restore --noflush 2>&1)
report iptables "$output" $?
output=$(printf 'add table inet probe\nadd chain inet probe probe\nadd rule inet probe probe queue flags bypass to 98\n' | nft -f - 2>&1)
report queue "$output" $?
