/*
 * The card's flow table: placement, records, next hops and statistics ids, and
 * the order of commands that keeps every packet on a valid rule. A slot, an id
 * and a next hop are used again only after a FENCE.
 *
 * Not thread-safe: one lock covers the table and its command ring.
 */
#ifndef SLU_DRIVER_FLOW_TABLE_H
#define SLU_DRIVER_FLOW_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "card.h"
#include "command.h"
#include "rule.h"

#define SLU_FLOW_NO_NEXT_HOP UINT32_MAX
#define SLU_FLOW_NO_ID UINT32_MAX

struct slu_flow_table;

/* A rule in the card. The owner keeps it in place while it is in the table. */
struct slu_flow {
	struct slu_command_op op; /* the last operation on it */
	/*
	 * May be NULL. Called when the last operation is done, with op.error; under the caller's lock, from any
	 * function here that looks at completions, also from insert itself. May free the flow if it is not in the
	 * table.
	 */
	void (*done)(struct slu_flow *flow);
	struct slu_flow_table *table;
	struct slu_flow_key key;
	uint32_t slot;
	uint32_t id; /* of its statistics */
	uint32_t next_hop;
	uint8_t gen;
	bool in_table;
	bool ghost; /* found in the card at a warm start, not claimed yet */
};

/* A statistics id that several rules share, and that outlives them. */
struct slu_flow_counter {
	uint32_t id; /* SLU_FLOW_NO_ID until its first rule */
};

struct slu_flow_stats {
	uint64_t bytes, packets;
	uint64_t last_seen_us; /* the card's time, in steps of 1,024; 0: never */
};

struct slu_flow_table_counts {
	uint64_t inserts, removes, moves, fences;
	uint64_t adopted;     /* found in the card and equal: nothing written */
	uint64_t updated;     /* found in the card with other actions */
	uint64_t swept;       /* found in the card and claimed by nobody, or not valid */
	uint64_t duplicates;  /* refused: a rule has this key */
	uint64_t tag_clashes; /* refused: another key with this tag in these buckets */
	uint64_t full;        /* refused: no slot, id or next hop */
	uint64_t card_errors; /* operations that the card refused */
};

/* Why an insert was refused, beside the errno. */
enum slu_flow_refusal {
	SLU_FLOW_REFUSED_NOT,
	SLU_FLOW_REFUSED_DUPLICATE,
	SLU_FLOW_REFUSED_TAG_CLASH,
	SLU_FLOW_REFUSED_NO_SLOT,
	SLU_FLOW_REFUSED_NO_NEXT_HOP,
	SLU_FLOW_REFUSED_NO_ID,
	SLU_FLOW_REFUSED_CARD,
};

/*
 * warm: reads back what the card holds and keeps it as ghosts; otherwise the
 * table is cleared and gets new hash keys. A card that was never set up is
 * always cleared. ring is used, and stays the caller's. Sleeps on the card.
 *
 * Returns 0; -ENOMEM; -ENODEV; -EIO when the card refuses, and why.
 */
int slu_flow_table_create(struct slu_command_ring *ring, const struct slu_card *card, bool warm,
	struct slu_flow_table **table, char *why, size_t why_bytes);
/* Leaves the card as it is. Flows in the table stay their owners'. The ring is stopped already: no operation is under
 * way. */
void slu_flow_table_destroy(struct slu_flow_table *table);

/*
 * Begins to put a rule into the card; flow->op is done when it is there. The caller sets
 * flow->done before, the rest is written here. counter may be NULL: the rule then has statistics of its own.
 * handle_of_next_hop: see slu_next_hop_get.
 *
 * Returns 0; -EEXIST, -ENOSPC or -ENODEV with the reason, and nothing changed.
 * If the card refuses, op.error is set and the rule is out of the table again.
 */
int slu_flow_table_insert(struct slu_flow_table *table, struct slu_flow *flow, const struct slu_rule *rule,
	struct slu_flow_counter *counter, const void *handle_of_next_hop, enum slu_flow_refusal *refusal);

/* Begins to take a rule out; flow->op is done when no new packet finds it. Returns 0 or -ENODEV. */
int slu_flow_table_remove(struct slu_flow_table *table, struct slu_flow *flow);

/* An id to share, with its statistics zero. Returns 0, -ENOSPC or -ENODEV. */
int slu_flow_table_counter_open(struct slu_flow_table *table, struct slu_flow_counter *counter);
void slu_flow_table_counter_close(struct slu_flow_table *table, struct slu_flow_counter *counter);

/*
 * Reads the statistics of an id from the card, and sleeps for that. Updates of
 * every packet that met a rule removed before are included. Returns 0, -ENODEV or -EIO.
 */
int slu_flow_table_stats(struct slu_flow_table *table, uint32_t id, struct slu_flow_stats *stats);

/* Changes the destination MAC of all next hops of a handle; sleeps. Returns 0, -ENODEV, -EIO. */
int slu_flow_table_set_mac(struct slu_flow_table *table, const void *handle, const uint8_t mac[6]);
void slu_flow_table_forget_handle(struct slu_flow_table *table, const void *handle);

/* Removes what was found at a warm start and nobody inserted since; sleeps. Returns 0 or -errno. */
int slu_flow_table_sweep(struct slu_flow_table *table);

const struct slu_flow_table_counts *slu_flow_table_counts_get(const struct slu_flow_table *table);
uint32_t slu_flow_table_used(const struct slu_flow_table *table);
uint32_t slu_flow_table_ghosts(const struct slu_flow_table *table);

#endif
