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

/* An echo's identifier stands where the requester's port would, this where the other's would (as in a packet). */
#define SLU_ECHO_PORT RTE_BE16(8)
#define SLU_ICMP_ECHO_REPLY 0
#define SLU_ICMP_ECHO 8
#define SLU_ICMPV6_ECHO 128
#define SLU_ICMPV6_ECHO_REPLY 129

enum slu_packet_kind {
	SLU_PACKET_PLAIN,          /* TCP or UDP with its header; key is complete */
	SLU_PACKET_FIRST_FRAGMENT, /* the same, and more fragments follow */
	SLU_PACKET_LATER_FRAGMENT, /* key lacks the ports */
	SLU_PACKET_ICMP_ERROR,     /* of a packet inside it; key is that of the outer packet without ports */
	SLU_PACKET_ECHO,           /* ICMP echo request or reply; key is complete, with SLU_ECHO_PORT */
	SLU_PACKET_OTHER,          /* for the kernel; nothing else is set but l3 */
	SLU_PACKET_BAD,            /* drop tells why */
};

struct slu_packet {
	struct rte_mbuf *mbuf;
	struct slu_session_key key;
	uint64_t hash;
	struct slu_session_hot *hot; /* the candidate of the table, */
	uint32_t entry;              /* and its entry, 0: none; both only while fast */
	uint32_t fragment;           /* identification of fragments */
	uint16_t l3, l4;             /* offsets */
	uint16_t ip_bytes;           /* length of the IP packet */
	uint16_t in_port;
	uint8_t kind;
	uint8_t family;
	uint8_t protocol;
	uint8_t tcp_flags;
	uint8_t fast; /* slu_packet_parse_fast() understood it */
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

static inline uint8_t slu_packet_ttl(const struct slu_packet *p)
{
	return slu_packet_l3(p)[p->family == 4 ? 8 : 7];
}

/* Bytes of the frame as it was received, without FCS: what session counters count, on the card too. */
static inline uint32_t slu_packet_bytes(const struct rte_mbuf *m)
{
	return m->pkt_len + (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ? 4 : 0);
}

/* Both ports of an ICMP echo as they stand in a key; 0: the message is none. icmp: 8 bytes. */
static inline uint32_t slu_packet_echo_ports(uint8_t protocol, const uint8_t *icmp)
{
	uint32_t identifier = (uint16_t)slu_packet_load32(icmp + 4), port = SLU_ECHO_PORT;

	if (icmp[0] == (protocol == SLU_PROTO_ICMP ? SLU_ICMP_ECHO : SLU_ICMPV6_ECHO))
		return identifier | port << 16;
	if (icmp[0] == (protocol == SLU_PROTO_ICMP ? SLU_ICMP_ECHO_REPLY : SLU_ICMPV6_ECHO_REPLY))
		return port | identifier << 16;
	return 0;
}

/* The identifier of an echo, of its two ports. */
static inline uint16_t slu_packet_echo_identifier(uint32_t ports)
{
	return (uint16_t)ports == SLU_ECHO_PORT ? (uint16_t)(ports >> 16) : (uint16_t)ports;
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
 * The common case without detours: one segment, untagged, no options, no fragment, TCP or UDP, sound, with hops left.
 * Returns false if slu_packet_parse() has to look; true sets kind and what it promises.
 */
static inline bool slu_packet_parse_fast(struct slu_packet *p, uint32_t vpc)
{
	const struct rte_mbuf *m = p->mbuf;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *ip = frame + SLU_ETHER_BYTES, *l4;
	uint32_t data = m->data_len, ip_bytes, bytes, protocol, ports;
	uint64_t first;
	uint16_t ether_type;

	if (unlikely(data < SLU_ETHER_BYTES + 20 + 8))
		return false;
	memcpy(&ether_type, frame + 12, 2);
	first = slu_packet_load64(ip);
	if (ether_type == RTE_BE16(0x0800)) {
		uint64_t second = slu_packet_load64(ip + 8), sum = first + second;

		/* In memory order: version and header length, and of flags and offset all but "don't fragment". */
		if ((first & 0xFF3F0000000000FF) != 0x45 || (uint8_t)second <= 1)
			return false;
		sum += sum < first;
		sum = (sum >> 32) + (uint32_t)sum + slu_packet_load32(ip + 16);
		if (slu_checksum_fold(sum) != 0xFFFF)
			return false;
		ip_bytes = __builtin_bswap16((uint16_t)(first >> 16));
		protocol = (uint8_t)(second >> 8);
		bytes = ip_bytes - 20;
		l4 = ip + 20;
		p->l4 = SLU_ETHER_BYTES + 20;
		p->family = 4;
		p->key.addresses = slu_packet_load64(ip + 12);
		p->key.address6 = NULL;
	} else if (ether_type == RTE_BE16(0x86DD)) {
		if ((first & 0xF0) != 0x60 || data < SLU_ETHER_BYTES + 40 + 8 || first >> 56 <= 1)
			return false;
		bytes = __builtin_bswap16((uint16_t)(first >> 32));
		protocol = (uint8_t)(first >> 48);
		ip_bytes = bytes + 40;
		l4 = ip + 40;
		p->l4 = SLU_ETHER_BYTES + 40;
		p->family = 6;
		p->key.addresses = 0;
		p->key.address6 = ip + 8;
	} else {
		return false;
	}
	/* A length below its header's is a large number in bytes. */
	if (ip_bytes > data - SLU_ETHER_BYTES || bytes > ip_bytes)
		return false;
	ports = slu_packet_load32(l4);
	if (protocol == SLU_PROTO_TCP) {
		uint32_t header;

		if (bytes < 20)
			return false;
		header = (uint32_t)(l4[12] >> 4) * 4;
		p->tcp_flags = l4[13];
		if (header < 20 || header > bytes)
			return false;
	} else if (protocol == SLU_PROTO_UDP) {
		uint32_t length = slu_packet_be16(l4 + 4);

		p->tcp_flags = 0;
		if (bytes < 8 || length < 8 || length > bytes)
			return false;
	} else {
		return false;
	}
	p->l3 = SLU_ETHER_BYTES;
	p->ip_bytes = (uint16_t)ip_bytes;
	p->kind = SLU_PACKET_PLAIN;
	p->protocol = (uint8_t)protocol;
	p->key.rest = ports | (uint64_t)(protocol | vpc << 8) << 32;
	return true;
}

#endif
