#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l7/http1/body.h"
#include "l7/http1/front.h"
#include "l7/http1/writer.h"
#include "l7/proxy/route.h"

enum state {
	HEAD,    /* between requests, or in a head */
	BODY,    /* the request's body, or what the client says in a tunnel */
	WAIT,    /* for the response */
	SENDING, /* the last bytes, then the end */
	LINGER,  /* the end was sent: what still comes is thrown away, lest the kernel resets */
	CLOSED,
};

struct slu_front {
	struct slu_channel channel;
	struct slu_timer timer;
	struct slu_worker *worker;
	struct slu_running *running; /* held: the listener is its site's */
	const struct slu_site_listener *listener;
	struct slu_front *next, **link;
	struct slu_exchange *exchange;
	struct slu_buffer *in;
	struct slu_outbox out;
	struct slu_head_scan scan;
	struct slu_body_reader body;
	enum state state;
	enum slu_framing framing; /* of the response's body */
	uint32_t requests;
	bool in_step;    /* within step(): who ends something lets it go on */
	bool paused;     /* the back is full */
	bool keep;       /* the connection outlives this response */
	bool peer_ended; /* no more from the client */
	bool started;    /* the head timer runs */
	bool tunnel;
	bool undigested; /* the buffer has bytes of the body that were not looked at */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} client;
	uint8_t client_bytes;
	char client_text[INET6_ADDRSTRLEN];
};

static const struct slu_front_ops ops;
static slu_timer_fn on_time;

/* Time for a client to see the last response before what it still sends meets a closed socket. */
#define LINGER_MS 2000u
#define HEAD_FIRST_BYTES SLU_BUFFER_SMALL_BYTES

static void destroy(struct slu_front *front)
{
	*front->link = front->next;
	if (front->next != NULL)
		front->next->link = front->link;
	front->worker->counters.connections_open--;
	slu_timer_remove(&front->timer);
	slu_buffer_drop(front->in);
	slu_outbox_clear(&front->out);
	slu_running_drop(front->running);
	free(front);
}

/* Closes; frees at once, or when step() that called returns. */
static void close_now(struct slu_front *front)
{
	front->state = CLOSED;
	slu_channel_close(&front->channel);
	if (!front->in_step)
		destroy(front);
}

/* A response that was cut must not look whole: a reset says so where the framing does not. */
static void close_broken(struct slu_front *front)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(front->channel.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close_now(front);
}

/* The connection ends in order: at once where nothing can come any more that would make the kernel reset. */
static void close_gently(struct slu_front *front)
{
	bool quiet = !front->channel.readable && (front->in == NULL || slu_buffer_filled(front->in) == 0) &&
		     front->state == WAIT && front->channel.ops == NULL;

	slu_timer_set(&front->worker->timers, &front->timer, LINGER_MS);
	if (quiet || front->peer_ended || slu_channel_finish(&front->channel) != 0) {
		close_now(front);
		return;
	}
	front->state = LINGER;
}

/* The buffer goes when nothing is in it: a connection that waits holds none. */
static void let_buffer_go(struct slu_front *front)
{
	if (front->in != NULL && slu_buffer_filled(front->in) == 0) {
		slu_buffer_drop(front->in);
		front->in = NULL;
	}
}

/* Returns 1 with bytes, 0 without, -1 when the connection ended or broke (and is closed, unless a response is due). */
static int read_more(struct slu_front *front, size_t bytes)
{
	size_t room;
	char *to = slu_buffer_room(&front->in, bytes, &room);
	ssize_t taken = to != NULL ? slu_channel_read(&front->channel, to, room) : -EAGAIN;

	if (taken > 0) {
		front->in->end += (uint32_t)taken;
		return 1;
	}
	if (taken == -EAGAIN) {
		let_buffer_go(front);
		return 0;
	}
	front->peer_ended = true;
	return taken == 0 ? -1 : -2;
}

/* The client is gone in the middle. */
static void abandon(struct slu_front *front)
{
	struct slu_exchange *exchange = front->exchange;

	front->exchange = NULL;
	if (exchange != NULL)
		slu_exchange_abort(exchange);
	close_now(front);
}

/* -- requests -- */

