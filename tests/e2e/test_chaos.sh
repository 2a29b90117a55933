#!/bin/bash
# A short run of `make chaos`: each kind of fault once or more. Without sync between the nodes the same run must fail.
# Time limit: 420 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/tap.sh

LAB_BUILD=${LAB_BUILD:-build}
logs=$LAB_BUILD/tests/log/chaos
seed=${SEED:-$RANDOM}

# chaos NAME SECONDS SYNC: its status; what it said is kept.
chaos() {
	local status=0
	mkdir -p "$logs"
	DURATION_S=$2 SYNC=$3 SEED=$seed CHAOS_LOGS=$logs/$1 tests/chaos/run.sh >"$logs/$1.txt" 2>&1 || status=$?
	tail -n 50 "$logs/$1.txt"
	return $status
}

nobody_is_lost() {
	chaos on 80 on
}

somebody_is_lost() {
	chaos off 40 off
	tap_eq 'status' $? 1 || return
	grep -E 'sync off: [1-9][0-9]* lost, 0 troubles' "$logs/off.txt"
}

tap_plan 2
tap "80 s of faults under traffic lose nobody (seed $seed)" nobody_is_lost
grep -E '^(faults|at stake|born|chaos)' "$logs/on.txt" | sed 's/^/# /'
tap 'nodes that do not tell each other of sessions lose some' somebody_is_lost
grep -E '^(at stake|chaos)' "$logs/off.txt" | sed 's/^/# /'
tap_end
