/*
 * The engine's parts among themselves. Everything here belongs to the sync thread,
 * except what `lock` protects.
 */
#ifndef SLU_HOST_SYNC_ENGINE_H
#define SLU_HOST_SYNC_ENGINE_H

#include <net/if.h>
#include <pthread.h>
#include <sys/queue.h>
#include <time.h>

#include "host/sync/codec.h"
#include "host/sync/replay.h"
#include "host/sync/sync.h"

#define SLU_ENGINE_PEERS_MAX (SLU_CLUSTER_MEMBERS_MAX - 1)
#define SLU_ENGINE_HISTORY_BYTES (32u * 1024 * 1024) /* about 360,000 sessions of FULLNAT */
#define SLU_ENGINE_BATCH 32u                         /* datagrams of one system call */
#define SLU_ENGINE_PAYLOAD 9216u                     /* what a peer with jumbo frames may send */
#define SLU_ENGINE_TICK_MS 50u                       /* liveness, gaps, joining */
#define SLU_ENGINE_DEAD_MS 1000u                     /* silence after which a member is dead */
#define SLU_ENGINE_EVENTS_MAX 256u                   /* for the control thread, which may be slow */

struct event;
struct evconnlistener;
struct mmsghdr;
struct slu_auth;
struct slu_feed;
struct slu_fetch;
struct slu_history;

/* Counters are written by the sync thread and read by any. */
#define SLU_ENGINE_COUNT(counter, n) __atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)

/* What one member says of another. */
struct slu_engine_sender {
	uint8_t id;
	uint64_t epoch, sequence;
};

struct slu_engine_peer {
	struct slu_sync_peer_address address;
	struct slu_sync_peer_state count;
	struct slu_replay replay;
	uint64_t heard_ms; /* 0: never */
	bool alive, joined;
	/* What it told and we do not have. */
	bool want_all;          /* every session that it has */
	uint64_t known_epoch;   /* in it it fed this node, or was heard before it had anything */
	uint64_t gap_from;      /* from this sequence on; 0: nothing */
	bool gap_certain;       /* it came and was lost here: the replay window does not know */
	uint64_t not_before_ms; /* next try */
	uint32_t failures;      /* in a row */
	struct slu_fetch *fetch;
	/* How far it has heard the others, as it said when it was asked last. */
	struct slu_engine_sender senders[SLU_ENGINE_PEERS_MAX];
	uint32_t sender_count;
	uint64_t compare_ms; /* when to compare that with what came here; 0: not */
	/* What it told up to here came with the sessions of a member that had heard it. */
	uint64_t fed_epoch, fed_sequence;
	uint16_t text_bytes; /* lock */
	uint8_t text[SLU_SYNC_WIRE_TEXT_MAX];
};

/* Sessions on their way out. */
struct slu_outgoing {
	struct event *ready, *timer; /* the data plane has something; time to look or to flush */
	struct slu_history *history;
	struct slu_codec_writer writer;
	uint64_t flush_ms;                           /* when the datagram of `writer` must leave, if it has a session */
	uint64_t sequence;                           /* of the last datagram */
	uint64_t newest[SLU_SYNC_WIRE_REVISION + 1]; /* of those whose readers need this revision */
	uint32_t full;                               /* datagrams that wait for sendmmsg() */
	uint32_t bytes[SLU_ENGINE_BATCH];
	uint8_t *slot[SLU_ENGINE_BATCH + 1]; /* slot[full] is that of `writer` */
	uint8_t buffer[SLU_ENGINE_BATCH + 1][SLU_SYNC_WIRE_DATAGRAM_MAX];
};

/* Sessions on their way in. */
struct slu_incoming {
	struct event *readable, *retry;
	struct slu_codec_datagram datagram;
	uint32_t given;               /* of its records */
	bool stuck;                   /* the rest waits for room in an inbox */
	uint64_t stuck_ms;            /* since */
	struct slu_engine_peer *from; /* of the datagram; NULL: of Linux, or of no member any more */
	uint64_t sequence;
	uint32_t received, at; /* of the batch */
	uint32_t bytes[SLU_ENGINE_BATCH];
	uint8_t buffer[SLU_ENGINE_BATCH][SLU_ENGINE_PAYLOAD];
};

/* The interface that all this goes over, and whether our sockets still belong to it. */
struct slu_interface {
	char name[IF_NAMESIZE];
	int netlink;
	struct event *change, *retry;
	bool gone;
};

struct slu_joining {
	bool active;
	uint64_t started_ms, sessions;
};

struct slu_engine_event {
	uint8_t kind; /* enum slu_engine_event_kind */
	uint8_t id;
	bool alive;
	uint32_t ms;
	uint64_t sessions;
};
enum slu_engine_event_kind { SLU_ENGINE_MEMBER, SLU_ENGINE_JOINED };

