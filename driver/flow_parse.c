#include "flow_parse.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>

/* The longest IP packet of any MTU is the card's business: 0 is no limit of the next hop. */
#define NO_MTU 0
#define VID_MASK 0x0FFF

struct parser {
	const struct slu_flow_scope *scope;
	struct slu_flow_request *request;
	struct slu_rule *rule;
	struct rte_flow_error *error;
	bool is_template; /* masks count, specs do not */
	bool has_vlan;    /* in the pattern */
	bool push_vlan, pop_vlan, set_vid, set_pcp;
	uint16_t new_vid, new_pcp;
	bool has_fate, has_mark, has_queue;
};

static int refuse(
	struct parser *p, int code, enum rte_flow_error_type type, const void *cause, const char *name, const char *why)
{
	/* rte_flow_error keeps a pointer only; the text lives until this thread's next refusal. */
	static _Thread_local char message[160];

	snprintf(message, sizeof(message), "%s: %s", name, why);
	return rte_flow_error_set(p->error, code, type, cause, message);
}

static int refuse_item(struct parser *p, const struct rte_flow_item *item, const char *why)
{
	const char *name = NULL;

	if (rte_flow_conv(RTE_FLOW_CONV_OP_ITEM_NAME_PTR, &name, sizeof(name), (const void *)(uintptr_t)item->type,
		    NULL) <= 0)
		name = "unknown item";
	return refuse(p, ENOTSUP, RTE_FLOW_ERROR_TYPE_ITEM, item, name, why);
}

static int refuse_action(struct parser *p, const struct rte_flow_action *action, const char *why)
{
	const char *name = NULL;

	if (rte_flow_conv(RTE_FLOW_CONV_OP_ACTION_NAME_PTR, &name, sizeof(name), (const void *)(uintptr_t)action->type,
		    NULL) <= 0)
		name = "unknown action";
	return refuse(p, ENOTSUP, RTE_FLOW_ERROR_TYPE_ACTION, action, name, why);
}

static int domain_port(const struct slu_flow_scope *scope, uint32_t ethdev_id)
{
	for (unsigned i = 0; i < scope->ports; i++) {
		if (scope->ethdev_ids[i] == ethdev_id)
			return (int)i;
	}
	return -1;
}

static bool is_zero(const void *data, size_t bytes)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < bytes; i++) {
		if (b[i])
			return false;
	}
	return true;
}

static bool is_ones(const void *data, size_t bytes)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < bytes; i++) {
		if (b[i] != 0xFF)
			return false;
	}
	return true;
}

/* --- Attributes --- */

static int parse_attributes(struct parser *p, const struct rte_flow_attr *attr)
{
	if (attr->group)
		return refuse(p, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_GROUP, attr, "group", "the card has group 0 only");
	if (attr->priority)
		return refuse(p, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_PRIORITY, attr, "priority",
			"rules are exact and never overlap: 0 only");
	if (attr->egress)
		return refuse(
			p, ENOTSUP, RTE_FLOW_ERROR_TYPE_ATTR_EGRESS, attr, "egress", "the card looks at ingress only");
	if (!attr->ingress && !attr->transfer)
		return refuse(p, EINVAL, RTE_FLOW_ERROR_TYPE_ATTR_INGRESS, attr, "ingress", "or transfer must be set");
	if (attr->transfer)
		p->rule->port_mask = (uint8_t)((1u << p->scope->ports) - 1);
	else
		p->rule->port_mask = (uint8_t)(1u << p->scope->port);
	return 0;
}

/* --- Pattern --- */

static int parse_port_item(struct parser *p, const struct rte_flow_attr *attr, const struct rte_flow_item *item)
{
	const struct rte_flow_item_ethdev *spec = item->spec, *mask = item->mask;

	if (attr && !attr->transfer)
		return refuse_item(p, item, "is for transfer rules only");
	if (!item->spec && !p->is_template)
		return refuse_item(p, item, "needs a spec");
	if (mask && mask->port_id != UINT16_MAX)
		return refuse_item(p, item, "its mask must be full");
	if (p->is_template)
		return 0;
	int port = domain_port(p->scope, spec->port_id);
	if (port < 0)
		return refuse_item(p, item, "is no port of this card");
	p->rule->port_mask = (uint8_t)(1u << port);
	return 0;
}

