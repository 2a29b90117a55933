/*
 * Keeps a worker's ring of ticket keys what the key servers say. When they cannot be
 * asked, the keys in the ring serve until their own time is over.
 */
#ifndef SLU_L7_TICKET_REFRESH_H
#define SLU_L7_TICKET_REFRESH_H

#include <event2/event.h>

#include "l7/tls/ticket_ring.h"

struct slu_key_client;
struct slu_ticket_refresh;

/* Asks at once and again whenever the answer says. `keys` and `ring` outlive it. Returns 0 or -ENOMEM. */
int slu_ticket_refresh_create(struct event_base *base, struct slu_key_client *keys, struct slu_ticket_ring *ring,
	struct slu_ticket_refresh **refresh);

/* NULL is allowed. The ring stays as it is. */
void slu_ticket_refresh_destroy(struct slu_ticket_refresh *refresh);

#endif
