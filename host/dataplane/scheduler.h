/*
 * Schedulers: which backend of a group takes a new session.
 */
#ifndef SLU_HOST_SCHEDULER_H
#define SLU_HOST_SCHEDULER_H

#include "host/dataplane/worker.h"

/* Returns NULL if no backend has a positive weight. client and virtual addresses: 4 or 16 bytes each, adjacent. */
const struct slu_backend *slu_scheduler_pick(struct slu_worker *w, uint32_t group_index, const struct slu_packet *p);

/*
 * Hash of a request's tuple for Maglev; the same on every node and after every restart, so not keyed.
 */
uint64_t slu_scheduler_hash(const struct slu_session_key *key);

#endif
