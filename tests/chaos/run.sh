#!/bin/bash
# Random faults of a cluster of three nodes under stamped traffic; nobody who counts may be lost. tests/chaos/README.md.
#
# Environment: DURATION_S (600), SEED (drawn and printed), SYNC=off (nodes do not tell each other: the run must fail), KIND=plain
# (no cards). Exit status: 0 nobody was lost and there was enough to lose; 1 somebody was lost, or a node did not come back, or
# the laboratory could not be built; 2 too few faults, or too little at stake.
cd "$(dirname "$0")/../.." || exit 3
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/stamp.sh
. tests/lab/wire.sh
. tests/lab/traffic.sh
. tests/chaos/faults.sh

DURATION_S=${DURATION_S:-600}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
SYNC=${SYNC:-on}
KIND=${KIND:-card}
CHAOS_NODES=3
CHAOS_WHOLE_S=40       # longer than this no recovery may take
CHAOS_KINDS=(node agent cable bird sync delay loss etcd apply clock)
CHAOS_JUDGES=(long churn)
CHAOS_APPLIED=0
CHAOS_CLOCK=()
declare -A CHAOS_DONE=() # kind -> faults that began and were healed
CHAOS_AGREED=0 CHAOS_MOVED=0 CHAOS_SPLIT=0 CHAOS_ON_CARD=0 CHAOS_SLOWEST_MS=0
CHAOS_TROUBLE=()
CHAOS_LOOK_US=0 CHAOS_EVIDENCE='' CHAOS_HEAL_DUE=''
RANDOM=$((SEED % 32768))

# Lanes: what they do (idle, hold, return), the fault, and until when.
declare -A LANE_STATE=([hard]=idle [soft]=idle) LANE_FAULT=() LANE_PAUSE_MS=() LANE_DUE_US=([hard]=0 [soft]=0) LANE_BEGAN_US=() LANE_NEXT=([hard]=0 [soft]=0)
HARD_PLAN=() SOFT_PLAN=()

say() {
	printf '%8.3f  %s\n' "$(($(now_us) - CHAOS_BEGAN_US))e-6" "$*"
}

now_us() {
	echo "${EPOCHREALTIME/[.,]/}"
}

chaos_tell() {
	local judge
	for judge in "${CHAOS_JUDGES[@]}"; do
		lab_stamp_tell "$judge" "$@" || trouble "the judge $judge does not answer"
	done
}

# Who was born in a cut on a node that died in it is known to nobody until that node is back: so the heal waits for it.
chaos_cut() {
	CHAOS_HEAL_DUE=
	chaos_tell cut
}

chaos_healed() {
	if [[ ${LANE_STATE[hard]} != idle && ${LANE_FAULT[hard]} =~ ^(node|agent)\  ]]; then CHAOS_HEAL_DUE=yes; else chaos_tell healed; fi
}

trouble() {
	say "TROUBLE: $*"
	CHAOS_TROUBLE+=("$*")
}

# Everything here has deadlines of milliseconds; what else runs on this machine must not look like a fault. Linux weighs
# sessions of terminals before processes, so that the session has to come first too, until the end.
chaos_first() {
	local group=/proc/$$/autogroup
	renice -n -10 -p $$ >/dev/null 2>&1 || echo 'chaos: not allowed to run before others; a busy machine will look like faults'
	[ -w "$group" ] || return 0
	CHAOS_AUTOGROUP=$(sed 's/.*nice //' "$group")
	echo -10 2>/dev/null >"$group"
	trap 'CHAOS_STATUS=$?; echo "$CHAOS_AUTOGROUP" >/proc/$$/autogroup; (exit $CHAOS_STATUS); lab_close' EXIT
}

# -- building --

# The document of node N; SYNC=off makes each a group of its own: nobody's sessions are for anybody else.
chaos_document() {
	local group=0
	[ "$SYNC" != off ] || group=$1
	lab_node_config "$1" <<-END
		cluster:
		  id: $1
		  group: $group
		  interface: sync0
		  address: 198.18.9.$1
		  key_file: $LAB/key
		  local_prefixes: [$(lab_local4 "$1" 0)/24, "$(lab_local6 "$1" '')/64"]
		  routes: {table: 8848}
		  etcd: {endpoints: ["http://198.18.9.100:2379"]}
	END
}

