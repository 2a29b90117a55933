#include "keyserver/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "key_message.h"
#include "keyserver/log.h"
#include "keyserver/operation.h"
#include "keyserver/server_tls.h"

#define NS_PER_S 1000000000ull
#define START_NS (5 * NS_PER_S) /* for the handshake, and for HELLO */
#define SLOW_NS (10 * NS_PER_S) /* without taking an answer */
#define RECORD_BYTES 16384u     /* of TLS: what one SSL_read() gives at most */
#define IN_BYTES_MIN (2 * RECORD_BYTES)
#define IN_BYTES_MAX (SLU_KEY_FRAME_MAX + RECORD_BYTES)
#define OUT_BYTES_WAIT 262144u /* answers that wait: no more is read */
#define OUT_BYTES_MIN 65536u
#define RECORDS_A_TURN 4u /* then other connections have their turn */

struct buffer {
	uint8_t *bytes;
	size_t room, from, until; /* what is in it is [from, until) */
};

struct slu_connection {
	LIST_ENTRY(slu_connection) link;
	struct slu_worker *worker;
	struct slu_keyring_client *client; /* of the worker's ring; NULL before the handshake is done */
	SSL *ssl;
	struct event *readable, *writable;
	struct buffer in, out;
	uint64_t last_id, deadline_ns;
	bool greeted, ending; /* HELLO was there; ends when the answers are written */
	enum slu_metrics_end end;
	char identity[SLU_SERVER_TLS_IDENTITY_BYTES];
	char peer[INET6_ADDRSTRLEN + 8];
};

/* ---------------------------------------------------------------- buffers */

static size_t waiting(const struct buffer *b)
{
	return b->until - b->from;
}

/* Makes room for so many bytes behind what is there. Returns false without memory. */
static bool make_room(struct buffer *b, size_t bytes, size_t smallest)
{
	size_t room = b->room ? b->room : smallest;
	uint8_t *new;

	if (b->from > 0 && b->room - b->until < bytes) {
		memmove(b->bytes, b->bytes + b->from, waiting(b));
		b->until -= b->from;
		b->from = 0;
	}
	while (room - b->until < bytes)
		room *= 2;
	if (room == b->room)
		return true;
	new = realloc(b->bytes, room);
	if (!new)
		return false;
	b->bytes = new;
	b->room = room;
	return true;
}

static void free_buffer(struct buffer *b)
{
	if (b->bytes)
		OPENSSL_cleanse(b->bytes, b->room); /* premaster secrets, ticket keys */
	free(b->bytes);
}

/* ---------------------------------------------------------------- end */

static void close_connection(struct slu_connection *c, enum slu_metrics_end end)
{
	int fd = SSL_get_fd(c->ssl);

	slu_metrics_count(&c->worker->metrics.ends[end]);
	if (c->client)
		slu_log_audit("closed client=%s peer=%s", c->identity, c->peer);
	LIST_REMOVE(c, link);
	c->worker->connection_count--;
	event_free(c->readable);
	event_free(c->writable);
	SSL_free(c->ssl);
	close(fd);
	free_buffer(&c->in);
	free_buffer(&c->out);
	free(c);
}

/* The last word: it is written with what waits, then the connection ends. */
static void end_with(struct slu_connection *c, enum slu_key_status status, const char *text, enum slu_metrics_end end)
{
	struct slu_key_message_writer w;

	slu_log_audit("ended client=%s peer=%s status=%s: %s", c->identity[0] ? c->identity : "?", c->peer,
		slu_key_message_status_name(status), text);
	c->ending = true;
	c->end = end;
	if (!make_room(&c->out, 1024, OUT_BYTES_MIN))
		return;
	slu_key_message_answer(&w, c->out.bytes + c->out.until, 1024, SLU_KEY_FATAL, 0, status);
	if (status == SLU_KEY_BAD_VERSION) {
		slu_key_message_add_number(&w, SLU_KEY_VERSION_MIN, SLU_KEY_VERSION, 2);
		slu_key_message_add_number(&w, SLU_KEY_VERSION_MAX, SLU_KEY_VERSION, 2);
	}
	slu_key_message_add(&w, SLU_KEY_TEXT, text, (uint32_t)strlen(text));
	c->out.until += slu_key_message_end(&w);
}

