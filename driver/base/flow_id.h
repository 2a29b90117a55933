/*
 * Ids of flow statistics. Rules may share one. A freed id goes to the end of
 * the queue with the epoch it was freed in. Not thread-safe.
 */
#ifndef SLU_DRIVER_FLOW_ID_H
#define SLU_DRIVER_FLOW_ID_H

#include <stdbool.h>
#include <stdint.h>

struct slu_flow_ids;

/* Returns 0 or -ENOMEM. */
int slu_flow_id_create(uint32_t bits, struct slu_flow_ids **ids);
void slu_flow_id_destroy(struct slu_flow_ids *ids);

/* One reference to an unused id. *epoch is when it was freed, 0: never used, its statistics are zero. Returns 0 or
 * -ENOSPC. */
int slu_flow_id_alloc(struct slu_flow_ids *ids, uint32_t *id, uint32_t *epoch);
void slu_flow_id_hold(struct slu_flow_ids *ids, uint32_t id);
void slu_flow_id_put(struct slu_flow_ids *ids, uint32_t id, uint32_t epoch);

/* One reference to an id found in a record of the card. Returns false when there is no such id. */
bool slu_flow_id_restore(struct slu_flow_ids *ids, uint32_t id);
/* After the last restore: ids without a reference become free, their statistics of unknown content. */
void slu_flow_id_sweep(struct slu_flow_ids *ids, uint32_t epoch);

#endif
