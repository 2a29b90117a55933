#include "host/offload/flow_rule.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define FRAGMENT_MASK 0x3fff /* more-fragments bit and offset */
#define TCP_END_FLAGS (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG)

static void fill_ip(struct slu_flow_rule *rule, const struct slu_offload_request *request)
{
	if (request->family == 4) {
		memcpy(&rule->ip_spec.ipv4.hdr.src_addr, request->src, 4);
		memcpy(&rule->ip_spec.ipv4.hdr.dst_addr, request->dst, 4);
		rule->ip_spec.ipv4.hdr.next_proto_id = request->protocol;
		rule->ip_mask.ipv4.hdr.src_addr = UINT32_MAX;
		rule->ip_mask.ipv4.hdr.dst_addr = UINT32_MAX;
		rule->ip_mask.ipv4.hdr.next_proto_id = UINT8_MAX;
		rule->ip_mask.ipv4.hdr.fragment_offset = RTE_BE16(FRAGMENT_MASK);
		return;
	}
	memcpy(rule->ip_spec.ipv6.hdr.src_addr, request->src, 16);
	memcpy(rule->ip_spec.ipv6.hdr.dst_addr, request->dst, 16);
	rule->ip_spec.ipv6.hdr.proto = request->protocol;
	memset(rule->ip_mask.ipv6.hdr.src_addr, 0xff, 16);
	memset(rule->ip_mask.ipv6.hdr.dst_addr, 0xff, 16);
	rule->ip_mask.ipv6.hdr.proto = UINT8_MAX;
	rule->ip_mask.ipv6.has_frag_ext = 1;
}

static void fill_l4(struct slu_flow_rule *rule, const struct slu_offload_request *request)
{
	if (request->protocol == IPPROTO_TCP) {
		memcpy(&rule->l4_spec.tcp.hdr.src_port, &request->sport, 2);
		memcpy(&rule->l4_spec.tcp.hdr.dst_port, &request->dport, 2);
		rule->l4_mask.tcp.hdr.src_port = UINT16_MAX;
		rule->l4_mask.tcp.hdr.dst_port = UINT16_MAX;
		rule->l4_mask.tcp.hdr.tcp_flags = TCP_END_FLAGS;
		return;
	}
	memcpy(&rule->l4_spec.udp.hdr.src_port, &request->sport, 2);
	memcpy(&rule->l4_spec.udp.hdr.dst_port, &request->dport, 2);
	rule->l4_mask.udp.hdr.src_port = UINT16_MAX;
	rule->l4_mask.udp.hdr.dst_port = UINT16_MAX;
}

static void fill_pattern(struct slu_flow_rule *rule, const struct slu_offload_request *request)
{
	bool ipv4 = request->family == 4, tcp = request->protocol == IPPROTO_TCP;

	fill_ip(rule, request);
	fill_l4(rule, request);
	rule->items[0].type = RTE_FLOW_ITEM_TYPE_ETH;
	rule->items[1].type = ipv4 ? RTE_FLOW_ITEM_TYPE_IPV4 : RTE_FLOW_ITEM_TYPE_IPV6;
	rule->items[1].spec = &rule->ip_spec;
	rule->items[1].mask = &rule->ip_mask;
	rule->items[2].type = tcp ? RTE_FLOW_ITEM_TYPE_TCP : RTE_FLOW_ITEM_TYPE_UDP;
	rule->items[2].spec = &rule->l4_spec;
	rule->items[2].mask = &rule->l4_mask;
	rule->items[3].type = RTE_FLOW_ITEM_TYPE_END;
}

static void *append(struct slu_flow_rule *rule, enum rte_flow_action_type type)
{
	uint32_t at = rule->action_count++;

	rule->actions[at].type = type;
	rule->actions[at].conf = &rule->confs[at];
	return &rule->confs[at];
}

/* Immediate values stand in the byte order of the header (rte_flow_action_modify_data). */
static void append_modify(struct slu_flow_rule *rule, enum rte_flow_modify_op operation, enum rte_flow_field_id field,
	const void *value, uint32_t bytes)
{
	struct rte_flow_action_modify_field *modify = append(rule, RTE_FLOW_ACTION_TYPE_MODIFY_FIELD);

	modify->operation = operation;
	modify->dst.field = field;
	modify->src.field = RTE_FLOW_FIELD_VALUE;
	memcpy(modify->src.value, value, bytes);
	modify->width = bytes * 8;
}

