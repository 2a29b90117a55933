#include <errno.h>
#include <stdlib.h>

#include "l7/http1/back.h"
#include "l7/proxy/access_log.h"
#include "l7/proxy/exchange.h"
#include "l7/proxy/forward.h"
#include "l7/proxy/page.h"
#include "l7/proxy/route.h"

static struct {
	struct slu_exchange *first[256];
	unsigned count;
} spare;

struct slu_exchange *slu_exchange_new(struct slu_worker *worker, struct slu_running *running,
	const struct slu_site_listener *listener, const struct slu_front_ops *ops, void *front)
{
	struct slu_exchange *exchange = spare.count > 0 ? spare.first[--spare.count] : malloc(sizeof(*exchange));

	if (exchange == NULL)
		abort();
	/* The heads' tables are large and are filled as far as they are used. */
	memset(exchange, 0, offsetof(struct slu_exchange, request));
	slu_message_reset(&exchange->request);
	slu_message_reset(&exchange->response);
	exchange->worker = worker;
	exchange->running = slu_running_hold(running);
	exchange->listener = listener;
	exchange->front_ops = ops;
	exchange->front = front;
	exchange->started_us = slu_timer_now_us();
	worker->counters.requests++;
	worker->counters.requests_open++;
	return exchange;
}

static void done_with_server(struct slu_exchange *exchange)
{
	if (exchange->tries > 0)
		exchange->tried[exchange->tries - 1]->active--;
}

/* The end of everything; the front hears it last. */
static void over(struct slu_exchange *exchange, bool broken, bool tell)
{
	const struct slu_front_ops *ops = exchange->front_ops;
	struct slu_worker *worker = exchange->worker;
	unsigned class = exchange->responding ? exchange->response.status / 100u : 0;

	slu_exchange_drop_back(exchange);
	worker->counters.requests_open--;
	worker->counters.responses[class < 6 ? class : 0]++;
	worker->counters.bytes_in += exchange->request_body_bytes;
	worker->counters.bytes_out += exchange->response_body_bytes;
	if (worker->access_log != NULL)
		slu_access_log_write(worker->access_log, exchange, broken);
	if (tell)
		ops->over(exchange, broken);
	slu_buffer_drop(exchange->request_bytes);
	slu_running_drop(exchange->running);
	if (spare.count < sizeof(spare.first) / sizeof(spare.first[0]))
		spare.first[spare.count++] = exchange;
	else
		free(exchange);
}

/* Sends what the front has. Returns 0 or -EAGAIN; any other: the exchange is over. */
static int flush_front(struct slu_exchange *exchange)
{
	int status = exchange->front_ops->flush(exchange);

	if (status != 0 && status != -EAGAIN) {
		over(exchange, true, true);
		return status;
	}
	if (status == 0 && exchange->response_whole) {
		over(exchange, false, true);
		return -ENOTCONN;
	}
	return status;
}

/* Answers by itself. */
static void answer(struct slu_exchange *exchange, struct slu_buffer *body)
{
	exchange->responding = true;
	exchange->front_ops->response(exchange);
	if (slu_buffer_filled(body) > 0 && exchange->request.method != SLU_METHOD_HEAD) {
		exchange->response_body_bytes += slu_buffer_filled(body);
		exchange->front_ops->body(exchange, body, &body->bytes[body->begin], slu_buffer_filled(body));
	}
	slu_buffer_drop(body);
	exchange->front_ops->end(exchange, NULL);
	exchange->response_whole = true;
	if (!exchange->beginning)
		flush_front(exchange);
}

static void fail(struct slu_exchange *exchange, unsigned status, const char *text)
{
	answer(exchange, slu_page_error(exchange, status, text));
}

void slu_exchange_drop_back(struct slu_exchange *exchange)
{
	if (exchange->back == NULL)
		return;
	exchange->back_ops->cancel(exchange);
	exchange->back = NULL;
	done_with_server(exchange);
}

void slu_exchange_fail(struct slu_exchange *exchange, unsigned status)
{
	exchange->beginning = true;
	fail(exchange, status, "");
	exchange->beginning = false;
}

void slu_exchange_refuse(struct slu_exchange *exchange, enum slu_refusal refusal)
{
	exchange->refusal = refusal;
	exchange->worker->counters.refusals[refusal]++;
	exchange->request.close = true;
	exchange->beginning = true;
	fail(exchange, slu_refusal_status(refusal), slu_refusal_text(refusal));
	exchange->beginning = false;
}

static uint64_t hash_of(const struct slu_exchange *exchange)
{
	const struct slu_site_group *group = exchange->group->site;
	struct slu_span name = {group->hash_name, group->hash_name != NULL ? (uint32_t)strlen(group->hash_name) : 0};
	struct slu_span key = exchange->client, found;

	switch (group->hash_key) {
	case SLU_SITE_HASH_PATH:
		key = exchange->request.path;
		break;
	case SLU_SITE_HASH_COOKIE:
		found = slu_route_cookie(&exchange->request, name);
		key = found.at != NULL ? found : key;
		break;
	case SLU_SITE_HASH_HEADER:
		for (unsigned i = 0; i < exchange->request.field_count; i++)
			if (slu_span_same(exchange->request.fields[i].name, name))
				key = exchange->request.fields[i].value;
		break;
	default:
		break;
	}
	return slu_group_hash(key.at, key.bytes);
}

