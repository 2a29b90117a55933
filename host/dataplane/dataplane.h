/*
 * The data plane: sessions, and what happens to a packet that the card did not
 * forward by itself.
 *
 * Threads. Functions named slu_worker_* belong to one worker: only its thread
 * calls them. All others are for the control thread unless they say otherwise.
 * The control thread publishes immutable views (generation, neighbours); workers
 * pick them up at their next burst or tick and report quiescence through it, so
 * an old view may be freed once slu_dataplane_grace_done() says so.
 *
 * Time is microseconds of CLOCK_MONOTONIC everywhere, the card's clock included.
 */
#ifndef SLU_HOST_DATAPLANE_H
#define SLU_HOST_DATAPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/control/generation.h"
#include "host/dataplane/counters.h"
#include "sluice/types.h"

struct rte_mbuf;
struct slu_dataplane;
struct slu_worker;
struct slu_neigh_view;
struct slu_cluster_view;
struct slu_sync_record;

#define SLU_WORKERS_MAX 16
#define SLU_PORTS_MAX 32 /* ethdev port ids below this */
#define SLU_BURST_MAX 64 /* packets in one slu_worker_burst() */
#define SLU_OUT_MAX 256  /* packets an output array holds */

/* A session's directions: from the client, and back to it. */
enum slu_dir { SLU_DIR_REQUEST, SLU_DIR_REPLY };

/*
 * Names a session for as long as it lives: worker, index and a reuse count. A
 * stale reference is recognised and ignored. 0 names no session.
 */
typedef uint64_t slu_session_ref;

/* ------------------------------------------------------------------ life */

struct slu_dataplane_settings {
	const char *session_file;       /* NULL: anonymous memory, sessions end with the process */
	uint32_t sessions;              /* capacity of all workers together */
	uint32_t workers;               /* 1..SLU_WORKERS_MAX */
	uint16_t port_first, port_last; /* local ports of FULLNAT; 0, 0: 1024..65535 */
	uint64_t now_us;
};

/* What slu_dataplane_create() found in the session file. */
struct slu_dataplane_recovery {
	bool reused;           /* an earlier process's sessions were taken over */
	bool clean;            /* that process had closed the file */
	uint32_t sessions;     /* kept */
	uint32_t dropped;      /* half-written entries dropped */
	const char *discarded; /* static text: why an existing file was not used, or NULL */
};

/*
 * Maps (or creates) the session file and prepares the workers. The file is locked until destroy, may live on tmpfs or
 * hugetlbfs, and its name must not contain "map_" (DPDK deletes such files). A file of another layout, boot, worker
 * count or capacity is replaced by an empty one, and *recovery says why. EAL must be initialised.
 *
 * Returns 0; -EINVAL, -ENOMEM, -EBUSY (file in use by another process), or the error of open/mmap. On failure *dp is
 * NULL.
 */
int slu_dataplane_create(const struct slu_dataplane_settings *settings, struct slu_dataplane **dp,
	struct slu_dataplane_recovery *recovery);

/* Marks the file clean and releases everything. No worker may be running. Published views stay the caller's. */
void slu_dataplane_destroy(struct slu_dataplane *dp);

/* The worker's handle; owned by the data plane. */
struct slu_worker *slu_dataplane_worker(struct slu_dataplane *dp, uint32_t worker);

/*
 * Receive side scaling of a port, so that local ports can be chosen whose return traffic lands on the right worker.
 * Without it, or with valid = false, the local port encodes the worker and packets cross a ring. Before the workers
 * start.
 */
struct slu_rss {
	bool valid;
	_Alignas(4) uint8_t key[52]; /* Toeplitz key */
	uint8_t key_bytes;
	bool ports; /* TCP and UDP ports are hashed too; false: addresses only */
	uint16_t reta_size;
	uint16_t reta[512]; /* queue */
	uint8_t worker_of_queue[256];
};
void slu_dataplane_set_rss(struct slu_dataplane *dp, uint16_t port, const struct slu_rss *rss);

