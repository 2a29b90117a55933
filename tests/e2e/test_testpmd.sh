#!/bin/bash
# Debian's own dpdk-testpmd with the card's driver loaded as a plugin, on the simulated card.
# Time limit: 240 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/tap.sh

build=${LAB_BUILD:-build}
testpmd_log=

# testpmd's command line takes no more than 512 characters: patterns and actions are written short.
match4='eth / ipv4 src is 198.18.1.10 dst is 198.18.1.100 / tcp src is 1234 dst is 80'
match4_data="$match4 flags spec 0 flags mask 7"
match6='eth / ipv6 src is fd00:1::10 dst is fd00:1::100 / udp src is 1234 dst is 80'
set_value() {
	echo "modify_field op set dst_type $1 src_type value src_value $2 width $3 /"
}
modern_dst="$(set_value ipv4_dst c612020b 32) $(set_value tcp_port_dst 1f90 16)"
modern_ttl='modify_field op sub dst_type ipv4_ttl src_type value src_value 01 width 8 /'
modern_end='count / represented_port ethdev_port_id 1 / end'
legacy='set_ipv4_dst ipv4_addr 198.18.2.11 / set_tp_dst port 8080 / set_mac_dst mac_addr 02:bb:00:00:00:01 / dec_ttl'

# pmd COMMAND: gives testpmd a command and shows what it says to it.
pmd() {
	local before
	before=$(wc -c <"$testpmd_log")
	printf '%s\n' "$1" >&7
	# The answer to a second command marks the end of the first one's.
	printf 'show port %s fec capabilities\n' 99 >&7
	lab_until 20 "testpmd's answer to $1" answered "$before"
	tail -c +$((before + 1)) "$testpmd_log"
}

answered() {
	tail -c +$(($1 + 1)) "$testpmd_log" | grep -q 'Invalid port id 99'
}

# says WORDS COMMAND: the answer to the command contains the words.
says() {
	local answer
	answer=$(pmd "$2")
	echo "$answer"
	[[ $answer == *"$1"* ]]
}

wire() {
	lab_in hosts tests/e2e/testpmd_wire.py "$@"
}

# counts RULE PACKETS: `flow query` shows it.
counts() {
	local answer
	answer=$(pmd "flow query 0 $1 count")
	echo "$answer"
	[[ $answer == *"hits: $2"[[:space:]]* ]]
}

# start_testpmd [DEVICE_ARGUMENTS]
start_testpmd() {
	rm -f "$LAB/commands" "$LAB/log/testpmd.log"
	mkfifo "$LAB/commands"
	testpmd_log=$LAB/log/testpmd.log
	lab_start testpmd hosts bash -c "exec stdbuf -oL dpdk-testpmd -l 0,1 --no-huge -m 256 --no-pci --file-prefix $LAB_ID \
		-d $LAB/librte_net_sluice.so --vdev net_sluice0,sock=$LAB/nic.sock${1:-} -- -i --total-num-mbufs=8192 \
		--forward-mode=io --rxq=2 --txq=2 <$LAB/commands"
	exec 7>"$LAB/commands"
	lab_until 30 'testpmd is up' grep -q 'Checking link statuses' "$testpmd_log"
}

start_card() {
	lab_start card card "$build/bin/sluice-nic" --socket "$LAB/nic.sock" --wire 0=packet:w0 --wire 1=packet:w1
	lab_until 10 "the card's socket" test -S "$LAB/nic.sock"
}

both_ports() {
	local answer
	answer=$(pmd 'show port summary all')
	echo "$answer"
	[[ $answer == *net_sluice0_p0*up*net_sluice0_p1*up* ]]
}

forwards() {
	pmd 'start' >/dev/null
	wire e0 e1 tcp4 40 dst=198.18.1.100 ttl=64 && wire e1 e0 udp6 40 dst=fd00:1::100 ttl=64
}

modern_rule() {
	says 'Flow rule validated' "flow validate 0 transfer pattern $match4 / end actions $modern_dst $modern_ttl $modern_end" &&
		says 'Flow rule #0 created' "flow create 0 transfer pattern $match4 / end actions $modern_dst $modern_ttl $modern_end"
}