/* The server that the client's cookie names, or one that the scheduler chooses. */
static struct slu_server *choose(struct slu_exchange *exchange)
{
	const struct slu_site_group *group = exchange->group->site;
	uint64_t now_ms = slu_timer_now_ms();
	struct slu_server *server = NULL;

	if (group->sticky != SLU_SITE_STICKY_NONE && exchange->tries == 0) {
		struct slu_span name = {group->cookie, (uint32_t)strlen(group->cookie)};
		struct slu_span cookie = slu_route_cookie(&exchange->request, name);

		if (cookie.at != NULL)
			server = slu_group_find(exchange->group, cookie.at, cookie.bytes, now_ms);
	}
	exchange->sticky_set = server == NULL;
	if (server == NULL)
		server = slu_group_pick(exchange->group, exchange->hash, exchange->tried, exchange->tries, now_ms);
	return server;
}

/* Asks one more server; answers when none is left or none can be connected to. */
static void ask(struct slu_exchange *exchange)
{
	while (exchange->tries < SLU_EXCHANGE_TRIES_MAX && exchange->tries <= exchange->group->site->retries) {
		struct slu_server *server = choose(exchange);

		if (server == NULL)
			break;
		exchange->tried[exchange->tries++] = server;
		slu_forward_request(exchange);
		server->active++;
		server->requests++;
		if (slu_back_start(exchange, server) == 0)
			return;
		server->active--;
		slu_group_report(exchange->group, server, true, slu_timer_now_ms());
	}
	fail(exchange, exchange->tries == 0 ? 503 : 502, "");
}

void slu_exchange_begin(struct slu_exchange *exchange)
{
	const struct slu_site_rule *rule = exchange->rule;

	exchange->beginning = true;
	exchange->request_whole = exchange->request.body == SLU_BODY_NONE && !exchange->request.upgrade;
	if (rule == NULL) {
		fail(exchange, 404, "");
	} else if (rule->action == SLU_SITE_REDIRECT) {
		answer(exchange, slu_page_redirect(exchange, rule));
	} else if (rule->action == SLU_SITE_FIXED) {
		answer(exchange, slu_page_fixed(exchange, rule));
	} else {
		exchange->group = exchange->running->groups[rule->group];
		if (exchange->group->site->scheduler == SLU_SITE_HASH)
			exchange->hash = hash_of(exchange);
		ask(exchange);
	}
	exchange->beginning = false;
}

void slu_exchange_request_body(struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count)
{
	exchange->request_body_bytes += count;
	exchange->body_given = true;
	if (exchange->back != NULL)
		exchange->back_ops->body(exchange, owner, bytes, count);
}

void slu_exchange_request_end(struct slu_exchange *exchange, const struct slu_message *trailers)
{
	exchange->request_whole = true;
	if (exchange->back != NULL)
		exchange->back_ops->end(exchange, trailers);
}

int slu_exchange_request_flush(struct slu_exchange *exchange)
{
	return exchange->back != NULL ? exchange->back_ops->flush(exchange) : 0;
}

void slu_exchange_request_resume(struct slu_exchange *exchange)
{
	exchange->front_ops->resume(exchange);
}

void slu_exchange_response_resume(struct slu_exchange *exchange)
{
	if (flush_front(exchange) == 0 && exchange->back != NULL)
		exchange->back_ops->resume(exchange);
}

void slu_exchange_abort(struct slu_exchange *exchange)
{
	over(exchange, true, false);
}

void slu_exchange_response(struct slu_exchange *exchange)
{
	if (exchange->response.status >= 200 || exchange->response.status == 101) {
		exchange->responding = true;
		exchange->first_byte_us = slu_timer_now_us();
	}
	slu_forward_response(exchange);
	exchange->front_ops->response(exchange);
}

void slu_exchange_response_body(
	struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count)
{
	exchange->response_body_bytes += count;
	exchange->front_ops->body(exchange, owner, bytes, count);
}

int slu_exchange_response_flush(struct slu_exchange *exchange)
{
	return flush_front(exchange);
}

void slu_exchange_response_end(struct slu_exchange *exchange, const struct slu_message *trailers)
{
	done_with_server(exchange);
	slu_group_report(exchange->group, exchange->tried[exchange->tries - 1], exchange->response.status >= 500,
		slu_timer_now_ms());
	exchange->front_ops->end(exchange, trailers);
	exchange->response_whole = true;
	flush_front(exchange);
}

/* Whether the request, or what is left of it, can be sent to another server without doing anything twice. */
static bool may_retry(const struct slu_exchange *exchange, bool untouched, bool stale)
{
	if (exchange->responding || exchange->body_given)
		return false;
	if (untouched)
		return true;
	return stale && slu_message_idempotent(&exchange->request);
}

void slu_exchange_back_failed(struct slu_exchange *exchange, unsigned status, bool untouched, bool stale)
{
	struct slu_server *server = exchange->tried[exchange->tries - 1];

	done_with_server(exchange);
	/* A pooled connection that its server had closed says nothing of the server, which is asked again. */
	if (!stale)
		slu_group_report(exchange->group, server, true, slu_timer_now_ms());
	if (exchange->responding) {
		over(exchange, true, true);
		return;
	}
	if (may_retry(exchange, untouched, stale)) {
		exchange->worker->counters.retries++;
		if (stale) {
			exchange->next_fresh = true;
			exchange->tries--;
		}
		ask(exchange);
		return;
	}
	fail(exchange, status, "");
}