# chaos_shared [WHAT NUMBER]: what all nodes serve, after so many changes.
chaos_shared() {
	local what=${1:-} number=${2:-0} timeouts='established_s: 60, udp_s: 60'
	[ "$what" != timeouts ] || timeouts="established_s: $((60 + number % 2)), udp_s: 60"
	echo 'version: 1'
	lab_cluster_services "$timeouts" | if [ "$what" = weights ]; then
		sed "s/port: 4001}/port: 4001, weight: $((10 + number % 3 * 10))}/"
	else
		cat
	fi
	if [ "$what" = listener ]; then
		echo "  - {name: more-$number, address: 198.18.10.1, protocol: tcp, ports: $((5000 + number)), group: g4-4001}"
	fi
}

# chaos_apply NODE [WHAT NUMBER]: by this node, or by the next if it is being taken away.
chaos_apply() {
	local n=$1 hit text
	read -r _ hit _ <<<"${LANE_FAULT[hard]:-}"
	[ "$hit" != "$n" ] || n=$((n % CHAOS_NODES + 1))
	text=$(chaos_shared "${@:2}" | lab_ctl "n$n" cluster apply - 2>&1) || trouble "n$n does not apply (${*:2}): $text"
}

# Everybody has what was applied last.
same_everywhere() {
	local n
	for n in $(seq "$CHAOS_NODES"); do
		lab_ctl "n$n" cluster --json | jq -r '"\(.etcd.watching) \(.etcd.applied)"'
	done | sort -u >"$LAB/applied"
	[ "$(wc -l <"$LAB/applied")" = 1 ] && grep -q '^true' "$LAB/applied"
}

chaos_etcd_begin() {
	lab_start etcd sync etcd --name lab --data-dir "$LAB_STATE/etcd" --listen-client-urls http://198.18.9.100:2379 \
		--advertise-client-urls http://198.18.9.100:2379 --listen-peer-urls http://127.0.0.1:2380 \
		--initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster lab=http://127.0.0.1:2380 --log-level error
}

chaos_build() {
	local n b
	export LAB LAB_BUILD
	LAB_NODE_CABLE=lab_wire_cable LAB_AGENT_UNDER=tests/chaos/agent.sh
	lab_cluster "$KIND" "$CHAOS_NODES"
	lab_wire_start "$SEED"
	head -c 32 /dev/urandom >"$LAB/key"
	chmod 600 "$LAB/key"
	lab_in sync sysctl -qw net.ipv6.conf.br.disable_ipv6=1
	lab_address sync br 198.18.9.100/24
	chaos_etcd_begin
	lab_until 10 etcd lab_in sync curl -sf http://198.18.9.100:2379/health
	for b in 1 2 3; do
		lab_stamp_serve "b$b" "$b" 4001
	done
	for n in $(seq "$CHAOS_NODES"); do
		head -c 8 /dev/zero >"$LAB/clock$n"
		chaos_document "$n"
		lab_node_start "$n"
	done
	lab_until 10 'a node that etcd knows' eval '[ "$(lab_ctl n1 cluster --json | jq .etcd.watching)" = true ]'
	chaos_shared | lab_ctl n1 cluster apply -
	lab_birds
	lab_start routes router ip -ts monitor route
	lab_until 30 'the cluster' chaos_whole
}

# Some connections live as long as the run, some for seconds; half goes to cards, half of those is IPv6.
chaos_traffic() {
	chaos_judge long 20 10 8 --interval 200 --rate 1000
	chaos_judge churn 10 5 4 --interval 100 --rate 2000 --life 6000
	lab_until 20 'connections that count' eval '[ "$(lab_stamp_count long)" = 76 ]'
}

# chaos_judge NAME OFFLOADED SOFTWARE UDP OPTION...: so many of each family.
chaos_judge() {
	local name=$1 card=$2 software=$3 udp=$4
	shift 4
	lab_stamp "$name" client --tcp "198.18.10.1,4001,$card" --tcp "198.18.10.1,4002,$software" \
		--tcp "fd00:10::1,4001,$card" --tcp "fd00:10::1,4002,$software" \
		--udp "198.18.10.1,4001,$udp" --udp "fd00:10::1,4002,$udp" --ramp 3000 --log "$LAB/log/$name-connections.json" "$@"
}

# -- the lanes --

# Without sync nobody sees anybody: only the router's view is left.
chaos_whole() {
	if [ "$SYNC" = off ]; then next_hops "$CHAOS_NODES"; else cluster_is_whole; fi
}

