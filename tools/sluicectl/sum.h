/*
 * Metering of several nodes as one: each counts what it forwarded.
 */
#ifndef SLU_SLUICECTL_SUM_H
#define SLU_SLUICECTL_SUM_H

#include <stdbool.h>

#include <jansson.h>

/*
 * Adds the answer of a node (GET /v1/metering) to a sum, which begins as an empty object: totals of one name and kind
 * become one. Returns false, and why, if this is no such answer, or of a node that was added already; the sum is to be
 * thrown away then.
 */
bool slu_sum_add(json_t *sum, const json_t *answer, const char **why);

#endif
