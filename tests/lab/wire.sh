# Cables that can be made bad while they are in use (tests/lab/wire). To be sourced after lab.sh.
# shellcheck shell=bash
#
# All of them lead through the namespace `wires`; make them first, then start the one process that carries them.

LAB_WIRE=${LAB_BUILD:-build}/tests/lab/wire/wire
LAB_WIRES=() # NAME=A,B

# lab_wire_cable NS_A DEV_A NS_B DEV_B [NAME]: as lab_cable; NAME (DEV_A) is the cable's, `ab` its direction from A to B.
lab_wire_cable() {
	local name=${5:-$2} n=${#LAB_WIRES[@]}
	[ "$n" != 0 ] || lab_ns wires
	lab_cable "$1" "$2" wires "a$n"
	lab_cable "$3" "$4" wires "b$n"
	# Side B keeps what its owner asks for, as with a plain cable.
	lab_in "$3" ethtool -K "$4" tx on gso on tso on gro on >/dev/null 2>&1 || true
	lab_mute wires "a$n"
	lab_mute wires "b$n"
	LAB_WIRES+=("$name=a$n,b$n")
}

# lab_wire_start [SEED]
lab_wire_start() {
	lab_start wires wires "$LAB_WIRE" run "$LAB/wires.sock" "${1:-1}" "${LAB_WIRES[@]}"
	lab_until 5 "the process that carries the cables" test -S "$LAB/wires.sock"
}

# lab_wire set NAME ab|ba|both KEY=VALUE ..., clear NAME|all, stats
lab_wire() {
	"$LAB_WIRE" tell "$LAB/wires.sock" "$@"
}