/* The card can compare the destination with the ingress port's own address, and with nothing else. */
static int parse_dmac(struct parser *p, const struct rte_flow_item *item, const struct rte_ether_addr *mac)
{
	uint8_t ports = 0;

	p->rule->match_port_mac = true;
	if (p->is_template)
		return 0;
	for (unsigned i = 0; i < p->scope->ports; i++) {
		if (memcmp(mac, p->scope->macs[i], 6) == 0)
			ports |= (uint8_t)(1u << i);
	}
	p->rule->port_mask &= ports;
	return p->rule->port_mask ? 0 : refuse_item(p, item, "can match no destination but the port's own address");
}

static int parse_eth(struct parser *p, const struct rte_flow_item *item)
{
	const struct rte_flow_item_eth *spec = item->spec, *mask = item->mask ? item->mask : &rte_flow_item_eth_mask;

	p->rule->vlan_match = SLU_NIC_VLAN_MATCH_UNTAGGED;
	if (!spec && !(p->is_template && item->mask))
		return 0;
	if (!is_zero(&mask->src, sizeof(mask->src)))
		return refuse_item(p, item, "cannot match the source address");
	if (mask->type && mask->type != RTE_BE16(0xFFFF))
		return refuse_item(p, item, "the mask of the type must be full or zero");
	if (!p->is_template && mask->type && spec->type != RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
		spec->type != RTE_BE16(RTE_ETHER_TYPE_IPV6) && spec->type != RTE_BE16(RTE_ETHER_TYPE_VLAN))
		return refuse_item(p, item, "cannot match a type other than IPv4, IPv6 and VLAN");
	if (!p->is_template && mask->has_vlan && spec->has_vlan)
		return refuse_item(p, item, "cannot match just any VLAN tag: add a VLAN item with an id");
	if (is_zero(&mask->dst, sizeof(mask->dst)))
		return 0;
	if (!is_ones(&mask->dst, sizeof(mask->dst)))
		return refuse_item(p, item, "the mask of the destination must be full or zero");
	return parse_dmac(p, item, p->is_template ? NULL : &spec->dst);
}

static int parse_vlan(struct parser *p, const struct rte_flow_item *item)
{
	const struct rte_flow_item_vlan *spec = item->spec, *mask = item->mask ? item->mask : &rte_flow_item_vlan_mask;

	if (!spec && !p->is_template)
		return refuse_item(p, item, "needs a VLAN id");
	if (mask->tci != RTE_BE16(VID_MASK))
		return refuse_item(p, item, "the mask must be the whole VLAN id, and nothing of priority");
	if (mask->has_more_vlan && !p->is_template && spec->has_more_vlan)
		return refuse_item(p, item, "cannot match a second tag");
	if (mask->inner_type && mask->inner_type != RTE_BE16(0xFFFF))
		return refuse_item(p, item, "the mask of the inner type must be full or zero");
	p->has_vlan = true;
	p->rule->vlan_match = SLU_NIC_VLAN_MATCH_VID;
	if (!p->is_template)
		p->rule->vid = rte_be_to_cpu_16(spec->tci) & VID_MASK;
	return 0;
}

static int parse_ipv4(struct parser *p, const struct rte_flow_item *item)
{
	const struct rte_flow_item_ipv4 *spec = item->spec, *mask = item->mask ? item->mask : &rte_flow_item_ipv4_mask;
	struct rte_ipv4_hdr rest = mask->hdr;

	if (!spec && !p->is_template)
		return refuse_item(p, item, "both addresses must be given");
	if (mask->hdr.src_addr != UINT32_MAX || mask->hdr.dst_addr != UINT32_MAX)
		return refuse_item(p, item, "both addresses must be matched in full");
	/* Fragments never meet a rule, so "is no fragment" holds by itself. */
	const rte_be16_t fragment = RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG);
	if (rest.fragment_offset & (rte_be16_t)~fragment)
		return refuse_item(p, item, "cannot match the DF flag");
	if (!p->is_template && (spec->hdr.fragment_offset & rest.fragment_offset))
		return refuse_item(p, item, "cannot match fragments");
	if (rest.next_proto_id && rest.next_proto_id != 0xFF)
		return refuse_item(p, item, "the mask of the protocol must be full or zero");
	if (rest.next_proto_id)
		p->rule->proto = p->is_template ? 0 : spec->hdr.next_proto_id;
	rest.src_addr = rest.dst_addr = 0;
	rest.fragment_offset = 0;
	rest.next_proto_id = 0;
	if (!is_zero(&rest, sizeof(rest)))
		return refuse_item(p, item, "can match addresses, protocol and fragmentation only");
	if (!p->is_template) {
		memcpy(p->rule->src, &spec->hdr.src_addr, 4);
		memcpy(p->rule->dst, &spec->hdr.dst_addr, 4);
	}
	return 0;
}

