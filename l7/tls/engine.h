/*
 * What the TLS streams of a worker share: its loop, its client of the key servers, the
 * jobs of OpenSSL that their handshakes run in, memory to encrypt into, counters.
 */
#ifndef SLU_L7_ENGINE_H
#define SLU_L7_ENGINE_H

#include <event2/event.h>
#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "l7/tls/linger.h"
#include "l7/tls/ticket_ring.h"

struct slu_key_client;
struct slu_tls_stream;

/* Handshakes that wait for a key server at once; each has a stack of 32 KiB. More wait for a stack. */
#define SLU_ENGINE_JOBS_MAX 1024

/* Encrypted bytes that go to the socket in one call, and what they were before. */
#define SLU_ENGINE_OUT_BYTES (72 << 10)
#define SLU_ENGINE_RECORD_BYTES (16 << 10)

TAILQ_HEAD(slu_tls_streams, slu_tls_stream);

struct slu_engine_counters {
	uint64_t handshakes, resumed, failed; /* of clients */
	uint64_t failed_key, failed_protocol, abandoned;
	uint64_t waited_for_job;
	uint64_t backend_handshakes, backend_failed;
	uint64_t waiting; /* now paused until a key server answers */
};

/* Open to the files of this room. */
struct slu_engine {
	struct event_base *base;
	struct slu_key_client *keys; /* NULL: keys are files of this process (backends without a certificate) */
	struct slu_ticket_ring tickets;
	struct slu_engine_counters counters;
	struct slu_tls_streams ready;   /* to be gone on with, in this turn of the loop */
	struct slu_tls_streams jobless; /* OpenSSL had no job left for them */
	struct slu_lingers lingering;
	struct event *turn;
	BIO_METHOD *bio;
	uint8_t *out; /* [SLU_ENGINE_OUT_BYTES], filled and emptied within one call */
	size_t out_bytes;
	uint8_t *plain; /* [SLU_ENGINE_RECORD_BYTES] */
};

/*
 * Prepares OpenSSL and the engine of a worker; `keys` stays the caller's and outlives
 * it. Returns 0 or -ENOMEM.
 */
int slu_engine_create(struct event_base *base, struct slu_key_client *keys, struct slu_engine **engine);

/* After all streams were closed. NULL is allowed. */
void slu_engine_destroy(struct slu_engine *engine);

#endif
