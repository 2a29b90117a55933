/*
 * The control plane as a process of its own, for tests of the API and of
 * sluicectl: real configuration, health checks and server; where the agent has
 * its data plane there is a table of sessions made of arithmetic.
 *
 * usage: control_agent CONFIG TABLE_ENTRIES
 * Prints "ready" when the API answers, and ends at SIGTERM or end of input.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "host/control/api.h"
#include "host/control/ip.h"

/* Two of three entries are sessions; entry i has i packets one way and 2^40 + i bytes the other. */
struct table {
	struct slu_control *control;
	uint64_t entries;
};

static void publish(void *ctx, struct slu_generation *next, struct slu_generation *previous)
{
	struct table *table = ctx;

	(void)next;
	if (previous != NULL)
		slu_control_release(table->control, previous);
}

static void fill_session(const struct slu_generation *generation, uint64_t i, struct slu_api_session *session)
{
	const struct slu_listener *listener = &generation->listeners[i % generation->listener_count];
	const struct slu_group *group = generation->groups[listener->group];
	const struct slu_backend *backend = &group->backends[i % group->backend_count];

	*session = (struct slu_api_session){.listener_id = listener->id,
		.backend_id = backend->id,
		.protocol = listener->protocol,
		.mode = listener->mode,
		.client = {4, {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}},
		.client_port = 1024,
		.vip = listener->address,
		.vip_port = listener->port_first,
		.backend = backend->address,
		.backend_port = backend->port,
		.state = "ESTABLISHED",
		.request = {.card = true, .packets = i, .bytes = 60 * i},
		.reply = {.card = false, .packets = i, .bytes = (1ull << 40) + i}};
	if (listener->mode == SLU_MODE_FULLNAT) {
		session->local = generation->locals[0];
		session->local_port = (uint16_t)(1024 + i % 60000);
	}
}

static void node(void *ctx, struct slu_api_out *object)
{
	const struct table *table = ctx;

	slu_api_out_number(object, "sessions", table->entries / 3 * 2);
	slu_api_out_bool(object, "cluster", false);
}

static bool sessions(void *ctx, uint64_t *cursor, uint32_t budget, slu_api_session_fn *fn, void *arg)
{
	struct table *table = ctx;
	const struct slu_generation *generation = slu_control_generation(table->control);
	struct slu_api_session session;

	while (budget-- > 0 && *cursor < table->entries) {
		uint64_t i = (*cursor)++;

		if (i % 3 == 2)
			continue;
		fill_session(generation, i, &session);
		if (!fn(arg, &session))
			break;
	}
	return *cursor < table->entries;
}

static void backend_live(void *ctx, uint32_t id, uint32_t live, struct slu_api_live *value)
{
	(void)ctx, (void)id;
	*value = (struct slu_api_live){.sessions = live, .request_bytes = (1ull << 53) + 1};
}

static void card(void *ctx, struct slu_api_out *object)
{
	struct table *table = ctx;

	slu_api_out_text(object, "name", "arithmetic");
	slu_api_out_number(object, "entries", table->entries);
	slu_api_out_open_list(object, "banks");
	slu_api_out_number(object, NULL, 1);
	slu_api_out_number(object, NULL, 2);
	slu_api_out_close(object);
}

static void ports(void *ctx, struct slu_api_out *list)
{
	(void)ctx;
	slu_api_out_open_object(list, NULL);
	slu_api_out_text(list, "name", "p0");
	slu_api_out_bool(list, "link", true);
	slu_api_out_close(list);
}

static void stats(void *ctx, struct slu_api_out *object)
{
	(void)ctx;
	slu_api_out_open_object(object, "drops");
	slu_api_out_number(object, "no_backend", 9007199254740993u); /* 2^53 + 1: no double holds it */
	slu_api_out_close(object);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	event_base_loopbreak(arg);
}

static void print_errors(const struct slu_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		char *text = slu_errors_format(errors, i);

		fprintf(stderr, "%s\n", text);
		free(text);
	}
}

int main(int argc, char **argv)
{
	struct table table = {.entries = argc > 2 ? strtoull(argv[2], NULL, 10) : 0};
	const struct slu_control_hooks hooks = {.ctx = &table, .publish = publish};
	const struct slu_api_providers providers = {.ctx = &table,
		.sessions = sessions,
		.node = node,
		.backend_live = backend_live,
		.card = card,
		.ports = ports,
		.stats = stats};
	struct event_base *base = event_base_new();
	struct event *signal_event = evsignal_new(base, SIGTERM, on_end, base);
	struct event *input = event_new(base, STDIN_FILENO, EV_READ, on_end, base);
	struct slu_config *config;
	struct slu_errors errors;
	struct slu_api *api = NULL;
	char *note = NULL;
	int ret;

	slu_errors_init(&errors, argc > 1 ? argv[1] : "");
	ret = argc > 1 ? slu_control_load(argv[1], &config, &errors, &note) : -1;
	if (note != NULL)
		fprintf(stderr, "%s\n", note);
	free(note);
	if (ret == 0)
		ret = slu_control_create(base, config, &hooks, &table.control, &errors);
	if (ret == 0)
		ret = slu_api_create(base, table.control, &providers, slu_control_config(table.control)->api, &api);
	print_errors(&errors);
	if (ret == 0) {
		event_add(signal_event, NULL);
		event_add(input, NULL);
		puts("ready");
		fflush(stdout);
		event_base_dispatch(base);
	} else {
		fprintf(stderr, "control_agent: %s\n", strerror(-ret));
	}
	slu_api_destroy(api);
	if (table.control != NULL)
		slu_control_release(table.control, slu_control_generation(table.control));
	slu_control_destroy(table.control);
	slu_errors_clear(&errors);
	event_free(signal_event);
	event_free(input);
	event_base_free(base);
	return ret == 0 ? 0 : 1;
}