static int parse_ipv6(struct parser *p, const struct rte_flow_item *item)
{
	const struct rte_flow_item_ipv6 *spec = item->spec, *mask = item->mask ? item->mask : &rte_flow_item_ipv6_mask;
	struct rte_flow_item_ipv6 rest = *mask;

	if (!spec && !p->is_template)
		return refuse_item(p, item, "both addresses must be given");
	if (!is_ones(mask->hdr.src_addr, 16) || !is_ones(mask->hdr.dst_addr, 16))
		return refuse_item(p, item, "both addresses must be matched in full");
	if (rest.hdr.proto && rest.hdr.proto != 0xFF)
		return refuse_item(p, item, "the mask of the next header must be full or zero");
	if (!p->is_template && mask->has_frag_ext && spec->has_frag_ext)
		return refuse_item(p, item, "cannot match fragments");
	if (rest.hdr.proto)
		p->rule->proto = p->is_template ? 0 : spec->hdr.proto;
	p->rule->ipv6 = true;
	memset(rest.hdr.src_addr, 0, 16);
	memset(rest.hdr.dst_addr, 0, 16);
	rest.hdr.proto = 0;
	rest.has_frag_ext = 0;
	if (!is_zero(&rest, sizeof(rest)))
		return refuse_item(p, item, "can match addresses, next header and fragmentation only");
	if (!p->is_template) {
		memcpy(p->rule->src, spec->hdr.src_addr, 16);
		memcpy(p->rule->dst, spec->hdr.dst_addr, 16);
	}
	return 0;
}

static int check_proto(struct parser *p, const struct rte_flow_item *item, uint8_t proto)
{
	if (p->rule->proto && p->rule->proto != proto)
		return refuse_item(p, item, "the IP item matches another protocol");
	p->rule->proto = proto;
	return 0;
}

static int parse_tcp(struct parser *p, const struct rte_flow_item *item)
{
	const struct rte_flow_item_tcp *spec = item->spec, *mask = item->mask ? item->mask : &rte_flow_item_tcp_mask;
	struct rte_tcp_hdr rest = mask->hdr;

	if (!spec && !p->is_template)
		return refuse_item(p, item, "both ports must be given");
	if (mask->hdr.src_port != UINT16_MAX || mask->hdr.dst_port != UINT16_MAX)
		return refuse_item(p, item, "both ports must be matched in full");
	if (!p->is_template && (spec->hdr.tcp_flags & rest.tcp_flags))
		return refuse_item(p, item, "can ask flags to be zero only");
	p->rule->tcp_zero = rest.tcp_flags;
	rest.src_port = rest.dst_port = 0;
	rest.tcp_flags = 0;
	if (!is_zero(&rest, sizeof(rest)))
		return refuse_item(p, item, "can match ports and flags only");
	if (!p->is_template) {
		p->rule->sport = spec->hdr.src_port;
		p->rule->dport = spec->hdr.dst_port;
	}
	return check_proto(p, item, IPPROTO_TCP);
}

