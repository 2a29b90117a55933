/*
 * One check of one backend: opens a socket, speaks, and tells the verdict. It
 * knows nothing of states and schedules (health.h).
 */
#ifndef SLU_HOST_PROBE_H
#define SLU_HOST_PROBE_H

#include "host/config/config.h"

struct event_base;
struct slu_probe;

enum slu_probe_verdict {
	SLU_PROBE_GOOD,
	SLU_PROBE_BAD,
	SLU_PROBE_SHORT /* this machine ran out of sockets or ports: says nothing about the backend */
};

/* `reason` is "" if good; valid during the call. The probe may be freed or started in it. */
typedef void slu_probe_done_fn(void *arg, enum slu_probe_verdict verdict, const char *reason);

/* Copies what it needs of `check`. `port` is the one to check. */
struct slu_probe *slu_probe_create(struct event_base *base, const struct slu_config_check *check,
	const struct slu_ip *address, uint16_t port, slu_probe_done_fn *done, void *arg);

/* Ends a check in flight without a verdict. NULL is allowed. */
void slu_probe_free(struct slu_probe *probe);

/* Starts a check; none is in flight. The verdict comes from the event loop, never from within this call. */
void slu_probe_start(struct slu_probe *probe);

#endif
