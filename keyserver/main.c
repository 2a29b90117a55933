/*
 * sluice-keyd: the key server. `sluice-keyd -c FILE` runs in the foreground until SIGTERM; SIGHUP reads FILE again.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyserver/harden.h"
#include "keyserver/log.h"
#include "keyserver/worker.h"

struct server {
	const char *path;
	struct event_base *base;
	struct slu_keyring *ring;
	struct slu_worker *workers[SLU_SETTINGS_WORKERS_MAX];
	uint32_t worker_count, next;
	_Atomic uint64_t generation, reload_failures;
};

static size_t statistics(void *arg, char *text, size_t room)
{
	const struct server *server = arg;
	const struct slu_metrics *metrics[SLU_SETTINGS_WORKERS_MAX];
	const struct slu_metrics_server numbers = {server->generation, server->reload_failures};

	for (uint32_t i = 0; i < server->worker_count; i++)
		metrics[i] = slu_worker_metrics(server->workers[i]);
	return slu_metrics_print(metrics, server->worker_count, &numbers, text, room);
}

/* ---------------------------------------------------------------- listening */

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int one = 1, accepted;

	(void)what;
	accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted < 0)
		return;
	setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (slu_worker_give(server->workers[server->next++ % server->worker_count], accepted) != 0)
		close(accepted);
}

static int listen_at(struct server *server, const char *text)
{
	struct sockaddr_storage address;
	int bytes = sizeof(address), one = 1, fd = -1;
	struct event *event;

	errno = EINVAL;
	if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, &bytes) == 0)
		fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, (socklen_t)bytes) != 0 || listen(fd, SOMAXCONN) != 0) {
		slu_log_line("listen: %s: %s", text, strerror(errno));
		return -errno;
	}
	event = event_new(server->base, fd, EV_READ | EV_PERSIST, on_accept, server);
	return event && event_add(event, NULL) == 0 ? 0 : -ENOMEM;
}

/* ---------------------------------------------------------------- configuration */

static int load(const char *path, uint64_t generation, uint32_t workers, struct slu_keyring **ring)
{
	struct slu_settings *settings;
	int result = slu_settings_read(path, &settings, stderr);

	if (result != 0)
		return result;
	result = slu_keyring_load(settings, generation, workers ? workers : settings->workers, ring, stderr);
	if (result != 0)
		slu_settings_free(settings);
	return result;
}

/* Another configuration serves whole or not at all. Addresses, workers, user and audit file stay those of the start. */
static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	struct slu_keyring *ring;

	(void)fd;
	(void)what;
	if (load(server->path, server->generation + 1, server->worker_count, &ring) != 0) {
		server->reload_failures++;
		slu_log_line(
			"%s is refused: generation %llu stays", server->path, (unsigned long long)server->generation);
		return;
	}
	for (uint32_t i = 0; i < server->worker_count; i++)
		slu_worker_renew(server->workers[i], ring);
	slu_keyring_audit(server->ring);
	slu_keyring_drop(server->ring);
	server->ring = ring;
	server->generation++;
	slu_log_audit("generation=%llu keys=%u clients=%u", (unsigned long long)server->generation, ring->key_count,
		ring->client_count);
}

static void on_minute(evutil_socket_t fd, short what, void *arg)
{
	const struct server *server = arg;

	(void)fd;
	(void)what;
	slu_keyring_audit(server->ring);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	const struct server *server = arg;

	(void)fd;
	(void)what;
	slu_keyring_audit(server->ring);
	event_base_loopbreak(server->base);
}

/* ---------------------------------------------------------------- start */

static int open_audit(const char *path)
{
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640) : -1;

	if (path && fd < 0) {
		slu_log_line("audit: %s: %s", path, strerror(errno));
		return -errno;
	}
	slu_log_audit_to(fd);
	return 0;
}

static int add_events(struct server *server)
{
	const struct timeval minute = {.tv_sec = 60};
	struct event *events[] = {evsignal_new(server->base, SIGHUP, on_hangup, server),
		evsignal_new(server->base, SIGTERM, on_end, server), evsignal_new(server->base, SIGINT, on_end, server),
		event_new(server->base, -1, EV_PERSIST, on_minute, server)};

	for (size_t i = 0; i < 4; i++)
		if (!events[i] || event_add(events[i], i == 3 ? &minute : NULL) != 0)
			return -ENOMEM;
	for (uint32_t i = 0; i < server->ring->settings->listen_count; i++)
		if (listen_at(server, server->ring->settings->listen[i]) != 0)
			return -EINVAL;
	return 0;
}

/* The order matters: no dumps before keys are read, no privileges before anybody connects. */
static int start(struct server *server)
{
	const struct slu_settings *settings = server->ring->settings;

	server->base = event_base_new();
	if (!server->base || add_events(server) != 0 || open_audit(settings->audit) != 0)
		return -EINVAL;
	if (slu_harden_user(settings->user) != 0)
		return -EPERM;
	for (uint32_t i = 0; i < settings->workers; i++) {
		if (slu_worker_start(i, server->ring, statistics, server, &server->workers[i]) != 0)
			return -ENOMEM;
	}
	server->worker_count = settings->workers;
	return slu_harden_system_calls();
}

static int run(struct server *server)
{
	struct slu_settings *settings;

	signal(SIGPIPE, SIG_IGN);
	if (slu_settings_read(server->path, &settings, stderr) != 0)
		return 1;
	if (slu_harden_memory(settings->lock_memory) != 0)
		return 1;
	server->generation = 1;
	if (slu_keyring_load(settings, 1, settings->workers, &server->ring, stderr) != 0 || start(server) != 0)
		return 1;
	slu_log_line("serves %u keys to %u clients", server->ring->key_count, server->ring->client_count);
	event_base_dispatch(server->base);
	return 0;
}

int main(int argc, char **argv)
{
	struct server *server = calloc(1, sizeof(*server));
	bool check = argc == 4 && strcmp(argv[3], "--check") == 0;

	if (!server || !(argc == 3 || check) || strcmp(argv[1], "-c") != 0) {
		fprintf(stderr, "usage: sluice-keyd -c FILE [--check]\n");
		return 2;
	}
	server->path = argv[2];
	if (check)
		return load(server->path, 1, 0, &server->ring) == 0 ? 0 : 1;
	/* Threads use what is in the ring until the last instant: the process ends without tidying up. */
	_exit(run(server));
}
