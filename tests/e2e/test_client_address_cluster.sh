#!/bin/bash
# Connections that began with a PROXY header outlive the node that sent it: another one goes on, and the backend still knows
# who calls.
# Time limit: 150 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/tap.sh
. tests/lab/traffic.sh

services() {
	local f b address vip
	echo 'groups:'
	for f in 4 6; do
		echo "  - {name: web$f, scheduler: rr, check: {type: none}, backends: ["
		for b in 1 2 3; do
			[ $f = 4 ] && address=198.18.4.1$b || address=fd00:4::1$b
			echo "      {name: b$b, address: \"$address\", port: 81},"
		done
		echo '    ]}'
	done
	echo 'listeners:'
	for f in 4 6; do
		[ $f = 4 ] && vip=198.18.10.1 || vip=fd00:10::1
		echo "  - {name: web$f, address: \"$vip\", protocol: tcp, ports: 80, group: web$f, client_address: proxy_v2}"
	done
}

sessions_are() {
	local n
	for n in 1 2; do
		[ "$(lab_ctl n$n sessions --limit 1000 --json | jq '[.sessions[] | select(.state == "ESTABLISHED")] | length')" = "$1" ] || return 1
	done
}

# Both nodes have clients of their own, and each knows those of the other.
kill_and_go_on() {
	local n status=0
	for n in 1 2; do
		tap_within "headers that n$n sent" "$(lab_ctl n$n stats --json | jq .packets.proxy_headers)" 1 1000 || status=1
	done
	lab_node_kill 1
	lab_finish kept4 40 || status=1
	lab_finish kept6 40 || status=1
	cat "$LAB"/log/kept?.log
	return $status
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/client-address-cluster
lab_cluster plain 2
head -c 32 /dev/urandom >"$LAB/key"
chmod 600 "$LAB/key"
for b in 1 2 3; do
	lab_nginx "b$b" "b$b" '81 proxy_protocol' '[::]:81 proxy_protocol'
	lab_until 10 "nginx of b$b" lab_in "b$b" sh -c 'ss -tlnH sport = 81 | grep -q .'
done
for n in 1 2; do
	{
		services
		lab_cluster_key $n
	} | lab_node_config $n
	lab_node_start $n
done
lab_birds
set +e

tap_plan 3
tap 'two nodes announce themselves' lab_until 20 'the cluster' cluster_is_whole
lab_start kept4 client tests/lab/caller.py kept 198.18.10.1 80 30 15
lab_start kept6 client tests/lab/caller.py kept fd00:10::1 80 30 15
tap 'both nodes know 60 connections, each those of the other too' lab_until 12 'sessions' sessions_are 60
tap 'n1 is killed: all 60 go on, and nginx still names the caller' kill_and_go_on
tap_end