struct slu_sync {
	struct slu_sync_options options; /* texts and key are not kept */
	unsigned int if_index;
	struct slu_interface interface;
	struct slu_dataplane *dp;
	struct slu_sync_events events;
	struct slu_auth *auth; /* NULL: without a key */
	int multicast;
	pthread_t thread;
	bool running;
	struct event_base *base;
	struct event *tick, *wake;
	struct evconnlistener *listener;
	int wake_fd;
	uint64_t ticked_ms;
	uint32_t ticks;

	struct slu_engine_peer peer[SLU_ENGINE_PEERS_MAX];
	uint32_t peer_count;
	struct slu_joining joining;
	struct slu_outgoing out;
	struct slu_incoming in;
	LIST_HEAD(, slu_feed) feeds;
	uint32_t feed_count;
	struct slu_sync_state count;

	pthread_mutex_t lock;
	/* From the control thread. */
	struct slu_sync_peer_address new_peers[SLU_ENGINE_PEERS_MAX];
	uint32_t new_peer_count;
	bool peers_changed, stop, join_all;
	uint16_t text_bytes;
	uint8_t text[SLU_SYNC_WIRE_TEXT_MAX];
	/* To it. */
	struct slu_engine_event told[SLU_ENGINE_EVENTS_MAX];
	uint32_t told_count;
	int told_fd;
	struct event *told_event; /* of its own event_base */
};

static inline uint64_t slu_engine_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* engine.c: an event for the control thread. */
void slu_engine_tell(struct slu_sync *sync, const struct slu_engine_event *event);

/* outgoing.c */
int slu_outgoing_open(struct slu_sync *sync);
void slu_outgoing_close(struct slu_sync *sync);
/* Takes what the data plane has, sends full datagrams, and the last one when it is due. */
void slu_outgoing_pump(struct slu_sync *sync);
void slu_outgoing_heartbeat(struct slu_sync *sync);

/* incoming.c */
int slu_incoming_open(struct slu_sync *sync);
/* Reads from the multicast socket, which is another one now. */
int slu_incoming_watch(struct slu_sync *sync);
void slu_incoming_close(struct slu_sync *sync);
/* One datagram as it came from the wire: verified, read, counted; its records are in in.datagram, given in part. */
void slu_incoming_take(struct slu_sync *sync, const uint8_t *bytes, uint32_t count);

/* peers.c */
struct slu_engine_peer *slu_peers_find(struct slu_sync *sync, uint8_t id); /* NULL: no member */
void slu_peers_replace(struct slu_sync *sync, const struct slu_sync_peer_address *peers, uint32_t count);
void slu_peers_heard(struct slu_sync *sync, struct slu_engine_peer *peer);
/* Something from this number on is missing; certain: though it came. */
void slu_peers_gap(struct slu_engine_peer *peer, uint64_t from, bool certain);
/* The revision that every living member reads is what this node writes from here on. */
void slu_peers_agree(struct slu_sync *sync);
/* Who fell silent; what is to be fetched. */
void slu_peers_tick(struct slu_sync *sync, uint64_t now_ms);
void slu_peers_join_all(struct slu_sync *sync);
/* A member's heartbeat has come. */
void slu_peers_status(struct slu_sync *sync, struct slu_engine_peer *peer, bool joined);
/* A member that is being asked says how far it has heard another; all: it was asked for everything. */
void slu_peers_sender(
	struct slu_sync *sync, struct slu_engine_peer *peer, const struct slu_engine_sender *sender, bool all);
/* A fetch has ended; ok: with everything that was asked for. */
void slu_peers_fetched(struct slu_sync *sync, struct slu_engine_peer *peer, bool ok, uint64_t sessions);

/* fetch.c: asks a member over TCP. from 0: everything it has. Ends with slu_peers_fetched(), unless it is freed. */
struct slu_fetch *slu_fetch_start(struct slu_sync *sync, struct slu_engine_peer *peer, uint64_t from);
void slu_fetch_free(struct slu_fetch *fetch); /* NULL is allowed */
uint64_t slu_fetch_from(const struct slu_fetch *fetch);
uint32_t slu_fetch_ms(const struct slu_fetch *fetch); /* since its start */

/* feed.c: answers members that ask. */
int slu_feed_listen(struct slu_sync *sync);          /* again, too */
void slu_feed_accept(struct slu_sync *sync, int fd); /* a member has connected */
void slu_feed_close(struct slu_sync *sync);

/* interface.c */
int slu_interface_open(struct slu_sync *sync);
void slu_interface_close(struct slu_sync *sync);

#endif
