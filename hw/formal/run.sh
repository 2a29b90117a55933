#!/bin/bash
# Proves make before break by induction, and shows that each mutant breaks it within 20 clocks. TAP.
set -u
cd "$(dirname "$0")/../.." || exit
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

yosys_sat() { # mutant, options of sat
	timeout 300 yosys -p "read_verilog -sv -formal -DFORMAL hw/rtl/slu_epoch.sv hw/formal/make_before_break.sv
		chparam -set Mutant $1 make_before_break
		prep -flatten -top make_before_break
		sat $2 -prove-asserts -set-init started 0 make_before_break" > "$log/$1" 2>&1
}

report() { # good, number, sentence, mutant
	if [ "$1" = 0 ]; then
		echo "ok $2 - $3"
	else
		echo "not ok $2 - $3"
		tail -n 5 "$log/$4" | sed 's/^/# /'
	fi
}

mutants=("" "that drains for a fixed time" "that retires a lookup before its record was read"
	"that clears the old tag before it sets the new one" "whose fence waits for nothing" "that copies the record last")

echo "1..6"
yosys_sat 0 "-tempinduct -maxsteps 10 -verify"
report $? 1 "no lookup misses or reads a foreign record while a flow moves, whatever the latencies: proved by induction" 0
for mutant in 1 2 3 4 5; do
	yosys_sat "$mutant" "-tempinduct-baseonly -maxsteps 20"
	grep -q "model found for base case: FAIL" "$log/$mutant"
	report $? $((mutant + 1)) "the proof refutes a card ${mutants[$mutant]}" "$mutant"
done
