#include "reference.h"

#include <string.h>

#include "checksum.h"
#include "packet_edit.h"

#define ETH_BYTES 14u

/* A frame without its tag, and what its headers say. */
struct parsed {
	uint8_t bytes[REFERENCE_FRAME_BYTES];
	size_t len;
	bool tagged, v4, v6, l3_good, l3_bad, fragment, tcp, udp;
	uint16_t tci;
	uint8_t reason;
	uint8_t proto, ttl, tcp_flags;
	size_t ip_len;
	uint8_t *ip, *l4;
};

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void strip_tag(struct parsed *p, const uint8_t *frame, size_t len)
{
	p->tagged = get16(frame + 12) == 0x8100;
	if (!p->tagged) {
		memcpy(p->bytes, frame, len);
		p->len = len;
		return;
	}
	p->tci = (uint16_t)get16(frame + 14);
	memcpy(p->bytes, frame, 12);
	memcpy(p->bytes + 12, frame + 16, len - 16);
	p->len = len - 4;
}

/* Returns a reason, or NONE. */
static uint8_t parse_ipv4(struct parsed *p)
{
	const size_t room = p->len - ETH_BYTES;
	const size_t header = (size_t)(p->ip[0] & 15) * 4;

	p->ip_len = get16(p->ip + 2);
	if (p->ip[0] >> 4 != 4 || header < 20 || p->ip_len > room || p->ip_len < header)
		return SLU_NIC_REASON_BAD_IP;
	p->v4 = true;
	p->proto = p->ip[9];
	p->ttl = p->ip[8];
	p->fragment = get16(p->ip + 6) & 0x3FFF;
	if (header != 20)
		return SLU_NIC_REASON_IP_OPTION;
	p->l3_good = slu_checksum_fold(slu_checksum_add(0, p->ip, 20)) == 0xFFFF;
	p->l3_bad = !p->l3_good;
	if (p->l3_bad)
		return SLU_NIC_REASON_BAD_L3_CSUM;
	p->l4 = p->ip + 20;
	return p->fragment ? SLU_NIC_REASON_FRAGMENT : SLU_NIC_REASON_NONE;
}

static uint8_t parse_ipv6(struct parsed *p)
{
	static const uint8_t extensions[] = {0, 43, 51, 60, 135, 139, 140};
	const size_t room = p->len - ETH_BYTES;

	p->ip_len = get16(p->ip + 4) + 40;
	if (p->ip[0] >> 4 != 6 || p->ip_len > room)
		return SLU_NIC_REASON_BAD_IP;
	p->v6 = true;
	p->proto = p->ip[6];
	p->ttl = p->ip[7];
	p->fragment = p->proto == 44;
	if (memchr(extensions, p->proto, sizeof(extensions)))
		return SLU_NIC_REASON_IP_OPTION;
	p->l4 = p->ip + 40;
	return p->fragment ? SLU_NIC_REASON_FRAGMENT : SLU_NIC_REASON_NONE;
}

static uint8_t parse_l4(struct parsed *p)
{
	const size_t len = p->ip_len - (size_t)(p->l4 - p->ip);
	size_t header;

	if (p->proto == SLU_PROTO_UDP) {
		if (len < 8 || get16(p->l4 + 4) != len)
			return SLU_NIC_REASON_L4_SHORT;
		p->udp = true;
		return SLU_NIC_REASON_NONE;
	}
	if (p->proto != SLU_PROTO_TCP)
		return SLU_NIC_REASON_L4_OTHER;
	header = len >= 20 ? (size_t)(p->l4[12] >> 4) * 4 : 0;
	if (header < 20 || header > len)
		return SLU_NIC_REASON_L4_SHORT;
	p->tcp = true;
	p->tcp_flags = p->l4[13];
	return SLU_NIC_REASON_NONE;
}

static void parse(struct parsed *p)
{
	uint32_t type = get16(p->bytes + 12);

	p->ip = p->bytes + ETH_BYTES;
	if (type == 0x8100 || type == 0x88A8)
		p->reason = SLU_NIC_REASON_VLAN_STACK;
	else if (type == 0x0800)
		p->reason = parse_ipv4(p);
	else if (type == 0x86DD)
		p->reason = parse_ipv6(p);
	else
		p->reason = SLU_NIC_REASON_NOT_IP;
	if (p->reason == SLU_NIC_REASON_NONE)
		p->reason = parse_l4(p);
}

