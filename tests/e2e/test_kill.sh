#!/bin/bash
# SIGKILL of the agent at random moments under load. Flows that the card carries go on; the agent that follows finds card
# and session table in agreement, whatever moment it was.
# Time limit: 500 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/tap.sh

rounds=${ROUNDS:-8} flows=40
RANDOM=${SEED:-$$}
seed=$RANDOM
RANDOM=$seed

config() {
	echo 'groups:'
	lab_group web 4 80 maglev
	lab_group echo 4 0 rr
	echo 'listeners:'
	echo '  - {name: web, address: 198.18.1.100, protocol: tcp, ports: 80, mode: fullnat, group: web}'
	echo '  - {name: nat, address: 198.18.1.101, protocol: tcp, ports: 80, mode: nat, group: web}'
	echo '  - {name: echo, address: 198.18.1.100, protocol: tcp, ports: 4001, mode: fullnat, group: echo}'
}

# Identity of every long-lived session: what must never change.
identities() {
	LAB_CTL sessions --json | jq -r '.sessions[] | select(.vip.port == 4001 and .state == "ESTABLISHED") |
		"\(.client) \(.local) \(.server)"' | sort
}

# No two sessions share a tuple on either side.
unique_tuples() {
	LAB_CTL sessions --json >"$LAB/sessions.json" || return 1
	jq -e '.sessions | . as $all |
		([.[] | [.protocol, .client, .vip]] | unique | length) == ($all | length) and
		([.[] | [.protocol, .local // .client, .server]] | unique | length) == ($all | length)' \
		"$LAB/sessions.json"
}

# The card holds exactly the rules that the sessions say it does.
card_agrees() {
	local rules directions
	LAB_CTL sessions --json >"$LAB/sessions.json" || return 1
	rules=$(LAB_CTL ports --json | jq '.ports[0].xstats.table_flows')
	tap_eq 'rules that the agent knows' "$(LAB_CTL card --json | jq .rules)" "$rules" || return 1
	directions=$(jq '[.sessions[] | .request.owner, .reply.owner | select(. == "card")] | length' "$LAB/sessions.json")
	tap_eq 'rules on the card, beside directions that sessions give to the card' "$rules" "$directions"
}

churn() {
	while :; do
		lab_in client wrk -t 1 -c 8 -d 2 --timeout 20 -H 'Connection: close' http://198.18.1.100/
		lab_in client wrk -t 1 -c 4 -d 1 --timeout 20 http://198.18.1.101/
	done
}

kill_rounds() {
	local round pause
	for round in $(seq "$rounds"); do
		pause=$((RANDOM % 2000))
		sleep "$((pause / 1000)).$(printf %03d $((pause % 1000)))"
		lab_kill agent
		# Sometimes the card is alone for a while.
		((RANDOM % 3)) || sleep 1
		lab_agent || return 1
		identities >"$LAB/now"
		diff "$LAB/identities" "$LAB/now" || {
			echo "round $round: other sessions after the kill (seed $seed)"
			return 1
		}
		unique_tuples || {
			echo "round $round: two sessions share a tuple (seed $seed)"
			return 1
		}
	done
}


set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/kill
lab_card
lab_servers 4001
config | lab_config
lab_agent
lab_start steady client tests/lab/echo.py steady 198.18.1.100 4001 $flows 600
lab_until 10 "$flows sessions" eval '[ "$(identities | wc -l)" = $flows ]'
identities >"$LAB/identities"
set +e

tap_plan 5
churn >"$LAB/log/churn.log" 2>&1 &
LAB_PIDS[churn]=$!
tap "after each of $rounds kills the long-lived sessions are the same, and no tuple is there twice" kill_rounds
lab_kill churn
tap 'the clients in the storm saw no reset connection' eval '! grep -E "read [1-9]|write [1-9]|Non-2xx" "$LAB/log/churn.log"'
lab_signal steady TERM
tap 'every byte of the long-lived connections came back right' lab_finish steady 60
cat "$LAB/log/steady.log" | sed 's/^/# /'
tap 'a new connection is served' lab_in client curl -sS -f --max-time 5 http://198.18.1.100/
tap 'card and session table agree' lab_until 90 'agreement' card_agrees
card_agrees | sed 's/^/# /'
tap_end
