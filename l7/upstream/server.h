/*
 * A server as a worker knows it: its idle connections, what it has to do, and
 * how it fares. It outlives reloads that keep it. One worker's thread only.
 */
#ifndef SLU_L7_SERVER_H
#define SLU_L7_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "l7/config/site.h"

struct slu_back;

struct slu_server {
	struct slu_site_address address;
	uint32_t refs;   /* groups of sites, and connections */
	uint32_t weight; /* of the newest site */
	int32_t current; /* of smooth weighted round robin */
	uint32_t active; /* requests under way */
	uint32_t idle_count;
	struct slu_back *idle; /* last used first */
	bool down;             /* by its checks */
	uint32_t failures;     /* in a row, of requests */
	uint64_t ejected_until_ms;
	uint64_t started_ms; /* when it came (back): slow start */
	uint64_t requests, errors;
};

struct slu_server *slu_server_new(const struct slu_site_address *address);

static inline struct slu_server *slu_server_hold(struct slu_server *server)
{
	server->refs++;
	return server;
}

void slu_server_drop(struct slu_server *server);

#endif