/* Tenant network of untagged packets that enter on an ethdev port; 0 by default. Before the workers start. */
void slu_dataplane_set_vpc(struct slu_dataplane *dp, uint16_t port, uint32_t vpc);

/* For so long, packets without a session on a listener are dropped silently instead of answered with RST. */
void slu_dataplane_quiet_until(struct slu_dataplane *dp, uint64_t time_us);

/* --------------------------------------------------------- publication */

/*
 * Builds generation->index for the data path's lookups. Returns 0 or -ENOMEM, -EINVAL (overlapping ranges), -E2BIG
 * (more than 65,535 live indexes). slu_listener_index_free() accepts NULL.
 */
int slu_listener_index_build(struct slu_generation *generation);
void slu_listener_index_free(void *index);

/*
 * Publishes a generation whose index is built; returns the previous one (NULL at first). The caller frees that after a
 * grace period. The first publication also binds recovered sessions to the live indexes of their stable ids, so it must
 * happen before the workers start.
 */
const struct slu_generation *slu_dataplane_publish(struct slu_dataplane *dp, const struct slu_generation *generation);

/*
 * Grace period: take a token after publishing; when done(token) is true no worker sees the old view any more.
 * synchronize waits for it (a sleeping worker must have called slu_worker_offline()).
 */
uint64_t slu_dataplane_grace_start(struct slu_dataplane *dp);
bool slu_dataplane_grace_done(struct slu_dataplane *dp, uint64_t token);
void slu_dataplane_synchronize(struct slu_dataplane *dp);

/* ---------------------------------------- neighbours and routes (neigh.c) */

/* Where a packet goes next. */
struct slu_nexthop {
	uint16_t port; /* ethdev port */
	uint8_t dst_mac[6];
	uint8_t src_mac[6];
	uint16_t vlan_tci; /* 0: untagged */
	uint16_t mtu;      /* of the IP packet; 0: no limit */
};

/*
 * A view of the kernel's routes and neighbours. Fill an empty one, publish it; immutable afterwards. Adding an address
 * or a prefix again replaces the earlier entry. gateway NULL: destinations are on the link. Adders return 0, -EINVAL,
 * -ENOMEM, or -E2BIG (65,534 neighbours).
 */
struct slu_neigh_view *slu_neigh_view_create(void);
int slu_neigh_view_add_route(struct slu_neigh_view *view, const struct slu_ip *prefix, uint8_t prefix_bits,
	uint16_t port, const struct slu_ip *gateway);
int slu_neigh_view_add_neighbour(
	struct slu_neigh_view *view, const struct slu_ip *address, const struct slu_nexthop *hop);
void slu_neigh_view_free(struct slu_neigh_view *view);

/*
 * Longest prefix, then its gateway's (or the destination's own) neighbour entry on that port. Any thread.
 * Returns 0 and *hop; -EHOSTUNREACH: no route; -EAGAIN: not resolved, and *ask_port and *ask name whom to resolve.
 */
int slu_neigh_resolve(const struct slu_neigh_view *view, const struct slu_ip *destination,
	const struct slu_nexthop **hop, uint16_t *ask_port, struct slu_ip *ask);

/* Publishes; returns the previous view, which the caller frees after a grace period. */
struct slu_neigh_view *slu_dataplane_publish_neigh(struct slu_dataplane *dp, struct slu_neigh_view *view);

/* The next neighbour that a worker wants resolved. Poll it; returns false when there is none. Packets wait up to a
 * second. */
bool slu_dataplane_next_unresolved(struct slu_dataplane *dp, uint16_t *port, struct slu_ip *address);

/* ----------------------------------------------- sessions of a cluster (sync.c)
 *
 * A session is told first by its trigger, or when the card gets its client's packets, then with every change of its
 * state, and while it is used every third of its time-out (less up to an eighth of that). Its owner tells it
 * (SLU_SYNC_SESSION, SLU_SYNC_END); what another node sees it reports (SLU_SYNC_REPORT). A copy ends when its owner
 * says so, or when neither a word of it nor a packet came for four thirds of its time-out, which is that of its
 * listener here. Copies count among a backend's live sessions: every node's least-connection scheduler sees those of
 * all.
 */

