#!/bin/bash
# The shared configuration of two nodes in a real etcd: it reaches both, and they serve while it is away.
# Time limit: 240 s
cd "$(dirname "$0")/../.." || exit 1
. tests/lab/lab.sh
. tests/lab/cluster.sh
. tests/lab/tap.sh

etcd_url=http://198.18.9.100:2379

etcd_start() {
	ETCDCTL_API=3 lab_start etcd etcd etcd --name lab --data-dir "$LAB_STATE/etcd" --listen-client-urls "$etcd_url" \
		--advertise-client-urls "$etcd_url" --listen-peer-urls http://127.0.0.1:2380 \
		--initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster lab=http://127.0.0.1:2380 --log-level error
	lab_until 10 'etcd' lab_in etcd curl -sf "$etcd_url/health"
}

# etcd_post PATH JSON
etcd_post() {
	lab_in etcd curl -sf "$etcd_url$1" -d "$2"
}

node_config() {
	lab_node_config "$1" <<-END
		cluster:
		  id: $1
		  interface: sync0
		  address: 198.18.9.$1
		  key_file: $LAB/key
		  local_prefixes: [$(lab_local4 "$1" 0)/24, "$(lab_local6 "$1" '')/64", $(lab_public4 "$1" 0)/24]
		  etcd: {endpoints: ["http://198.18.9.99:2379", "$etcd_url"], prefix: /lab, lease_ttl_s: 2}
	END
}

# shared WEIGHT LISTENERS: a document of the whole cluster.
shared() {
	local i
	echo 'version: 1'
	echo "groups: [{name: web, backends: [{name: b1, address: 198.18.4.11, port: 80, weight: $1}]}]"
	echo 'listeners:'
	for i in $(seq "$2"); do
		echo "  - {name: l$i, address: 198.18.10.1, protocol: tcp, ports: $((8000 + i)), group: web}"
	done
}

# SNAT with an address of each node, an EIP of the second; 198.18.30.9 is nobody's.
outbound_document() {
	shared 5 2
	echo 'snat: [{name: nat, sources: [198.18.4.0/24], addresses: [198.18.20.10, 198.18.21.10], ports: 2000-2999}]'
	echo "eip: [{name: e, public: $1, private: 198.18.4.11}]"
	echo 'metering: {internal: [198.18.3.0/24]}'
}

