#include "keyserver/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keyserver/connection.h"

/* From the main thread: a socket, or a generation with a reference. */
struct command {
	int fd;
	struct slu_keyring *ring;
};

static void renew(struct slu_worker *worker, struct slu_keyring *ring)
{
	struct slu_keyring *old = worker->ring;

	worker->ring = ring;
	slu_connection_renew(worker);
	slu_keyring_drop(old);
}

static void on_command(evutil_socket_t fd, short what, void *arg)
{
	struct slu_worker *worker = arg;
	struct command command;

	(void)what;
	while (recv(fd, &command, sizeof(command), MSG_DONTWAIT) == (ssize_t)sizeof(command)) {
		if (command.ring)
			renew(worker, command.ring);
		else
			slu_connection_open(worker, command.fd);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	slu_connection_tick(arg, slu_worker_now_ns());
}

static void *run(void *arg)
{
	struct slu_worker *worker = arg;
	sigset_t all;

	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	event_base_dispatch(worker->base);
	return NULL;
}

static int prepare(struct slu_worker *worker)
{
	const struct timeval second = {.tv_sec = 1};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, worker->commands) != 0)
		return -errno;
	worker->base = event_base_new();
	if (!worker->base)
		return -ENOMEM;
	worker->commands_event = event_new(worker->base, worker->commands[0], EV_READ | EV_PERSIST, on_command, worker);
	worker->tick = event_new(worker->base, -1, EV_PERSIST, on_tick, worker);
	if (!worker->commands_event || !worker->tick || event_add(worker->commands_event, NULL) != 0 ||
		event_add(worker->tick, &second) != 0)
		return -ENOMEM;
	return 0;
}

int slu_worker_start(uint32_t index, struct slu_keyring *ring, size_t (*statistics)(void *arg, char *text, size_t room),
	void *arg, struct slu_worker **worker)
{
	struct slu_worker *new = calloc(1, sizeof(*new));
	pthread_t thread;
	int result;

	if (!new)
		return -ENOMEM;
	new->statistics = statistics;
	new->arg = arg;
	result = slu_key_user_open(&new->user, index);
	if (result == 0)
		result = prepare(new);
	if (result != 0)
		return result; /* the process ends */
	new->ring = slu_keyring_hold(ring);
	*worker = new;
	return -pthread_create(&thread, NULL, run, new);
}

const struct slu_metrics *slu_worker_metrics(const struct slu_worker *worker)
{
	return &worker->metrics;
}

static int command(struct slu_worker *worker, const struct command *command)
{
	return send(worker->commands[1], command, sizeof(*command), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int slu_worker_give(struct slu_worker *worker, int fd)
{
	return command(worker, &(struct command){.fd = fd});
}

int slu_worker_renew(struct slu_worker *worker, struct slu_keyring *ring)
{
	int result = command(worker, &(struct command){.fd = -1, .ring = slu_keyring_hold(ring)});

	if (result != 0)
		slu_keyring_drop(ring);
	return result;
}
