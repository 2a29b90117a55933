#!/bin/bash
# Two nodes whose gateway speaks no BGP: Keepalived moves next hops. KIND=card runs the same with cards.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/stamp.sh
. tests/lab/tap.sh
. tests/lab/traffic.sh

kind=${KIND:-plain} interval_ms=200

# holds N ADDRESS...: node N has these next hops, and nobody else.
holds() {
	local n=$1 address other
	shift
	for address in "$@"; do
		for other in 1 2; do
			if ip -n "$LAB_ID-n$other" -o address show to "$address" | grep -q .; then
				[ "$other" = "$n" ] || return 1
			else
				[ "$other" != "$n" ] || return 1
			fi
		done
	done
}

at_home() {
	every_node_sees 2 && holds 1 198.18.1.100 198.18.2.101 fd00:1::100 fd00:2::101 && holds 2 198.18.2.102 fd00:2::102
}

all_at() {
	holds "$1" 198.18.1.100 198.18.2.101 198.18.2.102 fd00:1::100 fd00:2::101 fd00:2::102
}

kill_first() {
	fault 'kill n1' || return 1
	lab_node_kill 1
	lab_until 5 'all next hops at n2' all_at 2 || return 1
	sleep 3
	echo "# n1 killed: longest gap $(gap_ms) ms" >&3
	nobody_lost || return 1
	gap_below 1000
}

return_first() {
	fault 'return of n1' || return 1
	lab_node_start 1 || return 1
	lab_until 15 'next hops at home' at_home || return 1
	sleep 3
	echo "# n1 is back: longest gap $(gap_ms) ms" >&3
	nobody_lost
}

drain_first() {
	fault 'drain n1' || return 1
	lab_ctl n1 node drain || return 1
	lab_until 5 'all next hops at n2' all_at 2 || return 1
	sleep 2
	nobody_lost || return 1
	lab_ctl n1 node undrain || return 1
	lab_until 5 'next hops at home' at_home || return 1
	sleep 2
	nobody_lost
}

exec 3>&1
set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/cluster_keepalived
lab_cluster "$kind" 2
start_cluster
lab_static_routes
lab_keepalived 1
lab_keepalived 2
set +e

tap_plan 7
tap 'both nodes join, and the next hops are at home' lab_until 20 'next hops' at_home
start_traffic s $interval_ms 4001 4002
tap '200 connections and 40 flows are there' lab_until 20 'all of them' all_count 240
tap 'both nodes have all of their sessions' every_node_has 240 5
tap 'n1 is killed: nobody is lost, nobody waits for a second' kill_first
tap 'n1 returns: nobody is lost' return_first
tap 'n1 is drained and taken back: nobody is lost' drain_first
tap 'every byte of all this was right' end_traffic 30
tap_end
