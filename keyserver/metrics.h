/*
 * Counters of one worker, and all workers' as text in Prometheus' format. A worker writes its own; any thread reads.
 */
#ifndef SLU_KEYSERVER_METRICS_H
#define SLU_KEYSERVER_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/key_protocol.h"

/* Why a connection ended. */
enum slu_metrics_end {
	SLU_METRICS_CLOSED,    /* by the client */
	SLU_METRICS_HANDSHAKE, /* TLS failed: no certificate, a foreign or expired one, another protocol */
	SLU_METRICS_UNKNOWN,   /* client not in the configuration */
	SLU_METRICS_PROTOCOL,  /* FATAL: no frame, wrong order, no common version */
	SLU_METRICS_SLOW,      /* it did not read, or not finish its handshake */
	SLU_METRICS_IDLE,
	SLU_METRICS_FULL, /* too many connections */
	SLU_METRICS_ENDS
};

struct slu_metrics {
	_Atomic uint64_t operations[SLU_KEY_OPERATIONS][SLU_KEY_STATUSES];
	_Atomic uint64_t accepted;
	_Atomic uint64_t ends[SLU_METRICS_ENDS];
	_Atomic uint64_t batches; /* writes that carried answers */
};

/* One writer: no locked instruction is needed. */
static inline void slu_metrics_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* What is not a worker's. */
struct slu_metrics_server {
	uint64_t generation, reload_failures;
	uint32_t keys, clients;
};

/* Returns the bytes of the text, less than room; what has no room is left out. */
size_t slu_metrics_print(const struct slu_metrics *const *workers, uint32_t count,
	const struct slu_metrics_server *server, char *text, size_t room);

#endif