sockets() {
	local n
	for n in $(seq "$CHAOS_NODES"); do
		echo "n$n=$LAB/n$n/api.sock"
	done
}

sample() {
	# shellcheck disable=SC2046
	tests/chaos/flows.py sample "$1" $(sockets)
}

# Who starts while he can hear nobody must take himself to be alone: so the sync network is left alone then (README.md).
may_begin() {
	[ "$1" != soft ] || [ "${LANE_STATE[hard]}" != return ] || ! is_of_sync "$2"
}

may_heal() {
	[ "$1" != hard ] || [ "${LANE_STATE[soft]}" != hold ] || ! is_of_sync "${LANE_FAULT[soft]}"
}

# KIND NODE VARIANT ...: disturbs what nodes tell each other.
is_of_sync() {
	[[ $1 =~ ^sync\  || $1 =~ ^(loss|delay)\ [0-9]\ sync ]]
}

lane_begin() {
	local lane=$1 line kind n hold_ms pause_ms words
	if [ "$lane" = hard ]; then line=${HARD_PLAN[LANE_NEXT[hard]]}; else line=${SOFT_PLAN[LANE_NEXT[soft]]}; fi
	read -r _ kind n hold_ms pause_ms words <<<"$line"
	may_begin "$lane" "$kind $n $words" || return 0
	LANE_NEXT[$lane]=$((LANE_NEXT[$lane] + 1))
	[ "$lane" != hard ] || look_who_knows
	[ "$lane" != hard ] || sample "$LAB/before.json"
	LANE_FAULT[$lane]="$kind $n $words" LANE_PAUSE_MS[$lane]=$pause_ms LANE_STATE[$lane]=hold
	LANE_BEGAN_US[$lane]=$(now_us)
	[ "$lane" != hard ] || CHAOS_HIT_US=$(now_us) CHAOS_HIT=$n
	say "$lane: $kind n$n $words, for $hold_ms ms"
	# shellcheck disable=SC2086
	fault_begin $kind $n $words || trouble "$kind n$n $words did not begin"
	LANE_DUE_US[$lane]=$(($(now_us) + hold_ms * 1000))
}

lane_heal() {
	local lane=$1
	may_heal "$lane" || return 0
	# Whoever is whole again is as before: what moved is seen while the fault lasts.
	[ "$lane" != hard ] || look_who_moved
	# shellcheck disable=SC2086
	fault_heal ${LANE_FAULT[$lane]} || trouble "${LANE_FAULT[$lane]} was not healed"
	LANE_STATE[$lane]=return LANE_BEGAN_US[$lane]=$(now_us)
}

# All nodes are there: each must hold the session of every connection that counts.
look_who_knows() {
	local judge lists=() lacking
	[ "$SYNC" != off ] || return 0
	for judge in "${CHAOS_JUDGES[@]}"; do
		lab_stamp_tell "$judge" list >"$LAB/$judge-list.json" && lists+=("$LAB/$judge-list.json")
	done
	# shellcheck disable=SC2046
	lacking=$(tests/chaos/agree.py $(sockets) -- "${lists[@]}" | tr '\n' ';')
	CHAOS_AGREED=$((CHAOS_AGREED + 1))
	[ -z "$lacking" ] || trouble "sessions that a node lacks: $lacking"
}

look_who_moved() {
	local n moved split card
	read -r _ n _ <<<"${LANE_FAULT[hard]}"
	((LANE_DUE_US[hard] - LANE_BEGAN_US[hard] > 400000)) || return 0
	sample "$LAB/during.json"
	read -r moved split card <<<"$(tests/chaos/flows.py compare "$LAB/before.json" "$LAB/during.json" "n$n")"
	CHAOS_MOVED=$((CHAOS_MOVED + moved)) CHAOS_SPLIT=$((CHAOS_SPLIT + split)) CHAOS_ON_CARD=$((CHAOS_ON_CARD + card))
	say "hard: $moved flows moved, $split split, $card were on the card"
}

