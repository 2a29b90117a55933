/*
 * A client's connection: TLS, frames in, answers out. All of it on its worker's thread.
 */
#ifndef SLU_KEYSERVER_CONNECTION_H
#define SLU_KEYSERVER_CONNECTION_H

#include "keyserver/worker_state.h"

/* Takes over an accepted, non-blocking socket; it is closed if there is no memory, or no place for one more. */
void slu_connection_open(struct slu_worker *worker, int fd);

/* Closes those whose time is over; called about once a second. */
void slu_connection_tick(struct slu_worker *worker, uint64_t now_ns);

/* Finds the clients of all connections in the worker's new generation; who is not there any more is told so, and
 * closed. */
void slu_connection_renew(struct slu_worker *worker);

#endif
