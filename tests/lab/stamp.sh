# Stamped connections in a laboratory (tests/lab/stamp). To be sourced after lab.sh.
# shellcheck shell=bash

LAB_STAMP=${LAB_BUILD:-build}/tests/lab/stamp/stamp

# lab_stamp_serve NAMESPACE IDENTITY PORT: the far end, process stamp-NAMESPACE; identity is a number above 0.
lab_stamp_serve() {
	lab_start "stamp-$1" "$1" "$LAB_STAMP" serve --name "$2" --port "$3"
	lab_until 5 "stamp's server in $1" lab_stamp_serves "$1" "$3"
}

lab_stamp_serves() {
	lab_in "$1" ss -Hltn "sport = :$2" | grep -q .
}

# lab_stamp NAME NAMESPACE OPTION...: a client, process NAME; its line of text in $LAB/log/NAME.log, JSON in $LAB/NAME.json.
# `lab_finish NAME SECONDS` or `lab_stop NAME` give its exit status: 0 nobody was lost.
lab_stamp() {
	local name=$1 ns=$2
	shift 2
	lab_start "$name" "$ns" "$LAB_STAMP" run --control "$LAB/$name.sock" --report "$LAB/$name.json" "$@"
	lab_until 5 "client $name" test -S "$LAB/$name.sock"
}

# lab_stamp_tell NAME WORD...: fault WHAT, cut, healed, quiet, talk, report, line, list, gap, end.
lab_stamp_tell() {
	local name=$1
	shift
	"$LAB_STAMP" tell "$LAB/$name.sock" "$@"
}

# lab_stamp_gap NAME...: the longest silence, in milliseconds, of any of these clients since the last fault.
lab_stamp_gap() {
	local name
	for name; do
		lab_stamp_tell "$name" gap
	done | sort -n | tail -n 1
}

# lab_stamp_count NAME [JQ_CONDITION]: live subjects of a client that count and for which the condition holds.
lab_stamp_count() {
	lab_stamp_tell "$1" list | jq "[.[] | select(.counts and (${2:-true}))] | length"
}
