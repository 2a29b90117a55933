#!/bin/bash
# Sluice and the real Linux IPVS as active and standby of one service in NAT mode: each has the other's sessions, and goes on
# with its established connections when it becomes the active one.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/uml.sh
. tests/lab/director.sh
. tests/lab/tap.sh

flows=6 pause_ms=100 nat=4001 fullnat=4002 dr=4003 udp=4004 brief=4005

services() {
	echo "nat tcp $nat nat"
	echo "brief tcp $brief nat"
	echo "udp udp $udp nat"
	echo "fullnat tcp $fullnat fullnat"
}

# steady NAME PORT: connections over IPv4 and as many over IPv6 that carry data all the time.
steady() {
	lab_start "$1-four" client tests/lab/echo.py steady $LAB_VIP4 "$2" $flows 600 $pause_ms
	lab_start "$1-six" client tests/lab/echo.py steady $LAB_VIP6 "$2" $flows 600 $pause_ms
}

# steady_end NAME: they end in order, and every byte that came back was right.
steady_end() {
	local family
	for family in four six; do
		lab_signal "$1-$family" TERM
	done
	for family in four six; do
		lab_finish "$1-$family" 40 || {
			cat "$LAB/log/$1-$family.log"
			return 1
		}
		cat "$LAB/log/$1-$family.log"
	done
}

# to_port PORT: of the sessions on standard input.
to_port() {
	grep -E " [^ ]+:$1 [^ ]+( [0-9]+)?\$"
}

established() {
	[ "$("lab_$1_sessions" | to_port "$2" | grep -c '^TCP ESTABLISHED ')" = $((2 * flows)) ]
}

# Sluice has forwarded so much of each connection to a port that it has told the cluster of it.
told() {
	established sluice "$1" && LAB_CTL sessions --json |
		jq -e --argjson port "$1" '[.sessions[] | select(.vip.port == $port) | .request.packets] | min >= 10'
}

# The director has none of the connections to a port, which Sluice has told.
hidden() {
	lab_until 40 'the connections' told "$1" && sleep 0.5 && ! lab_director_sessions | to_port "$1"
}

# Both have the same established sessions of a port.
same_sessions() {
	diff <(lab_sluice_sessions | to_port "$1" | grep ESTABLISHED) <(lab_director_sessions | to_port "$1" | grep ESTABLISHED)
}

# Some connections through the active one, which end: the other, in its turn, has them in the same states.
brief_connections() {
	steady brief $brief
	lab_until 40 'the connections' established sluice $brief && lab_until 40 'the same' established director $brief || return 1
	steady_end brief && lab_until 30 'both to know of the end' same_ends && return
	cat "$LAB/ends" "$LAB/only_sluice"
	return 1
}

# The director may still have others, of before the agent's start.
same_ends() {
	lab_sluice_sessions | to_port $brief >"$LAB/ends"
	comm -23 "$LAB/ends" <(lab_director_sessions) >"$LAB/only_sluice"
	[ ! -s "$LAB/only_sluice" ] && [ "$(grep -c '^TCP TIME_WAIT ' "$LAB/ends")" = $((2 * flows)) ]
}

