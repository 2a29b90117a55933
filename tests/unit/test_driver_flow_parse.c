#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>

#include <rte_ethdev.h>

#include "driver/flow_parse.h"

#define PORT0 3 /* ethdev ids are not wire numbers */
#define PORT1 5
#define ITEM(kind, s, m) ((struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_##kind, .spec = (s), .mask = (m)})
#define ACTION(kind, c) ((struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_##kind, .conf = (c)})
#define ITEMS 8
#define ACTIONS 16

static const struct slu_flow_scope scope = {.ports = 2,
	.port = 0,
	.queues = 2,
	.ethdev_ids = {PORT0, PORT1},
	.macs = {{2, 0x51, 0xCE, 0, 0, 0}, {2, 0x51, 0xCE, 0, 0, 1}}};
static const struct rte_flow_attr ingress = {.ingress = 1}, transfer = {.transfer = 1};

static const struct rte_flow_item_ipv4 ipv4 = {
	.hdr = {.src_addr = RTE_BE32(0xC612010A), .dst_addr = RTE_BE32(0xC6120164)}};
static const struct rte_flow_item_ipv6 ipv6 = {.hdr = {.src_addr = {0xFD, [15] = 1}, .dst_addr = {0xFD, [15] = 2}}};
static const struct rte_flow_item_tcp tcp = {.hdr = {.src_port = RTE_BE16(1234), .dst_port = RTE_BE16(80)}};
static const struct rte_flow_item_udp udp = {.hdr = {.src_port = RTE_BE16(1234), .dst_port = RTE_BE16(80)}};
static const struct rte_flow_item_tcp tcp_mask_flags = {
	.hdr = {.src_port = 0xFFFF, .dst_port = 0xFFFF, .tcp_flags = 7}};

static const struct rte_flow_action_set_ipv4 set_dst4 = {.ipv4_addr = RTE_BE32(0xC612020B)};
static const struct rte_flow_action_set_ipv4 set_src4 = {.ipv4_addr = RTE_BE32(0xC6120264)};
static const struct rte_flow_action_set_ipv6 set_dst6 = {.ipv6_addr = {0xFD, 1, [15] = 11}};
static const struct rte_flow_action_set_tp set_dport = {.port = RTE_BE16(8080)}, set_sport = {.port = RTE_BE16(4321)};
static const struct rte_flow_action_set_mac set_dmac = {.mac_addr = {2, 0xBB, 0, 0, 0, 1}};
static const struct rte_flow_action_set_mac set_smac = {.mac_addr = {2, 0x51, 0xCE, 0, 0, 1}};
static const struct rte_flow_action_port_id port_id1 = {.id = PORT1};
static const struct rte_flow_action_ethdev represented1 = {.port_id = PORT1};

static const struct rte_flow_item pattern4[] = {
	ITEM(ETH, NULL, NULL), ITEM(IPV4, &ipv4, NULL), ITEM(TCP, &tcp, &tcp_mask_flags), ITEM(END, NULL, NULL)};
static const struct rte_flow_item pattern6[] = {
	ITEM(ETH, NULL, NULL), ITEM(IPV6, &ipv6, NULL), ITEM(UDP, &udp, NULL), ITEM(END, NULL, NULL)};
static const struct rte_flow_action drop[] = {ACTION(DROP, NULL), ACTION(END, NULL)};
static const struct rte_flow_action forward[] = {ACTION(PORT_ID, &port_id1), ACTION(END, NULL)};

static struct slu_flow_request request;
static struct rte_flow_error error;

static int parse(
	const struct rte_flow_attr *attr, const struct rte_flow_item *pattern, const struct rte_flow_action *actions)
{
	memset(&error, 0, sizeof(error));
	return slu_flow_parse(&scope, attr, pattern, actions, &request, &error);
}

static struct rte_flow_action_modify_field modify(enum rte_flow_field_id field, const void *value, uint32_t bits)
{
	struct rte_flow_action_modify_field m = {.operation = RTE_FLOW_MODIFY_SET,
		.dst = {.field = field},
		.src = {.field = RTE_FLOW_FIELD_VALUE},
		.width = bits};