/* When a new session is told for the first time. */
enum slu_sync_trigger {
	SLU_SYNC_AFTER_DATA,   /* after `threshold` packets of the client that carry data */
	SLU_SYNC_AFTER_PACKETS /* as Linux IPVS: packets of the client, SYN and ACK too, modulo `period` equal
				  `threshold` */
};

struct slu_sync_settings {
	enum slu_sync_trigger trigger;
	uint32_t threshold, period;
	uint32_t outbox; /* records that may wait in each worker, a power of two; 0: no sync at all */
	uint32_t inbox;  /* the same towards each worker */
};

/* Once, before the workers start. Returns 0, -EINVAL or -ENOMEM. */
int slu_dataplane_set_sync(struct slu_dataplane *dp, const struct slu_sync_settings *settings);

/* Publishes who owns what; returns the previous view (NULL at first), which the caller frees after a grace period. */
const struct slu_cluster_view *slu_dataplane_publish_cluster(
	struct slu_dataplane *dp, const struct slu_cluster_view *view);

/*
 * Takes records that workers want to tell the cluster, oldest first within a worker. One consumer thread, any. Returns
 * how many; `sender` and `age_ms` are filled in. A worker whose outbox is full counts sync_outbox_full and tells the
 * session later: nothing waits.
 */
uint32_t slu_sync_take(struct slu_dataplane *dp, struct slu_sync_record *records, uint32_t max);

/* A descriptor that is readable when slu_sync_take() has something after it returned 0 (an eventfd; read it, then
 * take). */
int slu_sync_event(const struct slu_dataplane *dp);

/*
 * Gives records that came from other nodes. Each goes to the worker that will see the session's packets on this node.
 * One producer thread, any. Returns how many were taken, from the front; the first that was not found its inbox full:
 * give the rest again later, or drop them.
 */
uint32_t slu_sync_give(struct slu_dataplane *dp, const struct slu_sync_record *records, uint32_t count);

/*
 * For a joining node: the records of all sessions from *cursor on (0 at first; advanced), those of other owners too, as
 * slu_dataplane_sessions(). Any thread. Returns the number; 0 at the end.
 */
uint32_t slu_sync_snapshot(struct slu_dataplane *dp, uint64_t *cursor, struct slu_sync_record *records, uint32_t max);

/* ------------------------------------------------- a worker's thread only */

struct slu_wake;

/* How slu_sync_give() wakes this worker's loop (host/wake.h); without it the loop must not sleep. Before it starts. */
void slu_worker_set_wake(struct slu_worker *worker, struct slu_wake *wake);

/* Registers the calling thread as this worker. Call once before, and once after, its loop. */
void slu_worker_start(struct slu_worker *worker);
void slu_worker_stop(struct slu_worker *worker);

/*
 * Processes up to SLU_BURST_MAX packets received on in_port and takes ownership of all of them. What is to be sent is
 * then in the output arrays: take each with slu_worker_take_tx() and slu_worker_take_exceptions() before the next call
 * of burst or poll. Every packet leaves with its VLAN tag inside the data or gone.
 */
void slu_worker_burst(struct slu_worker *worker, uint16_t in_port, struct rte_mbuf **packets, uint16_t count);

/* Same for packets handed over by other workers and for held packets. Returns how many it worked on. Call once a loop.
 */
uint16_t slu_worker_poll(struct slu_worker *worker);

/* Whether packets of other workers wait for this one's slu_worker_poll(); so that whoever put them there can wake it.
 * Any thread. */
bool slu_worker_handover_waiting(const struct slu_worker *worker);

/*
 * Output array of an ethdev port, emptied by the call; the packets are the caller's, the array is valid until the next
 * call of burst or poll. slu_worker_tx_ports() is a bit mask of ports with something to take.
 */
uint32_t slu_worker_tx_ports(const struct slu_worker *worker);
uint16_t slu_worker_take_tx(struct slu_worker *worker, uint16_t port, struct rte_mbuf ***packets);

/* Packets for the kernel; mbuf->port is the port they came from. They may be partly parsed but are unchanged. */
uint16_t slu_worker_take_exceptions(struct slu_worker *worker, struct rte_mbuf ***packets);

