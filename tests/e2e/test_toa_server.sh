#!/bin/bash
# Servers that know nothing of TOA see the client's address by sluice-toa: nginx, and what accept() and getpeername() return.
# Time limit: 120 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

cgroups=$(findmnt -nt cgroup2 -o TARGET | head -n 1) mounted=
if [ -z "$cgroups" ]; then
	mounted=$(mktemp -d /run/slu-cgroup.XXXXXX) && mount -t cgroup2 none "$mounted" && cgroups=$mounted
fi
if [ -z "$cgroups" ] || [ ! -r /sys/kernel/btf/vmlinux ]; then
	echo '1..0 # SKIP the kernel has no cgroup2 or no BTF'
	[ -z "$mounted" ] || { umount "$mounted" 2>/dev/null; rmdir "$mounted"; }
	exit 0
fi

config() {
	echo 'groups:'
	local f address
	for f in 4 6; do
		address=198.18.2.11
		[ $f = 4 ] || address=fd00:2::11
		echo "  - {name: web$f, backends: [{name: b1, address: \"$address\", port: 80}]}"
		echo "  - {name: peers$f, backends: [{name: b1, address: \"$address\", port: 82}]}"
	done
	echo 'listeners:'
	for f in 4 6; do
		[ $f = 4 ] && address=198.18.1.100 || address=fd00:1::100
		echo "  - {name: web$f, address: \"$address\", protocol: tcp, ports: 80, group: web$f, client_address: toa}"
		echo "  - {name: peers$f, address: \"$address\", protocol: tcp, ports: 82, group: peers$f, client_address: toa}"
	done
}


end() {
	local status=$? name
	for name in b1 peers; do
		[ -z "${LAB_PIDS[$name]:-}" ] || lab_stop "$name"
	done
	rmdir "$cgroup" 2>/dev/null
	[ -z "$mounted" ] || { umount "$mounted" && rmdir "$mounted"; }
	(exit $status)
	lab_close
}

# attach PREFIX...: sluice-toa trusts these from now on.
attach() {
	local args=() prefix
	for prefix in "$@"; do
		args+=(--from "$prefix")
	done
	lab_start toa b1 "$LAB_BUILD/bin/sluice-toa" --cgroup "$cgroup" "${args[@]}"
	lab_until 10 'sluice-toa is attached' grep -q attached "$LAB/log/toa.log"
}

# servers: both begin to listen anew, because a listener keeps SYNs only if it was opened under the program.
servers() {
	local name
	for name in b1 peers; do
		[ -z "${LAB_PIDS[$name]:-}" ] || lab_stop "$name"
	done
	# What this shell starts meanwhile is in its cgroup.
	echo $BASHPID >"$cgroup/cgroup.procs"
	lab_nginx b1 b1 80 '[::]:80'
	lab_start peers b1 tests/lab/peers.py 82
	echo $BASHPID >"$cgroups/$home/cgroup.procs"
	lab_until 10 'the servers' lab_in b1 sh -c 'ss -tlnH sport = 80 | grep -q . && ss -tlnH sport = 82 | grep -q .'
}

# who_calls ADDRESS: what nginx takes for its peer.
who_calls() {
	lab_in client curl -sS -f --max-time 10 "http://$1/who"
}

peers() {
	lab_in client python3 -c '
import socket, sys
with socket.create_connection((sys.argv[1], 82), timeout=10) as s:
    address, port = s.getsockname()[:2]
    mapped = f"::ffff:{address}" if ":" not in address else address
    said, wanted = s.makefile().readline().strip(), f"{mapped} {port}, {mapped} {port}"
    print(said)
    sys.exit(said != wanted)' "$1"
}

tells() {
	tap_eq 'the peer of nginx' "$(who_calls "$1")" "$2"
}

counts() {
	: >"$LAB/log/toa.log"
	kill -USR1 "${LAB_PIDS[toa]}"
	lab_until 5 'the counts' grep -q '^kept' "$LAB/log/toa.log"
	cat "$LAB/log/toa.log"
}

untrusted() {
	lab_stop toa && : >"$LAB/log/toa.log" && attach 198.18.77.0/24 fd00:77::/64 && servers || return 1
	who_calls 198.18.1.100 | grep -Ex '198\.18\.2\.10[0-3]' || return 1
	counts | grep -E '^kept 0, untrusted [1-9][0-9]*, told 0,'
}

detached() {
	lab_stop toa || return 1
	! tells 198.18.1.100 198.18.1.10
}

refuses() {
	! "$LAB_BUILD/bin/sluice-toa" --cgroup "$cgroup" --from "$1"
}

set -e
lab_open
cgroup=$cgroups/$LAB_ID
home=$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir "$cgroup"
trap end EXIT
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/toa-server
lab_plain
mkdir -p "$LAB/www"
config | lab_config
lab_agent
attach 198.18.2.0/24 fd00:2::/64
servers
set +e

tap_plan 10
tap 'nginx sees the client, IPv4' tells 198.18.1.100 198.18.1.10
tap 'nginx sees the client, IPv6' tells '[fd00:1::100]' fd00:1::10
tap 'accept() and getpeername() both return the client and its port, IPv4 on a socket of IPv6' peers 198.18.1.100
tap 'accept() and getpeername() both return the client and its port, IPv6' peers fd00:1::100
tap 'the connections are counted' eval 'counts | grep -E "^kept [4-9], untrusted 0, told [1-9]"'
tap 'what the server itself opens, and connections without the option, are left alone' \
	eval '[ "$(lab_in b1 curl -sS -f http://198.18.2.11/who)" = 198.18.2.11 ]'
tap 'the option of a source that is not trusted is not believed' untrusted
tap 'when the program ends all is as before' detached
tap 'a prefix with bits behind it is refused' refuses 198.18.2.1/24
tap 'a prefix that is too long is refused' refuses fd00::/129
tap_end
