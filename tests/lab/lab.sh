# Network laboratory of the demonstration and of the end-to-end tests: namespaces, cables, processes, waiting, and an end
# that leaves nothing behind. To be sourced by bash; the functions fail by return status, so that `set -e` ends the script.
#
# Everything a lab makes carries its id: namespaces $LAB_ID-name, files under $LAB (in /run, for root alone, because EAL
# refuses a driver below a world-writable folder) and, in memory, under $LAB_STATE. Two labs never meet. Nothing is made in the caller's namespace.
# shellcheck shell=bash

LAB=     # folder of this lab
LAB_STATE= # in memory
LAB_ID=  # prefix of its namespaces
declare -A LAB_PIDS=() # name of a process -> pid
LAB_NAMESPACES=()

# Makes the lab's folder and arranges for its removal at the end of the script, whichever way it ends.
lab_open() {
	[ "$(id -u)" = 0 ] || {
		echo "lab: network namespaces need root" >&2
		return 1
	}
	LAB=$(mktemp -d /run/slu.XXXXXX)
	LAB_ID=${LAB#/run/}
	LAB_ID=${LAB_ID/./}
	LAB_STATE=/dev/shm/$LAB_ID
	mkdir -m 700 "$LAB_STATE"
	mkdir "$LAB/log"
	trap lab_close EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# Ends the processes, then removes namespaces (and with them veths, bridges, TAPs) and files. Keeps the exit status.
lab_close() {
	local status=$? name pid
	trap - EXIT
	trap '' HUP INT TERM
	set +e
	for name in "${!LAB_PIDS[@]}"; do
		kill -TERM "${LAB_PIDS[$name]}" 2>/dev/null
		kill -CONT "${LAB_PIDS[$name]}" 2>/dev/null
	done
	for name in "${!LAB_PIDS[@]}"; do
		lab_wait_pid "${LAB_PIDS[$name]}" 3 || kill -KILL "${LAB_PIDS[$name]}" 2>/dev/null
	done
	for name in "${LAB_NAMESPACES[@]}"; do
		# What a process of ours started in turn, and left.
		for pid in $(ip netns pids "$name" 2>/dev/null); do
			[ "$pid" = "$BASHPID" ] || kill -KILL "$pid" 2>/dev/null
		done
		ip netns delete "$name"
	done
	wait 2>/dev/null
	if [ -n "${LAB_KEEP_LOGS:-}" ]; then
		mkdir -p "$LAB_KEEP_LOGS" && cp "$LAB"/log/* "$LAB_KEEP_LOGS"/ 2>/dev/null
	fi
	rm -rf "$LAB" "$LAB_STATE"
	exit "$status"
}

# lab_ns NAME...: network namespaces with loopback and without IPv6 router discovery or address collisions.
lab_ns() {
	local name
	for name in "$@"; do
		ip netns add "$LAB_ID-$name"
		LAB_NAMESPACES+=("$LAB_ID-$name")
		ip -n "$LAB_ID-$name" link set lo up
		lab_in "$name" sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.default.router_solicitations=0
	done
}

# lab_in NAMESPACE COMMAND...: runs the command there; as the last command of a subshell it replaces it.
lab_in() {
	local name=$1
	shift
	nsenter --net="/run/netns/$LAB_ID-$name" -- "$@"
}

# lab_cable NS_A DEV_A NS_B DEV_B: a veth pair, both ends up, offloads off at side A (a test host's), so that its frames
# look like those of a wire; side B keeps what its owner asks for.
lab_cable() {
	ip link add name "$2" netns "$LAB_ID-$1" type veth peer name "$4" netns "$LAB_ID-$3"
	lab_in "$1" ethtool -K "$2" tx off gso off tso off gro off >/dev/null 2>&1 || true
	ip -n "$LAB_ID-$1" link set dev "$2" up
	ip -n "$LAB_ID-$3" link set dev "$4" up
}

# lab_mute NS DEV: the kernel there neither speaks nor listens on DEV; it belongs to a raw socket.
lab_mute() {
	lab_in "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
	lab_in "$1" ethtool -K "$2" gro off >/dev/null 2>&1 || true
	ip -n "$LAB_ID-$1" link set dev "$2" arp off
}

# lab_bridge NS BRIDGE DEV...: a switch with these ports.
lab_bridge() {
	local ns=$1 bridge=$2 dev
	shift 2
	ip -n "$LAB_ID-$ns" link add name "$bridge" type bridge mcast_snooping 0
	ip -n "$LAB_ID-$ns" link set dev "$bridge" up
	lab_in "$ns" sysctl -qw "net.ipv6.conf.$bridge.disable_ipv6=1"
	for dev in "$@"; do
		lab_in "$ns" sysctl -qw "net.ipv6.conf.$dev.disable_ipv6=1"
		ip -n "$LAB_ID-$ns" link set dev "$dev" master "$bridge"
	done
}

# lab_address NS DEV ADDRESS/PREFIX...
lab_address() {
	local ns=$1 dev=$2 address
	shift 2
	for address in "$@"; do
		ip -n "$LAB_ID-$ns" address add "$address" dev "$dev"
	done
}

# lab_start NAME NAMESPACE COMMAND...: starts a process in the background; its output goes to $LAB/log/NAME.log.
lab_start() {
	local name=$1 ns=$2
	shift 2
	nsenter --net="/run/netns/$LAB_ID-$ns" -- "$@" >>"$LAB/log/$name.log" 2>&1 </dev/null &
	LAB_PIDS[$name]=$!
}

# lab_install FOLDER PROGRAM: the agent that is installed there from now on, with the card's driver.
lab_install() {
	install -D -m 755 "$2" "$1/bin/sluiced"
	[ ! -e "$LAB_BUILD/lib/librte_net_sluice.so" ] || install -D -m 755 "$LAB_BUILD/lib/librte_net_sluice.so" "$1/lib/librte_net_sluice.so"
}

# lab_installed FOLDER: the agent that is installed there; if there is none, the one of this build.
lab_installed() {
	if [ -e "$1/bin/sluiced" ]; then
		echo "$1/bin/sluiced"
	else
		echo "$LAB_BUILD/bin/sluiced"
	fi
}

lab_alive() {
	local state
	state=$(ps -o stat= -p "${LAB_PIDS[$1]:-0}" 2>/dev/null) || return 1
	[[ $state != Z* ]]
}

# lab_signal NAME SIGNAL
lab_signal() {
	kill -"$2" "${LAB_PIDS[$1]}"
}

# lab_wait_pid PID SECONDS: waits for the end of a process of this shell.
lab_wait_pid() {
	local deadline=$((SECONDS + $2))
	while kill -0 "$1" 2>/dev/null && [[ $(ps -o stat= -p "$1") != Z* ]]; do
		((SECONDS <= deadline)) || return 1
		sleep 0.05
	done
}

# lab_stop NAME [SECONDS]: SIGTERM, and SIGKILL when it has not ended by then. Returns its exit status.
lab_stop() {
	local pid=${LAB_PIDS[$1]:-} status=0
	[ -n "$pid" ] || return 0
	unset "LAB_PIDS[$1]"
	kill -TERM "$pid" 2>/dev/null || true
	lab_wait_pid "$pid" "${2:-10}" || {
		echo "lab: $1 did not end on SIGTERM" >&2
		kill -KILL "$pid" 2>/dev/null || true
	}
	wait "$pid" 2>/dev/null || status=$?
	return $status
}

# lab_kill NAME: SIGKILL, and waits until it is gone.
lab_kill() {
	local pid=${LAB_PIDS[$1]:-}
	[ -n "$pid" ] || return 0
	unset "LAB_PIDS[$1]"
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

# lab_finish NAME SECONDS: waits for a process to end by itself; returns its exit status, 124 when it did not end.
lab_finish() {
	local pid=${LAB_PIDS[$1]} status=0
	lab_wait_pid "$pid" "$2" || return 124
	unset "LAB_PIDS[$1]"
	wait "$pid" || status=$?
	return $status
}

# lab_until SECONDS WHAT COMMAND...: repeats the command until it succeeds; says what was waited for when it never does.
lab_until() {
	local seconds=$1 what=$2 begin=$EPOCHREALTIME
	shift 2
	until "$@" >/dev/null 2>&1; do
		if (($(lab_us_since "$begin") > seconds * 1000000)); then
			echo "lab: waited $seconds s in vain: $what" >&2
			return 1
		fi
		sleep 0.05
	done
}

# lab_us_since EPOCHREALTIME: microseconds passed.
lab_us_since() {
	local now=$EPOCHREALTIME
	echo $((${now/[.,]/} - ${1/[.,]/}))
}

# lab_nginx NAME NAMESPACE LISTEN...: one nginx process that serves $LAB/www and says its NAME; LISTEN as in nginx.conf.
lab_nginx() {
	local name=$1 ns=$2 listen
	shift 2
	mkdir -p "$LAB/www" "$LAB/$name"
	{
		echo "daemon off; master_process off; pid $LAB/$name/pid; error_log $LAB/log/$name.log warn;"
		echo 'events { worker_connections 4096; }'
		echo 'http {'
		echo 'access_log off; keepalive_requests 1000000; sendfile on; default_type application/octet-stream;'
		for listen in client_body proxy fastcgi uwsgi scgi; do
			echo "${listen}_temp_path $LAB/$name/$listen;"
		done
		echo 'server {'
		for listen in "$@"; do
			echo "listen $listen reuseport backlog=8192;"
		done
		echo "root $LAB/www;"
		echo "location = / { return 200 '$name\n'; }"
		echo "location = /who { return 200 '\$remote_addr\\n'; }"
		echo "location = /caller { return 200 '\$proxy_protocol_addr \$proxy_protocol_port\\n'; }"
		echo 'location = /slow { alias '"$LAB/www/slow"'; limit_rate 200k; }'
		echo '} }'
	} >"$LAB/$name/nginx.conf"
	lab_start "$name" "$ns" nginx -p "$LAB/$name" -c "$LAB/$name/nginx.conf"
}
