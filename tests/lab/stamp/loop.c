#include "tests/lab/stamp/loop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_US 5000u
#define SLOTS 1024u
#define EVENTS 256

static struct {
	int epoll;
	struct stamp_watch signals;
	uint64_t now_us, tick, late_us;
	bool stop, signalled;
	struct stamp_timer slot[SLOTS]; /* heads of rings */
	struct epoll_event events[EVENTS];
	int event_count;
} loop;

static void read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	loop.now_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_signal(struct stamp_watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) == sizeof(info))
		loop.signalled = loop.stop = true;
}

int stamp_loop_open(void)
{
	sigset_t set;
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		loop.slot[i].prev = loop.slot[i].next = &loop.slot[i];
	read_clock();
	loop.tick = loop.now_us / TICK_US;
	loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop.epoll < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	loop.signals.run = on_signal;
	loop.signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return loop.signals.fd < 0 ? -errno : stamp_loop_watch(&loop.signals, EPOLLIN);
}

uint64_t stamp_loop_now_us(void)
{
	return loop.now_us;
}

uint64_t stamp_loop_late_us(void)
{
	return loop.late_us;
}

void stamp_loop_unset(struct stamp_timer *timer)
{
	if (timer->next == NULL)
		return;
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->prev = timer->next = NULL;
}

void stamp_loop_set(struct stamp_timer *timer, uint64_t due_us)
{
	uint64_t tick = (due_us + TICK_US - 1) / TICK_US;
	struct stamp_timer *head;

	stamp_loop_unset(timer);
	timer->due_us = due_us;
	if (tick <= loop.tick)
		tick = loop.tick + 1;
	head = &loop.slot[tick % SLOTS];
	timer->next = head;
	timer->prev = head->prev;
	head->prev->next = timer;
	head->prev = timer;
}

/* A timer of a later round stays; one that runs may unset any other, so the walk begins again after it. */
static void run_slot(struct stamp_timer *head)
{
	struct stamp_timer *t = head->next;

	while (t != head) {
		if (t->due_us > loop.now_us) {
			t = t->next;
			continue;
		}
		if (loop.now_us - t->due_us > loop.late_us)
			loop.late_us = loop.now_us - t->due_us;
		stamp_loop_unset(t);
		t->run(t);
		t = head->next;
	}
}

static void run_timers(void)
{
	uint64_t to = loop.now_us / TICK_US;

	while (loop.tick < to) {
		loop.tick++;
		run_slot(&loop.slot[loop.tick % SLOTS]);
	}
}

int stamp_loop_watch(struct stamp_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop.epoll, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

int stamp_loop_change(struct stamp_watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(loop.epoll, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? -errno : 0;
}

void stamp_loop_close(struct stamp_watch *watch)
{
	int i;

	if (watch->fd < 0)
		return;
	/* Events of this turn that still wait for it. */
	for (i = 0; i < loop.event_count; i++)
		if (loop.events[i].data.ptr == watch)
			loop.events[i].data.ptr = NULL;
	close(watch->fd);
	watch->fd = -1;
}

void stamp_loop_stop(void)
{
	loop.stop = true;
}

bool stamp_loop_run(void)
{
	int i, wait_ms;

	loop.stop = loop.signalled = false;
	while (!loop.stop) {
		read_clock();
		wait_ms = (int)((TICK_US - loop.now_us % TICK_US + 999) / 1000);
		loop.event_count = epoll_wait(loop.epoll, loop.events, EVENTS, wait_ms);
		read_clock();
		/* What has come is heard before anybody is judged for silence. */
		for (i = 0; i < loop.event_count; i++) {
			struct stamp_watch *watch = loop.events[i].data.ptr;

			if (watch != NULL)
				watch->run(watch, loop.events[i].events);
		}
		if (loop.event_count < EVENTS)
			run_timers();
	}
	loop.event_count = 0;
	return loop.signalled;
}
