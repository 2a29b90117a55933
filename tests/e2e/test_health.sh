#!/bin/bash
# Configuration and health of the backends under traffic: what changes, and what must not.
# Time limit: 200 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

fall=3 interval_ms=400 timeout_ms=200

groups_and_listeners() {
	local type
	echo 'groups:'
	for type in http tcp; do
		lab_group $type 4 80 rr "{type: $type, port: 80, interval_ms: $interval_ms, timeout_ms: $timeout_ms, rise: 2, fall: $fall}"
	done
	lab_group echo 4 0 wrr
	echo 'listeners:'
	echo '  - {name: http, address: 198.18.1.100, protocol: tcp, ports: 80, mode: fullnat, group: http}'
	echo '  - {name: tcp, address: 198.18.1.100, protocol: tcp, ports: 81, mode: fullnat, group: tcp}'
	echo '  - {name: echo, address: 198.18.1.100, protocol: tcp, ports: 4001, mode: fullnat, group: echo}'
}

health_is() {
	LAB_CTL backends --json |
		jq -e --arg g "$1" --arg b "$2" --arg h "$3" '.backends[] | select(.group == $g and .name == $b) | .health == $h'
}

all_up() {
	local group b
	for group in http tcp; do
		for b in b1 b2 b3; do
			health_is $group $b up || return 1
		done
	done
}

# Which backends answer N requests, each once.
who() {
	local _
	for _ in $(seq "$2"); do
		lab_in client curl -sS --max-time 3 "http://198.18.1.100:$1/" || return 1
	done | sort -u | tr '\n' ' '
}

sessions_total() {
	LAB_CTL backends --json | jq --arg g "$1" --arg b "$2" '.backends[] | select(.group == $g and .name == $b) | .sessions_total'
}

# nginx of b1 ends; from then on until the fall time some requests may still meet it, afterwards none may.
stopped_backend() {
	local before deadline_us=$(((fall * interval_ms + timeout_ms) * 1000)) begin port group
	lab_stop b1
	begin=$EPOCHREALTIME
	while (($(lab_us_since "$begin") < deadline_us)); do
		sleep 0.02
	done
	for group in http tcp; do
		[ $group = http ] && port=80 || port=81
		before=$(sessions_total $group b1)
		tap_eq 'who answers' "$(who $port 12)" 'b2 b3 ' || return 1
		tap_eq "new sessions of b1 in $group" "$(sessions_total $group b1)" "$before" || return 1
		health_is $group b1 down || return 1
	done
}

started_backend() {
	lab_nginx b1 b1 80 '[::]:80'
	lab_until 10 'b1 is up again' all_up || return 1
	tap_eq 'who answers' "$(who 80 12)" 'b1 b2 b3 '
}

yaml() {
	cat "$LAB/sluiced.yaml"
}

three_errors() {
	local status=0 generation
	generation=$(LAB_CTL generation --json | jq .generation)
	yaml | sed -e 's/scheduler: wrr/scheduler: lottery/' -e 's/name: tcp, address: 198.18.1.100/name: tcp, address: 198.18.1.300/' \
		-e 's/ports: 4001/ports: 4001, speed: 9/' >"$LAB/bad.yaml"
	LAB_CTL apply "$LAB/bad.yaml" >"$LAB/bad.out" 2>&1 || status=$?
	cat "$LAB/bad.out"
	[ "$status" != 0 ] || return 1
	grep -q lottery "$LAB/bad.out" && grep -q '198.18.1.300' "$LAB/bad.out" && grep -q speed "$LAB/bad.out" || return 1
	tap_eq generation "$(LAB_CTL generation --json | jq .generation)" "$generation" || return 1
	tap_eq 'who answers' "$(who 80 6)" 'b1 b2 b3 '
}

# Client port, local port and backend of every echo session: its identity.
echo_sessions() {
	LAB_CTL sessions --json |
		jq -r '.sessions[] | select(.vip.port == 4001 and .state == "ESTABLISHED") | "\(.client.port) \(.local.port) \(.server)"' | sort
}

changed_weight() {
	local before after
	lab_start steady client tests/lab/echo.py steady 198.18.1.100 4001 30 60
	lab_until 5 '30 sessions' eval '[ "$(echo_sessions | wc -l)" = 30 ]' || return 1
	before=$(echo_sessions)
	yaml | sed '/name: echo$/,/^  - name/s/weight: 10}/weight: 0}/' | sed '0,/address: "198.18.2.13", port: 0, weight: 0/s//address: "198.18.2.13", port: 0, weight: 7/' >"$LAB/weight.yaml"
	LAB_CTL apply "$LAB/weight.yaml" || return 1
	sleep 2
	after=$(echo_sessions)
	tap_eq 'sessions after the change' "$after" "$before" || return 1
	lab_signal steady TERM
	lab_finish steady 60 || {
		cat "$LAB/log/steady.log"
		return 1
	}
	# And the weight does count: a new connection goes to the only backend that has one.
	lab_in client tests/lab/echo.py short 198.18.1.100 4001 9 || return 1
	tap_eq 'new sessions of b1' "$(sessions_total echo b1)" 10 || return 1
	tap_eq 'new sessions of b3' "$(sessions_total echo b3)" 19
}

unchanged_restart() {
	yaml | sed 's/workers: 1/workers: 2/' >"$LAB/static.yaml"
	! LAB_CTL apply "$LAB/static.yaml" >"$LAB/static.out" 2>&1 || return 1
	cat "$LAB/static.out"
	grep -q workers "$LAB/static.out"
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/health
lab_card
lab_servers 4001
groups_and_listeners | lab_config
lab_agent
set +e

tap_plan 7
tap 'HTTP and TCP checks find all backends' lab_until 10 'all up' all_up
tap 'round robin uses every backend' eval '[ "$(who 80 12)" = "b1 b2 b3 " ]'
tap 'a stopped backend gets no new session after its fall time' stopped_backend
tap 'a backend that is back serves again' started_backend
tap 'a configuration with three errors is refused whole, all three named' three_errors
tap 'a changed weight touches no established session' changed_weight
tap 'a setting that needs a restart is refused by name' unchanged_restart
tap_end