static int parse_udp(struct parser *p, const struct rte_flow_item *item)
{
	const struct rte_flow_item_udp *spec = item->spec, *mask = item->mask ? item->mask : &rte_flow_item_udp_mask;

	if (!spec && !p->is_template)
		return refuse_item(p, item, "both ports must be given");
	if (mask->hdr.src_port != UINT16_MAX || mask->hdr.dst_port != UINT16_MAX)
		return refuse_item(p, item, "both ports must be matched in full");
	if (mask->hdr.dgram_len || mask->hdr.dgram_cksum)
		return refuse_item(p, item, "can match ports only");
	if (!p->is_template) {
		p->rule->sport = spec->hdr.src_port;
		p->rule->dport = spec->hdr.dst_port;
	}
	return check_proto(p, item, IPPROTO_UDP);
}

/* Layers of a pattern in their order; each may follow only a lower one. */
enum layer { LAYER_PORT, LAYER_ETH, LAYER_VLAN, LAYER_IP, LAYER_L4 };

static int parse_item(
	struct parser *p, const struct rte_flow_attr *attr, const struct rte_flow_item *item, enum layer *layer)
{
	switch ((int)item->type) {
	case RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT:
		*layer = LAYER_PORT;
		return parse_port_item(p, attr, item);
	case RTE_FLOW_ITEM_TYPE_ETH:
		*layer = LAYER_ETH;
		return parse_eth(p, item);
	case RTE_FLOW_ITEM_TYPE_VLAN:
		*layer = LAYER_VLAN;
		return parse_vlan(p, item);
	case RTE_FLOW_ITEM_TYPE_IPV4:
		*layer = LAYER_IP;
		return parse_ipv4(p, item);
	case RTE_FLOW_ITEM_TYPE_IPV6:
		*layer = LAYER_IP;
		return parse_ipv6(p, item);
	case RTE_FLOW_ITEM_TYPE_TCP:
		*layer = LAYER_L4;
		return parse_tcp(p, item);
	case RTE_FLOW_ITEM_TYPE_UDP:
		*layer = LAYER_L4;
		return parse_udp(p, item);
	default:
		return refuse_item(p, item, "the card cannot match this");
	}
}

static int parse_pattern(struct parser *p, const struct rte_flow_attr *attr, const struct rte_flow_item *item)
{
	int before = -1;
	unsigned seen = 0;

	for (; item->type != RTE_FLOW_ITEM_TYPE_END; item++) {
		enum layer layer = LAYER_L4;

		if (item->type == RTE_FLOW_ITEM_TYPE_VOID)
			continue;
		if (item->last)
			return refuse_item(p, item, "ranges cannot be matched");
		int error = parse_item(p, attr, item, &layer);
		if (error)
			return error;
		if ((int)layer <= before)
			return refuse_item(p, item, "stands at the wrong place of the pattern");
		before = (int)layer;
		seen |= 1u << layer;
	}
	const unsigned needed = 1u << LAYER_ETH | 1u << LAYER_IP | 1u << LAYER_L4;
	if ((seen & needed) != needed)
		return refuse_item(p, item, "a pattern needs ETH, IPV4 or IPV6, and TCP or UDP");
	return 0;
}

/* --- Actions --- */

static int set_once(struct parser *p, const struct rte_flow_action *action, uint32_t bit)
{
	if (p->rule->actions & bit)
		return refuse_action(p, action, "sets this field a second time");
	p->rule->actions |= bit;
	return 0;
}

static int set_address(
	struct parser *p, const struct rte_flow_action *action, bool ipv6, bool source, const void *value)
{
	if (ipv6 != p->rule->ipv6)
		return refuse_action(p, action, "is of another family than the pattern");
	memcpy(source ? p->rule->new_src : p->rule->new_dst, value, ipv6 ? 16 : 4);
	return set_once(p, action, source ? SLU_NIC_ACT_SET_SRC : SLU_NIC_ACT_SET_DST);
}

static int set_port(struct parser *p, const struct rte_flow_action *action, bool source, const void *value)
{
	memcpy(source ? &p->rule->new_sport : &p->rule->new_dport, value, 2);
	return set_once(p, action, source ? SLU_NIC_ACT_SET_SPORT : SLU_NIC_ACT_SET_DPORT);
}

static int set_mac(struct parser *p, const struct rte_flow_action *action, bool source, const void *value)
{
	memcpy(source ? p->rule->next_hop.smac : p->rule->next_hop.dmac, value, 6);
	return set_once(p, action, source ? SLU_NIC_ACT_SET_SMAC : SLU_NIC_ACT_SET_DMAC);
}

