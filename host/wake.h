/*
 * Wakes a thread that may sleep in epoll, without a system call while it is
 * awake. The sleeper arms, looks once more for work, and only then sleeps; the
 * other side makes the work visible and then kicks. The fences on both sides
 * make it impossible that both miss each other.
 */
#ifndef SLU_HOST_WAKE_H
#define SLU_HOST_WAKE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct slu_wake {
	_Atomic uint32_t armed;
	int fd;
};

static inline int slu_wake_open(struct slu_wake *wake)
{
	atomic_init(&wake->armed, 0);
	wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return wake->fd < 0 ? -errno : 0;
}

static inline void slu_wake_close(struct slu_wake *wake)
{
	if (wake->fd >= 0)
		close(wake->fd);
	wake->fd = -1;
}

/* The sleeper, before its last look for work. */
static inline void slu_wake_arm(struct slu_wake *wake)
{
	atomic_store_explicit(&wake->armed, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

/* The sleeper, awake again: later kicks cost no system call. */
static inline void slu_wake_disarm(struct slu_wake *wake)
{
	uint64_t count;
	ssize_t unused;

	if (atomic_exchange_explicit(&wake->armed, 0, memory_order_relaxed) == 0) {
		unused = read(wake->fd, &count, sizeof(count));
		(void)unused;
	}
}

/* Anybody, after the work is visible. */
static inline void slu_wake_kick(struct slu_wake *wake)
{
	uint64_t one = 1;
	ssize_t unused;

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&wake->armed, memory_order_relaxed) == 0)
		return;
	if (atomic_exchange_explicit(&wake->armed, 0, memory_order_relaxed)) {
		unused = write(wake->fd, &one, sizeof(one));
		(void)unused;
	}
}

#endif
