#!/bin/bash
# The demonstration: what `make demo` shows. Everything runs in network namespaces of its own and is removed at the end.
# Usage: tools/demo.sh [card|plain|upgrade|cluster|pair]; all without. Every sentence with `yes` was checked; the exit status is 0 only if all
# of them were true.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lab/lab.sh
. tests/lab/balancer.sh
. tests/lab/cluster.sh
. tests/lab/stamp.sh
. tests/lab/traffic.sh
. tests/lab/upgrade.sh
. tests/lab/outbound.sh

vip=198.18.1.100
alone_s=20 # how long the card is left alone
false_claims=0

say() {
	printf '\n\033[1m%s\033[0m\n' "$*"
}

# claim SENTENCE COMMAND...: the sentence is printed with the command's verdict.
claim() {
	local sentence=$1
	shift
	if "$@" >"$LAB/claim" 2>&1; then
		echo "  yes  $sentence"
	else
		echo "  NO   $sentence"
		tail -n 20 "$LAB/claim" | sed 's/^/       /'
		false_claims=$((false_claims + 1))
	fi
}

config() {
	echo 'groups:'
	lab_group web 4 80 maglev '{type: http, path: /, port: 80, status: 200, interval_ms: 1000, timeout_ms: 500, rise: 1, fall: 3}'
	echo 'listeners:'
	echo "  - {name: http, address: $vip, protocol: tcp, ports: 80, mode: fullnat, group: web}"
}

backends_up() {
	LAB_CTL backends --json | jq -e '[.backends[].health == "up"] | length == 3 and all'
}

# Packets that the card forwarded by itself, and packets that its host saw. Without a card the first is 0.
forwarded_by_card() {
	LAB_CTL ports --json | jq '[.ports[].xstats.flow_hit_frames // 0] | add'
}

seen_by_cpu() {
	lab_counter rx
}