static int set_vid(struct parser *p, const struct rte_flow_action *action, const void *value)
{
	rte_be16_t vid;

	memcpy(&vid, value, 2);
	if (p->set_vid)
		return refuse_action(p, action, "sets this field a second time");
	p->set_vid = true;
	p->new_vid = rte_be_to_cpu_16(vid) & VID_MASK;
	return 0;
}

/* What MODIFY_FIELD may set: fields of one width each, whole. */
static int set_field(struct parser *p, const struct rte_flow_action *action, enum rte_flow_field_id field,
	uint32_t width, const void *value)
{
	uint8_t l4 = field == RTE_FLOW_FIELD_TCP_PORT_SRC || field == RTE_FLOW_FIELD_TCP_PORT_DST ? IPPROTO_TCP
												  : IPPROTO_UDP;

	switch ((int)field) {
	case RTE_FLOW_FIELD_MAC_DST:
	case RTE_FLOW_FIELD_MAC_SRC:
		return width == 48 ? set_mac(p, action, field == RTE_FLOW_FIELD_MAC_SRC, value)
				   : refuse_action(p, action, "must set all 48 bits of a MAC address");
	case RTE_FLOW_FIELD_IPV4_SRC:
	case RTE_FLOW_FIELD_IPV4_DST:
		return width == 32 ? set_address(p, action, false, field == RTE_FLOW_FIELD_IPV4_SRC, value)
				   : refuse_action(p, action, "must set all 32 bits of an IPv4 address");
	case RTE_FLOW_FIELD_IPV6_SRC:
	case RTE_FLOW_FIELD_IPV6_DST:
		return width == 128 ? set_address(p, action, true, field == RTE_FLOW_FIELD_IPV6_SRC, value)
				    : refuse_action(p, action, "must set all 128 bits of an IPv6 address");
	case RTE_FLOW_FIELD_TCP_PORT_SRC:
	case RTE_FLOW_FIELD_TCP_PORT_DST:
	case RTE_FLOW_FIELD_UDP_PORT_SRC:
	case RTE_FLOW_FIELD_UDP_PORT_DST:
		if (l4 != p->rule->proto)
			return refuse_action(p, action, "sets a port of another protocol than the pattern's");
		return width == 16
			       ? set_port(p, action,
					 field == RTE_FLOW_FIELD_TCP_PORT_SRC || field == RTE_FLOW_FIELD_UDP_PORT_SRC,
					 value)
			       : refuse_action(p, action, "must set all 16 bits of a port");
	case RTE_FLOW_FIELD_VLAN_ID:
		return width == 12 ? set_vid(p, action, value)
				   : refuse_action(p, action, "must set all 12 bits of a VLAN id");
	default:
		return refuse_action(p, action, "the card cannot set this field");
	}
}

static int decrement(struct parser *p, const struct rte_flow_action *action, enum rte_flow_field_id field,
	uint32_t width, const uint8_t *value)
{
	if (field != RTE_FLOW_FIELD_IPV4_TTL && field != RTE_FLOW_FIELD_IPV6_HOPLIMIT)
		return refuse_action(p, action, "can subtract from TTL and hop limit only");
	if ((field == RTE_FLOW_FIELD_IPV6_HOPLIMIT) != p->rule->ipv6)
		return refuse_action(p, action, "is of another family than the pattern");
	if (width != 8 || value[0] != 1)
		return refuse_action(p, action, "can subtract 1 from all 8 bits only");
	return set_once(p, action, SLU_NIC_ACT_DEC_TTL);
}

static int parse_modify(struct parser *p, const struct rte_flow_action *action)
{
	const struct rte_flow_action_modify_field *conf = action->conf;
	const uint8_t *value;

	if (conf->src.field == RTE_FLOW_FIELD_VALUE)
		value = conf->src.value;
	else if (conf->src.field == RTE_FLOW_FIELD_POINTER && conf->src.pvalue)
		value = conf->src.pvalue;
	else
		return refuse_action(p, action, "can set constants only");
	if (conf->dst.offset || conf->dst.level > 1)
		return refuse_action(p, action, "can set whole fields of the outermost header only");
	if (conf->operation == RTE_FLOW_MODIFY_SUB)
		return decrement(p, action, conf->dst.field, conf->width, value);
	if (conf->operation != RTE_FLOW_MODIFY_SET)
		return refuse_action(p, action, "can set, and subtract from TTL");
	return set_field(p, action, conf->dst.field, conf->width, value);
}