static void fill_modern(struct slu_flow_rule *rule, const struct slu_offload_request *request)
{
	bool ipv4 = request->family == 4, tcp = request->protocol == IPPROTO_TCP;
	uint32_t bytes = ipv4 ? 4 : 16;
	uint8_t one = 1;

	append_modify(rule, RTE_FLOW_MODIFY_SET, RTE_FLOW_FIELD_MAC_SRC, request->hop.src_mac, 6);
	rule->mac_action = rule->action_count;
	append_modify(rule, RTE_FLOW_MODIFY_SET, RTE_FLOW_FIELD_MAC_DST, request->hop.dst_mac, 6);
	append_modify(rule, RTE_FLOW_MODIFY_SET, ipv4 ? RTE_FLOW_FIELD_IPV4_SRC : RTE_FLOW_FIELD_IPV6_SRC,
		request->new_src, bytes);
	append_modify(rule, RTE_FLOW_MODIFY_SET, ipv4 ? RTE_FLOW_FIELD_IPV4_DST : RTE_FLOW_FIELD_IPV6_DST,
		request->new_dst, bytes);
	append_modify(rule, RTE_FLOW_MODIFY_SET, tcp ? RTE_FLOW_FIELD_TCP_PORT_SRC : RTE_FLOW_FIELD_UDP_PORT_SRC,
		&request->new_sport, 2);
	append_modify(rule, RTE_FLOW_MODIFY_SET, tcp ? RTE_FLOW_FIELD_TCP_PORT_DST : RTE_FLOW_FIELD_UDP_PORT_DST,
		&request->new_dport, 2);
	append_modify(
		rule, RTE_FLOW_MODIFY_SUB, ipv4 ? RTE_FLOW_FIELD_IPV4_TTL : RTE_FLOW_FIELD_IPV6_HOPLIMIT, &one, 1);
}

static void append_mac(struct slu_flow_rule *rule, enum rte_flow_action_type type, const uint8_t *mac)
{
	struct rte_flow_action_set_mac *set = append(rule, type);

	memcpy(set->mac_addr, mac, sizeof(set->mac_addr));
}

static void append_port(struct slu_flow_rule *rule, enum rte_flow_action_type type, slu_be16 port)
{
	struct rte_flow_action_set_tp *set = append(rule, type);

	memcpy(&set->port, &port, sizeof(set->port));
}

static void fill_legacy(struct slu_flow_rule *rule, const struct slu_offload_request *request)
{
	bool ipv4 = request->family == 4;
	size_t bytes = ipv4 ? 4 : 16;

	append_mac(rule, RTE_FLOW_ACTION_TYPE_SET_MAC_SRC, request->hop.src_mac);
	rule->mac_action = rule->action_count;
	append_mac(rule, RTE_FLOW_ACTION_TYPE_SET_MAC_DST, request->hop.dst_mac);
	/* set_ipv4 and set_ipv6 are the address and nothing else. */
	memcpy(append(rule, ipv4 ? RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC : RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC),
		request->new_src, bytes);
	memcpy(append(rule, ipv4 ? RTE_FLOW_ACTION_TYPE_SET_IPV4_DST : RTE_FLOW_ACTION_TYPE_SET_IPV6_DST),
		request->new_dst, bytes);
	append_port(rule, RTE_FLOW_ACTION_TYPE_SET_TP_SRC, request->new_sport);
	append_port(rule, RTE_FLOW_ACTION_TYPE_SET_TP_DST, request->new_dport);
	append(rule, RTE_FLOW_ACTION_TYPE_DEC_TTL);
	rule->actions[rule->action_count - 1].conf = NULL;
}

static void append_fate(struct slu_flow_rule *rule, enum slu_flow_spelling spelling, uint16_t port)
{
	if (spelling == SLU_FLOW_MODERN) {
		struct rte_flow_action_ethdev *fate = append(rule, RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT);

		fate->port_id = port;
	} else {
		struct rte_flow_action_port_id *fate = append(rule, RTE_FLOW_ACTION_TYPE_PORT_ID);

		fate->id = port;
	}
	append(rule, RTE_FLOW_ACTION_TYPE_END);
	rule->actions[rule->action_count - 1].conf = NULL;
}

int slu_flow_rule_build(
	struct slu_flow_rule *rule, const struct slu_flow_dialect *dialect, const struct slu_offload_request *request)
{
	if (request->protocol != IPPROTO_TCP && request->protocol != IPPROTO_UDP)
		return -ENOTSUP;
	if ((request->family != 4 && request->family != 6) || request->vpc != 0 || request->hop.vlan_tci != 0)
		return -ENOTSUP;
	memset(rule, 0, sizeof(*rule));
	rule->attr.transfer = dialect->transfer;
	rule->attr.ingress = !dialect->transfer;
	fill_pattern(rule, request);
	if (dialect->spelling == SLU_FLOW_MODERN)
		fill_modern(rule, request);
	else
		fill_legacy(rule, request);
	rule->count_action = rule->action_count;
	append(rule, RTE_FLOW_ACTION_TYPE_COUNT);
	append_fate(rule, dialect->spelling, request->hop.port);
	return 0;
}

static void set_indirect(struct slu_flow_rule *rule, uint32_t at, struct rte_flow_action_handle *handle)
{
	rule->actions[at].type = RTE_FLOW_ACTION_TYPE_INDIRECT;
	rule->actions[at].conf = handle;
}

void slu_flow_rule_set_count(struct slu_flow_rule *rule, struct rte_flow_action_handle *handle)
{
	set_indirect(rule, rule->count_action, handle);
}

void slu_flow_rule_set_mac(struct slu_flow_rule *rule, struct rte_flow_action_handle *handle)
{
	set_indirect(rule, rule->mac_action, handle);
}