/*
 * Takes the time, ends sessions that timed out (a bounded number a call) and reports quiescence. Call once a loop, at
 * least every millisecond while packets flow. Returns microseconds until it has something to do again, at most 250,000.
 */
uint32_t slu_worker_tick(struct slu_worker *worker, uint64_t now_us);

/* Around a sleep: an offline worker does not delay grace periods. Output arrays must be empty. */
void slu_worker_offline(struct slu_worker *worker);
void slu_worker_online(struct slu_worker *worker);

/*
 * Moves the offload requests that became due to the agent's ring: reply direction first. Call after the burst was
 * transmitted and a receive poll returned less than a full burst, so that no packet of the session is still queued
 * here.
 */
void slu_worker_offload_flush(struct slu_worker *worker);

/* Whether requests of this worker wait for the control thread: for slu_offload_next() or
 * slu_dataplane_next_unresolved(). */
bool slu_worker_control_waiting(const struct slu_worker *worker);

/* --------------------------------------------------------------- offload */

enum slu_offload_op { SLU_OFFLOAD_INSTALL, SLU_OFFLOAD_REMOVE };

/* Everything a rule needs. Addresses: IPv4 in the first four bytes. Ports as in the packet. */
struct slu_offload_request {
	slu_session_ref session;
	uint8_t op;  /* enum slu_offload_op; for REMOVE only session and dir count */
	uint8_t dir; /* enum slu_dir */
	uint8_t family;
	uint8_t protocol;
	uint32_t vpc;
	uint16_t in_port; /* where packets of this direction are expected */
	slu_be16 sport, dport, new_sport, new_dport;
	struct slu_nexthop hop;
	uint8_t src[16], dst[16], new_src[16], new_dst[16];
	uint32_t listener_id, backend_id;
	uint32_t reserved;
};

/* Offloading is off until a card is there; false also stops new requests, rules that exist stay. Any time. */
void slu_offload_enable(struct slu_dataplane *dp, bool enable);

/* The next request of any worker, in each worker's order. Returns false when there is none. One consumer. */
bool slu_offload_next(struct slu_dataplane *dp, struct slu_offload_request *request);

/*
 * Answer to INSTALL. ok: the card has the direction from now on. Not ok: the direction stays in software and is asked
 * for again after 4,096 more packets of it. Returns false if the session is gone, has ended or was not asked for: then
 * remove the rule, and tell its counters to slu_offload_removed().
 */
bool slu_offload_done(struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir, bool ok);

/* Whether an INSTALL request still makes sense: many sessions end while their requests wait. */
bool slu_offload_wanted(struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir);

/*
 * Counters of a rule since its installation, absolute, and when it matched last (0: never). They keep the session
 * alive.
 */
void slu_offload_counters(struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir, uint64_t packets,
	uint64_t bytes, uint64_t last_seen_us);

/*
 * The rule is gone, asked for or not, and these are its final counters. The direction is software's again. A session
 * that had ended waits for this before its memory is used again.
 */
void slu_offload_removed(
	struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir, uint64_t packets, uint64_t bytes);

/*
 * After a restart, before the workers start and after both views were published: the INSTALL requests of all directions
 * that the card had. Adopt or create each rule and answer with slu_offload_done(); a direction not answered ok must be
 * answered with ok = false. *cursor starts at 0. Returns false at the end.
 */
bool slu_offload_next_recovered(struct slu_dataplane *dp, uint64_t *cursor, struct slu_offload_request *request);

/* ---------------------------------------------------- reading (any thread) */

enum slu_owner { SLU_OWNER_SOFTWARE, SLU_OWNER_CARD };

