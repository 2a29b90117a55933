#include <errno.h>
#include <string.h>
#include <time.h>

#include "l7/io/timer.h"

uint64_t slu_timer_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t slu_timer_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	slu_timers_run(arg, slu_timer_now_ms());
}

int slu_timers_start(struct slu_timers *timers, struct event_base *base)
{
	struct timeval tick = {.tv_usec = SLU_TIMER_TICK_MS * 1000};

	memset(timers, 0, sizeof(*timers));
	timers->tick = slu_timer_now_ms() / SLU_TIMER_TICK_MS;
	timers->event = event_new(base, -1, EV_PERSIST, on_tick, timers);
	if (timers->event == NULL || event_add(timers->event, &tick) != 0)
		return -ENOMEM;
	return 0;
}

void slu_timers_stop(struct slu_timers *timers)
{
	if (timers->event != NULL)
		event_free(timers->event);
	timers->event = NULL;
}

void slu_timer_remove(struct slu_timer *timer)
{
	timer->due_ms = 0;
	if (timer->link == NULL)
		return;
	*timer->link = timer->next;
	if (timer->next != NULL)
		timer->next->link = timer->link;
	timer->link = NULL;
}

/* The wheel looks at a timer when it is due, or after one turn, whichever is sooner. */
static void insert(struct slu_timers *timers, struct slu_timer *timer)
{
	uint64_t tick = timer->due_ms / SLU_TIMER_TICK_MS + 1;
	struct slu_timer **slot;

	if (tick <= timers->tick)
		tick = timers->tick + 1;
	if (tick > timers->tick + SLU_TIMER_SLOTS - 1)
		tick = timers->tick + SLU_TIMER_SLOTS - 1;
	timer->slot_ms = tick * SLU_TIMER_TICK_MS;
	slot = &timers->slots[tick % SLU_TIMER_SLOTS];
	timer->next = *slot;
	timer->link = slot;
	if (timer->next != NULL)
		timer->next->link = &timer->next;
	*slot = timer;
}

void slu_timer_set(struct slu_timers *timers, struct slu_timer *timer, uint32_t ms)
{
	timer->due_ms = slu_timer_now_ms() + ms;
	if (timer->link != NULL) {
		if (timer->due_ms + SLU_TIMER_TICK_MS >= timer->slot_ms)
			return;
		*timer->link = timer->next;
		if (timer->next != NULL)
			timer->next->link = timer->link;
	}
	insert(timers, timer);
}

void slu_timers_run(struct slu_timers *timers, uint64_t now_ms)
{
	uint64_t until = now_ms / SLU_TIMER_TICK_MS;

	/* A worker that was stopped for longer than a turn looks at every slot once. */
	if (until > timers->tick + SLU_TIMER_SLOTS)
		timers->tick = until - SLU_TIMER_SLOTS;
	while (timers->tick < until) {
		struct slu_timer **slot = &timers->slots[++timers->tick % SLU_TIMER_SLOTS];
		struct slu_timer *timer;

		while ((timer = *slot) != NULL) {
			uint64_t due_ms = timer->due_ms;

			slu_timer_remove(timer);
			if (due_ms == 0)
				continue;
			if (due_ms > now_ms) {
				timer->due_ms = due_ms; /* never into this slot again: insert() stays within a turn */
				insert(timers, timer);
			} else {
				timer->run(timer->arg);
			}
		}
	}
}
