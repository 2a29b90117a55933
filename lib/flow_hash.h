/*
 * Hash of a flow key: the reference of the card's key hash, which the driver
 * uses to place flows and the benches compare the RTL with.
 *
 * NH universal hash (Black et al., CRYPTO '99, section 3) over ten 32-bit
 * words, then one multiplicative finaliser each for bucket and tag.
 */
#ifndef SLU_LIB_FLOW_HASH_H
#define SLU_LIB_FLOW_HASH_H

#include <stdint.h>

#include <sluice/nic_regs.h>

#define SLU_FLOW_HASH_WORDS 10
#define SLU_FLOW_HASH_TAG_MASK ((1u << SLU_NIC_TAG_BITS) - 1)

/*
 * Raw packet bytes read as little-endian words: w[0..3] source address and
 * w[4..7] destination address (IPv4 in w[0] and w[4], the others zero), w[8]
 * the bytes {sport, dport}, w[9] = protocol | vni << 8.
 */
struct slu_flow_key {
	uint32_t w[SLU_FLOW_HASH_WORDS];
};

struct slu_flow_hash {
	uint32_t bucket; /* in bank A, already cut to bucket_bits */
	uint32_t tag;
};

/* Fills a key. address_bytes is 4 or 16; ports as on the wire. Any thread. */
void slu_flow_hash_key(struct slu_flow_key *key, const uint8_t *source, const uint8_t *destination,
	unsigned address_bytes, slu_be16 sport, slu_be16 dport, uint8_t protocol, uint32_t vni);

/*
 * Makes a secret from random words good for NH: multipliers odd, so that no
 * low bit of an IPv4 address or port is lost. The driver writes the result to
 * FLOW.HASH_KEY. Idempotent.
 */
void slu_flow_hash_condition(uint32_t secret[SLU_NIC_HASH_KEYS]);

/* bucket_bits is 1..24. Any thread. */
struct slu_flow_hash slu_flow_hash_compute(
	const struct slu_flow_key *key, const uint32_t secret[SLU_NIC_HASH_KEYS], unsigned bucket_bits);

/*
 * What to XOR a bucket with to come from one bank to the other. Depends on the
 * tag alone: keys of one tag share both buckets or none.
 */
static inline uint32_t slu_flow_hash_alternate(uint32_t tag, unsigned bucket_bits)
{
	return (uint32_t)((tag + 1u) * 0x9E3779B1u) >> (32 - bucket_bits);
}

#endif
