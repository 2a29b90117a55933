#!/bin/bash
# The laboratory itself: however a script ends, nothing of its lab stays.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/tap.sh

# Ends a lab of two namespaces and three processes in the way that is asked for, and looks for remains.
ends() {
	local how=$1 wanted=$2 status=0 folder id pids pid state
	folder=$(mktemp -d)
	bash -c '
		set -eu
		. tests/lab/lab.sh
		lab_open
		lab_ns a b
		lab_cable a eth0 b eth0
		lab_address a eth0 198.18.1.1/24
		lab_address b eth0 198.18.1.2/24
		lab_nginx web b 80
		lab_until 5 "nginx" lab_in a curl -sf http://198.18.1.2/
		lab_start stubborn a bash -c "trap : TERM; echo \$\$ >$2/stubborn; while :; do sleep 0.2; done"
		lab_start parent a bash -c "sleep 1000 & echo \$! >$2/child; wait"
		lab_until 5 "the processes" test -s "$2/child" -a -s "$2/stubborn"
		echo "$LAB" >"$2/lab"
		echo "${LAB_PIDS[*]}" >"$2/pids"
		case $1 in
		end) ;;
		error) false ;;
		*) kill -"$1" $$; sleep 20 ;;
		esac
	' lab "$how" "$folder" || status=$?
	tap_eq 'exit status' "$status" "$wanted" || return 1
	id=$(basename "$(cat "$folder/lab")")
	pids="$(cat "$folder/pids" "$folder/child" "$folder/stubborn")"
	rm -r "$folder"
	[ ! -e "/run/$id" ] || {
		echo "/run/$id is left"
		return 1
	}
	[ ! -e "/dev/shm/${id/./}" ] || {
		echo "/dev/shm/${id/./} is left"
		return 1
	}
	if ip netns list | grep -F "${id/./}-"; then
		return 1
	fi
	for pid in $pids; do
		state=$(ps -o stat= -p "$pid") || continue
		[[ $state == Z* ]] || {
			echo "process $pid is left: $(ps -o args= -p "$pid")"
			return 1
		}
	done
}

tap_plan 4
tap 'a lab whose script ends leaves nothing' ends end 0
tap 'a lab whose script fails leaves nothing' ends error 1
tap 'a lab whose script is interrupted leaves nothing' ends INT 130
tap 'a lab whose script is terminated leaves nothing' ends TERM 143
tap_end