	memcpy(m.src.value, value, (bits + 7) / 8);
	return m;
}

static void parse__both_spellings__give_the_same_record(void **state)
{
	(void)state;
	const uint8_t one[] = {1};
	const struct rte_flow_action_modify_field src = modify(RTE_FLOW_FIELD_IPV4_SRC, &set_src4, 32),
						  dst = modify(RTE_FLOW_FIELD_IPV4_DST, &set_dst4, 32),
						  sport = modify(RTE_FLOW_FIELD_TCP_PORT_SRC, &set_sport, 16),
						  dport = modify(RTE_FLOW_FIELD_TCP_PORT_DST, &set_dport, 16),
						  dmac = modify(RTE_FLOW_FIELD_MAC_DST, &set_dmac, 48),
						  smac = modify(RTE_FLOW_FIELD_MAC_SRC, &set_smac, 48);
	struct rte_flow_action_modify_field ttl = modify(RTE_FLOW_FIELD_IPV4_TTL, one, 8);
	const struct rte_flow_item_ethdev from = {.port_id = PORT0};
	const struct rte_flow_item with_port[] = {
		ITEM(REPRESENTED_PORT, &from, NULL), pattern4[0], pattern4[1], pattern4[2], pattern4[3]};
	const struct rte_flow_action modern[] = {ACTION(MODIFY_FIELD, &src), ACTION(MODIFY_FIELD, &dst),
		ACTION(MODIFY_FIELD, &sport), ACTION(MODIFY_FIELD, &dport), ACTION(MODIFY_FIELD, &dmac),
		ACTION(MODIFY_FIELD, &smac), ACTION(MODIFY_FIELD, &ttl), ACTION(COUNT, NULL),
		ACTION(REPRESENTED_PORT, &represented1), ACTION(END, NULL)};
	const struct rte_flow_action legacy[] = {ACTION(SET_IPV4_SRC, &set_src4), ACTION(SET_IPV4_DST, &set_dst4),
		ACTION(SET_TP_SRC, &set_sport), ACTION(SET_TP_DST, &set_dport), ACTION(SET_MAC_DST, &set_dmac),
		ACTION(SET_MAC_SRC, &set_smac), ACTION(DEC_TTL, NULL), ACTION(COUNT, NULL), ACTION(PORT_ID, &port_id1),
		ACTION(END, NULL)};
	union slu_rule_record a, b;
	struct slu_nic_next_hop hop;

	ttl.operation = RTE_FLOW_MODIFY_SUB;
	assert_int_equal(parse(&transfer, with_port, modern), 0);
	slu_rule_encode(&request.rule, 1, 2, 3, &a);
	hop = request.rule.next_hop;
	assert_int_equal(parse(&ingress, pattern4, legacy), 0);
	slu_rule_encode(&request.rule, 1, 2, 3, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_equal(&hop, &request.rule.next_hop, sizeof(hop));
	assert_int_equal(a.v4.port_mask, 1);
	assert_int_equal(a.v4.tcp_zero, 7);
	assert_int_equal(hop.port, 1);
	assert_int_equal(hop.flags, SLU_NIC_NH_VALID);
	assert_memory_equal(hop.dmac, &set_dmac, 6);
	assert_memory_equal(hop.smac, &set_smac, 6);
	assert_int_equal(a.v4.actions & 0x7FF, SLU_NIC_ACT_SET_SRC | SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_SET_SPORT |
						       SLU_NIC_ACT_SET_DPORT | SLU_NIC_ACT_DEC_TTL |
						       SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_SET_DMAC |
						       SLU_NIC_ACT_SET_SMAC | SLU_NIC_ACT_COUNT);
}

static void parse__transfer_without_a_port__matches_all_ports_of_the_card(void **state)
{
	(void)state;
	assert_int_equal(parse(&transfer, pattern4, forward), 0);
	assert_int_equal(request.rule.port_mask, 3);
}

static void parse__one_arm__same_port_in_and_out(void **state)
{
	(void)state;
	const struct rte_flow_action_port_id self = {.id = PORT0};
	const struct rte_flow_action actions[] = {ACTION(PORT_ID, &self), ACTION(END, NULL)};

	assert_int_equal(parse(&ingress, pattern4, actions), 0);
	assert_int_equal(request.rule.port_mask, 1);
	assert_int_equal(request.rule.next_hop.port, 0);
}

static void parse__ipv6_udp__becomes_an_ipv6_rule(void **state)
{
	(void)state;
	const struct rte_flow_action actions[] = {
		ACTION(SET_IPV6_DST, &set_dst6), ACTION(PORT_ID, &port_id1), ACTION(END, NULL)};

	assert_int_equal(parse(&ingress, pattern6, actions), 0);
	assert_true(request.rule.ipv6);
	assert_int_equal(request.rule.proto, IPPROTO_UDP);
	assert_memory_equal(request.rule.new_dst, &set_dst6, 16);
}

static void parse__vlan__is_kept_changed_taken_off_or_put_on(void **state)
{
	(void)state;
	const struct rte_flow_item_vlan vlan = {.tci = RTE_BE16(100)};
	const struct rte_flow_item tagged[] = {
		ITEM(ETH, NULL, NULL), ITEM(VLAN, &vlan, NULL), pattern4[1], pattern4[2], pattern4[3]};
	const struct rte_flow_action_of_push_vlan push = {.ethertype = RTE_BE16(0x8100)};
	const struct rte_flow_action_of_set_vlan_vid vid = {.vlan_vid = RTE_BE16(200)};
	const struct rte_flow_action_of_set_vlan_pcp pcp = {.vlan_pcp = 5};
	const struct rte_flow_action pop[] = {ACTION(OF_POP_VLAN, NULL), ACTION(PORT_ID, &port_id1), ACTION(END, NULL)};
	const struct rte_flow_action set[] = {ACTION(OF_SET_VLAN_VID, &vid), ACTION(OF_SET_VLAN_PCP, &pcp),
		ACTION(PORT_ID, &port_id1), ACTION(END, NULL)};
	const struct rte_flow_action put[] = {ACTION(OF_PUSH_VLAN, &push), ACTION(OF_SET_VLAN_VID, &vid),
		ACTION(PORT_ID, &port_id1), ACTION(END, NULL)};

	assert_int_equal(parse(&ingress, tagged, forward), 0);
	assert_int_equal(request.rule.vlan_match, SLU_NIC_VLAN_MATCH_VID);
	assert_int_equal(request.rule.vid, 100);
	assert_int_equal(request.rule.next_hop.flags, SLU_NIC_NH_VALID | SLU_NIC_NH_VLAN_KEEP);
	assert_int_equal(parse(&ingress, tagged, pop), 0);
	assert_int_equal(request.rule.next_hop.flags, SLU_NIC_NH_VALID);
	assert_int_equal(parse(&ingress, tagged, set), 0);
	assert_int_equal(request.rule.next_hop.flags, SLU_NIC_NH_VALID | SLU_NIC_NH_VLAN_SET);
	assert_int_equal(request.rule.next_hop.vlan_tci, RTE_BE16(5 << 13 | 200));
	assert_int_equal(parse(&ingress, pattern4, put), 0);
	assert_int_equal(request.rule.vlan_match, SLU_NIC_VLAN_MATCH_UNTAGGED);
	assert_int_equal(request.rule.next_hop.vlan_tci, RTE_BE16(200));
}

static void parse__queue_and_mark__go_to_the_host(void **state)
{
	(void)state;
	const struct rte_flow_action_queue queue = {.index = 1};
	const struct rte_flow_action_mark mark = {.id = 0xABCDEF};
	const struct rte_flow_action both[] = {ACTION(MARK, &mark), ACTION(QUEUE, &queue), ACTION(END, NULL)};
	const struct rte_flow_action alone[] = {ACTION(MARK, &mark), ACTION(END, NULL)};

	assert_int_equal(parse(&ingress, pattern4, both), 0);
	assert_int_equal(request.rule.actions, SLU_NIC_ACT_TO_HOST);
	assert_int_equal(request.rule.queue, 1);
	assert_int_equal(request.rule.mark, 0xABCDEF);
	assert_int_equal(parse(&ingress, pattern4, alone), 0);
	assert_int_equal(request.rule.queue, UINT16_MAX);
}

static void parse__own_destination_address__asks_the_card_to_compare_it(void **state)
{
	(void)state;
	const struct rte_flow_item_eth eth = {.dst = {{2, 0x51, 0xCE, 0, 0, 1}}};
	const struct rte_flow_item_eth mask = {.dst = {{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}}};
	const struct rte_flow_item pattern[] = {ITEM(ETH, &eth, &mask), pattern4[1], pattern4[2], pattern4[3]};

	assert_int_equal(parse(&transfer, pattern, forward), 0);
	assert_true(request.rule.match_port_mac);
	assert_int_equal(request.rule.port_mask, 2);
	assert_int_equal(parse(&ingress, pattern, forward), -ENOTSUP); /* port 0 has another address */
	assert_ptr_equal(error.cause, &pattern[0]);
}

static void parse__age_count_and_indirect__are_asked_for(void **state)
{
	(void)state;
	int context;
	const struct rte_flow_action_age age = {.timeout = 30, .context = &context};
	struct slu_flow_indirect count = {.type = RTE_FLOW_ACTION_TYPE_COUNT};
	struct slu_flow_indirect mac = {.type = RTE_FLOW_ACTION_TYPE_SET_MAC_DST, .mac = {2, 9, 9, 9, 9, 9}};
	const struct rte_flow_action actions[] = {ACTION(AGE, &age), ACTION(INDIRECT, &count), ACTION(INDIRECT, &mac),
		ACTION(PORT_ID, &port_id1), ACTION(END, NULL)};

	assert_int_equal(parse(&ingress, pattern4, actions), 0);
	assert_true(request.age && request.count);
	assert_int_equal(request.age_timeout_s, 30);
	assert_ptr_equal(request.age_context, &context);
	assert_ptr_equal(request.count_handle, &count);
	assert_ptr_equal(request.mac_handle, &mac);
	assert_memory_equal(request.rule.next_hop.dmac, mac.mac, 6);
}

/* Everything else is refused, and the error points at what is at fault. */
struct pattern_row {
	const char *message;
	unsigned fault; /* index of the item */
	struct rte_flow_item items[ITEMS];
};

static const struct rte_flow_item_ipv4 mask_src_only = {.hdr = {.src_addr = UINT32_MAX}};
static const struct rte_flow_item_ipv4 mask_prefix = {
	.hdr = {.src_addr = RTE_BE32(0xFFFFFF00), .dst_addr = UINT32_MAX}};
static const struct rte_flow_item_ipv4 mask_tos = {
	.hdr = {.src_addr = UINT32_MAX, .dst_addr = UINT32_MAX, .type_of_service = 0xFF}};
static const struct rte_flow_item_ipv4 mask_proto = {
	.hdr = {.src_addr = UINT32_MAX, .dst_addr = UINT32_MAX, .next_proto_id = 0xFF}};
static const struct rte_flow_item_ipv4 ipv4_udp = {
	.hdr = {.src_addr = RTE_BE32(1), .dst_addr = RTE_BE32(2), .next_proto_id = IPPROTO_UDP}};
static const struct rte_flow_item_ipv4 ipv4_frag = {
	.hdr = {.src_addr = RTE_BE32(1), .dst_addr = RTE_BE32(2), .fragment_offset = RTE_BE16(0x2000)}};
static const struct rte_flow_item_ipv4 mask_frag = {
	.hdr = {.src_addr = UINT32_MAX, .dst_addr = UINT32_MAX, .fragment_offset = RTE_BE16(0x3FFF)}};
static const struct rte_flow_item_tcp mask_one_port = {.hdr = {.dst_port = 0xFFFF}};
static const struct rte_flow_item_tcp mask_window = {.hdr = {.src_port = 0xFFFF, .dst_port = 0xFFFF, .rx_win = 0xFFFF}};
static const struct rte_flow_item_tcp tcp_syn = {.hdr = {.src_port = 1, .dst_port = 2, .tcp_flags = 2}};
static const struct rte_flow_item_vlan vlan_spec = {.tci = RTE_BE16(0x2064)}, mask_tci = {.tci = 0xFFFF};
static const struct rte_flow_item_eth eth_src = {.src = {{2}}};
static const struct rte_flow_item_ethdev foreign_port = {.port_id = 77};

static void parse__pattern_that_the_card_cannot_match__is_refused_by_name(void **state)
{
	(void)state;
	const struct rte_flow_item eth = ITEM(ETH, NULL, NULL), v4 = ITEM(IPV4, &ipv4, NULL),
				   v6 = ITEM(IPV6, &ipv6, NULL), t = ITEM(TCP, &tcp, NULL), u = ITEM(UDP, &udp, NULL);
	const struct pattern_row rows[] = {
		{"MPLS: the card cannot match this", 1, {eth, ITEM(MPLS, NULL, NULL)}},
		{"VXLAN: the card cannot match this", 3, {eth, v4, u, ITEM(VXLAN, NULL, NULL)}},
		{"END: a pattern needs ETH", 0, {{0}}},
		{"END: a pattern needs ETH", 2, {eth, v4}},
		{"END: a pattern needs ETH", 2, {v4, t}},
		{"ETH: stands at the wrong place", 1, {v4, eth, t}},
		{"IPV6: stands at the wrong place", 2, {eth, v4, v6, t}},
		{"IPV4: both addresses must be given", 1, {eth, ITEM(IPV4, NULL, NULL), t}},
		{"IPV4: both addresses must be matched in full", 1, {eth, ITEM(IPV4, &ipv4, &mask_src_only), t}},
		{"IPV4: both addresses must be matched in full", 1, {eth, ITEM(IPV4, &ipv4, &mask_prefix), t}},
		{"IPV4: can match addresses, protocol", 1, {eth, ITEM(IPV4, &ipv4, &mask_tos), t}},
		{"IPV4: cannot match fragments", 1, {eth, ITEM(IPV4, &ipv4_frag, &mask_frag), t}},
		{"TCP: the IP item matches another protocol", 2, {eth, ITEM(IPV4, &ipv4_udp, &mask_proto), t}},
		{"TCP: both ports must be given", 2, {eth, v4, ITEM(TCP, NULL, NULL)}},
		{"TCP: both ports must be matched in full", 2, {eth, v4, ITEM(TCP, &tcp, &mask_one_port)}},
		{"TCP: can match ports and flags only", 2, {eth, v4, ITEM(TCP, &tcp, &mask_window)}},
		{"TCP: can ask flags to be zero only", 2, {eth, v4, ITEM(TCP, &tcp_syn, &tcp_mask_flags)}},
		{"VLAN: needs a VLAN id", 1, {eth, ITEM(VLAN, NULL, NULL), v4, t}},
		{"VLAN: the mask must be the whole VLAN id", 1, {eth, ITEM(VLAN, &vlan_spec, &mask_tci), v4, t}},
		{"ETH: cannot match the source address", 0, {ITEM(ETH, &eth_src, NULL), v4, t}},
		{"REPRESENTED_PORT: is for transfer rules only", 0,
			{ITEM(REPRESENTED_PORT, &foreign_port, NULL), eth, v4, t}},
		{"SCTP: the card cannot match this", 2, {eth, v4, ITEM(SCTP, NULL, NULL)}},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result = parse(&ingress, rows[i].items, drop);

		if (result != -ENOTSUP || strncmp(error.message, rows[i].message, strlen(rows[i].message)) != 0 ||
			error.cause != &rows[i].items[rows[i].fault] || error.type != RTE_FLOW_ERROR_TYPE_ITEM)
			fail_msg("row %u: %d, '%s' instead of '%s'", i, result, error.message, rows[i].message);
	}
}

struct action_row {
	const char *message;
	unsigned fault;
	struct rte_flow_action actions[ACTIONS];
};

static void parse__action_that_the_card_has_not__is_refused_by_name(void **state)
{
	(void)state;
	const struct rte_flow_action_set_ttl ttl = {.ttl_value = 3};
	const struct rte_flow_action_port_id foreign = {.id = 77};
	const struct rte_flow_action_queue no_queue = {.index = 9}, queue = {.index = 0};
	const struct rte_flow_action_mark mark = {.id = 1};
	const struct rte_flow_action_age no_timeout = {.timeout = 0};
	const struct rte_flow_action_of_push_vlan push = {.ethertype = RTE_BE16(0x88A8)};
	const struct rte_flow_action_modify_field seq = modify(RTE_FLOW_FIELD_TCP_SEQ_NUM, &set_dst4, 32),
						  half = modify(RTE_FLOW_FIELD_IPV4_DST, &set_dst4, 16),
						  udp_port = modify(RTE_FLOW_FIELD_UDP_PORT_DST, &set_dport, 16);
	struct rte_flow_action_modify_field by_two = modify(RTE_FLOW_FIELD_IPV4_TTL, (const uint8_t[]){2}, 8),
					    offset = modify(RTE_FLOW_FIELD_IPV4_DST, &set_dst4, 32), copy = offset,
					    add = offset;
	const struct rte_flow_action out = ACTION(PORT_ID, &port_id1), end = ACTION(END, NULL);

	by_two.operation = RTE_FLOW_MODIFY_SUB;
	offset.dst.offset = 8;
	copy.src.field = RTE_FLOW_FIELD_META;
	add.operation = RTE_FLOW_MODIFY_ADD;
	const struct action_row rows[] = {
		{"SET_TTL: the card cannot do this", 0, {ACTION(SET_TTL, &ttl), out, end}},
		{"RSS: the card cannot do this", 0, {ACTION(RSS, NULL), end}},
		{"END: a rule needs a fate", 1, {ACTION(COUNT, NULL), end}},
		{"DROP: a rule has one fate", 1, {out, ACTION(DROP, NULL), end}},
		{"PORT_ID: is no port of this card", 0, {ACTION(PORT_ID, &foreign), end}},
		{"PORT_ID: needs a configuration", 0, {ACTION(PORT_ID, NULL), end}},
		{"REPRESENTED_PORT: is for transfer rules only", 0, {ACTION(REPRESENTED_PORT, &represented1), end}},
		{"QUEUE: the port has no such queue", 0, {ACTION(QUEUE, &no_queue), end}},
		{"COUNT: a rule has one counter", 1, {ACTION(COUNT, NULL), ACTION(COUNT, NULL), out, end}},
		{"AGE: must be there once, with a time-out", 0, {ACTION(AGE, &no_timeout), out, end}},
		{"SET_IPV6_DST: is of another family", 0, {ACTION(SET_IPV6_DST, &set_dst6), out, end}},
		{"SET_IPV4_DST: sets this field a second time", 1,
			{ACTION(SET_IPV4_DST, &set_dst4), ACTION(SET_IPV4_DST, &set_dst4), out, end}},
		{"END: a frame that is not forwarded cannot be changed", 2,
			{ACTION(SET_IPV4_DST, &set_dst4), ACTION(QUEUE, &queue), end}},
		{"END: a forwarded frame cannot be marked", 2, {ACTION(MARK, &mark), out, end}},
		{"END: a dropped frame cannot be marked", 2, {ACTION(MARK, &mark), ACTION(DROP, NULL), end}},
		{"OF_PUSH_VLAN: can push an 802.1Q tag only", 0, {ACTION(OF_PUSH_VLAN, &push), out, end}},
		{"OF_POP_VLAN: the frame has no tag", 0, {ACTION(OF_POP_VLAN, NULL), out, end}},
		{"MODIFY_FIELD: the card cannot set this field", 0, {ACTION(MODIFY_FIELD, &seq), out, end}},
		{"MODIFY_FIELD: must set all 32 bits", 0, {ACTION(MODIFY_FIELD, &half), out, end}},
		{"MODIFY_FIELD: sets a port of another protocol", 0, {ACTION(MODIFY_FIELD, &udp_port), out, end}},
		{"MODIFY_FIELD: can subtract 1", 0, {ACTION(MODIFY_FIELD, &by_two), out, end}},
		{"MODIFY_FIELD: can set whole fields", 0, {ACTION(MODIFY_FIELD, &offset), out, end}},
		{"MODIFY_FIELD: can set constants only", 0, {ACTION(MODIFY_FIELD, &copy), out, end}},
		{"MODIFY_FIELD: can set, and subtract", 0, {ACTION(MODIFY_FIELD, &add), out, end}},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int result = parse(&ingress, pattern4, rows[i].actions);

		if (result != -ENOTSUP || strncmp(error.message, rows[i].message, strlen(rows[i].message)) != 0 ||
			error.cause != &rows[i].actions[rows[i].fault] || error.type != RTE_FLOW_ERROR_TYPE_ACTION)
			fail_msg("row %u: %d, '%s' instead of '%s'", i, result, error.message, rows[i].message);
	}
}

static void parse__attributes_that_the_card_has_not__are_refused(void **state)
{
	(void)state;
	const struct rte_flow_attr group = {.ingress = 1, .group = 1}, priority = {.ingress = 1, .priority = 1},
				   egress = {.egress = 1}, none = {0};

	assert_int_equal(parse(&group, pattern4, drop), -ENOTSUP);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_ATTR_GROUP);
	assert_int_equal(parse(&priority, pattern4, drop), -ENOTSUP);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY);
	assert_int_equal(parse(&egress, pattern4, drop), -ENOTSUP);
	assert_int_equal(error.type, RTE_FLOW_ERROR_TYPE_ATTR_EGRESS);
	assert_int_equal(parse(&none, pattern4, drop), -EINVAL);
}

