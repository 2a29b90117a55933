/*
 * The exception path between workers and kernel. Workers put frames into one
 * ring and never make a system call for them; the control thread writes them
 * to the TAPs, takes what the kernel sends, and puts it into a ring of the
 * worker that sends for that port. A flood of exceptions thereby costs the
 * control thread and ends in counted drops, not in slower sessions.
 */
#ifndef SLU_HOST_EXCEPTION_H
#define SLU_HOST_EXCEPTION_H

#include "host/ports/port.h"
#include "host/wake.h"

struct event_base;
struct rte_mbuf;
struct rte_mempool;
struct rte_ring;
struct slu_exception;

/* What the exception path knows of a worker. */
struct slu_exception_worker {
	struct rte_ring *to_wire; /* mbuf->port is the ethdev to send on */
	struct slu_wake *wake;
};

struct slu_exception_settings {
	struct event_base *base;
	struct slu_port *ports;
	uint32_t port_count;
	struct rte_mempool *pool;
	const struct slu_exception_worker *workers;
	uint32_t worker_count;
	struct slu_wake *control; /* kicked when frames wait for slu_exception_poll() */
};

/* Opens nothing: the ports' TAPs are open. Returns 0 or -errno. Control thread. */
int slu_exception_create(const struct slu_exception_settings *settings, struct slu_exception **exception);

/* Workers have stopped. Frames in the rings are freed. */
void slu_exception_destroy(struct slu_exception *exception);

/* Takes all the packets; mbuf->port says where they came in. Any worker. */
void slu_exception_put(struct slu_exception *exception, struct rte_mbuf **packets, uint16_t count);

/* Writes a bounded number of waiting frames to the TAPs; true when more wait. Control thread. */
bool slu_exception_poll(struct slu_exception *exception);

#endif
