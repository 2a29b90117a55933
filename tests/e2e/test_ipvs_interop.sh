#!/bin/bash
# Session sync with the real Linux IPVS, in a kernel of its own (tests/lab/uml.sh): datagrams, well-formed and not, get the
# same verdict from both. The kernel is the arbiter.
# Time limit: 120 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/uml.sh
. tests/lab/tap.sh

codec=${LAB_BUILD:-build}/tests/lab/sync_datagram
vector_file=tests/vectors/sync/datagrams.txt
director_address=198.18.9.50 node_address=198.18.9.1 group=7

kernel_has() {
	lab_uml director ipvsadm -Lnc >"$LAB/kernel" && grep -qF " $1 " "$LAB/kernel"
}

# tell FILE: sends its datagrams to the kernel.
tell() {
	lab_in sync tests/lab/ipvs_sync.py send $node_address <"$1"
}

# told_from_scratch FILE: tells a kernel that has forgotten everything the datagrams of FILE, and one behind them that it
# certainly takes.
told_from_scratch() {
	# Only without its module it forgets all sessions.
	lab_uml director "ipvsadm --stop-daemon backup; rmmod ip_vs_pe_sip; rmmod ip_vs && modprobe -a -d /tmp/kernel ip_vs_pe_sip &&
		ipvsadm --start-daemon backup --mcast-interface vec0 --syncid $group" || return 1
	tell "$1"
	"$codec" encode $group plain <<<'client=198.19.255.9 cport=9 virtual=198.18.1.100 vport=80 backend=198.18.2.11 bport=80' >"$LAB/last"
	tell "$LAB/last"
	lab_until 30 'the last session in the kernel' kernel_has 198.19.255.9:9
}

# kernel_after FILE: then $LAB/kernel is what it has. The shortest time-out is 10 s: on a busy machine it is asked again.
kernel_after() {
	local _ begin
	for _ in 1 2 3 4 5; do
		begin=$EPOCHREALTIME
		told_from_scratch "$1" || return 1
		(($(lab_us_since "$begin") > 8000000)) || return 0
	done
	echo 'this machine is too slow: what the kernel takes has expired before it can be read'
	return 1
}

# row KERNEL OURS DIFFERENCE: of the table of cases.
row() {
	echo "the kernel: $1, Sluice: $2"
	tap_eq 'the difference' "$3" same
}

# A FULLNAT session as Sluice tells it, between two in NAT mode.
fullnat_between_nat() {
	local nat='virtual=198.18.1.100 vport=80 backend=198.18.2.11 bport=80'
	local nat6='virtual=fd00:1::100 vport=80 backend=fd00:2::11 bport=80'
	printf '%s\n' "client=198.18.98.1 cport=1 $nat" "client=198.18.98.1 cport=2 mode=fullnat local=198.18.2.100 lport=1025 $nat" \
		"client=198.18.98.1 cport=3 $nat" "client=fd00:98::1 cport=1 $nat6" \
		"client=fd00:98::1 cport=2 mode=fullnat local=fd00:2::100 lport=1025 $nat6" "client=fd00:98::1 cport=3 $nat6"
}

fullnat_is_dropped_alone() {
	fullnat_between_nat | "$codec" encode $group >"$LAB/fullnat" && kernel_after "$LAB/fullnat" || return 1
	tap_eq 'what the kernel took' "$(awk '$4 ~ /^(198.18.98.1|\[fd00:98::1\]):/ { print $4 }' "$LAB/kernel" | sort | tr '\n' ' ')" \
		'198.18.98.1:1 198.18.98.1:3 [fd00:98::1]:1 [fd00:98::1]:3 '
}

set -e
lab_open
LAB_KEEP_LOGS=${LAB_BUILD:-build}/tests/log/ipvs_interop
tests/lab/ipvs_sync.py hex >"$LAB/cases"
tests/lab/ipvs_sync.py vectors $vector_file >"$LAB/vectors"
tap_plan $((3 + $(wc -l <"$LAB/cases") + $(wc -l <"$LAB/vectors")))
lab_ns sync
lab_uml_start director sync lvs0
ip -n "$LAB_ID-sync" address add $node_address/24 dev lvs0
lab_uml director "ip address add $director_address/24 dev vec0 && ip link set vec0 up"
set +e

tap "the kernel reads each of $(wc -l <"$LAB/cases") datagrams that Sluice's code has not written" kernel_after "$LAB/cases"
"$codec" decode $group <"$LAB/cases" >"$LAB/decoded"
while IFS=$'\t' read -r sentence kernel ours difference; do
	tap "$sentence: $kernel" row "$kernel" "$ours" "$difference"
done < <(tests/lab/ipvs_sync.py table "$LAB/kernel" "$LAB/decoded")

tap "the kernel reads each of $(wc -l <"$LAB/vectors") vectors of the unit tests" kernel_after "$LAB/vectors"
while IFS=$'\t' read -r sentence kernel expected; do
	tap "$sentence The kernel takes $kernel" tap_eq 'sessions that the kernel takes' "$kernel" "$expected"
done < <(tests/lab/ipvs_sync.py count "$LAB/kernel" $vector_file)

tap 'of a datagram, the kernel drops the FULLNAT sessions alone and takes those behind them' fullnat_is_dropped_alone
tap_end
