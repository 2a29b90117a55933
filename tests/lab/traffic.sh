# Stamped connections of every kind through a cluster, and who carries which: for the tests and the demonstration. To be
# sourced after lab.sh, cluster.sh and stamp.sh.
# shellcheck shell=bash

# Members of a cluster that each node shows as announcing.
announcing() {
	lab_ctl "n$1" cluster --json | jq '[.members[] | select(.alive and .announces)] | length'
}

# every_node_sees COUNT: each node whose agent runs sees so many members that announce.
every_node_sees() {
	local n
	for n in $(seq "$LAB_NODES"); do
		[ -n "${LAB_PIDS[n$n]:-}" ] || continue
		[ "$(announcing "$n")" = "$1" ] || return 1
	done
}

# The router has so many next hops to the listeners, IPv4 and IPv6.
next_hops() {
	[ "$(lab_next_hops 198.18.10.1 | wc -l)" = "$1" ] && [ "$(lab_next_hops fd00:10::1 | wc -l)" = "$1" ]
}

cluster_is_whole() {
	every_node_sees "$LAB_NODES" && next_hops "$LAB_NODES"
}

# start_cluster [TIMEOUTS]: servers, nodes and their daemons; waits until all announce themselves.
start_cluster() {
	local n b
	head -c 32 /dev/urandom >"$LAB/key"
	chmod 600 "$LAB/key"
	for b in 1 2 3; do
		lab_stamp_serve "b$b" "$b" 4001
	done
	for n in $(seq "$LAB_NODES"); do
		{
			lab_cluster_services "${1:-}"
			lab_cluster_key "$n"
		} | lab_node_config "$n"
		lab_node_start "$n"
	done
}

# start_traffic NAME INTERVAL_MS: 200 connections and 40 flows; half of them goes to the card, half is IPv6.
start_traffic() {
	lab_stamp "$1" client --tcp 198.18.10.1,4001,50 --tcp 198.18.10.1,4002,50 --tcp fd00:10::1,4001,50 \
		--tcp fd00:10::1,4002,50 --udp 198.18.10.1,4001,20 --udp fd00:10::1,4002,20 \
		--interval "$2" --rate 1000 --ramp 3000
}

all_count() {
	[ "$(lab_stamp_count "$1")" = 240 ]
}

# Sessions that a node has, its own and others'.
sessions_of() {
	lab_ctl "n$1" sessions --limit 1000000 --json | jq '.sessions | length'
}

every_node_has() {
	local n
	for n in $(seq "$LAB_NODES"); do
		[ -n "${LAB_PIDS[n$n]:-}" ] || continue
		[ "$(sessions_of "$n")" = "$1" ] || return 1
	done
}

lost_of() {
	lab_stamp_tell "$1" report | jq '.tcp.lost + .udp.lost'
}

# nobody_lost NAME: and what happened otherwise is shown.
nobody_lost() {
	lab_stamp_tell "$1" report >"$LAB/report.json" || return 1
	jq -c '{tcp, udp, offences: .offences[:5]}' "$LAB/report.json"
	jq -e '.tcp.lost + .udp.lost == 0' "$LAB/report.json" >/dev/null
}

# gap_below NAME MS: no connection was silent for so long since the last fault.
gap_below() {
	[ "$(lab_stamp_tell "$1" gap)" -lt "$2" ] || {
		echo "the longest gap is $(lab_stamp_tell "$1" gap) ms"
		return 1
	}
}

# carriers FILE: one line "CLIENT VIP node" for each session, naming the node that gets the client's packets now.
carriers() {
	local n sample
	for sample in 1 2; do
		for n in $(seq "$LAB_NODES"); do
			[ -n "${LAB_PIDS[n$n]:-}" ] || continue
			lab_ctl "n$n" sessions --limit 1000000 --json | jq -r --arg node "n$n" '
				.sessions[] | "\(.client.address) \(.client.port) \(.vip.address) \(.vip.port) \($node) \(.request.packets)"'
		done >"$LAB/sample$sample"
		[ $sample = 2 ] || sleep 1.2
	done
	awk '{ key = $1 " " $2 " " $3 " " $4 }
		FILENAME == ARGV[1] { before[key, $5] = $6; next }
		{ more = $6 - before[key, $5] } more > best[key] { best[key] = more; who[key] = $5 }
		END { for (key in who) print key, who[key] }' "$LAB/sample1" "$LAB/sample2" | sort >"$1"
}

# moved BEFORE AFTER [NODE]: flows whose carrier is another one now, though neither is NODE.
moved() {
	join <(awk '{ print $1 "," $2 "," $3 "," $4, $5 }' "$1" | sort) <(awk '{ print $1 "," $2 "," $3 "," $4, $5 }' "$2" | sort) |
		awk -v dead="${3:-}" '$2 != $3 && $2 != dead && $3 != dead' | wc -l
}

# carried_by NODE FILE
carried_by() {
	grep -c " $1\$" "$2" || true
}

# Directions of sessions that a node's card carries.
on_card() {
	lab_ctl "$1" sessions --limit 1000000 --json | jq '[.sessions[] | .request.owner, .reply.owner | select(. == "card")] | length'
}

# shares FILE: flows that n1, n2 .. carry.
shares() {
	local n list=()
	for n in $(seq "$LAB_NODES"); do
		list+=("$(carried_by "n$n" "$1")")
	done
	echo "${list[*]}"
}
