# A second kernel in a laboratory: Debian's user-mode-linux, which has the real Linux IPVS that the host's kernel may lack.
# To be sourced after lab.sh. Nothing is built for it: its root is the host's own file system, read-only, so that ipvsadm, ip
# and python3 are there; its modules are those of the package. Its interfaces are TAPs in a namespace of the lab.
#
# Commands go in as files of a folder that both kernels see, and are announced on a serial line; so no network is needed for them.
# shellcheck shell=bash

LAB_UML_KERNEL=${LAB_UML_KERNEL:-/usr/bin/linux.uml}
LAB_UML_MODULES=${LAB_UML_MODULES:-/usr/lib/uml/modules}
declare -A LAB_UML_LINES=() # name of a kernel -> descriptors of its serial line

# What the other kernel runs as its first process; $1: folder that both see.
lab_uml_init() {
	cat <<-END
		#!/bin/bash
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/
		mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs tmp /tmp || echo 'init: no file systems'
		mount -t hostfs -o '$1' shared /mnt || echo 'init: no folder shared with the host'
		mkdir -p /tmp/kernel/lib && ln -s '$LAB_UML_MODULES' /tmp/kernel/lib/modules
		word=up
		modprobe -a -d /tmp/kernel ipv6 ip_vs_pe_sip || word='no module of IPVS for the kernel'
		sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
		ip link set lo up
		exec 3<>/dev/ttyS0
		stty raw -echo <&3
		echo "\$word" >&3
		while read -r number <&3; do
			(. "/mnt/\$number.sh") >"/mnt/\$number.out" 2>&1 </dev/null 3>&-
			echo "\$number \$?" >&3
		done
		echo 'init: the serial line has ended'
		echo o >/proc/sysrq-trigger
		sleep 10
	END
}

# lab_uml_start NAME NAMESPACE TAP...: boots a kernel whose interfaces vec0, vec1... are new TAPs there, and waits until it
# takes commands. Its console goes to $LAB/log/NAME.log. If it does not come up, the suite that needs it says why, and fails.
lab_uml_start() {
	local name=$1 ns=$2 folder=$LAB/$1 word='' tap vectors=() deadline=$((SECONDS + ${LAB_UML_S:-40}))
	shift 2
	[ -x "$LAB_UML_KERNEL" ] || {
		echo "Bail out! no kernel with IPVS: there is no $LAB_UML_KERNEL (package user-mode-linux)"
		return 1
	}
	mkdir -p "$folder/shared"
	mkfifo -m 600 "$folder/commands" "$folder/answers"
	lab_uml_init "$folder/shared" >"$folder/init"
	chmod 700 "$folder/init"
	for tap in "$@"; do
		ip -n "$LAB_ID-$ns" tuntap add dev "$tap" mode tap || return 1
		ip -n "$LAB_ID-$ns" link set dev "$tap" up
		vectors+=("vec${#vectors[@]}:transport=tap,ifname=$tap,depth=64")
	done
	# The descriptors of the serial line are the kernel's alone; both ends of each pipe, so that no opening waits for the other side.
	lab_start "$name" "$ns" env TMPDIR=/dev/shm bash -c 'exec 8<>"$1" 9<>"$2"; shift 2; exec "$@"' - \
		"$folder/commands" "$folder/answers" "$LAB_UML_KERNEL" mem=96M uml_dir="$folder" quiet root=/dev/root rootfstype=hostfs rootflags=/ ro \
		init="$folder/init" con=null con0=null,fd:1 ssl=null ssl0=fd:8,fd:9 "${vectors[@]}"
	exec {LAB_UML_IN}<>"$folder/commands" {LAB_UML_OUT}<>"$folder/answers"
	LAB_UML_LINES[$name]="$LAB_UML_IN $LAB_UML_OUT"
	while [ "$SECONDS" -lt "$deadline" ] && lab_alive "$name" && ! read -r -t 1 -u "$LAB_UML_OUT" word; do :; done
	[ "$word" = up ] || {
		tail -n 20 "$LAB/log/$name.log" >&2
		echo "Bail out! $LAB_UML_KERNEL does not come up: ${word:-it ended, or gave no answer}"
		return 1
	}
}

# lab_uml NAME COMMAND...: runs the shell's command line in that kernel, prints its output, returns its status; 124 when it has
# not ended after LAB_UML_COMMAND_S (20) seconds. One at a time. What it leaves in the background must have its output elsewhere.
lab_uml() {
	local name=$1 folder=$LAB/$1/shared number status='' in out
	shift
	number=${EPOCHREALTIME/[.,]/}
	read -r in out <<<"${LAB_UML_LINES[$name]}"
	printf '%s\n' "$*" >"$folder/$number.sh"
	echo "$number" >&"$in"
	# Answers of commands that were given up may still come.
	until [ "${status%% *}" = "$number" ]; do
		read -r -t "${LAB_UML_COMMAND_S:-20}" -u "$out" status || {
			echo "lab: the kernel $name has not run within ${LAB_UML_COMMAND_S:-20} s: $*" >&2
			return 124
		}
	done
	cat "$folder/$number.out"
	rm -f "$folder/$number.sh" "$folder/$number.out"
	return "${status##* }"
}

# lab_uml_stop NAME: powers it off, hard.
lab_uml_stop() {
	local in out
	read -r in out <<<"${LAB_UML_LINES[$1]}"
	exec {in}>&- {out}>&-
	unset "LAB_UML_LINES[$1]"
	lab_stop "$1" 5
}
