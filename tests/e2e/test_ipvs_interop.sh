#!/bin/bash
# Session sync with the real Linux IPVS, in a kernel of its own (tests/lab/uml.sh).
# Time limit: 120 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/uml.sh
. tests/lab/tap.sh

director_address=198.18.9.50 node_address=198.18.9.1

# The kernel's table, as long as the last datagram has not been read yet again.
kernel_has() {
	lab_uml director ipvsadm -Lnc >"$LAB/kernel" && grep -qF " $1 " "$LAB/kernel"
}

# Which rows of the table has this verdict of the kernel's.
kernel_says() {
	tests/lab/ipvs_sync.py table "$LAB/kernel" "$LAB/kernel" | awk -F '\t' -v sentence="$1" '$2 == sentence { print $3 }'
}

set -e
lab_open
LAB_KEEP_LOGS=${LAB_BUILD:-build}/tests/log/ipvs_interop
lab_ns sync
lab_uml_start director sync lvs0
ip -n "$LAB_ID-sync" address add $node_address/24 dev lvs0
lab_uml director "ip address add $director_address/24 dev vec0 && ip link set vec0 up &&
	ipvsadm --start-daemon backup --mcast-interface vec0 --syncid 7"
set +e

tap_plan 4
lab_in sync tests/lab/ipvs_sync.py send $node_address
tap 'a kernel reads what is sent to its sync group' lab_until 10 'the last session' kernel_has "$(tests/lab/ipvs_sync.py last)"
tap 'it takes well-formed sessions' tap_eq verdict "$(kernel_says 'three sessions')" taken
tap 'it drops a session with an unknown mandatory parameter' \
	tap_eq verdict "$(kernel_says 'an unknown mandatory parameter')" 'session dropped'
tap "it ignores another group's" tap_eq verdict "$(kernel_says 'another group')" ignored
tap_end
