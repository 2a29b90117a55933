/*
 * Stamped bytes: every byte of a stream is a function of the stream's id, its
 * direction and the byte's offset, so that one that is wrong, missing or there
 * twice is seen at once, by either end, without any state.
 *
 * TCP, client to server: hello, stamped bytes, FIN. Server to client: greeting,
 * stamped bytes until the client's FIN, a tail of them after it, farewell, FIN.
 * UDP: a request and an answer, both a header and stamped bytes.
 * Offsets count from the stream's first byte, the hello or greeting included.
 */
#ifndef SLU_TESTS_LAB_STAMP_STREAM_H
#define SLU_TESTS_LAB_STAMP_STREAM_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define STAMP_MAGIC 0x53545031u /* STP1 */
#define STAMP_TAIL_BYTES 3000u  /* of the server, after the client's FIN: a half-closed connection at work */
#define STAMP_CHUNK_MAX 16384u
#define STAMP_DATAGRAM_MAX 1400u

enum stamp_way { STAMP_TO_SERVER, STAMP_TO_CLIENT, STAMP_REQUEST, STAMP_ANSWER };

/* Both ends are of one machine: fields in host order. */
struct stamp_hello {
	uint32_t magic;
	uint32_t chunk_bytes; /* the server sends so many ... */
	uint64_t id;
	uint32_t interval_ms; /* ... so often */
	uint32_t quiet_ms;    /* ... and stops when it heard nothing for so long; 0: never */
	uint64_t check;       /* stamp_stream_sum() of what stands before it */
};
static_assert(sizeof(struct stamp_hello) == 32, "without holes");

struct stamp_greeting {
	uint32_t magic;
	uint32_t server; /* its identity, as its command line says */
	uint64_t id;
	uint64_t check;
};
static_assert(sizeof(struct stamp_greeting) == 24, "without holes");

struct stamp_farewell {
	uint32_t magic;
	uint32_t server;
	uint64_t received; /* bytes of the client, all of them right */
	uint64_t sent;     /* bytes of the server before this farewell */
	uint64_t gap_us;   /* longest time that the server heard nothing */
	uint64_t check;
};
static_assert(sizeof(struct stamp_farewell) == 40, "without holes");

struct stamp_datagram {
	uint32_t magic;
	uint32_t server; /* of an answer; 0 in a request */
	uint64_t id;
	uint64_t sequence;
	uint64_t peer; /* of an answer: hash of the address and port that the server sees */
	uint64_t check;
};
static_assert(sizeof(struct stamp_datagram) == 40, "without holes");

/* Writes the stream's bytes offset .. offset + count - 1. */
void stamp_stream_fill(uint64_t id, enum stamp_way way, uint64_t offset, uint8_t *bytes, size_t count);

/* Returns the index of the first byte that is not the stream's; count when all are right. */
size_t stamp_stream_check(uint64_t id, enum stamp_way way, uint64_t offset, const uint8_t *bytes, size_t count);

/* A hash that tells a broken header. */
uint64_t stamp_stream_sum(const void *bytes, size_t count);

#endif
