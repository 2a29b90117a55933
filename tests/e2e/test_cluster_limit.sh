#!/bin/bash
# A listener's max_sessions holds in the whole cluster, whichever node gets the traffic; least connections are the cluster's.
# Time limit: 120 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/tap.sh

limit=1000

services() {
	local b
	echo "groups:"
	echo "  - {name: some, scheduler: rr, backends: [{name: b1, address: 198.18.4.11}]}"
	echo "  - name: least"
	echo "    scheduler: wlc"
	echo "    backends:"
	for b in 1 2 3; do
		echo "      - {name: b$b, address: 198.18.4.1$b}"
	done
	echo "listeners:"
	echo "  - {name: limited, address: 198.18.10.1, protocol: udp, ports: 5000, group: some, max_sessions: $limit}"
	echo "  - {name: least, address: 198.18.10.1, protocol: udp, ports: 5001, group: least}"
}

# All of the clients' packets go to node N.
to_node() {
	ip -n "$LAB_ID-router" route replace 198.18.10.1 via "198.18.1.1$1"
}

# flood FIRST-PORT COUNT SECONDS PORT: a datagram from each source port, again and again.
flood() {
	lab_in client python3 - "$@" <<-'END'
		import socket, sys, time
		first, count, seconds, port = (float(x) for x in sys.argv[1:5])
		out = []
		for i in range(int(count)):
		    out.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
		    out[-1].bind(("198.18.3.10", int(first) + i))
		end = time.monotonic() + seconds
		while time.monotonic() < end:
		    for i, sock in enumerate(out):
		        sock.sendto(b"x", ("198.18.10.1", int(port)))
		        if i % 50 == 0:
		            time.sleep(0.01)
	END
}

# Sessions of a listener that this node made or owns: together those of the cluster.
owned() {
	local n sum=0
	for n in 1 2; do
		sum=$((sum + $(lab_ctl n$n sessions --listener "$1" --json | jq '[.sessions[] | select(.passive | not)] | length')))
	done
	echo $sum
}

both_there() {
	local n
	for n in 1 2; do
		[ "$(lab_ctl n$n cluster --json | jq '[.members[] | select(.alive and .announces)] | length')" = 2 ] || return 1
	done
}

within_a_tenth() {
	tap_within 'sessions of the cluster' "$(owned limited)" $((limit * 9 / 10)) $((limit * 11 / 10))
}

one_gets_all() {
	to_node 1
	flood 10000 1500 5 5000
	within_a_tenth || return 1
	tap_within 'drop_limit of n1' "$(lab_ctl n1 stats --json | jq .drops.drop_limit)" 300 100000000
}

# The other one has nothing to give then.
other_gets_more() {
	to_node 2
	flood 20000 1500 3 5000
	within_a_tenth
}

# Sixty sessions that only n1 knows (a datagram each), then n2 is to choose: it goes on where n1 stopped.
least_of_all() {
	local counts
	to_node 1
	lab_ctl n1 weight least b3 0 >/dev/null && lab_ctl n2 weight least b3 0 >/dev/null || return 1
	flood 30000 60 0.01 5001
	lab_ctl n1 weight least b3 1 >/dev/null && lab_ctl n2 weight least b3 1 >/dev/null || return 1
	to_node 2
	sleep 1
	flood 31000 30 0.01 5001
	counts=$(lab_ctl n2 sessions --listener least --json | jq -r '[.sessions[] | select(.passive | not) | .backend] | unique | @csv')
	tap_eq 'backends that n2 chose' "$counts" '"least/b3"'
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/cluster_limit
lab_cluster plain 2
head -c 32 /dev/urandom >"$LAB/key"
chmod 600 "$LAB/key"
for n in 1 2; do
	{
		services
		lab_cluster_key $n
	} | lab_node_config $n
	lab_node_start $n
done
set +e

tap_plan 4
tap 'two nodes announce themselves' lab_until 15 'both' both_there
tap "one node gets all the traffic: $limit sessions, within a tenth" one_gets_all
tap 'then the other does: no more of them' other_gets_more
tap 'least connections are those of the cluster' least_of_all
tap_end
