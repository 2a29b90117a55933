/*
 * A worker: everything its thread touches while packets flow. Only for the
 * files of this folder.
 */
#ifndef SLU_HOST_WORKER_H
#define SLU_HOST_WORKER_H

#include <rte_mbuf_dyn.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "host/dataplane/ask.h"
#include "host/dataplane/dataplane.h"
#include "host/dataplane/fragment.h"
#include "host/dataplane/listener_index.h"
#include "host/dataplane/meter.h"
#include "host/dataplane/neigh.h"
#include "host/dataplane/packet.h"
#include "host/dataplane/session_table.h"
#include "host/dataplane/tcp_state.h"
#include "host/dataplane/timer_wheel.h"
#include "host/dataplane/tombstone.h"
#include "host/wake.h"

#define SLU_HANDOVER_RING 1024
#define SLU_OFFLOAD_RING 4096
#define SLU_OFFLOAD_LIST 1024
#define SLU_HELD_MAX 64
#define SLU_UNRESOLVED_RING 256
#define SLU_READER_GIVER SLU_WORKERS_MAX      /* of published views: the thread that gives records, */
#define SLU_READERS_MAX (SLU_WORKERS_MAX + 1) /* besides the workers */
#define SLU_LIVE_MAX 65536
#define SLU_ANSWERS_PER_S 1000 /* RSTs and ICMP errors of our own, per worker */
#define SLU_ANSWERS_BURST 200

struct slu_out {
	uint16_t count;
	struct rte_mbuf *packets[SLU_OUT_MAX];
};

/* One worker's share of a live index. 64-bit words are read by other threads. */
struct slu_live {
	uint64_t connections;
	uint32_t active, inactive;
	uint32_t untold; /* of both: those that the rest of the cluster has not heard of */
};

/* A packet that waits for its neighbour. */
struct slu_held {
	struct rte_mbuf *mbuf;
	uint64_t deadline_us;
	uint32_t sid;
	uint16_t generation;
	uint8_t dir;
};

struct slu_unresolved {
	struct slu_ip address;
	uint16_t port;
	uint8_t reserved;
} __attribute__((aligned(4)));

/* What travels with a packet from worker to worker, in a dynamic field of the mbuf. */
struct slu_handover {
	uint32_t ports; /* of a later fragment */
	uint8_t hops;
	uint8_t has_ports;
	uint8_t reserved[2];
};

#define SLU_HOPS_FINAL 0xFF /* the packet belongs here; do not pass it on */

struct slu_worker {
	/* What a packet needs. */
	const struct slu_generation *generation;
	const struct slu_listener_index *index;
	const struct slu_nexthop *hops;
	const struct slu_neigh_view *neigh;
	uint16_t neigh_epoch;
	uint16_t hop_count;
	uint32_t now_tick;
	uint32_t bound_tick; /* when the sessions of an earlier process were taken over */
	uint64_t now_us;
	struct slu_session_table table;
	struct slu_meters meters;
	uint64_t counters[SLU_COUNT_MAX];
	uint32_t tx_ports;

	struct slu_dataplane *dp;
	uint32_t id;
	uint32_t answer_tokens;
	uint64_t answer_time_us;
	uint64_t random;

	struct slu_live *backend_live, *listener_live; /* [SLU_LIVE_MAX] */
	uint32_t *port_cursor;                         /* [SLU_LIVE_MAX], by backend */
	uint32_t outbound_turn;                        /* of SNAT's ports for TCP */
	uint32_t rr_cursor[1024];                      /* by group index */

	struct rte_ring *handover;   /* mbufs from other workers */
	struct rte_ring *offload;    /* struct slu_offload_request to the agent */
	struct rte_ring *unresolved; /* struct slu_unresolved to control */
	uint32_t offload_list[SLU_OFFLOAD_LIST];
	uint32_t offload_count;
	struct slu_held held[SLU_HELD_MAX];
	uint16_t held_count;
	uint16_t held_epoch;
	struct slu_unresolved asked[16];
	uint64_t asked_us[16];

	const struct slu_cluster_view *cluster; /* NULL: every session is ours */
	bool told;                              /* records were put into the outbox since the consumer was woken */
	struct rte_ring *outbox, *inbox;        /* struct slu_sync_record */
	struct slu_tombstone_table tombstones;
	uint32_t *life_s[2]; /* [capacity + 1] by family: the life of a copy as its owner told it last; 0: not told */
	struct slu_ask ask;
	struct slu_sync_inbox *sync_inbox; /* records being worked on */
	struct slu_wake *wake;             /* of the worker's loop; NULL: it never sleeps */
	uint32_t home_hint;                /* prefix of the view that the last local address was in */

