/*
 * A worker's client of the key servers. Each server has one connection, kept open, on
 * which many questions are under way at once.
 *
 * A question goes to the server that will answer soonest by what was measured. If it
 * does not answer in time, loses its connection or refuses, another is asked: every
 * operation may be repeated. A server that failed several times in a row is asked
 * nothing but PING until it answers that (circuit breaker). When nobody is left the
 * question fails at once. Answers that come too late are counted and dropped.
 *
 * One worker's thread only; nothing blocks.
 */
#ifndef SLU_L7_KEY_CLIENT_H
#define SLU_L7_KEY_CLIENT_H

#include <event2/event.h>
#include <stdint.h>

#include "l7/keys/key_call.h"
#include "l7/keys/key_identity.h"
#include "l7/keys/key_link.h"

struct slu_key_client;

#define SLU_KEY_CLIENT_SERVERS_MAX 8
#define SLU_KEY_CLIENT_DEADLINE_MS 500
#define SLU_KEY_CLIENT_PENDING_MAX 4096

struct slu_key_client_settings {
	struct slu_key_link_server servers[SLU_KEY_CLIENT_SERVERS_MAX];
	uint32_t server_count;
	struct slu_key_identity identity;
	uint32_t deadline_ms; /* of one server; 0: SLU_KEY_CLIENT_DEADLINE_MS */
	uint32_t pending_max; /* questions under way; 0: SLU_KEY_CLIENT_PENDING_MAX */
};

struct slu_key_client_counters {
	uint64_t asked, answered, refused;   /* refused: an error that a server sent */
	uint64_t failed, cancelled;          /* failed: no server answered */
	uint64_t timeouts, repeated, late;   /* a deadline passed; asked again elsewhere; answer to nobody */
	uint64_t full, unreachable;          /* not asked: too many under way; no server */
	uint64_t breaker_opened, violations; /* violations of the protocol by a server */
};

/* What is known of a server. */
struct slu_key_client_server {
	bool is_open, is_broken; /* connected; its circuit breaker is open */
	uint32_t pending;
	uint32_t latency_us;
	struct slu_key_link_counters link;
};

/*
 * Starts to connect to the servers. Settings are copied. Returns 0; -EINVAL and why in
 * `error`; -ENOMEM.
 */
int slu_key_client_create(struct event_base *base, const struct slu_key_client_settings *settings, char *error,
	size_t error_bytes, struct slu_key_client **client);

/* Questions that are under way are not answered any more. NULL is allowed. */
void slu_key_client_destroy(struct slu_key_client *client);

/*
 * Asks. Returns 0, and call->done() follows unless it is cancelled; -ENETUNREACH (no
 * server), -ENOBUFS (too many under way), -EMSGSIZE: then it does not.
 */
int slu_key_client_ask(struct slu_key_client *client, struct slu_key_call *call);

/* Takes back a question that was asked and is not done: done() does not follow. */
void slu_key_client_cancel(struct slu_key_client *client, struct slu_key_call *call);

/*
 * Reads certificate, key and CA again, and uses them for the connections that are made
 * from now on; each open one is replaced when it next ends. Returns 0, or -errno with
 * why in `error`: then the old ones stay.
 */
int slu_key_client_reload(struct slu_key_client *client, char *error, size_t error_bytes);

const struct slu_key_client_counters *slu_key_client_counters(const struct slu_key_client *client);
void slu_key_client_server(const struct slu_key_client *client, uint32_t index, struct slu_key_client_server *server);

#endif
