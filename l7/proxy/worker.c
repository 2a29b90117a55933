#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l7/config/load.h"
#include "l7/http1/back.h"
#include "l7/http1/front.h"
#include "l7/proxy/access_log.h"
#include "l7/proxy/handover.h"
#include "l7/proxy/worker.h"

/* A listening socket; the supervisor has it too, so that closing it here loses nobody who waits in it. */
struct listening {
	struct slu_worker *worker;
	struct event event;
	int fd;
	uint32_t listener; /* index in the site */
};

struct control {
	struct slu_worker *worker;
	struct event event;
	int fd;
	struct listening *listening; /* [count], in the order of the site's listeners */
	uint32_t count;
	int *fds; /* received, for the next site */
	uint32_t fd_count;
	bool full; /* not accepting: too many connections */
	struct event *look;
};

/* At most this many are accepted before the loop serves those it has. */
#define ACCEPT_BATCH 64

struct slu_running *slu_running_new(struct slu_site *site, const struct slu_running *old)
{
	struct slu_running *running = calloc(1, sizeof(*running));

	if (running == NULL)
		abort();
	running->refs = 1;
	running->site = site;
	running->groups = calloc(site->group_count + 1, sizeof(struct slu_group *));
	if (running->groups == NULL)
		abort();
	for (uint32_t i = 0; i < site->group_count; i++) {
		const struct slu_group *before = NULL;

		for (uint32_t j = 0; old != NULL && j < old->site->group_count; j++)
			if (strcmp(old->site->groups[j].name, site->groups[i].name) == 0)
				before = old->groups[j];
		running->groups[i] = slu_group_new(&site->groups[i], before);
	}
	return running;
}

void slu_running_drop(struct slu_running *running)
{
	if (--running->refs > 0)
		return;
	for (uint32_t i = 0; i < running->site->group_count; i++) {
		struct slu_group *group = running->groups[i];

		/* Idle connections hold their server: those of one that nobody names any more would keep it until they
		 * end. */
		for (uint32_t n = 0; n < group->site->server_count; n++)
			if (group->servers[n]->refs == 1 + group->servers[n]->idle_count)
				slu_back_close_idle(group->servers[n]);
		slu_group_free(group);
	}
	free(running->groups);
	slu_site_drop(running->site);
	free(running);
}

/* -- accepting -- */

static void accepting(struct control *control, bool on)
{
	for (uint32_t i = 0; i < control->count; i++) {
		if (on)
			event_add(&control->listening[i].event, NULL);
		else
			event_del(&control->listening[i].event);
	}
	control->full = !on;
}

static struct control control;

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listening *listening = arg;
	struct slu_worker *worker = listening->worker;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		union {
			struct sockaddr any;
			struct sockaddr_storage storage;
		} client;
		socklen_t bytes = sizeof(client);
		int connection;

		if (worker->counters.connections_open >= worker->running->site->connections_max) {
			worker->counters.connections_refused++;
			accepting(&control, false);
			return;
		}
		connection = accept4(fd, &client.any, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (connection < 0) {
			/* Short of descriptors or memory: those who wait stay in the queue. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				accepting(&control, false);
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			return;
		}
		if (slu_front_open(worker, &worker->running->site->listeners[listening->listener], connection,
			    &client.any, NULL, NULL) != 0)
			close(connection);
	}
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct slu_worker *worker = arg;

	(void)fd;
	(void)what;
	if (control.full && !worker->draining &&
		worker->counters.connections_open < worker->running->site->connections_max)
		accepting(&control, true);
	if (worker->draining) {
		slu_front_drain(worker);
		if (worker->fronts == NULL)
			event_base_loopbreak(worker->base);
	}
}

static void listening_close(void)
{
	for (uint32_t i = 0; i < control.count; i++) {
		event_del(&control.listening[i].event);
		close(control.listening[i].fd);
	}
	free(control.listening);
	control.listening = NULL;
	control.count = 0;
}

/* Takes the sockets in the order of the site's listeners. */
static void listening_open(struct slu_worker *worker, const int *fds, uint32_t count)
{
	control.listening = calloc(count + 1, sizeof(*control.listening));
	if (control.listening == NULL)
		abort();
	control.count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct listening *listening = &control.listening[i];

		*listening = (struct listening){.worker = worker, .fd = fds[i], .listener = i};
		event_assign(&listening->event, worker->base, fds[i], EV_READ | EV_PERSIST, on_connection, listening);
		event_add(&listening->event, NULL);
	}
}

/* -- the supervisor's words -- */

static void log_open(struct slu_worker *worker)
{
	const struct slu_site *site = worker->running->site;
	int status;

	slu_access_log_close(worker->access_log);
	worker->access_log = NULL;
	if (site->access_log == NULL)
		return;
	status = slu_access_log_open(&worker->access_log, worker->base, site->access_log, site->log_format);
	if (status != 0)
		fprintf(stderr, "sluice-l7: access log %s: %s\n", site->access_log, strerror(-status));
}

static void reload(struct slu_worker *worker, int document)
{
	struct slu_running *old = worker->running;
	struct slu_reader reader;
	struct slu_site *site = NULL;
	struct stat stat;
	void *text;

	if (fstat(document, &stat) != 0 || stat.st_size == 0)
		return;
	text = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, document, 0);
	if (text == MAP_FAILED)
		return;
	site = slu_load_site(&reader, "reload", text, (size_t)stat.st_size);
	slu_reader_close(&reader);
	munmap(text, (size_t)stat.st_size);
	/* The supervisor has checked the same bytes. */
	if (site == NULL || site->listener_count != control.fd_count)
		return;
	worker->running = slu_running_new(site, old);
	listening_close();
	listening_open(worker, control.fds, control.fd_count);
	control.fd_count = 0;
	log_open(worker);
	slu_running_drop(old);
}

