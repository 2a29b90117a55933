#include "rule.h"

#include <errno.h>
#include <string.h>

#define KNOWN_FLAGS (SLU_NIC_REC_IPV6 | SLU_NIC_REC_MATCH_PORT_MAC)
#define MATCH_SHIFT 14

static unsigned address_bytes(const struct slu_rule *rule)
{
	return rule->ipv6 ? 16 : 4;
}

void slu_rule_key(const struct slu_rule *rule, struct slu_flow_key *key)
{
	slu_flow_hash_key(
		key, rule->src, rule->dst, address_bytes(rule), rule->sport, rule->dport, rule->proto, rule->vni);
}

/* Ones' complement sum of (new - old) over 16-bit words as they stand in the packet; byte order does not matter. */
static uint32_t delta(uint32_t sum, const void *old, const void *new, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 2) {
		uint16_t was, is;

		memcpy(&was, (const uint8_t *)old + i, 2);
		memcpy(&is, (const uint8_t *)new + i, 2);
		sum += (uint32_t)is + (uint16_t)~was;
	}
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t address_delta(const struct slu_rule *rule)
{
	uint32_t sum = 0;

	if (rule->actions & SLU_NIC_ACT_SET_SRC)
		sum = delta(sum, rule->src, rule->new_src, address_bytes(rule));
	if (rule->actions & SLU_NIC_ACT_SET_DST)
		sum = delta(sum, rule->dst, rule->new_dst, address_bytes(rule));
	return sum;
}

static uint16_t l4_delta(const struct slu_rule *rule)
{
	uint32_t sum = address_delta(rule);

	if (rule->actions & SLU_NIC_ACT_SET_SPORT)
		sum = delta(sum, &rule->sport, &rule->new_sport, 2);
	if (rule->actions & SLU_NIC_ACT_SET_DPORT)
		sum = delta(sum, &rule->dport, &rule->new_dport, 2);
	return fold(sum);
}

/* Bytes 0..31 are the same in both families. */
static void encode_head(
	const struct slu_rule *rule, uint32_t flow_id, uint16_t next_hop, uint8_t gen, struct slu_nic_record4 *head)
{
	head->gen = gen;
	head->flags = (uint8_t)((rule->ipv6 ? SLU_NIC_REC_IPV6 : 0) |
				(rule->match_port_mac ? SLU_NIC_REC_MATCH_PORT_MAC : 0));
	head->proto = rule->proto;
	head->port_mask = rule->port_mask;
	head->vlan = (uint16_t)(rule->vid | (unsigned)rule->vlan_match << MATCH_SHIFT);
	head->tcp_zero = rule->tcp_zero;
	head->vni = rule->vni;
	head->sport = rule->sport;
	head->dport = rule->dport;
	head->flow_id = flow_id;
	head->actions = rule->actions;
	head->next_hop = next_hop;
	head->queue = rule->queue;
	head->mark = rule->mark;
}

static void encode4(const struct slu_rule *rule, struct slu_nic_record4 *r)
{
	memcpy(&r->src, rule->src, 4);
	memcpy(&r->dst, rule->dst, 4);
	memcpy(&r->new_src, rule->new_src, 4);
	memcpy(&r->new_dst, rule->new_dst, 4);
	r->new_sport = rule->new_sport;
	r->new_dport = rule->new_dport;
	r->l3_delta = fold(address_delta(rule));
	r->l4_delta = l4_delta(rule);
}

static void encode6(const struct slu_rule *rule, struct slu_nic_record6 *r)
{
	memcpy(r->src, rule->src, 16);
	memcpy(r->dst, rule->dst, 16);
	memcpy(r->new_src, rule->new_src, 16);
	memcpy(r->new_dst, rule->new_dst, 16);
	r->new_sport = rule->new_sport;
	r->new_dport = rule->new_dport;
	r->l4_delta = l4_delta(rule);
	r->gen1 = r->gen;
}

unsigned slu_rule_encode(
	const struct slu_rule *rule, uint32_t flow_id, uint16_t next_hop, uint8_t gen, union slu_rule_record *record)
{
	memset(record, 0, sizeof(*record));
	encode_head(rule, flow_id, next_hop, gen, &record->v4);
	if (rule->ipv6) {
		encode6(rule, &record->v6);
		return sizeof(record->v6);
	}
	encode4(rule, &record->v4);
	return sizeof(record->v4);
}

int slu_rule_decode_key(const union slu_rule_record *record, struct slu_flow_key *key)
{
	const struct slu_nic_record4 *head = &record->v4;

	if ((head->flags & ~KNOWN_FLAGS) || (head->proto != 6 && head->proto != 17) || head->vni > 0xFFFFFF)
		return -EBADMSG;
	if (head->flags & SLU_NIC_REC_IPV6) {
		if (record->v6.gen != record->v6.gen1)
			return -EBADMSG;
		slu_flow_hash_key(
			key, record->v6.src, record->v6.dst, 16, head->sport, head->dport, head->proto, head->vni);
	} else {
		slu_flow_hash_key(key, (const uint8_t *)&head->src, (const uint8_t *)&head->dst, 4, head->sport,
			head->dport, head->proto, head->vni);
	}
	return 0;
}

bool slu_rule_same_record(const union slu_rule_record *a, const union slu_rule_record *b)
{
	union slu_rule_record x = *a, y = *b;
	bool ipv6 = x.v4.flags & SLU_NIC_REC_IPV6;

	x.v4.gen = y.v4.gen = 0;
	if (ipv6)
		x.v6.gen1 = y.v6.gen1 = 0;
	return memcmp(&x, &y, ipv6 ? sizeof(x.v6) : sizeof(x.v4)) == 0;
}
