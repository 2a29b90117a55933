/*
 * What the data path has understood of a packet. Nothing in a packet is trusted:
 * every offset here has been checked against the data of the first segment.
 */
#ifndef SLU_HOST_PACKET_H
#define SLU_HOST_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "host/dataplane/counters.h"
#include "host/dataplane/session_table.h"
#include "lib/checksum.h"
#include "lib/packet_edit.h"

#define SLU_ETHER_BYTES 14

enum slu_packet_kind {
	SLU_PACKET_PLAIN,          /* TCP or UDP with its header; key is complete */
	SLU_PACKET_FIRST_FRAGMENT, /* the same, and more fragments follow */
	SLU_PACKET_LATER_FRAGMENT, /* key lacks the ports */
	SLU_PACKET_ICMP_ERROR,     /* of a packet inside it; key is that of the outer packet without ports */
	SLU_PACKET_OTHER,          /* for the kernel; nothing else is set but l3 */
	SLU_PACKET_BAD,            /* drop tells why */
};

struct slu_packet {
	struct rte_mbuf *mbuf;
	struct slu_session_key key;
	uint64_t hash;
	uint32_t entry;    /* candidate of the table, 0: none */
	uint32_t fragment; /* identification of fragments */
	uint16_t l3, l4;   /* offsets */
	uint16_t ip_bytes; /* length of the IP packet */
	uint16_t in_port;
	uint8_t kind;
	uint8_t family;
	uint8_t protocol;
	uint8_t tcp_flags;
	uint8_t hops; /* workers that have already seen it */
	uint8_t drop; /* enum slu_counter */
};

static inline uint8_t *slu_packet_l3(const struct slu_packet *p)
{
	return rte_pktmbuf_mtod_offset(p->mbuf, uint8_t *, p->l3);
}

static inline uint8_t *slu_packet_l4(const struct slu_packet *p)
{
	return rte_pktmbuf_mtod_offset(p->mbuf, uint8_t *, p->l4);
}

static inline uint16_t slu_packet_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

static inline uint32_t slu_packet_load32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t slu_packet_load64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* Bytes of the frame as it was received, without FCS: what session counters count, on the card too. */
static inline uint32_t slu_packet_bytes(const struct rte_mbuf *m)
{
	return m->pkt_len + (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ? 4 : 0);
}

/*
 * Understands any frame: sets kind and what kind promises; never fails. mbuf and in_port are set by the caller. It may
 * make the headers of a chained packet contiguous.
 */
void slu_packet_parse(struct slu_packet *p, uint32_t vpc);

/* Whether the transport header at p->l4, with these bytes to the packet's end, is whole; sets tcp_flags and the ports.
 */
static inline bool slu_packet_transport(struct slu_packet *p, const uint8_t *l4, uint32_t bytes, uint32_t contiguous)
{
	if (p->protocol == SLU_PROTO_TCP) {
		uint32_t header;

		if (bytes < 20 || contiguous < 20)
			return false;
		header = (l4[12] >> 4) * 4u;
		p->tcp_flags = l4[13];
		return header >= 20 && header <= bytes;
	}
	p->tcp_flags = 0;
	if (bytes < 8 || contiguous < 8)
		return false;
	return slu_packet_be16(l4 + 4) >= 8 && slu_packet_be16(l4 + 4) <= bytes;
}

/*
 * The common case without detours: untagged, no options, no fragment, TCP or UDP, sound. Returns false if
 * slu_packet_parse() has to look.
 */
static inline bool slu_packet_parse_plain(struct slu_packet *p, uint32_t vpc)
{
	const struct rte_mbuf *m = p->mbuf;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *ip = frame + SLU_ETHER_BYTES;
	uint32_t contiguous = m->data_len, ether_type;

	if (contiguous < 42)
		return false;
	ether_type = frame[12] << 8 | frame[13];
	if (ether_type == 0x0800) {
		uint64_t sum;

		p->ip_bytes = slu_packet_be16(ip + 2);
		p->protocol = ip[9];
		if (ip[0] != 0x45 || (slu_packet_be16(ip + 6) & 0x3FFF) || p->ip_bytes > m->pkt_len - SLU_ETHER_BYTES ||
			p->ip_bytes < 28)
			return false;
		sum = slu_packet_load64(ip) & 0xFFFFFFFF;
		sum += slu_packet_load32(ip + 4);
		sum += slu_packet_load32(ip + 8);
		sum += slu_packet_load32(ip + 12);
		sum += slu_packet_load32(ip + 16);
		if (slu_checksum_fold(sum) != 0xFFFF)
			return false;
		p->l4 = SLU_ETHER_BYTES + 20;
		p->family = 4;
		p->key.addresses = slu_packet_load64(ip + 12);
		p->key.address6 = NULL;
	} else if (ether_type == 0x86DD) {
		p->ip_bytes = slu_packet_be16(ip + 4) + 40;
		p->protocol = ip[6];
		if (ip[0] >> 4 != 6 || contiguous < 62 || p->ip_bytes > m->pkt_len - SLU_ETHER_BYTES)
			return false;
		p->l4 = SLU_ETHER_BYTES + 40;
		p->family = 6;
		p->key.addresses = 0;
		p->key.address6 = ip + 8;
	} else {
		return false;
	}
	if (p->protocol != SLU_PROTO_TCP && p->protocol != SLU_PROTO_UDP)
		return false;
	if (!slu_packet_transport(p, frame + p->l4, p->ip_bytes + SLU_ETHER_BYTES - p->l4, contiguous - p->l4))
		return false;
	p->l3 = SLU_ETHER_BYTES;
	p->kind = SLU_PACKET_PLAIN;
	p->key.rest = slu_packet_load32(frame + p->l4) | (uint64_t)(p->protocol | vpc << 8) << 32;
	return true;
}

#endif
