# Inside hosts without a public address reach a server outside through SNAT and EIP, and are reached through EIP. Sourced
# by test_outbound_card.sh and test_outbound_plain.sh: $1 is card or plain.
# shellcheck shell=bash
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

kind=$1
[ "$kind" = card ] && owner=card || owner=software

config() {
	cat <<-END
		groups:
		  - {name: web, scheduler: rr, backends: [{name: b3, address: 198.18.2.13, port: 80}]}
		listeners:
		  - {name: web, address: 198.18.1.100, protocol: tcp, ports: 80, group: web}
		snat:
		  - {name: nat, sources: [198.18.2.0/24, "fd00:2::/64"], addresses: [198.18.1.150, "fd00:1::150"]}
		eip:
		  - {name: b1-4, public: 198.18.1.160, private: 198.18.2.11}
		  - {name: b1-6, public: "fd00:1::160", private: "fd00:2::11"}
		metering: {internal: ["fd00::/16"]}
	END
}

# get HOST ADDRESS: a download from the server outside.
get() {
	lab_in "$1" curl -sS -f --max-time 30 -o "$LAB/got" "http://$2/2m" && cmp "$LAB/got" "$LAB/www/2m"
}

# seen_as HOST ADDRESS SOURCE: the server sees this source.
seen_as() {
	tap_eq 'the source that the server sees' "$(lab_in "$1" curl -sS -f --max-time 5 "http://$2/who")" "$3"
}

# says NAMESPACE ADDRESS NAME: who answers there.
says() {
	tap_eq "the server at $2" "$(lab_in "$1" curl -sS -f --max-time 5 "http://$2/")" "$3"
}

# The sessions of a slow download by HOST from ADDRESS belong to whom they should.
owners() {
	local status=0
	lab_start download "$1" curl -sS -f --max-time 60 -o "$LAB/slow" "http://$2/slow"
	lab_until 10 "owner of both directions is $owner" owned_by "$3" || status=1
	[ $status = 0 ] || LAB_CTL sessions --json
	lab_stop download || true
	return $status
}

owned_by() {
	LAB_CTL sessions --json --listener "$1" | jq -e --arg owner "$owner" --arg name "$1" '
		[.sessions[] | select(.listener == $name and .state == "ESTABLISHED")] |
		length >= 1 and all(.request.owner == $owner and .reply.owner == $owner)'
}

udp() {
	lab_in "$1" tests/lab/echo.py udp "$2" 4001 200
}

# pings NAMESPACE:ADDRESS...
pings() {
	local way
	for way in "$@"; do
		lab_in "${way%%:*}" ping -c 2 -i 0.2 -W 2 "${way#*:}" || return 1
	done
}

