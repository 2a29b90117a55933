#include "host/dataplane/packet.h"

#define ETHER_VLAN 0x8100
#define ETHER_QINQ 0x88A8
#define ETHER_IPV4 0x0800
#define ETHER_IPV6 0x86DD
#define IPV6_EXTENSIONS_MAX 8
/* Ethernet, a VLAN tag, IPv4 with options, TCP with options; and what an ICMP error carries of the same. */
#define HEADERS_MAX 256

static void bad(struct slu_packet *p, enum slu_counter why)
{
	p->kind = SLU_PACKET_BAD;
	p->drop = why;
}

/* Makes enough of a chained packet contiguous. Chains are rare: jumbo frames of some drivers. */
static bool contiguous_headers(struct rte_mbuf *m)
{
	if (m->nb_segs == 1 || m->data_len >= HEADERS_MAX || m->data_len == m->pkt_len)
		return true;
	return rte_pktmbuf_linearize(m) == 0;
}

/* Bytes of the IP packet from an offset to its end, and those of them that can be read. */
static uint32_t left_of(const struct slu_packet *p, uint32_t offset)
{
	return p->l3 + (uint32_t)p->ip_bytes - offset;
}

static uint32_t readable(const struct slu_packet *p, uint32_t offset)
{
	uint32_t end = p->l3 + (uint32_t)p->ip_bytes;

	if (end > p->mbuf->data_len)
		end = p->mbuf->data_len;
	return end > offset ? end - offset : 0;
}

static bool is_icmp_error(uint8_t protocol, uint8_t type)
{
	if (protocol == SLU_PROTO_ICMP)
		return type == 3 || type == 4 || type == 11 || type == 12;
	return type >= 1 && type <= 4;
}

static void parse_icmp(struct slu_packet *p)
{
	const uint8_t *icmp = slu_packet_l4(p);

	p->kind = SLU_PACKET_OTHER;
	if (readable(p, p->l4) < 1)
		bad(p, SLU_COUNT_DROP_ICMP_BAD);
	else if (is_icmp_error(p->protocol, icmp[0]))
		p->kind = SLU_PACKET_ICMP_ERROR;
	else if (readable(p, p->l4) >= 8)
		p->key.rest |= slu_packet_echo_ports(p->protocol, icmp);
	if (p->kind == SLU_PACKET_OTHER && (uint32_t)p->key.rest)
		p->kind = SLU_PACKET_ECHO;
}

/* The upper layer of a packet that is whole or a first fragment. */
static void parse_upper(struct slu_packet *p, bool more_fragments)
{
	const uint8_t *l4 = slu_packet_l4(p);
	uint32_t bytes = left_of(p, p->l4), have = readable(p, p->l4);

	if (p->protocol == (p->family == 4 ? SLU_PROTO_ICMP : SLU_PROTO_ICMPV6)) {
		if (more_fragments)
			p->kind = SLU_PACKET_OTHER;
		else
			parse_icmp(p);
		return;
	}
	if (p->protocol != SLU_PROTO_TCP && p->protocol != SLU_PROTO_UDP) {
		p->kind = SLU_PACKET_OTHER;
		return;
	}
	/* A fragment's UDP length is that of the whole datagram. */
	if (more_fragments && p->protocol == SLU_PROTO_UDP) {
		if (have < 8) {
			bad(p, SLU_COUNT_DROP_FRAGMENT_TINY);
			return;
		}
		p->tcp_flags = 0;
	} else if (!slu_packet_transport(p, l4, bytes, have)) {
		bad(p, more_fragments ? SLU_COUNT_DROP_FRAGMENT_TINY : SLU_COUNT_DROP_BAD_L4);
		return;
	}
	p->key.rest |= slu_packet_load32(l4);
	p->kind = more_fragments ? SLU_PACKET_FIRST_FRAGMENT : SLU_PACKET_PLAIN;
}

/* offset in bytes */
static void parse_rest(struct slu_packet *p, uint32_t vpc, uint32_t offset, bool more_fragments)
{
	p->key.rest = (uint64_t)(p->protocol | vpc << 8) << 32;
	if (offset == 0) {
		parse_upper(p, more_fragments);
		return;
	}
	if (p->protocol == SLU_PROTO_TCP || p->protocol == SLU_PROTO_UDP)
		p->kind = SLU_PACKET_LATER_FRAGMENT;
	else
		p->kind = SLU_PACKET_OTHER;
}