static int set_fate(struct parser *p, const struct rte_flow_action *action, uint32_t act)
{
	if (p->has_fate)
		return refuse_action(p, action, "a rule has one fate");
	p->has_fate = true;
	p->rule->actions |= act;
	return 0;
}

static int parse_fate_port(struct parser *p, const struct rte_flow_action *action, uint32_t ethdev_id)
{
	int port = domain_port(p->scope, ethdev_id);

	if (port < 0)
		return refuse_action(p, action, "is no port of this card");
	p->rule->next_hop.port = (uint8_t)port;
	return set_fate(p, action, SLU_NIC_ACT_FORWARD);
}

static int parse_queue(struct parser *p, const struct rte_flow_action *action, const struct rte_flow_attr *attr)
{
	const struct rte_flow_action_queue *conf = action->conf;

	if (attr->transfer)
		return refuse_action(p, action, "is for ingress rules only");
	if (conf->index >= p->scope->queues)
		return refuse_action(p, action, "the port has no such queue");
	p->rule->queue = conf->index;
	p->has_queue = true;
	return set_fate(p, action, SLU_NIC_ACT_TO_HOST);
}

static int parse_age(struct parser *p, const struct rte_flow_action *action)
{
	const struct rte_flow_action_age *conf = action->conf;

	if (p->request->age || conf->timeout == 0)
		return refuse_action(p, action, "must be there once, with a time-out");
	p->request->age = true;
	p->request->age_timeout_s = conf->timeout;
	p->request->age_context = conf->context;
	return 0;
}

static int parse_count(struct parser *p, const struct rte_flow_action *action, struct slu_flow_indirect *handle)
{
	if (p->request->count)
		return refuse_action(p, action, "a rule has one counter");
	p->request->count = true;
	p->request->count_handle = handle;
	p->rule->actions |= SLU_NIC_ACT_COUNT;
	return 0;
}

static int parse_indirect(struct parser *p, const struct rte_flow_action *action)
{
	struct slu_flow_indirect *handle = (struct slu_flow_indirect *)(uintptr_t)action->conf;

	if (handle->type == RTE_FLOW_ACTION_TYPE_COUNT)
		return parse_count(p, action, handle);
	p->request->mac_handle = handle;
	return set_mac(p, action, false, handle->mac);
}

/* Actions that carry one address or port and nothing else. */
static int parse_legacy_set(struct parser *p, const struct rte_flow_action *a)
{
	switch ((int)a->type) {
	case RTE_FLOW_ACTION_TYPE_SET_MAC_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_MAC_DST:
		return set_mac(p, a, a->type == RTE_FLOW_ACTION_TYPE_SET_MAC_SRC,
			((const struct rte_flow_action_set_mac *)a->conf)->mac_addr);
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_DST:
		return set_address(p, a, false, a->type == RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC,
			&((const struct rte_flow_action_set_ipv4 *)a->conf)->ipv4_addr);
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_DST:
		return set_address(p, a, true, a->type == RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC,
			((const struct rte_flow_action_set_ipv6 *)a->conf)->ipv6_addr);
	case RTE_FLOW_ACTION_TYPE_SET_TP_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_TP_DST:
		return set_port(p, a, a->type == RTE_FLOW_ACTION_TYPE_SET_TP_SRC,
			&((const struct rte_flow_action_set_tp *)a->conf)->port);
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID:
		return set_vid(p, a, &((const struct rte_flow_action_of_set_vlan_vid *)a->conf)->vlan_vid);
	default:
		return refuse_action(p, a, "the card cannot do this");
	}
}

