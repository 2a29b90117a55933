/*
 * Tombstones of sessions that have ended elsewhere: for a while a late record of
 * an older version must not bring one back. A bounded table; where it is full the
 * one that would go first goes early, and that is counted.
 */
#ifndef SLU_HOST_TOMBSTONE_H
#define SLU_HOST_TOMBSTONE_H

#include <stdbool.h>
#include <stdint.h>

struct slu_tombstone {
	uint64_t key; /* hash of both tuples; 0: free */
	uint32_t until_tick;
	uint32_t created_tick; /* of the session */
	uint16_t version;
	uint16_t reserved[3];
};

struct slu_tombstone_table {
	struct slu_tombstone *places;
	uint32_t mask; /* places - 1 */
};

/* Room for about so many. Returns 0 or -ENOMEM. */
int slu_tombstone_init(struct slu_tombstone_table *t, uint32_t count);
void slu_tombstone_fini(struct slu_tombstone_table *t);

/* Adds one, or renews that of the same key. Returns false if one that still stood had to go. */
bool slu_tombstone_add(struct slu_tombstone_table *t, const struct slu_tombstone *stone, uint32_t now_tick);

/* Asks for the memory of a key that will be looked for. */
void slu_tombstone_prefetch(const struct slu_tombstone_table *t, uint64_t key);

/* The one of a key that still stands, or NULL. */
const struct slu_tombstone *slu_tombstone_find(const struct slu_tombstone_table *t, uint64_t key, uint32_t now_tick);

#endif