static int find_rule(const struct reference *r, const struct parsed *p)
{
	const size_t bytes = p->v6 ? 16 : 4;
	const uint8_t *src = p->ip + (p->v6 ? 8 : 12);

	for (unsigned int i = 0; i < r->rule_count; i++) {
		const struct slu_rule *rule = &r->rules[i];

		if (rule->ipv6 == p->v6 && rule->proto == p->proto && !memcmp(rule->src, src, bytes) &&
			!memcmp(rule->dst, src + bytes, bytes) && !memcmp(&rule->sport, p->l4, 2) &&
			!memcmp(&rule->dport, p->l4 + 2, 2))
			return (int)i;
	}
	return -1;
}

static bool condition_holds(
	const struct reference *r, const struct slu_rule *rule, const struct parsed *p, unsigned int port)
{
	const uint16_t vid = p->tci & 0xFFF;

	if (!(rule->port_mask >> port & 1))
		return false;
	if (rule->vlan_match == SLU_NIC_VLAN_MATCH_UNTAGGED && p->tagged && vid)
		return false;
	if (rule->vlan_match == SLU_NIC_VLAN_MATCH_VID && !(p->tagged && vid == rule->vid))
		return false;
	return !rule->match_port_mac || !memcmp(p->bytes, r->mac[port], 6);
}

/* Why a frame of this rule goes to the host; NONE: the rule has its way. */
static uint8_t judge(const struct reference *r, int index, const struct parsed *p, unsigned int port)
{
	const struct slu_rule *rule = &r->rules[index];
	const struct slu_nic_next_hop *hop =
		r->next_hop_of[index] < r->next_hop_count ? &r->next_hops[r->next_hop_of[index]] : NULL;

	if (!condition_holds(r, rule, p, port))
		return SLU_NIC_REASON_CONDITION;
	if (p->tcp && (p->tcp_flags & rule->tcp_zero))
		return SLU_NIC_REASON_TCP_FLAGS;
	if (rule->actions & SLU_NIC_ACT_DROP)
		return SLU_NIC_REASON_NONE;
	if (rule->actions & SLU_NIC_ACT_TO_HOST)
		return SLU_NIC_REASON_RULE;
	if (!(rule->actions & SLU_NIC_ACT_FORWARD) || !hop || !(hop->flags & SLU_NIC_NH_VALID) || hop->port > 1)
		return SLU_NIC_REASON_NEXTHOP;
	if ((rule->actions & SLU_NIC_ACT_DEC_TTL) && p->ttl <= 1)
		return SLU_NIC_REASON_TTL;
	return hop->mtu && p->ip_len > hop->mtu ? SLU_NIC_REASON_MTU : SLU_NIC_REASON_NONE;
}

/* The tuple (source, destination, ports) after the rule. */
static void new_tuple(const struct slu_rule *rule, size_t bytes, uint8_t *tuple)
{
	if (rule->actions & SLU_NIC_ACT_SET_SRC)
		memcpy(tuple, rule->new_src, bytes);
	if (rule->actions & SLU_NIC_ACT_SET_DST)
		memcpy(tuple + bytes, rule->new_dst, bytes);
	if (rule->actions & SLU_NIC_ACT_SET_SPORT)
		memcpy(tuple + 2 * bytes, &rule->new_sport, 2);
	if (rule->actions & SLU_NIC_ACT_SET_DPORT)
		memcpy(tuple + 2 * bytes + 2, &rule->new_dport, 2);
}

static void edit(const struct slu_rule *rule, struct parsed *p)
{
	const unsigned int bytes = p->v6 ? 16 : 4;
	uint8_t *addresses = p->ip + (p->v6 ? 8 : 12);
	uint8_t old[36], new[36];
	uint16_t l3_delta, l4_delta, l3_csum;

	memcpy(old, addresses, 2 * bytes);
	memcpy(old + 2 * bytes, p->l4, 4);
	memcpy(new, old, sizeof(new));
	new_tuple(rule, bytes, new);
	slu_packet_edit_deltas(old, new, bytes, &l3_delta, &l4_delta);
	memcpy(&l3_csum, p->ip + 10, 2);
	if (p->v6)
		slu_packet_edit_ipv6(p->ip, new);
	else
		slu_packet_edit_ipv4(p->ip, new, l3_delta);
	if (!(rule->actions & SLU_NIC_ACT_DEC_TTL)) {
		/* The agent always decrements; put back what it took. */
		p->ip[p->v6 ? 7 : 8]++;
		l3_csum = slu_checksum_update(l3_csum, l3_delta);
		if (!p->v6)
			memcpy(p->ip + 10, &l3_csum, 2);
	}
	if (p->tcp)
		slu_packet_edit_tcp(p->l4, new + 2 * bytes, l4_delta);
	else
		slu_packet_edit_udp(p->l4, new + 2 * bytes, l4_delta);
}

