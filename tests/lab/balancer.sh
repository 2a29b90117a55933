# A balancer in a laboratory: a client's network, a network of three backends, and between them `sluiced` on the card
# (lab_card), or on two AF_PACKET ports without any card (lab_plain). To be sourced after lab.sh.
# shellcheck shell=bash
#
#   client eth0 ---- wire 0  sluice-nic  wire 1 ---- switch ---- b1, b2, b3   lab_card: sluiced in `lb` has the card's socket
#   client eth0 ---- eth0     sluiced     eth1 ---- switch ---- b1, b2, b3    lab_plain: both in `lb`
#
#   198.18.1.0/24, fd00:1::/64  client .10, node .2, listeners .100 and up
#   198.18.2.0/24, fd00:2::/64  backends .11 to .13, node .2, local addresses of FULLNAT .100 to .103

LAB_BUILD=${LAB_BUILD:-build}
LAB_CTL() { "$LAB_BUILD/bin/sluicectl" --socket "$LAB/api.sock" "$@"; }

# The namespaces and cables that both kinds have; $1: namespace of the balancer's wires, $2 and $3: their names.
lab_networks() {
	local ns=$1 wire0=$2 wire1=$3 b
	lab_cable client eth0 "$ns" "$wire0"
	lab_cable switch p0 "$ns" "$wire1"
	lab_mute "$ns" "$wire0"
	lab_mute "$ns" "$wire1"
	lab_address client eth0 198.18.1.10/24 fd00:1::10/64
	for b in 1 2 3; do
		lab_cable "b$b" eth0 switch "p$b"
		lab_address "b$b" eth0 "198.18.2.1$b/24" "fd00:2::1$b/64"
		# NAT mode: answers to clients go through the balancer.
		ip -n "$LAB_ID-b$b" route add default via 198.18.2.2
		ip -n "$LAB_ID-b$b" -6 route add default via fd00:2::2
	done
	lab_bridge switch br p0 p1 p2 p3
}

# lab_card [OPTION...]: everything but agent and servers; options are for sluice-nic.
lab_card() {
	lab_ns client card lb switch b1 b2 b3
	lab_networks card w0 w1
	# It stands for hardware: a busy machine must not pass for a slow card.
	lab_start card card nice -n -10 "$LAB_BUILD/bin/sluice-nic" --socket "$LAB/nic.sock" --wire 0=packet:w0 --wire 1=packet:w1 "$@"
	lab_until 10 "the card's socket" test -S "$LAB/nic.sock"
	LAB_PORTS=(
		"{name: p0, device: \"net_sluice0,sock=$LAB/nic.sock\", index: 0, tap: sl0,"
		"{name: p1, device: \"net_sluice0,sock=$LAB/nic.sock\", index: 1, tap: sl1,"
	)
}

# lab_plain: the same without a card.
lab_plain() {
	lab_ns client lb switch b1 b2 b3
	lab_networks lb eth0 eth1
	LAB_PORTS=(
		"{name: p0, device: \"net_af_packet0,iface=eth0\", index: 0, tap: sl0,"
		"{name: p1, device: \"net_af_packet1,iface=eth1\", index: 0, tap: sl1,"
	)
}

# lab_config: writes $LAB/sluiced.yaml; groups and listeners come on standard input.
lab_config() {
	cat >"$LAB/sluiced.yaml" <<-END
		version: 1
		node: lb1
		state_dir: $LAB_STATE
		api: $LAB/api.sock
		workers: 1
		sessions: ${LAB_SESSIONS:-65536}
		ports:
		  - ${LAB_PORTS[0]} addresses: [198.18.1.2/24, "fd00:1::2/64"], queues: 1}
		  - ${LAB_PORTS[1]} addresses: [198.18.2.2/24, "fd00:2::2/64"], queues: 1}
		local_addresses: [198.18.2.100-198.18.2.103, "fd00:2::100"]
	END
	cat >>"$LAB/sluiced.yaml"
}

lab_agent_answers() {
	LAB_CTL stats --json
}

