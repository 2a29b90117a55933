/*
 * The card's next hops, interned: rules with equal next hops share an index.
 * A next hop that belongs to a handle is not shared with others, so that
 * its handle can change it.
 *
 * An index that was let go may still be in a packet's hands: it is handed out again with
 * the epoch in which it was freed, for the caller to fence. Not thread-safe.
 */
#ifndef SLU_DRIVER_NEXT_HOP_H
#define SLU_DRIVER_NEXT_HOP_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/nic_regs.h>

#define SLU_NEXT_HOP_NONE UINT32_MAX

struct slu_next_hops;

struct slu_next_hop_grant {
	uint32_t index;
	bool fresh;     /* not in the card yet */
	uint32_t epoch; /* fresh: when it was freed last; 0: never used */
};

/* Returns 0 or -ENOMEM. */
int slu_next_hop_create(uint32_t bits, struct slu_next_hops **hops);
void slu_next_hop_destroy(struct slu_next_hops *hops);

/* One reference to the next hop with this content and owner (NULL: anyone's). Returns 0 or -ENOSPC. */
int slu_next_hop_get(struct slu_next_hops *hops, const struct slu_nic_next_hop *content, const void *owner,
	struct slu_next_hop_grant *grant);
void slu_next_hop_put(struct slu_next_hops *hops, uint32_t index, uint32_t epoch);

/* Enters a next hop read back from the card, with no reference yet; put what stays without one with sweep. */
void slu_next_hop_restore(struct slu_next_hops *hops, uint32_t index, const struct slu_nic_next_hop *content);
/* One more reference to a restored one. Returns false when there is none at index. */
bool slu_next_hop_hold(struct slu_next_hops *hops, uint32_t index);
/* Frees the restored ones that nobody holds. */
void slu_next_hop_sweep(struct slu_next_hops *hops, uint32_t epoch);

/* Next index at or after *index that owner has; its content may be changed with rewrite. */
bool slu_next_hop_owned(const struct slu_next_hops *hops, const void *owner, uint32_t *index);
const struct slu_nic_next_hop *slu_next_hop_content(const struct slu_next_hops *hops, uint32_t index);
void slu_next_hop_rewrite(struct slu_next_hops *hops, uint32_t index, const struct slu_nic_next_hop *content);
/* The owner goes away: its next hops become anyone's. */
void slu_next_hop_disown(struct slu_next_hops *hops, const void *owner);

uint32_t slu_next_hop_used(const struct slu_next_hops *hops);

#endif
