/*
 * Inside of the API: JSON values under construction by providers.
 */
#ifndef SLU_HOST_API_OUT_H
#define SLU_HOST_API_OUT_H

#include <jansson.h>

#include "host/control/api.h"

#define SLU_API_OUT_DEPTH 8

struct slu_api_out {
	json_t *open[SLU_API_OUT_DEPTH]; /* borrowed; the last one takes values */
	unsigned depth;
};

/* Starts with an object or list that the caller owns. */
void slu_api_out_begin(struct slu_api_out *out, json_t *root);

#endif
