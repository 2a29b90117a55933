# Two balancers of one service, active and standby, in NAT mode: Sluice and a kernel with the real Linux IPVS. Whichever the
# routes of client and backend point to is active. To be sourced after lab.sh and uml.sh.
# shellcheck shell=bash
#
#   client ---- clients ---- p0 of sluiced, vec0 of the director
#               backends --- p1 of sluiced, vec1 of the director ---- backend
#               sync ------- sync0 beside sluiced, vec2 of the director
#
#   198.18.1.0/24, fd00:1::/64     client .10, Sluice .2, the director .50
#   198.18.2.0/24, fd00:2::/64     backend .11, Sluice .2, the director .50; local addresses of FULLNAT .96/28
#   198.18.9.0/24                  Sluice .1, the director .50
#   198.18.64.100, fd00:64::100    the service

LAB_BUILD=${LAB_BUILD:-build}
LAB_CTL() { "$LAB_BUILD/bin/sluicectl" --socket "$LAB/api.sock" "$@"; }
LAB_VIP4=198.18.64.100 LAB_VIP6=fd00:64::100

# Everything but the processes of client and backend and the agent; the director boots, forwards nothing and tells nobody yet.
lab_director() {
	local ns device port
	lab_ns client backend lb switch
	lab_uml_start director switch director0 director1 director2 || return 1
	for device in client:eth0:to_client backend:eth0:to_backend lb:eth0:to_lb0 lb:eth1:to_lb1 lb:sync0:to_sync; do
		IFS=: read -r ns device port <<<"$device"
		lab_cable "$ns" "$device" switch "$port"
	done
	lab_bridge switch clients to_client to_lb0 director0
	lab_bridge switch backends to_backend to_lb1 director1
	lab_bridge switch sync to_sync director2
	lab_mute lb eth0
	lab_mute lb eth1
	lab_address client eth0 198.18.1.10/24 fd00:1::10/64
	lab_address backend eth0 198.18.2.11/24 fd00:2::11/64
	lab_address lb sync0 198.18.9.1/24
	lab_uml director "
		modprobe -d /tmp/kernel ip_vs_rr &&
		ip address add 198.18.1.50/24 dev vec0 && ip address add fd00:1::50/64 dev vec0 &&
		ip address add 198.18.2.50/24 dev vec1 && ip address add fd00:2::50/64 dev vec1 &&
		ip address add 198.18.9.50/24 dev vec2 &&
		ip address add $LAB_VIP4/32 dev lo && ip address add $LAB_VIP6/128 dev lo &&
		for device in vec0 vec1 vec2; do ip link set \$device up || exit; done &&
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
}

# lab_active sluice|director: the routes of client and backend.
lab_active() {
	local host=2
	[ "$1" = sluice ] || host=50
	ip -n "$LAB_ID-client" route replace $LAB_VIP4 via 198.18.1.$host
	ip -n "$LAB_ID-client" -6 route replace $LAB_VIP6 via fd00:1::$host
	ip -n "$LAB_ID-backend" route replace default via 198.18.2.$host
	ip -n "$LAB_ID-backend" -6 route replace default via fd00:2::$host
}

# lab_director_service PROTOCOL PORT METHOD: -t or -u; -m (NAT) or -g (DR).
lab_director_service() {
	lab_uml director "ipvsadm -A $1 $LAB_VIP4:$2 -s rr && ipvsadm -a $1 $LAB_VIP4:$2 -r 198.18.2.11:$2 $3 &&
		ipvsadm -A $1 [$LAB_VIP6]:$2 -s rr && ipvsadm -a $1 [$LAB_VIP6]:$2 -r [fd00:2::11]:$2 $3"
}

# lab_director_config: prints the document of sluiced; listeners of $LAB_VIP4 and $LAB_VIP6 come on standard input as
# NAME PROTOCOL PORT MODE.
lab_director_config() {
	local name protocol port mode family address
	cat <<-END
		version: 1
		node: lb1
		state_dir: $LAB_STATE
		api: $LAB/api.sock
		workers: 1
		sessions: 65536
		ports:
		  - {name: p0, device: "net_af_packet0,iface=eth0", tap: sl0, addresses: [198.18.1.2/24, "fd00:1::2/64"]}
		  - {name: p1, device: "net_af_packet1,iface=eth1", tap: sl1, addresses: [198.18.2.2/24, "fd00:2::2/64"]}
		cluster:
		  id: 1
		  group: 7
		  interface: sync0
		  address: 198.18.9.1
		  extensions: ${LAB_EXTENSIONS:-false}
		  local_prefixes: [198.18.2.96/28, "fd00:2::60/124"]
		  members: [{id: 1, name: lb1, address: 198.18.9.1, local_prefixes: [198.18.2.96/28, "fd00:2::60/124"]}]
		local_addresses: [198.18.2.100-198.18.2.103, "fd00:2::64"]
		groups:
		  - {name: four, scheduler: rr, check: {type: none}, backends: [{name: b, address: 198.18.2.11}]}
		  - {name: six, scheduler: rr, check: {type: none}, backends: [{name: b, address: "fd00:2::11"}]}
		listeners:
	END
	while read -r name protocol port mode; do
		for family in four six; do
			address=$LAB_VIP4
			[ $family = four ] || address=$LAB_VIP6
			echo "  - {name: $name-$family, address: \"$address\", protocol: $protocol, ports: $port, mode: $mode, group: $family}"
		done
	done
}

lab_agent_answers() {
	LAB_CTL stats --json
}

lab_agent() {
	lab_start agent lb "$LAB_BUILD/bin/sluiced" --config "$LAB/sluiced.yaml"
	lab_until 30 "the agent's API" lab_agent_answers || {
		tail -n 20 "$LAB/log/agent.log" >&2
		return 1
	}
}

# What the director has of the service: PROTOCOL STATE CLIENT VIRTUAL SERVER; with `expires`, seconds behind it.
lab_director_sessions() {
	lab_uml director ipvsadm -Lnc | awk -v expires="${1:-}" '$5 ~ /^(198\.18\.64\.100|\[fd00:64::100\]):/ {
		split($2, time, ":")
		print $1, $3, $4, $5, $6, expires ? time[1] * 60 + time[2] : "" }' | sed 's/ $//' | sort
}

# What Sluice has, in the same words.
lab_sluice_sessions() {
	LAB_CTL sessions --json | jq -r --arg expires "${1:-}" '
		def host: if .address | contains(":") then "[\(.address)]:\(.port)" else "\(.address):\(.port)" end;
		.sessions[] | "\(.protocol | ascii_upcase) \(if .protocol == "udp" then "UDP" else .state end) " +
			"\(.client | host) \(.vip | host) \(.server | host)" + (if $expires != "" then " \(.expires_s)" else "" end)' | sort
}
