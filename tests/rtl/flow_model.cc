#include "flow_model.h"

namespace model
{

using bench::be16;
using bench::put_be16;
using bench::sum16;

static const size_t FRAME_MIN = 60, FRAME_MAX = 9216;

std::string Flow::key() const
{
	std::string key(40, '\0');
	size_t address = ipv6 ? 16 : 4;

	memcpy(&key[0], src, address);
	memcpy(&key[16], dst, address);
	memcpy(&key[32], sport, 2);
	memcpy(&key[34], dport, 2);
	key[36] = (char)proto;
	return key;
}

static void delta(uint8_t out[2], const uint8_t *now, const uint8_t *before, size_t count, uint32_t *sum)
{
	for (size_t i = 0; i < count; i += 2)
		*sum += be16(now + i) + (uint32_t)(uint16_t)~be16(before + i);
	while (*sum >> 16)
		*sum = (*sum & 0xFFFF) + (*sum >> 16);
	put_be16(out, *sum);
}

void Flow::record(uint8_t out[128], uint8_t generation) const
{
	size_t address = ipv6 ? 16 : 4;
	uint8_t l3[2] = {}, l4[2] = {};
	uint32_t sum = 0;

	if (actions & SLU_NIC_ACT_SET_SRC)
		delta(l3, new_src, src, address, &sum);
	if (actions & SLU_NIC_ACT_SET_DST)
		delta(l3, new_dst, dst, address, &sum);
	memcpy(l4, l3, 2);
	if (actions & SLU_NIC_ACT_SET_SPORT)
		delta(l4, new_sport, sport, 2, &sum);
	if (actions & SLU_NIC_ACT_SET_DPORT)
		delta(l4, new_dport, dport, 2, &sum);

	memset(out, 0, 128);
	out[0] = generation;
	out[1] = (uint8_t)((ipv6 ? SLU_NIC_REC_IPV6 : 0) | (match_port_mac ? SLU_NIC_REC_MATCH_PORT_MAC : 0));
	out[2] = proto;
	out[3] = port_mask;
	memcpy(out + 4, &vlan, 2);
	out[6] = tcp_zero;
	memcpy(out + 12, sport, 2);
	memcpy(out + 14, dport, 2);
	memcpy(out + 16, &flow_id, 4);
	memcpy(out + 20, &actions, 4);
	memcpy(out + 24, &next_hop, 2);
	memcpy(out + 26, &queue, 2);
	memcpy(out + 28, &mark, 4);
	memcpy(out + 48, new_sport, 2);
	memcpy(out + 50, new_dport, 2);
	memcpy(out + 54, l4, 2);
	memcpy(out + 32, src, address);
	if (ipv6) {
		out[64] = (uint8_t)(torn ? generation + 1 : generation);
		memcpy(out + 80, dst, 16);
		memcpy(out + 96, new_src, 16);
		memcpy(out + 112, new_dst, 16);
	} else {
		memcpy(out + 36, dst, 4);
		memcpy(out + 40, new_src, 4);
		memcpy(out + 44, new_dst, 4);
		memcpy(out + 52, l3, 2);
	}
}

Place place(const std::string &key, const uint32_t hash_key[14], unsigned bucket_bits)
{
	uint32_t w[10];
	uint64_t s = 0;

	memcpy(w, key.data(), 40);
	for (int i = 0; i < 5; i++) {
		uint32_t a = w[2 * i] + hash_key[2 * i];
		uint32_t b = w[2 * i + 1] + hash_key[2 * i + 1];

		s += (uint64_t)a * b;
	}
	uint32_t lo = (uint32_t)s, hi = (uint32_t)(s >> 32);
	uint32_t x0 = lo + hash_key[10], y0 = hi + hash_key[11];
	uint32_t x1 = lo ^ hash_key[12], y1 = hi ^ hash_key[13] ^ (lo << 16 | lo >> 16);
	Place p;

	p.bucket[0] = (uint32_t)((uint64_t)x0 * y0 >> 24) & ((1u << bucket_bits) - 1);
	p.tag = (uint32_t)((uint64_t)x1 * y1 >> 28) & 0x1FFFF;
	p.bucket[1] = p.bucket[0] ^ (((p.tag + 1) * 0x9E3779B1u) >> (32 - bucket_bits));
	return p;
}

/* Headers of a frame without its tag. */
struct Headers {
	uint8_t reason = SLU_NIC_REASON_NONE;
	bool ip4 = false, ip6 = false, l3_good = false, l3_bad = false, fragment = false;
	size_t l4 = 0, ip_len = 0;
	uint8_t proto = 0, ttl = 0, tcp_flags = 0;
};

static void parse_l4(Headers *h, const uint8_t *f, size_t length)
{
	const uint8_t *l4 = f + h->l4;

	if (h->proto != 6 && h->proto != 17) {
		h->reason = SLU_NIC_REASON_L4_OTHER;
	} else if (h->proto == 17) {
		if (length < 8 || be16(l4 + 4) != length)
			h->reason = SLU_NIC_REASON_L4_SHORT;
	} else if (length < 20 || (l4[12] >> 4) < 5 || (size_t)(l4[12] >> 4) * 4 > length) {
		h->reason = SLU_NIC_REASON_L4_SHORT;
	} else {
		h->tcp_flags = l4[13];
	}
}

static void parse4(Headers *h, const Bytes &frame)
{
	const uint8_t *f = frame.data(), *ip = f + 14;
	size_t room = frame.size() - 14, header = (size_t)(ip[0] & 15) * 4, total = be16(ip + 2);

	if (room < 20 || ip[0] >> 4 != 4 || header < 20 || total < header || total > room) {
		h->reason = SLU_NIC_REASON_BAD_IP;
		return;
	}
	h->ip4 = true;
	h->ip_len = total;
	h->proto = ip[9];
	h->ttl = ip[8];
	h->fragment = be16(ip + 6) & 0x3FFF;
	if (header > 20) {
		h->reason = SLU_NIC_REASON_IP_OPTION;
		return;
	}
	/* A header sums to 65535: 0 modulo 65535, but not all zero, which its version excludes. */
	h->l3_good = sum16(ip, 20) == 0;
	h->l3_bad = !h->l3_good;
	if (h->l3_bad) {
		h->reason = SLU_NIC_REASON_BAD_L3_CSUM;
	} else if (h->fragment) {
		h->reason = SLU_NIC_REASON_FRAGMENT;
	} else {
		h->l4 = 34;
		parse_l4(h, f, total - 20);
	}
}

static void parse6(Headers *h, const Bytes &frame)
{
	const uint8_t *f = frame.data(), *ip = f + 14;
	size_t room = frame.size() - 14, payload = be16(ip + 4);

	if (room < 40 || ip[0] >> 4 != 6 || payload + 40 > room) {
		h->reason = SLU_NIC_REASON_BAD_IP;
		return;
	}
	h->ip6 = true;
	h->ip_len = payload + 40;
	h->proto = ip[6];
	h->ttl = ip[7];
	h->fragment = ip[6] == 44;
	switch (ip[6]) {
	case 0:
	case 43:
	case 51:
	case 60:
	case 135:
	case 139:
	case 140:
		h->reason = SLU_NIC_REASON_IP_OPTION;
		return;
	case 44:
		h->reason = SLU_NIC_REASON_FRAGMENT;
		return;
	}
	h->l4 = 54;
	parse_l4(h, f, payload);
}

static Headers parse(const Bytes &frame)
{
	Headers h;
	uint16_t type = be16(&frame[12]);

	if (type == 0x8100 || type == 0x88A8)
		h.reason = SLU_NIC_REASON_VLAN_STACK;
	else if (type == 0x0800)
		parse4(&h, frame);
	else if (type == 0x86DD)
		parse6(&h, frame);
	else
		h.reason = SLU_NIC_REASON_NOT_IP;
	if (h.reason != SLU_NIC_REASON_NONE)
		h.l4 = 0;
	return h;
}

/*
 * The checksum that the new packet must carry: as wrong as the old one was. All modulo 65535, then in the one form that
 * RFC 1624 gives; a checksum that stays is left as it is.
 */
static uint16_t moved(uint16_t old_csum, uint32_t old_sum, uint32_t new_sum)
{
	uint32_t canonical = (old_csum + old_sum + 2 * 65535u - new_sum) % 65535;

	return canonical == 0 && old_csum == 0xFFFF && old_sum == new_sum ? 0xFFFF : (uint16_t)canonical;
}

static Bytes with_tag(const Bytes &frame, uint16_t tci)
{
	Bytes out(frame.begin(), frame.begin() + 12);

	out.push_back(0x81);
	out.push_back(0x00);
	out.push_back((uint8_t)(tci >> 8));
	out.push_back((uint8_t)tci);
	out.insert(out.end(), frame.begin() + 12, frame.end());
	return out;
}

static Bytes rewrite(const Bytes &frame, const Headers &h, const Flow &flow, const struct slu_nic_next_hop &nh)
{
	Bytes out = frame;
	uint8_t *ip = &out[14], *l4 = &out[h.l4];
	size_t address = h.ip6 ? 16 : 4;
	uint8_t *src = ip + (h.ip6 ? 8 : 12), *dst = src + address;
	uint8_t *csum = l4 + (h.proto == 6 ? 16 : 6);
	uint32_t l3_before = sum16(ip, 10) + (h.ip4 ? sum16(ip + 12, 8) : 0);
	uint32_t l4_before = sum16(src, 2 * address) + sum16(l4, 4);

	if (flow.actions & SLU_NIC_ACT_SET_DMAC)
		memcpy(&out[0], nh.dmac, 6);
	if (flow.actions & SLU_NIC_ACT_SET_SMAC)
		memcpy(&out[6], nh.smac, 6);
	if (flow.actions & SLU_NIC_ACT_SET_SRC)
		memcpy(src, flow.new_src, address);
	if (flow.actions & SLU_NIC_ACT_SET_DST)
		memcpy(dst, flow.new_dst, address);
	if (flow.actions & SLU_NIC_ACT_SET_SPORT)
		memcpy(l4, flow.new_sport, 2);
	if (flow.actions & SLU_NIC_ACT_SET_DPORT)
		memcpy(l4 + 2, flow.new_dport, 2);
	if (flow.actions & SLU_NIC_ACT_DEC_TTL)
		ip[h.ip6 ? 7 : 8]--;
	if (h.ip4)
		put_be16(ip + 10, moved(be16(ip + 10), l3_before % 65535, (sum16(ip, 10) + sum16(ip + 12, 8)) % 65535));
	if (h.proto == 6 || be16(csum)) {
		uint16_t now = moved(be16(csum), l4_before % 65535, (sum16(src, 2 * address) + sum16(l4, 4)) % 65535);

		put_be16(csum, h.proto == 17 && now == 0 ? 0xFFFF : now);
	}
	return out;
}

static void to_host(Verdict *v, const Bytes &bare, const Headers &h, bool tagged, uint16_t tci, bool strip)
{
	size_t address = h.ip6 ? 16 : 4, at = h.ip6 ? 22 : 26;
	unsigned shift = tagged && !strip ? 4 : 0;

	v->kind = HOST;
	v->frame = shift ? with_tag(bare, tci) : bare;
	v->vlan_tci = tagged ? tci : 0;
	if (tagged)
		v->flags |= SLU_NIC_RXF_VLAN | (strip ? SLU_NIC_RXF_VLAN_STRIPPED : 0);
	if (h.ip4 || h.ip6) {
		v->flags |= h.ip4 ? SLU_NIC_RXF_IPV4 : SLU_NIC_RXF_IPV6;
		v->l3_off = (uint8_t)(14 + shift);
		v->proto = h.proto;
		memcpy(v->src, &bare[at], address);
		memcpy(v->dst, &bare[at + address], address);
	}
	v->flags |= (h.l3_good ? SLU_NIC_RXF_L3_GOOD : 0) | (h.l3_bad ? SLU_NIC_RXF_L3_BAD : 0) |
		    (h.fragment ? SLU_NIC_RXF_FRAGMENT : 0);
	if (h.l4) {
		v->flags |= h.proto == 6 ? SLU_NIC_RXF_TCP : SLU_NIC_RXF_UDP;
		v->l4_off = (uint8_t)(h.l4 + shift);
		v->tcp_flags = h.tcp_flags;
		memcpy(v->sport, &bare[h.l4], 2);
		memcpy(v->dport, &bare[h.l4 + 2], 2);
	}
}

static bool condition(const Engine &e, const Flow &flow, const Bytes &bare, unsigned port, bool tagged, uint16_t tci)
{
	unsigned vid = tagged ? tci & 0xFFF : 0;

	switch (flow.vlan >> 14) {
	case SLU_NIC_VLAN_MATCH_ANY:
		break;
	case SLU_NIC_VLAN_MATCH_UNTAGGED:
		if (vid)
			return false;
		break;
	case SLU_NIC_VLAN_MATCH_VID:
		if (!tagged || vid != (flow.vlan & 0xFFFu))
			return false;
		break;
	default:
		return false;
	}
	if (flow.match_port_mac && memcmp(&bare[0], e.mac[port], 6))
		return false;
	return flow.port_mask >> port & 1;
}

Verdict Engine::judge(const Bytes &frame, unsigned port, bool wire_error) const
{
	Verdict v;

	if (wire_error || frame.size() < FRAME_MIN || frame.size() > FRAME_MAX) {
		v.kind = wire_error ? WIRE_ERROR : frame.size() < FRAME_MIN ? RUNT : GIANT;
		return v;
	}

	bool tagged = be16(&frame[12]) == 0x8100;
	uint16_t tci = tagged ? be16(&frame[14]) : 0;
	Bytes bare = frame;

	if (tagged)
		bare.erase(bare.begin() + 12, bare.begin() + 16);

	Headers h = parse(bare);
	const Flow *flow = nullptr;

	v.reason = lookup ? h.reason : (uint8_t)SLU_NIC_REASON_LOOKUP_OFF;
	if (v.reason == SLU_NIC_REASON_NONE) {
		Flow probe;

		probe.ipv6 = h.ip6;
		probe.proto = h.proto;
		memcpy(probe.src, &bare[h.ip6 ? 22 : 26], h.ip6 ? 16 : 4);
		memcpy(probe.dst, &bare[h.ip6 ? 38 : 30], h.ip6 ? 16 : 4);
		memcpy(probe.sport, &bare[h.l4], 2);
		memcpy(probe.dport, &bare[h.l4 + 2], 2);
		auto found = flows.find(probe.key());
		if (found == flows.end() || found->second.ipv6 != h.ip6)
			v.reason = SLU_NIC_REASON_MISS;
		else
			flow = &found->second;
	}
	if (flow && flow->torn) {
		v.reason = SLU_NIC_REASON_TORN;
		flow = nullptr;
	}
	if (!flow) {
		to_host(&v, bare, h, tagged, tci, vlan_strip[port]);
		return v;
	}

	auto hop = next_hops.find(flow->next_hop);
	bool hop_ok = hop != next_hops.end() && (hop->second.flags & SLU_NIC_NH_VALID) && hop->second.port < ports;

	if (!condition(*this, *flow, bare, port, tagged, tci))
		v.reason = SLU_NIC_REASON_CONDITION;
	else if (flow->tcp_zero & h.tcp_flags)
		v.reason = SLU_NIC_REASON_TCP_FLAGS;
	else if (flow->actions & SLU_NIC_ACT_DROP)
		v.kind = DROP;
	else if (flow->actions & SLU_NIC_ACT_TO_HOST)
		v.reason = SLU_NIC_REASON_RULE;
	else if (!(flow->actions & SLU_NIC_ACT_FORWARD) || !hop_ok)
		v.reason = SLU_NIC_REASON_NEXTHOP;
	else if ((flow->actions & SLU_NIC_ACT_DEC_TTL) && h.ttl <= 1)
		v.reason = SLU_NIC_REASON_TTL;
	else if (hop->second.mtu && h.ip_len > hop->second.mtu)
		v.reason = SLU_NIC_REASON_MTU;
	else
		v.kind = FORWARD;

	if (v.kind != HOST || v.reason == SLU_NIC_REASON_RULE) {
		v.update = true;
		v.count = flow->actions & SLU_NIC_ACT_COUNT;
		v.flow_id = flow->flow_id;
		v.bytes = (uint16_t)frame.size();
	}
	if (v.kind == HOST) {
		to_host(&v, bare, h, tagged, tci, vlan_strip[port]);
		v.flags |= SLU_NIC_RXF_FLOW;
		v.meta_flow_id = flow->flow_id;
		if (v.reason == SLU_NIC_REASON_RULE) {
			v.flags |= SLU_NIC_RXF_MARK;
			v.mark = flow->mark;
			v.queue = flow->queue;
		}
	} else if (v.kind == FORWARD) {
		const struct slu_nic_next_hop &nh = hop->second;
		Bytes out = rewrite(bare, h, *flow, nh);

		v.port = nh.port;
		if (nh.flags & SLU_NIC_NH_VLAN_SET)
			out = with_tag(out, be16((const uint8_t *)&nh.vlan_tci));
		else if ((nh.flags & SLU_NIC_NH_VLAN_KEEP) && tagged)
			out = with_tag(out, tci);
		if (out.size() < FRAME_MIN)
			out.resize(FRAME_MIN, 0);
		v.frame = out;
	}
	return v;
}

} // namespace model