static int parse_vlan_action(struct parser *p, const struct rte_flow_action *a)
{
	switch ((int)a->type) {
	case RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN:
		if (((const struct rte_flow_action_of_push_vlan *)a->conf)->ethertype != RTE_BE16(RTE_ETHER_TYPE_VLAN))
			return refuse_action(p, a, "can push an 802.1Q tag only");
		if (p->has_vlan && !p->pop_vlan)
			return refuse_action(p, a, "the frame would have two tags");
		p->push_vlan = true;
		return 0;
	case RTE_FLOW_ACTION_TYPE_OF_POP_VLAN:
		if (!p->has_vlan || p->pop_vlan)
			return refuse_action(p, a, "the frame has no tag to take off");
		p->pop_vlan = true;
		return 0;
	default: /* OF_SET_VLAN_PCP */
		p->set_pcp = true;
		p->new_pcp = ((const struct rte_flow_action_of_set_vlan_pcp *)a->conf)->vlan_pcp & 7;
		return 0;
	}
}

static bool needs_conf(int type)
{
	return type != RTE_FLOW_ACTION_TYPE_COUNT && type != RTE_FLOW_ACTION_TYPE_DROP &&
	       type != RTE_FLOW_ACTION_TYPE_DEC_TTL && type != RTE_FLOW_ACTION_TYPE_OF_POP_VLAN;
}

static int parse_action(struct parser *p, const struct rte_flow_attr *attr, const struct rte_flow_action *a)
{
	switch ((int)a->type) {
	case RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT:
		if (!attr->transfer)
			return refuse_action(p, a, "is for transfer rules only");
		return parse_fate_port(p, a, ((const struct rte_flow_action_ethdev *)a->conf)->port_id);
	case RTE_FLOW_ACTION_TYPE_PORT_ID:
		return parse_fate_port(p, a, ((const struct rte_flow_action_port_id *)a->conf)->id);
	case RTE_FLOW_ACTION_TYPE_DROP:
		return set_fate(p, a, SLU_NIC_ACT_DROP);
	case RTE_FLOW_ACTION_TYPE_QUEUE:
		return parse_queue(p, a, attr);
	case RTE_FLOW_ACTION_TYPE_MARK:
		p->has_mark = true;
		p->rule->mark = ((const struct rte_flow_action_mark *)a->conf)->id;
		return 0;
	case RTE_FLOW_ACTION_TYPE_COUNT:
		return parse_count(p, a, NULL);
	case RTE_FLOW_ACTION_TYPE_AGE:
		return parse_age(p, a);
	case RTE_FLOW_ACTION_TYPE_INDIRECT:
		return parse_indirect(p, a);
	case RTE_FLOW_ACTION_TYPE_DEC_TTL:
		return set_once(p, a, SLU_NIC_ACT_DEC_TTL);
	case RTE_FLOW_ACTION_TYPE_MODIFY_FIELD:
		return parse_modify(p, a);
	case RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN:
	case RTE_FLOW_ACTION_TYPE_OF_POP_VLAN:
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP:
		return parse_vlan_action(p, a);
	default:
		return parse_legacy_set(p, a);
	}
}

static bool known_action(int type)
{
	switch (type) {
	case RTE_FLOW_ACTION_TYPE_SET_MAC_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_MAC_DST:
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV4_DST:
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_IPV6_DST:
	case RTE_FLOW_ACTION_TYPE_SET_TP_SRC:
	case RTE_FLOW_ACTION_TYPE_SET_TP_DST:
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID:
	case RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP:
	case RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN:
	case RTE_FLOW_ACTION_TYPE_OF_POP_VLAN:
	case RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT:
	case RTE_FLOW_ACTION_TYPE_PORT_ID:
	case RTE_FLOW_ACTION_TYPE_DROP:
	case RTE_FLOW_ACTION_TYPE_QUEUE:
	case RTE_FLOW_ACTION_TYPE_MARK:
	case RTE_FLOW_ACTION_TYPE_COUNT:
	case RTE_FLOW_ACTION_TYPE_AGE:
	case RTE_FLOW_ACTION_TYPE_INDIRECT:
	case RTE_FLOW_ACTION_TYPE_DEC_TTL:
	case RTE_FLOW_ACTION_TYPE_MODIFY_FIELD:
		return true;
	default:
		return false;
	}
}

