#!/bin/bash
# Writes what is generated and committed: registers as SystemVerilog, C and text.
# Usage: tools/gen.sh [--check]; with --check nothing is written, a difference is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
/usr/bin/python3 hw/regs/gen_regs.py hw/regs/sluice_nic.toml "$out"

status=0
while read -r name place; do
	if [ "${1:-}" = --check ]; then
		diff -u "$place" "$out/$name" || {
			echo "$place is not what hw/regs/sluice_nic.toml generates: make gen" >&2
			status=1
		}
	else
		cmp -s "$out/$name" "$place" || cp "$out/$name" "$place"
	fi
done <<-'END'
	slu_regs_pkg.sv hw/rtl/slu_regs_pkg.sv
	nic_regs.h include/sluice/nic_regs.h
	registers.md docs/registers.md
END
exit $status
