/*
 * What is counted across a cluster: sessions of backends that are chosen by least
 * connections, and of listeners that have a limit. Each node knows the sessions that
 * others told it of; what they tell here is the rest. Control thread only.
 *
 * A limit is kept by shares: what is free is divided by the number of nodes, and each
 * node tells the part of its share that it has not used as if it were used. So the
 * shares never add up to more than the limit, but for what is on its way between nodes
 * (two heartbeats); and a node that gets all the traffic has 90 % of the limit after
 * about as many heartbeats as there are nodes, times two or three.
 */
#ifndef SLU_HOST_USAGE_H
#define SLU_HOST_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/cluster/node_status.h"
#include "host/control/generation.h"

struct slu_usage;

/* What usage asks of the data path and tells it; by live index. */
struct slu_usage_hooks {
	void *context;
	/* Sessions known to this node, and those of them that no other node knows. */
	void (*read)(void *context, bool backend, uint32_t live, uint64_t *present, uint64_t *untold);
	/* Sessions to a backend that others have and this node does not know. */
	void (*elsewhere)(void *context, uint32_t live, uint32_t sessions);
	/* How many sessions of a listener known to this node are allowed; UINT32_MAX: its limit alone rules. */
	void (*ceiling)(void *context, uint32_t live, uint32_t sessions);
};

struct slu_usage *slu_usage_create(const struct slu_usage_hooks *hooks);
void slu_usage_free(struct slu_usage *usage); /* NULL is allowed */

/* What is to be counted from now on; what was told of the rest is forgotten. The generation is not retained. */
void slu_usage_set_generation(struct slu_usage *usage, const struct slu_generation *generation);

/* What a member told, with its turn (node_status.h). */
void slu_usage_hear(struct slu_usage *usage, uint8_t member, const struct slu_node_count *counts, uint32_t count,
	uint16_t turn, uint64_t now_ms);

/* A member is not heard any more. */
void slu_usage_forget(struct slu_usage *usage, uint8_t member);

/*
 * With every heartbeat: tells the data path, and fills *counts with what the others
 * are to be told (valid until the next call). `members` of them take a share of what is
 * free, this node included. Returns how many.
 */
uint32_t slu_usage_update(
	struct slu_usage *usage, uint32_t members, uint64_t now_ms, const struct slu_node_count **counts);

/* How many a node may add to the `present` ones it knows, when others tell of `others` more. Pure. */
uint64_t slu_usage_share(uint64_t limit, uint64_t present, uint64_t others, uint32_t members);

#endif
