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

# start_cluster [TIMEOUTS [COMMAND]]: servers, nodes and their daemons; waits until their APIs answer. The command says
# what else their documents have.
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
			"${2:-true}"
			lab_cluster_key "$n"
		} | lab_node_config "$n"
		lab_node_start "$n"
	done
}

LAB_STREAMS=() # clients of stamp that start_traffic started

# start_traffic NAME INTERVAL_MS PORT...: per port 100 connections and 20 flows, half of them IPv6, with bytes both ways.
start_traffic() {
	local name=$1 interval=$2 vip port targets=()
	shift 2
	for port in "$@"; do
		for vip in 198.18.10.1 fd00:10::1; do
			targets+=(--tcp "$vip,$port,50" --udp "$vip,$port,10")
		done
	done
	lab_stamp "$name" client "${targets[@]}" --interval "$interval" --rate 1000 --ramp 3000
	LAB_STREAMS+=("$name")
}

# all_count COUNT: so many connections and flows have sent enough to be missed.
all_count() {
	local name sum=0
	for name in "${LAB_STREAMS[@]}"; do
		sum=$((sum + $(lab_stamp_count "$name")))
	done
	[ "$sum" = "$1" ]
}

# fault WHAT: to be said just before it is made; gaps count from here on.
fault() {
	local name
	for name in "${LAB_STREAMS[@]}"; do
		lab_stamp_tell "$name" fault "$1" >/dev/null || return 1
	done
}

# The longest that any of them was silent since the last fault.
gap_ms() {
	lab_stamp_gap "${LAB_STREAMS[@]}"
}

gap_below() {
	local gap
	gap=$(gap_ms)
	[ "$gap" -lt "$1" ] || {
		echo "the longest gap is $gap ms"
		return 1
	}
}

# Shows what happened, too.
nobody_lost() {
	local name status=0
	for name in "${LAB_STREAMS[@]}"; do
		lab_stamp_tell "$name" report >"$LAB/report.json" || return 1
		jq -c '{tcp, udp, offences: .offences[:5]}' "$LAB/report.json"
		jq -e '.tcp.lost + .udp.lost == 0' "$LAB/report.json" >/dev/null || status=1
	done
	return $status
}

# end_traffic SECONDS: everything is closed in order within that time; fails when anybody was lost from the beginning on.
end_traffic() {
	local name status=0
	for name in "${LAB_STREAMS[@]}"; do
		lab_stamp_tell "$name" end >/dev/null
	done
	for name in "${LAB_STREAMS[@]}"; do
		lab_finish "$name" "$1" || status=1
		cat "$LAB/log/$name.log"
	done
	return $status
}

# Sessions that a node has, its own and others'.
sessions_of() {
	lab_ctl "n$1" sessions --limit 1000000 --json | jq '.sessions | length'
}

# every_node_has COUNT SECONDS: that many sessions, within that time.
every_node_has() {
	local n deadline=$((SECONDS + $2)) counts=
	while :; do
		counts=
		for n in $(seq "$LAB_NODES"); do
			[ -n "${LAB_PIDS[n$n]:-}" ] || continue
			counts+=" n$n:$(sessions_of "$n")"
		done
		[[ $(tr ' ' '\n' <<<"$counts" | grep -c ":$1\$") != $(wc -w <<<"$counts") ]] || return 0
		((SECONDS < deadline)) || break
		sleep 0.2
	done
	echo "sessions:$counts, not $1"
	return 1
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
