#!/bin/bash
# Backends without a public address talk to a server outside, through SNAT and through an EIP, over three nodes behind
# routers with ECMP. The node that announces the EIP, and a third of SNAT's addresses, dies and returns: nobody notices.
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

gateway_is_whole() {
	cluster_is_whole && gateways 3
}

# Which addresses the server sees: SNAT's of every node, the EIP's alone.
sources() {
	local seen
	seen=$(lab_in client ss -Htn state established "( sport = :4001 )" | awk '{ print $4 }' |
		sed -e 's/:[0-9]*$//' -e 's/[][]//g' -e 's/^::ffff://' | sort | uniq -c)
	echo "$seen" | sed 's/^ */# /' >&3
	tap_eq 'addresses that the server sees' "$(awk '{ print $2 }' <<<"$seen" | sort | xargs)" \
		"198.18.20.10 198.18.20.20 198.18.21.10 198.18.22.10 fd00:20::10 fd00:20::20 fd00:21::10 fd00:22::10"
}

kill_owner() {
	fault 'kill n1' || return 1
	lab_node_kill 1
	lab_until 5 'the routers have noticed' both_ways 2 || return 1
	lab_until 5 'the nodes have noticed' every_node_sees 2 || return 1
	sleep 2
	nobody_lost
}

return_owner() {
	fault 'return of n1' || return 1
	lab_node_start 1 || return 1
	lab_until 15 'the cluster is whole again' gateway_is_whole || return 1
	sleep 2
	nobody_lost
}

cards_carry() {
	local n sum=0
	for n in 1 2 3; do
		sum=$((sum + $(on_card n$n)))
	done
	echo "$sum directions on cards"
	[ $sum -ge "$1" ]
}

exec 3>&1
set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/cluster-outbound
lab_cluster "$kind" 3
lab_outbound_servers
start_cluster '' lab_outbound_services
lab_birds
set +e

tap_plan 11
tap 'three nodes join; the default route of the inside has three next hops' lab_until 20 'the cluster' gateway_is_whole
start_outbound
tap '70 connections and 14 flows of three inside hosts are there, half of them IPv6' lab_until 20 'all of them' all_count 84
start_downloads
tap 'the server sees public addresses of all nodes, and those of the EIPs' sources
tap 'every node knows of all twelve downloads, each a single request' lab_until 10 'downloads' downloads_are_known
if [ "$kind" = card ]; then
	tap 'the cards carry most of them' lab_until 15 'cards' cards_carry 120
else
	tap_skip 'the cards carry most of them' 'without cards'
fi
tap 'the node that owns the EIPs is killed, agent and card: nobody is lost' kill_owner
tap 'and nobody was silent for a second' gap_below 1000
echo "# longest gap $(gap_ms) ms" >&3
tap 'new connections find the EIP where it is now' new_connections
tap 'the owner returns: nobody is lost' return_owner
tap 'every download is complete and identical' end_downloads 40
tap 'every connection ended in order, every byte was right' end_traffic 30
tap_end