# outbound_is PUBLIC HOME: both nodes have the same services, and give out each their own address.
outbound_is() {
	local n
	for n in 1 2; do
		[ "$(lab_ctl n$n outbound --json | jq -c --argjson self $n '
			[.outbound[].addresses[] | [.address, .home, .owner, .own == (.home == $self)]] | sort')" = \
			"$(jq -nc --arg public "$1" --argjson home "$2" '[["198.18.20.10", 1, 1, true], ["198.18.21.10", 2, 2, true],
				[$public, $home, $home, true]] | sort')" ] || return 1
		[ "$(lab_ctl n$n cluster config | jq -c .metering.internal)" = '["198.18.3.0/24"]' ] || return 1
	done
}

outbound_services() {
	local output changes
	changes=$(outbound_document 198.18.21.20 | lab_ctl n1 cluster apply -) || return 1
	grep -q 'snat nat: added' <<<"$changes" && grep -q 'eip e: added' <<<"$changes" || return 1
	lab_until 5 'them on both' outbound_is 198.18.21.20 2 || return 1
	lab_until 5 'one hash' field_is n1 '[.members[].config_hash] | unique | length' 1 || return 1
	# What is shown is what can be put in force again, on the other node.
	lab_ctl n1 cluster config | sed 's/"198.18.21.20"/"198.18.20.20"/' >"$LAB/shared.json"
	lab_ctl n2 cluster apply "$LAB/shared.json" || return 1
	lab_until 5 'the change on both' outbound_is 198.18.20.20 1 || return 1
	output=$(outbound_document 198.18.10.1 | lab_ctl n1 cluster apply - 2>&1) && return 1
	[[ $output == *'eip[0].public: 198.18.10.1 is the address of listener "l1" already'* ]] || {
		echo "$output"
		return 1
	}
	output=$({
		cat "$LAB/n1/sluiced.yaml"
		outbound_document 198.18.21.20 | grep -E '^(snat|eip)'
	} | lab_ctl n1 apply - 2>&1) && return 1
	[[ $output == *'snat: come from etcd'* && $output == *'eip: come from etcd'* ]] || return 1
	# An address of nobody is not refused, for its home may come: it is shown.
	outbound_document 198.18.30.9 | lab_ctl n1 cluster apply - || return 1
	lab_until 5 'nobody' nobody_announces 198.18.30.9 || return 1
	lab_ctl n2 outbound | grep -E '^e +eip +198.18.30.9 +- ' || return 1
	# And without them again.
	apply n2 5 2 && lab_until 5 'none' has_no_outbound
}

nobody_announces() {
	lab_ctl n2 outbound --json | jq -e --arg ip "$1" '[.outbound[].addresses[] | select(.address == $ip)] == [{address: $ip, own: false, home: null, owner: null}]'
}

has_no_outbound() {
	[ "$(lab_ctl n1 outbound --json | jq '.outbound | length')$(lab_ctl n2 outbound --json | jq '.outbound | length')" = 00 ]
}

# has NODE WEIGHT LISTENERS
has() {
	[ "$(lab_ctl "$1" config --json | jq -r '"\(.groups[0].backends[0].weight) \(.listeners | length)"')" = "$2 $3" ]
}

both_have() {
	has n1 "$@" && has n2 "$@"
}

# field NODE JQ: of the cluster as the node sees it.
field() {
	lab_ctl "$1" cluster --json | jq -r "$2"
}

field_is() {
	[ "$(field "$1" "$2")" = "$3" ]
}

apply() {
	shared "$2" "$3" | lab_ctl "$1" cluster apply -
}

both_are_members() {
	local n
	for n in 1 2; do
		field_is n$n '[.members[] | select(.alive and .joined and .announces)] | length' 2 &&
			field_is n$n '.etcd | .registered and .watching' true || return 1
	done
}

first_document() {
	apply n1 5 2 || return 1
	lab_until 5 'it on both' both_have 5 2 || return 1
	tap_eq 'generation of n2' "$(field n2 .etcd.applied)" 1 || return 1
	lab_until 5 'one hash' field_is n1 '[.members[].config_hash] | unique | length' 1
}

# Eleven hundred parts: several transactions, and several pages of a listing.
large_document() {
	apply n2 6 1100 || return 1
	lab_until 10 'it on both' both_have 6 1100
}

refused_here() {
	local output
	output=$(shared 5 1 | sed 's/weight: 5/weight: 5000/' | lab_ctl n1 cluster apply - 2>&1) && return 1
	[[ $output == *'stdin:2:84 groups[0].backends[0].weight: 5000 is out of range'* ]] || {
		echo "$output"
		return 1
	}
	output=$({
		cat "$LAB/n1/sluiced.yaml"
		shared 5 1 | tail -n +2
	} | lab_ctl n1 apply - 2>&1) && return 1
	[[ $output == *'listeners: come from etcd'*'cluster apply'* ]] || {
		echo "$output"
		return 1
	}
	output=$(lab_ctl n1 weight web b1 1 2>&1) && return 1
	[[ $output == *'come from etcd'* ]] && both_have 6 1100
}

# Only one of those who began with the same generation wins; nobody is told a success that was none.
conflict() {
	local before i won=0 lost=0 status pids=()
	before=$(field n1 .etcd.generation)
	for i in 1 2 3 4 5 6; do
		apply n$((i % 2 + 1)) "$i" 3 >"$LAB/apply.$i" 2>&1 &
		pids+=($!)
	done
	for i in 1 2 3 4 5 6; do
		status=0
		wait "${pids[i - 1]}" || status=$?
		cat "$LAB/apply.$i"
		if [ $status = 0 ]; then
			won=$((won + 1))
		elif grep -q 'another apply came first' "$LAB/apply.$i"; then
			lost=$((lost + 1))
		fi
	done
	tap_eq 'those who won or lost by the rule' $((won + lost)) 6 || return 1
	tap_within 'winners' $won 1 6 || return 1
	lab_until 5 'one document everywhere' same_on_both || return 1
	tap_eq 'generations since' $(($(field n1 .etcd.generation) - before)) $won
}

same_on_both() {
	[ "$(lab_ctl n1 config --json | jq -c '[.groups, .listeners]')" = "$(lab_ctl n2 config --json | jq -c '[.groups, .listeners]')" ] &&
		[ "$(field n1 .etcd.applied)" = "$(field n2 .etcd.applied)" ]
}

# Parts of the generation before the last stay, those of older ones go.
old_parts_go() {
	apply n1 7 1 >/dev/null && apply n1 8 1 >/dev/null || return 1
	lab_until 5 'it on both' both_have 8 1 || return 1
	lab_until 5 'three or four parts' parts_within 3 4
}

parts_within() {
	local count
	count=$(etcd_post /v3/kv/range "{\"key\":\"$(printf /lab/config/ | base64)\",\"range_end\":\"$(printf /lab/config0 | base64)\",\"count_only\":true}" |
		jq -r .count)
	tap_within parts "$count" "$1" "$2"
}

serve_without() {
	lab_kill etcd
	lab_until 10 'they notice' field_is n1 .etcd.watching false || return 1
	lab_stop n1 || return 1
	lab_node_start 1 || return 1
	has n1 8 1 || return 1
	lab_until 10 'it joins by what it knows' field_is n1 '[.members[] | select(.alive)] | length' 2 || return 1
	output=$(apply n1 9 1 2>&1) && return 1
	[[ $output == *'etcd cannot be reached'* ]]
}

heard_again() {
	etcd_start || return 1
	lab_until 15 'both are there again' both_are_members || return 1
	apply n2 10 2 || return 1
	lab_until 5 'it on both' both_have 10 2
}

revision() {
	etcd_post /v3/kv/range "{\"key\":\"$(printf /x | base64)\"}" | jq -r .header.revision
}

# While n1 cannot reach etcd, everything that it would go on from is compacted.
compacted_meanwhile() {
	local before
	before=$(field n1 .etcd.listings)
	lab_in etcd nft -f - <<-END || return 1
		table ip cut {
			chain in { type filter hook input priority 0; ip saddr 198.18.9.1 tcp dport 2379 reject with tcp reset; }
		}
	END
	lab_until 10 'n1 has lost it' field_is n1 .etcd.watching false || return 1
	apply n2 11 2 && apply n2 12 2 && lab_until 5 'it on n2' has n2 12 2 || return 1
	etcd_post /v3/kv/compaction "{\"revision\":\"$(revision)\",\"physical\":true}" >/dev/null || return 1
	has n1 10 2 || return 1
	lab_in etcd nft delete table ip cut || return 1
	lab_until 30 'it on n1' has n1 12 2 || return 1
	tap_within 'listings of n1' "$(field n1 .etcd.listings)" $((before + 1)) 100
}

# A generation that names a part that is not there waits for it; what is no generation is passed over.
incomplete() {
	local text='{"version":1,"groups":[],"listeners":[]}' hash part='{"name":"late","scheduler":"rr","backends":[]}'
	hash=$(printf %s "$part" | sha256sum | cut -d' ' -f1)
	text="{\"number\":1000,\"groups\":[\"$hash\"],\"listeners\":[]}"
	etcd_put /lab/generation '{"number":"x"}' && etcd_put /lab/generation "$text" || return 1
	lab_until 5 'a part is missed' field_is n1 .etcd.missing_parts 1 || return 1
	has n1 12 2 || return 1
	etcd_put "/lab/config/groups/$hash" "$part" || return 1
	lab_until 5 'it is in force' field_is n1 .etcd.applied 1000 || return 1
	tap_eq 'groups' "$(lab_ctl n1 config --json | jq -r '.groups[].name')" late
}

etcd_put() {
	etcd_post /v3/kv/put "{\"key\":\"$(printf %s "$1" | base64 -w0)\",\"value\":\"$(printf %s "$2" | base64 -w0)\"}" >/dev/null
}

# A node that died stays a member, so that its prefixes have an owner; one that lost its key makes it again.
members_change() {
	lab_node_kill 2
	lab_until 10 'its registration ends' nodes_are 1 || return 1
	lab_until 5 'its prefixes go to n1' field_is n1 '[.prefixes[] | .owner] | unique | @csv' 1 || return 1
	tap_eq 'prefixes' "$(field n1 '.prefixes | length')" 6 || return 1
	etcd_post /v3/kv/deleterange "{\"key\":\"$(printf /lab/nodes/1 | base64)\"}" >/dev/null || return 1
	lab_until 5 'n1 registers again' nodes_are 1
}

nodes_are() {
	tap_eq nodes "$(etcd_post /v3/kv/range "{\"key\":\"$(printf /lab/nodes/ | base64)\",\"range_end\":\"$(printf /lab/nodes0 | base64)\",\"count_only\":true}" |
		jq -r .count)" "$1"
}

set -e
lab_open
LAB_KEEP_LOGS=$LAB_BUILD/tests/log/etcd
lab_cluster plain 2
lab_ns etcd
lab_cable etcd eth0 sync etcd
lab_join sync etcd br
lab_address etcd eth0 198.18.9.100/24
head -c 32 /dev/urandom >"$LAB/key"
chmod 600 "$LAB/key"
etcd_start
for n in 1 2; do
	node_config $n
	lab_node_start $n
done
set +e

tap_plan 12
tap 'two nodes register and find each other through etcd' lab_until 15 'both' both_are_members
tap 'a document applied on one node is in force on both' first_document
tap 'SNAT, EIP and metering come the same way, and each node knows which addresses are its own' outbound_services
tap 'so is one of a thousand parts' large_document
tap 'bad documents are refused with their places, parts of a node alone with the reason' refused_here
tap 'of applies at the same time none is lost unsaid' conflict
tap 'parts that nobody needs are removed' old_parts_go
tap 'without etcd a node starts with the document and the members of before' serve_without
tap 'etcd is back: nodes register again, an apply reaches both' heard_again
tap 'a node that was cut off catches up over a compaction' compacted_meanwhile
tap 'a generation without all of its parts waits for them' incomplete
tap 'a dead member keeps its place, a lost key is made again' members_change
tap_end
