#!/bin/bash
# Malformed and hostile frames: each kind is counted under its reason, and no other flow notices.
# Time limit: 240 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

vip4=198.18.1.100 vip6=fd00:1::100 count=40

# kind, counter that must grow by every frame
kinds=(
	'version_5 drop_bad_ip'
	'header_too_short drop_bad_ip'
	'header_past_the_frame drop_bad_ip'
	'length_past_the_frame drop_bad_ip'
	'length_below_the_header drop_bad_ip'
	'bad_header_checksum drop_bad_l3_csum'
	'tcp_cut_short drop_bad_l4'
	'tcp_offset_4 drop_bad_l4'
	'tcp_offset_past_the_end drop_bad_l4'
	'udp_length_7 drop_bad_l4'
	'udp_length_past_the_end drop_bad_l4'
	'from_loopback drop_bad_address'
	'from_multicast drop_bad_address'
	'tcp_no_flags drop_tcp_flags'
	'tcp_syn_fin drop_tcp_flags'
	'tcp_ack_without_session drop_no_session'
	'later_fragment_alone drop_fragment_first'
	'tiny_first_fragment drop_fragment_tiny'
	'icmp_error_cut_short drop_icmp_bad'
	'icmp_error_of_no_session drop_icmp_no_session'
	'ipv6_length_past_the_frame drop_bad_ip'
	'ipv6_extension_cut_short drop_extension'
	'ipv6_extensions_without_end drop_extension'
	'ipv6_tcp_cut_short drop_bad_l4'
)

config() {
	echo 'groups:'
	lab_group web4 4 80 maglev
	lab_group web6 6 80 maglev
	lab_group echo 4 0 rr
	echo 'listeners:'
	echo "  - {name: web4, address: $vip4, protocol: tcp, ports: 80, mode: fullnat, group: web4}"
	echo "  - {name: web6, address: \"$vip6\", protocol: tcp, ports: 80, mode: fullnat, group: web6}"
	echo "  - {name: echo, address: $vip4, protocol: tcp, ports: 4001, mode: fullnat, group: echo}"
	echo "  - {name: echo-udp, address: $vip4, protocol: udp, ports: 80, mode: fullnat, group: echo}"
}

send() {
	lab_in client tests/lab/frames.py "$1" eth0 "$mac" "$2" 80 "$3" "${4:-1}"
}

counted() {
	[ "$(lab_counter "$1")" -ge "$2" ]
}

dropped() {
	local kind=$1 counter=$2 target=$vip4 before
	[[ $kind != ipv6* ]] || target=$vip6
	before=$(lab_counter "$counter")
	send "$kind" "$target" $count || return 1
	lab_until 5 "$count more in $counter" counted "$counter" $((before + count)) || {
		echo "$counter went from $before to $(lab_counter "$counter")"
		LAB_CTL stats --json
		return 1
	}
}

survives_fuzz() {
	local seed
	for seed in 1 2 3; do
		send fuzz $vip4 5000 "$seed" || return 1
	done
	lab_alive card && lab_alive agent && lab_get "http://$vip4/2m" 2m && lab_get "http://[$vip6]/2m" 2m
}

# A stranger's RSTs, with the tuple of a flow that the card carries and a wrong sequence number.
blind_resets() {
	local sport status=0
	lab_start download client curl -sS -f --max-time 60 -o "$LAB/slow" "http://$vip4/slow"
	lab_until 10 'the card has the download' download_on_card || return 1
	sport=$(LAB_CTL sessions --json | jq '[.sessions[] | select(.vip.port == 80 and .state == "ESTABLISHED")][0].client.port')
	lab_in client /usr/bin/python3 - "$mac" "$vip4" "$sport" <<-'END' || status=1
		import socket, struct, sys
		sys.path.insert(0, "tests/lab")
		import frames
		mac, vip, sport = sys.argv[1:]
		with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
		    sock.bind(("eth0", 0))
		    ends = bytes.fromhex(mac.replace(":", "")) + sock.getsockname()[4]
		    for _ in range(50):
		        ethertype, packet = frames.ipv4(frames.tcp(vip, 80, flags=4, sport=int(sport)), vip)
		        sock.send(ends + struct.pack(">H", ethertype) + packet)
	END
	# Longer than a session that an RST really ended would live (CLOSE: 10 s).
	sleep 12
	lab_alive download && LAB_CTL sessions --json |
		jq -e --argjson port "$sport" '.sessions[] | select(.client.port == $port) |
			.request.owner == "card" and .reply.owner == "card"' || status=1
	LAB_CTL sessions | grep ":$sport "
	cat "$LAB/log/download.log"
	lab_stop download || true
	return $status
}

download_on_card() {
	LAB_CTL sessions --json | jq -e '
		[.sessions[] | select(.vip.port == 80 and .state == "ESTABLISHED")] |
		length == 1 and all(.request.owner == "card" and .reply.owner == "card")'
}

steady_unharmed() {
	lab_signal steady TERM
	lab_finish steady 60 || {
		cat "$LAB/log/steady.log"
		return 1
	}
	cat "$LAB/log/steady.log"
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/malformed
lab_card
lab_servers 4001
config | lab_config
lab_agent
lab_until 10 'the listener answers' lab_in client curl -sf -o /dev/null http://$vip4/
mac=$(lab_in client ip -j neigh show "$vip4" | jq -r '.[0].lladdr')
lab_in client curl -sf -o /dev/null "http://[$vip6]/"
lab_start steady client tests/lab/echo.py steady $vip4 4001 10 200
set +e

tap_plan $((${#kinds[@]} + 3))
tap 'a blind RST takes no flow from the card' blind_resets
for row in "${kinds[@]}"; do
	read -r kind counter <<<"$row"
	tap "${kind//_/ }: $counter counts each frame" dropped "$kind" "$counter"
done
tap '15,000 random frames, and both still work' survives_fuzz
tap 'ten flows that ran all the time lost no byte' steady_unharmed
tap_end
