# A cluster in a laboratory: a router with BIRD spreads clients' flows over nodes, each `sluiced` with a card of its own
# (or AF_PACKET ports) and a BIRD that speaks through the agent's TAP. To be sourced after lab.sh.
# shellcheck shell=bash
#
#   client ---- router ---- north: port 0 of n1, n2, n3 ..   BGP and BFD, listeners' addresses
#                  |------- south: port 1 of the same        towards backends, and their answers
#                  `------- b1, b2, b3
#   n1, n2, n3 ---- sync                                     a switch of their own, interface sync0
#
#   198.18.3.0/24, fd00:3::/64   client .10 and up, router .1
#   198.18.1.0/24, fd00:1::/64   north: router .1, node N .1N
#   198.18.2.0/24, fd00:2::/64   south: the same
#   198.18.4.0/24, fd00:4::/64   backends .11 to .13, router .1
#   198.18.9.0/24                sync: node N .N, .100 and up for others
#   198.18.10.0/24, fd00:10::/64 listeners
#   198.18.(19+N).0/24, fd00:20::/64, fd00:21::/64 ..   public addresses of node N (SNAT, EIP)
#   198.18.(63+N).0/24, fd00:64::/64, fd00:65::/64 ..   local addresses of node N

LAB_BUILD=${LAB_BUILD:-build}
LAB_NODES=0
# Cards stand for hardware, and routers give such daemons priority: a busy machine must not pass for a dead one.
LAB_FIRST=(nice -n -10)
LAB_CARDS=plain
LAB_NODE_CABLE=lab_cable # or lab_wire_cable: cables of nodes that can be made bad
LAB_AGENT_UNDER=         # a program that gets a node's number and the agent's command, and becomes the agent

# lab_ctl NODE ARGUMENT...: sluicectl of a node, n1 ..
lab_ctl() {
	local node=$1
	shift
	"$LAB_BUILD/bin/sluicectl" --socket "$LAB/$node/api.sock" "$@"
}

# lab_cluster card|plain NODES: namespaces, cables and routers; starts no node.
lab_cluster() {
	local i
	LAB_CARDS=$1 LAB_NODES=$2
	lab_ns client router sync b1 b2 b3
	lab_router
	for i in $(seq "$LAB_NODES"); do
		lab_node_network "$i"
	done
}

# lab_segment BRIDGE V4 V6: a switch in the router's namespace, on which the router has an address.
lab_segment() {
	lab_bridge router "$1"
	lab_in router sysctl -qw "net.ipv6.conf.$1.disable_ipv6=0"
	lab_address router "$1" "$2" "$3"
}

lab_router() {
	local b
	lab_in router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv4.fib_multipath_hash_policy=1 net.ipv6.fib_multipath_hash_policy=1 \
		net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
	lab_segment north 198.18.1.1/24 fd00:1::1/64
	lab_segment south 198.18.2.1/24 fd00:2::1/64
	lab_segment inside 198.18.4.1/24 fd00:4::1/64
	lab_cable client eth0 router client
	lab_address client eth0 198.18.3.10/24 fd00:3::10/64
	lab_address router client 198.18.3.1/24 fd00:3::1/64
	lab_default client 198.18.3.1 fd00:3::1
	lab_bridge sync br
	for b in 1 2 3; do
		lab_cable "b$b" eth0 router "b$b"
		lab_address "b$b" eth0 "198.18.4.1$b/24" "fd00:4::1$b/64"
		lab_default "b$b" 198.18.4.1 fd00:4::1
		lab_join router "b$b" inside
	done
}

lab_default() {
	ip -n "$LAB_ID-$1" route add default via "$2"
	ip -n "$LAB_ID-$1" -6 route add default via "$3"
}

# lab_join NS DEV BRIDGE
lab_join() {
	lab_in "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
	lab_in "$1" ethtool -K "$2" tx off gso off tso off gro off >/dev/null 2>&1 || true
	ip -n "$LAB_ID-$1" link set dev "$2" master "$3"
}

# Ports and sync interface of node N; with a card the ports belong to the namespace of the card's wires.
lab_node_network() {
	local n=$1 wires=n$1
	lab_ns "n$n"
	mkdir -p "$LAB/n$n"
	if [ "$LAB_CARDS" = card ]; then
		wires=card$n
		lab_ns "$wires"
	fi
	"$LAB_NODE_CABLE" router "north$n" "$wires" w0 "north$n"
	"$LAB_NODE_CABLE" router "south$n" "$wires" w1 "south$n"
	lab_join router "north$n" north
	lab_join router "south$n" south
	lab_mute "$wires" w0
	lab_mute "$wires" w1
	"$LAB_NODE_CABLE" "n$n" sync0 sync "n$n" "sync$n"
	lab_join sync "n$n" br
	lab_address "n$n" sync0 "198.18.9.$n/24"
	# TAPs do not exist yet; what they get must not be turned away for coming in on another way than answers go.
	lab_in "n$n" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
}

