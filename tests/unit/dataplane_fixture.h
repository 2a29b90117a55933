/*
 * A data plane with two ports, listeners of every kind and crafted packets, for
 * the tests of host/dataplane. Packets are built and checked with code of their
 * own: full checksums over the whole packet, never the incremental ones.
 */
#ifndef SLU_TESTS_DATAPLANE_FIXTURE_H
#define SLU_TESTS_DATAPLANE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "host/dataplane/dataplane.h"
#include "host/dataplane/worker.h"

#define CLIENT_PORT 0 /* ethdev port of the clients' side */
#define BACKEND_PORT 1

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

enum { LISTENER_TCP, LISTENER_UDP, LISTENER_NAT, LISTENER_RANGE, LISTENER_COUNT };

struct fixture {
	struct slu_dataplane *dp;
	struct slu_worker *w; /* worker 0 */
	struct slu_generation generation;
	struct slu_neigh_view *neigh;
	uint64_t now_us;
	struct slu_group group;
	struct slu_group *groups[1];
	struct slu_backend backends[8]; /* 0..3 IPv4, 4..7 IPv6 as used by the family */
	struct slu_listener listeners[LISTENER_COUNT];
	struct slu_ip locals[4];
	const struct slu_backend *by_live[8];
	const struct slu_listener *listener_by_live[LISTENER_COUNT];
	uint16_t wrr[16];
	uint8_t family;
};

/* What a test knows about a packet: how to build one, and what came out. */
struct flow {
	struct slu_ip src, dst;
	uint16_t sport, dport;        /* host order */
	uint8_t protocol, flags, ttl; /* of an ICMP echo: flags is its type, sport its identifier, seq its sequence */
	uint16_t payload;             /* bytes */
	uint16_t vlan;                /* 0: untagged */
	uint16_t fragment;            /* flags and offset as in IPv4: 0x2000 more, low bits offset / 8 */
	uint16_t id;
	uint32_t seq, ack;
};

struct seen {
	bool sent;      /* on port */
	bool exception; /* given to the kernel */
	uint16_t port;
	struct rte_mbuf *mbuf; /* of the last packet; the fixture frees it */
	struct flow flow;
	uint8_t src_mac[6], dst_mac[6];
	bool checksums_right;
};

void fixture_eal(void);
struct rte_mempool *fixture_pool(void);

/* family 4 or 6; one worker, anonymous memory, virtual addresses as in slu_ip_of("...") below. */
void fixture_create(struct fixture *f, uint8_t family, uint32_t workers, const char *file);
/* Publishes the (changed) generation again. */
void fixture_publish(struct fixture *f);
void fixture_destroy(struct fixture *f);

/* Text to address. */
struct slu_ip fixture_ip(const char *text);
/* "198.18.1.100" or fd00:1::100: the listeners' address of the fixture's family, and so on. */
struct slu_ip fixture_vip(const struct fixture *f);
struct slu_ip fixture_client(const struct fixture *f, unsigned int n);
struct slu_ip fixture_backend(const struct fixture *f, unsigned int n);

struct rte_mbuf *fixture_packet(const struct flow *flow);
/* Builds, gives to worker 0, and says what came out (one packet at most). */
struct seen fixture_send(struct fixture *f, uint16_t in_port, const struct flow *flow);
struct seen fixture_give(struct fixture *f, uint16_t in_port, struct rte_mbuf *m);
/* What lies in the outputs now. */
struct seen fixture_collect(struct fixture *f, struct slu_worker *w);
/* Parses a frame with code of its own and checks every checksum that can be. */
void fixture_parse(struct seen *s);

/* Ones' complement sum of big-endian words, on top of another. */
uint16_t fixture_sum16(uint32_t sum, const uint8_t *p, size_t n);
/* "Packet too big" from a router about a packet that it saw (and that this frees), quoting so many bytes of it. */
struct rte_mbuf *fixture_too_big(
	const struct fixture *f, const struct slu_ip *router, struct rte_mbuf *about, unsigned int quote);
/* The packet inside an ICMP error that came out; the caller frees its mbuf. */
struct seen fixture_inside(const struct fixture *f, const struct seen *s);

/* The reply to a packet that reached a backend. */
struct flow fixture_reply(const struct flow *arrived, uint8_t flags);
/* What was metered of a listener in both scopes, by enum slu_dir; of one scope: internal 0 or 1, else -1. */
struct slu_meter_reading fixture_metered(const struct fixture *f, uint32_t listener_id, int internal);
uint64_t fixture_counter(const struct fixture *f, enum slu_counter c);
void fixture_advance(struct fixture *f, uint64_t us);

void fixture_assert_ip(const struct slu_ip *a, const struct slu_ip *b);
/* A flow of the first client to a listener's port. */
struct flow fixture_request(const struct fixture *f, uint8_t protocol, uint16_t dport, uint8_t flags);

/* A connection through SYN, SYN-ACK, ACK; returns what the backend saw of the SYN. */
struct flow fixture_connect(struct fixture *f, const struct flow *syn);

#endif
