#include "keyserver/metrics.h"

#include <stdarg.h>
#include <stdio.h>

#include "key_message.h"

struct text {
	char *bytes;
	size_t room, used;
};

static void print(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct text *t, const char *format, ...)
{
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = vsnprintf(t->bytes + t->used, t->room - t->used, format, arguments);
	va_end(arguments);
	if (count > 0 && (size_t)count < t->room - t->used)
		t->used += (size_t)count;
}

static void print_counter(struct text *t, const char *name, const char *help)
{
	print(t, "# HELP sluice_keyd_%s %s\n# TYPE sluice_keyd_%s counter\n", name, help, name);
}

static void print_gauge(struct text *t, const char *name, const char *help, uint64_t value)
{
	print(t, "# HELP sluice_keyd_%s %s\n# TYPE sluice_keyd_%s gauge\nsluice_keyd_%s %llu\n", name, help, name, name,
		(unsigned long long)value);
}

#define SUM(workers, count, member)                                                                                    \
	({                                                                                                             \
		uint64_t sum = 0;                                                                                      \
		for (uint32_t w = 0; w < (count); w++)                                                                 \
			sum += atomic_load_explicit(&(workers)[w]->member, memory_order_relaxed);                      \
		sum;                                                                                                   \
	})

static void print_operations(struct text *t, const struct slu_metrics *const *workers, uint32_t count)
{
	print_counter(t, "operations_total", "Requests answered.");
	for (uint8_t o = SLU_KEY_HELLO; o < SLU_KEY_OPERATIONS; o++) {
		for (uint8_t s = 0; s < SLU_KEY_STATUSES; s++) {
			uint64_t sum = SUM(workers, count, operations[o][s]);

			if (sum > 0 || s == SLU_KEY_OK)
				print(t, "sluice_keyd_operations_total{operation=\"%s\",status=\"%s\"} %llu\n",
					slu_key_message_operation_name(o), slu_key_message_status_name(s),
					(unsigned long long)sum);
		}
	}
}

size_t slu_metrics_print(const struct slu_metrics *const *workers, uint32_t count,
	const struct slu_metrics_server *server, char *text, size_t room)
{
	static const char *const ends[SLU_METRICS_ENDS] = {
		"closed", "handshake", "unknown_client", "protocol", "slow", "idle", "full"};
	struct text t = {text, room, 0};
	uint64_t accepted = SUM(workers, count, accepted), ended = 0;

	print_operations(&t, workers, count);
	print_counter(&t, "connections_total", "Connections accepted.");
	print(&t, "sluice_keyd_connections_total %llu\n", (unsigned long long)accepted);
	print_counter(&t, "connections_ended_total", "Connections that ended, by reason.");
	for (int e = 0; e < SLU_METRICS_ENDS; e++) {
		uint64_t sum = SUM(workers, count, ends[e]);

		ended += sum;
		print(&t, "sluice_keyd_connections_ended_total{reason=\"%s\"} %llu\n", ends[e],
			(unsigned long long)sum);
	}
	print_gauge(&t, "connections", "Connections now.", accepted > ended ? accepted - ended : 0);
	print_counter(&t, "batches_total", "Writes that carried answers.");
	print(&t, "sluice_keyd_batches_total %llu\n", (unsigned long long)SUM(workers, count, batches));
	print_counter(&t, "reload_failures_total", "Configurations that were refused.");
	print(&t, "sluice_keyd_reload_failures_total %llu\n", (unsigned long long)server->reload_failures);
	print_gauge(&t, "generation", "Generation of keys and clients.", server->generation);
	print_gauge(&t, "keys", "Keys.", server->keys);
	print_gauge(&t, "clients", "Clients.", server->clients);
	return t.used;
}
