/*
 * Usage (usage.h) that counts in a data plane, and sets its ceilings there.
 */
#ifndef SLU_HOST_USAGE_DATAPLANE_H
#define SLU_HOST_USAGE_DATAPLANE_H

#include "host/cluster/usage.h"

struct slu_dataplane;

/* The data plane must outlive it. Ended by slu_usage_free(). */
struct slu_usage *slu_usage_dataplane_create(struct slu_dataplane *dp);

#endif
