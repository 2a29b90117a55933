#!/bin/bash
# Three nodes with a card each behind a router with ECMP. A node dies, returns, is drained: no connection notices.
# KIND=plain runs the same without cards.
# Time limit: 400 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/stamp.sh
. tests/lab/tap.sh
. tests/lab/traffic.sh

kind=${KIND:-card} interval_ms=200
timeout_s=10 # of established sessions and of UDP
strays=
quiet_s=25   # of traffic that software does not see: more than two time-outs

kill_node() {
	carriers "$LAB/before"
	lab_stamp_tell s fault "kill n$1" || return 1
	lab_node_kill "$1"
	lab_until 5 'the router has noticed' next_hops $((LAB_NODES - 1)) || return 1
	lab_until 5 'the nodes have noticed' every_node_sees $((LAB_NODES - 1)) || return 1
	strays=$(stray 20 1)
	sleep 2
	carriers "$LAB/after"
	echo "# carried by n1 n2 n3: before $(shares "$LAB/before"); after $(shares "$LAB/after");" \
		"$(moved "$LAB/before" "$LAB/after" "n$1") flows moved between survivors" >&3
	nobody_lost s
}

# stray COUNT SECONDS: RSTs that come back to segments of no session.
stray() {
	lab_in client tests/lab/stray.py 198.18.3.10 198.18.10.1 4001 "$1" "$2"
}

# A node that has not heard of a session yet must not end it; later on somebody has to.
rst_in_quiet_time() {
	tap_eq 'RSTs within a second after the nodes noticed' "$strays" 0 || return 1
	sleep 2
	tap_eq 'RSTs later' "$(stray 20 0.2)" 20
}

return_node() {
	carriers "$LAB/before"
	lab_stamp_tell s fault "return of n$1" || return 1
	lab_node_start "$1" || return 1
	lab_until 15 'the cluster is whole again' cluster_is_whole || return 1
	sleep 3
	carriers "$LAB/after"
	echo "# carried by n1 n2 n3: before $(shares "$LAB/before"); after $(shares "$LAB/after");" \
		"$(moved "$LAB/before" "$LAB/after") flows moved; gap $(lab_stamp_tell s gap) ms" >&3
	nobody_lost s || return 1
	tap_within "flows that n$1 carries again" "$(carried_by "n$1" "$LAB/after")" 40 200
}

# Only cards see the packets of these, and the session table of every node keeps them all the same.
card_alone() {
	local before after n
	before=$(software_packets)
	sleep $quiet_s
	after=$(software_packets)
	echo "# packets that agents saw in $quiet_s s: $((after - before))" >&3
	nobody_lost s || return 1
	for n in 1 2 3; do
		tap_eq "sessions that n$n knows" "$(sessions_of $n)" 240 || return 1
	done
}

software_packets() {
	local n sum=0
	for n in 1 2 3; do
		sum=$((sum + $(lab_ctl n$n stats --json | jq .packets.rx)))
	done
	echo $sum
}

no_hop_to() {
	! lab_next_hops 198.18.10.1 | grep -q "198.18.1.1$1\$" && ! lab_next_hops fd00:10::1 | grep -q "fd00:1::1$1\$"
}

drain() {
	lab_stamp_tell s fault "drain n$1" || return 1
	lab_ctl "n$1" node drain --wait 20 || return 1
	no_hop_to "$1" || return 1
	tap_eq 'routes that the drained node leaves for its daemon' "$(ip -n "$LAB_ID-n$1" route show table 8848)" '' || return 1
	sleep 2
	nobody_lost s || return 1
	# What nobody needs may go.
	lab_stamp_tell s fault "end of the drained n$1" || return 1
	lab_stop "n$1" || return 1
	sleep 2
	nobody_lost s
}

# Directions on the cards of all nodes: each session's at the node that its packets come to.
cards_carry() {
	local n sum=0
	for n in 1 2 3; do
		sum=$((sum + $(on_card n$n)))
	done
	[ "$sum" -ge "$1" ]
}

exec 3>&1
set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/cluster
lab_cluster "$kind" 3
start_cluster "established_s: $timeout_s, udp_s: $timeout_s"
lab_birds
set +e

tap_plan 11
tap 'three nodes join, announce themselves, and the router spreads over all' lab_until 20 'the cluster' cluster_is_whole
start_traffic s $interval_ms
tap '200 connections and 40 flows are there' lab_until 20 'all of them' all_count s
tap 'every node has all of their sessions' lab_until 5 'sessions' every_node_has 240
if [ "$kind" = card ]; then
	tap 'the cards carry both directions of half of them' lab_until 20 'cards' cards_carry 200
else
	tap_skip 'the cards carry both directions of half of them' 'without cards'
fi
tap "$quiet_s s at time-outs of $timeout_s s: no session is forgotten anywhere" card_alone
tap 'n1 is killed, agent and card: nobody is lost' kill_node 1
tap 'and no connection was silent for a second' gap_below s 1000
echo "# longest gap $(lab_stamp_tell s gap) ms" >&3
tap 'segments of no session are answered with RST, but not in the first seconds' rst_in_quiet_time
tap 'n1 returns and takes its share: nobody is lost' return_node 1
tap 'n3 is drained, then ended: nobody is lost' drain 3
lab_stamp_tell s end >/dev/null
tap 'every byte of all this was right' lab_finish s 30
tap_end
