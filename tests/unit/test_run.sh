#!/bin/bash
# The test runner itself: what a broken suite does must never look like success.
set -u
cd "$(dirname "$0")/../.." || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
number=0

# suite NAME: the text of a suite on standard input.
suite() {
	{
		echo '#!/bin/bash'
		cat
	} >"$folder/$1"
	chmod +x "$folder/$1"
}

# expect SENTENCE STATUS LAST_LINE [KIND:]SUITE...: runs the runner on the suites.
expect() {
	local sentence=$1 status=$2 last=$3 got output
	shift 3
	number=$((number + 1))
	output=$(tests/run --log "$folder/log" --limit quick=1 "$@" 2>&1)
	got=$?
	if [ "$got" = "$status" ] && [ "$(tail -n 1 <<<"$output")" = "$last" ]; then
		echo "ok $number - $sentence"
	else
		echo "not ok $number - $sentence"
		printf 'status %s\n%s\n' "$got" "$output" | sed 's/^/# /'
	fi
}

echo 1..17
suite good <<<'echo 1..2; echo ok 1 - a; echo ok 2 - b'
suite bad <<<'echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1'
suite skips <<<'echo 1..2; echo ok 1 - a; echo "not ok 2 # SKIP b"'
suite skips_all <<<'echo "1..0 # SKIP the machine has none"'
suite none <<<'echo 1..0'
suite plan_last <<<'echo ok 1 - a; echo 1..1'
suite groups <<<'echo 1..1; echo ok 1 - a; echo 1..2; echo ok 1 - b; echo ok 2 - c'
suite short_group <<<'echo 1..2; echo ok 1 - a; echo 1..1; echo ok 1 - b'
suite silent <<<'exit 0'
suite no_plan <<<'echo ok 1 - a'
suite early <<<'echo 1..3; echo ok 1 - a; exit 0'
suite crash <<<'echo 1..1; echo ok 1 - a; kill -SEGV $$'
suite error <<<'echo 1..1; echo ok 1 - a; exit 3'
suite twice <<<'echo 1..2; echo ok 1 - a; echo ok 1 - a'
suite slow <<<'echo 1..1; echo ok 1 - a; sleep 30'
suite orphan <<<'echo 1..1; echo ok 1 - a; sleep 30 >/dev/null 2>&1 & exit 0'

expect 'tests that pass are counted' 0 '2 passed, 0 failed' unit:"$folder/good"
expect 'a failed test fails the run' 1 '1 passed, 1 failed' unit:"$folder/bad"
expect 'a skipped test is counted apart' 0 '1 passed, 0 failed, 1 skipped' unit:"$folder/skips"
expect 'a suite that is skipped as a whole is counted' 0 '2 passed, 0 failed, 1 skipped' unit:"$folder/skips_all" unit:"$folder/good"
expect 'a suite without tests that does not say why fails' 1 '0 passed, 1 failed' unit:"$folder/none"
expect 'a plan may stand at the end' 0 '1 passed, 0 failed' unit:"$folder/plan_last"
expect 'groups with a plan each add up' 0 '3 passed, 0 failed' unit:"$folder/groups"
expect 'a group that is short fails' 1 '2 passed, 1 failed' unit:"$folder/short_group"
expect 'a suite that prints nothing fails' 1 '0 passed, 1 failed' unit:"$folder/silent"
expect 'a suite without a plan fails' 1 '1 passed, 2 failed' unit:"$folder/no_plan"
expect 'a suite that ends early fails' 1 '1 passed, 1 failed' unit:"$folder/early"
expect 'a suite that crashes after its last test fails' 1 '1 passed, 1 failed' unit:"$folder/crash"
expect 'an exit status that no test explains fails' 1 '1 passed, 1 failed' unit:"$folder/error"
expect 'a test number that comes twice fails' 1 '2 passed, 1 failed' unit:"$folder/twice"
expect 'a suite that hangs is ended and fails' 1 '1 passed, 1 failed' quick:"$folder/slow"
expect 'a process left behind is ended and fails' 1 '1 passed, 1 failed' unit:"$folder/orphan"
expect 'a suite that is not there fails, the others run' 1 '2 passed, 1 failed' unit:"$folder/none" unit:"$folder/good"