# What stands in $LAB/n*/api.sock answers, everybody sees everybody, the router spreads over all.
lane_return() {
	local lane=$1 kind took_ms
	read -r kind _ <<<"${LANE_FAULT[$lane]}"
	took_ms=$((($(now_us) - LANE_BEGAN_US[$lane]) / 1000))
	if [ "$lane" = hard ]; then
		if ! chaos_whole 2>/dev/null; then
			((took_ms < CHAOS_WHOLE_S * 1000)) || {
				trouble "after ${LANE_FAULT[hard]} the cluster is not whole within $CHAOS_WHOLE_S s"
				LANE_BEGAN_US[hard]=$(now_us)
			}
			return 0
		fi
		echo "${CHAOS_HIT_US}e-6 $(now_us)e-6 $CHAOS_HIT" >>"$LAB/log/hard.txt"
		[ -z "$CHAOS_HEAL_DUE" ] || chaos_tell healed
		CHAOS_HEAL_DUE=
		((took_ms <= CHAOS_SLOWEST_MS)) || CHAOS_SLOWEST_MS=$took_ms
		say "hard: whole again after $took_ms ms; longest gap $(lab_stamp_gap "${CHAOS_JUDGES[@]}") ms, lost so far $(chaos_lost)"
	fi
	CHAOS_DONE[$kind]=$((${CHAOS_DONE[$kind]:-0} + 1))
	LANE_STATE[$lane]=idle LANE_FAULT[$lane]=
	LANE_DUE_US[$lane]=$(($(now_us) + LANE_PAUSE_MS[$lane] * 1000))
}

lane_step() {
	local lane=$1
	case ${LANE_STATE[$lane]} in
	idle) (($(now_us) < LANE_DUE_US[$lane])) || lane_begin "$lane" ;;
	hold) (($(now_us) < LANE_DUE_US[$lane])) || lane_heal "$lane" ;;
	return) lane_return "$lane" ;;
	esac
}

chaos_lost() {
	local judge sum=0
	for judge in "${CHAOS_JUDGES[@]}"; do
		sum=$((sum + $(lab_stamp_tell "$judge" report | jq '.tcp.lost + .udp.lost')))
	done
	echo $sum
}

# An agent or card that ended by itself.
look_for_the_dead() {
	local name
	for name in "${!LAB_PIDS[@]}"; do
		lab_alive "$name" || {
			trouble "$name has ended by itself: $(tail -n 3 "$LAB/log/$name.log" | tr '\n' ' ')"
			lab_kill "$name"
		}
	done
}

# Once a fault: who has waited for so long that it may become a stall, and what nodes and router hold at that moment.
look_for_the_silent() {
	local n gap
	(($(now_us) > CHAOS_LOOK_US)) || return 0
	CHAOS_LOOK_US=$(($(now_us) + 500000))
	gap=$(lab_stamp_gap "${CHAOS_JUDGES[@]}")
	((gap > 2500)) && [ "$CHAOS_EVIDENCE" != "${LANE_NEXT[hard]}" ] || return 0
	CHAOS_EVIDENCE=${LANE_NEXT[hard]}
	say "somebody is silent for $gap ms: see evidence-$CHAOS_EVIDENCE.txt"
	{
		echo "after $gap ms; hard: ${LANE_STATE[hard]} ${LANE_FAULT[hard]}; soft: ${LANE_STATE[soft]} ${LANE_FAULT[soft]}"
		for n in "${CHAOS_JUDGES[@]}"; do
			lab_stamp_tell "$n" list | jq -c '.[] | select(.counts and .silent_ms > 1000)'
		done
		ip -n "$LAB_ID-router" route
		ip -n "$LAB_ID-router" -6 route
		for n in $(seq "$CHAOS_NODES"); do
			echo "== n$n"
			ip -n "$LAB_ID-n$n" route show table 8848
			ip -n "$LAB_ID-n$n" -6 route show table 8848
			timeout 3 "$LAB_BUILD/bin/sluicectl" -s "$LAB/n$n/api.sock" cluster --json
			timeout 3 "$LAB_BUILD/bin/sluicectl" -s "$LAB/n$n/api.sock" stats --json | jq -c '[.packets, .drops] | add | with_entries(select(.value != 0))'
			timeout 3 "$LAB_BUILD/bin/sluicectl" -s "$LAB/n$n/api.sock" sessions --limit 1000000 --json | jq -c '.sessions[]'
		done
	} >"$LAB/log/evidence-$CHAOS_EVIDENCE.txt" 2>&1
}

# -- the run and its verdict --

