# Upgrades of an agent under stamped traffic: for the tests and the demonstration. To be sourced after lab.sh, balancer.sh,
# stamp.sh and traffic.sh.
# shellcheck shell=bash

LAB_NEXT=${LAB_BUILD:-build}/tests/lab/sluiced-next # the next build: it says so

# upgrade_lab card|plain: a node with this build installed; TCP and UDP at 4001, which goes to the card, and at 4002, which does not.
upgrade_lab() {
	local b
	"lab_$1"
	for b in 1 2 3; do
		lab_stamp_serve "b$b" "$b" 4001
	done
	upgrade_services | lab_config
	lab_install "$LAB" "$LAB_BUILD/bin/sluiced"
	lab_agent
}

upgrade_services() {
	local f port protocol vip offload
	echo 'groups:'
	lab_group g4 4 4001
	lab_group g6 6 4001
	echo 'listeners:'
	for f in 4 6; do
		vip=198.18.1.100
		[ $f = 4 ] || vip=fd00:1::100
		for port in 4001 4002; do
			offload='{enabled: false}'
			[ $port = 4002 ] || offload='{enabled: true, threshold_packets: 3}'
			for protocol in tcp udp; do
				echo "  - {name: $protocol$f-$port, address: \"$vip\", protocol: $protocol, ports: $port," \
					"mode: fullnat, group: g$f, offload: $offload}"
			done
		done
	done
}

# As many connections and flows as start_traffic has, to two ports: stream c to the card's, s to the other.
upgrade_traffic() {
	local name port vip targets
	for name in c s; do
		port=4001 targets=()
		[ $name = c ] || port=4002
		for vip in 198.18.1.100 fd00:1::100; do
			targets+=(--tcp "$vip,$port,50" --udp "$vip,$port,10")
		done
		lab_stamp $name client "${targets[@]}" --interval "${INTERVAL_MS:-100}" --rate 1000 --ramp 2000
		LAB_STREAMS+=("$name")
	done
}

# upgrade_in_place: puts the next build in the place of the one that is installed, then of the one that runs.
upgrade_in_place() {
	local old=${LAB_PIDS[agent]} status=0
	lab_install "$LAB" "$LAB_NEXT"
	lab_agent --take-over || return 1
	wait "$old" || status=$?
	[ $status = 0 ] || {
		echo "the old agent ended with status $status"
		return 1
	}
	# Its API answered until the new one's did.
	lab_until 10 'the new agent' eval '[ "$(LAB_CTL version)" = "sluiced the next one" ]'
}

# upgrade_gaps: since the last fault, of each kind.
upgrade_gaps() {
	echo "$(lab_stamp_tell c gap) ms for flows of port 4001, $(lab_stamp_tell s gap) ms for those of port 4002 (software)"
}

# What the agent that took over says of the time.
upgrade_said() {
	grep -o 'took over: .*' "$LAB/log/agent.log" | tail -n 1
}

# gap_of STREAM below MS
gap_of() {
	local gap
	gap=$(lab_stamp_tell "$1" gap)
	[ "$gap" -lt "$3" ] || {
		echo "the longest gap of $1 is $gap ms"
		return 1
	}
}

# cluster_upgrade NODE-NUMBER PROGRAM REVISION: out of the traffic, another build, back into it.
cluster_upgrade() {
	local n=$1
	lab_ctl "n$n" node drain --wait 30 || return 1
	lab_stop "n$n" || return 1
	lab_install "$LAB/n$n" "$2"
	sed -i "s/^  revision: .*/  revision: $3/" "$LAB/n$n/sluiced.yaml"
	lab_agent_begin "$n"
	lab_until 30 "n$n announces itself" lab_ctl "n$n" node announces || return 1
	lab_until 15 'the cluster is whole again' cluster_is_whole
}