# lab_node_config NODE-NUMBER: writes its document; groups, listeners and the key `cluster` come on standard input.
lab_node_config() {
	local n=$1 name=n$1 i device
	{
		cat <<-END
			version: 1
			node: $name
			state_dir: $LAB_STATE/$name
			api: $LAB/$name/api.sock
			workers: ${LAB_WORKERS:-1}
			sessions: ${LAB_SESSIONS:-65536}
			local_addresses: [$(lab_local4 "$n" 10)-$(lab_local4 "$n" 13), "$(lab_local6 "$n" 10)"]
			ports:
		END
		for i in 0 1; do
			device="net_af_packet$i,iface=w$i\", index: 0"
			[ "$LAB_CARDS" = plain ] || device="net_sluice0,sock=$LAB/$name/nic.sock,mac0=$(lab_mac "$n" 0),mac1=$(lab_mac "$n" 1)\", index: $i"
			echo "  - {name: p$i, device: \"$device, tap: sl$i," \
				"addresses: [198.18.$((i + 1)).1$n/24, \"fd00:$((i + 1))::1$n/64\"], queues: ${LAB_WORKERS:-1}}"
		done
		cat
	} >"$LAB/$name/sluiced.yaml"
}

# Cards of one build have the same addresses; on one switch they must not.
lab_mac() {
	printf '02:51:ce:00:%02x:%02x' "$1" "$2"
}

lab_local4() {
	echo "198.18.$((63 + $1)).$2"
}

lab_local6() {
	printf 'fd00:%x::%s' $((0x63 + $1)) "$2"
}

lab_public4() {
	echo "198.18.$((19 + $1)).$2"
}

lab_public6() {
	printf 'fd00:%x::%s' $((0x1f + $1)) "$2"
}

# lab_homes N: the home prefixes of node N, in YAML.
lab_homes() {
	echo "[$(lab_local4 "$1" 0)/24, \"$(lab_local6 "$1" '')/64\", $(lab_public4 "$1" 0)/24, \"$(lab_public6 "$1" '')/64\"]"
}

# lab_cluster_key N: the key `cluster` of node N with members that do not change, in YAML. LAB_REVISION pins session sync.
lab_cluster_key() {
	local i
	cat <<-END
		cluster:
		  id: $1
		  interface: sync0
		  address: 198.18.9.$1
		  key_file: $LAB/key
		  local_prefixes: $(lab_homes "$1")
		  routes: {table: 8848}
	END
	[ -z "${LAB_REVISION:-}" ] || echo "  revision: $LAB_REVISION"
	echo '  members:'
	for i in $(seq "$LAB_NODES"); do
		echo "    - {id: $i, name: n$i, address: 198.18.9.$i, local_prefixes: $(lab_homes "$i")}"
	done
}

lab_node_answers() {
	lab_ctl "$1" stats --json
}

# lab_card_start N: the node's card, if it has one.
lab_card_start() {
	local n=$1
	[ "$LAB_CARDS" = card ] || return 0
	rm -f "$LAB/n$n/nic.sock"
	lab_start "card$n" "card$n" "${LAB_FIRST[@]}" "$LAB_BUILD/bin/sluice-nic" --socket "$LAB/n$n/nic.sock" \
		--wire 0=packet:w0 --wire 1=packet:w1
	lab_until 10 "the card's socket" test -S "$LAB/n$n/nic.sock"
}

# lab_agent_begin N: the node's agent, which is not waited for.
lab_agent_begin() {
	lab_start "n$1" "n$1" ${LAB_AGENT_UNDER:+"$LAB_AGENT_UNDER" "$1"} "$(lab_installed "$LAB/n$1")" --config "$LAB/n$1/sluiced.yaml"
}

# lab_node_start N: its card, if it has one, and its agent, until the API answers.
lab_node_start() {
	local n=$1
	lab_card_start "$n"
	lab_agent_begin "$n"
	lab_until "${LAB_AGENT_S:-30}" "the API of n$n" lab_node_answers "n$n" || {
		tail -n 20 "$LAB/log/n$n.log" >&2
		return 1
	}
	lab_node_default "$n"
}

# Routes of the node itself: clients by north, backends by south. The TAPs are persistent, and so are these.
lab_node_default() {
	ip -n "$LAB_ID-n$1" route replace default via 198.18.1.1 dev sl0
	ip -n "$LAB_ID-n$1" -6 route replace default via fd00:1::1 dev sl0
	ip -n "$LAB_ID-n$1" route replace 198.18.4.0/24 via 198.18.2.1 dev sl1
	ip -n "$LAB_ID-n$1" -6 route replace fd00:4::/64 via fd00:2::1 dev sl1
}

# lab_node_kill N: SIGKILL of agent and card together, as when the machine dies.
lab_node_kill() {
	local name pid pids=()
	for name in "n$1" "card$1"; do
		pid=${LAB_PIDS[$name]:-}
		[ -z "$pid" ] || pids+=("$pid")
		unset "LAB_PIDS[$name]"
	done
	kill -KILL "${pids[@]}"
	wait "${pids[@]}" 2>/dev/null || true
}

