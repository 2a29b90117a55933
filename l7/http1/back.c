#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "l7/http1/back.h"
#include "l7/http1/body.h"
#include "l7/http1/writer.h"

enum state { CONNECTING, HEAD, BODY, IDLE };

struct slu_back {
	struct slu_channel channel;
	struct slu_timer timer;
	struct slu_worker *worker;
	struct slu_server *server;     /* held */
	struct slu_exchange *exchange; /* NULL in the pool */
	struct slu_back *next, **link; /* in the pool */
	struct slu_buffer *in;
	struct slu_outbox out;
	struct slu_head_scan scan;
	struct slu_body_reader body;
	enum state state;
	enum slu_framing framing; /* of the request's body */
	bool reused;
	bool sent;   /* something of the request was taken by the socket */
	bool heard;  /* a byte of the response came */
	bool paused; /* the front is full */
	bool choked; /* the front waits for room here */
	bool deaf;   /* the server takes no more: what the client still sends is for nobody */
	bool request_ended;
};

static const struct slu_back_ops ops;
static slu_channel_ready_fn on_ready;
static slu_timer_fn on_time;

static void destroy(struct slu_back *back)
{
	if (back->link != NULL) {
		*back->link = back->next;
		if (back->next != NULL)
			back->next->link = back->link;
		back->server->idle_count--;
	}
	slu_timer_remove(&back->timer);
	slu_channel_close(&back->channel);
	slu_buffer_drop(back->in);
	slu_outbox_clear(&back->out);
	slu_server_drop(back->server);
	free(back);
}

/* Ends the connection and tells its exchange. */
static void failed(struct slu_back *back, unsigned status)
{
	struct slu_exchange *exchange = back->exchange;
	bool untouched = !back->sent && !back->heard, stale = back->reused && !back->heard;

	exchange->worker->counters.back_failures++;
	exchange->back = NULL;
	destroy(back);
	slu_exchange_back_failed(exchange, status, untouched, stale && status == 502);
}

static const struct slu_site_group *group_of(const struct slu_back *back)
{
	return back->exchange->group->site;
}

/* -- the pool -- */

static void pool_put(struct slu_back *back, const struct slu_site_group *group)
{
	struct slu_server *server = back->server;

	if (server->idle_count >= group->pool_max || back->worker->draining) {
		destroy(back);
		return;
	}
	back->state = IDLE;
	back->next = server->idle;
	back->link = &server->idle;
	if (back->next != NULL)
		back->next->link = &back->next;
	server->idle = back;
	server->idle_count++;
	slu_timer_set(&back->worker->timers, &back->timer, group->idle_ms);
}

static struct slu_back *pool_take(struct slu_server *server)
{
	struct slu_back *back = server->idle;

	if (back == NULL)
		return NULL;
	*back->link = back->next;
	if (back->next != NULL)
		back->next->link = back->link;
	back->link = NULL;
	server->idle_count--;
	return back;
}

/*
 * A request that cannot be sent twice looks first whether the server has closed meanwhile, although its end has not
 * come round the loop yet.
 */
