#!/bin/bash
# 10,000 flows over three nodes: how evenly a router with ECMP spreads them, and that every node knows all.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/stamp.sh
. tests/lab/tap.sh
. tests/lab/traffic.sh

flows=10000

created() {
	local n
	for n in 1 2 3; do
		lab_ctl n$n stats --json | jq .packets.sessions_created
	done
}

# The busiest node has at most 1.2 times the flows of the idlest.
even() {
	local sorted sum
	mapfile -t sorted < <(created | sort -n)
	sum=$((sorted[0] + sorted[1] + sorted[2]))
	echo "# sessions created: ${sorted[*]}; max/min $(awk -v a="${sorted[2]}" -v b="${sorted[0]}" 'BEGIN { printf "%.3f", a / b }')" >&3
	tap_eq 'sessions of all nodes' "$sum" "$flows" || return 1
	tap_within 'max x 100 / min' $((sorted[2] * 100 / sorted[0])) 100 120
}

exec 3>&1
set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/cluster_even
lab_cluster plain 3
start_cluster
lab_birds
set +e

tap_plan 4
tap 'three nodes join, announce themselves, and the router spreads over all' lab_until 20 'the cluster' cluster_is_whole
lab_stamp s client --udp 198.18.10.1,4002,$((flows / 2)) --udp fd00:10::1,4001,$((flows / 2)) --interval 2000 --rate 50 --ramp 8000 --duration 16
tap "$flows flows are served: nobody is lost" lab_finish s 60
sed 's/^/# /' "$LAB/log/s.log"
tap 'the nodes share them evenly' even
tap 'every node has all sessions' every_node_has $flows 5
tap_end
