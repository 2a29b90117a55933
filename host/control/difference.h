/*
 * What changes between two configurations, for people to read before and after
 * an apply.
 */
#ifndef SLU_HOST_DIFFERENCE_H
#define SLU_HOST_DIFFERENCE_H

#include "host/config/config.h"

#define SLU_DIFFERENCE_MAX 1000u /* sentences; then one tells how many more there are */

struct slu_difference {
	char **lines; /* "backend web/b1: weight 10 -> 0" */
	size_t count;
	size_t more;
};

/* Compares by name; the caller clears the result. */
void slu_difference_report(
	const struct slu_config *before, const struct slu_config *after, struct slu_difference *difference);
void slu_difference_clear(struct slu_difference *difference);

#endif
