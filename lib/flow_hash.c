#include "flow_hash.h"

#include <string.h>

void slu_flow_hash_key(struct slu_flow_key *key, const uint8_t *source, const uint8_t *destination,
	unsigned address_bytes, slu_be16 sport, slu_be16 dport, uint8_t protocol, uint32_t vni)
{
	memset(key, 0, sizeof(*key));
	memcpy(&key->w[0], source, address_bytes);
	memcpy(&key->w[4], destination, address_bytes);
	key->w[8] = (uint32_t)sport | (uint32_t)dport << 16;
	key->w[9] = (uint32_t)protocol | vni << 8;
}

void slu_flow_hash_condition(uint32_t secret[SLU_NIC_HASH_KEYS])
{
	/* Words 1 and 5 multiply the IPv4 addresses; word 9 has the protocol (odd numbers 17, even 6) added. */
	for (unsigned i = 1; i < SLU_FLOW_HASH_WORDS; i += 2)
		secret[i] |= 1;
}

struct slu_flow_hash slu_flow_hash_compute(
	const struct slu_flow_key *key, const uint32_t secret[SLU_NIC_HASH_KEYS], unsigned bucket_bits)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SLU_FLOW_HASH_WORDS; i += 2)
		sum += (uint64_t)(uint32_t)(key->w[i] + secret[i]) * (uint32_t)(key->w[i + 1] + secret[i + 1]);

	uint32_t lo = (uint32_t)sum;
	uint32_t hi = (uint32_t)(sum >> 32);
	uint64_t f0 = (uint64_t)(uint32_t)(lo + secret[10]) * (uint32_t)(hi + secret[11]);
	uint64_t f1 = (uint64_t)(uint32_t)(lo ^ secret[12]) * (uint32_t)(hi ^ secret[13] ^ (lo << 16 | lo >> 16));

	return (struct slu_flow_hash){
		.bucket = (uint32_t)(f0 >> 24) & ((1u << bucket_bits) - 1),
		.tag = (uint32_t)(f1 >> 28) & SLU_FLOW_HASH_TAG_MASK,
	};
}
