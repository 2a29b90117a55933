#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "l7/proxy/metrics.h"

struct slu_metrics {
	struct event *event;
	int fd;
	struct sockaddr_un address;
};

static void one(FILE *out, const char *name, const char *type, uint64_t value)
{
	fprintf(out, "# TYPE sluice_l7_%s %s\nsluice_l7_%s %" PRIu64 "\n", name, type, name, value);
}

static void refusals(FILE *out, const char *name, const uint64_t *counts)
{
	fprintf(out, "# TYPE sluice_l7_%s counter\n", name);
	for (int i = 1; i < SLU_REFUSAL_COUNT; i++)
		fprintf(out, "sluice_l7_%s{reason=\"%s\"} %" PRIu64 "\n", name, slu_refusal_name(i), counts[i]);
}

static void print(FILE *out)
{
	struct slu_counters sum;
	uint32_t workers;

	slu_metrics_gather(&sum, &workers);
	one(out, "workers", "gauge", workers);
	one(out, "connections_total", "counter", sum.connections);
	one(out, "connections", "gauge", sum.connections_open);
	one(out, "accept_pauses_total", "counter", sum.connections_refused);
	one(out, "requests_total", "counter", sum.requests);
	one(out, "requests", "gauge", sum.requests_open);
	fprintf(out, "# TYPE sluice_l7_responses_total counter\n");
	for (int i = 0; i < 6; i++)
		fprintf(out, "sluice_l7_responses_total{class=\"%s\"} %" PRIu64 "\n",
			(const char *const[]){"none", "1xx", "2xx", "3xx", "4xx", "5xx"}[i], sum.responses[i]);
	one(out, "request_body_bytes_total", "counter", sum.bytes_in);
	one(out, "response_body_bytes_total", "counter", sum.bytes_out);
	one(out, "server_connects_total", "counter", sum.back_connects);
	one(out, "server_reuses_total", "counter", sum.back_reuses);
	one(out, "server_failures_total", "counter", sum.back_failures);
	one(out, "retries_total", "counter", sum.retries);
	one(out, "timeouts_total", "counter", sum.timeouts);
	refusals(out, "requests_refused_total", sum.refusals);
	refusals(out, "responses_refused_total", sum.response_refusals);
}

/* Whoever may connect is trusted and near: one short answer, whatever was asked. */
static void on_connection(evutil_socket_t listener, short what, void *arg)
{
	struct timeval second = {.tv_sec = 1};
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char *text = NULL, request[2048];
	size_t bytes = 0;
	FILE *out;

	(void)what;
	(void)arg;
	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	out = open_memstream(&text, &bytes);
	if (out != NULL && recv(fd, request, sizeof(request), 0) > 0) {
		char head[128];
		int head_bytes;

		print(out);
		fflush(out);
		head_bytes = snprintf(head, sizeof(head),
			"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %zu\r\n\r\n",
			bytes);
		if (send(fd, head, (size_t)head_bytes, MSG_NOSIGNAL | MSG_MORE) > 0 &&
			send(fd, text, bytes, MSG_NOSIGNAL) < 0)
			fprintf(stderr, "sluice-l7: metrics: %s\n", strerror(errno));
	}
	if (out != NULL)
		fclose(out);
	free(text);
	close(fd);
}

int slu_metrics_open(struct slu_metrics **place, struct event_base *base, const char *path)
{
	struct slu_metrics *metrics = calloc(1, sizeof(*metrics));
	int status;

	if (metrics == NULL)
		return -ENOMEM;
	metrics->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(metrics->address.sun_path)) {
		free(metrics);
		return -ENAMETOOLONG;
	}
	strcpy(metrics->address.sun_path, path);
	metrics->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	unlink(path);
	if (metrics->fd < 0 || bind(metrics->fd, (struct sockaddr *)&metrics->address, sizeof(metrics->address)) != 0 ||
		listen(metrics->fd, 16) != 0) {
		status = -errno;
		if (metrics->fd >= 0)
			close(metrics->fd);
		free(metrics);
		return status;
	}
	metrics->event = event_new(base, metrics->fd, EV_READ | EV_PERSIST, on_connection, metrics);
	event_add(metrics->event, NULL);
	*place = metrics;
	return 0;
}

void slu_metrics_close(struct slu_metrics *metrics)
{
	if (metrics == NULL)
		return;
	event_free(metrics->event);
	close(metrics->fd);
	free(metrics);
}
