# Backends learn who calls, though they see a local address: TOA and PROXY headers. Sourced by test_client_address_card.sh
# and test_client_address_plain.sh, which say what carries the traffic: $1 is card or plain.
# shellcheck shell=bash
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

kind=$1
[ "$kind" = card ] && owner=card || owner=software

config() {
	echo 'groups:'
	local f address
	for f in 4 6; do
		lab_group "web$f" $f 81
		lab_group "toa$f" $f 82
		lab_group "udp$f" $f 83
	done
	echo 'listeners:'
	for f in 4 6; do
		[ $f = 4 ] && address=198.18.1.100 || address=fd00:1::100
		echo "  - {name: web$f, address: \"$address\", protocol: tcp, ports: 80, group: web$f, client_address: proxy_v2}"
		echo "  - {name: toa$f, address: \"$address\", protocol: tcp, ports: 82, group: toa$f, client_address: toa}"
		echo "  - {name: bare$f, address: \"$address\", protocol: tcp, ports: 84, group: toa$f}"
		echo "  - {name: udp$f, address: \"$address\", protocol: udp, ports: 83, group: udp$f, client_address: proxy_v2}"
	done
}

caller() {
	lab_in client tests/lab/caller.py "$@"
}

counts_at_least() {
	tap_within "$1" "$(lab_counter "$1")" "$2" 1000000
}

toa() {
	caller tcp "$1" 82 50 && counts_at_least toa_written "$2" && tap_eq toa_no_room "$(lab_counter toa_no_room)" 0
}

# Without client_address the server sees none, so the client's answers must be wrong.
bare() {
	! caller tcp "$1" 84 3
}

web_caller() {
	local port
	for port in "$3"{1,2,3}; do
		tap_eq 'who nginx says calls' "$(lab_in client curl -sS -f --max-time 20 --local-port $port "http://$1/caller")" "$2 $port" ||
			return 1
	done
}

# What both sides then send is not touched any more, so the card may have it.
owned() {
	local status=0
	lab_start download client curl -sS -f --max-time 60 -o "$LAB/slow" "http://$1/slow"
	lab_until 10 "owner of both directions is $owner" owned_by "$2" || status=1
	LAB_CTL sessions --json
	lab_stop download || true
	return $status
}

owned_by() {
	LAB_CTL sessions --json | jq -e --arg owner "$owner" --arg vip "$1" '
		[.sessions[] | select(.vip.address == $vip and .vip.port == 80 and .state == "ESTABLISHED")] |
		length >= 1 and all(.request.owner == $owner and .reply.owner == $owner)'
}

# An eighth of the packets to and from the backends' servers is lost, headers and SYNs among them.
lose() {
	local b
	for b in 1 2 3; do
		lab_in "b$b" nft -f - <<-END
			table inet loss {
				chain in { type filter hook input priority 0; tcp dport { 81, 82 } numgen random mod 8 0 drop; }
				chain out { type filter hook output priority 0; tcp sport { 81, 82 } numgen random mod 8 0 drop; }
			}
		END
	done
}

keep() {
	local b
	for b in 1 2 3; do
		lab_in "b$b" nft delete table inet loss
	done
}

# Under loss: everybody gets an answer in time, and it is the right one.
lossy() {
	local before status=0
	before=$(lab_counter proxy_headers)
	lose
	caller tcp 198.18.1.100 82 40 && caller kept "$1" 80 60 1 || status=1
	keep
	tap_within 'headers, repeated ones too' $(($(lab_counter proxy_headers) - before)) 61 10000 || status=1
	return $status
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/client-address-$kind
"lab_$kind"
lab_servers
for b in 1 2 3; do
	lab_nginx "proxy$b" "b$b" '81 proxy_protocol' '[::]:81 proxy_protocol'
	lab_start "caller$b" "b$b" tests/lab/caller.py serve 82 83
	lab_until 10 "nginx and servers of b$b" lab_in "b$b" sh -c \
		'ss -tlnH sport = 81 | grep -q . && ss -tlnH sport = 82 | grep -q . && ss -ulnH sport = 83 | grep -q .'
done
config | lab_config
lab_agent
set +e

tap_plan 13
tap 'TOA in the SYN names 50 callers, IPv4' toa 198.18.1.100 50
tap 'TOA in the SYN names 50 callers, IPv6' toa fd00:1::100 100
tap 'without client_address no SYN tells anything' bare 198.18.1.100
tap 'nginx reads the caller from the PROXY header, IPv4' web_caller 198.18.1.100 198.18.1.10 2810
tap 'nginx reads the caller from the PROXY header, IPv6' web_caller '[fd00:1::100]' fd00:1::10 2820
tap 'a download behind a PROXY header is right, IPv4' lab_get http://198.18.1.100/2m 2m
tap 'a download behind a PROXY header is right, IPv6' lab_get 'http://[fd00:1::100]/2m' 2m
tap "both directions of it belong to the $owner, IPv4" owned 198.18.1.100 198.18.1.100
tap "both directions of it belong to the $owner, IPv6" owned '[fd00:1::100]' fd00:1::100
tap 'the first datagram of 20 flows names its caller, the second has no header, IPv4' caller udp 198.18.1.100 83 20
tap 'the first datagram of 20 flows names its caller, the second has no header, IPv6' caller udp fd00:1::100 83 20
tap 'with an eighth of the packets lost every caller is named and answered, IPv4' lossy 198.18.1.100
tap 'with an eighth of the packets lost every caller is named and answered, IPv6' lossy fd00:1::100
tap_end
