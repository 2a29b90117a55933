/*
 * Internet checksum (RFC 1071) and its incremental update (RFC 1624, eqn. 3).
 *
 * Sums are over 16-bit words as they stand in memory: ones' complement addition
 * does not care about byte order, so nothing here swaps bytes. A value returned
 * by fold, final or update is stored in a header as it is.
 */
#ifndef SLU_LIB_CHECKSUM_H
#define SLU_LIB_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds bytes to a running sum; an odd last byte is padded with zero, so only the last piece may be odd. */
uint64_t slu_checksum_add(uint64_t sum, const void *bytes, size_t count);

/* Adds the pseudo header of TCP, UDP or ICMPv6: addresses of 4 or 16 bytes, length of the upper layer in host order. */
uint64_t slu_checksum_add_pseudo(
	uint64_t sum, const void *src, const void *dst, size_t address_bytes, uint8_t protocol, uint32_t length);

/* A sum and itself with its halves exchanged: the upper half gets the carry of the lower, and so the end-around one. */
static inline uint16_t slu_checksum_fold32(uint32_t sum)
{
	sum += sum >> 16 | sum << 16;
	return (uint16_t)(sum >> 16);
}

static inline uint16_t slu_checksum_fold(uint64_t sum)
{
	sum += sum >> 32 | sum << 32;
	return slu_checksum_fold32((uint32_t)(sum >> 32));
}

static inline uint16_t slu_checksum_final(uint64_t sum)
{
	return (uint16_t)~slu_checksum_fold(sum);
}

/* The sum of (new - old) over count bytes, an even number: what slu_checksum_update() adds. */
uint16_t slu_checksum_delta(const void *old_bytes, const void *new_bytes, size_t count);

/* HC' = ~(~HC + delta). delta may be the plain sum of two deltas. */
static inline uint16_t slu_checksum_update(uint16_t checksum, uint32_t delta)
{
	return (uint16_t)~slu_checksum_fold32((uint16_t)~checksum + delta);
}

#endif