legacy_rule() {
	says 'Flow rule validated' "flow validate 0 ingress pattern $match4_data / end actions $legacy / count / port_id id 1 / end" &&
		says 'Flow rule #0 created' "flow create 0 ingress pattern $match4_data / end actions $legacy / count / port_id id 1 / end"
}

destroy() {
	says "Flow rule #$1 destroyed" "flow destroy 0 rule $1"
}

ipv6_rule() {
	local actions="set_ipv6_src ipv6_addr fd00:2::100 / set_ipv6_dst ipv6_addr fd00:2::11 / set_tp_dst port 53 / dec_ttl / count / port_id id 1 / end"
	says 'Flow rule #0 created' "flow create 0 ingress pattern $match6 / end actions $actions" &&
		wire e0 e1 udp6 30 dst=fd00:2::11 src=fd00:2::100 dport=53 ttl=63 && counts 0 30 && destroy 0
}

drop_rule() {
	says 'Flow rule #0 created' "flow create 0 ingress pattern $match4 / end actions drop / count / end" &&
		wire e0 e1 tcp4 5 seen=none && counts 0 5 && destroy 0
}

one_arm() {
	says 'Flow rule #0 created' "flow create 0 ingress pattern $match4 / end actions set_tp_dst port 81 / count / port_id id 0 / end" &&
		wire e0 e0 tcp4 20 dport=81 ttl=64 && counts 0 20 && destroy 0
}

refused() {
	local reason=$1 command=$2
	says "$reason" "flow validate 0 $command"
}

templates() {
	pmd 'stop'
	pmd 'port stop all'
	says 'Configure flows on port 0' \
		'flow configure 0 queues_number 1 queues_size 64 counters_number 0 aging_counters_number 0 meters_number 0 flags 0'
	pmd 'port start all'
	pmd 'start'
	pmd 'flow pattern_template 0 create ingress pattern_template_id 1 template eth / ipv4 src mask 255.255.255.255 dst mask 255.255.255.255 / tcp src mask 0xffff dst mask 0xffff / end'
	pmd 'flow actions_template 0 create ingress actions_template_id 1 template set_tp_dst port 8081 / count / port_id id 1 / end mask set_tp_dst port 0xffff / count / port_id id 1 / end'
	pmd 'flow template_table 0 create table_id 1 group 0 priority 0 ingress rules_number 64 pattern_template 1 actions_template 1'
	says 'Flow rule #0 creation enqueued' "flow queue 0 create 0 template_table 1 pattern_template 0 actions_template 0 postpone no pattern $match4 / end actions set_tp_dst port 8081 / count / port_id id 1 / end" || return 1
	says 'succeeded' 'flow push 0 queue 0' || true
	lab_until 5 'the rule is in the card' says '1 operations' 'flow pull 0 queue 0' || true
	wire e0 e1 tcp4 10 dport=8081 ttl=64 && counts 0 10 || return 1
	says 'enqueued' 'flow queue 0 destroy 0 postpone no rule 0'
	pmd 'flow pull 0 queue 0'
	wire e0 e1 tcp4 10 dport=80 ttl=64
}

aged() {
	says 'Flow rule #0 created' "flow create 0 ingress pattern $match4 / end actions age timeout 1 / drop / end" || return 1
	sleep 3
	says 'Total number of aged flows: 1' 'flow aged 0 destroy'
	says 'Flow rule #0 not found' 'flow query 0 0 count'
}

restart() {
	for _ in 1 2 3; do
		pmd 'stop'
		pmd 'port stop all'
		pmd 'port start all'
		pmd 'start'
		wire e0 e1 tcp4 20 dst=198.18.1.100 ttl=64 || return 1
		wire e1 e0 tcp4 20 dst=198.18.1.100 ttl=64 || return 1
	done
}

