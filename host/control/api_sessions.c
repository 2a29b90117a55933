#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/keyvalq_struct.h>

#include "host/clock.h"
#include "host/config/memory.h"
#include "host/config/schema.h"
#include "host/control/api_server.h"
#include "host/control/ip.h"

#define DEFAULT_LIMIT 1000u
#define SLICE_US 1000u      /* of the loop's time at once */
#define SLICE_BYTES 65536u  /* of answer at once; then the client must have read it */
#define SLICE_ENTRIES 1024u /* of the table between looks at the clock */

struct filter {
	char listener[SLU_NAME_BYTES];
	char backend[2 * SLU_NAME_BYTES];
	struct slu_ip client;
	unsigned client_bits; /* with client.family != 0 */
};

/* One answer under way. */
struct walk {
	struct slu_api *api;
	struct evhttp_request *request;
	struct evbuffer *chunk;
	struct event again;
	struct filter filter;
	uint64_t cursor;
	uint64_t left; /* sessions that may still be shown */
	bool limited, first;
	bool counting; /* the answer is a number */
	uint64_t count;
	/* Names of the ids seen last: sessions of one listener come in crowds. */
	struct {
		uint32_t id;
		char name[2 * SLU_NAME_BYTES];
	} listener, backend;
};

static const char *listener_name(struct walk *walk, uint32_t id)
{
	if (walk->listener.id != id && !slu_control_name(walk->api->control, id, walk->listener.name))
		strcpy(walk->listener.name, "?");
	walk->listener.id = id;
	return walk->listener.name;
}

static const char *backend_name(struct walk *walk, uint32_t id)
{
	if (id == 0)
		return "-"; /* of an outbound service */
	if (walk->backend.id != id && !slu_control_name(walk->api->control, id, walk->backend.name))
		strcpy(walk->backend.name, "?");
	walk->backend.id = id;
	return walk->backend.name;
}

/* "web/b1", or "b1" of any group. */
static bool names_backend(const char *wanted, const char *name)
{
	const char *slash = strchr(name, '/');

	return strcmp(wanted, name) == 0 || (slash != NULL && strcmp(wanted, slash + 1) == 0);
}

static bool passes(struct walk *walk, const struct slu_api_session *session)
{
	const struct filter *filter = &walk->filter;

	if (filter->client.family != 0 && !slu_ip_within(&session->client, &filter->client, filter->client_bits))
		return false;
	if (filter->listener[0] != '\0' && strcmp(filter->listener, listener_name(walk, session->listener_id)) != 0)
		return false;
	return filter->backend[0] == '\0' || names_backend(filter->backend, backend_name(walk, session->backend_id));
}

static void add_endpoint(struct evbuffer *to, const char *key, const struct slu_ip *ip, uint16_t port)
{
	char text[SLU_IP_TEXT_BYTES];

	if (ip->family == 0)
		evbuffer_add_printf(to, ",\"%s\":null", key);
	else
		evbuffer_add_printf(to, ",\"%s\":{\"address\":\"%s\",\"port\":%u}", key, slu_ip_format(ip, text), port);
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "icmp";
}

static void add_direction(struct evbuffer *to, const char *key, const struct slu_api_direction *direction)
{
	evbuffer_add_printf(to, ",\"%s\":{\"owner\":\"%s\",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", key,
		direction->card ? "card" : "software", direction->packets, direction->bytes);
}

/*
 * Written by hand, not with jansson: there may be ten million, and no string in
 * here has a character that JSON would escape (names are checked, the rest is
 * the program's).
 */
static bool show(void *arg, const struct slu_api_session *session)
{
	struct walk *walk = arg;
	struct evbuffer *to = walk->chunk;

	if (!passes(walk, session))
		return true;
	if (walk->counting) {
		walk->count++;
		return true;
	}
	evbuffer_add_printf(to,
		"%s{\"listener\":\"%s\",\"backend\":\"%s\",\"protocol\":\"%s\",\"vpc\":%u,\"mode\":\"%s\"",
		walk->first ? "" : ",\n", listener_name(walk, session->listener_id),
		backend_name(walk, session->backend_id), protocol_name(session->protocol), session->vpc,
		slu_schema_modes[session->mode]);
	add_endpoint(to, "client", &session->client, session->client_port);
	add_endpoint(to, "vip", &session->vip, session->vip_port);
	add_endpoint(to, "local", &session->local, session->local_port);
	add_endpoint(to, "server", &session->backend, session->backend_port);
	evbuffer_add_printf(to, ",\"state\":\"%s\",\"worker\":%u,\"age_s\":%u,\"idle_s\":%u,\"expires_s\":%u",
		session->state != NULL ? session->state : "", session->worker, session->age_s, session->idle_s,
		session->expires_s);
	if (session->node == 0)
		evbuffer_add_printf(to, ",\"node\":null,\"passive\":false");
	else
		evbuffer_add_printf(
			to, ",\"node\":%u,\"passive\":%s", session->node, session->passive ? "true" : "false");
	add_direction(to, "request", &session->request);
	add_direction(to, "reply", &session->reply);
	evbuffer_add(to, "}", 1);
	walk->first = false;
	return !walk->limited || --walk->left > 0;
}

static void walk_free(struct walk *walk)
{
	event_del(&walk->again);
	evbuffer_free(walk->chunk);
	free(walk);
}