static void on_word(evutil_socket_t fd, short what, void *arg)
{
	struct slu_worker *worker = arg;
	struct slu_handover_word word = {0};
	int fds[SLU_HANDOVER_FDS_MAX];
	int count = slu_handover_receive(fd, &word, fds);

	(void)what;
	if (count == -EAGAIN)
		return;
	if (count < 0) {
		/* The supervisor is gone; a service without one cannot be told anything: end in order. */
		word.kind = SLU_HANDOVER_DRAIN;
		event_del(&control.event);
		count = 0;
	}
	switch (word.kind) {
	case SLU_HANDOVER_SOCKETS:
		control.fds = realloc(control.fds, (control.fd_count + (uint32_t)count + 1) * sizeof(int));
		if (control.fds == NULL)
			abort();
		memcpy(&control.fds[control.fd_count], fds, (size_t)count * sizeof(int));
		control.fd_count += (uint32_t)count;
		break;
	case SLU_HANDOVER_DOCUMENT:
		if (count == 1) {
			reload(worker, fds[0]);
			close(fds[0]);
		}
		break;
	case SLU_HANDOVER_REOPEN:
		if (worker->access_log != NULL)
			slu_access_log_reopen(worker->access_log);
		break;
	case SLU_HANDOVER_COUNTERS:
		slu_handover_send_bytes(fd, &worker->counters, sizeof(worker->counters));
		break;
	case SLU_HANDOVER_DRAIN:
		worker->draining = true;
		listening_close();
		slu_front_drain(worker);
		if (worker->fronts == NULL)
			event_base_loopbreak(worker->base);
		break;
	default:
		break;
	}
}

int slu_worker_run(int index, struct slu_site *site, const int *fds, int control_fd)
{
	struct timeval tenth = {.tv_usec = 100000};
	struct slu_worker worker = {.index = index};
	struct event *look;

	signal(SIGPIPE, SIG_IGN);
	worker.base = event_base_new();
	if (worker.base == NULL || slu_timers_start(&worker.timers, worker.base) != 0)
		return 1;
	worker.running = slu_running_new(site, NULL);
	log_open(&worker);
	control.worker = &worker;
	control.fd = control_fd;
	event_assign(&control.event, worker.base, control_fd, EV_READ | EV_PERSIST, on_word, &worker);
	event_add(&control.event, NULL);
	look = event_new(worker.base, -1, EV_PERSIST, on_look, &worker);
	event_add(look, &tenth);
	listening_open(&worker, fds, site->listener_count);
	event_base_dispatch(worker.base);
	listening_close();
	slu_front_close_all(&worker);
	slu_access_log_close(worker.access_log);
	slu_timers_stop(&worker.timers);
	slu_running_drop(worker.running);
	return 0;
}
