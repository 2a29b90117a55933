/* One thread's loop: epoll, and timers of 5 ms on a wheel. A test program has one. */
#ifndef SLU_TESTS_LAB_STAMP_LOOP_H
#define SLU_TESTS_LAB_STAMP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct stamp_timer {
	struct stamp_timer *prev, *next; /* NULL: not set */
	uint64_t due_us;
	void (*run)(struct stamp_timer *timer); /* may set it again, or free what holds it */
};

/* What watches a descriptor. */
struct stamp_watch {
	int fd; /* -1: none */
	void (*run)(struct stamp_watch *watch, uint32_t events);
};

/* Returns 0 or -errno. Ends at SIGINT, SIGTERM: loop_run() returns then. */
int stamp_loop_open(void);

uint64_t stamp_loop_now_us(void); /* read at the turn's begin */

void stamp_loop_set(struct stamp_timer *timer, uint64_t due_us);
void stamp_loop_unset(struct stamp_timer *timer);

int stamp_loop_watch(struct stamp_watch *watch, uint32_t events); /* EPOLLIN ...; watch->fd is set. 0 or -errno */
int stamp_loop_change(struct stamp_watch *watch, uint32_t events);
void stamp_loop_close(struct stamp_watch *watch); /* closes the descriptor too; none is allowed */

/* Runs until stop() or a signal. Returns true when it was a signal. */
bool stamp_loop_run(void);
void stamp_loop_stop(void);

/* The longest that this process itself came too late to a timer: of a gap so much may be its own. */
uint64_t stamp_loop_late_us(void);

#endif