struct slu_session_snapshot {
	slu_session_ref session;
	uint32_t worker;
	uint8_t family, protocol;
	enum slu_mode mode;
	uint32_t vpc;
	struct slu_ip client, virtual_ip, local, backend;             /* NAT: local is the client */
	uint16_t client_port, virtual_port, local_port, backend_port; /* host order */
	uint32_t listener_id, backend_id;
	uint8_t state; /* IPVS number of TCP; name by slu_session_state_name() */
	uint32_t age_ms, idle_ms, timeout_ms, expires_ms;
	enum slu_owner owner[2];                 /* by enum slu_dir */
	uint64_t packets[2], bytes[2];           /* software and card together; whole frames as received, without FCS */
	uint64_t card_packets[2], card_bytes[2]; /* the part of a rule that exists */
	uint8_t owner_node;                      /* of the cluster; 0: there is none, or nobody is known */
	uint8_t creator;                         /* node that made it; 0: not known */
	bool passive;                            /* another node owns it */
	bool heard;                              /* passive, and its last sign of life was that node's word */
	bool synced;                             /* the cluster knows it */
	uint16_t version;
};

/*
 * Copies up to max sessions from *cursor on (0 at first; advanced). Each snapshot is consistent in itself; sessions
 * that come and go meanwhile may or may not appear. Returns the number; 0 at the end. Timing is as of the worker's last
 * tick.
 */
uint32_t slu_dataplane_sessions(
	struct slu_dataplane *dp, uint64_t *cursor, struct slu_session_snapshot *out, uint32_t max);
bool slu_dataplane_session(struct slu_dataplane *dp, slu_session_ref session, struct slu_session_snapshot *out);
const char *slu_session_state_name(uint8_t protocol, uint8_t state);

/* Sum over workers. */
void slu_dataplane_counters(const struct slu_dataplane *dp, uint64_t counters[SLU_COUNT_MAX]);
uint32_t slu_dataplane_session_count(const struct slu_dataplane *dp);
uint32_t slu_dataplane_session_capacity(const struct slu_dataplane *dp);
/* Bytes of memory of the session table, its index and the workers that are in use for the present sessions. */
uint64_t slu_dataplane_memory_bytes(const struct slu_dataplane *dp);

/*
 * Live counters of a backend or listener, by its live index. A live index may be given to something new when active +
 * inactive is 0.
 */
struct slu_live_counters {
	uint64_t connections;      /* created since start */
	uint64_t active, inactive; /* present; active is ESTABLISHED, or any UDP session */
	uint64_t untold;           /* of both: those that no other node of the cluster has heard of */
};
void slu_dataplane_backend_counters(const struct slu_dataplane *dp, uint32_t live, struct slu_live_counters *out);
void slu_dataplane_listener_counters(const struct slu_dataplane *dp, uint32_t live, struct slu_live_counters *out);

/*
 * What a cluster's other nodes add (control thread; told to workers at once). Sessions to a backend that are not known
 * here, for least connections; and how many sessions of a listener known here are allowed now, in place of
 * max_sessions (UINT32_MAX: max_sessions alone rules again).
 */
void slu_dataplane_set_elsewhere(struct slu_dataplane *dp, uint32_t backend_live, uint32_t sessions);
void slu_dataplane_set_ceiling(struct slu_dataplane *dp, uint32_t listener_live, uint32_t sessions);

/*
 * What was metered (meter.h): every packet of a session that left this node, software's and card's, whole frames as
 * received without FCS, by enum slu_dir. Never falls.
 */
struct slu_meter_reading {
	uint32_t listener_id, backend_id; /* stable ids; 0: nobody's, or no backend's in particular */
	bool internal;                    /* scope of the client or remote; else internet */
	bool outgoing;                    /* requests leave the inside (SNAT, EIP); else they enter it */
	uint64_t packets[2], bytes[2];
};

/* Copies up to max meters from *cursor on (0 at first; advanced); one key may come from every worker. Returns the
 * number; 0 at the end. */
uint32_t slu_dataplane_meters(
	const struct slu_dataplane *dp, uint64_t *cursor, struct slu_meter_reading *out, uint32_t max);

/*
 * A new session file knows nothing of what was metered before it: tell it, before the workers start; also if there is
 * nothing to tell.
 */
bool slu_dataplane_meters_seeded(const struct slu_dataplane *dp);
void slu_dataplane_seed_meters(struct slu_dataplane *dp, const struct slu_meter_reading *readings, uint32_t count);

#endif
