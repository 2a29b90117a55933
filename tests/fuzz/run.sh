#!/bin/bash
# Runs one fuzz target: tests/fuzz/run.sh PROGRAM SECONDS. Seeds stand in tests/fuzz/NAME; what is found goes to build/.
set -euo pipefail
name=$(basename "$1")
work=$(dirname "$1")/corpus/$name
mkdir -p "$work"
"$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$work-" "$work" "tests/fuzz/${name#fuzz_}" \
	>"$1.log" 2>&1 || {
	tail -n 40 "$1.log" >&2
	echo "$name: failed; the input is $work-*" >&2
	exit 1
}
echo "$name: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$1.log") inputs in $2 s, no failure"
