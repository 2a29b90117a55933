# Traffic of every kind through the balancer, checked byte by byte. Sourced by test_forward_card.sh and
# test_forward_plain.sh, which say what carries it: $1 is card or plain.
# shellcheck shell=bash
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

kind=$1
[ "$kind" = card ] && owner=card || owner=software

config() {
	echo 'groups:'
	lab_group web4 4 80 maglev '{type: http, path: /, port: 80, status: 200, interval_ms: 500, timeout_ms: 300, rise: 1, fall: 3}'
	lab_group web6 6 80 wrr '{type: tcp, interval_ms: 500, timeout_ms: 300, rise: 1, fall: 3}'
	lab_group echo4 4 0 rr
	lab_group echo6 6 0 wlc
	# One backend: the control connection and those with the data must meet at one server.
	echo '  - {name: iperf, scheduler: rr, backends: [{name: b1, address: 198.18.2.11, port: 5201, weight: 1}]}'
	echo 'listeners:'
	local f address mode nat
	for f in 4 6; do
		for mode in fullnat nat; do
			[ $mode = fullnat ] && nat=0 || nat=1
			[ $f = 4 ] && address=198.18.1.10$nat || address=fd00:1::10$nat
			echo "  - {name: web$f-$mode, address: \"$address\", protocol: tcp, ports: 80, mode: $mode, group: web$f}"
			echo "  - {name: udp$f-$mode, address: \"$address\", protocol: udp, ports: 4001, mode: $mode, group: echo$f}"
			echo "  - {name: range$f-$mode, address: \"$address\", protocol: tcp, ports: \"4000-4100\", mode: $mode, group: echo$f}"
		done
	done
	echo '  - {name: iperf, address: 198.18.1.100, protocol: tcp, ports: 5201, mode: fullnat, group: iperf}'
}

echo_client() {
	lab_in client tests/lab/echo.py "$@"
}

range() {
	local port
	for port in 4000 4001 4077 4100; do
		echo_client short "$1" $port 20 || return 1
	done
}

outside_range() {
	local before after
	before=$(lab_counter drop_no_listener)
	! lab_in client curl -sS --max-time 2 http://198.18.1.100:4101/ || return 1
	after=$(lab_counter drop_no_listener)
	tap_within 'frames dropped without a listener' $((after - before)) 1 100
}

wrk_clean() {
	lab_in client wrk -t 1 -c 16 -d 3 --timeout 10 "$@" http://198.18.1.100/ >"$LAB/wrk" || return 1
	cat "$LAB/wrk"
	! grep -E 'Socket errors|Non-2xx' "$LAB/wrk" || return 1
	tap_within 'requests' "$(awk '/requests in/ { print $1 }' "$LAB/wrk")" 100 100000000
}

iperf() {
	lab_in client timeout 20 iperf3 -c 198.18.1.100 -p 5201 -t 2 --connect-timeout 3000 -J "$@" >"$LAB/iperf" || return 1
	tap_within 'bit/s' "$(jq '.end.sum_received.bits_per_second | floor' "$LAB/iperf")" 1000000 1000000000000
}

# The sessions of a download in progress name who forwards them.
owners() {
	local status=0
	lab_start download client curl -sS -f --max-time 60 -o "$LAB/slow" "http://$1/slow"
	lab_until 10 "owner of both directions is $owner" owned_by "$owner" "$2" || status=1
	LAB_CTL sessions --json
	lab_stop download || true
	return $status
}

owned_by() {
	LAB_CTL sessions --json | jq -e --arg owner "$1" --arg vip "$2" '
		[.sessions[] | select(.vip.address == $vip and .vip.port == 80 and .state == "ESTABLISHED")] |
		length >= 1 and all(.request.owner == $owner and .reply.owner == $owner)'
}

listener_total() {
	LAB_CTL listeners --json | jq -r --arg name "$1" --arg way "$2" '
		.listeners[] | select(.name == $name) | "\(.[$way + "_packets"]) \(.[$way + "_bytes"])"'
}

