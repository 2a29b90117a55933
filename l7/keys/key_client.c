#include "l7/keys/key_client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "l7/keys/key_text.h"

#define LINK_ROOM_BYTES (256 << 10)
#define PING_PERIOD_MS 1000
#define PINGS_LOST_MAX 5 /* then the connection is taken for dead */
#define FAILURES_MAX 3   /* in a row, then the circuit breaker opens */
#define LATENCY_START_US 1000
#define LATENCY_SHARE 8 /* the latest measurement counts an eighth */
#define SLOT_BITS 16
#define SLOT_MASK ((1U << SLOT_BITS) - 1)
#define NOBODY UINT32_MAX

/* A slot of the table of questions that are under way. Its id changes whenever it is sent: an old answer finds nobody.
 */
struct question {
	TAILQ_ENTRY(question) entry; /* in order of deadlines, or free */
	struct slu_key_call *call;   /* NULL: free */
	uint64_t id;
	uint64_t asked_us;
	uint32_t tried; /* a bit a server */
	uint32_t server;
};
TAILQ_HEAD(questions, question);

struct server {
	struct slu_key_client *client;
	uint32_t index;
	struct slu_key_link *link;
	uint32_t pending, failures, latency_us;
	bool is_broken;
	uint64_t ping_id, ping_us; /* 0: none under way */
	uint32_t pings_lost;
	bool is_greeted;    /* it agreed to a version */
	uint32_t in_flight; /* questions that it takes at once */
};

struct slu_key_client {
	struct event_base *base;
	SSL_CTX *context;
	struct slu_key_identity identity; /* strings of its own */
	struct server servers[SLU_KEY_CLIENT_SERVERS_MAX];
	uint32_t server_count;
	struct question *slots;
	uint32_t slot_count, deadline_ms;
	uint64_t next_id;
	struct questions under_way, free;
	struct event *deadline, *ping;
	struct slu_key_client_counters counters;
};

static uint64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* Ids are never used again, and carry their slot. */
static uint64_t next_id(struct slu_key_client *client, uint32_t slot)
{
	return ++client->next_id << SLOT_BITS | slot;
}

/* ----------------------------------------------------------------- servers */

/* The one that will answer soonest if each takes as long as lately. */
static uint32_t choose(const struct slu_key_client *client, uint32_t tried)
{
	uint64_t best_us = UINT64_MAX;
	uint32_t best = NOBODY;

	for (uint32_t i = 0; i < client->server_count; i++) {
		const struct server *server = &client->servers[i];
		uint64_t us = (uint64_t)server->latency_us * (server->pending + 1);

		if (server->is_broken || (tried & 1U << i) != 0 || !server->is_greeted ||
			server->pending >= server->in_flight || us >= best_us)
			continue;
		best_us = us;
		best = i;
	}
	return best;
}

static void note_failure(struct server *server)
{
	if (++server->failures < FAILURES_MAX || server->is_broken)
		return;
	server->is_broken = true;
	server->client->counters.breaker_opened++;
}

static void note_latency(struct server *server, uint64_t us)
{
	int64_t change = ((int64_t)us - server->latency_us) / LATENCY_SHARE;

	server->latency_us = (uint32_t)(server->latency_us + change);
	if (server->latency_us == 0)
		server->latency_us = 1;
	server->failures = 0;
}

/* --------------------------------------------------------------- questions */

static void arm_deadline(struct slu_key_client *client)
{
	const struct question *first = TAILQ_FIRST(&client->under_way);
	uint64_t now = now_us(), due;
	struct timeval time;

	if (first == NULL || event_pending(client->deadline, EV_TIMEOUT, NULL))
		return;
	due = first->asked_us + (uint64_t)client->deadline_ms * 1000;
	due = due > now ? due - now : 0;
	time = (struct timeval){(time_t)(due / 1000000), (suseconds_t)(due % 1000000)};
	event_add(client->deadline, &time);
}