/* ---------------------------------------------------------------- writing */

/* Writes what waits. Returns false when the connection was closed. */
static bool flush(struct slu_connection *c, uint64_t now_ns)
{
	int written, error;

	if (waiting(&c->out) > 0)
		slu_metrics_count(&c->worker->metrics.batches);
	while (waiting(&c->out) > 0) {
		ERR_clear_error();
		written = SSL_write(c->ssl, c->out.bytes + c->out.from, (int)waiting(&c->out));
		if (written > 0) {
			c->out.from += (size_t)written;
			c->deadline_ns = now_ns + (uint64_t)c->worker->ring->settings->idle_s * NS_PER_S;
			continue;
		}
		error = SSL_get_error(c->ssl, written);
		if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) {
			close_connection(c, c->ending ? c->end : SLU_METRICS_CLOSED);
			return false;
		}
		if (!event_pending(c->writable, EV_WRITE, NULL)) {
			event_add(c->writable, NULL);
			c->deadline_ns = now_ns + SLOW_NS;
		}
		return true;
	}
	c->out.from = c->out.until = 0;
	event_del(c->writable);
	if (!c->ending)
		return true;
	SSL_shutdown(c->ssl);
	shutdown(SSL_get_fd(c->ssl), SHUT_WR);
	close_connection(c, c->end);
	return false;
}

/* ---------------------------------------------------------------- requests */

static size_t hello(struct slu_connection *c, const struct slu_key_message *request, uint8_t *bytes)
{
	const struct slu_keyring *ring = c->worker->ring;
	struct slu_key_message_writer w;

	slu_key_message_answer(&w, bytes, SLU_OPERATION_ROOM, request->type, request->id, SLU_KEY_OK);
	slu_key_message_add_number(&w, SLU_KEY_VERSION_CHOSEN, SLU_KEY_VERSION, 2);
	slu_key_message_add(&w, SLU_KEY_NAME, ring->settings->name, (uint32_t)strlen(ring->settings->name));
	slu_key_message_add_number(&w, SLU_KEY_OPERATIONS_MASK, slu_operation_mask(ring, c->client), 4);
	slu_key_message_add_number(&w, SLU_KEY_IN_FLIGHT, c->client->settings->in_flight, 4);
	slu_key_message_add_number(&w, SLU_KEY_GENERATION, ring->generation, 8);
	slu_metrics_count(&c->worker->metrics.operations[SLU_KEY_HELLO][SLU_KEY_OK]);
	return slu_key_message_end(&w);
}

/* The first message. Returns the bytes of its answer, 0 if the connection ends. */
static size_t greet(struct slu_connection *c, const struct slu_key_message *request, uint8_t *bytes)
{
	if (request->type != SLU_KEY_HELLO) {
		end_with(c, SLU_KEY_BAD_FRAME, "the first message must be HELLO", SLU_METRICS_PROTOCOL);
		return 0;
	}
	if (slu_key_message_number(request, SLU_KEY_VERSION_MIN) > SLU_KEY_VERSION ||
		slu_key_message_number(request, SLU_KEY_VERSION_MAX) < SLU_KEY_VERSION) {
		end_with(c, SLU_KEY_BAD_VERSION, "no version in common", SLU_METRICS_PROTOCOL);
		return 0;
	}
	c->greeted = true;
	return hello(c, request, bytes);
}

