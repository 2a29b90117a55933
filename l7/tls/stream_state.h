/*
 * What a TLS stream is made of, for the files of this room: stream.c (its channel),
 * handshake.c, output.c.
 */
#ifndef SLU_L7_STREAM_STATE_H
#define SLU_L7_STREAM_STATE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "l7/channel.h"
#include "l7/tls/engine.h"
#include "l7/tls/key_wait.h"

struct slu_tls_listener;

/* Only while it goes on. */
struct slu_handshake {
	struct slu_key_wait wait; /* first: what is woken is found by it */
	struct slu_tls_stream *stream;
	struct slu_tls_listener *listener; /* OpenSSL's callbacks look into it; NULL at a client's end */
	struct slu_tls_streams *queue;     /* of the engine, or NULL */
	TAILQ_ENTRY(slu_tls_stream) entry;
	bool is_paused; /* a job of OpenSSL stands still */
};

struct slu_tls_stream {
	struct slu_engine *engine;
	struct slu_channel *channel;
	SSL *ssl;
	struct slu_handshake *handshake; /* NULL once the connection stands or has failed */
	uint8_t *pending;                /* encrypted, not taken by the socket; NULL: nothing */
	uint32_t pending_begin, pending_end, pending_room;
	int error;        /* of the connection, for good */
	bool is_ended;    /* close_notify came */
	bool is_finished; /* close_notify went out */
};

/* ---------------------------------------------------------------- output.c */

/* The BIO under every stream's SSL; its data is the stream. NULL: no memory. */
BIO_METHOD *slu_output_bio(void);

/*
 * Sends what was encrypted. Returns 0; -EAGAIN: the rest waits in the stream, and nothing more may be written; -errno.
 */
int slu_output_flush(struct slu_tls_stream *stream);

/* Keeps what was encrypted in the stream, to go out with what follows. Returns 0 or -ENOMEM. */
int slu_output_keep(struct slu_tls_stream *stream);

/* ------------------------------------------------------------- handshake.c */

/*
 * Begins; the first step is made when the socket says something, or in this turn of the loop if `now`. `may_pause`: a
 * key server may be asked. `listener`, or NULL, is referenced until the end. Returns 0 or -ENOMEM.
 */
int slu_handshake_begin(struct slu_tls_stream *stream, struct slu_tls_listener *listener, bool may_pause, bool now);

/* Goes on as far as it can. The user may have closed the channel when this returns. */
void slu_handshake_step(struct slu_tls_stream *stream);

/* Gives it up: no alert is sent, and nothing is told to the user. The SSL can be freed then. */
void slu_handshake_abandon(struct slu_tls_stream *stream);

/* The same because of `error`, which the user is told. */
void slu_handshake_fail(struct slu_tls_stream *stream, int error);

/* The engine's event: goes on with those that were answered. */
void slu_handshake_turn(evutil_socket_t fd, short what, void *engine);

#endif