# lab_bird NS CONFIG: BIRD in the foreground, its control socket at $LAB/NS.bird.
lab_bird() {
	lab_start "bird-$1" "$1" "${LAB_FIRST[@]}" bird -f -c "$2" -s "$LAB/$1.bird" -P "$LAB/$1.bird.pid"
	lab_until 10 "BIRD of $1" test -S "$LAB/$1.bird"
}

lab_birdc() {
	local ns=$1
	shift
	birdc -r -s "$LAB/$ns.bird" "$@"
}

# BIRD of the router, and of each node: docs/examples, with the addresses of this laboratory.
lab_birds() {
	local n
	cp docs/examples/bird-router.conf "$LAB/router.conf"
	lab_bird router "$LAB/router.conf"
	for n in $(seq "$LAB_NODES"); do
		sed -e "/^define HERE = /s/=.*;/= 198.18.1.1$n;/" -e "/^define HERE6 = /s/=.*;/= fd00:1::1$n;/" \
			-e "/^define INSIDE = /s/=.*;/= 198.18.2.1$n;/" -e "/^define INSIDE6 = /s/=.*;/= fd00:2::1$n;/" \
			docs/examples/bird.conf >"$LAB/n$n.conf"
		lab_bird "n$n" "$LAB/n$n.conf"
	done
}

# lab_next_hops ADDRESS: of the router's route to it, one a line, sorted.
lab_next_hops() {
	local family=-4
	[[ $1 != *:* ]] || family=-6
	ip -n "$LAB_ID-router" "$family" -j route show to match "$1" |
		jq -r '[.[] | select(.dst != "default")] | max_by(.dst | split("/")[1] // "999" | tonumber) |
			(.nexthops // [.])[] | .gateway // empty' | sort
}

# lab_cluster_services: groups and listeners in YAML. At 198.18.10.1 and fd00:10::1, TCP and UDP: 4001 goes to the card,
# if there is one, 4002 never does. What is given replaces the listeners' time-outs: 'established_s: 10, udp_s: 10'.
lab_cluster_services() {
	local f b address vip port protocol offload
	echo 'groups:'
	for f in 4 6; do
		for port in 4001 4002; do
			echo "  - name: g$f-$port"
			echo '    scheduler: rr'
			echo '    check: {type: none}'
			echo '    backends:'
			for b in 1 2 3; do
				address=198.18.4.1$b
				[ $f = 4 ] || address=fd00:4::1$b
				echo "      - {name: b$b, address: \"$address\", port: 4001}"
			done
		done
	done
	echo 'listeners:'
	for f in 4 6; do
		vip=198.18.10.1
		[ $f = 4 ] || vip=fd00:10::1
		for port in 4001 4002; do
			offload='{enabled: false}'
			[ $port = 4002 ] || offload='{enabled: true, threshold_packets: 3}'
			for protocol in tcp udp; do
				echo "  - {name: $protocol$f-$port, address: \"$vip\", protocol: $protocol, ports: $port," \
					"group: g$f-$port, offload: $offload${1:+, timeouts: {$1\}}}"
			done
		done
	done
}

# lab_keepalived N: docs/examples/keepalived.conf on one of two nodes.
lab_keepalived() {
	local n=$1 swap=()
	[ "$n" = 1 ] || swap=(-e 's/priority 150/priority 0/' -e 's/priority 100/priority 150/' -e 's/priority 0/priority 100/')
	# Keepalived refuses a script below a folder that others may write; this one is root's alone.
	printf '#!/bin/sh\nexec %q --socket %q "$@"\n' "$(realpath "$LAB_BUILD/bin/sluicectl")" "$LAB/n$n/api.sock" >"$LAB/n$n/sluicectl"
	chmod 700 "$LAB/n$n/sluicectl"
	sed -e "s/router_id n1/router_id n$n/" -e "s#/usr/bin/sluicectl#$LAB/n$n/sluicectl#" "${swap[@]}" \
		docs/examples/keepalived.conf >"$LAB/n$n/keepalived.conf"
	lab_start "vrrp$n" "n$n" "${LAB_FIRST[@]}" keepalived --dont-fork --log-console --log-detail --vrrp --use-file "$LAB/n$n/keepalived.conf" \
		--pid "$LAB/n$n/keepalived.pid" --vrrp_pid "$LAB/n$n/vrrp.pid"
}

# What a gateway without BGP has instead: static routes to next hops that VRRP moves.
lab_static_routes() {
	ip -n "$LAB_ID-router" route add 198.18.10.0/24 via 198.18.1.100
	ip -n "$LAB_ID-router" route add 198.18.64.0/24 via 198.18.2.101
	ip -n "$LAB_ID-router" route add 198.18.65.0/24 via 198.18.2.102
	ip -n "$LAB_ID-router" -6 route add fd00:10::/64 via fd00:1::100
	ip -n "$LAB_ID-router" -6 route add fd00:64::/64 via fd00:2::101
	ip -n "$LAB_ID-router" -6 route add fd00:65::/64 via fd00:2::102
}
