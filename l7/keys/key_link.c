#include "l7/keys/key_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define OPEN_TIMEOUT_MS 2000 /* connect and handshake */
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 5000

enum state { WAITING, CONNECTING, HANDSHAKE, OPEN };

struct buffer {
	uint8_t *bytes;
	size_t begin, end;
};

struct slu_key_link {
	struct event_base *base;
	SSL_CTX *identity;
	struct slu_key_link_server server;
	char *name;
	struct slu_key_link_events events;
	struct slu_key_link_counters counters;
	size_t room;
	enum state state;
	uint32_t pause_ms;
	int fd;
	SSL *ssl;
	struct event *readable, *writable, *timer, *turn;
	struct buffer in, out;
};

static struct timeval timeval_of_ms(uint32_t ms)
{
	return (struct timeval){ms / 1000, 1000 * (ms % 1000)};
}

static void forget_connection(struct slu_key_link *link)
{
	if (link->readable != NULL)
		event_free(link->readable);
	if (link->writable != NULL)
		event_free(link->writable);
	link->readable = link->writable = NULL;
	SSL_free(link->ssl);
	link->ssl = NULL;
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	link->in.begin = link->in.end = link->out.begin = link->out.end = 0;
	event_del(link->turn);
}

/* After a pause that doubles, and is not the same for all workers: a server that comes back is not trampled. */
static void wait_to_connect(struct slu_key_link *link)
{
	uint16_t chance = 0;
	struct timeval time;

	forget_connection(link);
	link->state = WAITING;
	RAND_bytes((unsigned char *)&chance, sizeof(chance));
	time = timeval_of_ms(link->pause_ms / 2 + chance % (link->pause_ms / 2 + 1));
	link->pause_ms = link->pause_ms >= PAUSE_MAX_MS / 2 ? PAUSE_MAX_MS : 2 * link->pause_ms;
	event_add(link->timer, &time);
}

static void fail(struct slu_key_link *link)
{
	bool was_open = link->state == OPEN;

	if (was_open)
		link->counters.breaks++;
	else if (link->state == HANDSHAKE)
		link->counters.handshake_failures++;
	else
		link->counters.connect_failures++;
	wait_to_connect(link);
	if (was_open)
		link->events.down(link->events.context);
}

/* What an SSL function wants of the socket; false: the connection is broken. */
static bool arm(struct slu_key_link *link, int result)
{
	switch (SSL_get_error(link->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return true; /* always listened to */
	case SSL_ERROR_WANT_WRITE:
		event_add(link->writable, NULL);
		return true;
	default:
		ERR_clear_error();
		return false;
	}
}

/* ------------------------------------------------------------------- output */

static void compact(struct buffer *buffer)
{
	memmove(buffer->bytes, buffer->bytes + buffer->begin, buffer->end - buffer->begin);
	buffer->end -= buffer->begin;
	buffer->begin = 0;
}

/* Returns false when the connection is broken. */
static bool flush(struct slu_key_link *link)
{
	struct buffer *out = &link->out;

	while (out->begin < out->end) {
		size_t written = 0;
		int result;

		ERR_clear_error();
		result = SSL_write_ex(link->ssl, out->bytes + out->begin, out->end - out->begin, &written);
		if (result != 1)
			return arm(link, result);
		out->begin += written;
	}
	out->begin = out->end = 0;
	return true;
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
	struct slu_key_link *link = context;

	(void)fd;
	(void)what;
	if (link->state == OPEN && !flush(link))
		fail(link);
}

uint8_t *slu_key_link_reserve(struct slu_key_link *link, size_t bytes)
{
	struct buffer *out = &link->out;

	if (link->state != OPEN || bytes > link->room - (out->end - out->begin))
		return NULL;
	if (bytes > link->room - out->end)
		compact(out);
	return out->bytes + out->end;
}

void slu_key_link_commit(struct slu_key_link *link, size_t bytes)
{
	link->out.end += bytes;
	event_active(link->turn, EV_TIMEOUT, 0);
}

/* -------------------------------------------------------------------- input */

/* Gives what has come to the owner, who may destroy nothing from there. Returns false on a breach of the protocol. */
static bool give(struct slu_key_link *link)
{
	struct buffer *in = &link->in;
	ssize_t used = link->events.bytes(link->events.context, in->bytes + in->begin, in->end - in->begin);

	if (used < 0)
		return false;
	in->begin += (size_t)used;
	if (in->begin == in->end)
		in->begin = in->end = 0;
	/* Not earlier: in TLS 1.3 a server refuses a client after that side's handshake is done. */
	link->pause_ms = PAUSE_MIN_MS;
	return true;
}

static bool read_all(struct slu_key_link *link)
{
	struct buffer *in = &link->in;

	for (;;) {
		size_t count = 0;
		int result;

		if (in->end == link->room)
			compact(in);
		if (in->end == link->room)
			return false; /* a frame that is longer than any may be */
		ERR_clear_error();
		result = SSL_read_ex(link->ssl, in->bytes + in->end, link->room - in->end, &count);
		if (result != 1)
			return arm(link, result);
		in->end += count;
		if (!give(link))
			return false;
	}
}

/* --------------------------------------------------------------------- open */

static void on_socket(evutil_socket_t fd, short what, void *context);

static bool open_socket(struct slu_key_link *link)
{
	const struct sockaddr *address = (const struct sockaddr *)&link->server.address;
	int one = 1;

	link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return false;
	/* Questions go out once a turn of the loop, so nothing is gained by waiting for more. */
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(link->fd, address, link->server.address_bytes) != 0 && errno != EINPROGRESS)
		return false;
	link->readable = event_new(link->base, link->fd, EV_READ | EV_PERSIST, on_socket, link);
	link->writable = event_new(link->base, link->fd, EV_WRITE, on_socket, link);
	return link->readable != NULL && link->writable != NULL && event_add(link->writable, NULL) == 0;
}