/*
 * The connection goes down under an answer. If it broke, libevent has parted
 * the request from it, and it is ours; else (shutdown) it goes with it.
 */
static void on_closed(struct evhttp_connection *connection, void *arg)
{
	struct walk *walk = arg;

	(void)connection;
	if (evhttp_request_get_connection(walk->request) == NULL)
		evhttp_request_free(walk->request);
	walk_free(walk);
}

static void finish(struct walk *walk, bool more)
{
	struct evhttp_request *request = walk->request;

	if (walk->counting)
		evbuffer_add_printf(walk->chunk, "{\"count\":%" PRIu64 "}\n", walk->count);
	else if (more)
		evbuffer_add_printf(walk->chunk, "],\"next_cursor\":\"%" PRIu64 "\"}\n", walk->cursor);
	else
		evbuffer_add_printf(walk->chunk, "],\"next_cursor\":null}\n");
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
	evhttp_send_reply_chunk(request, walk->chunk);
	evhttp_send_reply_end(request);
	walk_free(walk);
}

static void on_written(struct evhttp_connection *connection, void *arg);

/* Looks at sessions for a bounded time, sends what it found, and comes back for the rest. */
static void slice(struct walk *walk)
{
	const struct slu_api_providers *providers = &walk->api->providers;
	const struct timeval at_once = {0, 0};
	uint64_t end = slu_clock_us() + SLICE_US;
	bool more = providers->sessions != NULL;

	while (more && (!walk->limited || walk->left > 0) && evbuffer_get_length(walk->chunk) < SLICE_BYTES &&
		slu_clock_us() < end)
		more = providers->sessions(providers->ctx, &walk->cursor, SLICE_ENTRIES, show, walk);
	if (!more || (walk->limited && walk->left == 0))
		finish(walk, more);
	else if (evbuffer_get_length(walk->chunk) > 0)
		evhttp_send_reply_chunk_with_cb(walk->request, walk->chunk, on_written, walk);
	else
		event_add(&walk->again, &at_once);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	slice(arg);
}

/* The client took the last slice. The next one waits for its turn, so that other events get theirs. */
static void on_written(struct evhttp_connection *connection, void *arg)
{
	const struct timeval at_once = {0, 0};
	struct walk *walk = arg;

	(void)connection;
	event_add(&walk->again, &at_once);
}

static bool read_number(const char *text, uint64_t *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool read_client(const char *text, struct filter *filter)
{
	char address[SLU_IP_TEXT_BYTES];
	size_t bytes = strcspn(text, "/");
	uint64_t bits, most;

	if (bytes >= sizeof(address))
		return false;
	memcpy(address, text, bytes);
	address[bytes] = '\0';
	if (slu_ip_parse(address, &filter->client) != 0)
		return false;
	most = filter->client.family == 4 ? 32 : 128;
	bits = most;
	if (text[bytes] == '/' && (!read_number(text + bytes + 1, &bits) || bits > most))
		return false;
	filter->client_bits = (unsigned)bits;
	return true;
}

/* Returns NULL, or what is wrong with a parameter. */
static const char *read_parameter(struct walk *walk, const char *key, const char *value)
{
	if (strcmp(key, "limit") == 0) {
		if (!read_number(value, &walk->left))
			return "must be a number; 0 shows all";
		walk->limited = walk->left > 0;
	} else if (strcmp(key, "cursor") == 0) {
		if (!read_number(value, &walk->cursor))
			return "must be the next_cursor of an earlier answer";
	} else if (strcmp(key, "client") == 0) {
		if (!read_client(value, &walk->filter))
			return "must be an address or a prefix";
	} else if (strcmp(key, "listener") == 0) {
		if (value[0] == '\0' || strlen(value) >= sizeof(walk->filter.listener))
			return "must be a listener's name";
		strcpy(walk->filter.listener, value);
	} else if (strcmp(key, "backend") == 0) {
		if (value[0] == '\0' || strlen(value) >= sizeof(walk->filter.backend))
			return "must be a backend's name, or GROUP/NAME";
		strcpy(walk->filter.backend, value);
	} else if (strcmp(key, "count") == 0) {
		if (strcmp(value, "1") != 0)
			return "must be 1";
		walk->counting = true;
	} else {
		return "is unknown; known are limit, cursor, count, client, listener, backend";
	}
	return NULL;
}

void slu_api_sessions_serve(struct slu_api *api, struct evhttp_request *request, const struct evkeyvalq *query)
{
	struct walk *walk = slu_memory_zeroed(1, sizeof(*walk));
	const struct evkeyval *pair;

	walk->api = api;
	walk->request = request;
	walk->chunk = evbuffer_new();
	walk->left = DEFAULT_LIMIT;
	walk->limited = walk->first = true;
	evtimer_assign(&walk->again, api->base, on_again, walk);
	for (pair = query->tqh_first; pair != NULL; pair = pair->next.tqe_next) {
		const char *wrong = read_parameter(walk, pair->key, pair->value);

		if (wrong != NULL) {
			slu_api_server_refuse(request, HTTP_BADREQUEST, "parameter %.32s %s", pair->key, wrong);
			walk_free(walk);
			return;
		}
	}
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
	evhttp_send_reply_start(request, HTTP_OK, "OK");
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_closed, walk);
	if (walk->counting)
		walk->limited = false; /* all, from the cursor on */
	else
		evbuffer_add_printf(walk->chunk, "{\"sessions\":[");
	slice(walk);
}
