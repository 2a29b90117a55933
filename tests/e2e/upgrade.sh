# One node, upgraded in place under load: test_upgrade_card.sh and test_upgrade_plain.sh, which say card or plain.
# shellcheck shell=bash
kind=${1:?card or plain}
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/stamp.sh
. tests/lab/tap.sh
. tests/lab/traffic.sh
. tests/lab/upgrade.sh

# So long a busy machine may keep anybody waiting. That no packet of the card's flows is lost is asked for apart; those of
# software lose what comes to the card between its two hosts, and TCP repeats that.
card_gap_ms=2000 software_gap_ms=3000
[ "$kind" = card ] || software_gap_ms=2000

all_carried() {
	[ "$kind" = plain ] || [ "$(LAB_CTL sessions --limit 1000 --json |
		jq '[.sessions[] | .request.owner, .reply.owner | select(. == "card")] | length')" = 240 ]
}

# What is lost or late without an upgrade says nothing about one.
control() {
	fault 'nothing'
	sleep 3
	nobody_lost || return 1
	echo "# without an upgrade: longest gap $(upgrade_gaps)" >&3
}

identities() {
	LAB_CTL sessions --limit 1000 --json | jq -r '.sessions[] | "\(.protocol) \(.client) \(.local) \(.server)"' | sort
}

# What docs/cluster.md says of one node, word for word.
in_place() {
	identities >"$LAB/before"
	fault 'upgrade in place'
	upgrade_in_place || return 1
	sleep 2
	nobody_lost || return 1
	echo "# upgrade in place: longest gap $(upgrade_gaps); the new agent says: $(upgrade_said)" >&3
	identities >"$LAB/after"
	tap_eq 'sessions' "$(cat "$LAB/after")" "$(cat "$LAB/before")"
}

# unanswered STREAM: datagrams of its flows that got no answer; one of each may be on its way.
unanswered() {
	lab_stamp_tell "$1" report | jq '.udp.requests - .udp.answers'
}

# On packet sockets nothing is lost either, in software.
no_packet_lost() {
	tap_within "datagrams to port 4001 without an answer" "$(unanswered c)" 0 20 || return 1
	echo "# datagrams without an answer, of them at most 20 on their way: $(unanswered c) of port 4001, $(unanswered s) of port 4002" >&3
	[ "$kind" = card ] || tap_within "datagrams to port 4002 without an answer" "$(unanswered s)" 0 20
}

says_version() {
	tap_eq 'version' "$(LAB_CTL version)" "sluiced $1"
}

# A program that cannot start must not end the one that serves.
bad_one_first() {
	local status=0 options=(--pmd "$LAB/none.so")
	cp "$LAB/sluiced.yaml" "$LAB/wrong.yaml"
	[ "$kind" = card ] || {
		options=()
		sed -i 's/net_af_packet0,iface=[a-z0-9]*/net_af_packet0,iface=none/' "$LAB/wrong.yaml"
	}
	lab_in lb timeout 20 "$LAB/bin/sluiced" --config "$LAB/wrong.yaml" --take-over "${options[@]}" >"$LAB/wrong.log" 2>&1 || status=$?
	cat "$LAB/wrong.log"
	[ $status != 0 ] && [ $status != 124 ] || return 1
	lab_alive agent && LAB_CTL version && nobody_lost
}

upgrade_test() {
	exec 3>&1
	set -e
	lab_open
	LAB_KEEP_LOGS=$LAB_BUILD/tests/log/upgrade_$kind
	upgrade_lab "$kind"
	set +e
	tap_plan 11
	upgrade_traffic
	tap '200 connections and 40 flows are there, half of them IPv6' lab_until 30 'all of them' all_count 240
	tap 'half of them are in the card, if there is one' lab_until 30 'cards' all_carried
	tap 'nobody is lost, and nothing else than the interval is their gap' control
	tap 'the old build serves' says_version "$("$LAB_BUILD/bin/sluiced" --version | cut -d' ' -f2)"
	tap 'a new agent that cannot start leaves the old one alone' bad_one_first
	tap 'upgrade in place: nobody is lost, and every session is the same' in_place
	tap 'the new build serves' says_version 'the next one'
	tap 'no packet of a flow of the card is lost; without a card none at all' no_packet_lost
	tap "flows of the card were silent for less than $card_gap_ms ms" gap_of c below "$card_gap_ms"
	tap "those of software for less than $software_gap_ms ms" gap_of s below "$software_gap_ms"
	tap 'every byte of all this was right' end_traffic 30
	tap_end
}
