#include "host/cluster/etcd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "host/cluster/etcd_value.h"
#include "host/config/memory.h"
#include "host/log.h"

#define CALL_TIMEOUT_S 2
#define WATCH_TIMEOUT_S 60 /* a stream without a word for so long is opened anew */
#define BODY_MAX_BYTES (64 << 20)
#define CONNECT_HOST_BYTES 64
#define UNAVAILABLE 503

struct endpoint {
	char host[CONNECT_HOST_BYTES]; /* without brackets */
	char authority[CONNECT_HOST_BYTES + 8];
	uint16_t port;
};

/* One request on a connection of its own. What libevent tells is acted upon in `later`, outside of its calls. */
struct exchange {
	struct slu_etcd *etcd;
	struct evhttp_connection *connection;
	struct event *later;
	uint32_t endpoint;
	bool over;
};

struct call {
	LIST_ENTRY(call) entry;
	struct exchange exchange;
	char *path, *text;
	slu_etcd_answer *done;
	void *context;
	uint32_t tries;
	int error;
	json_t *body;
};

struct watch {
	struct exchange exchange;
	struct evbuffer *lines;
	struct slu_etcd_watch_events events;
	bool active;
	uint64_t number; /* of this one: a listener may begin another while it is told something */
};

struct slu_etcd {
	struct event_base *base;
	struct endpoint *endpoints;
	uint32_t endpoint_count, current;
	uint64_t failures;
	LIST_HEAD(, call) calls;
	struct watch watch;
};

/* ------------------------------------------------------------------ exchange */

static void exchange_close(struct exchange *exchange)
{
	if (exchange->connection)
		evhttp_connection_free(exchange->connection);
	exchange->connection = NULL;
}

/* Sends to the endpoint in use. Returns 0 or -EIO; then no callback of the request follows. */
static int exchange_send(
	struct exchange *exchange, const char *path, const char *text, int timeout_s, struct evhttp_request *request)
{
	struct slu_etcd *etcd = exchange->etcd;
	const struct endpoint *endpoint = &etcd->endpoints[etcd->current];
	struct evkeyvalq *headers;

	exchange_close(exchange);
	exchange->endpoint = etcd->current;
	exchange->over = false;
	exchange->connection = evhttp_connection_base_new(etcd->base, NULL, endpoint->host, endpoint->port);
	if (!exchange->connection || !request) {
		if (request)
			evhttp_request_free(request);
		return -EIO;
	}
	evhttp_connection_set_timeout(exchange->connection, timeout_s);
	evhttp_connection_set_max_body_size(exchange->connection, BODY_MAX_BYTES);
	headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Host", endpoint->authority);
	evhttp_add_header(headers, "Content-Type", "application/json");
	evbuffer_add(evhttp_request_get_output_buffer(request), text, strlen(text));
	return evhttp_make_request(exchange->connection, request, EVHTTP_REQ_POST, path) == 0 ? 0 : -EIO;
}

static void exchange_over(struct exchange *exchange)
{
	exchange->over = true;
	event_active(exchange->later, EV_TIMEOUT, 1);
}

static void end_watch(struct slu_etcd *etcd);

/* The next endpoint serves from now on, unless another call found that out before. */
static void endpoint_failed(struct slu_etcd *etcd, uint32_t endpoint)
{
	etcd->failures++;
	if (endpoint != etcd->current || etcd->endpoint_count == 1)
		return;
	etcd->current = (etcd->current + 1) % etcd->endpoint_count;
	slu_warning("etcd: %s does not answer, %s is asked from now on", etcd->endpoints[endpoint].authority,
		etcd->endpoints[etcd->current].authority);
	end_watch(etcd);
}

/* ---------------------------------------------------------------------- call */

static void call_free(struct call *call)
{
	LIST_REMOVE(call, entry);
	exchange_close(&call->exchange);
	if (call->exchange.later)
		event_free(call->exchange.later);
	json_decref(call->body);
	free(call->path);
	free(call->text);
	free(call);
}

/* What etcd said: 0 with a body, -EREMOTEIO with its refusal, or -EPROTO. */
static int read_answer(struct evhttp_request *request, json_t **body)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(request);
	int status = evhttp_request_get_response_code(request);
	size_t bytes = evbuffer_get_length(input);
	const char *text = (const char *)evbuffer_pullup(input, -1);

	*body = bytes > 0 ? json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (status == UNAVAILABLE)
		return -EIO;
	if (!json_is_object(*body))
		return -EPROTO;
	if (status == HTTP_OK)
		return 0;
	return json_is_string(json_object_get(*body, "message")) ? -EREMOTEIO : -EPROTO;
}

static void on_call_done(struct evhttp_request *request, void *context)
{
	struct call *call = context;

	json_decref(call->body);
	call->body = NULL;
	call->error =
		request && evhttp_request_get_response_code(request) != 0 ? read_answer(request, &call->body) : -EIO;
	exchange_over(&call->exchange);
}

static void call_send(struct call *call)
{
	struct evhttp_request *request = evhttp_request_new(on_call_done, call);

	call->tries++;
	if (exchange_send(&call->exchange, call->path, call->text, CALL_TIMEOUT_S, request) != 0) {
		call->error = -EIO;
		exchange_over(&call->exchange);
	}
}

static void on_call_later(evutil_socket_t fd, short what, void *context)
{
	struct call *call = context;

	(void)fd;
	(void)what;
	if (!call->exchange.over)
		return;
	exchange_close(&call->exchange);
	if (call->error == -EIO || call->error == -EPROTO) {
		endpoint_failed(call->exchange.etcd, call->exchange.endpoint);
		if (call->tries < call->exchange.etcd->endpoint_count) {
			call_send(call);
			return;
		}
	}
	call->done(call->context, call->error, call->error == 0 || call->error == -EREMOTEIO ? call->body : NULL);
	call_free(call);
}

