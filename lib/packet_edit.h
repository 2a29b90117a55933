/*
 * Header rewriting as the card does it (hw/rtl): addresses, ports, TTL, and both
 * checksums incrementally, never recomputed, so that a bad checksum stays bad.
 *
 * ip points to the IP header, l4 to the TCP or UDP header; the caller has made
 * sure that they are whole. Deltas are those of slu_checksum_delta().
 */
#ifndef SLU_LIB_PACKET_EDIT_H
#define SLU_LIB_PACKET_EDIT_H

#include <stdint.h>
#include <string.h>

#include "checksum.h"

#define SLU_PROTO_ICMP 1
#define SLU_PROTO_TCP 6
#define SLU_PROTO_UDP 17
#define SLU_PROTO_ICMPV6 58

/* Sets both IPv4 addresses (8 bytes, source first) and takes one off the TTL, which must be positive. */
static inline void slu_packet_edit_ipv4(uint8_t *ip, const void *addresses, uint16_t l3_delta)
{
	uint16_t checksum;

	memcpy(&checksum, ip + 10, 2);
	/* One less in the first byte of a word: plus 0xFFFE in ones' complement on a little-endian reader. */
	checksum = slu_checksum_update(checksum, (uint32_t)l3_delta + 0xFFFE);
	memcpy(ip + 10, &checksum, 2);
	ip[8]--;
	memcpy(ip + 12, addresses, 8);
}

/* Sets both IPv6 addresses (32 bytes, source first) and takes one off the hop limit. */
static inline void slu_packet_edit_ipv6(uint8_t *ip, const void *addresses)
{
	ip[7]--;
	memcpy(ip + 8, addresses, 32);
}

/*
 * Sets both ports (4 bytes, source first) and updates the checksum. UDP's absent checksum (0) stays absent; a computed
 * 0 is sent as 0xFFFF (RFC 768).
 */
static inline void slu_packet_edit_tcp(uint8_t *l4, const void *ports, uint16_t l4_delta)
{
	uint16_t checksum;

	memcpy(l4, ports, 4);
	memcpy(&checksum, l4 + 16, 2);
	checksum = slu_checksum_update(checksum, l4_delta);
	memcpy(l4 + 16, &checksum, 2);
}

static inline void slu_packet_edit_udp(uint8_t *l4, const void *ports, uint16_t l4_delta)
{
	uint16_t checksum;

	memcpy(l4, ports, 4);
	memcpy(&checksum, l4 + 6, 2);
	if (checksum == 0)
		return;
	checksum = slu_checksum_update(checksum, l4_delta);
	if (checksum == 0)
		checksum = 0xFFFF;
	memcpy(l4 + 6, &checksum, 2);
}

/* Sets the identifier (2 bytes) of an ICMP echo and updates the checksum. */
static inline void slu_packet_edit_echo(uint8_t *icmp, const void *identifier, uint16_t l4_delta)
{
	uint16_t checksum;

	memcpy(icmp + 4, identifier, 2);
	memcpy(&checksum, icmp + 2, 2);
	checksum = slu_checksum_update(checksum, l4_delta);
	memcpy(icmp + 2, &checksum, 2);
}

/*
 * Deltas of replacing one tuple by another. A tuple is source address, destination address (4 or 16 bytes each), then
 * source and destination port. l3 may be NULL.
 */
void slu_packet_edit_deltas(
	const void *old_tuple, const void *new_tuple, unsigned int address_bytes, uint16_t *l3, uint16_t *l4);

#endif
