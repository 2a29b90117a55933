/*
 * Placement of flows in the card's table: a partial-key cuckoo table (Fan et
 * al., CoNEXT 2014) of two banks of buckets with four ways, kept as a shadow of
 * the tags alone. Which slot a flow gets, and which flows must move first, is
 * decided here; nothing here touches the card.
 *
 * Not thread-safe: one owner at a time.
 */
#ifndef SLU_LIB_FLOW_PLACE_H
#define SLU_LIB_FLOW_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "flow_hash.h"

#define SLU_FLOW_PLACE_MOVES_MAX 16
#define SLU_FLOW_PLACE_BUCKET_BITS_MIN 1
#define SLU_FLOW_PLACE_BUCKET_BITS_MAX 24

struct slu_flow_place;

struct slu_flow_place_move {
	uint32_t from;
	uint32_t to;
};

/*
 * moves[0..count) in the order in which the card must do them: each copies a
 * record to a slot that is free by then, and only then clears its old slot, so
 * every flow has a valid slot at all times. slot is the new flow's; when count
 * is not 0 it is moves[count - 1].from.
 */
struct slu_flow_place_plan {
	uint32_t slot;
	uint32_t count;
	struct slu_flow_place_move moves[SLU_FLOW_PLACE_MOVES_MAX];
};

/* The caller destroys the table. Returns 0; -EINVAL for bucket_bits; -ENOMEM. */
int slu_flow_place_create(unsigned bucket_bits, struct slu_flow_place **table);
void slu_flow_place_destroy(struct slu_flow_place *table);

/*
 * Finds a slot for a flow and enters it, moves included, in the shadow.
 *
 * Returns 0 and fills plan; -EEXIST when a flow with this tag has this pair of
 * buckets (the card could not tell the two apart by tag); -ENOSPC when no
 * sequence of moves within 1,024 slots looked at makes room. On failure the
 * table is unchanged.
 */
int slu_flow_place_insert(
	struct slu_flow_place *table, uint32_t bucket, uint32_t tag, struct slu_flow_place_plan *plan);

/* Slot of (bucket in bank A, tag). Returns 0; -ENOENT. At most one slot has it. */
int slu_flow_place_find(const struct slu_flow_place *table, uint32_t bucket, uint32_t tag, uint32_t *slot);

/* Frees a used slot. */
void slu_flow_place_remove(struct slu_flow_place *table, uint32_t slot);

/*
 * Enters a tag at a given slot, as read back from a card. Returns 0; -EEXIST
 * when the slot is used or the pair of buckets already has this tag.
 */
int slu_flow_place_restore(struct slu_flow_place *table, uint32_t slot, uint32_t tag);

uint32_t slu_flow_place_slots(const struct slu_flow_place *table);
uint32_t slu_flow_place_used(const struct slu_flow_place *table);

/*
 * Walks used slots: *slot is where to begin, and on success the slot found.
 * Returns false at the end of the table.
 */
bool slu_flow_place_next(const struct slu_flow_place *table, uint32_t *slot, uint32_t *tag);

/* Bucket of the slot in bank A terms, whichever bank it stands in. */
uint32_t slu_flow_place_home(const struct slu_flow_place *table, uint32_t slot);

#endif