/* Out of the order of deadlines; the server owes nothing any more. */
static void take_off(struct slu_key_client *client, struct question *question)
{
	TAILQ_REMOVE(&client->under_way, question, entry);
	client->servers[question->server].pending--;
}

static struct slu_key_call *release(struct slu_key_client *client, struct question *question)
{
	struct slu_key_call *call = question->call;

	question->call = NULL;
	question->id = 0;
	TAILQ_INSERT_HEAD(&client->free, question, entry);
	return call;
}

static void finish(struct slu_key_client *client, struct question *question, int error)
{
	struct slu_key_call *call = release(client, question);

	call->error = error;
	call->done(call);
}

/* Returns 0, -ENOBUFS (too much waits to be sent already) or -EMSGSIZE. */
static int send_call(struct slu_key_link *link, uint64_t id, const struct slu_key_call *call)
{
	size_t room = slu_key_text_room(call), bytes;
	uint8_t *place = slu_key_link_reserve(link, room);

	if (place == NULL)
		return -ENOBUFS;
	bytes = slu_key_text_ask(call, id, place, room);
	if (bytes == 0)
		return -EMSGSIZE;
	slu_key_link_commit(link, bytes);
	return 0;
}

/* Sends to the best server that was not tried. Returns 0 or -errno; then the question is not under way. */
static int send_question(struct slu_key_client *client, struct question *question)
{
	int error = -ENETUNREACH;
	uint32_t index;

	while ((index = choose(client, question->tried)) != NOBODY) {
		struct server *server = &client->servers[index];

		question->tried |= 1U << index;
		question->id = next_id(client, (uint32_t)(question - client->slots));
		error = send_call(server->link, question->id, question->call);
		if (error != 0)
			continue;
		question->server = index;
		question->asked_us = now_us();
		server->pending++;
		TAILQ_INSERT_TAIL(&client->under_way, question, entry);
		arm_deadline(client);
		return 0;
	}
	return error;
}

/* To the next server, or the end. */
static void ask_another(struct slu_key_client *client, struct question *question, int error)
{
	take_off(client, question);
	if (send_question(client, question) == 0) {
		client->counters.repeated++;
		return;
	}
	client->counters.failed++;
	finish(client, question, error);
}

int slu_key_client_ask(struct slu_key_client *client, struct slu_key_call *call)
{
	struct question *question = TAILQ_FIRST(&client->free);
	int error;

	if (question == NULL) {
		client->counters.full++;
		return -ENOBUFS;
	}
	TAILQ_REMOVE(&client->free, question, entry);
	question->call = call;
	question->tried = 0;
	call->slot = (uint32_t)(question - client->slots);
	error = send_question(client, question);
	if (error == 0) {
		client->counters.asked++;
		return 0;
	}
	if (error == -ENETUNREACH)
		client->counters.unreachable++;
	else
		client->counters.full++;
	release(client, question);
	return error;
}

void slu_key_client_cancel(struct slu_key_client *client, struct slu_key_call *call)
{
	struct question *question = &client->slots[call->slot];

	assert(question->call == call);
	take_off(client, question);
	release(client, question);
	client->counters.cancelled++;
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	struct slu_key_client *client = context;
	struct question *first;

	(void)fd;
	(void)what;
	while ((first = TAILQ_FIRST(&client->under_way)) != NULL &&
		now_us() - first->asked_us >= (uint64_t)client->deadline_ms * 1000) {
		client->counters.timeouts++;
		note_failure(&client->servers[first->server]);
		ask_another(client, first, -ETIMEDOUT);
	}
	arm_deadline(client);
}

/* ----------------------------------------------------------------- answers */

static void send_small(struct server *server, size_t (*write)(uint64_t id, uint8_t *bytes))
{
	uint8_t *place = slu_key_link_reserve(server->link, SLU_KEY_TEXT_SMALL_BYTES);

	if (place == NULL)
		return;
	/* SLOT_MASK is nobody's slot: the answer is known by its id. */
	server->ping_id = next_id(server->client, SLOT_MASK);
	server->ping_us = now_us();
	slu_key_link_commit(server->link, write(server->ping_id, place));
}

