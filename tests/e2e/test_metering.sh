#!/bin/bash
# What is metered equals what the client counts, to the byte: card and software, sessions that end, are taken back, and
# outlive an agent that is killed; and without the session file at most one second is missing.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

config() {
	echo 'groups:'
	lab_group web 4 80 maglev
	lab_group echo 4 0 rr
	echo 'listeners:'
	echo '  - {name: web, address: 198.18.1.100, protocol: tcp, ports: 80, group: web}'
	echo '  - {name: echo, address: 198.18.1.100, protocol: tcp, ports: 4001, group: echo}'
	echo '  - {name: soft, address: 198.18.1.101, protocol: tcp, ports: 4001, group: echo, offload: {enabled: false}}'
	echo "metering: {internal: [$1]}"
}

# metered NAME SCOPE: "packets bytes packets bytes", in and out.
metered() {
	LAB_CTL metering --json | jq -r --arg name "$1" --arg scope "$2" '
		.metering[] | select(.name == $name) | .[$scope] | "\(.in.packets) \(.in.bytes) \(.out.packets) \(.out.bytes)"'
}

client() {
	echo "$(lab_client_frames request) $(lab_client_frames reply)"
}

# agrees NAME SCOPE BEFORE: since BEFORE so much was metered as the client has counted.
agrees() {
	local before now
	read -ra before <<<"$3"
	read -ra now <<<"$(metered "$1" "$2")"
	[ "$(client)" = "$((now[0] - before[0])) $((now[1] - before[1])) $((now[2] - before[2])) $((now[3] - before[3]))" ]
}

# exactly NAME SCOPE ADDRESS PORT COMMAND...: what the command's traffic adds is what the client counts.
exactly() {
	local name=$1 scope=$2 before
	before=$(metered "$name" "$scope")
	lab_count_client "$3" "$4"
	shift 4
	"$@" || return 1
	lab_until 10 'the counts agree' agrees "$name" "$scope" "$before" || {
		echo "client $(client); metered $(metered "$name" "$scope"), before $before"
		return 1
	}
}

short() {
	lab_in client tests/lab/echo.py short "$1" 4001 "$2"
}

# Downloads, some given up in the middle.
downloads() {
	local i
	for i in 1 2 3; do
		lab_get http://198.18.1.100/2m 2m || return 1
		lab_in client curl -s --max-time 1 -o /dev/null http://198.18.1.100/slow
	done
	true
}

# Long-lived connections while the agent is killed; the card goes on with them.
through_a_kill() {
	lab_start steady client tests/lab/echo.py steady 198.18.1.100 4001 8 12 5
	lab_until 10 'the card has them' on_card 8 || return 1
	sleep 2
	lab_kill agent
	sleep 3
	lab_agent || return 1
	lab_finish steady 20
}

on_card() {
	LAB_CTL sessions --json --listener echo | jq -e --argjson n "$1" '
		[.sessions[] | select(.state == "ESTABLISHED" and .request.owner == "card" and .reply.owner == "card")] | length >= $n'
}

# The out bytes of "echo", a second before the agent is killed and the session file lost, and afterwards.
without_session_file() {
	local before at_kill after counted
	before=$(metered echo internal)
	lab_count_client 198.18.1.100 4001
	lab_start steady client tests/lab/echo.py steady 198.18.1.100 4001 4 8 5
	lab_until 10 'the card has them' on_card 4 || return 1
	sleep 3
	at_kill=$(lab_client_frames reply | cut -d' ' -f2)
	sleep 1.2
	counted=$(lab_client_frames reply | cut -d' ' -f2)
	lab_kill agent
	lab_kill steady
	rm -f "$LAB_STATE/sessions"
	lab_agent || return 1
	after=$(($(metered echo internal | cut -d' ' -f4) - $(cut -d' ' -f4 <<<"$before")))
	echo "out bytes: client a good second before the kill $at_kill, at the kill $counted, metered afterwards $after"
	tap_within 'bytes kept' "$after" "$at_kill" "$counted"
}

# Nothing that was metered is less now.
monotonic() {
	local -a now was
	local i
	read -ra was <<<"$1"
	read -ra now <<<"$2"
	for i in 0 1 2 3; do
		[ "${now[$i]}" -ge "${was[$i]}" ] || {
			echo "was $1, is $2"
			return 1
		}
	done
}

removed_stays() {
	local before
	before=$(metered soft internet)
	{ config 198.19.0.0/16 | grep -v 'name: soft'; } | lab_config
	LAB_CTL apply "$LAB/sluiced.yaml" || return 1
	tap_eq 'what was metered of it' "$(metered soft internet)" "$before" || return 1
	LAB_CTL metering --json | jq -e '.metering[] | select(.name == "soft") | .removed' && LAB_CTL metering | grep removed
}

internal_from_now() {
	config 198.18.1.0/24 | lab_config
	LAB_CTL apply "$LAB/sluiced.yaml"
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/metering
lab_card
lab_servers 4001
config 198.19.0.0/16 | lab_config
lab_agent
set +e

tap_plan 9
tap '3,000 short connections, card and software' exactly echo internet 198.18.1.100 4001 short 198.18.1.100 3000
tap '3,000 short connections, software alone' exactly soft internet 198.18.1.101 4001 short 198.18.1.101 3000
tap 'downloads, some given up' exactly web internet 198.18.1.100 80 downloads
tap 'connections that outlive a killed agent' exactly echo internet 198.18.1.100 4001 through_a_kill
earlier=$(metered echo internet)
tap 'a removed listener keeps what was metered' removed_stays
tap 'a client becomes internal' internal_from_now
tap 'short connections of an internal client' exactly echo internal 198.18.1.100 4001 short 198.18.1.100 500
tap 'without the session file at most a second is missing' without_session_file
tap 'nothing ever falls' monotonic "$earlier" "$(metered echo internet)"
tap_end
