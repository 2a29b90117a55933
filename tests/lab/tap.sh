# TAP output for test scripts in bash. To be sourced.
# shellcheck shell=bash

TAP_NUMBER=0
TAP_FAILED=0

tap_plan() {
	echo "1..$1"
}

# tap SENTENCE COMMAND...: one test; the command's output is shown as a comment when it fails.
tap() {
	local sentence=$1 output status=0
	shift
	TAP_NUMBER=$((TAP_NUMBER + 1))
	# In a file, not in $(...): the command may start processes and set variables of this shell.
	output=$(mktemp)
	"$@" >"$output" 2>&1 </dev/null || status=$?
	if [ "$status" = 0 ]; then
		echo "ok $TAP_NUMBER - $sentence"
	else
		echo "not ok $TAP_NUMBER - $sentence"
		echo "# status $status of: $*"
		tail -n 40 "$output" | sed 's/^/# /'
		TAP_FAILED=$((TAP_FAILED + 1))
	fi
	rm -f "$output"
}

# tap_skip SENTENCE WHY
tap_skip() {
	TAP_NUMBER=$((TAP_NUMBER + 1))
	echo "ok $TAP_NUMBER - $1 # SKIP $2"
}

# tap_end: the last line of a script.
tap_end() {
	[ "$TAP_FAILED" = 0 ]
}

# tap_eq WHAT GOT WANTED
tap_eq() {
	[ "$2" = "$3" ] || {
		echo "$1 is $2, not $3"
		return 1
	}
}

# tap_within WHAT GOT LOW HIGH: integers.
tap_within() {
	[ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || {
		echo "$1 is $2, not within $3..$4"
		return 1
	}
}