/* HELLO or PING was answered. Returns false if the server speaks no version of ours. */
static bool on_small(struct server *server, const struct slu_key_message *message)
{
	uint64_t us = now_us() - server->ping_us;

	if (message->status != SLU_KEY_OK)
		return false;
	server->ping_id = 0;
	server->pings_lost = 0;
	if (message->type == SLU_KEY_HELLO) {
		server->in_flight = (uint32_t)slu_key_message_number(message, SLU_KEY_IN_FLIGHT);
		server->is_greeted = slu_key_message_number(message, SLU_KEY_VERSION_CHOSEN) == SLU_KEY_VERSION;
	}
	if (us >= (uint64_t)server->client->deadline_ms * 1000)
		return true;
	note_latency(server, us);
	server->is_broken = false;
	return true;
}

static void on_answer(struct server *server, struct question *question, const struct slu_key_message *message)
{
	struct slu_key_client *client = server->client;
	int error = slu_key_text_take(question->call, message);

	note_latency(server, now_us() - question->asked_us);
	if (error == -EPROTO)
		client->counters.violations++;
	else if (error != 0)
		client->counters.refused++;
	if (error != 0 && slu_key_text_may_repeat(error)) {
		ask_another(client, question, error == -EPROTO ? -EIO : error);
		return;
	}
	client->counters.answered++;
	take_off(client, question);
	finish(client, question, error);
}

/* Returns false when the connection must end. */
static bool on_message(struct server *server, const struct slu_key_message *message)
{
	struct slu_key_client *client = server->client;
	uint32_t slot = message->id & SLOT_MASK;

	if (message->type == SLU_KEY_FATAL)
		return false;
	if (message->id == server->ping_id)
		return on_small(server, message);
	if (slot < client->slot_count && client->slots[slot].id == message->id &&
		client->slots[slot].server == server->index)
		on_answer(server, &client->slots[slot], message);
	else
		client->counters.late++;
	return true;
}

static ssize_t on_bytes(void *context, const uint8_t *bytes, size_t count)
{
	struct server *server = context;
	size_t used = 0;

	for (;;) {
		struct slu_key_message message;
		size_t frame;
		int error = slu_key_message_read(
			bytes + used, count - used, SLU_KEY_MESSAGE_ANSWER, &message, &frame, NULL);

		if (error == -EAGAIN)
			return (ssize_t)used;
		if (error != 0 || !on_message(server, &message)) {
			server->client->counters.violations++;
			return -EPROTO;
		}
		used += frame;
	}
}

/* ------------------------------------------------------------- connections */

static void on_open(void *context)
{
	struct server *server = context;

	server->pings_lost = 0;
	send_small(server, slu_key_text_hello);
}

/* What the connection took with it is asked elsewhere, at once. */
static void lose(struct server *server)
{
	struct slu_key_client *client = server->client;

	server->is_greeted = false;
	server->ping_id = 0;
	for (uint32_t i = 0; i < client->slot_count && server->pending > 0; i++)
		if (client->slots[i].call != NULL && client->slots[i].server == server->index)
			ask_another(client, &client->slots[i], -ECONNRESET);
}

static void on_down(void *context)
{
	lose(context);
}

static void ping(struct server *server)
{
	if (!slu_key_link_is_open(server->link))
		return;
	if (server->ping_id != 0) {
		note_failure(server);
		if (++server->pings_lost >= PINGS_LOST_MAX) {
			slu_key_link_restart(server->link);
			lose(server);
		}
		return;
	}
	if (server->is_greeted)
		send_small(server, slu_key_text_ping);
}

static void on_ping(evutil_socket_t fd, short what, void *context)
{
	struct slu_key_client *client = context;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < client->server_count; i++)
		ping(&client->servers[i]);
}

/* -------------------------------------------------------------------- life */