# The port that the server sees of one UDP socket is the same whomever it calls (RFC 4787, REQ-1).
udp_port_kept() {
	local ports
	ports=$(lab_in b2 python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
for port in (4002, 4003, 4004):
    s.sendto(b"?", ("198.18.1.10", port))
    print(s.recv(100).decode())') || return 1
	echo "$ports"
	tap_eq 'different sources' "$(sort -u <<<"$ports" | wc -l)" 1
	[[ $ports == 198.18.1.150* ]]
}

# Nobody outside reaches an inside host through an address of SNAT.
stranger() {
	local before after
	before=$(lab_counter drop_snat_no_session)
	! lab_in client curl -sS --max-time 2 http://198.18.1.150/ || return 1
	after=$(lab_counter drop_snat_no_session)
	tap_within 'segments dropped' $((after - before)) 1 10
}

metered() {
	LAB_CTL metering --json | jq -r --arg name "$1" --arg scope "$2" --arg way "$3" '
		.metering[] | select(.name == $name) | .[$scope][$way] | "\(.packets) \(.bytes)"'
}

# metering NAME SCOPE PUBLIC SERVER HOST: what the server outside counts of a public address is what is metered.
metering() {
	local before
	before="$(metered "$1" "$2" in) $(metered "$1" "$2" out)"
	lab_count_address "$3"
	get "$5" "$4" || return 1
	lab_until 10 'the counts agree' metering_agrees "$1" "$2" "$before" || {
		echo "server $(lab_client_frames request) $(lab_client_frames reply)"
		echo "metered $(metered "$1" "$2" in) $(metered "$1" "$2" out), before $before"
		return 1
	}
	tap_within 'bytes of the download' "$(lab_client_frames request | cut -d' ' -f2)" 2000000 3000000
}

metering_agrees() {
	local before in out
	read -ra before <<<"$3"
	read -ra in <<<"$(metered "$1" "$2" in)"
	read -ra out <<<"$(metered "$1" "$2" out)"
	[ "$(lab_client_frames request)" = "$((in[0] - before[0])) $((in[1] - before[1]))" ] &&
		[ "$(lab_client_frames reply)" = "$((out[0] - before[2])) $((out[1] - before[3]))" ]
}

no_bad_packets() {
	local name
	for name in drop_short drop_bad_ip drop_bad_l3_csum drop_bad_l4 drop_no_memory drop_icmp_bad drop_no_public_port; do
		tap_eq "$name" "$(lab_counter $name)" 0 || return 1
	done
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/outbound-$kind
"lab_$kind"
lab_servers
lab_nginx outside client 80 '[::]:80'
lab_start echo client tests/lab/echo.py serve 4001
lab_start ports client python3 -c '
import select, socket
socks = []
for port in (4002, 4003, 4004):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("198.18.1.10", port))
    socks.append(s)
while True:
    for s in select.select(socks, [], [])[0]:
        data, source = s.recvfrom(100)
        s.sendto(("%s %u" % source).encode(), source)'
config | lab_config
lab_agent
set +e

tap_plan 25
tap 'SNAT download, IPv4' get b2 198.18.1.10
tap 'SNAT download, IPv6' get b2 '[fd00:1::10]'
tap 'EIP download, IPv4' get b1 198.18.1.10
tap 'EIP download, IPv6' get b1 '[fd00:1::10]'
tap 'the server sees the address of SNAT, IPv4' seen_as b2 198.18.1.10 198.18.1.150
tap 'the server sees the address of SNAT, IPv6' seen_as b3 '[fd00:1::10]' fd00:1::150
tap 'the server sees the public address of the EIP, IPv4' seen_as b1 198.18.1.10 198.18.1.160
tap 'the server sees the public address of the EIP, IPv6' seen_as b1 '[fd00:1::10]' fd00:1::160
tap 'the EIP is reached from outside, IPv4' says client 198.18.1.160 b1
tap 'the EIP is reached from outside, IPv6' says client '[fd00:1::160]' b1
tap 'an inside host behind SNAT calls an EIP' says b2 198.18.1.160 b1
tap 'an inside host calls its own EIP' says b1 198.18.1.160 b1
tap 'an inside host calls a listener' says b2 198.18.1.100 b3
tap "both directions of a SNAT download belong to the $owner" owners b2 198.18.1.10 nat
tap "both directions of an EIP download over IPv6 belong to the $owner" owners b1 '[fd00:1::10]' b1-6
tap 'UDP through SNAT' udp b2 198.18.1.10
tap 'UDP through EIP, IPv6' udp b1 fd00:1::10
tap 'a UDP socket has one public port' udp_port_kept
tap 'ping through SNAT and EIP' pings b1:198.18.1.10 b1:fd00:1::10 b2:198.18.1.10 b2:fd00:1::10
tap 'ping of an EIP from outside, and of the node from inside' pings client:198.18.1.160 client:fd00:1::160 b2:198.18.2.2
tap 'a stranger at the address of SNAT is dropped and counted' stranger
tap 'SNAT is metered as the server counts, to the byte' metering nat internet 198.18.1.150 198.18.1.10 b2
tap 'an EIP is metered as the server counts, to the byte' metering b1-4 internet 198.18.1.160 198.18.1.10 b1
tap 'an internal remote is metered as such' metering nat internal fd00:1::150 '[fd00:1::10]' b2
tap 'no packet of all this was malformed' no_bad_packets
tap_end
