# shellcheck shell=bash
# inotify instances: the kernel allows each user so many, and all nodes' root is one user. Once they are used up kubelets
# do not start and kubectl logs -f fails with "too many open files".

# Three nodes of podtrail with the demo's Pods on cgroup v2, where each container and each sandbox takes one:
# about 120 counted, and some to spare.
INOTIFY_NEED=150
# What kind's documents ask for.
INOTIFY_WANT=512
# Where to count, and whose.
PROC=/proc
COUNTED_USER=0

# inotify_in_use prints how many instances root has on this machine; fails where that cannot be counted.
inotify_in_use() {
	[ "$(id -u)" = 0 ] && [ "$(uname -s)" = Linux ] || return 1
	# Processes end while they are looked at.
	{ find "$PROC"/[0-9]*/fd -user "$COUNTED_USER" -lname 'anon_inode:inotify' 2>/dev/null || true; } | wc -l | tr -d ' '
}

# inotify_remedy LIMIT prints the command that raises the limit to this where Docker runs.
inotify_remedy() {
	local command="sysctl -w fs.inotify.max_user_instances=$1 fs.inotify.max_user_watches=524288"
	case "$(docker context show 2>/dev/null) ${DOCKER_HOST:-}" in *colima*)
		echo "colima ssh -- sudo $command"
		return
		;;
	esac
	if [ "$(uname -s)" != Linux ]; then
		echo "in Docker's virtual machine, as root: $command"
	elif [ "$(id -u)" = 0 ]; then
		echo "$command"
	else
		echo "sudo $command"
	fi
}

# check_inotify LIMIT warns if the limit of Docker's machine is low, or if too few are left of it.
check_inotify() {
	local limit=$1 used='' want=$INOTIFY_WANT
	is_number "$limit" || return 0
	if docker_is_here; then used=$(inotify_in_use) || used=''; fi
	[ "$used" != 0 ] || used='' # kernels that do not name them
	if [ "$limit" -ge "$want" ]; then
		[ $((limit - ${used:-0})) -lt "$INOTIFY_NEED" ] || return 0
		want=$((limit * 2))
	fi
	warn "Docker's machine allows root $limit inotify instances${used:+, $used of them are in use}; three nodes need about $INOTIFY_NEED, and kubelets that get none fail with \"too many open files\". Until its next start this raises the limit: $(inotify_remedy "$want")"
}