void slu_etcd_call(struct slu_etcd *etcd, const char *path, json_t *body, slu_etcd_answer *done, void *context)
{
	struct call *call = slu_memory_zeroed(1, sizeof(*call));

	call->exchange.etcd = etcd;
	call->path = slu_memory_copy(path);
	call->text = json_dumps(body, JSON_COMPACT);
	call->done = done;
	call->context = context;
	json_decref(body);
	LIST_INSERT_HEAD(&etcd->calls, call, entry);
	call->exchange.later = event_new(etcd->base, -1, 0, on_call_later, call);
	if (!call->text || !call->exchange.later)
		abort(); /* as all of the control plane when memory is out */
	call_send(call);
}

/* --------------------------------------------------------------------- watch */

static void on_chunk(struct evhttp_request *request, void *context)
{
	struct watch *watch = context;

	evbuffer_add_buffer(watch->lines, evhttp_request_get_input_buffer(request));
	event_active(watch->exchange.later, EV_TIMEOUT, 1);
}

static void on_watch_done(struct evhttp_request *request, void *context)
{
	struct watch *watch = context;

	(void)request;
	exchange_over(&watch->exchange);
}

/* Ends the stream and says so, from the loop. */
static void end_watch(struct slu_etcd *etcd)
{
	if (etcd->watch.active)
		exchange_over(&etcd->watch.exchange);
}

/* Gives one line of the stream; returns false if it is none. */
static bool give_line(struct watch *watch, const char *line, size_t bytes)
{
	json_t *message = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, NULL);
	const json_t *result = json_object_get(message, "result");

	if (json_is_object(result))
		watch->events.result(watch->events.context, result);
	json_decref(message);
	return result != NULL;
}

static void on_watch_later(evutil_socket_t fd, short what, void *context)
{
	struct watch *watch = context;
	uint64_t number = watch->number;
	size_t bytes;
	char *line;

	(void)fd;
	(void)what;
	while (watch->active && (line = evbuffer_readln(watch->lines, &bytes, EVBUFFER_EOL_LF)) != NULL) {
		bool good = give_line(watch, line, bytes);

		free(line);
		if (watch->number != number)
			return;
		if (!good) {
			watch->exchange.over = true;
			break;
		}
	}
	if (evbuffer_get_length(watch->lines) > BODY_MAX_BYTES)
		watch->exchange.over = true;
	if (!watch->active || !watch->exchange.over)
		return;
	watch->active = false;
	exchange_close(&watch->exchange);
	watch->events.end(watch->events.context);
}

void slu_etcd_watch(
	struct slu_etcd *etcd, const char *prefix, int64_t start_revision, const struct slu_etcd_watch_events *events)
{
	struct watch *watch = &etcd->watch;
	struct evhttp_request *request = evhttp_request_new(on_watch_done, watch);
	json_t *body = json_pack("{s:{s:o,s:o,s:o}}", "create_request", "key", slu_etcd_value_text(prefix), "range_end",
		slu_etcd_value_range_end(prefix), "start_revision", slu_etcd_value_number(start_revision));
	char *text = json_dumps(body, JSON_COMPACT);

	if (!request || !text)
		abort();
	evhttp_request_set_chunked_cb(request, on_chunk);
	evbuffer_drain(watch->lines, evbuffer_get_length(watch->lines));
	watch->events = *events;
	watch->active = true;
	watch->number++;
	if (exchange_send(&watch->exchange, "/v3/watch", text, WATCH_TIMEOUT_S, request) != 0)
		exchange_over(&watch->exchange);
	free(text);
	json_decref(body);
}

/* ---------------------------------------------------------------------- life */

static void read_endpoint(struct endpoint *endpoint, const char *url)
{
	const char *authority = strstr(url, "//") + 2, *colon = strrchr(authority, ':');
	bool brackets = authority[0] == '[';

	snprintf(endpoint->authority, sizeof(endpoint->authority), "%s", authority);
	snprintf(endpoint->host, sizeof(endpoint->host), "%.*s", (int)(colon - authority) - (brackets ? 2 : 0),
		authority + brackets);
	endpoint->port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

int slu_etcd_create(struct event_base *base, char *const *endpoints, uint32_t count, struct slu_etcd **result)
{
	struct slu_etcd *etcd = slu_memory_zeroed(1, sizeof(*etcd));

	etcd->base = base;
	etcd->endpoints = slu_memory_zeroed(count, sizeof(*etcd->endpoints));
	etcd->endpoint_count = count;
	for (uint32_t i = 0; i < count; i++)
		read_endpoint(&etcd->endpoints[i], endpoints[i]);
	etcd->watch.exchange.etcd = etcd;
	etcd->watch.lines = evbuffer_new();
	etcd->watch.exchange.later = event_new(base, -1, 0, on_watch_later, &etcd->watch);
	*result = etcd;
	return etcd->watch.lines && etcd->watch.exchange.later ? 0 : -ENOMEM;
}

void slu_etcd_destroy(struct slu_etcd *etcd)
{
	if (!etcd)
		return;
	while (!LIST_EMPTY(&etcd->calls))
		call_free(LIST_FIRST(&etcd->calls));
	exchange_close(&etcd->watch.exchange);
	if (etcd->watch.exchange.later)
		event_free(etcd->watch.exchange.later);
	if (etcd->watch.lines)
		evbuffer_free(etcd->watch.lines);
	free(etcd->endpoints);
	free(etcd);
}

uint32_t slu_etcd_endpoint(const struct slu_etcd *etcd)
{
	return etcd->current;
}

uint64_t slu_etcd_failures(const struct slu_etcd *etcd)
{
	return etcd->failures;
}