# What the balancer counts for a listener is what its client counts, card and software added.
short_connections() {
	local way before count=10000
	lab_count_client 198.18.1.100 4050
	before=$(for way in request reply; do listener_total range4-fullnat $way; done)
	echo_client short 198.18.1.100 4050 $count || return 1
	lab_until 15 'the counters agree' counters_agree "$before" || {
		for way in request reply; do
			echo "$way: client $(lab_client_frames $way); balancer $(listener_total range4-fullnat $way); before: $before"
		done
		return 1
	}
	tap_within 'packets that the client sent' "$(lab_client_frames request | cut -d' ' -f1)" $((4 * count)) $((20 * count))
}

counters_agree() {
	local way packets bytes packets0 bytes0 lines
	mapfile -t lines <<<"$1"
	for way in request reply; do
		read -r packets bytes < <(listener_total range4-fullnat $way)
		[ $way = request ] && read -r packets0 bytes0 <<<"${lines[0]}" || read -r packets0 bytes0 <<<"${lines[1]}"
		[ "$(lab_client_frames $way)" = "$((packets - packets0)) $((bytes - bytes0))" ] || return 1
	done
}

no_bad_packets() {
	local name
	for name in drop_short drop_bad_ip drop_bad_l3_csum drop_bad_l4 drop_no_memory; do
		tap_eq "$name" "$(lab_counter $name)" 0 || return 1
	done
}

backends_up() {
	LAB_CTL backends --json | jq -e '[.backends[] | select(.group | startswith("web")) | .health == "up"] | length == 6 and all'
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/forward-$kind
"lab_$kind"
lab_servers 4000 4001 4050 4077 4100
lab_start iperf b1 iperf3 -s -p 5201
config | lab_config
lab_agent
set +e

tap_plan 24
tap 'the health checks find every backend' lab_until 10 'backends up' backends_up
tap 'the node answers ping, IPv4' lab_in client ping -c 2 -i 0.2 -W 2 198.18.1.2
tap 'the node answers ping, IPv6' lab_in client ping -c 2 -i 0.2 -W 2 fd00:1::2
tap 'HTTP download, IPv4, FULLNAT' lab_get http://198.18.1.100/2m 2m
tap 'HTTP download, IPv6, FULLNAT' lab_get 'http://[fd00:1::100]/2m' 2m
tap 'HTTP download, IPv4, NAT' lab_get http://198.18.1.101/2m 2m
tap 'HTTP download, IPv6, NAT' lab_get 'http://[fd00:1::101]/2m' 2m
tap 'UDP echo, IPv4, FULLNAT' echo_client udp 198.18.1.100 4001 200
tap 'UDP echo, IPv6, FULLNAT' echo_client udp fd00:1::100 4001 200
tap 'UDP echo, IPv4, NAT' echo_client udp 198.18.1.101 4001 200
tap 'UDP echo, IPv6, NAT' echo_client udp fd00:1::101 4001 200
tap 'a range of ports, IPv4, FULLNAT' range 198.18.1.100
tap 'a range of ports, IPv6, FULLNAT' range fd00:1::100
tap 'a range of ports, IPv4, NAT' range 198.18.1.101
tap 'a range of ports, IPv6, NAT' range fd00:1::101
tap 'a port outside the range is dropped and counted' outside_range
tap 'wrk with kept connections sees no error' wrk_clean
tap 'wrk with a connection a request sees no error' wrk_clean -H 'Connection: close'
tap 'iperf3 to the backend' iperf
tap 'iperf3 from the backend' iperf -R
tap "both directions of a download belong to the $owner, IPv4" owners 198.18.1.100 198.18.1.100
tap "both directions of a download belong to the $owner, IPv6" owners '[fd00:1::100]' fd00:1::100
tap 'over 10,000 short connections the counters equal those of the client, to the byte' short_connections
tap 'no packet of all this was malformed' no_bad_packets
tap_end
