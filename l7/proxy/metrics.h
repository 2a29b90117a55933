/*
 * The workers' counters as Prometheus reads them, over HTTP on a UNIX socket.
 */
#ifndef SLU_L7_METRICS_H
#define SLU_L7_METRICS_H

#include <event2/event.h>

#include "l7/proxy/worker.h"

struct slu_metrics;

/* Takes the socket's path, and its place from one that nobody serves any more. Returns 0 or -errno. */
int slu_metrics_open(struct slu_metrics **metrics, struct event_base *base, const char *path);
void slu_metrics_close(struct slu_metrics *metrics);

/* Given by the supervisor: the sum over the workers that answered. */
void slu_metrics_gather(struct slu_counters *sum, uint32_t *workers);

#endif
