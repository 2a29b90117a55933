#define _GNU_SOURCE
#include "tests/bench/sync/api_count.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "host/control/api.h"
#include "host/session_view.h"

struct served {
	struct slu_dataplane *dp;
	struct slu_control *control;
	struct event_base *base;
	char answer[64];
	size_t bytes;
};

static void publish(void *ctx, struct slu_generation *next, struct slu_generation *previous)
{
	struct served *served = ctx;

	(void)next;
	if (previous)
		slu_control_release(served->control, previous);
}

static bool sessions(void *ctx, uint64_t *cursor, uint32_t budget, slu_api_session_fn *show, void *arg)
{
	const struct served *served = ctx;

	return slu_session_view_walk(served->dp, cursor, budget, show, arg);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct served *served = arg;
	ssize_t count = read(fd, served->answer + served->bytes, sizeof(served->answer) - 1 - served->bytes);

	(void)what;
	if (count > 0)
		served->bytes += (size_t)count;
	else
		event_base_loopbreak(served->base);
}

/* The smallest document there is, in a folder of its own. */
static struct slu_config *load(const char *folder, struct slu_errors *errors)
{
	struct slu_config *config = NULL;
	char path[128], *note = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "%s/sluiced.yaml", folder);
	file = fopen(path, "w");
	if (!file)
		return NULL;
	fprintf(file, "version: 1\nnode: bench\nstate_dir: %s\napi: %s/api.sock\n", folder, folder);
	fprintf(file, "ports:\n  - {name: p0, device: net_null0, tap: none0, addresses: [198.18.1.1/24]}\n");
	fclose(file);
	if (slu_control_load(path, &config, errors, &note))
		config = NULL;
	free(note);
	return config;
}

static pid_t start(const char *sluicectl, const char *folder, const char *clients, int *answer)
{
	char socket[128];
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	snprintf(socket, sizeof(socket), "%s/api.sock", folder);
	child = fork();
	if (child == 0) {
		dup2(ends[1], 1);
		execl(sluicectl, "sluicectl", "-s", socket, "sessions", "--count", "--client", clients, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*answer = ends[0];
	return child;
}

static int64_t ask(struct served *served, const char *folder, const char *sluicectl, const char *clients)
{
	struct event *readable;
	int answer = -1, status = -1;
	pid_t child = start(sluicectl, folder, clients, &answer);

	if (child < 0)
		return -1;
	readable = event_new(served->base, answer, EV_READ | EV_PERSIST, on_answer, served);
	event_add(readable, NULL);
	event_base_dispatch(served->base);
	event_free(readable);
	close(answer);
	waitpid(child, &status, 0);
	return status == 0 ? strtoll(served->answer, NULL, 10) : -1;
}

int64_t api_count(struct slu_dataplane *dp, const char *sluicectl, const char *clients)
{
	struct served served = {.dp = dp, .base = event_base_new()};
	const struct slu_control_hooks hooks = {.ctx = &served, .publish = publish};
	const struct slu_api_providers providers = {.ctx = &served, .sessions = sessions};
	char folder[] = "/tmp/slu-bench-XXXXXX", command[64];
	struct slu_config *config;
	struct slu_errors errors;
	struct slu_api *api = NULL;
	int64_t count = -1;

	slu_errors_init(&errors, "bench");
	config = mkdtemp(folder) ? load(folder, &errors) : NULL;
	if (config && !slu_control_create(served.base, config, &hooks, &served.control, &errors) &&
		!slu_api_create(served.base, served.control, &providers, slu_control_config(served.control)->api, &api))
		count = ask(&served, folder, sluicectl, clients);
	for (size_t i = 0; i < errors.count; i++) {
		char *text = slu_errors_format(&errors, i);

		fprintf(stderr, "bench-sync: %s\n", text);
		free(text);
	}
	slu_api_destroy(api);
	if (served.control)
		slu_control_destroy(served.control);
	event_base_free(served.base);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command))
		fprintf(stderr, "bench-sync: %s stays behind\n", folder);
	return count;
}
