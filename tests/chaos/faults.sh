# The faults of a chaos run: each begins, is healed, and says when the cluster is whole again. To be sourced.
# shellcheck shell=bash
#
# fault_begin KIND NODE VARIANT [KEY=VALUE ...], fault_heal with the same words. Nothing here waits for more than a moment.
# Kinds and variants are those of plan.py. `chaos_tell` speaks to the judges.

fault_begin() {
	local kind=$1 n=$2
	case $kind in
	sync | loss) ;;
	*) chaos_tell fault "$kind n$n $3" ;;
	esac
	"fault_begin_$kind" "${@:2}"
}

fault_heal() {
	"fault_heal_$1" "${@:2}"
}

# -- the machine: agent and card --
fault_begin_node() {
	lab_node_kill "$1"
}

fault_heal_node() {
	lab_card_start "$1" && lab_agent_begin "$1"
}

# -- the agent alone; `flap`: again as soon as it has come back, several times --
fault_begin_agent() {
	lab_kill "n$1"
}

fault_heal_agent() {
	local n=$1 variant=$2 times=${3#times=}
	lab_agent_begin "$n" || return
	[ "$variant" = flap ] || return 0
	while ((times-- > 1)); do
		sleep "0.$((RANDOM % 900 + 100))"
		chaos_tell fault "agent n$n flap"
		lab_kill "n$n"
		lab_agent_begin "$n" || return
	done
}

# -- cables of the ports --
fault_begin_cable() {
	fault_cable "$1" "$2" down cut=1
}

fault_heal_cable() {
	fault_cable "$1" "$2" up ''
}

fault_cable() {
	local n=$1 variant=$2 link=$3 harm=$4
	case $variant in
	carrier)
		fault_link "$n" north "$link"
		fault_link "$n" south "$link"
		;;
	north) fault_link "$n" north "$link" ;;
	silent)
		lab_wire set "north$n" both ${harm:+"$harm"}
		lab_wire set "south$n" both ${harm:+"$harm"}
		;;
	esac
}

# Both ends lose the carrier, as with a plug that is pulled out.
fault_link() {
	local n=$1 side=$2 link=$3 wires=n$1 end=w0
	[ "$LAB_CARDS" = plain ] || wires=card$n
	[ "$side" = north ] || end=w1
	ip -n "$LAB_ID-router" link set dev "$side$n" "$link"
	ip -n "$LAB_ID-$wires" link set dev "$end" "$link"
}

# -- the routing daemon --
fault_begin_bird() {
	if [ "$2" = kill ]; then
		lab_kill "bird-n$1"
	else
		lab_stop "bird-n$1" 5 || true
	fi
}

fault_heal_bird() {
	lab_start "bird-n$1" "n$1" bird -f -c "$LAB/n$1.conf" -s "$LAB/n$1.bird" -P "$LAB/n$1.bird.pid"
}

# -- the sync network; sessions that are born meanwhile are apart --
fault_begin_sync() {
	chaos_cut
	case $2 in
	out) lab_wire set "sync$1" ab mcast_cut=1 ;;
	in) lab_wire set "sync$1" ba mcast_cut=1 ;;
	both) lab_wire set "sync$1" both mcast_cut=1 ;;
	all) lab_wire set "sync$1" both cut=1 ;;
	esac
}

fault_heal_sync() {
	lab_wire clear "sync$1"
	chaos_healed
}

# -- delays, duplicates, frames out of order --
fault_begin_delay() {
	fault_harm "$@"
}

fault_heal_delay() {
	fault_harm "$1" "$2"
}

# fault_harm NODE wire|sync [KEY=VALUE ...]
fault_harm() {
	local n=$1 where=$2
	shift 2
	if [ "$where" = sync ]; then
		lab_wire set "sync$n" both "$@"
	else
		lab_wire set "north$n" both "$@" && lab_wire set "south$n" both "$@"
	fi
}

# -- losses; on the sync network they are a cut of a kind --
fault_begin_loss() {
	if [ "$2" = sync ]; then chaos_cut; else chaos_tell fault "loss n$1 wire"; fi
	fault_harm "$@"
}

fault_heal_loss() {
	fault_harm "$1" "$2"
	[ "$2" = wire ] || chaos_healed
}

# -- etcd: killed and started again, or only stopped: then it answers nobody --
fault_begin_etcd() {
	if [ "$2" = kill ]; then lab_kill etcd; else lab_signal etcd STOP; fi
}

fault_heal_etcd() {
	if [ "$2" = kill ]; then chaos_etcd_begin; else lab_signal etcd CONT; fi
}

# -- the wall clock of an agent --
fault_begin_clock() {
	local n=$1 step=${3#step_s=}
	CHAOS_CLOCK[n]=$((${CHAOS_CLOCK[n]:-0} + step))
	chaos_write_clock "$n" "${CHAOS_CLOCK[n]}"
}

fault_heal_clock() {
	:
}

# chaos_write_clock NODE SECONDS: in place, since the agent has the file mapped; little-endian.
chaos_write_clock() {
	local bit bytes=''
	for bit in 0 8 16 24 32 40 48 56; do
		bytes+=$(printf '\\x%02x' $(($2 >> bit & 255)))
	done
	printf '%b' "$bytes" | dd of="$LAB/clock$1" conv=notrunc status=none
}

# -- configuration under load --
fault_begin_apply() {
	CHAOS_APPLIED=$((CHAOS_APPLIED + 1))
	chaos_apply "$1" "$2" "$CHAOS_APPLIED"
}

fault_heal_apply() {
	:
}