static void parse__range_of_an_item__is_refused(void **state)
{
	(void)state;
	struct rte_flow_item pattern[4];

	memcpy(pattern, pattern4, sizeof(pattern));
	pattern[1].last = &ipv4;
	assert_int_equal(parse(&ingress, pattern, drop), -ENOTSUP);
	assert_ptr_equal(error.cause, &pattern[1]);
}

static void parse__void_items_and_actions__are_skipped(void **state)
{
	(void)state;
	const struct rte_flow_item pattern[] = {
		ITEM(VOID, NULL, NULL), pattern4[0], pattern4[1], ITEM(VOID, NULL, NULL), pattern4[2], pattern4[3]};
	const struct rte_flow_action actions[] = {ACTION(VOID, NULL), ACTION(DROP, NULL), ACTION(END, NULL)};

	assert_int_equal(parse(&ingress, pattern, actions), 0);
}

static void pattern_template__masks_without_specs__are_checked(void **state)
{
	(void)state;
	struct rte_flow_item good[] = {
		ITEM(ETH, NULL, NULL), ITEM(IPV4, NULL, NULL), ITEM(TCP, NULL, &tcp_mask_flags), ITEM(END, NULL, NULL)};

	assert_int_equal(slu_flow_parse_pattern_template(&scope, good, &error), 0);
	good[1].mask = &mask_src_only;
	assert_int_equal(slu_flow_parse_pattern_template(&scope, good, &error), -ENOTSUP);
	assert_ptr_equal(error.cause, &good[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__both_spellings__give_the_same_record),
		cmocka_unit_test(parse__transfer_without_a_port__matches_all_ports_of_the_card),
		cmocka_unit_test(parse__one_arm__same_port_in_and_out),
		cmocka_unit_test(parse__ipv6_udp__becomes_an_ipv6_rule),
		cmocka_unit_test(parse__vlan__is_kept_changed_taken_off_or_put_on),
		cmocka_unit_test(parse__queue_and_mark__go_to_the_host),
		cmocka_unit_test(parse__own_destination_address__asks_the_card_to_compare_it),
		cmocka_unit_test(parse__age_count_and_indirect__are_asked_for),
		cmocka_unit_test(parse__pattern_that_the_card_cannot_match__is_refused_by_name),
		cmocka_unit_test(parse__action_that_the_card_has_not__is_refused_by_name),
		cmocka_unit_test(parse__attributes_that_the_card_has_not__are_refused),
		cmocka_unit_test(parse__range_of_an_item__is_refused),
		cmocka_unit_test(parse__void_items_and_actions__are_skipped),
		cmocka_unit_test(pattern_template__masks_without_specs__are_checked),
	};

	return cmocka_run_group_tests_name("driver_flow_parse", tests, NULL, NULL);
}
