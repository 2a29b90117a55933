#!/bin/bash
# Checks of the tree itself: modes, and paths of a developer's machine.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0

say() {
	echo "$*" >&2
	status=1
}

mapfile -t files < <(git ls-files 2>/dev/null)
for file in "${files[@]}"; do
	[ -e "$file" ] || continue
	if [ "$(stat -c %A "$file" | cut -c9)" = w ] && [ ! -L "$file" ]; then
		say "$file: world-writable"
	fi
	case $(head -c 2 "$file" | tr -d '\0') in
	'#!') [ -x "$file" ] || say "$file: starts with #! and is not executable" ;;
	esac
done
top=$(dirname "$PWD")
if [ "$top" != / ] && git grep -nIE "(^|[[:space:]\"'=:(])$top/" -- . >&2; then
	say "a path of this machine is in the tree"
fi
exit $status
