/*
 * Delay, loss and reordering of frames, as a bad wire has them: the kernel
 * under test may have no netem. One thread; time is the caller's.
 */
#ifndef SLU_IMPAIRMENT_H
#define SLU_IMPAIRMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slu_impairment_config {
	uint32_t delay_us;
	double loss;    /* probability */
	double reorder; /* probability that a frame waits longer than those behind it */
};

struct slu_impairment;

typedef void (*slu_impairment_deliver)(void *ctx, const uint8_t *frame, size_t len);

struct slu_impairment_stats {
	uint64_t lost;
	uint64_t delayed;
	uint64_t overflow; /* dropped: too many frames wait */
};

/* Returns NULL without memory. */
struct slu_impairment *slu_impairment_create(
	const struct slu_impairment_config *config, uint64_t seed, slu_impairment_deliver deliver, void *ctx);
void slu_impairment_destroy(struct slu_impairment *i);

/* Takes a frame: delivers it at once, keeps a copy for later, or loses it. */
void slu_impairment_pass(struct slu_impairment *i, uint64_t now_us, const uint8_t *frame, size_t len);

/* Delivers what is due. */
void slu_impairment_advance(struct slu_impairment *i, uint64_t now_us);

/* When the next frame is due; UINT64_MAX: none waits. */
uint64_t slu_impairment_next_us(const struct slu_impairment *i);

void slu_impairment_get_stats(const struct slu_impairment *i, struct slu_impairment_stats *stats);

#endif
