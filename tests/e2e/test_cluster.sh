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
quiet_s=${QUIET_S:-25} # of traffic that software does not see: more than two time-outs

kill_node() {
	carriers "$LAB/before"
	fault "kill n$1" || return 1
	lab_node_kill "$1"
	lab_until 5 'the router has noticed' next_hops $((LAB_NODES - 1)) || return 1
	lab_until 5 'the nodes have noticed' every_node_sees $((LAB_NODES - 1)) || return 1
	strays=$(stray 20 1)
	sleep 2
	carriers "$LAB/after"
	echo "# carried by n1 n2 n3: before $(shares "$LAB/before"); after $(shares "$LAB/after");" \
		"$(moved "$LAB/before" "$LAB/after" "n$1") flows moved between survivors" >&3
	nobody_lost
}

# stray COUNT SECONDS: RSTs that come back to segments of no session.
stray() {
	lab_in client tests/lab/stray.py 198.18.3.10 198.18.10.1 4001 "$1" "$2"
}

# A node that has not heard of a session yet must not end it; later on somebody has to, once nobody answers whose it is.
rst_in_quiet_time() {
	tap_eq 'RSTs within a second after the nodes noticed' "$strays" 0 || return 1
	sleep 2
	stray 20 0.2 >/dev/null
	tap_eq 'RSTs later, when others were asked' "$(stray 20 0.2)" 20
}

return_node() {
	carriers "$LAB/before"
	fault "return of n$1" || return 1
	lab_node_start "$1" || return 1
	lab_until 15 'the cluster is whole again' cluster_is_whole || return 1
	sleep 3
	carriers "$LAB/after"
	echo "# carried by n1 n2 n3: before $(shares "$LAB/before"); after $(shares "$LAB/after");" \
		"$(moved "$LAB/before" "$LAB/after") flows moved; gap $(gap_ms) ms" >&3
	nobody_lost || return 1
	tap_within "flows that n$1 carries again" "$(carried_by "n$1" "$LAB/after")" 40 200
}

# Of these connections software sees no packet, and no node forgets their sessions all the same.
card_alone() {
	local before after n
	before=$(forwarded_by_software)
	sleep $quiet_s
	after=$(forwarded_by_software)
	echo "# packets that agents forwarded in $quiet_s s: $((after - before))" >&3
	nobody_lost || return 1
	for n in 1 2 3; do
		tap_eq "sessions that n$n knows" "$(sessions_of $n)" 120 || return 1
	done
	[ "$kind" = plain ] || tap_within 'packets that agents forwarded' $((after - before)) 0 100
}

forwarded_by_software() {
	local n sum=0
	for n in 1 2 3; do
		sum=$((sum + $(lab_ctl n$n stats --json | jq .packets.tx)))
	done
	echo $sum
}

no_hop_to() {
	! lab_next_hops 198.18.10.1 | grep -q "198.18.1.1$1\$" && ! lab_next_hops fd00:10::1 | grep -q "fd00:1::1$1\$"
}

drain() {
	fault "drain n$1" || return 1
	lab_ctl "n$1" node drain --wait 20 || return 1
	no_hop_to "$1" || return 1
	tap_eq 'routes that the drained node leaves for its daemon' "$(ip -n "$LAB_ID-n$1" route show table 8848)" '' || return 1
	sleep 2
	nobody_lost || return 1
	# What nobody needs may go.
	fault "end of the drained n$1" || return 1
	lab_stop "n$1" || return 1
	sleep 2
	nobody_lost
}

# cards_carry COUNT: directions on the cards of all nodes, each at the node that its packets come to.
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

tap_plan 12
tap 'three nodes join, announce themselves, and the router spreads over all' lab_until 20 'the cluster' cluster_is_whole
start_traffic c $interval_ms 4001
tap '100 connections and 20 flows are there, half of them IPv6' lab_until 20 'all of them' all_count 120
if [ "$kind" = card ]; then
	tap 'the cards carry both directions of all of them' lab_until 20 'cards' cards_carry 240
else
	tap_skip 'the cards carry both directions of all of them' 'without cards'
fi
tap "in $quiet_s s, with time-outs of $timeout_s s, only cards see them, and no session is forgotten anywhere" card_alone
start_traffic s $interval_ms 4002
tap 'as many again are there, in software' lab_until 20 'all of them' all_count 240
tap 'every node has all of their sessions' every_node_has 240 5
tap 'n1 is killed, agent and card: nobody is lost' kill_node 1
tap 'and no connection was silent for a second' gap_below 1000
echo "# longest gap $(gap_ms) ms" >&3
tap 'segments of no session are answered with RST, but not in the first seconds' rst_in_quiet_time
tap 'n1 returns and takes its share: nobody is lost' return_node 1
tap 'n3 is drained, then ended: nobody is lost' drain 3
tap 'every byte of all this was right' end_traffic 30
tap_end
