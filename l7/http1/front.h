/*
 * A connection of a client that speaks HTTP/1: one exchange after the other,
 * pipelined requests in their order. One worker's thread only.
 */
#ifndef SLU_L7_FRONT_H
#define SLU_L7_FRONT_H

#include "l7/proxy/exchange.h"

/*
 * Takes a connection that was accepted. `ops` and `state` are of the channel's TLS side, NULL for clear text.
 * Returns 0 and owns fd; -errno, and fd (and state) are the caller's.
 */
struct slu_channel_ops;
int slu_front_open(struct slu_worker *worker, const struct slu_site_listener *listener, int fd,
	const struct sockaddr *client, const struct slu_channel_ops *channel_ops, void *state);

/* Ends every connection that is idle; the others end after their response. */
void slu_front_drain(struct slu_worker *worker);

/* Ends every connection now. */
void slu_front_close_all(struct slu_worker *worker);

#endif
