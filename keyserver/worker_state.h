/*
 * What a worker and its connections know of each other.
 */
#ifndef SLU_KEYSERVER_WORKER_STATE_H
#define SLU_KEYSERVER_WORKER_STATE_H

#include <sys/queue.h>

#include "keyserver/worker.h"

struct slu_connection;
LIST_HEAD(slu_connections, slu_connection);

struct slu_worker {
	struct event_base *base;
	struct event *commands_event, *tick;
	int commands[2]; /* datagrams: the main thread writes to the second */
	struct slu_keyring *ring;
	struct slu_key_user user;
	struct slu_metrics metrics;
	struct slu_connections connections;
	uint32_t connection_count;
	size_t (*statistics)(void *arg, char *text, size_t room);
	void *arg;
};

static inline uint64_t slu_worker_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
