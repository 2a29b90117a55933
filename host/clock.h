/*
 * The time since some fixed moment, which never goes back (CLOCK_MONOTONIC): deadlines
 * and ages of every thread go by it.
 */
#ifndef SLU_HOST_CLOCK_H
#define SLU_HOST_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t slu_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline uint64_t slu_clock_ms(void)
{
	return slu_clock_us() / 1000;
}

#endif