/* The tag a forwarded frame leaves with: the one it came with, another one, or none. */
static int finish_vlan(struct parser *p, const struct rte_flow_action *end)
{
	struct slu_nic_next_hop *hop = &p->rule->next_hop;

	if (p->set_vid || p->set_pcp || p->push_vlan) {
		if (!p->set_vid || (!p->has_vlan && !p->push_vlan))
			return refuse_action(p, end, "a new VLAN tag needs OF_PUSH_VLAN or a tagged frame, and an id");
		if (p->has_vlan && !p->push_vlan && !p->set_pcp)
			return refuse_action(
				p, end, "a new VLAN id needs OF_SET_VLAN_PCP too: the old priority cannot be kept");
		hop->flags |= SLU_NIC_NH_VLAN_SET;
		hop->vlan_tci = rte_cpu_to_be_16((uint16_t)(p->new_vid | p->new_pcp << 13));
	} else if (p->has_vlan && !p->pop_vlan) {
		hop->flags |= SLU_NIC_NH_VLAN_KEEP;
	}
	return 0;
}

static int finish_actions(struct parser *p, const struct rte_flow_action *end)
{
	const uint32_t rewrites = SLU_NIC_ACT_SET_SRC | SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_SET_SPORT |
				  SLU_NIC_ACT_SET_DPORT | SLU_NIC_ACT_DEC_TTL | SLU_NIC_ACT_SET_DMAC |
				  SLU_NIC_ACT_SET_SMAC;

	if (p->has_mark && !p->has_fate) {
		/* MARK alone: on to the host, by RSS, as a miss would go. */
		p->has_fate = true;
		p->rule->actions |= SLU_NIC_ACT_TO_HOST;
		p->rule->queue = UINT16_MAX;
	}
	if (!p->has_fate)
		return refuse_action(p, end, "a rule needs a fate: REPRESENTED_PORT, PORT_ID, DROP, QUEUE or MARK");
	if (!(p->rule->actions & SLU_NIC_ACT_FORWARD)) {
		bool vlan = p->set_vid || p->set_pcp || p->push_vlan || p->pop_vlan;

		if ((p->rule->actions & rewrites) || vlan)
			return refuse_action(p, end, "a frame that is not forwarded cannot be changed");
		if (p->has_mark && !(p->rule->actions & SLU_NIC_ACT_TO_HOST))
			return refuse_action(p, end, "a dropped frame cannot be marked");
		return 0;
	}
	if (p->has_mark)
		return refuse_action(p, end, "a forwarded frame cannot be marked");
	p->rule->next_hop.flags |= SLU_NIC_NH_VALID;
	p->rule->next_hop.mtu = NO_MTU;
	return finish_vlan(p, end);
}

static int parse_actions(struct parser *p, const struct rte_flow_attr *attr, const struct rte_flow_action *a)
{
	for (; a->type != RTE_FLOW_ACTION_TYPE_END; a++) {
		if (a->type == RTE_FLOW_ACTION_TYPE_VOID)
			continue;
		if (!known_action(a->type))
			return refuse_action(p, a, "the card cannot do this");
		if (!a->conf && needs_conf(a->type))
			return refuse_action(p, a, "needs a configuration");
		int error = parse_action(p, attr, a);
		if (error)
			return error;
	}
	return finish_actions(p, a);
}

int slu_flow_parse(const struct slu_flow_scope *scope, const struct rte_flow_attr *attr,
	const struct rte_flow_item *pattern, const struct rte_flow_action *actions, struct slu_flow_request *request,
	struct rte_flow_error *error)
{
	memset(request, 0, sizeof(*request));
	struct parser p = {.scope = scope, .request = request, .rule = &request->rule, .error = error};
	int failed = parse_attributes(&p, attr);

	if (!failed)
		failed = parse_pattern(&p, attr, pattern);
	return failed ? failed : parse_actions(&p, attr, actions);
}

int slu_flow_parse_pattern_template(
	const struct slu_flow_scope *scope, const struct rte_flow_item *pattern, struct rte_flow_error *error)
{
	struct slu_flow_request request = {0};
	struct parser p = {
		.scope = scope, .request = &request, .rule = &request.rule, .error = error, .is_template = true};

	return parse_pattern(&p, NULL, pattern);
}
