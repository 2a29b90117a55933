#!/bin/bash
# What three nodes meter together equals what clients and servers outside count, to the byte: for each listener, SNAT and
# EIP, scope and direction, with flows spread by ECMP, on cards and in software. After a node was killed with its card at
# most a second is missing.
# KIND=plain runs the same without cards.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/stamp.sh
. tests/lab/tap.sh
. tests/lab/traffic.sh
. tests/lab/outbound.sh

kind=${KIND:-card}

services() {
	lab_outbound_services
	echo 'metering: {internal: [198.18.3.20/32, "fd00:3::20/128"]}'
}

# rules NAME FAMILY ADDRESS MATCH: counters of what the client's two addresses, one of each scope, exchange with ADDRESS.
rules() {
	local family=ip net=198.18.3. name=${1//-/_} scope=internet host out=$4 in=$4
	[ "$2" = 4 ] || family=ip6 net=fd00:3::
	in=${in/dport/sport}
	for host in 10 20; do
		echo "add counter netdev sluice_lab $name.$scope.in"
		echo "add counter netdev sluice_lab $name.$scope.out"
		echo "add rule netdev sluice_lab out $family saddr $net$host $family daddr $3 $out counter name $name.$scope.in"
		echo "add rule netdev sluice_lab in $family saddr $3 $family daddr $net$host $in counter name $name.$scope.out"
		scope=internal
	done
}

count_all() {
	local f port protocol n vip=198.18.10.1 public
	ip -n "$LAB_ID-client" link set dev eth0 gso_max_segs 1
	{
		echo 'add table netdev sluice_lab'
		echo 'add chain netdev sluice_lab out { type filter hook egress device eth0 priority 0; }'
		echo 'add chain netdev sluice_lab in { type filter hook ingress device eth0 priority 0; }'
		for f in 4 6; do
			for port in 4001 4002; do
				for protocol in tcp udp; do
					rules $protocol$f-$port $f $vip "$protocol dport $port"
				done
			done
			vip=fd00:10::1
		done
		public=
		for n in 1 2 3; do public+=",$(lab_public4 $n 10)"; done
		rules nat4 4 "{${public#,}}"
		public=
		for n in 1 2 3; do public+=",$(lab_public6 $n 10)"; done
		rules nat6 6 "{${public#,}}"
		rules b1-4 4 "$(lab_public4 1 20)"
		rules b1-6 6 "$(lab_public6 1 20)"
	} | lab_in client nft -f -
}

# Lines "NAME SCOPE WAY PACKETS BYTES" of whole frames. At ingress their headers are off already.
counted() {
	lab_in client nft -j list counters table netdev sluice_lab | jq -r '
		.nftables[].counter? // empty | (.name | gsub("_"; "-") / ".") as $n |
		"\($n[0]) \($n[1]) \($n[2]) \(.packets) \(.bytes + (if $n[2] == "out" then 14 * .packets else 0 end))"' | sort
}

# The same of the nodes together.
metered() {
	local n
	for n in 1 2 3; do
		lab_ctl n$n metering --json || return 1
	done >"$LAB/metering.json"
	"$LAB_BUILD/bin/sluicectl" --json metering sum "$LAB/metering.json" | jq -r '
		.metering[] | select(.name) | . as $m | ("internet", "internal") as $s | ("in", "out") as $w |
		"\($m.name) \($s) \($w) \($m[$s][$w].packets) \($m[$s][$w].bytes)"' | sort
}

agree() {
	[ "$(counted)" = "$(since)" ]
}

# A round of traffic of which no packet was lost outside the nodes (on a busy machine routes flap, and queues overflow):
# what the client sends and nobody forwards is in no meter. Counts go on from round to round, so the nodes' are compared
# with those of before.
round() {
	LAB_STREAMS=()
	lab_in client nft delete table netdev sluice_lab 2>/dev/null
	count_all || return 1
	metered >"$LAB/before" || return 1
	traffic
	lab_until 20 'all of them' all_count 148 || return 1
	lab_until 15 'cards' directions_on_cards || return 1
	sleep 3
	end_traffic 20 >/dev/null || return 1
	lab_until 5 'the counts agree' agree || {
		diff <(counted) <(since)
		return 1
	}
}

# What was metered since the round began.
since() {
	join -a 2 <(awk '{ print $1 "," $2 "," $3, $4, $5 }' "$LAB/before" | sort) \
		<(metered | awk '{ print $1 "," $2 "," $3, $4, $5 }' | sort) |
		awk '{ split($1, name, ","); if (NF == 3) { $4 = $2; $5 = $3; $2 = $3 = 0 }
			print name[1], name[2], name[3], $4 - $2, $5 - $3 }' | sort
}