/* After a reload the next request is the new site's, if that still has the listener. */
static void listener_renew(struct slu_front *front)
{
	struct slu_running *now = front->worker->running;

	for (uint32_t i = 0; front->running != now && i < now->site->listener_count; i++) {
		const struct slu_site_listener *listener = &now->site->listeners[i];

		if (strcmp(listener->name, front->listener->name) == 0 && listener->tls == front->listener->tls) {
			slu_running_drop(front->running);
			front->running = slu_running_hold(now);
			front->listener = listener;
		}
	}
}

static struct slu_exchange *exchange_make(struct slu_front *front)
{
	struct slu_exchange *exchange;

	listener_renew(front);
	exchange = slu_exchange_new(front->worker, front->running, front->listener, &ops, front);
	exchange->client = (struct slu_span){front->client_text, front->client_bytes};
	exchange->tls = front->listener->tls;
	front->exchange = exchange;
	front->requests++;
	return exchange;
}

/* What was answered without a server is sent now. */
static void settle(struct slu_front *front)
{
	if (front->exchange != NULL && front->exchange->response_whole)
		slu_exchange_response_resume(front->exchange);
}

static void refuse(struct slu_front *front, enum slu_refusal refusal)
{
	struct slu_exchange *exchange = front->exchange != NULL ? front->exchange : exchange_make(front);

	front->keep = false;
	front->state = SENDING;
	slu_exchange_refuse(exchange, refusal);
	settle(front);
}

