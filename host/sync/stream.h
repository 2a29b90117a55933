/*
 * A TCP stream between two members: frames, each authenticated if there is a key.
 *
 * Both sides send a hello with a random number; the key of the stream is a MAC of both
 * hellos with the cluster's key, so that who can send a right frame has that key and is
 * there now. A frame's tag covers its direction and number, so that none can be left
 * out, repeated, or sent back. Sync thread only.
 */
#ifndef SLU_HOST_SYNC_STREAM_H
#define SLU_HOST_SYNC_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/sync/engine.h"

#define SLU_STREAM_PAYLOAD_MAX 65535u

struct slu_stream;

enum slu_stream_next { SLU_STREAM_MORE, SLU_STREAM_PAUSE, SLU_STREAM_END };

struct slu_stream_user {
	void *context;
	/* The other side has said hello: frames may be sent. */
	void (*ready)(void *context);
	/* A frame came, and is sound. PAUSE: no other until slu_stream_resume(). END: `ended` follows. */
	enum slu_stream_next (*frame)(void *context, uint8_t type, const uint8_t *payload, uint32_t bytes);
	/* Less than 64 KiB wait to be sent. */
	void (*drained)(void *context);
	/* The stream is of no more use; the user frees it, now or later. */
	void (*ended)(void *context, const char *why);
};

/* A connection that was accepted, or one to a peer. Returns NULL without memory; fd is closed then. */
struct slu_stream *slu_stream_accept(struct slu_sync *sync, int fd, const struct slu_stream_user *user);
struct slu_stream *slu_stream_connect(
	struct slu_sync *sync, const struct slu_ip *address, const struct slu_stream_user *user);
void slu_stream_free(struct slu_stream *stream); /* NULL is allowed */

/* Queues a frame; bytes at most SLU_STREAM_PAYLOAD_MAX. Returns false if it could not. */
bool slu_stream_send(struct slu_stream *stream, uint8_t type, const void *payload, uint32_t bytes);
size_t slu_stream_queued(const struct slu_stream *stream); /* bytes */
void slu_stream_resume(struct slu_stream *stream);

/* Ends the stream after so long without a byte from there, or to there; 0: never. */
void slu_stream_patience(struct slu_stream *stream, uint32_t read_ms, uint32_t write_ms);

/* What both sides read; after `ready`. */
uint8_t slu_stream_revision(const struct slu_stream *stream);

uint8_t slu_stream_peer(const struct slu_stream *stream); /* the member's id, once it is ready */

#endif