# A rule in the card, the host killed, and another host that takes over.
warm_restart() {
	local rule="flow create 0 ingress pattern $match4_data / end actions $legacy / count / port_id id 1 / end"
	says 'Flow rule #0 created' "$rule" || return 1
	lab_kill testpmd
	exec 7>&-
	wire e0 e1 tcp4 20 dst=198.18.2.11 dport=8080 ttl=63 || return 1
	start_testpmd ,warm=1 || return 1
	wire e0 e1 tcp4 20 dst=198.18.2.11 dport=8080 ttl=63 || return 1
	says 'Flow rule #0 created' "$rule" || return 1
	says 'table_adopted: 1' 'show port xstats 0' || return 1
	wire e0 e1 tcp4 21 dst=198.18.2.11 dport=8080 ttl=63 && counts 0 61 && destroy 0 || return 1
	pmd start
	wire e0 e1 tcp4 5 dst=198.18.1.100 ttl=64
}

card_gone() {
	# Forwarding ends first: on a removal testpmd starts it again on the ports that are left, and here the next one is gone too.
	pmd 'stop'
	lab_kill card
	says 'Port 0: device removal event' 'show port summary all' || lab_until 5 'removal event' grep -q 'removal event' "$testpmd_log" || return 1
	says 'the card does not answer' "flow create 0 ingress pattern $match4 / end actions drop / end"
	# testpmd closes removed ports on a thread of its own, a tenth of a second later; quitting meanwhile closes them twice.
	sleep 3
	printf 'quit\n' >&7
	lab_finish testpmd 20
}

set -e
lab_open
LAB_KEEP_LOGS=$build/tests/log/testpmd
cp "$build/lib/librte_net_sluice.so" "$LAB/"
lab_ns hosts card
for w in 0 1; do
	lab_cable hosts "e$w" card "w$w"
	lab_in hosts sysctl -qw "net.ipv6.conf.e$w.disable_ipv6=1"
	lab_mute card "w$w"
done
start_card
start_testpmd
set +e

tap_plan 23
tap 'testpmd finds an ethdev for each wire' both_ports
tap 'io mode forwards both ways' forwards
tap 'a rule of modify_field and represented_port is validated and created' modern_rule
tap 'its packets leave the other wire rewritten, checksums right' wire e0 e1 tcp4 61 dst=198.18.2.11 dport=8080 ttl=63 src=198.18.1.10
tap 'flow query counts them' counts 0 61
tap 'TTL 1 goes to the host and is left alone' wire e0 e1 tcp4 1 send.ttl=1 dst=198.18.1.100 ttl=1
tap 'the rule is destroyed' destroy 0
tap 'after that its packets go through the host again' wire e0 e1 tcp4 5 dst=198.18.1.100 ttl=64
tap 'the same rule in the legacy spelling is validated and created' legacy_rule
tap 'its packets leave the same way' wire e0 e1 tcp4 61 dst=198.18.2.11 dport=8080 ttl=63 dmac=02:bb:00:00:00:01
tap 'a SYN goes to the host, as the pattern asks' wire e0 e1 tcp4 1 send.flags=2 dst=198.18.1.100 ttl=64
tap 'a second rule of this pattern is refused' says 'a rule with this pattern is there already' \
	"flow create 0 ingress pattern $match4_data / end actions drop / end"
tap 'the rule is destroyed' destroy 0
tap 'IPv6 and UDP are rewritten and counted' ipv6_rule
tap 'a rule that drops, drops and counts' drop_rule
tap 'a rule sends packets back out of their own wire' one_arm
tap 'an action that the card has not is refused by name' refused 'SET_TTL: the card cannot do this' \
	"ingress pattern $match4 / end actions set_ttl ttl_value 3 / port_id id 1 / end"
tap 'a pattern that is not exact is refused by name' refused 'IPV4: both addresses must be matched in full' \
	"ingress pattern eth / ipv4 src is 198.18.1.10 / tcp src is 1234 dst is 80 / end actions drop / end"
tap 'a rule is created and destroyed through templates and queues' templates
tap 'a rule without packets ages' aged
tap 'queues and rings start again three times' restart
tap 'a killed host leaves the card forwarding, and a warm start adopts the rule with its counters' warm_restart
tap 'the card goes away: testpmd is told, nothing hangs' card_gone
tap_end
