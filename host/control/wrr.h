/*
 * The order in which round robin visits backends: interleaved, so that a
 * backend of weight w comes up w times, as evenly spread as can be.
 */
#ifndef SLU_HOST_WRR_H
#define SLU_HOST_WRR_H

#include <stdint.h>

/* Turns in one order. Weights whose sum is beyond it (after their common divisor) are scaled down to it. */
#define SLU_WRR_MAX 65536u

/*
 * Makes the order of the indexes of weights[count]; index i comes up in
 * proportion to weights[i], never if that is 0, else at least once. Turn k of
 * w stands at (2k+1)/2w of the round; ties go to the lower index.
 *
 * Returns the order, *turns long, which the caller frees; NULL and *turns 0 if
 * no weight is positive.
 */
uint16_t *slu_wrr_build(const uint16_t *weights, uint32_t count, uint32_t *turns);

#endif
