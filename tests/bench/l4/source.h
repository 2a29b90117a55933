/*
 * net_l4source: an ethdev that receives TCP packets of many flows out of
 * nowhere, in both directions of a balanced connection, and swallows what is
 * sent, checking a sample of it.
 *
 * Flows are numbered; packets visit them in a permuted order, requests half a
 * round ahead of replies, so nothing that a packet needs is still warm from its
 * other direction. As a plugin (testpmd) it runs by itself with made-up local
 * ports; the bench drives it through this header and records the real ones.
 *
 * vdev arguments: flows=N, family=4|6.
 */
#ifndef SLU_BENCH_SOURCE_H
#define SLU_BENCH_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#define SOURCE_BACKENDS 16
#define SOURCE_LOCALS 32
#define SOURCE_VIP_PORT 80
#define SOURCE_BACKEND_PORT 8080
#define SOURCE_SAMPLE 1024 /* one packet of so many sent is checked */

/* What the balancer chose for a flow: indexes of addresses, and the local port as in the packet. */
struct source_reply {
	uint8_t local, backend;
	uint16_t port;
};

enum source_mode {
	SOURCE_TRAFFIC, /* data of all flows, request and reply alternating */
	SOURCE_SYN,     /* each flow once, in the order of numbers, from `next` on */
	SOURCE_SYN_ACK,
	SOURCE_ACK,
};

struct source {
	uint32_t flows;
	uint8_t family;
	enum source_mode mode;
	uint32_t next, next_position; /* flow number and its position, in the modes that are not TRAFFIC */
	uint32_t limit;               /* where those stop */
	bool learn;                   /* record the local port of every SYN sent */
	uint32_t stride, inverse;     /* of the permutation */
	uint32_t request, reply;      /* next positions */
	uint32_t request_flow, reply_flow;
	struct source_reply *replies; /* by position in the permuted order */
	uint64_t sent, checked, wrong;
	char first_wrong[160];
};

/* The source behind an ethdev port. */
struct source *source_of(uint16_t port);

/* Sends the segments of one step of flows from..to - 1 (never SOURCE_TRAFFIC), then nothing. */
void source_open(struct source *s, enum source_mode mode, uint32_t from, uint32_t to);

/* Addresses: 4 or 16 bytes are written. */
void source_client(const struct source *s, uint32_t flow, uint8_t *address, uint16_t *port);
void source_vip(const struct source *s, uint8_t *address);
void source_backend(const struct source *s, uint32_t index, uint8_t *address);
void source_local(const struct source *s, uint32_t index, uint8_t *address);

#endif
