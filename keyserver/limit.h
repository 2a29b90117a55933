/*
 * A limit of operations a second: a bucket of one second, kept as the time at which it is full again
 * (the generic cell rate algorithm). Any thread.
 */
#ifndef SLU_KEYSERVER_LIMIT_H
#define SLU_KEYSERVER_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct slu_limit {
	uint64_t interval_ns; /* of one operation; 0: no limit */
	_Atomic uint64_t full_ns;
};

#define SLU_LIMIT_BURST_NS 1000000000ull

static inline void slu_limit_init(struct slu_limit *limit, uint32_t rate)
{
	limit->interval_ns = rate ? SLU_LIMIT_BURST_NS / rate : 0;
	atomic_init(&limit->full_ns, 0);
}

/* Whether one more operation may be done now (CLOCK_MONOTONIC). */
static inline bool slu_limit_take(struct slu_limit *limit, uint64_t now_ns)
{
	uint64_t full, next;

	if (limit->interval_ns == 0)
		return true;
	full = atomic_load_explicit(&limit->full_ns, memory_order_relaxed);
	do {
		next = (full > now_ns ? full : now_ns) + limit->interval_ns;
		if (next > now_ns + SLU_LIMIT_BURST_NS)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&limit->full_ns, &full, next, memory_order_relaxed, memory_order_relaxed));
	return true;
}

#endif