static char *copy(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

static int create_servers(struct slu_key_client *client, const struct slu_key_client_settings *settings)
{
	for (uint32_t i = 0; i < settings->server_count; i++) {
		struct server *server = &client->servers[i];
		const struct slu_key_link_events events = {server, on_open, on_bytes, on_down};
		int error;

		*server = (struct server){.client = client, .index = i, .latency_us = LATENCY_START_US};
		error = slu_key_link_create(
			client->base, client->context, &settings->servers[i], LINK_ROOM_BYTES, &events, &server->link);
		if (error != 0)
			return error;
		client->server_count++;
	}
	return 0;
}

static int create_slots(struct slu_key_client *client)
{
	const struct timeval period = {PING_PERIOD_MS / 1000, 1000 * (PING_PERIOD_MS % 1000)};

	client->slots = calloc(client->slot_count, sizeof(*client->slots));
	client->deadline = event_new(client->base, -1, 0, on_deadline, client);
	client->ping = event_new(client->base, -1, EV_PERSIST, on_ping, client);
	if (client->slots == NULL || client->deadline == NULL || client->ping == NULL ||
		event_add(client->ping, &period) != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < client->slot_count; i++)
		TAILQ_INSERT_TAIL(&client->free, &client->slots[i], entry);
	return 0;
}

int slu_key_client_create(struct event_base *base, const struct slu_key_client_settings *settings, char *error,
	size_t error_bytes, struct slu_key_client **result)
{
	struct slu_key_client *client = calloc(1, sizeof(*client));
	int failure;

	if (client == NULL)
		return -ENOMEM;
	assert(settings->server_count <= SLU_KEY_CLIENT_SERVERS_MAX && settings->pending_max < SLOT_MASK);
	client->base = base;
	client->deadline_ms = settings->deadline_ms != 0 ? settings->deadline_ms : SLU_KEY_CLIENT_DEADLINE_MS;
	client->slot_count = settings->pending_max != 0 ? settings->pending_max : SLU_KEY_CLIENT_PENDING_MAX;
	client->identity = (struct slu_key_identity){
		copy(settings->identity.certificate), copy(settings->identity.key), copy(settings->identity.ca)};
	TAILQ_INIT(&client->under_way);
	TAILQ_INIT(&client->free);
	snprintf(error, error_bytes, "out of memory");
	failure = slu_key_identity_read(&client->identity, &client->context, error, error_bytes);
	if (failure == 0)
		failure = create_slots(client);
	if (failure == 0)
		failure = create_servers(client, settings);
	if (failure != 0) {
		slu_key_client_destroy(client);
		return failure;
	}
	*result = client;
	return 0;
}

void slu_key_client_destroy(struct slu_key_client *client)
{
	if (client == NULL)
		return;
	for (uint32_t i = 0; i < client->server_count; i++)
		slu_key_link_destroy(client->servers[i].link);
	if (client->deadline != NULL)
		event_free(client->deadline);
	if (client->ping != NULL)
		event_free(client->ping);
	SSL_CTX_free(client->context);
	free(client->slots);
	free((char *)client->identity.certificate);
	free((char *)client->identity.key);
	free((char *)client->identity.ca);
	free(client);
}

int slu_key_client_reload(struct slu_key_client *client, char *error, size_t error_bytes)
{
	SSL_CTX *context;
	int failure = slu_key_identity_read(&client->identity, &context, error, error_bytes);

	if (failure != 0)
		return failure;
	for (uint32_t i = 0; i < client->server_count; i++)
		slu_key_link_set_identity(client->servers[i].link, context);
	SSL_CTX_free(client->context);
	client->context = context;
	return 0;
}

const struct slu_key_client_counters *slu_key_client_counters(const struct slu_key_client *client)
{
	return &client->counters;
}

void slu_key_client_server(const struct slu_key_client *client, uint32_t index, struct slu_key_client_server *server)
{
	const struct server *from = &client->servers[index];

	*server = (struct slu_key_client_server){.is_open = from->is_greeted,
		.is_broken = from->is_broken,
		.pending = from->pending,
		.latency_us = from->latency_us,
		.link = *slu_key_link_counters(from->link)};
}