# The agent starts without what it knew before.
start_anew() {
	lab_stop agent || true
	rm -rf "${LAB_STATE:?}"/*
	services | LAB_EXTENSIONS=$1 lab_director_config >"$LAB/sluiced.yaml"
	lab_agent
}

# expires_within SLUICE|DIRECTOR PORT LOW HIGH: seconds that each has left.
expires_within() {
	local session number=0
	while read -r session; do
		tap_within "the seconds of $session" "${session##* }" "$3" "$4" || return 1
		number=$((number + 1))
	done < <("lab_$1_sessions" expires | to_port "$2")
	[ $number -gt 0 ]
}

counter() {
	LAB_CTL stats --json | jq -r --arg name "$1" '.drops[$name] // .packets[$name]'
}

counter_passes() {
	[ "$(counter "$1")" -gt "$2" ]
}

# Packets of clients that the director has forwarded.
director_packets() {
	lab_uml director ipvsadm -Ln --stats --exact >"$LAB/stats" || return 1
	awk -v port=":$nat\$" '/^TCP/ && $2 ~ port { sum += $4 } END { print sum + 0 }' "$LAB/stats"
}

director_passes() {
	[ "$(director_packets)" -gt "$1" ]
}

director_forwards() {
	local before
	before=$(director_packets) && lab_until 30 'packets of the connections' director_passes $((before + 20 * flows)) && return
	cat "$LAB/stats"
	return 1
}

# The agent is gone at once; the director has the routes.
switch_to_director() {
	lab_kill agent
	lab_active director
	director_forwards
}

switch_to_sluice() {
	lab_active sluice
	lab_uml director 'ip link set vec0 down; ip link set vec1 down'
}

udp_exchange() {
	lab_in client tests/lab/echo.py udp "$1" $udp 10
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/ipvs_switch
lab_director
for service in "-t $nat -m" "-t $brief -m" "-t $fullnat -m" "-t $dr -g" "-u $udp -m"; do
	# shellcheck disable=SC2086 # three words
	lab_director_service $service
done
lab_uml director 'ipvsadm --start-daemon backup --mcast-interface vec2 --syncid 7'
services | lab_director_config >"$LAB/sluiced.yaml"
lab_start echo backend tests/lab/echo.py serve $nat $fullnat $dr $udp $brief
lab_until 30 'the backend' lab_in backend tests/lab/echo.py udp 127.0.0.1 $udp 1
lab_active sluice
lab_agent
set +e

tap_plan 21
steady first $nat
steady hidden $fullnat
tap 'connections through Sluice are established' lab_until 40 'the connections' established sluice $nat
tap 'the director has them all' lab_until 40 'the sessions' established director $nat
tap 'with the same tuples and states' same_sessions $nat
tap 'and the time-out of an established connection' expires_within director $nat 800 900
udp_exchange $LAB_VIP4
udp_exchange $LAB_VIP6
tap 'the director learns of the end of connections' brief_connections
tap 'and shows the time-out of what is left' expires_within director $brief 60 120
tap 'it has the sessions of UDP' lab_until 30 'two sessions' eval '[ "$(lab_director_sessions | to_port $udp | grep -c "^UDP UDP")" = 2 ]'
tap 'with the time-out of UDP' expires_within director $udp 200 300
tap 'the director never has those of FULLNAT' hidden $fullnat
tap 'when Sluice dies, the director forwards its connections' switch_to_director
lab_kill hidden-four
lab_kill hidden-six
tap 'and no byte of them is wrong or missing' steady_end first
cat "$LAB"/log/first-*.log | sed 's/^/# /'

start_anew true
lab_uml director 'ipvsadm --start-daemon master --mcast-interface vec2 --syncid 7'
steady second $nat
tap 'connections that the director forwards appear in Sluice' lab_until 40 'the sessions' established sluice $nat
tap 'with the same tuples and states' same_sessions $nat
tap 'and the time-out of an established connection' expires_within sluice $nat 800 900
tap 'Sluice learns of the end of connections' brief_connections
tap 'and shows the time-out of what is left' expires_within sluice $brief 60 120
unsupported=$(counter sync_unsupported)
lab_address backend lo $LAB_VIP4/32 $LAB_VIP6/128
steady third $dr
tap 'sessions that the director forwards by DR are counted' lab_until 40 'counted records' counter_passes sync_unsupported "$unsupported"
tap 'and are no sessions of Sluice' eval '! lab_sluice_sessions | to_port $dr'
lab_kill third-four
lab_kill third-six
ip -n "$LAB_ID-backend" address flush dev lo
switch_to_sluice
sleep 2
tap 'when the director is cut off, Sluice forwards its connections, and no byte of them is wrong or missing' steady_end second
cat "$LAB"/log/second-*.log | sed 's/^/# /'

# What only Sluice understands is sent too, now: the kernel must pass over it.
steady fourth $nat
steady hidden $fullnat
tap 'of a Sluice that tells its own kind more, the director has the connections in NAT mode' \
	lab_until 40 'the sessions' established director $nat
tap 'and again none of FULLNAT' hidden $fullnat
tap_end
