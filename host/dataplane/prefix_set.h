/*
 * A set of address prefixes of tenant networks, each with a value: the longest
 * one that has an address is found. Built once, immutable afterwards.
 */
#ifndef SLU_HOST_PREFIX_SET_H
#define SLU_HOST_PREFIX_SET_H

#include "host/control/generation.h"

struct slu_prefix_entry {
	uint32_t vpc;
	struct slu_prefix prefix;
	const void *value; /* not NULL */
};

struct slu_prefix_set {
	struct slu_prefix_entry *entries; /* sorted by family, length, network, address */
	uint32_t count;
	uint32_t first[2][130]; /* by family (IPv4, IPv6) and length: where those entries begin; one more closes */
};

/*
 * Takes a copy of entries[count]; of equal prefixes any one stays. Returns 0 or -ENOMEM, then *set is empty. An empty
 * set is all zeros.
 */
int slu_prefix_set_build(struct slu_prefix_set *set, const struct slu_prefix_entry *entries, uint32_t count);
void slu_prefix_set_free(struct slu_prefix_set *set);

/* The value of the longest prefix with this address (4 or 16 bytes), or NULL. Any thread. */
const void *slu_prefix_set_find(const struct slu_prefix_set *set, uint32_t vpc, uint8_t family, const void *address);

#endif