# CPU time of a process and its threads, in microseconds.
cpu_us() {
	cat "/proc/${LAB_PIDS[$1]}"/task/*/schedstat | awk '{ ns += $1 } END { printf "%d", ns / 1000 }'
}

# measured NAME COMMAND...: runs it and adds a row of the table. Latency comes from $LAB/latency, "P50 P99", when there.
measured() {
	local name=$1 card cpu us status=0 share p50=- p99=-
	shift
	card=$(forwarded_by_card) cpu=$(seen_by_cpu) us=$(cpu_us agent)
	rm -f "$LAB/latency"
	"$@" || status=$?
	sleep 0.2 # counters of the card are read now and then
	card=$(($(forwarded_by_card) - card)) cpu=$(($(seen_by_cpu) - cpu)) us=$(($(cpu_us agent) - us))
	share=$(awk -v card=$card -v cpu=$cpu 'BEGIN { printf "%.2f", card + cpu ? 100 * card / (card + cpu) : 0 }')
	[ ! -e "$LAB/latency" ] || read -r p50 p99 <"$LAB/latency"
	printf '%-34s %9d %9d %8s %% %9d ms %9s %9s\n' "$name" "$card" "$cpu" "$share" $((us / 1000)) "$p50" "$p99" >>"$rows"
	last_share=$share
	return $status
}

table() {
	printf '\n  %-34s %9s %9s %10s %12s %9s %9s\n' '' 'packets' 'packets' 'share of' 'CPU time' 'latency' ''
	printf '  %-34s %9s %9s %10s %12s %9s %9s\n' 'traffic' 'by card' 'by CPU' 'the card' 'of agent' '50 %' '99 %'
	sed 's/^/  /' "$rows"
}

download() {
	lab_get "http://$vip/10m" 10m -w '%{time_total}' >"$LAB/seconds"
}

# A request of a few bytes at a time over 16 kept connections, or over a new connection each.
requests() {
	lab_in client wrk -t 1 -c 16 -d 5 --timeout 10 --latency "$@" "http://$vip/" >"$LAB/wrk" || return 1
	awk '$1 == "50%" { a = $2 } $1 == "99%" { b = $2 } END { print a, b }' "$LAB/wrk" >"$LAB/latency"
	! grep -E 'Socket errors|Non-2xx' "$LAB/wrk"
}

requests_per_second() {
	awk '/Requests\/sec/ { print int($2) }' "$LAB/wrk"
}

at_least() {
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }'
}

traffic() {
	claim 'curl fetched 10,000,000 bytes, identical' measured "$1: 10 MB download" download
	download_share=$last_share
	claim 'wrk over 16 kept connections had no error' measured "$1: wrk, kept connections" requests
	echo "       $(requests_per_second) requests a second"
	claim 'wrk with a connection a request had no error' measured "$1: wrk, a connection each" requests -H 'Connection: close'
	echo "       $(requests_per_second) requests a second"
}

# The session of the long download, which has a client port of its own.
download_port=20000
the_session() {
	LAB_CTL sessions --json | jq -c --argjson port $download_port '[.sessions[] | select(.client.port == $port)]'
}

session_on_card() {
	the_session | jq -e 'length == 1 and .[0].request.owner == "card" and .[0].reply.owner == "card"'
}

# What names a session: two agents that show the same have the same session.
session_identity() {
	the_session | jq -c '.[] | [.client, .vip, .local, .server | .address, .port]'
}

same_session() {
	local now
	now=$(session_identity)
	echo "before: $1"
	echo "now:    $now"
	[ "$now" = "$1" ]
}

bytes_downloaded() {
	stat -c %s "$LAB/slow" 2>/dev/null || echo 0
}

agent_dies() {
	local before identity second
	lab_start download client curl -sS -f --max-time 120 --local-port $download_port -o "$LAB/slow" "http://$vip/slow"
	claim 'a download at 200 kB/s is under way, both directions on the card' \
		lab_until 10 'the card has the download' session_on_card
	sleep 2
	identity=$(session_identity)
	before=$(bytes_downloaded)
	lab_kill agent
	echo "       agent killed with SIGKILL at $before bytes"
	for second in $(seq $alone_s); do
		sleep 1
		((second % 4)) || printf '       card alone for %2d s: %8d bytes\n' "$second" "$(bytes_downloaded)"
	done
	claim 'no agent ran meanwhile' test -z "$(ip netns pids "$LAB_ID-lb")"
	claim "the card alone carried at least $((alone_s * 150)) kB in $alone_s s" \
		at_least $(($(bytes_downloaded) - before)) $((alone_s * 150000))
	claim 'the agent is back' lab_agent
	claim 'it has the session, and the card still carries both directions' lab_until 5 'adoption' session_on_card
	claim 'it is the same session' same_session "$identity"
	claim 'the download finished' lab_finish download 60
	claim 'and is identical' cmp "$LAB/slow" "$LAB/www/slow"
	claim 'the agent that came back serves new connections' lab_until 10 'an answer' lab_in client curl -sS -f --max-time 3 "http://$vip/"
}

# demonstrate card|plain: a lab from beginning to end.
demonstrate() {
	set -e # without its lab nothing can be shown
	lab_open
	LAB_KEEP_LOGS=$LAB_BUILD/demo/$1
	"lab_$1"
	lab_servers
	config | lab_config
	lab_agent
	set +e
	claim 'the agent runs, its three backends are healthy' lab_until 15 'healthy backends' backends_up
	if [ "$1" = card ]; then
		traffic 'card'
		claim "the card forwarded $download_share % of the packets of the download: at least 99 %" at_least "$download_share" 99
		table
		say 'The agent is killed in the middle of a download'
		agent_dies
	else
		traffic 'no card'
		claim 'every packet of the download went through the CPU' test "$download_share" = 0.00
		table
	fi
	[ $false_claims = 0 ]
}

# A single node on the card gets another build while connections go on.
upgrade_act() {
	set -e
	lab_open
	LAB_KEEP_LOGS=$LAB_BUILD/demo/upgrade
	upgrade_lab card
	set +e
	upgrade_traffic
	claim '200 TCP connections and 40 UDP flows send stamped bytes both ways, a packet every 100 ms' lab_until 20 'all of them' all_count 240
	claim 'half of them are in the card, both directions' lab_until 20 'the card' eval '[ "$(LAB_CTL card --json | jq .rules)" = 240 ]'
	echo "       $(LAB_CTL version) serves"
	fault 'upgrade in place'
	claim 'the next build was started beside it, and took over' upgrade_in_place
	echo "       $(LAB_CTL version) serves"
	sleep 1.5
	claim 'nobody was lost' nobody_lost
	echo "       longest gap: $(lab_stamp_tell c gap) ms in the card, $(lab_stamp_tell s gap) ms in software; $(upgrade_said)"
	claim 'every connection ended in order, and every byte was right' end_traffic 20
	[ $false_claims = 0 ]
}

balanced='200 connections and 40 flows'

# told WHAT SUBJECTS: the gap of what was just done, below 1 s, and nobody lost.
told() {
	local gap
	gap=$(gap_ms)
	claim "$1: 0 of $2 lost, the longest gap of any was $gap ms (below 1 s)" eval 'nobody_lost && gap_below 1000'
}

# What changed between $LAB/before and $LAB/after: who carries how many flows, and how many moved between nodes that lived.
say_moves() {
	echo "       flows that n1, n2, n3 carry: $(shares "$LAB/before") before, $(shares "$LAB/after") after;" \
		"$(moved "$LAB/before" "$LAB/after" "${1:-}") moved between nodes that lived"
}

cards_carry_half() {
	local n sum=0
	for n in 1 2 3; do
		sum=$((sum + $(on_card n$n)))
	done
	[ $sum -ge 200 ]
}

# Inside hosts through SNAT and EIP, over the same three nodes, while the owner of the addresses dies and returns.
outbound_act() {
	LAB_STREAMS=()
	start_outbound
	claim '70 connections and 14 flows of inside hosts without a public address reach a server outside, by SNAT and EIP' \
		lab_until 20 'all of them' all_count 84
	start_downloads
	claim 'they download 12 times 6 MB; every node knows all of these sessions' lab_until 10 'downloads' downloads_are_known
	fault 'kill n1'
	lab_node_kill 1
	claim 'n1, which announces the EIPs and a third of the addresses of SNAT, was killed, agent and card' \
		lab_until 5 'two next hops' both_ways 2
	sleep 3
	told 'n1 died' '70 connections and 14 flows of inside hosts'
	fault 'return of n1'
	claim 'n1 came back and announces itself' eval 'lab_node_start 1 && lab_until 15 "three next hops" both_ways 3'
	sleep 3
	told 'n1 returned' '70 connections and 14 flows of inside hosts'
	claim '12 of 12 downloads are complete and identical' end_downloads 40
	claim 'every connection ended in order, and every byte was right' end_traffic 20
}

# Three nodes with a card each; one dies and returns.
cluster_act() {
	set -e
	lab_open
	LAB_KEEP_LOGS=$LAB_BUILD/demo/cluster
	lab_cluster card 3
	lab_outbound_servers
	start_cluster '' lab_outbound_services
	lab_birds
	set +e
	claim 'three nodes joined, and the router has three next hops to the listeners, IPv4 and IPv6' \
		lab_until 20 'the cluster' cluster_is_whole
	start_traffic c 200 4001
	start_traffic s 200 4002
	claim '200 TCP connections and 40 UDP flows send stamped bytes both ways' lab_until 20 'all of them' all_count 240
	claim 'every node has the sessions of all' every_node_has 240 5
	claim 'the cards carry both directions of half of them, the agents the rest' lab_until 20 'cards' cards_carry_half
	carriers "$LAB/before"
	fault 'kill n1'
	lab_node_kill 1
	claim 'n1 was killed with SIGKILL, agent and card; the router noticed' lab_until 5 'two next hops' next_hops 2
	sleep 3
	carriers "$LAB/after"
	told 'n1 died' "$balanced"
	say_moves n1
	carriers "$LAB/before"
	fault 'return of n1'
	claim 'n1 came back, fetched all sessions, and announces itself' eval \
		'lab_node_start 1 && lab_until 15 "three next hops" cluster_is_whole'
	sleep 3
	carriers "$LAB/after"
	told 'n1 returned' "$balanced"
	say_moves
	claim 'n1 carries its share again' test "$(carried_by n1 "$LAB/after")" -ge 40
	fault 'upgrade of n2'
	claim 'n2 was drained, replaced by the next build, and announces itself' cluster_upgrade 2 "$LAB_NEXT" 2
	echo "       longest gap: $(lab_stamp_tell c gap) ms in the cards, $(lab_stamp_tell s gap) ms in software"
	told 'n2 was upgraded' "$balanced"
	claim 'every connection ended in order, and every byte was right' end_traffic 20
	say 'The other way: hosts inside, a server outside'
	outbound_act
	[ $false_claims = 0 ]
}

pair_at() {
	local address
	for address in 198.18.1.100 198.18.2.101 198.18.2.102 fd00:1::100 fd00:2::101 fd00:2::102; do
		ip -n "$LAB_ID-n$1" -o address show to "$address" | grep -q . || return 1
	done
}

pair_shared() {
	every_node_sees 2 && ip -n "$LAB_ID-n1" -o address show to 198.18.1.100 | grep -q . &&
		ip -n "$LAB_ID-n2" -o address show to fd00:2::102 | grep -q .
}

# Two nodes without BGP and without cards; the active one dies.
pair_act() {
	set -e
	lab_open
	LAB_KEEP_LOGS=$LAB_BUILD/demo/pair
	lab_cluster plain 2
	start_cluster
	lab_static_routes
	lab_keepalived 1
	lab_keepalived 2
	set +e
	claim 'two nodes joined; Keepalived gave the listeners to n1, and each node its own local prefix' \
		lab_until 20 'next hops' pair_shared
	start_traffic s 200 4001 4002
	claim '200 TCP connections and 40 UDP flows send stamped bytes both ways' lab_until 20 'all of them' all_count 240
	claim 'both nodes have the sessions of all' every_node_has 240 5
	fault 'kill n1'
	lab_node_kill 1
	claim 'n1 was killed with SIGKILL; all next hops are at n2' lab_until 5 'next hops at n2' pair_at 2
	sleep 3
	told 'n1 died' "$balanced"
	claim 'every connection ended in order, and every byte was right' end_traffic 20
	[ $false_claims = 0 ]
}

rows=$LAB_BUILD/demo/rows # of the table
case "${1:-}" in
card | plain)
	demonstrate "$1"
	exit
	;;
upgrade | cluster | pair)
	"${1}_act"
	exit
	;;
esac
status=0
mkdir -p "$LAB_BUILD/demo"
: >"$rows"
say 'A client, a balancer on the simulated card, three nginx backends'
tools/demo.sh card || status=1
say 'The same traffic on AF_PACKET ports, with no card at all'
tools/demo.sh plain || status=1
say 'A node is upgraded in place'
tools/demo.sh upgrade || status=1
say 'A cluster: three nodes with a simulated card each, BIRD with BGP and BFD, a router with ECMP'
tools/demo.sh cluster || status=1
say 'Two nodes without BGP: Keepalived'
tools/demo.sh pair || status=1
if [ $status = 0 ]; then
	say 'All of this was true.'
else
	say "Not all of this was true. Logs: $LAB_BUILD/demo"
fi
exit $status
