/*
 * Session sync: every node is master and backup at once. A thread of its own, so
 * that neither a worker nor the control thread waits for a peer.
 *
 * On the wire it is version 1 of the sync protocol of Linux IPVS with parameters of
 * our own (docs/session-sync.md). All functions are for the control thread.
 */
#ifndef SLU_HOST_SYNC_H
#define SLU_HOST_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "host/dataplane/cluster_view.h"
#include "host/dataplane/dataplane.h"

struct slu_sync;

struct slu_sync_peer_address {
	uint8_t id;            /* 1..255 */
	struct slu_ip address; /* on the sync network: for the TCP stream that feeds a joining node */
};

struct slu_sync_options {
	uint8_t id;              /* this node, 1..255 */
	uint8_t group;           /* syncid */
	const char *interface;   /* of the kernel, multicast goes in and out here */
	struct slu_ip address;   /* our own on it */
	struct slu_ip multicast; /* 224.0.0.81 */
	uint16_t port;           /* UDP, and TCP for joining: 8848 */
	const uint8_t *key;      /* of the cluster; NULL: no authentication, said in the log */
	uint32_t key_bytes;      /* at least 16 */
	uint64_t epoch;          /* larger than at any earlier start of this node (never a clock) */
	uint8_t revision;        /* of our parameters, the highest to read and write; 0: the newest */
	bool extensions;         /* false: only what Linux IPVS understands is sent */
	uint32_t flush_ms;       /* a partly filled datagram leaves after so long: 10 */
};

/* What the control thread hears, on its own loop (event_base of create). */
struct slu_sync_events {
	void *context;
	/* A member's heartbeats came, or have been missing for a second. */
	void (*member)(void *context, uint8_t id, bool alive);
	/* This node has every session that the cluster had, or there is nobody to ask: it may announce itself. */
	void (*joined)(void *context, uint64_t sessions, uint32_t ms);
};

struct event_base;

/* Opens the sockets and starts the thread. Returns 0 or -errno; the reason stands in the log. */
int slu_sync_create(struct event_base *base, struct slu_dataplane *dp, const struct slu_sync_options *options,
	const struct slu_sync_events *events, struct slu_sync **sync);
void slu_sync_destroy(struct slu_sync *sync); /* NULL is allowed */

/* The members there can be, this node not included. Copied. */
void slu_sync_set_peers(struct slu_sync *sync, const struct slu_sync_peer_address *peers, uint32_t count);

/*
 * Asks the living members for all sessions; `joined` tells the end, once. That is how a node starts. What is missing
 * later, because somebody was not heard for a while, is fetched without being asked for.
 */
void slu_sync_join(struct slu_sync *sync);

/*
 * A short text of this node that every heartbeat carries and every member can read (usage for limits and least
 * connections): at most 1,024 bytes, copied, opaque here. Read with slu_sync_blob().
 */
void slu_sync_set_blob(struct slu_sync *sync, const void *bytes, uint32_t count);
uint32_t slu_sync_blob(struct slu_sync *sync, uint8_t id, void *bytes, uint32_t room); /* returns its bytes, 0: none */

struct slu_sync_peer_state {
	uint8_t id;
	bool alive;
	uint8_t revision; /* of our parameters: the highest that it reads; 0: not told yet */
	uint8_t speaks;   /* what it writes */
	uint64_t epoch;
	uint64_t datagrams, records, lost, reordered, duplicate, rejected; /* lost: gaps of its sequence numbers */
	uint32_t lag_ms;                                                   /* since its last datagram */
};

struct slu_sync_state {
	uint64_t sent_datagrams, sent_records, send_errors;
	uint64_t received_datagrams, received_records, inbox_full;
	uint64_t inbox_dropped; /* records that found no room for too long; their sender is asked again */
	uint64_t unsent;        /* records that cannot be told without extensions */
	uint64_t bad_size, bad_group, bad_version, bad_record, bad_parameter, bad_authentication, replayed;
	uint64_t unknown_sender; /* none of the members; this node's own id too */
	uint64_t skipped;        /* sound sessions of Linux that are nothing for this data plane */
	uint64_t newer;          /* datagrams in a revision above this node's: nobody should write them */
	uint64_t joins_served, joins_done;
	uint64_t fetches;  /* streams that brought what was missing */
	uint64_t reopened; /* sockets, after the interface had gone */
	bool joined;
	uint8_t revision, speaks; /* the highest of this node; what it writes, for all living members to read */
	uint32_t peer_count;
	struct slu_sync_peer_state peers[SLU_CLUSTER_MEMBERS_MAX];
};
void slu_sync_state(struct slu_sync *sync, struct slu_sync_state *state);

#endif
