/*
 * A worker: a thread with an event loop, its connections, and contexts of its own for the keys. It reads what a
 * connection has, signs all of it, and writes the answers at once: the more waits, the less each costs.
 */
#ifndef SLU_KEYSERVER_WORKER_H
#define SLU_KEYSERVER_WORKER_H

#include <event2/event.h>

#include "keyserver/keyring.h"
#include "keyserver/metrics.h"

struct slu_worker;

/*
 * Starts a worker's thread. It takes a reference of the ring. statistics() is called by the thread. Returns 0 and a
 * worker that ends with the process; -errno.
 */
int slu_worker_start(uint32_t index, struct slu_keyring *ring, size_t (*statistics)(void *arg, char *text, size_t room),
	void *arg, struct slu_worker **worker);

const struct slu_metrics *slu_worker_metrics(const struct slu_worker *worker);

/* Gives it an accepted socket, which it owns then; -errno: the socket stays the caller's. Main thread. */
int slu_worker_give(struct slu_worker *worker, int fd);

/* Gives it another generation; it takes a reference. Requests that are being answered end with the old one. */
int slu_worker_renew(struct slu_worker *worker, struct slu_keyring *ring);

#endif