# lab_agent [OPTION...]: starts the agent and waits until its API answers.
lab_agent() {
	lab_start agent lb "$(lab_installed "$LAB")" --config "$LAB/sluiced.yaml" "$@"
	lab_until ${LAB_AGENT_S:-30} "the agent's API" lab_agent_answers || {
		tail -n 20 "$LAB/log/agent.log" >&2
		return 1
	}
}

# lab_servers [PORT...]: nginx on 80 and echo on the ports, on every backend; /10m and /2m are random files, /slow is 10m slowly.
lab_servers() {
	local b
	mkdir -p "$LAB/www"
	head -c 10000000 /dev/urandom >"$LAB/www/10m"
	head -c 2000000 "$LAB/www/10m" >"$LAB/www/2m"
	ln "$LAB/www/10m" "$LAB/www/slow"
	for b in 1 2 3; do
		lab_nginx "b$b" "b$b" 80 '[::]:80'
		[ $# = 0 ] || lab_start "echo$b" "b$b" tests/lab/echo.py serve "$@"
	done
	for b in 1 2 3; do
		lab_until 10 "nginx of b$b" lab_in "b$b" curl -sf -o /dev/null http://127.0.0.1/
		[ $# = 0 ] || lab_until 10 "echo of b$b" lab_in "b$b" tests/lab/echo.py udp 127.0.0.1 "$1" 1
	done
}

# lab_group NAME FAMILY PORT [SCHEDULER [CHECK]]: a group of the three backends, in YAML; FAMILY is 4 or 6.
lab_group() {
	local b address
	echo "  - name: $1"
	echo "    scheduler: ${4:-rr}"
	echo "    check: ${5:-{type: none\}}"
	echo "    backends:"
	for b in 1 2 3; do
		address=198.18.2.1$b
		[ "$2" = 4 ] || address=fd00:2::1$b
		echo "      - {name: b$b, address: \"$address\", port: $3, weight: 10}"
	done
}

# lab_counter NAME: one of the agent's counters of the data path, by its name in host/dataplane/counters.h.
lab_counter() {
	LAB_CTL stats --json | jq -r --arg name "$1" '.drops[$name] // .packets[$name]'
}

# lab_get URL FILE [CURL OPTION...]: downloads from the client and compares with $LAB/www/FILE.
lab_get() {
	local url=$1 file=$2
	shift 2
	lab_in client curl -sS -f --max-time 60 "$@" -o "$LAB/got" "$url" && cmp "$LAB/got" "$LAB/www/$file"
}

# lab_count ADDRESS SENT GOT: counts at the client's interface what it sends to ADDRESS, and gets from there, as far as these
# further matches go. Its kernel does the counting.
lab_count() {
	local family=ip
	[[ $1 != *:* ]] || family=ip6
	# TCP hands over several segments at once, whatever ethtool says; only behind the hook they become packets.
	ip -n "$LAB_ID-client" link set dev eth0 gso_max_segs 1
	lab_in client nft -f - <<-END
		table netdev sluice_lab
		delete table netdev sluice_lab
		table netdev sluice_lab {
			counter request {}
			counter reply {}
			chain out { type filter hook egress device eth0 priority 0; $family daddr $1 $2 counter name request; }
			chain in { type filter hook ingress device eth0 priority 0; $family saddr $1 $3 counter name reply; }
		}
	END
}

# lab_count_client ADDRESS PORT: of TCP.
lab_count_client() {
	lab_count "$1" "tcp dport $2" "tcp sport $2"
}

# lab_count_address ADDRESS: everything, whatever the protocol.
lab_count_address() {
	lab_count "$1" "" ""
}

# lab_client_frames request|reply: "PACKETS BYTES" of whole Ethernet frames, as the balancer counts them.
lab_client_frames() {
	local header=0
	[ "$1" = request ] || header=14 # at ingress it is off already
	lab_in client nft -j list counter netdev sluice_lab "$1" |
		jq -r --argjson header $header '.nftables[] | .counter? // empty | "\(.packets) \(.bytes + $header * .packets)"'
}
