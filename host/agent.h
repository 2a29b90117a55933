/*
 * Everything of a running agent, in the order in which it comes up. Made,
 * changed and taken down by the control thread (the main lcore).
 */
#ifndef SLU_HOST_AGENT_H
#define SLU_HOST_AGENT_H

#include "host/cluster/cluster.h"
#include "host/config/config.h"
#include "host/control/api.h"
#include "host/loop.h"
#include "host/metering/metering.h"
#include "host/offload/engine.h"
#include "host/ports/exception.h"
#include "host/ports/kernel.h"
#include "host/ports/port.h"
#include "host/retire.h"
#include "host/takeover.h"

struct event;
struct event_base;

struct slu_agent {
	struct slu_config *config; /* the agent's own copy: what is static in it rules until the end */
	struct event_base *base;
	struct slu_wake wake;
	_Atomic uint32_t slow;  /* the housekeeping timer runs rarely; workers kick when packets come */
	struct slu_port *ports; /* [config->port_count] */
	struct rte_mempool *pool;
	struct slu_dataplane *dp;
	struct slu_retirement retirement;
	struct slu_kernel *kernel;
	struct slu_cluster *cluster; /* NULL: this node is alone */
	struct slu_control *control;
	struct slu_engine *engine;
	struct slu_loop *loops; /* [config->workers] */
	struct slu_exception_worker *exception_workers;
	struct slu_exception *exception;
	struct slu_api *api;
	struct event *wake_event, *housekeeping, *engine_event, *terminate[2], *reload;
	const struct slu_generation *generation;
	struct slu_metering *metering;
	uint64_t metered_ms;                                /* when it was added up for the API */
	uint64_t packets_seen, busy_until_us, engine_at_us; /* of the housekeeping timer */
	const char *path;                                   /* of the configuration */
	struct slu_takeover takeover;
	bool workers_run;
};

struct slu_agent_options {
	const char *path; /* of the configuration; kept */
	const char *pmd;  /* driver of the card; NULL: where it is installed */
	bool take_over;   /* from the agent that serves the API's socket, if there is one */
};

/*
 * Brings everything up from a valid configuration, which it takes, also on
 * failure. Returns 0 or -errno after logging why; either way slu_agent_stop()
 * follows. What another agent serves meanwhile is undisturbed until nothing is
 * left that can be started beside it; after that it has ended, also on failure.
 */
int slu_agent_start(struct slu_agent *agent, struct slu_config *config, const struct slu_agent_options *options);

/* Serves events until SIGTERM or SIGINT. */
void slu_agent_run(struct slu_agent *agent);

/*
 * Stops the workers and closes the sessions file as clean. Rules stay in the
 * cards and addresses on the TAPs: the next start takes both over.
 */
void slu_agent_stop(struct slu_agent *agent);

/* What the API shows (providers.c). */
void slu_providers_fill(struct slu_agent *agent, struct slu_api_providers *providers);

#endif
