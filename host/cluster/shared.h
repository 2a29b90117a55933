/*
 * What a cluster shares in etcd, as this node follows it: lists everything, then watches
 * from there; whenever the stream breaks, is cancelled or what it would begin with was
 * compacted, it lists again. Whole generations and members come out. Control thread only.
 *
 * Keys: PREFIX/generation, PREFIX/config/listeners/HASH, PREFIX/config/groups/HASH,
 * PREFIX/nodes/ID (docs/cluster.md).
 */
#ifndef SLU_HOST_SHARED_H
#define SLU_HOST_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "host/cluster/catalog.h"
#include "host/cluster/etcd.h"
#include "host/config/config.h"

struct slu_shared;

struct slu_shared_settings {
	struct event_base *base;
	const struct slu_config *config; /* of the start; outlives this; config->cluster->etcd_count > 0 */
	void *context;
	/* A whole generation: a document for slu_control_apply_shared(). Returns whether it is in force now. */
	bool (*generation)(void *context, uint64_t number, const char *text);
	/* Whenever they may have changed; called before create returns with those known from the last time. */
	void (*members)(void *context, const struct slu_config_member *members, uint32_t count);
	/* This node is registered; the revision grows with every registration of anybody. */
	void (*registered)(void *context, uint64_t revision);
};

int slu_shared_create(const struct slu_shared_settings *settings, struct slu_shared **shared);
void slu_shared_destroy(struct slu_shared *shared); /* NULL is allowed */

struct slu_shared_state {
	bool watching; /* etcd is heard: what is known is what stands there */
	bool registered;
	const char *endpoint;
	uint64_t failures;  /* of endpoints */
	uint64_t listings;  /* from the beginning, at start or after the stream broke */
	uint64_t compacted; /* streams that could not go on because of it */
	uint64_t malformed; /* values of keys that were passed over */
	uint64_t number;    /* of the generation that stands there; 0: none */
	uint64_t applied;   /* of the one in force here */
	uint32_t missing;   /* parts of `number` that have not come */
};
void slu_shared_state(const struct slu_shared *shared, struct slu_shared_state *state);

/* For those who write (shared_write.h). */
struct slu_etcd *slu_shared_etcd(struct slu_shared *shared);

#endif
