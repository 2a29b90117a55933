#!/bin/bash
# The cables of the laboratory that can be made bad: each harm does what it says, to its direction alone, and no other.
# Time limit: 120 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/wire.sh
. tests/lab/tap.sh

# pings COUNT: "ANSWERS DUPLICATES LONGEST_MS"
pings() {
	lab_in left ping -n -q -i 0.01 -c "$1" -W 1 198.18.1.2 | tee "$LAB/ping" | sed -nE \
		's/.* ([0-9]+) received,( \+([0-9]+) duplicates,)?.*/\1 \3/p; s|^rtt .*/([0-9]+)\.[0-9]+/[0-9.]+ ms.*|\1|p' |
		tr '\n' ' ' | awk '{ print (NF == 3 ? $1 " " $2 " " $3 : $1 " 0 " ($2 == "" ? 0 : $2)) }'
}

clean() {
	lab_wire clear all
	read -r answers twice longest <<<"$(pings 50)"
	tap_eq answers "$answers" 50 && tap_eq duplicates "$twice" 0 && tap_within 'longest time' "$longest" 0 60
}

tcp() {
	local got
	lab_start sink right socat -u TCP-LISTEN:4000,reuseaddr OPEN:"$LAB/sink",creat,trunc
	lab_until 5 sink eval 'lab_in right ss -Hltn "sport = :4000" | grep -q .'
	lab_in left socat -u OPEN:"$LAB/data" TCP:198.18.1.2:4000
	lab_finish sink 20 || return
	got=$(cksum <"$LAB/sink")
	tap_eq 'sum of what came' "$got" "$(cksum <"$LAB/data")"
}

delayed() {
	lab_wire set w both delay_us=40000 || return
	read -r answers twice longest <<<"$(pings 20)"
	tap_eq answers "$answers" 20 && tap_within 'longest time' "$longest" 80 200
}

lossy() {
	lab_wire set w ab loss_ppm=300000 || return
	read -r answers twice longest <<<"$(pings 200)"
	tap_within answers "$answers" 100 180
	tap_eq 'lost of the other direction' "$(lab_wire stats | jq '."w ba".lost')" 0
}

doubled() {
	lab_wire set w ba twice_ppm=500000 || return
	read -r answers twice longest <<<"$(pings 100)"
	tap_within 'answers before ping had its hundred, doubles counted' "$answers" 50 80 && tap_within duplicates "$twice" 25 75
}

# Two datagrams one after the other; those held back arrive behind the next.
reordered() {
	lab_wire set w ab late_ppm=300000 late_us=30000 || return
	lab_start sequence right socat -u UDP-RECV:4001 OPEN:"$LAB/sequence",creat,trunc
	lab_until 5 receiver eval 'lab_in right ss -Hlun "sport = :4001" | grep -q .'
	for i in $(seq 100 299); do echo "$i" && sleep 0.002; done | lab_in left socat -u - UDP-SENDTO:198.18.1.2:4001
	sleep 0.2
	lab_stop sequence || true
	tap_eq 'numbers that came' "$(sort -n "$LAB/sequence" | uniq | wc -l)" 200 || return
	! sort -n -c "$LAB/sequence" 2>/dev/null
}

cut_off() {
	lab_wire set w ab cut=1 || return
	read -r answers twice longest <<<"$(pings 5)"
	tap_eq answers "$answers" 0
}

# multicast FROM TO: whether a datagram to a group comes through.
multicast() {
	lab_start listener "$2" socat -u UDP-RECV:4002,ip-add-membership=224.0.0.81:eth0 OPEN:"$LAB/group",creat,trunc
	lab_until 5 listener eval 'lab_in '"$2"' ss -Hlun "sport = :4002" | grep -q .'
	for _ in 1 2 3; do
		echo here | lab_in "$1" socat -u - UDP-SENDTO:224.0.0.81:4002,ip-multicast-if="$3"
		sleep 0.05
	done
	lab_stop listener || true
	grep -q here "$LAB/group"
}

multicast_one_way() {
	lab_wire set w ab mcast_cut=1 || return
	read -r answers twice longest <<<"$(pings 5)"
	tap_eq 'answers to unicast' "$answers" 5 || return
	multicast right left 198.18.1.2 || return
	! multicast left right 198.18.1.1
}

refused() {
	! lab_wire set nothing ab cut=1 && ! lab_wire set w aside cut=1 && ! lab_wire set w ab colour=1 &&
		! lab_wire set w ab cut=x && ! lab_wire clear nothing && ! lab_wire dance
}

set -e
lab_open
lab_ns left right
lab_wire_cable left eth0 right eth0 w
lab_address left eth0 198.18.1.1/24
lab_address right eth0 198.18.1.2/24
head -c 3000000 /dev/urandom >"$LAB/data"
lab_wire_start 7
lab_until 10 'the first answer' lab_in left ping -c 1 -W 1 198.18.1.2
set +e

tap_plan 10
tap 'a cable without harm passes everything, once and at once' clean
tap 'a megabyte of TCP comes through a cable as it was' tcp
tap 'delay holds every frame, both ways' delayed
tap 'loss takes its part, one way alone' lossy
tap 'duplicates come twice' doubled
tap 'frames held back are overtaken and none is lost' reordered
tap 'a cut passes nothing' cut_off
tap 'multicast is cut one way while unicast and the other way pass' multicast_one_way
tap 'nonsense is refused' refused
tap 'what was cleared passes everything again' clean
tap_end
