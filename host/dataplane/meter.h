/*
 * Meters: packets and bytes by listener (or outbound service), backend and scope,
 * in the session file, so that they outlive the process as sessions do.
 *
 * Every session has the number of its meter in its hot line. The worker adds each
 * packet that it forwards; the control thread adds what the card's counters have
 * grown by whenever it hears of them. So a meter never waits for a session to end
 * and nobody walks the sessions. One writer for each half, any reader.
 *
 * A meter is given until the next start of the agent. Then those of listeners that
 * are gone, and that no session points to, join into one for each listener and scope,
 * and their places are free again. When too many pairs of listener and backend have
 * one, further backends share their listener's; when those are used up too, sessions
 * are metered as nobody's (meter 0).
 */
#ifndef SLU_HOST_METER_H
#define SLU_HOST_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/dataplane/session.h"

#define SLU_METERS_MAX (1u << SLU_METER_BITS)
#define SLU_METERS_OF_PAIRS (SLU_METERS_MAX / 2)
#define SLU_METER_FREE UINT32_MAX /* as listener: nobody's place */

struct slu_meter_count {
	uint64_t packets, bytes;
};

struct slu_meter_key {
	uint32_t listener_id, backend_id; /* backend 0: none, or all that have no meter of their own */
	uint8_t internal;                 /* scope; else internet */
	uint8_t outgoing;                 /* requests leave the inside; else they enter it */
	uint8_t reserved[6];
};

/* What a meter and the one that it joins have together, while it does: done again if the process dies meanwhile. */
struct slu_meter_join {
	uint32_t from; /* 0: none is under way */
	uint32_t to;
	struct slu_meter_count sum[2];
};

/* In the session file, zeroed at first. Counts by enum slu_dir. */
struct slu_meter_area {
	uint32_t used; /* meters 1..used have been given; read by other threads */
	uint32_t reserved;
	struct slu_meter_join join;
	uint8_t reserved_too[16];
	struct slu_meter_key key[SLU_METERS_MAX];
	struct slu_meter_count software[SLU_METERS_MAX][2];
	struct slu_meter_count card[SLU_METERS_MAX][2];
};

/* Of one worker. */
struct slu_meters {
	struct slu_meter_area *area;
	uint32_t *places; /* open addressing: number of the meter, 0 free */
	uint32_t free;    /* first of the free ones, each has the next one's number as backend; 0: none */
	uint32_t free_count;
};

/* Lays meters over their part of the file. Returns 0 or -ENOMEM. */
int slu_meter_init(struct slu_meters *meters, void *area);
void slu_meter_fini(struct slu_meters *meters);

/* The meter of a key, made if it is new; the worker's thread, or before it runs. */
uint32_t slu_meter_get(struct slu_meters *meters, const struct slu_meter_key *key);

/*
 * Joins the meters of each listener that is gone into one of its own. held[SLU_METERS_MAX]: those that a session has;
 * is_there: whether a listener exists. Before the worker runs. No count is lost or there twice, whenever the process
 * dies. Returns how many places became free.
 */
uint32_t slu_meter_reclaim(struct slu_meters *meters, const bool *held,
	bool (*is_there)(const void *context, uint32_t listener_id), const void *context);

/* A packet that the worker forwards. */
static inline void slu_meter_add(struct slu_meter_area *area, uint32_t meter, unsigned int dir, uint32_t bytes)
{
	struct slu_meter_count *c = &area->software[meter][dir];

	__atomic_store_n(&c->packets, c->packets + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&c->bytes, c->bytes + bytes, __ATOMIC_RELAXED);
}

/*
 * The card's counters of a session's direction, absolute, that were `was`. Less than that is another rule, which began
 * at zero. Control thread.
 */
void slu_meter_add_card(struct slu_meter_area *area, uint32_t meter, unsigned int dir,
	const struct slu_meter_count *was, const struct slu_meter_count *is);

#endif
