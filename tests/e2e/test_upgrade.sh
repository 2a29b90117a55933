#!/bin/bash
# A cluster of three nodes with a card each is upgraded node by node under load, from session sync of revision 1 to 2; one
# node then goes back. As docs/cluster.md, "Maintenance and upgrade", says it.
# Time limit: 300 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/balancer.sh
. tests/lab/stamp.sh
. tests/lab/tap.sh
. tests/lab/traffic.sh
. tests/lab/upgrade.sh

kind=${KIND:-card} interval_ms=100

# The revision that every node says the group speaks.
group_speaks() {
	local n
	for n in 1 2 3; do
		[ "$(lab_ctl n$n cluster --json | jq '[.sync.revision, .members[].speaks] | unique | tostring')" = "\"[$1]\"" ] || return 1
	done
}

# What no member may ever get, counted by each: a revision above its own, and what it cannot read.
nothing_unreadable() {
	local n
	for n in 1 2 3; do
		tap_eq "datagrams and sessions that n$n could not read" \
			"$(lab_ctl n$n cluster --json | jq '.sync | .newer + .bad_record + .bad_parameter + .bad_version')" 0 || return 1
	done
}

# upgrade NODE REVISION-OF-THE-GROUP-THEN
upgrade() {
	local n=$1
	fault "upgrade of n$n" || return 1
	cluster_upgrade "$n" "$LAB_NEXT" 2 || return 1
	tap_eq "version of n$n" "$(lab_ctl "n$n" version)" 'sluiced the next one' || return 1
	lab_until 5 "revision $2" group_speaks "$2" || return 1
	sleep 1
	echo "# n$n upgraded, the group speaks revision $2: longest gap $(upgrade_gaps)" >&3
	nobody_lost && nothing_unreadable
}

roll_back() {
	local n=$1
	fault "n$n goes back" || return 1
	cluster_upgrade "$n" "$LAB_BUILD/bin/sluiced" 1 || return 1
	tap_eq "version of n$n" "$(lab_ctl "n$n" version)" "sluiced $("$LAB_BUILD/bin/sluiced" --version | cut -d' ' -f2)" || return 1
	lab_until 5 'revision 1' group_speaks 1 || return 1
	sleep 1
	echo "# n$n went back, the group speaks revision 1: longest gap $(upgrade_gaps)" >&3
	nobody_lost && nothing_unreadable
}

shown_to_people() {
	lab_ctl n2 cluster >"$LAB/shown"
	cat "$LAB/shown"
	grep -q "speaks revision $1, this node reads up to $2\$" "$LAB/shown"
}

cards_carry_half() {
	local n sum=0
	for n in 1 2 3; do
		sum=$((sum + $(on_card n$n)))
	done
	[ "$kind" = plain ] || [ $sum -ge 240 ]
}

exec 3>&1
set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/upgrade
lab_cluster "$kind" 3
LAB_REVISION=1
for n in 1 2 3; do
	lab_install "$LAB/n$n" "$LAB_BUILD/bin/sluiced"
done
start_cluster
lab_birds
set +e

tap_plan 10
tap 'three nodes that are pinned to revision 1 join and announce themselves' lab_until 20 'the cluster' cluster_is_whole
start_traffic c $interval_ms 4001
start_traffic s $interval_ms 4002
tap '200 connections and 40 flows are there, half of them IPv6' lab_until 30 'all of them' all_count 240
tap 'the cards carry both directions of half of them' lab_until 20 'cards' cards_carry_half
tap 'the group speaks revision 1' group_speaks 1
tap 'n1 is upgraded: nobody is lost, the group speaks revision 1' upgrade 1 1
tap 'n2 is upgraded: nobody is lost, the group speaks revision 1' upgrade 2 1
tap 'n3 is upgraded: nobody is lost, the group speaks revision 2' upgrade 3 2
tap 'sluicectl shows so' shown_to_people 2 2
tap 'n3 goes back: nobody is lost, the group speaks revision 1' roll_back 3
tap 'every byte of all this was right' end_traffic 30
tap_end
