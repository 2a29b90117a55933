/*
 * FULLNAT's source: a local address and port, unique per backend, whose return
 * traffic comes back to this worker.
 */
#ifndef SLU_HOST_LOCAL_PORT_H
#define SLU_HOST_LOCAL_PORT_H

#include "host/dataplane/worker.h"

/*
 * Chooses for a session whose hot->tuple[1] (and addresses) already hold the backend as source, and proto_vpc. Sets the
 * destination of that tuple. in_port: where return traffic will enter. Returns 0 or the reason as enum slu_counter.
 */
int slu_local_port_choose(struct slu_worker *w, uint32_t sid, uint32_t backend_live, uint16_t in_port);

/* Whether return traffic that enters there is spread over the workers by its hash. */
bool slu_local_port_has_rss(const struct slu_dataplane *dp, uint16_t in_port);

/* The worker that a packet for a local address belongs to, by its tuple. */
uint32_t slu_local_port_owner(const struct slu_dataplane *dp, uint16_t in_port, const struct slu_session_key *reply);

#endif