static void send_on(const struct reference *r, int index, struct parsed *p, struct reference_outcome *out)
{
	const struct slu_rule *rule = &r->rules[index];
	const struct slu_nic_next_hop *hop = &r->next_hops[r->next_hop_of[index]];
	uint8_t tag[4] = {0x81, 0, (uint8_t)(p->tci >> 8), (uint8_t)p->tci};
	size_t at = 12;

	edit(rule, p);
	if (rule->actions & SLU_NIC_ACT_SET_DMAC)
		memcpy(p->bytes, hop->dmac, 6);
	if (rule->actions & SLU_NIC_ACT_SET_SMAC)
		memcpy(p->bytes + 6, hop->smac, 6);
	memcpy(out->frame, p->bytes, 12);
	if (hop->flags & SLU_NIC_NH_VLAN_SET)
		memcpy(tag + 2, &hop->vlan_tci, 2);
	if ((hop->flags & SLU_NIC_NH_VLAN_SET) || ((hop->flags & SLU_NIC_NH_VLAN_KEEP) && p->tagged)) {
		memcpy(out->frame + 12, tag, 4);
		at = 16;
	}
	memcpy(out->frame + at, p->bytes + 12, p->len - 12);
	out->len = p->len - 12 + at;
	while (out->len < SLU_NIC_FRAME_MIN_BYTES)
		out->frame[out->len++] = 0;
	out->port = hop->port;
	out->fate = FATE_WIRE;
}

static void to_host(const struct reference *r, const struct parsed *p, struct reference_outcome *out)
{
	const size_t tag = p->tagged ? 4 : 0;

	out->fate = FATE_HOST;
	out->flags = (uint16_t)((p->tagged ? SLU_NIC_RXF_VLAN : 0) | (p->l3_good ? SLU_NIC_RXF_L3_GOOD : 0) |
				(p->l3_bad ? SLU_NIC_RXF_L3_BAD : 0) | (p->v4 ? SLU_NIC_RXF_IPV4 : 0) |
				(p->v6 ? SLU_NIC_RXF_IPV6 : 0) | (p->tcp ? SLU_NIC_RXF_TCP : 0) |
				(p->udp ? SLU_NIC_RXF_UDP : 0) | (p->fragment ? SLU_NIC_RXF_FRAGMENT : 0) |
				(out->rule >= 0 ? SLU_NIC_RXF_FLOW : 0));
	out->vlan_tci = p->tci;
	out->l3_off = p->v4 || p->v6 ? (uint8_t)(ETH_BYTES + tag) : 0;
	out->l4_off = p->tcp || p->udp ? (uint8_t)((size_t)(p->l4 - p->bytes) + tag) : 0;
	out->tcp_flags = p->tcp_flags;
	out->proto = p->proto;
	if (out->reason == SLU_NIC_REASON_RULE) {
		out->flags |= SLU_NIC_RXF_MARK;
		out->mark = r->rules[out->rule].mark;
	}
}

void reference_run(const struct reference *r, unsigned int port, const uint8_t *frame, size_t len, bool bad,
	struct reference_outcome *out)
{
	struct parsed p = {0};

	memset(out, 0, sizeof(*out));
	out->rule = -1;
	if (bad || len < SLU_NIC_FRAME_MIN_BYTES || len > SLU_NIC_FRAME_MAX_BYTES) {
		out->fate = bad ? FATE_WIRE_ERROR : len < SLU_NIC_FRAME_MIN_BYTES ? FATE_RUNT : FATE_GIANT;
		return;
	}
	strip_tag(&p, frame, len);
	parse(&p);
	out->reason = p.reason;
	if (p.reason == SLU_NIC_REASON_NONE) {
		out->rule = find_rule(r, &p);
		out->reason = out->rule < 0 ? (uint8_t)SLU_NIC_REASON_MISS : judge(r, out->rule, &p, port);
	}
	if (out->reason != SLU_NIC_REASON_NONE)
		to_host(r, &p, out);
	else if (r->rules[out->rule].actions & SLU_NIC_ACT_DROP)
		out->fate = FATE_RULE_DROP;
	else
		send_on(r, out->rule, &p, out);
}
