/*
 * Maglev table: maps a flow hash to a backend and moves few flows when the
 * backend set changes (Eisenbud et al., NSDI 2016, section 3.4).
 */
#ifndef SLU_LIB_MAGLEV_H
#define SLU_LIB_MAGLEV_H

#include <stdint.h>

#define SLU_MAGLEV_SLOTS 65537u /* a prime, so that every skip visits every slot */
#define SLU_MAGLEV_NONE 0xFFFFu

struct slu_maglev_backend {
	uint16_t id;     /* what the table holds; not SLU_MAGLEV_NONE */
	uint16_t weight; /* 0 drains: no new flows */
	uint64_t seed;   /* unique, and stable across restarts */
};

/*
 * Fills slots[SLU_MAGLEV_SLOTS] with ids from backends[count].
 *
 * The caller owns both arrays; nothing is retained. The result depends on the
 * set of backends, not on their order. Control plane only: it allocates.
 *
 * Returns 0; -EINVAL if no weight is positive or two seeds are equal; -ENOMEM.
 * On failure slots is unchanged.
 */
int slu_maglev_build(const struct slu_maglev_backend *backends, uint32_t count, uint16_t *slots);

/* The slot of a flow hash whose 32 low bits are well mixed. */
static inline uint32_t slu_maglev_slot(uint64_t hash)
{
	return (uint32_t)(((hash & 0xFFFFFFFF) * SLU_MAGLEV_SLOTS) >> 32);
}

#endif
