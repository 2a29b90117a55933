/*
 * One process that serves: its loop, its time-outs, its site and its counters.
 */
#ifndef SLU_L7_WORKER_H
#define SLU_L7_WORKER_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "l7/config/site.h"
#include "l7/http/message.h"
#include "l7/io/timer.h"
#include "l7/upstream/group.h"

/* A site at work: with the groups' state. Held by the worker and by every exchange. */
struct slu_running {
	uint32_t refs;
	struct slu_site *site;
	struct slu_group **groups; /* [site->group_count] */
};

struct slu_counters {
	uint64_t connections, connections_open, connections_refused;
	uint64_t requests, requests_open;
	uint64_t responses[6];                         /* by hundreds; 0: the client went before one */
	uint64_t bytes_in, bytes_out;                  /* of bodies: requests, responses */
	uint64_t refusals[SLU_REFUSAL_COUNT];          /* of requests */
	uint64_t response_refusals[SLU_REFUSAL_COUNT]; /* of servers */
	uint64_t back_connects, back_reuses, back_failures, retries, timeouts;
};

struct slu_front;
struct slu_access_log;

struct slu_worker {
	struct event_base *base;
	struct slu_timers timers;
	struct slu_running *running;
	struct slu_counters counters;
	struct slu_access_log *access_log; /* NULL: none */
	struct slu_front *fronts;          /* open connections of clients */
	bool draining;                     /* takes no connections, ends those that are idle */
	int index;
};

/*
 * Serves until it is told to drain and has no connection left. fds are the listening sockets in the order of the site's
 * listeners; `site` (one holder), fds and `control_fd` are the worker's. Returns the exit status of the process.
 */
int slu_worker_run(int index, struct slu_site *site, const int *fds, int control_fd);

static inline struct slu_running *slu_running_hold(struct slu_running *running)
{
	running->refs++;
	return running;
}

/* The site is held; groups take over the servers of `old` (NULL: none) by name. */
struct slu_running *slu_running_new(struct slu_site *site, const struct slu_running *old);
void slu_running_drop(struct slu_running *running);

#endif