/* Answers a request, or what only looks like one. Returns the bytes of the answer, 0 if the connection ends. */
static size_t answer(struct slu_connection *c, const struct slu_key_message *request, int result, const char *why,
	uint64_t now_ns, uint8_t *bytes)
{
	const struct slu_operation_place place = {c->worker->ring, c->client, &c->worker->user, &c->worker->metrics,
		c->worker->statistics, c->worker->arg, now_ns};

	if (request->id <= c->last_id) {
		end_with(c, SLU_KEY_BAD_FRAME, "an id does not rise", SLU_METRICS_PROTOCOL);
		return 0;
	}
	c->last_id = request->id;
	if (!c->greeted && result != 0) {
		end_with(c, SLU_KEY_BAD_FRAME, why, SLU_METRICS_PROTOCOL);
		return 0;
	}
	if (result != 0)
		return slu_operation_refuse(&c->worker->metrics, request,
			result == -EOPNOTSUPP ? SLU_KEY_UNKNOWN_OPERATION : SLU_KEY_BAD_MESSAGE, why, bytes);
	if (!c->greeted)
		return greet(c, request, bytes);
	if (request->type == SLU_KEY_HELLO) {
		end_with(c, SLU_KEY_BAD_FRAME, "a second HELLO", SLU_METRICS_PROTOCOL);
		return 0;
	}
	return slu_operation_answer(&place, request, bytes);
}

/* Answers every whole message that is there, while there is room for answers. */
static void answer_all(struct slu_connection *c, uint64_t now_ns)
{
	struct slu_key_message request;
	const char *why = "";
	size_t used;
	int result;

	while (!c->ending && waiting(&c->out) < OUT_BYTES_WAIT) {
		result = slu_key_message_read(
			c->in.bytes + c->in.from, waiting(&c->in), SLU_KEY_MESSAGE_REQUEST, &request, &used, &why);
		if (result == -EAGAIN)
			break;
		if (result == -EPROTO) {
			end_with(c, SLU_KEY_BAD_FRAME, why, SLU_METRICS_PROTOCOL);
			break;
		}
		if (!make_room(&c->out, SLU_OPERATION_ROOM, OUT_BYTES_MIN))
			break;
		c->out.until += answer(c, &request, result, why, now_ns, c->out.bytes + c->out.until);
		c->in.from += used;
	}
	if (c->in.from == c->in.until)
		c->in.from = c->in.until = 0;
}

/* ---------------------------------------------------------------- reading */

/* Goes on with the handshake. Returns false when it is not done, or the connection was closed. */
static bool shake_hands(struct slu_connection *c)
{
	const char *why;
	int result, error;

	ERR_clear_error();
	result = SSL_accept(c->ssl);
	if (result != 1) {
		error = SSL_get_error(c->ssl, result);
		if (error == SSL_ERROR_WANT_READ)
			return false;
		if (error == SSL_ERROR_WANT_WRITE) {
			event_add(c->writable, NULL);
			return false;
		}
		why = ERR_reason_error_string(ERR_peek_error());
		slu_log_audit("handshake peer=%s: %s", c->peer, why ? why : "it closed");
		close_connection(c, SLU_METRICS_HANDSHAKE);
		return false;
	}
	if (slu_server_tls_identity(c->ssl, c->identity, &why) != 0) {
		end_with(c, SLU_KEY_REFUSED, why, SLU_METRICS_UNKNOWN);
	} else {
		c->client = slu_keyring_client(c->worker->ring, c->identity);
		if (c->client)
			slu_log_audit("connected client=%s peer=%s", c->identity, c->peer);
		else
			end_with(c, SLU_KEY_REFUSED, "the client is unknown", SLU_METRICS_UNKNOWN);
	}
	if (c->ending)
		flush(c, slu_worker_now_ns());
	return !c->ending;
}