static void parse_ipv4(struct slu_packet *p, uint32_t vpc)
{
	const uint8_t *ip = slu_packet_l3(p);
	uint32_t room = p->mbuf->pkt_len - p->l3, header, fragment;

	if (p->mbuf->data_len < p->l3 + 20u) {
		bad(p, SLU_COUNT_DROP_SHORT);
		return;
	}
	header = (ip[0] & 0xF) * 4u;
	p->ip_bytes = slu_packet_be16(ip + 2);
	if (ip[0] >> 4 != 4 || header < 20 || p->ip_bytes < header || p->ip_bytes > room ||
		p->mbuf->data_len < p->l3 + header) {
		bad(p, SLU_COUNT_DROP_BAD_IP);
		return;
	}
	if (slu_checksum_fold(slu_checksum_add(0, ip, header)) != 0xFFFF) {
		bad(p, SLU_COUNT_DROP_BAD_L3_CSUM);
		return;
	}
	p->family = 4;
	p->protocol = ip[9];
	p->l4 = (uint16_t)(p->l3 + header);
	p->key.addresses = slu_packet_load64(ip + 12);
	p->key.address6 = NULL;
	fragment = slu_packet_be16(ip + 6);
	p->fragment = slu_packet_be16(ip + 4);
	parse_rest(p, vpc, (fragment & 0x1FFF) * 8, fragment & 0x2000);
}

/* Walks extension headers to the upper layer. Returns false if the chain is cut, too long or not understood. */
static bool walk_extensions(struct slu_packet *p, uint32_t *offset, bool *more)
{
	const uint8_t *frame = rte_pktmbuf_mtod(p->mbuf, const uint8_t *);
	uint32_t at = p->l3 + 40;

	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		const uint8_t *header = frame + at;

		switch (p->protocol) {
		case 0:  /* hop by hop */
		case 43: /* routing */
		case 60: /* destination options */
			if (readable(p, at) < 8)
				return false;
			p->protocol = header[0];
			at += 8 + header[1] * 8u;
			break;
		case 44: /* fragment */
			if (readable(p, at) < 8)
				return false;
			p->protocol = header[0];
			*offset = slu_packet_be16(header + 2) & 0xFFF8;
			*more = header[3] & 1;
			p->fragment = slu_packet_load32(header + 4);
			at += 8;
			if (*offset) {
				p->l4 = (uint16_t)at;
				return at <= p->l3 + (uint32_t)p->ip_bytes;
			}
			break;
		default:
			p->l4 = (uint16_t)at;
			return at <= p->l3 + (uint32_t)p->ip_bytes;
		}
	}
	return false;
}

static void parse_ipv6(struct slu_packet *p, uint32_t vpc)
{
	const uint8_t *ip = slu_packet_l3(p);
	uint32_t offset = 0, bytes;
	bool more = false;

	if (p->mbuf->data_len < p->l3 + 40u) {
		bad(p, SLU_COUNT_DROP_SHORT);
		return;
	}
	bytes = slu_packet_be16(ip + 4) + 40u;
	if (ip[0] >> 4 != 6 || bytes > p->mbuf->pkt_len - p->l3 || bytes > UINT16_MAX) {
		bad(p, SLU_COUNT_DROP_BAD_IP);
		return;
	}
	p->ip_bytes = (uint16_t)bytes;
	p->family = 6;
	p->protocol = ip[6];
	p->key.addresses = 0;
	p->key.address6 = ip + 8;
	if (!walk_extensions(p, &offset, &more)) {
		bad(p, SLU_COUNT_DROP_EXTENSION);
		return;
	}
	parse_rest(p, vpc, offset, more);
}

void slu_packet_parse(struct slu_packet *p, uint32_t vpc)
{
	const uint8_t *frame;
	uint16_t ether_type;

	if (!contiguous_headers(p->mbuf)) {
		bad(p, SLU_COUNT_DROP_NO_MEMORY);
		return;
	}
	p->l3 = SLU_ETHER_BYTES;
	if (p->mbuf->data_len < SLU_ETHER_BYTES) {
		bad(p, SLU_COUNT_DROP_SHORT);
		return;
	}
	frame = rte_pktmbuf_mtod(p->mbuf, const uint8_t *);
	ether_type = slu_packet_be16(frame + 12);
	if (ether_type == ETHER_VLAN || ether_type == ETHER_QINQ) {
		if (p->mbuf->data_len < SLU_ETHER_BYTES + 4) {
			bad(p, SLU_COUNT_DROP_SHORT);
			return;
		}
		p->l3 += 4;
		ether_type = slu_packet_be16(frame + 16);
	}
	if (ether_type == ETHER_IPV4)
		parse_ipv4(p, vpc);
	else if (ether_type == ETHER_IPV6)
		parse_ipv6(p, vpc);
	else
		p->kind = SLU_PACKET_OTHER;
}
