/*
 * The loop of a worker lcore: receive, data plane, transmit, exceptions, time;
 * and the idle ladder. A loop spins for a moment after work, then sleeps until
 * a receive interrupt, a frame from the kernel or its own next deadline; on
 * ports without interrupts it looks again after 50 us, then less and less often
 * down to once a millisecond.
 */
#ifndef SLU_HOST_LOOP_H
#define SLU_HOST_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "host/dataplane/dataplane.h"
#include "host/ports/exception.h"
#include "host/ports/port.h"
#include "host/wake.h"

#define SLU_LOOP_QUEUES_MAX 64

struct slu_loop_queue {
	struct slu_port *port;
	uint16_t queue;
	int interrupt_fd; /* -1: none */
};

/* Written by the loop, read by anybody. */
struct slu_loop_counters {
	_Atomic uint64_t packets, turns, empty_turns, sleeps, slept_us, interrupts;
};

struct slu_loop {
	uint32_t index;
	uint32_t workers;
	struct slu_worker *worker;
	struct slu_loop *all; /* [workers], this one among them */
	struct slu_loop_queue queues[SLU_LOOP_QUEUES_MAX];
	uint32_t queue_count;
	struct slu_port *by_id[SLU_PORTS_MAX];
	struct rte_ring *to_wire; /* frames of the kernel */
	struct slu_wake wake;
	struct slu_exception *exception;
	struct slu_wake *control;
	_Atomic uint32_t *control_slow; /* the control thread looks rarely: kick it when packets come */
	_Atomic bool stop;
	_Atomic bool running;
	pthread_t thread;
	bool interrupts; /* every queue has one */
	int epoll;
	uint32_t sleep_us;
	struct slu_loop_counters counters;
};

/*
 * Prepares a loop; queues, ports and settings above are filled by the caller
 * afterwards. Main thread. Returns 0 or -errno.
 */
int slu_loop_init(struct slu_loop *loop, uint32_t index, uint32_t workers, struct slu_worker *worker);
int slu_loop_add_queue(struct slu_loop *loop, struct slu_port *port, uint16_t queue);
void slu_loop_fini(struct slu_loop *loop);

/* The lcore function; `loop` is a struct slu_loop. Returns 0 after slu_loop_stop(). */
int slu_loop_run(void *loop);

/* Any thread. */
void slu_loop_stop(struct slu_loop *loop);

/* CPU time that the loop's thread has used, in nanoseconds; 0 before it runs. Any thread. */
uint64_t slu_loop_cpu_ns(const struct slu_loop *loop);

#endif
