# Inside hosts of a cluster that talk to a server outside through SNAT and EIP: for the tests and the demonstration. To be
# sourced after lab.sh, cluster.sh, stamp.sh and traffic.sh.
# shellcheck shell=bash
#
# b1 has the EIPs 198.18.20.20 and fd00:20::20, of n1's home prefixes; b2 and b3 share SNAT, an address of each node and
# family. The server outside is the client's namespace.

LAB_DOWNLOADS=() # of start_downloads: names of processes

# lab_outbound_services: the services in YAML; everything may go to the card.
lab_outbound_services() {
	local n list4='' list6=''
	for n in $(seq "$LAB_NODES"); do
		list4+=", $(lab_public4 "$n" 10)"
		list6+=", \"$(lab_public6 "$n" 10)\""
	done
	cat <<-END
		snat:
		  - {name: nat4, sources: [198.18.4.0/24], addresses: [${list4#, }]}
		  - {name: nat6, sources: ["fd00:4::/64"], addresses: [${list6#, }]}
		eip:
		  - {name: b1-4, public: $(lab_public4 1 20), private: 198.18.4.11}
		  - {name: b1-6, public: "$(lab_public6 1 20)", private: "fd00:4::11"}
	END
}

# The server outside: stamp on 4001, nginx on 80. It lies behind the nodes, and never beside them.
lab_outbound_servers() {
	local family prefix
	for family in -4 -6; do
		prefix=198.18.3.0/24
		[ $family = -4 ] || prefix=fd00:3::/64
		ip -n "$LAB_ID-router" $family rule add iif inside to $prefix lookup 100
		ip -n "$LAB_ID-router" $family route add unreachable default metric 4096 table 100
	done
	mkdir -p "$LAB/www"
	head -c 6000000 /dev/urandom >"$LAB/www/slow"
	lab_stamp_serve client 9 4001
	lab_nginx outside client 80 '[::]:80'
}

# gateways COUNT: next hops of the inside's default route, IPv4 and IPv6.
gateways() {
	local family
	for family in -4 -6; do
		[ "$(ip -n "$LAB_ID-router" $family -j route show table 100 | jq '
			[.[] | select(.type != "unreachable") | .nexthops // [.] | length] | add // 0')" = "$1" ] || return 1
	done
}

both_ways() {
	next_hops "$1" && gateways "$1"
}

# Stamped connections of every inside host to the server outside: 70 and 14 flows of UDP, half of them IPv6.
start_outbound() {
	local b count
	for b in 1 2 3; do
		count=10
		[ $b != 1 ] || count=15
		lab_stamp "b$b" "b$b" --tcp "198.18.3.10,4001,$count" --tcp "fd00:3::10,4001,$count" \
			--udp "198.18.3.10,4001,$((count / 5))" --udp "fd00:3::10,4001,$((count / 5))" \
			--interval 200 --rate 1000 --ramp 2000
		LAB_STREAMS+=("b$b")
	done
}

# Four downloads of each inside host, 30 s long: one request, and then nothing but acknowledgements.
start_downloads() {
	local b i server
	for b in 1 2 3; do
		for i in 1 2 3 4; do
			server=198.18.3.10
			[ "$i" -le 2 ] || server='[fd00:3::10]'
			lab_start "get-b$b-$i" "b$b" curl -sS -f --max-time 90 -o "$LAB/get-b$b-$i" "http://$server/slow"
			LAB_DOWNLOADS+=("get-b$b-$i")
		done
	done
}

# Every node knows all of them: what nobody has told yet ends with the node that carries it.
downloads_are_known() {
	local n
	for n in $(seq "$LAB_NODES"); do
		[ "$(lab_ctl "n$n" sessions --limit 1000000 --json |
			jq '[.sessions[] | select(.server.port == 80 and .state == "ESTABLISHED")] | length')" = \
			"${#LAB_DOWNLOADS[@]}" ] || return 1
	done
}

# end_downloads SECONDS: all of them end within that time, with the right content.
end_downloads() {
	local name status=0
	for name in "${LAB_DOWNLOADS[@]}"; do
		lab_finish "$name" "$1" || {
			echo "$name: status $?"
			cat "$LAB/log/$name.log"
			status=1
		}
		cmp "$LAB/$name" "$LAB/www/slow" || status=1
	done
	return $status
}

# From inside and towards the EIP, through nodes that live.
new_connections() {
	local b i
	for b in 1 2 3; do
		for i in 1 2 3 4 5 6; do
			lab_in "b$b" curl -sS -f --max-time 5 -o /dev/null http://198.18.3.10/ || return 1
			lab_in "b$b" curl -sS -f --max-time 5 -o /dev/null 'http://[fd00:3::10]/' || return 1
		done
	done
	lab_in b1 ping -c 3 -i 0.2 -W 2 198.18.3.10 && lab_in client ping -c 3 -i 0.2 -W 2 "$(lab_public4 1 20)"
}
