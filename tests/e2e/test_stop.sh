#!/bin/bash
# Ends and beginnings: SIGTERM, bad starts, a peer that talks nonsense, a card that dies.
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
	echo '  - {name: web, address: 198.18.1.100, protocol: tcp, ports: 80, mode: fullnat, group: web}'
	echo '  - {name: echo, address: 198.18.1.100, protocol: tcp, ports: 4001, mode: fullnat, group: echo}'
}

# The program must end by itself, with an error that has the given words.
refused() {
	local words=$1 status=0
	shift
	lab_in lb timeout 20 "$@" >"$LAB/refused" 2>&1 || status=$?
	cat "$LAB/refused"
	[ $status != 0 ] && [ $status != 124 ] && [ $status -lt 128 ] || {
		echo "exit status $status"
		return 1
	}
	grep -qF -- "$words" "$LAB/refused" || {
		echo "the words '$words' are not there"
		return 1
	}
}

nonsense_peer() {
	/usr/bin/python3 - "$LAB/nic.sock" <<-'END' || return 1
		import random, socket, struct, sys
		draw = random.Random(4)
		for number in range(200):
		    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
		        sock.settimeout(2)
		        sock.connect(sys.argv[1])
		        size = draw.choice((0, 3, 15, 16, 17, 64, 4096, 0xFFFFFFFF))
		        head = struct.pack("<HHIII", draw.randrange(65536), draw.choice((1, 2, 3, 5, 9, 13, 700)), size,
		                           draw.randrange(4), draw.randrange(100))
		        try:
		            sock.sendall((head + draw.randbytes(draw.randrange(200)))[: draw.randrange(1, 216)])
		            if draw.randrange(2):
		                sock.shutdown(socket.SHUT_WR)
		                sock.recv(4096)
		        except (TimeoutError, OSError):
		            pass
	END
	lab_alive card
}

graceful() {
	local status=0
	lab_start steady client tests/lab/echo.py steady 198.18.1.100 4001 10 120
	lab_until 10 'the card has the flows' on_card || return 1
	lab_stop agent 5 || status=$?
	tap_eq 'exit status of the agent' $status 0 || return 1
	[ ! -e "$LAB/api.sock" ] || {
		echo 'the API socket is still there'
		return 1
	}
	sleep 3
	lab_agent || return 1
	lab_until 5 'the card has the flows again' on_card || return 1
	lab_signal steady TERM
	lab_finish steady 60 || {
		cat "$LAB/log/steady.log"
		return 1
	}
	tap_within 'longest stall in ms' "$(jq .longest_stall_ms "$LAB/log/steady.log")" 0 1000
}

on_card() {
	LAB_CTL sessions --json | jq -e '
		[.sessions[] | select(.vip.port == 4001 and .state == "ESTABLISHED")] |
		length == 10 and all(.request.owner == "card" and .reply.owner == "card")'
}

card_statistic() {
	LAB_CTL ports --json | jq --arg name "$1" '.ports[0].xstats[$name]'
}

# The rules of sessions that nobody knows any more: here the session table is lost together with the agent.
unclaimed() {
	lab_start lost client tests/lab/echo.py steady 198.18.1.100 4001 10 120
	lab_until 10 'the card has the flows' on_card || return 1
	lab_kill agent
	rm "$LAB_STATE/sessions"
	lab_agent || return 1
	lab_kill lost
	tap_eq 'rules removed from the card' "$(card_statistic table_swept)" 20 || return 1
	tap_eq 'rules in the card' "$(card_statistic table_flows)" 0
}

card_dies() {
	lab_kill card
	sleep 2
	lab_alive agent || return 1
	lab_agent_answers >/dev/null || return 1
	LAB_CTL ports --json
	LAB_CTL ports --json | jq -e '.ports | all(.link == "gone")'
}

card_stops() {
	local status=0
	lab_stop agent || return 1
	lab_start card2 card "$LAB_BUILD/bin/sluice-nic" --socket "$LAB/nic2.sock" --wire 0=packet:w0 --wire 1=packet:w1
	lab_until 10 "the card's socket" test -S "$LAB/nic2.sock" || return 1
	lab_stop card2 5 || status=$?
	tap_eq 'exit status' $status 0 || return 1
	[ ! -e "$LAB/nic2.sock" ]
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/stop
lab_card
lab_servers 4001
config | lab_config
set +e

agent=$LAB_BUILD/bin/sluiced
tap_plan 9
tap 'a configuration that is not there is named' refused "$LAB/none.yaml" "$agent" --config "$LAB/none.yaml"
sed "s,$LAB/nic.sock,$LAB/no.sock," "$LAB/sluiced.yaml" >"$LAB/nosock.yaml"
tap 'a card that is not there is named' refused "$LAB/no.sock" "$agent" --config "$LAB/nosock.yaml"
tap 'the card outlives 200 peers that talk nonsense' nonsense_peer
tap 'and takes the agent afterwards' lab_agent
tap 'a second agent on the same API socket is refused' refused "api.sock" "$agent" --config "$LAB/sluiced.yaml"
tap 'SIGTERM ends the agent with 0, the card carries on, the next agent takes over' graceful
tap 'rules that no session claims leave the card when an agent starts' unclaimed
tap 'the agent outlives its card and says that it is gone' card_dies
tap 'SIGTERM ends the card with 0 and removes its socket' card_stops
tap_end