static void begin(struct slu_front *front, struct slu_exchange *exchange)
{
	struct slu_message *request = &exchange->request;

	front->keep = !request->close && !front->worker->draining && front->running == front->worker->running &&
		      front->requests < front->listener->requests_max;
	front->tunnel = false;
	front->started = false;
	slu_body_start(&front->body, request->body, request->length);
	exchange->rule = slu_route_find(front->listener, request, &front->client.any);
	front->state = request->body == SLU_BODY_NONE ? WAIT : BODY;
	front->undigested = slu_buffer_filled(front->in) > 0;
	front->paused = false;
	if (front->state == BODY)
		slu_timer_set(&front->worker->timers, &front->timer, front->listener->body_ms);
	else
		slu_timer_pause(&front->timer);
	slu_exchange_begin(exchange);
	if (request->expects && front->exchange == exchange && !exchange->responding &&
		slu_buffer_filled(front->in) == 0) {
		slu_outbox_copy(&front->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		slu_outbox_flush(&front->out, &front->channel);
	}
	settle(front);
}

/* One empty line may stand before a request (RFC 9112, section 2.2); a CR or LF alone may not. */
static void skip_empty_line(struct slu_front *front)
{
	struct slu_buffer *in = front->in;

	if (!front->started && front->requests > 0 && slu_buffer_filled(in) >= 2 &&
		memcmp(&in->bytes[in->begin], "\r\n", 2) == 0)
		in->begin += 2;
}

static bool step_head(struct slu_front *front)
{
	enum slu_refusal refusal;
	struct slu_exchange *exchange;
	int size = -EAGAIN, got;

	if (front->in != NULL && slu_buffer_filled(front->in) > 0) {
		skip_empty_line(front);
		if (!front->started && slu_buffer_filled(front->in) > 0)
			front->started = true;
		size = slu_head_scan(
			&front->scan, &front->in->bytes[front->in->begin], slu_buffer_filled(front->in), &refusal);
		if (size == -EAGAIN && slu_buffer_filled(front->in) >= front->listener->head_bytes_max) {
			size = -EBADMSG;
			refusal = SLU_REFUSAL_head_large;
		}
	}
	if (size == -EAGAIN) {
		bool before = front->in != NULL && slu_buffer_filled(front->in) > 0;

		got = read_more(front, HEAD_FIRST_BYTES);
		if (got < 0)
			close_now(front);
		/* The time for a head begins with its first byte and is not prolonged by more of them. */
		else if (got > 0 && !before)
			slu_timer_set(&front->worker->timers, &front->timer, front->listener->head_ms);
		return got > 0;
	}
	front->scan = (struct slu_head_scan){0};
	if (size < 0) {
		refuse(front, refusal);
		return true;
	}
	if ((uint32_t)size > front->listener->head_bytes_max) {
		refuse(front, SLU_REFUSAL_head_large);
		return true;
	}
	exchange = exchange_make(front);
	exchange->request_bytes = slu_buffer_hold(front->in);
	refusal = slu_head_request(&exchange->request, &front->in->bytes[front->in->begin], (size_t)size,
		front->listener->target_bytes_max);
	front->in->begin += (uint32_t)size;
	if (refusal == SLU_REFUSAL_NONE && exchange->request.body == SLU_BODY_LENGTH &&
		exchange->request.length > front->listener->body_bytes_max)
		refusal = SLU_REFUSAL_body_large;
	if (refusal != SLU_REFUSAL_NONE)
		refuse(front, refusal);
	else
		begin(front, exchange);
	return true;
}

/* Framing that went wrong within a body: where the next request begins is unknown, and the server saw a part of this.
 */
static void refuse_body(struct slu_front *front, enum slu_refusal refusal)
{
	struct slu_exchange *exchange = front->exchange;

	if (exchange->responding) {
		front->worker->counters.refusals[refusal]++;
		exchange->refusal = refusal;
		abandon(front);
		return;
	}
	slu_exchange_drop_back(exchange);
	refuse(front, refusal);
}

/* Gives the exchange what the buffer has. Returns 1 at the end of the body, 0, or -1 when that was refused. */
static int digest_body(struct slu_front *front)
{
	struct slu_exchange *exchange = front->exchange;
	struct slu_message trailers;
	enum slu_refusal refusal;
	struct slu_span data;
	int status;

	do {
		status = slu_body_next(&front->body, front->in, &data, &trailers, &refusal);
		if (data.bytes > 0)
			slu_exchange_request_body(exchange, front->in, data.at, data.bytes);
		if (exchange->request_body_bytes > front->listener->body_bytes_max && !front->tunnel) {
			status = -EBADMSG;
			refusal = SLU_REFUSAL_body_large;
		}
	} while (status == -EAGAIN && data.bytes > 0);
	if (status == -EBADMSG) {
		refuse_body(front, refusal);
		return -1;
	}
	if (status == 1)
		slu_exchange_request_end(exchange, trailers.field_count > 0 ? &trailers : NULL);
	return status == 1;
}

/* The body's next bytes from the socket. Returns false when there are none now, or the state is another. */
static bool body_read(struct slu_front *front)
{
	struct slu_exchange *exchange = front->exchange;
	int got = read_more(front, SLU_BUFFER_LARGE_BYTES);

	if (got == 0) {
		/* The head waited for its body, to go with it; it waits no longer. */
		slu_exchange_request_flush(exchange);
		return false;
	}
	if (got == -1 && front->tunnel) {
		slu_exchange_request_end(exchange, NULL);
		front->state = WAIT;
		slu_exchange_request_flush(exchange);
		return false;
	}
	if (got < 0) {
		abandon(front);
		return false;
	}
	slu_timer_set(&front->worker->timers, &front->timer,
		front->tunnel ? front->listener->tunnel_ms : front->listener->body_ms);
	return true;
}

static bool step_body(struct slu_front *front)
{
	int end;

	if (front->paused || (!front->undigested && !body_read(front)))
		return false;
	front->undigested = false;
	end = digest_body(front);
	if (end < 0)
		return true;
	if (end == 1) {
		front->state = WAIT;
		slu_timer_pause(&front->timer);
	}
	front->paused = slu_exchange_request_flush(front->exchange) == -EAGAIN && front->state == BODY;
	return true;
}

/* While the response is awaited what comes is the next request, as much as a buffer takes, or the client's end. */
static bool step_wait(struct slu_front *front)
{
	int got = 0;

	if (front->channel.readable && !front->peer_ended)
		got = read_more(front, HEAD_FIRST_BYTES);
	/* A client that only ends its direction may still read; one that reset may not. */
	if (got == -2)
		abandon(front);
	return false;
}

static bool step_linger(struct slu_front *front)
{
	int got = read_more(front, SLU_BUFFER_LARGE_BYTES);

	if (got < 0) {
		close_now(front);
		return false;
	}
	if (got > 0)
		front->in->begin = front->in->end;
	return got > 0;
}

static bool step(struct slu_front *front)
{
	switch (front->state) {
	case HEAD:
		return step_head(front);
	case BODY:
		return step_body(front);
	case WAIT:
		return step_wait(front);
	case LINGER:
		return step_linger(front);
	default:
		return false;
	}
}

static void go_on(struct slu_front *front)
{
	if (front->in_step)
		return;
	front->in_step = true;
	while (step(front))
		;
	front->in_step = false;
	if (front->state == CLOSED)
		destroy(front);
}

/* -- responses -- */

static enum slu_framing response_framing(const struct slu_front *front, const struct slu_exchange *exchange)
{
	const struct slu_message *response = &exchange->response;
	bool bodyless = exchange->request.method == SLU_METHOD_HEAD || response->status == 304;

	switch (response->body) {
	case SLU_BODY_LENGTH:
		return SLU_FRAMING_LENGTH;
	case SLU_BODY_TUNNEL:
		return SLU_FRAMING_RAW;
	case SLU_BODY_CHUNKED:
	case SLU_BODY_UNTIL_CLOSE:
		if (bodyless)
			return SLU_FRAMING_NONE;
		return exchange->request.minor == 1 && front->state != SENDING ? SLU_FRAMING_CHUNKED : SLU_FRAMING_RAW;
	default:
		return SLU_FRAMING_NONE;
	}
}

static void op_response(struct slu_exchange *exchange)
{
	struct slu_front *front = exchange->front;
	const char *connection = NULL;

	if (exchange->response.status < 200 && exchange->response.status != 101) {
		/* HTTP/1.0 knows no interim responses (RFC 9110, section 15.2); 100 was answered here. */
		if (exchange->request.minor == 1 && exchange->response.status != 100)
			slu_writer_response(&front->out, exchange, SLU_FRAMING_NONE, NULL);
		return;
	}
	front->framing = response_framing(front, exchange);
	if (exchange->response.status == 101) {
		front->tunnel = true;
		front->keep = false;
		front->state = BODY;
		front->paused = false;
		front->undigested = front->in != NULL && slu_buffer_filled(front->in) > 0;
		slu_body_start(&front->body, SLU_BODY_TUNNEL, 0);
		event_active(&front->channel.event, EV_READ, 1); /* what came before the switch */
		slu_timer_set(&front->worker->timers, &front->timer, front->listener->tunnel_ms);
		slu_writer_response(&front->out, exchange, SLU_FRAMING_RAW, "upgrade");
		return;
	}
	if (front->framing == SLU_FRAMING_RAW || !exchange->request_whole || front->worker->draining)
		front->keep = false;
	if (!front->keep)
		connection = "close";
	else if (exchange->request.minor == 0)
		connection = "keep-alive";
	slu_writer_response(&front->out, exchange, front->framing, connection);
}

static void op_body(struct slu_exchange *exchange, struct slu_buffer *owner, const char *bytes, size_t count)
{
	struct slu_front *front = exchange->front;

	slu_writer_body(&front->out, front->framing, owner, bytes, count);
	if (front->tunnel)
		slu_timer_set(&front->worker->timers, &front->timer, front->listener->tunnel_ms);
}

static void op_end(struct slu_exchange *exchange, const struct slu_message *trailers)
{
	struct slu_front *front = exchange->front;

	if (exchange->request.method != SLU_METHOD_HEAD)
		slu_writer_end(&front->out, front->framing, trailers);
}

static int op_flush(struct slu_exchange *exchange)
{
	struct slu_front *front = exchange->front;
	int status = slu_outbox_flush(&front->out, &front->channel);

	if (status == -EAGAIN && !front->tunnel)
		slu_timer_set(&front->worker->timers, &front->timer, front->listener->body_ms);
	return status;
}

/* From the loop: who resumes is in the middle of something. */
static void op_resume(struct slu_exchange *exchange)
{
	struct slu_front *front = exchange->front;

	if (!front->paused)
		return;
	front->paused = false;
	slu_timer_set(&front->worker->timers, &front->timer, front->listener->body_ms);
	event_active(&front->channel.event, EV_READ, 1);
}

static void op_over(struct slu_exchange *exchange, bool broken)
{
	struct slu_front *front = exchange->front;

	front->exchange = NULL;
	if (broken) {
		close_broken(front);
		return;
	}
	if (!front->keep || front->peer_ended || front->state == BODY) {
		close_gently(front);
		return;
	}
	front->state = HEAD;
	front->scan = (struct slu_head_scan){0};
	front->started = false;
	slu_timer_set(&front->worker->timers, &front->timer, front->listener->idle_ms);
	if (front->in != NULL && slu_buffer_filled(front->in) > 0) {
		/* Pipelined: bytes that are here make no edge. */
		slu_timer_set(&front->worker->timers, &front->timer, front->listener->head_ms);
		go_on(front);
	} else {
		let_buffer_go(front);
		if (front->channel.readable)
			go_on(front);
	}
}

/* -- the connection -- */

static void on_ready(struct slu_channel *channel, unsigned what, void *arg)
{
	struct slu_front *front = arg;

	(void)channel;
	if ((what & SLU_CHANNEL_WRITE) && front->exchange != NULL && front->out.bytes > 0) {
		struct slu_exchange *exchange = front->exchange;

		if (!front->tunnel)
			slu_timer_pause(&front->timer);
		/* in_step keeps the memory until the end of this function. */
		front->in_step = true;
		slu_exchange_response_resume(exchange);
		front->in_step = false;
		if (front->state == CLOSED) {
			destroy(front);
			return;
		}
	}
	go_on(front);
}

static void on_time(void *arg)
{
	struct slu_front *front = arg;

	if (front->state == HEAD && front->in != NULL && slu_buffer_filled(front->in) > 0) {
		struct slu_exchange *exchange = exchange_make(front);

		front->worker->counters.timeouts++;
		front->keep = false;
		front->state = SENDING;
		slu_exchange_fail(exchange, 408);
		settle(front);
		return;
	}
	if (front->exchange != NULL)
		front->worker->counters.timeouts++;
	if (front->state == BODY && front->exchange != NULL && !front->exchange->responding && !front->tunnel) {
		struct slu_exchange *exchange = front->exchange;

		slu_exchange_drop_back(exchange);
		front->keep = false;
		front->state = SENDING;
		slu_exchange_fail(exchange, 408);
		settle(front);
		return;
	}
	abandon(front);
}

static void client_set(struct slu_front *front, const struct sockaddr *client)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)client;

	if (client->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		front->client.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = v6->sin6_port};
		memcpy(&front->client.v4.sin_addr, &v6->sin6_addr.s6_addr[12], 4);
	} else if (client->sa_family == AF_INET6) {
		front->client.v6 = *v6;
	} else {
		front->client.v4 = *(const struct sockaddr_in *)client;
	}
	inet_ntop(front->client.any.sa_family,
		front->client.any.sa_family == AF_INET ? (const void *)&front->client.v4.sin_addr
						       : (const void *)&front->client.v6.sin6_addr,
		front->client_text, sizeof(front->client_text));
	front->client_bytes = (uint8_t)strlen(front->client_text);
}

