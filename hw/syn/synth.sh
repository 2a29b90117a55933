#!/bin/bash
# Synthesises the card with yosys for a Xilinx UltraScale+ part, and prints what it takes.
#
# usage: synth.sh TOP REPORT SOURCE...
# Memories are small here (they map to block RAM one to one and only cost time); logic is the card's own.
set -eu
top=$1
report=$2
shift 2
parameters=(BucketBits=10 NextHopBits=8)
case $top in
sluice_nic) parameters+=(FlowIdBits=12) ;;
slu_flow_engine) parameters+=(StoreBits=9 HostStoreBits=9) ;;
esac

mkdir -p "$(dirname "$report")"
yosys -q -l "$report" -p "
	read_verilog -sv -DSYNTHESIS $*
	chparam $(printf -- '-set %s ' "${parameters[@]//=/ }") $top
	hierarchy -check -top $top
	proc
	opt_clean
	check -assert
	synth_xilinx -family xcup -top $top
	check -assert
	tee -o $report.stat stat -top $top" > "$report.out" 2>&1 || { tail -n 20 "$report.out"; exit 1; }

# The last section of the report is the whole design, hierarchy summed up.
awk '
	/design hierarchy/ { whole = 1 }
	!whole { next }
	$1 ~ /^LUT[1-6]$/ { lut += $2 }
	$1 ~ /^RAM(32|64|128|256)/ { lutram += $2 }
	$1 ~ /^FD/ { ff += $2 }
	$1 == "RAMB18E2" { bram += $2 / 2 }
	$1 == "RAMB36E2" { bram += $2 }
	$1 == "DSP48E2" { dsp += $2 }
	$1 == "CARRY4" || $1 == "CARRY8" { carry += $2 }
	END {
		printf "synth.%s.lut %d LUT\n", top, lut
		printf "synth.%s.lutram %d cells\n", top, lutram
		printf "synth.%s.ff %d FF\n", top, ff
		printf "synth.%s.carry %d cells\n", top, carry
		printf "synth.%s.bram %.1f RAMB36\n", top, bram
		printf "synth.%s.dsp %d DSP48\n", top, dsp
	}' top="$top" "$report.stat"
