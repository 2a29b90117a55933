/* What the agent's API and sluicectl say of a data plane. */
#ifndef SLU_TESTS_BENCH_SYNC_API_COUNT_H
#define SLU_TESTS_BENCH_SYNC_API_COUNT_H

#include <stdint.h>

#include "host/dataplane/dataplane.h"

/*
 * Serves a data plane on a socket of its own and lets `sluicectl` (a path) count the sessions of clients within a
 * prefix. Returns the number, or -1 with a line on stderr. The data plane goes on meanwhile.
 */
int64_t api_count(struct slu_dataplane *dp, const char *sluicectl, const char *clients);

#endif