int slu_front_open(struct slu_worker *worker, const struct slu_site_listener *listener, int fd,
	const struct sockaddr *client, const struct slu_channel_ops *channel_ops, void *state)
{
	struct slu_front *front = calloc(1, sizeof(*front));
	int status;

	if (front == NULL)
		return -ENOMEM;
	status = slu_channel_open(&front->channel, worker->base, fd, false, channel_ops, state, on_ready, front);
	if (status != 0) {
		free(front);
		return status;
	}
	front->worker = worker;
	front->running = slu_running_hold(worker->running);
	front->listener = listener;
	front->timer.run = on_time;
	front->timer.arg = front;
	client_set(front, client);
	front->next = worker->fronts;
	front->link = &worker->fronts;
	if (front->next != NULL)
		front->next->link = &front->next;
	worker->fronts = front;
	worker->counters.connections++;
	worker->counters.connections_open++;
	/* A connection that says nothing has the time of a head for its first byte. */
	slu_timer_set(&worker->timers, &front->timer, listener->head_ms);
	go_on(front);
	return 0;
}

void slu_front_drain(struct slu_worker *worker)
{
	struct slu_front *next;

	for (struct slu_front *front = worker->fronts; front != NULL; front = next) {
		next = front->next;
		if (front->state == HEAD && front->in == NULL)
			close_now(front);
	}
}

void slu_front_close_all(struct slu_worker *worker)
{
	while (worker->fronts != NULL)
		abandon(worker->fronts);
}

static const struct slu_front_ops ops = {
	.response = op_response,
	.body = op_body,
	.end = op_end,
	.flush = op_flush,
	.resume = op_resume,
	.over = op_over,
};