static bool expect_name(SSL *ssl, const char *name)
{
	struct in6_addr address;

	if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

static void connect_link(struct slu_key_link *link)
{
	struct timeval time = timeval_of_ms(OPEN_TIMEOUT_MS);

	link->counters.connects++;
	link->state = CONNECTING;
	link->ssl = SSL_new(link->identity);
	if (link->ssl == NULL || !expect_name(link->ssl, link->name) || !open_socket(link) ||
		SSL_set_fd(link->ssl, link->fd) != 1) {
		fail(link);
		return;
	}
	SSL_set_connect_state(link->ssl);
	event_add(link->timer, &time);
}

/* Returns false when the connection is broken. */
static bool shake_hands(struct slu_key_link *link)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(link->ssl);
	if (result != 1)
		return arm(link, result);
	link->state = OPEN;
	event_del(link->timer);
	link->events.open(link->events.context);
	return true;
}

static bool finish_connect(struct slu_key_link *link)
{
	int error = 0;
	socklen_t bytes = sizeof(error);

	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0 || error != 0 ||
		event_add(link->readable, NULL) != 0)
		return false;
	link->state = HANDSHAKE;
	return true;
}

static void on_socket(evutil_socket_t fd, short what, void *context)
{
	struct slu_key_link *link = context;
	bool good = true;

	(void)fd;
	if (link->state == CONNECTING)
		good = finish_connect(link);
	if (good && link->state == HANDSHAKE)
		good = shake_hands(link);
	if (good && link->state == OPEN)
		good = ((what & EV_WRITE) == 0 || flush(link)) && read_all(link);
	if (!good)
		fail(link);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct slu_key_link *link = context;

	(void)fd;
	(void)what;
	if (link->state == WAITING)
		connect_link(link);
	else
		fail(link);
}

/* --------------------------------------------------------------------- life */

int slu_key_link_create(struct event_base *base, SSL_CTX *identity, const struct slu_key_link_server *server,
	size_t room, const struct slu_key_link_events *events, struct slu_key_link **result)
{
	struct slu_key_link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return -ENOMEM;
	*link = (struct slu_key_link){.base = base, .server = *server, .events = *events, .room = room, .fd = -1};
	link->pause_ms = PAUSE_MIN_MS;
	link->name = strdup(server->name);
	link->in.bytes = malloc(room);
	link->out.bytes = malloc(room);
	link->timer = event_new(base, -1, 0, on_timer, link);
	link->turn = event_new(base, -1, 0, on_turn, link);
	if (link->name == NULL || link->in.bytes == NULL || link->out.bytes == NULL || link->timer == NULL ||
		link->turn == NULL) {
		slu_key_link_destroy(link);
		return -ENOMEM;
	}
	slu_key_link_set_identity(link, identity);
	event_active(link->timer, EV_TIMEOUT, 0);
	*result = link;
	return 0;
}

void slu_key_link_destroy(struct slu_key_link *link)
{
	if (link == NULL)
		return;
	if (link->turn != NULL)
		forget_connection(link);
	if (link->timer != NULL)
		event_free(link->timer);
	if (link->turn != NULL)
		event_free(link->turn);
	SSL_CTX_free(link->identity);
	free(link->in.bytes);
	free(link->out.bytes);
	free(link->name);
	free(link);
}

bool slu_key_link_is_open(const struct slu_key_link *link)
{
	return link->state == OPEN;
}

void slu_key_link_set_identity(struct slu_key_link *link, SSL_CTX *identity)
{
	SSL_CTX_up_ref(identity);
	SSL_CTX_free(link->identity);
	link->identity = identity;
}

void slu_key_link_restart(struct slu_key_link *link)
{
	wait_to_connect(link);
}

const struct slu_key_link_counters *slu_key_link_counters(const struct slu_key_link *link)
{
	return &link->counters;
}