/* Reads one record. Returns its bytes; 0: nothing is there now; -1: the end. */
static int read_record(struct slu_connection *c)
{
	int got, error;

	if (waiting(&c->in) >= IN_BYTES_MAX || !make_room(&c->in, RECORD_BYTES, IN_BYTES_MIN))
		return -1;
	ERR_clear_error();
	got = SSL_read(c->ssl, c->in.bytes + c->in.until, RECORD_BYTES);
	if (got > 0) {
		c->in.until += (size_t)got;
		return got;
	}
	error = SSL_get_error(c->ssl, got);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* A turn: what is there is read and answered, and the answers are written at once. */
static void serve(struct slu_connection *c)
{
	uint64_t now_ns = slu_worker_now_ns();
	int got = 0;

	if (!c->client && !shake_hands(c))
		return;
	answer_all(c, now_ns); /* what waited for room */
	for (uint32_t i = 0; i < RECORDS_A_TURN && !c->ending && waiting(&c->out) < OUT_BYTES_WAIT; i++) {
		got = read_record(c);
		if (got < 0) {
			close_connection(c, SLU_METRICS_CLOSED);
			return;
		}
		if (got == 0)
			break;
		if (c->greeted && waiting(&c->out) == 0)
			c->deadline_ns = now_ns + (uint64_t)c->worker->ring->settings->idle_s * NS_PER_S;
		answer_all(c, now_ns);
	}
	if (!flush(c, now_ns))
		return;
	if (waiting(&c->out) >= OUT_BYTES_WAIT)
		event_del(c->readable);
	else if (got > 0)
		event_active(c->readable, EV_READ,
			0); /* records may wait within TLS, where the socket does not tell of them */
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	serve(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct slu_connection *c = arg;

	(void)fd;
	(void)what;
	if (!c->client && !c->ending) {
		event_del(c->writable);
		serve(c);
		return;
	}
	if (!flush(c, slu_worker_now_ns()) || c->ending || waiting(&c->out) >= OUT_BYTES_WAIT)
		return;
	event_add(c->readable, NULL);
	serve(c);
}

/* ---------------------------------------------------------------- beginning, time */

static void name_peer(struct slu_connection *c, int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {0};
	socklen_t bytes = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "?";

	getpeername(fd, &address.any, &bytes);
	if (address.any.sa_family == AF_INET)
		inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
	else if (address.any.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof(host));
	snprintf(c->peer, sizeof(c->peer), "%s/%u", host, ntohs(address.v4.sin_port));
}

static bool prepare(struct slu_connection *c, int fd)
{
	c->ssl = SSL_new(c->worker->ring->tls);
	if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1)
		return false;
	c->readable = event_new(c->worker->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(c->worker->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	return c->readable && c->writable && event_add(c->readable, NULL) == 0;
}

void slu_connection_open(struct slu_worker *worker, int fd)
{
	struct slu_connection *c = NULL;

	slu_metrics_count(&worker->metrics.accepted);
	if (worker->connection_count < worker->ring->settings->connections)
		c = calloc(1, sizeof(*c));
	if (c)
		c->worker = worker;
	if (!c || !prepare(c, fd)) {
		slu_metrics_count(&worker->metrics.ends[SLU_METRICS_FULL]);
		if (c && c->readable)
			event_free(c->readable);
		if (c && c->writable)
			event_free(c->writable);
		SSL_free(c ? c->ssl : NULL);
		free(c);
		close(fd);
		return;
	}
	name_peer(c, fd);
	c->deadline_ns = slu_worker_now_ns() + START_NS;
	LIST_INSERT_HEAD(&worker->connections, c, link);
	worker->connection_count++;
}

static struct slu_connection *next_of(const struct slu_connection *c)
{
	return c->link.le_next;
}

void slu_connection_tick(struct slu_worker *worker, uint64_t now_ns)
{
	struct slu_connection *next;

	for (struct slu_connection *c = worker->connections.lh_first; c; c = next) {
		next = next_of(c);
		if (now_ns < c->deadline_ns)
			continue;
		slu_log_audit("late client=%s peer=%s", c->identity[0] ? c->identity : "?", c->peer);
		close_connection(c, c->greeted && waiting(&c->out) == 0 ? SLU_METRICS_IDLE : SLU_METRICS_SLOW);
	}
}

void slu_connection_renew(struct slu_worker *worker)
{
	struct slu_connection *next;

	for (struct slu_connection *c = worker->connections.lh_first; c; c = next) {
		next = next_of(c);
		if (!c->client)
			continue;
		c->client = slu_keyring_client(worker->ring, c->identity);
		if (c->client)
			continue;
		end_with(c, SLU_KEY_REFUSED, "the client is not known any more", SLU_METRICS_UNKNOWN);
		flush(c, slu_worker_now_ns());
	}
}