static bool still_open(const struct slu_back *back)
{
	char byte;

	return recv(back->channel.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void slu_back_close_idle(struct slu_server *server)
{
	struct slu_back *back;

	slu_server_hold(server);
	while ((back = pool_take(server)) != NULL)
		destroy(back);
	slu_server_drop(server);
}

/* -- starting -- */

static struct slu_back *connect_new(struct slu_exchange *exchange, struct slu_server *server, int *error)
{
	int fd = socket(server->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	struct slu_back *back;
	bool connecting;

	if (fd < 0) {
		*error = -errno;
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connecting = connect(fd, &server->address.any, server->address.bytes) != 0;
	if (connecting && errno != EINPROGRESS) {
		*error = -errno;
		close(fd);
		return NULL;
	}
	back = calloc(1, sizeof(*back));
	if (back == NULL)
		abort();
	*error = slu_channel_open(&back->channel, exchange->worker->base, fd, connecting, NULL, NULL, on_ready, back);
	if (*error != 0) {
		close(fd);
		free(back);
		return NULL;
	}
	back->worker = exchange->worker;
	back->server = slu_server_hold(server);
	back->timer.run = on_time;
	back->timer.arg = back;
	back->state = connecting ? CONNECTING : HEAD;
	exchange->worker->counters.back_connects++;
	return back;
}

static struct slu_back *take(struct slu_exchange *exchange, struct slu_server *server)
{
	struct slu_back *back = NULL;

	while (!exchange->next_fresh && (back = pool_take(server)) != NULL) {
		if (slu_message_idempotent(&exchange->request) || still_open(back))
			break;
		destroy(back);
	}
	if (back != NULL) {
		back->reused = true;
		back->state = HEAD;
		exchange->worker->counters.back_reuses++;
	}
	return back;
}

int slu_back_start(struct slu_exchange *exchange, struct slu_server *server)
{
	struct slu_back *back = take(exchange, server);
	int error = 0;

	if (back == NULL)
		back = connect_new(exchange, server, &error);
	if (back == NULL)
		return error;
	exchange->next_fresh = false;
	exchange->back = back;
	exchange->back_ops = &ops;
	back->exchange = exchange;
	back->scan = (struct slu_head_scan){0};
	back->sent = back->heard = back->paused = back->choked = back->deaf = false;
	back->request_ended = exchange->request_whole;
	back->framing = exchange->request.upgrade                    ? SLU_FRAMING_RAW
			: exchange->request.body == SLU_BODY_CHUNKED ? SLU_FRAMING_CHUNKED
								     : SLU_FRAMING_LENGTH;
	slu_writer_request(&back->out, exchange);
	slu_timer_set(&back->worker->timers, &back->timer,
		back->state == CONNECTING ? group_of(back)->connect_ms : group_of(back)->response_ms);
	/* A head that a body follows at once goes with it in one call: the front flushes. */
	if (back->state != CONNECTING && back->request_ended)
		ops.flush(exchange);
	return 0;
}

/* -- the request -- */

static void op_body(struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count)
{
	struct slu_back *back = exchange->back;

	if (!back->deaf)
		slu_writer_body(&back->out, back->framing, owner, bytes, count);
}

static void op_end(struct slu_exchange *exchange, const struct slu_message *trailers)
{
	struct slu_back *back = exchange->back;

	back->request_ended = true;
	if (!back->deaf)
		slu_writer_end(&back->out, back->framing, trailers);
}

static int op_flush(struct slu_exchange *exchange)
{
	struct slu_back *back = exchange->back;
	size_t before = back->out.bytes;
	int status;

	if (back->state == CONNECTING) {
		back->choked = true;
		return -EAGAIN;
	}
	status = slu_outbox_flush(&back->out, &back->channel);
	back->sent = back->sent || back->out.bytes < before;
	back->choked = status == -EAGAIN;
	if (status != 0 && status != -EAGAIN) {
		/* An answer may have come before the end: the loop reads it, or finds out what happened. */
		slu_outbox_clear(&back->out);
		back->deaf = true;
		back->channel.readable = true;
		event_active(&back->channel.event, EV_READ, 1);
	}
	if (status == 0 && back->framing == SLU_FRAMING_RAW && back->request_ended && back->state == BODY)
		slu_channel_finish(&back->channel);
	return status == -EAGAIN ? -EAGAIN : 0;
}

static void op_cancel(struct slu_exchange *exchange)
{
	destroy(exchange->back);
}

/* -- the response -- */

/* The response is whole: the connection goes to the pool or away, then the exchange hears of it. */
static void response_done(struct slu_back *back, struct slu_message *trailers)
{
	struct slu_exchange *exchange = back->exchange;
	const struct slu_site_group *group = group_of(back);
	bool reusable = !exchange->response.close && back->body.kind != SLU_BODY_UNTIL_CLOSE &&
			back->body.kind != SLU_BODY_TUNNEL && back->request_ended && back->out.bytes == 0 &&
			!back->deaf && !back->channel.peer_ended && slu_buffer_filled(back->in) == 0;
	struct slu_buffer *in = back->in; /* the trailers lie in it */

	back->in = NULL;
	exchange->back = NULL;
	back->exchange = NULL;
	if (reusable)
		pool_put(back, group);
	else
		destroy(back);
	slu_exchange_response_end(exchange, trailers);
	slu_buffer_drop(in);
}

static void response_refused(struct slu_back *back, enum slu_refusal refusal)
{
	back->worker->counters.response_refusals[refusal]++;
	back->reused = false; /* nothing stale about it */
	failed(back, 502);
}

/* Returns 1 when something was done, 0 when bytes are missing, -1 when the back is gone. */
static int read_head(struct slu_back *back)
{
	struct slu_exchange *exchange = back->exchange;
	struct slu_message *response = &exchange->response;
	const char *from = &back->in->bytes[back->in->begin];
	enum slu_refusal refusal;
	int size = slu_head_scan(&back->scan, from, slu_buffer_filled(back->in), &refusal);

	if (size == -EAGAIN)
		return 0;
	if (size >= 0) {
		refusal = slu_head_response(response, from, (size_t)size, &exchange->request);
		if (refusal == SLU_REFUSAL_NONE && response->status == 101 && !exchange->request.upgrade)
			refusal = SLU_REFUSAL_upgrade_unasked;
	}
	if (size < 0 || refusal != SLU_REFUSAL_NONE) {
		response_refused(back, refusal);
		return -1;
	}
	back->in->begin += (uint32_t)size;
	back->scan = (struct slu_head_scan){0};
	slu_exchange_response(exchange);
	if (response->status < 200 && response->status != 101)
		return 1;
	back->state = BODY;
	if (exchange->request.method == SLU_METHOD_HEAD || response->status == 304)
		slu_body_start(&back->body, SLU_BODY_NONE, 0);
	else
		slu_body_start(&back->body, response->body, response->length);
	return 1;
}

static int read_body(struct slu_back *back)
{
	struct slu_message trailers;
	enum slu_refusal refusal;
	struct slu_span data;
	int status = slu_body_next(&back->body, back->in, &data, &trailers, &refusal);

	if (status == -EBADMSG) {
		response_refused(back, refusal);
		return -1;
	}
	if (data.bytes > 0)
		slu_exchange_response_body(back->exchange, back->in, data.at, data.bytes);
	if (status == 1) {
		response_done(back, trailers.field_count > 0 ? &trailers : NULL);
		return -1;
	}
	return data.bytes > 0;
}

/* All that was read is looked at, then the front sends it in one call. Returns false when the back is gone or paused.
 */
static bool digest(struct slu_back *back)
{
	int status = 1;

	while (status == 1)
		status = back->state == HEAD ? read_head(back) : read_body(back);
	if (status < 0)
		return false;
	status = slu_exchange_response_flush(back->exchange);
	if (status != 0 && status != -EAGAIN)
		return false;
	back->paused = status == -EAGAIN;
	return !back->paused;
}

/* The stream has ended or broke. */
static void ended(struct slu_back *back, ssize_t error)
{
	if (error == 0 && back->state == BODY &&
		(back->body.kind == SLU_BODY_UNTIL_CLOSE || back->body.kind == SLU_BODY_TUNNEL)) {
		if (back->in == NULL)
			back->in = slu_buffer_get(SLU_BUFFER_SMALL_BYTES);
		response_done(back, NULL);
		return;
	}
	failed(back, 502);
}

static void read_response(struct slu_back *back)
{
	while (!back->paused) {
		size_t room;
		char *to = slu_buffer_room(&back->in, SLU_BUFFER_LARGE_BYTES, &room);
		ssize_t taken;

		if (to == NULL) {
			response_refused(back, SLU_REFUSAL_head_large);
			return;
		}
		taken = slu_channel_read(&back->channel, to, room);
		if (taken == -EAGAIN)
			break;
		if (taken <= 0) {
			ended(back, taken);
			return;
		}
		back->heard = true;
		back->in->end += (uint32_t)taken;
		slu_timer_set(&back->worker->timers, &back->timer, group_of(back)->response_ms);
		if (!digest(back))
			return;
	}
	if (back->in != NULL && slu_buffer_filled(back->in) == 0) {
		slu_buffer_drop(back->in);
		back->in = NULL;
	}
}

static void op_resume(struct slu_exchange *exchange)
{
	struct slu_back *back = exchange->back;

	if (!back->paused)
		return;
	back->paused = false;
	slu_timer_set(&back->worker->timers, &back->timer, group_of(back)->response_ms);
	/* Later, from the loop: who resumes is in the middle of something. */
	event_active(&back->channel.event, EV_READ, 1);
}

/* Returns false when the back is gone. */
static bool on_writable(struct slu_back *back)
{
	struct slu_exchange *exchange = back->exchange;

	if (back->state == CONNECTING) {
		int status = slu_channel_connected(&back->channel);

		if (status == -EAGAIN)
			return true;
		if (status != 0) {
			failed(back, 502);
			return false;
		}
		back->state = HEAD;
		slu_timer_set(&back->worker->timers, &back->timer, group_of(back)->response_ms);
	}
	if (op_flush(exchange) == 0)
		slu_exchange_request_resume(exchange);
	return true;
}

static void on_ready(struct slu_channel *channel, unsigned what, void *arg)
{
	struct slu_back *back = arg;

	(void)channel;
	if (back->state == IDLE) {
		/* Its end, or bytes that nobody asked for: either way it is of no use. */
		if (what & SLU_CHANNEL_READ)
			destroy(back);
		return;
	}
	if ((what & SLU_CHANNEL_WRITE || back->state == CONNECTING) && !on_writable(back))
		return;
	if ((what & SLU_CHANNEL_READ) && back->state != CONNECTING)
		read_response(back);
}

static void on_time(void *arg)
{
	struct slu_back *back = arg;

	if (back->state == IDLE) {
		destroy(back);
		return;
	}
	/* While the front is full it is the client who is slow, and the front's time-out that counts. */
	if (back->paused || (back->state != CONNECTING && !back->request_ended && !back->choked)) {
		slu_timer_set(&back->worker->timers, &back->timer, group_of(back)->response_ms);
		return;
	}
	back->worker->counters.timeouts++;
	failed(back, 504);
}

static const struct slu_back_ops ops = {
	.body = op_body,
	.end = op_end,
	.flush = op_flush,
	.resume = op_resume,
	.cancel = op_cancel,
};
