/*
 * Time-outs of a worker: a wheel of tenths of a second. Time-outs are moved at
 * every request and hardly ever run out, so moving one later only notes the new
 * time; the wheel finds out when it comes by. One worker's thread only.
 */
#ifndef SLU_L7_TIMER_H
#define SLU_L7_TIMER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

typedef void slu_timer_fn(void *arg);

/* Part of its user; zeroed is stopped. */
struct slu_timer {
	struct slu_timer *next, **link; /* link NULL: not in the wheel */
	uint64_t due_ms;                /* 0: stopped */
	uint64_t slot_ms;               /* when the wheel looks at it */
	slu_timer_fn *run;
	void *arg;
};

#define SLU_TIMER_TICK_MS 100u
#define SLU_TIMER_SLOTS 1024u

struct slu_timers {
	struct slu_timer *slots[SLU_TIMER_SLOTS];
	uint64_t tick; /* last one looked at */
	struct event *event;
};

/* Starts the ticking. Returns 0 or -ENOMEM. */
int slu_timers_start(struct slu_timers *timers, struct event_base *base);
void slu_timers_stop(struct slu_timers *timers);

/* `run` is called once, `ms` from now at the earliest, unless stopped or set again. */
void slu_timer_set(struct slu_timers *timers, struct slu_timer *timer, uint32_t ms);

static inline void slu_timer_pause(struct slu_timer *timer)
{
	timer->due_ms = 0;
}

/* Takes it out of the wheel: before its memory goes away. */
void slu_timer_remove(struct slu_timer *timer);

/* Looks at everything due until `now_ms`; the ticking calls it, and tests do. */
void slu_timers_run(struct slu_timers *timers, uint64_t now_ms);

/* Milliseconds of the monotonic clock, some 4 ms coarse; and microseconds, exact. */
uint64_t slu_timer_now_ms(void);
uint64_t slu_timer_now_us(void);

#endif
