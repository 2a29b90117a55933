/*
 * What a node tells all others of itself with each heartbeat: whether it announces
 * itself, which configuration it serves, and how much of what is counted across the
 * cluster it has. Counts that do not fit take turns. Pure functions.
 *
 * Big-endian: version (1 byte), flags (1), turn (2: heartbeats until all counts were
 * told once), generation (8), hash (8), sessions (4), then counts: key (8), count (4).
 */
#ifndef SLU_HOST_NODE_STATUS_H
#define SLU_HOST_NODE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#define SLU_NODE_STATUS_MAX_BYTES 1024u
#define SLU_NODE_STATUS_HEAD_BYTES 24u
#define SLU_NODE_STATUS_COUNT_BYTES 12u
#define SLU_NODE_STATUS_COUNTS ((SLU_NODE_STATUS_MAX_BYTES - SLU_NODE_STATUS_HEAD_BYTES) / SLU_NODE_STATUS_COUNT_BYTES)

struct slu_node_count {
	uint64_t key; /* of what is counted; equal on every node */
	uint32_t count;
};

struct slu_node_status {
	bool joined;    /* has every session that the cluster had */
	bool announces; /* its routes are out */
	bool drained;   /* by its operator */
	uint16_t turn;
	uint64_t generation; /* number of the configuration it serves */
	uint64_t hash;       /* slu_config_hash_make() */
	uint32_t sessions;   /* in its table */
};

/*
 * Writes the status and as many of counts[count], from *next on and around, as
 * fit; *next moves on. Fills status->turn. Returns the size.
 */
uint32_t slu_node_status_encode(struct slu_node_status *status, const struct slu_node_count *counts, uint32_t count,
	uint32_t *next, uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES]);

/*
 * Reads what another node wrote; counts has room for SLU_NODE_STATUS_COUNTS.
 * Returns how many; -EINVAL if this is none, and nothing is written then.
 */
int slu_node_status_decode(
	const uint8_t *bytes, uint32_t size, struct slu_node_status *status, struct slu_node_count *counts);

#endif