# Everything that was counted, of every kind, more than nothing: and the nodes say the same.
exactly() {
	local n
	round || round || round || return 1
	tap_eq 'names, scopes and directions' "$(counted | wc -l)" 48 || return 1
	tap_eq 'those without a packet' "$(counted | awk '$4 == 0' | wc -l)" 0 || return 1
	counted | awk '{ packets += $4; bytes += $5 } END { print "# " packets " packets, " bytes " bytes" }' >&3
	for n in 1 2 3; do
		lab_ctl n$n metering --json | jq -e '[.metering[].internet.in.packets] | add > 100' || return 1
	done
}

traffic() {
	local from vip port targets=() b
	for from in 10 20; do
		targets=()
		for port in 4001 4002; do
			targets+=(--tcp "198.18.10.1,$port,8" --udp "198.18.10.1,$port,3")
		done
		lab_stamp "in4-$from" client "${targets[@]}" --from 198.18.3.$from --interval 100 --rate 4000 --ramp 1000
		lab_stamp "in6-$from" client "${targets[@]//198.18.10.1/fd00:10::1}" --from fd00:3::$from --interval 100 --rate 4000 --ramp 1000
		LAB_STREAMS+=("in4-$from" "in6-$from")
	done
	for b in 1 2 3; do
		targets=()
		for vip in 198.18.3.10 198.18.3.20 fd00:3::10 fd00:3::20; do
			targets+=(--tcp "$vip,4001,4" --udp "$vip,4001,1")
		done
		lab_stamp "out-$b" "b$b" "${targets[@]}" --interval 100 --rate 4000 --ramp 1000
		LAB_STREAMS+=("out-$b")
	done
}

directions_on_cards() {
	local n cards=0
	for n in 1 2 3; do
		cards=$((cards + $(on_card n$n)))
	done
	[ "$kind" = plain ] || [ $cards -ge 60 ]
}

# Bytes that came to the client: all of them were forwarded by a node.
received() {
	counted | awk '$3 == "out" { sum += $5 } END { printf "%d", sum }'
}

metered_out() {
	since | awk '$3 == "out" { sum += $5 } END { printf "%d", sum }'
}

# The session file outlives the agent; what the card forwarded since it was read last goes with the card. Asserted: of
# the bytes that came to the client none is missing that came before the last second before the kill, nor after it.
killed() {
	local before at_kill missing
	before=$(received)
	sleep 1
	at_kill=$(received)
	lab_node_kill 1
	lab_until 5 'the routers have noticed' both_ways 2 || return 1
	sleep 2
	lab_node_start 1 || return 1
	lab_until 20 'the cluster is whole again' cluster_is_whole || return 1
	end_traffic 20 # who survives is not asked here
	sleep 1.5
	missing=$(($(received) - $(metered_out)))
	echo "# missing after the kill: $missing bytes; the second before it had $((at_kill - before))" >&3
	tap_within "bytes of a second" $((at_kill - before)) 100000 100000000 && tap_within "bytes missing" $missing 0 $((at_kill - before))
}

exec 3>&1
set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/cluster-metering
lab_cluster "$kind" 3
lab_address client eth0 198.18.3.20/24 fd00:3::20/64
lab_outbound_servers
start_cluster '' services
lab_birds
set +e

tap_plan 3
tap 'three nodes join' lab_until 20 'the cluster' cluster_is_whole
tap 'the sum over three nodes is what is counted outside, to the byte, by name, scope and direction' exactly
LAB_STREAMS=()
traffic
lab_until 20 'all of them' all_count 148
tap 'a node is killed, agent and card: at most a second is missing' killed
tap_end
