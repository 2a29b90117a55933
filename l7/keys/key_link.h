/*
 * One connection to one key server: mutual TLS 1.3 that is kept open and opened again
 * when it ends. It moves bytes; key_client.h knows what they mean. One worker's thread
 * only, and nothing blocks.
 */
#ifndef SLU_L7_KEY_LINK_H
#define SLU_L7_KEY_LINK_H

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct slu_key_link;

/* All come from the loop, never from within a function of the link. */
struct slu_key_link_events {
	void *context;
	/* The server was authenticated, bytes can be sent. */
	void (*open)(void *context);
	/*
	 * Bytes have come: returns how many were used up (the rest comes again, with more), or -EPROTO,
	 * which closes the connection.
	 */
	ssize_t (*bytes)(void *context, const uint8_t *bytes, size_t count);
	/* The connection is over; what was sent is not answered any more. The link opens another by itself. */
	void (*down)(void *context);
};

struct slu_key_link_server {
	struct sockaddr_storage address;
	socklen_t address_bytes;
	const char *name; /* that the server's certificate must have: DNS name or address */
};

/* Written by the link. */
struct slu_key_link_counters {
	uint64_t connects, connect_failures, handshake_failures, breaks;
};

/*
 * Starts to connect. `identity` is this side's certificate with its key and the CA of the
 * servers (key_identity.h), referenced. `server` and `events` are copied, with the name.
 * `room` bounds the bytes that wait to be sent and the length of a frame that comes in.
 * Returns 0 or -ENOMEM.
 */
int slu_key_link_create(struct event_base *base, SSL_CTX *identity, const struct slu_key_link_server *server,
	size_t room, const struct slu_key_link_events *events, struct slu_key_link **link);

/* No event follows. NULL is allowed. */
void slu_key_link_destroy(struct slu_key_link *link);

bool slu_key_link_is_open(const struct slu_key_link *link);

/*
 * Where `bytes` can be written, to be sent with everything else of this turn of the loop
 * after slu_key_link_commit(); NULL: not open, or `bytes` more would be more than `room`.
 */
uint8_t *slu_key_link_reserve(struct slu_key_link *link, size_t bytes);
void slu_key_link_commit(struct slu_key_link *link, size_t bytes);

/* The next connection is made with this identity; the present one lives on. */
void slu_key_link_set_identity(struct slu_key_link *link, SSL_CTX *identity);

/* Ends the connection and opens another after a pause; `down` is not called. */
void slu_key_link_restart(struct slu_key_link *link);

const struct slu_key_link_counters *slu_key_link_counters(const struct slu_key_link *link);

#endif