chaos_run() {
	local until_us=$(($(now_us) + DURATION_S * 1000000)) lane
	mapfile -t HARD_PLAN < <(tests/chaos/plan.py "$SEED" "$DURATION_S" "$CHAOS_NODES" | grep ^hard)
	mapfile -t SOFT_PLAN < <(tests/chaos/plan.py "$SEED" "$DURATION_S" "$CHAOS_NODES" | grep ^soft)
	while (($(now_us) < until_us)); do
		lane_step hard
		lane_step soft
		look_for_the_dead
		look_for_the_silent
		sleep 0.05
	done
	# What is under way is brought to its end.
	until_us=$(($(now_us) + (CHAOS_WHOLE_S + 10) * 1000000))
	while [ "${LANE_STATE[hard]}${LANE_STATE[soft]}" != idleidle ] && (($(now_us) < until_us)); do
		for lane in hard soft; do
			[ "${LANE_STATE[$lane]}" = idle ] || lane_step "$lane"
		done
		sleep 0.05
	done
}

chaos_end() {
	local judge
	lab_until 10 'one configuration everywhere' same_everywhere || trouble "not all nodes have the same configuration: $(tr '\n' ' ' <"$LAB/applied")"
	for judge in "${CHAOS_JUDGES[@]}"; do
		lab_stamp_tell "$judge" end
	done
	for judge in "${CHAOS_JUDGES[@]}"; do
		lab_finish "$judge" 30
		tail -n 1 "$LAB/log/$judge.log"
	done
}

# The least of each: ten in 600 s, fifty flows in 600 s.
least() {
	echo $(($1 * DURATION_S / 600 > 0 ? $1 * DURATION_S / 600 : 1))
}

chaos_verdict() {
	local kind enough=yes status=0 lost resynced unasked vip
	lost=$(jq -s 'map(.tcp.lost + .udp.lost) | add' "$LAB/long.json" "$LAB/churn.json")
	resynced=$(jq -s 'map(.tcp.resynced + .udp.resynced) | add' "$LAB/long.json" "$LAB/churn.json")
	jq -s -r '.[] | .offences[] | "lost: \(.protocol) \(.local) \(.loss): \(.text); after \(.after_fault_ms) ms of \(.fault)"' \
		"$LAB/long.json" "$LAB/churn.json" | head -n 30
	for kind in "${CHAOS_KINDS[@]}"; do
		echo "faults: ${CHAOS_DONE[$kind]:-0} $kind (at least $(least 10))"
		((${CHAOS_DONE[$kind]:-0} >= $(least 10))) || enough=no
	done
	echo "at stake: $CHAOS_MOVED flows moved, $CHAOS_SPLIT split, $CHAOS_ON_CARD on the card of a node at its fault (at least $(least 50) each)"
	((CHAOS_MOVED >= $(least 50) && CHAOS_SPLIT >= $(least 50))) || enough=no
	[ "$KIND" = plain ] || ((CHAOS_ON_CARD >= $(least 50))) || enough=no
	unasked=$(for vip in 198.18.10.1 fd00:10::1; do tests/chaos/unasked.py "$LAB/log/routes.log" "$LAB/log/hard.txt" "$vip"; done | sort -u | wc -l)
	[ "$unasked" = 0 ] || echo "the router lost a next hop $unasked times that nobody took away: something was too slow"
	echo "the judges themselves were late by up to $(jq -s 'map(.own_delay_ms) | max' "$LAB/long.json" "$LAB/churn.json") ms"
	echo "asked $CHAOS_AGREED times whether every node holds every session that counts"
	((CHAOS_AGREED > 0)) || [ "$SYNC" = off ] || enough=no
	echo "born in a cut of sync and counted after it: $resynced; slowest recovery $CHAOS_SLOWEST_MS ms"
	((resynced > 0)) || enough=no
	[ "$enough" = yes ] || status=2
	[ ${#CHAOS_TROUBLE[@]} = 0 ] || status=1
	[ "$lost" = 0 ] || status=1
	echo "chaos: seed $SEED, $DURATION_S s, sync $SYNC: $lost lost, ${#CHAOS_TROUBLE[@]} troubles, enough at stake: $enough"
	return $status
}

echo "chaos: seed $SEED, $DURATION_S s, sync $SYNC, $KIND"
CHAOS_BEGAN_US=$(now_us)
lab_open || exit 3
LAB_KEEP_LOGS=${CHAOS_LOGS:-$LAB_BUILD/tests/log/chaos}
chaos_first
set -e
chaos_build
chaos_traffic
set +e
say 'everybody is there'
chaos_run
chaos_end
cp "$LAB"/*.json "$LAB/log/" 2>/dev/null
chaos_verdict