	struct slu_timer_wheel wheel;
	struct slu_fragment_table fragments;
	struct slu_packet burst[SLU_BURST_MAX];
	struct slu_out exceptions;
	struct slu_out tx[SLU_PORTS_MAX];
};

struct slu_dataplane {
	const struct slu_generation *generation; /* atomic */
	struct slu_neigh_view *neigh;            /* atomic */
	const struct slu_cluster_view *cluster;  /* atomic */
	uint64_t quiet_until_us;                 /* atomic */
	bool offload_enabled;                    /* atomic */
	uint32_t workers;
	uint32_t sessions;
	uint16_t port_first, port_last;
	uint32_t vpc[SLU_PORTS_MAX];
	struct slu_rss rss[SLU_PORTS_MAX];
	int handover_offset; /* of struct slu_handover in an mbuf */
	uint16_t neigh_epoch;
	uint32_t offload_turn;
	uint32_t unresolved_turn;
	bool bound; /* recovered sessions have their live indexes */
	struct slu_session_file *file;
	struct rte_rcu_qsbr *qsbr;
	uint8_t node;                  /* atomic; this one's id, 0: not known yet */
	struct slu_sync_settings sync; /* outbox 0: off */
	struct slu_wake sync_wake;     /* of the consumer of the outboxes */
	bool sync_armed;               /* the consumer's */
	uint32_t sync_turn;
	uint32_t *backend_elsewhere; /* [SLU_LIVE_MAX], atomic: sessions of other nodes that are not known here */
	uint32_t *listener_ceiling; /* [SLU_LIVE_MAX], atomic: sessions known here that are allowed, plus 1; 0: not told
				     */
	struct slu_worker *worker[SLU_WORKERS_MAX];
};

static inline void slu_worker_count(struct slu_worker *w, enum slu_counter counter)
{
	__atomic_store_n(&w->counters[counter], w->counters[counter] + 1, __ATOMIC_RELAXED);
}

static inline void slu_worker_drop(struct slu_worker *w, struct rte_mbuf *m, enum slu_counter why)
{
	slu_worker_count(w, why);
	rte_pktmbuf_free(m);
}

static inline void slu_worker_send(struct slu_worker *w, uint16_t port, struct rte_mbuf *m)
{
	struct slu_out *out = &w->tx[port];

	w->tx_ports |= 1u << port;
	out->packets[out->count++] = m;
}

static inline void slu_worker_except(struct slu_worker *w, struct slu_packet *p)
{
	slu_worker_count(w, SLU_COUNT_EXCEPTION);
	p->mbuf->port = p->in_port;
	w->exceptions.packets[w->exceptions.count++] = p->mbuf;
}

static inline struct slu_handover *slu_worker_handover_of(const struct slu_worker *w, struct rte_mbuf *m)
{
	return RTE_MBUF_DYNFIELD(m, w->dp->handover_offset, struct slu_handover *);
}

/* Takes one of the answers that this second still has. */
bool slu_worker_may_answer(struct slu_worker *w);

/* Picks up what control published; both views stay valid until this worker reports quiescence. */
void slu_worker_refresh(struct slu_worker *w);

uint64_t slu_worker_random(struct slu_worker *w);

/* Passes a packet to the worker that owns it; final: that one must not pass it on. Takes the packet. */
void slu_worker_hand_over(struct slu_worker *w, struct slu_packet *p, uint32_t to, bool final);

/* Passes a packet that could be anybody's to the next worker that has not seen it. Returns false if all have. */
bool slu_worker_try_next(struct slu_worker *w, struct slu_packet *p);

/* In NAT mode both directions know the client's address and port, so these choose the worker. */
uint32_t slu_worker_nat_owner(const struct slu_dataplane *dp, uint8_t family, const uint8_t *client, slu_be16 port);

/* The same of a packet: by its source, or if reply its destination. */
uint32_t slu_worker_peer_owner(const struct slu_worker *w, const struct slu_packet *p, bool reply);

/* May this TCP segment open a session? If not it is taken. */
bool slu_worker_opens(struct slu_worker *w, struct slu_packet *p);

/* Processes one understood packet (plain ones with their hash); the slow half of a burst. Takes the packet. */
void slu_worker_dispatch(struct slu_worker *w, struct slu_packet *p);

static inline slu_session_ref slu_worker_ref(const struct slu_worker *w, uint32_t sid)
{
	return (uint64_t)slu_session_table_cold(&w->table, sid)->generation << 48 | (uint64_t)(w->id + 1) << 32 | sid;
}

#endif
