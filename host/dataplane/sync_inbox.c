/*
 * Records of other nodes on their way into a worker's table: chosen a worker by
 * the thread that gives them, checked, and applied in batches, with buckets and
 * sessions on their way from memory meanwhile as in the burst of packets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ring_elem.h>

#include "host/dataplane/lifecycle.h"
#include "host/dataplane/local_port.h"
#include "host/dataplane/offload.h"
#include "host/dataplane/outbound.h"
#include "host/dataplane/sync.h"

#define BATCH 32
#define MEMO 1024u              /* places of backends found before, a power of two */
#define INCARNATION_TICKS 9770  /* created so much later: another session of the same tuples */
#define SAME_AGE_TICKS 488      /* half a second: nodes cannot tell who was first */
#define TRAVEL_TICKS_MAX 586000 /* ten minutes: no record is on its way so long */
#define RESTART_TICKS 2930      /* created so much later: what was seen before does not count */
#define CLAIM 1                 /* in a record's reserved field, from give to the worker */
#define SEEN (SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP | SLU_SESSION_RST)

struct job {
	const struct slu_sync_record *record;
	struct slu_session_key request, reply;
	uint64_t request_hash, reply_hash;
	uint32_t created;
	bool sound;
	bool claim; /* only of the request's tuple: the session is another worker's */
	uint8_t reply6[32];
};

struct slu_sync_inbox {
	struct slu_sync_record records[BATCH];
	struct job jobs[BATCH];
	uint32_t backend_memo[MEMO]; /* index in its group */
};

int slu_sync_inbox_create(struct slu_worker *w)
{
	w->sync_inbox = calloc(1, sizeof(*w->sync_inbox));
	return w->sync_inbox ? 0 : -ENOMEM;
}

void slu_sync_inbox_free(struct slu_worker *w)
{
	free(w->sync_inbox);
	w->sync_inbox = NULL;
}

/* ------------------------------------------------------------ understanding */

static bool is_zero(const uint8_t *address, uint8_t family)
{
	static const uint8_t zero[16];

	return !memcmp(address, zero, family == 4 ? 4 : 16);
}

static bool is_unicast(const uint8_t *address, uint8_t family)
{
	if (is_zero(address, family))
		return false;
	return family == 4 ? address[0] != 0 && address[0] != 127 && address[0] < 224 : address[0] != 0xFF;
}

static const uint8_t *local_of(const struct slu_sync_record *r)
{
	return r->mode == SLU_MODE_NAT ? r->client : r->local;
}

static slu_be16 local_port_of(const struct slu_sync_record *r)
{
	return r->mode == SLU_MODE_NAT ? r->client_port : r->local_port;
}

/* Sessions that this data plane can forward: Linux also tells of DR, of tunnels, and of protocols without ports. */
static bool is_forwardable(const struct slu_sync_record *r)
{
	return r->mode <= SLU_MODE_EIP && (r->protocol == SLU_PROTO_TCP || r->protocol == SLU_PROTO_UDP);
}

/* NAT, and who calls an EIP. */
static bool keeps_client(const struct slu_sync_record *r)
{
	return r->mode == SLU_MODE_NAT ||
	       (r->client_port == r->local_port && !memcmp(r->client, r->local, r->family == 4 ? 4 : 16));
}

static bool is_sound(const struct slu_sync_record *r)
{
	if (r->kind == SLU_SYNC_ASK)
		return (r->family == 4 || r->family == 6) && r->vpc <= SLU_VPC_MAX && is_forwardable(r) &&
		       is_unicast(r->client, r->family) && is_unicast(r->virtual_ip, r->family);
	if (r->kind > SLU_SYNC_END || (r->family != 4 && r->family != 6) || r->vpc > SLU_VPC_MAX)
		return false;
	if (!is_forwardable(r) || (r->protocol == SLU_PROTO_TCP && r->state >= SLU_TCP_STATES))
		return false;
	return is_unicast(r->client, r->family) && is_unicast(r->virtual_ip, r->family) &&
	       is_unicast(r->backend, r->family) && is_unicast(local_of(r), r->family);
}

static struct slu_session_key key_of(
	const struct slu_sync_record *r, const uint8_t *src, const uint8_t *dst, slu_be16 sport, slu_be16 dport)
{
	struct slu_session_key key = {0};

	if (r->family == 4)
		key.addresses = slu_packet_load32(src) | (uint64_t)slu_packet_load32(dst) << 32;
	key.rest = sport | (uint64_t)dport << 16 | (uint64_t)(r->protocol | r->vpc << 8) << 32;
	return key;
}

static void fill_keys(struct job *j)
{
	const struct slu_sync_record *r = j->record;

	j->request = key_of(r, r->client, r->virtual_ip, r->client_port, r->virtual_port);
	j->reply = key_of(r, r->backend, local_of(r), r->backend_port, local_port_of(r));
	if (r->family == 4)
		return;
	memcpy(j->reply6, r->backend, 16);
	memcpy(j->reply6 + 16, local_of(r), 16);
	j->request.address6 = r->client; /* and the virtual address behind it */
	j->reply.address6 = j->reply6;
}

static bool same_key(const struct slu_session_key *a, const struct slu_session_key *b)
{
	return a->addresses == b->addresses && a->rest == b->rest && !a->address6 == !b->address6 &&
	       (!a->address6 || !memcmp(a->address6, b->address6, 32));
}

static void understand(const struct slu_worker *w, struct job *j)
{
	const struct slu_sync_record *r = j->record;
	uint32_t age_ms = RTE_MIN(r->age_ms, SLU_TIMEOUT_MAX_S * 1000);

	j->sound = is_sound(r);
	if (!j->sound)
		return;
	fill_keys(j);
	j->sound = !same_key(&j->request, &j->reply);
	j->claim = w->dp->workers > 1 && r->reserved == CLAIM;
	j->created = w->now_tick - slu_session_tick((uint64_t)age_ms * 1000);
	j->request_hash = slu_session_table_hash(&w->table, &j->request);
	j->reply_hash = slu_session_table_hash(&w->table, &j->reply);
	slu_session_table_prefetch(&w->table, j->request_hash);
	slu_session_table_prefetch(&w->table, j->reply_hash);
}

/* ---------------------------------------------------- listener and backend */

static bool is_backend(const struct slu_backend *b, const struct slu_sync_record *r)
{
	uint16_t port = __builtin_bswap16(r->backend_port);

	if (b->address.family != r->family || memcmp(b->address.bytes, r->backend, r->family == 4 ? 4 : 16))
		return false;
	return b->port ? b->port == port : r->backend_port == r->virtual_port;
}

/* Of a listener; sessions of outbound services have none. */
static const struct slu_backend *find_backend(
	const struct slu_worker *w, const struct slu_listener *l, const struct slu_sync_record *r)
{
	const struct slu_group *g;
	uint32_t *memo, hash;

	if (!l || slu_lifecycle_is_outbound(l))
		return NULL;
	g = w->generation->groups[l->group];
	hash = slu_packet_load32(r->backend + (r->family == 4 ? 0 : 12)) ^ r->backend_port ^ l->group;
	hash = (hash ^ slu_packet_load32(r->backend)) * 0x9E3779B1u ^ slu_packet_load32(r->backend + 4) * 0x85EBCA6Bu;
	memo = &w->sync_inbox->backend_memo[(hash ^ hash >> 16) % MEMO];
	if (*memo < g->backend_count && is_backend(&g->backends[*memo], r))
		return &g->backends[*memo];
	for (uint32_t i = 0; i < g->backend_count; i++) {
		if (is_backend(&g->backends[i], r)) {
			*memo = i;
			return &g->backends[i];
		}
	}
	return NULL;
}

/* The listener, or the outbound service: that of the address called, else that of the address lent. */
static const struct slu_listener *find_listener(const struct slu_worker *w, const struct slu_sync_record *r)
{
	const struct slu_address_entry *address;

	if (!w->index)
		return NULL;
	address = slu_listener_index_address(w->index, r->vpc, r->family, r->virtual_ip);
	if (!address && !keeps_client(r))
		address = slu_listener_index_address(w->index, r->vpc, r->family, r->local);
	if (address && address->outbound)
		return &address->outbound->service;
	return address ? slu_listener_index_find(w->index, address, r->protocol, __builtin_bswap16(r->virtual_port))
		       : NULL;
}

/* What a session came without may be configured by now. */
static void assign(struct slu_worker *w, uint32_t sid, const struct slu_sync_record *r)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	const struct slu_listener *l;
	const struct slu_backend *b;

	if (cold->listener_live != SLU_SESSION_NONE_LIVE && cold->backend_live != SLU_SESSION_NONE_LIVE)
		return;
	l = find_listener(w, r);
	b = find_backend(w, l, r);
	if (b || (l && cold->listener_live == SLU_SESSION_NONE_LIVE))
		slu_lifecycle_assign(w, sid, l, b);
}

/* -------------------------------------------------------- known sessions */

static bool is_newer(uint16_t version, uint16_t than)
{
	return (int16_t)(uint16_t)(version - than) > 0;
}

static bool is_within(int32_t difference, int32_t margin)
{
	return difference >= -margin && difference <= margin;
}

enum news { NEWS_STALE, NEWS_SAME, NEWS_NEWER, NEWS_NEXT };

/*
 * What a record is to what is known of its session: its version says so, unless it is of the next session of the same
 * tuples. When a session was made is known no better than to the time that its records travelled.
 */
static enum news news_of(const struct job *j, const struct slu_session_cold *cold)
{
	uint16_t version = j->record->version;
	int32_t later = j->record->age_ms ? (int32_t)(j->created - cold->created) : 0;

	if (version == 0 || cold->version == 0)
		return NEWS_NEWER; /* of Linux: the last word counts */
	if (version == cold->version)
		return NEWS_SAME;
	if (is_newer(version, cold->version))
		return later < -TRAVEL_TICKS_MAX ? NEWS_STALE : NEWS_NEWER;
	return later > INCARNATION_TICKS ? NEWS_NEXT : NEWS_STALE;
}

static void heard_of(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	cold->sync_tick = w->now_tick;
	__atomic_store_n(&hot->last_seen, w->now_tick, __ATOMIC_RELAXED);
}

/* The version that is known here already. Where our state is another, our report of it was lost, or is on its way. */
static void hear_again(struct slu_worker *w, uint32_t sid, const struct slu_sync_record *r)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);

	heard_of(w, sid);
	slu_sync_set_life(w, sid, r->state == hot->state ? r->life_s : 0);
	if (r->protocol == SLU_PROTO_TCP && (r->state != hot->state || (r->flags & SEEN) != (hot->flags & SEEN)))
		slu_sync_changed(w, sid);
}

/*
 * Takes the owner's state. A FIN that was seen here and that it has not heard of stays, and is reported again.
 */
static void take_state(struct slu_worker *w, uint32_t sid, const struct job *j, bool same_incarnation)
{
	const struct slu_sync_record *r = j->record;
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint8_t flags = r->flags & SEEN, missing = 0, state = r->protocol == SLU_PROTO_TCP ? r->state : 0;

	if (same_incarnation && r->protocol == SLU_PROTO_TCP && r->age_ms &&
		is_within((int32_t)(j->created - cold->created), RESTART_TICKS))
		missing = hot->flags & ~flags & (SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP);
	if (missing & SLU_SESSION_FIN_REQ)
		state = slu_tcp_state_next(SLU_DIR_REQUEST, SLU_TCP_FIN, state);
	if (missing & SLU_SESSION_FIN_REP)
		state = slu_tcp_state_next(SLU_DIR_REPLY, SLU_TCP_FIN, state);
	slu_lifecycle_told(w, sid);
	cold->sync = (uint8_t)((cold->sync & SLU_SYNC_YIELDED) | SLU_SYNC_TOLD | SLU_SYNC_FOREIGN);
	if (!same_incarnation) {
		cold->created = j->created;
		cold->creator = r->creator;
	}
	slu_sync_set_life(w, sid, missing ? 0 : r->life_s);
	slu_lifecycle_set(w, sid, state, flags | missing);
	if (r->version)
		__atomic_store_n(&cold->version, r->version, __ATOMIC_RELEASE);
	heard_of(w, sid);
	if (missing)
		slu_sync_changed(w, sid);
}

/* How far a TCP connection has come; what is behind never replaces what is ahead. */
static unsigned int progress(uint8_t state)
{
	static const uint8_t of[SLU_TCP_STATES] = {[SLU_TCP_NONE] = 0,
		[SLU_TCP_SYN_SENT] = 1,
		[SLU_TCP_SYN_RECV] = 1,
		[SLU_TCP_SYNACK] = 1,
		[SLU_TCP_LISTEN] = 1,
		[SLU_TCP_ESTABLISHED] = 2,
		[SLU_TCP_FIN_WAIT] = 3,
		[SLU_TCP_CLOSE_WAIT] = 3,
		[SLU_TCP_LAST_ACK] = 4,
		[SLU_TCP_TIME_WAIT] = 5,
		[SLU_TCP_CLOSE] = 6};

	return of[state];
}

/* The owner joins what another node saw to what it saw itself: a FIN of either side makes a whole close. */
static void take_report(struct slu_worker *w, uint32_t sid, const struct slu_sync_record *r)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint8_t state = hot->state, flags = hot->flags & SEEN, new = r->flags &SEEN & ~flags;

	slu_worker_count(w, SLU_COUNT_SYNC_REPORTS);
	__atomic_store_n(&hot->last_seen, w->now_tick, __ATOMIC_RELAXED);
	if (r->protocol != SLU_PROTO_TCP)
		return;
	if (new &SLU_SESSION_FIN_REQ)
		state = slu_tcp_state_next(SLU_DIR_REQUEST, SLU_TCP_FIN, state);
	if (new &SLU_SESSION_FIN_REP)
		state = slu_tcp_state_next(SLU_DIR_REPLY, SLU_TCP_FIN, state);
	if (new &SLU_SESSION_RST && state != SLU_TCP_ESTABLISHED)
		new &= (uint8_t)~SLU_SESSION_RST; /* nothing to revive */
	/* It knew what we know, and saw more; or it saw something else at the same time. */
	if (r->version == cold->version || progress(r->state) > progress(state))
		state = r->state;
	/* It knew of our RST, and saw the connection live on. */
	if (flags & SLU_SESSION_RST && !(r->flags & SLU_SESSION_RST) && r->version == cold->version &&
		r->state == SLU_TCP_ESTABLISHED) {
		flags &= (uint8_t)~SLU_SESSION_RST;
		state = SLU_TCP_ESTABLISHED;
		slu_worker_count(w, SLU_COUNT_RST_REVIVED);
	}
	if (slu_lifecycle_set(w, sid, state, flags | new) && cold->sync & SLU_SYNC_TOLD)
		slu_sync_changed(w, sid);
}

/* ------------------------------------------------------------ new sessions */

static void fill_session(struct slu_worker *w, uint32_t sid, const struct job *j)
{
	const struct slu_sync_record *r = j->record;
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	hot->proto_vpc = r->protocol | r->vpc << 8;
	hot->tuple[SLU_DIR_REQUEST].sport = r->client_port;
	hot->tuple[SLU_DIR_REQUEST].dport = r->virtual_port;
	hot->tuple[SLU_DIR_REPLY].sport = r->backend_port;
	hot->tuple[SLU_DIR_REPLY].dport = local_port_of(r);
	if (r->family == 6) {
		struct slu_session_addresses *a = slu_session_table_addresses(&w->table, sid);

		memcpy(a->address[SLU_DIR_REQUEST], j->request.address6, 32);
		memcpy(a->address[SLU_DIR_REPLY], j->reply6, 32);
	} else {
		memcpy(&hot->tuple[SLU_DIR_REQUEST], &j->request.addresses, 8);
		memcpy(&hot->tuple[SLU_DIR_REPLY], &j->reply.addresses, 8);
	}
	hot->state = r->protocol == SLU_PROTO_TCP ? r->state : 0;
	hot->flags = r->flags & SEEN;
	if (keeps_client(r))
		hot->flags |= SLU_SESSION_NAT;
	cold->created = j->created;
	cold->version = r->version;
	cold->creator = r->creator;
	cold->sync_tick = w->now_tick;
	cold->sync = SLU_SYNC_TOLD | SLU_SYNC_FOREIGN;
}

/* Whether a session that has just been heard of takes the request's tuple from one of w, which may be any worker. */
static bool wins(const struct slu_worker *w, const struct job *j, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	int32_t later = (int32_t)(j->created - cold->created);

	if (slu_lifecycle_finished(hot) || slu_sync_is_left_over(w, sid))
		return true;
	/* One node makes the next session only when the last one is over; we missed its end. */
	if (j->record->creator && j->record->creator == cold->creator)
		return later > 0;
	if (!is_within(later, SAME_AGE_TICKS))
		return later < 0;
	return j->record->creator < cold->creator;
}

/* Ends a copy without telling anybody. Returns false if the card still has a part in it: it ends later. */
static bool end_copy(struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	cold->sync |= SLU_SYNC_ENDED | SLU_SYNC_TOLD;
	if (hot->flags & SLU_SESSION_OFFLOADED && slu_offload_busy(w, sid)) {
		slu_offload_take_back(w, sid);
		slu_lifecycle_reschedule(w, sid);
		return false;
	}
	slu_lifecycle_end(w, sid);
	return true;
}

/* The prefix that decides about a session, of a node with a view: that of the public address of an EIP that is called,
 * else of the local address. */
static const struct slu_cluster_prefix *prefix_of(const struct slu_worker *w, const struct slu_sync_record *r)
{
	struct slu_ip address = {.family = r->family};

	memcpy(address.bytes, keeps_client(r) ? r->virtual_ip : r->local, r->family == 4 ? 4 : 16);
	return slu_cluster_view_find(w->cluster, &address);
}

static bool is_home(const struct slu_worker *w, const struct slu_sync_record *r)
{
	const struct slu_cluster_prefix *prefix = w->cluster ? prefix_of(w, r) : NULL;

	if (!w->cluster)
		return true;
	return (prefix ? prefix->home : w->cluster->nat_owner) == w->cluster->self;
}

/* The reply's tuple has one session. In our own prefix it is ours, elsewhere the younger one: the other has ended. */
static bool make_reply_free(struct slu_worker *w, const struct job *j, uint32_t entry)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, SLU_SID(entry));

	if (!(entry & SLU_ENTRY_REPLY) || is_home(w, j->record)) {
		slu_worker_count(w, SLU_COUNT_SYNC_CONFLICT);
		return false;
	}
	if ((int32_t)(j->created - cold->created) < 0) {
		slu_worker_count(w, SLU_COUNT_SYNC_STALE);
		return false;
	}
	slu_worker_count(w, SLU_COUNT_SYNC_CONFLICT);
	return end_copy(w, SLU_SID(entry));
}

static bool is_buried(struct slu_worker *w, const struct job *j)
{
	const struct slu_sync_record *r = j->record;
	const struct slu_tombstone *stone =
		slu_tombstone_find(&w->tombstones, slu_sync_tombstone_key(j->request_hash, j->reply_hash), w->now_tick);

	if (!stone || !r->version || is_newer(r->version, stone->version))
		return false;
	return r->age_ms == 0 || (int32_t)(j->created - stone->created_tick) <= INCARNATION_TICKS;
}

/*
 * Gives the request's tuple of a session away. One of an earlier process that nobody knows of any more ends with it:
 * its client has gone on to another. If it lives all the same, a member tells of it again.
 */
static void yield(struct slu_worker *w, uint32_t sid)
{
	bool left_over = slu_sync_is_left_over(w, sid);

	slu_session_table_yield(&w->table, sid);
	if (left_over)
		end_copy(w, sid);
	else if (slu_session_table_hot(&w->table, sid)->flags & SLU_SESSION_OFFLOADED)
		slu_offload_take_back(w, sid);
}

/*
 * Whether the request's tuple is another session's that keeps it, here or at another worker; *here is the entry of one
 * that is to give it away. -EEXIST: it is that of replies.
 */
static int must_yield(const struct slu_worker *w, const struct job *j, uint32_t *here)
{
	const struct slu_worker *other = w;
	uint32_t entry = slu_session_table_find(&w->table, j->request_hash, &j->request);

	*here = entry;
	if (!entry && w->dp->workers > 1) {
		other = w->dp->worker[slu_sync_peek(w->dp, w->id, j->request_hash, &j->request)];
		if (other != w)
			entry = slu_session_table_find(&other->table, j->request_hash, &j->request);
	}
	if (entry & SLU_ENTRY_REPLY)
		return -EEXIST;
	return entry && !wins(other, j, SLU_SID(entry));
}

/* Returns the sid, or 0. */
static uint32_t insert(struct slu_worker *w, const struct job *j)
{
	const struct slu_sync_record *r = j->record;
	const struct slu_listener *l;
	const struct slu_backend *b;
	uint32_t sid, other;
	int yields;

	if (is_buried(w, j)) {
		slu_worker_count(w, SLU_COUNT_SYNC_TOMBSTONED);
		return 0;
	}
	other = slu_session_table_find(&w->table, j->reply_hash, &j->reply);
	if (other && !make_reply_free(w, j, other))
		return 0;
	yields = must_yield(w, j, &other);
	if (other || yields)
		slu_worker_count(w, SLU_COUNT_SYNC_CONFLICT);
	if (yields < 0)
		return 0;
	sid = slu_session_table_alloc(&w->table, r->family == 6);
	if (!sid) {
		slu_worker_count(w, SLU_COUNT_SYNC_NO_ROOM);
		return 0;
	}
	if (other && !yields)
		yield(w, SLU_SID(other));
	fill_session(w, sid, j);
	slu_sync_set_life(w, sid, r->life_s);
	if (yields)
		slu_session_table_cold(&w->table, sid)->sync |= SLU_SYNC_YIELDED;
	l = find_listener(w, r);
	b = find_backend(w, l, r);
	if (slu_lifecycle_adopt(w, sid, l, b)) {
		slu_session_table_release(&w->table, sid);
		slu_worker_count(w, SLU_COUNT_SYNC_NO_ROOM);
		return 0;
	}
	slu_worker_count(w, SLU_COUNT_SYNC_TAKEN);
	if (!l || (!b && !slu_lifecycle_is_outbound(l)))
		slu_worker_count(w, SLU_COUNT_SYNC_ORPHAN);
	return sid;
}

/* Who has the request's tuple may have ended, or be the younger one by what is known now. */
static void reclaim(struct slu_worker *w, uint32_t sid, const struct job *j)
{
	uint32_t holder;

	if (!(slu_session_table_cold(&w->table, sid)->sync & SLU_SYNC_YIELDED))
		return;
	if (must_yield(w, j, &holder))
		return;
	if (holder)
		yield(w, SLU_SID(holder));
	/* No room in its buckets: it stays as it is. */
	(void)slu_session_table_reclaim(&w->table, sid);
}

static void update(struct slu_worker *w, uint32_t sid, const struct job *j)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	const struct slu_sync_record *r = j->record;
	enum news news = news_of(j, cold);

	/* Linux has no versions: its view of a session of ours is a report, unless it is of the next one. */
	if (r->version == 0 && cold->version && slu_sync_is_owner(w, sid) &&
		!(slu_lifecycle_finished(hot) && r->state == SLU_TCP_ESTABLISHED)) {
		take_report(w, sid, r);
		return;
	}
	if (news == NEWS_STALE) {
		slu_worker_count(w, SLU_COUNT_SYNC_STALE);
		return;
	}
	if (news == NEWS_SAME && !(cold->sync & SLU_SYNC_ENDED)) {
		slu_worker_count(w, SLU_COUNT_SYNC_REFRESHED);
		if (!slu_sync_is_owner(w, sid))
			hear_again(w, sid, r);
	} else {
		slu_worker_count(w, SLU_COUNT_SYNC_CHANGED);
		take_state(w, sid, j, news != NEWS_NEXT);
	}
	/* What was on its way for long looked younger than it is. */
	if (r->age_ms && (int32_t)(j->created - cold->created) < 0)
		cold->created = j->created;
	assign(w, sid, r);
	reclaim(w, sid, j);
}

/* ---------------------------------------------------------------- applying */

/* The session of both tuples, or 0. */
static uint32_t known(const struct slu_worker *w, const struct job *j)
{
	uint32_t entry = slu_session_table_find(&w->table, j->reply_hash, &j->reply);
	struct slu_session_key request;

	if (!(entry & SLU_ENTRY_REPLY))
		return 0;
	request = slu_session_table_key(&w->table, SLU_SID(entry), SLU_DIR_REQUEST);
	return same_key(&request, &j->request) ? SLU_SID(entry) : 0;
}

static void apply_session(struct slu_worker *w, const struct job *j)
{
	uint32_t sid = known(w, j);

	if (sid)
		update(w, sid, j);
	else
		insert(w, j);
}

/* Whether a session that is not here would be ours. */
static bool would_own(const struct slu_worker *w, const struct slu_sync_record *r)
{
	const struct slu_cluster_prefix *prefix = w->cluster ? prefix_of(w, r) : NULL;
	uint8_t owner;

	if (!w->cluster)
		return true;
	owner = prefix ? prefix->owner : w->cluster->nat_owner;
	return (owner ? owner : r->creator) == w->cluster->self;
}

/* Another node has told of a session that both of us opened (of an EIP, each with one direction): it is told now. */
static void tell_reported(struct slu_worker *w, uint32_t sid, const struct slu_sync_record *r)
{
	slu_session_table_cold(&w->table, sid)->version = r->version;
	slu_sync_first(w, sid);
}

/* A report of a session that its owner does not know brings it: the record that should have was lost. */
static void apply_report(struct slu_worker *w, const struct job *j)
{
	uint32_t sid = known(w, j);

	if (!would_own(w, j->record)) {
		slu_worker_count(w, SLU_COUNT_SYNC_NOT_OURS);
		return;
	}
	if (sid && !(slu_session_table_cold(&w->table, sid)->sync & SLU_SYNC_ENDED)) {
		take_report(w, sid, j->record);
		if (!(slu_session_table_cold(&w->table, sid)->sync & SLU_SYNC_TOLD))
			tell_reported(w, sid, j->record);
		return;
	}
	sid = sid ? 0 : insert(w, j);
	if (sid)
		slu_sync_changed(w, sid);
}

/*
 * Who could not hear us took our session for its own, saw no packet of it, and ended it. All who heard that end have
 * buried it under that version: a newer one brings it back.
 */
static void contradict(struct slu_worker *w, uint32_t sid, const struct slu_sync_record *r)
{
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	slu_worker_count(w, SLU_COUNT_SYNC_CONTRADICTED);
	if (!r->version || cold->sync & SLU_SYNC_ENDED)
		return;
	__atomic_store_n(&cold->version, r->version, __ATOMIC_RELEASE);
	slu_sync_changed(w, sid);
}

static void apply_end(struct slu_worker *w, const struct job *j)
{
	const struct slu_sync_record *r = j->record;
	const struct slu_session_cold *cold;
	struct slu_session_hot ended = {.proto_vpc = r->protocol, .state = r->state};
	uint32_t sid = known(w, j);

	if (sid) {
		cold = slu_session_table_cold(&w->table, sid);
		if (news_of(j, cold) == NEWS_STALE) {
			slu_worker_count(w, SLU_COUNT_SYNC_STALE);
			return;
		}
		if (slu_sync_is_owner(w, sid)) {
			contradict(w, sid, r);
			return;
		}
		ended.state = slu_session_table_hot(&w->table, sid)->state;
	}
	slu_sync_bury(w, slu_sync_tombstone_key(j->request_hash, j->reply_hash), r->version, j->created,
		slu_session_tick((uint64_t)slu_tcp_state_timeout_s(NULL, r->protocol, ended.state) * 1000000));
	if (sid) {
		slu_worker_count(w, SLU_COUNT_SYNC_ENDED);
		end_copy(w, sid);
	}
}

/* Of a session that is over the asker would only hear the end. */
static void apply_ask(struct slu_worker *w, const struct job *j)
{
	uint32_t entry = slu_session_table_find(&w->table, j->request_hash, &j->request);

	if (entry && !slu_lifecycle_finished(slu_session_table_hot(&w->table, entry)))
		slu_sync_answer(w, SLU_SID(entry), j->record->sender);
}

/* Another worker takes a session whose request's tuple one of ours has. */
static void apply_claim(struct slu_worker *w, const struct job *j)
{
	uint32_t entry = slu_session_table_find(&w->table, j->request_hash, &j->request);

	if (!entry || entry & SLU_ENTRY_REPLY || !wins(w, j, SLU_SID(entry)))
		return;
	slu_worker_count(w, SLU_COUNT_SYNC_CONFLICT);
	yield(w, SLU_SID(entry));
}

static void apply(struct slu_worker *w, const struct job *j)
{
	if (!j->sound) {
		slu_worker_count(w, is_forwardable(j->record) ? SLU_COUNT_SYNC_BAD : SLU_COUNT_SYNC_UNSUPPORTED);
		return;
	}
	if (j->claim) {
		apply_claim(w, j);
		return;
	}
	switch (j->record->kind) {
	case SLU_SYNC_SESSION:
		apply_session(w, j);
		return;
	case SLU_SYNC_REPORT:
		apply_report(w, j);
		return;
	case SLU_SYNC_ASK:
		apply_ask(w, j);
		return;
	default:
		apply_end(w, j);
	}
}

/* The session that a key may have: its lines will be needed. */
static void prefetch_session(const struct slu_worker *w, uint64_t hash)
{
	uint32_t entry = slu_session_table_candidate(&w->table, hash);

	if (!entry)
		return;
	rte_prefetch0(slu_session_table_hot(&w->table, entry));
	rte_prefetch0(slu_session_table_cold(&w->table, entry));
	if (entry & SLU_ENTRY_IPV6)
		rte_prefetch0(slu_session_table_addresses(&w->table, entry));
}

uint16_t slu_sync_inbox_drain(struct slu_worker *w)
{
	struct slu_sync_inbox *in = w->sync_inbox;
	uint32_t count = rte_ring_sc_dequeue_burst_elem(w->inbox, in->records, sizeof(in->records[0]), BATCH, NULL);

	for (uint32_t i = 0; i < count; i++) {
		in->jobs[i].record = &in->records[i];
		understand(w, &in->jobs[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!in->jobs[i].sound)
			continue;
		slu_tombstone_prefetch(
			&w->tombstones, slu_sync_tombstone_key(in->jobs[i].request_hash, in->jobs[i].reply_hash));
		prefetch_session(w, in->jobs[i].reply_hash);
		prefetch_session(w, in->jobs[i].request_hash);
	}
	for (uint32_t i = 0; i < count; i++)
		apply(w, &in->jobs[i]);
	return (uint16_t)count;
}

/* ----------------------------------------------- the thread that gives them */

static bool put(struct slu_dataplane *dp, uint32_t to, const struct slu_sync_record *r, uint32_t *woken)
{
	*woken |= 1u << to;
	return rte_ring_sp_enqueue_elem(dp->worker[to]->inbox, (void *)(uintptr_t)r, sizeof(*r)) == 0;
}

/* Where the replies of a session come in. */
static uint32_t worker_of(const struct slu_dataplane *dp, const struct slu_neigh_view *neigh, const struct job *j)
{
	const struct slu_generation *g = __atomic_load_n(&dp->generation, __ATOMIC_ACQUIRE);
	const struct slu_sync_record *r = j->record;
	struct slu_ip backend = {.family = r->family}, ask;
	const struct slu_nexthop *hop;
	uint16_t port = SLU_PORTS_MAX;
	uint32_t owner;
	int result;

	if (keeps_client(r))
		return slu_worker_nat_owner(dp, r->family, r->client, r->client_port);
	if (g && slu_outbound_worker_of(dp, g->index, &j->request, &j->reply, &owner))
		return owner;
	memcpy(backend.bytes, r->backend, r->family == 4 ? 4 : 16);
	result = neigh ? slu_neigh_resolve(neigh, &backend, &hop, &port, &ask) : -EHOSTUNREACH;
	if (result == 0)
		port = hop->port;
	return slu_local_port_owner(dp, port, &j->reply);
}

/* Prepares keys, hashes and buckets of all workers; what is no sound record goes to the first worker to be counted. */
static void look_up(const struct slu_dataplane *dp, struct job *j, const struct slu_sync_record *r)
{
	*j = (struct job){.record = r, .sound = is_sound(r)};
	if (!j->sound)
		return;
	fill_keys(j);
	/* All tables hash alike. */
	j->request_hash = slu_session_table_hash(&dp->worker[0]->table, &j->request);
	j->reply_hash = slu_session_table_hash(&dp->worker[0]->table, &j->reply);
	for (uint32_t i = 0; i < dp->workers; i++) {
		slu_session_table_prefetch(&dp->worker[i]->table, j->request_hash);
		slu_session_table_prefetch(&dp->worker[i]->table, j->reply_hash);
	}
}

/*
 * A session that is known stays with its worker. One that has the tuple of another worker's session in its request
 * goes there too, as a claim: whose it is from now on.
 */
static bool give_one(struct slu_dataplane *dp, const struct slu_neigh_view *neigh, const struct job *j, uint32_t *woken)
{
	struct slu_sync_record r = *j->record;
	uint32_t to = 0, other;

	r.reserved = 0;
	if (j->sound && r.kind == SLU_SYNC_ASK) {
		if (!slu_session_table_find(&dp->worker[0]->table, j->request_hash, &j->request))
			to = slu_sync_peek(dp, 0, j->request_hash, &j->request);
	} else if (j->sound) {
		to = worker_of(dp, neigh, j);
		if (!slu_session_table_find(&dp->worker[to]->table, j->reply_hash, &j->reply))
			to = slu_sync_peek(dp, to, j->reply_hash, &j->reply);
		other = slu_sync_peek(dp, to, j->request_hash, &j->request);
		if (other != to && r.kind == SLU_SYNC_SESSION) {
			r.reserved = CLAIM;
			if (!put(dp, other, &r, woken))
				return false;
			r.reserved = 0;
		}
	}
	return put(dp, to, &r, woken);
}

static uint32_t give_many(
	struct slu_dataplane *dp, const struct slu_sync_record *records, uint32_t count, uint32_t *woken)
{
	const struct slu_neigh_view *neigh;
	struct job jobs[16];
	uint32_t given = 0, part;
	bool room = true;

	rte_rcu_qsbr_thread_online(dp->qsbr, SLU_READER_GIVER);
	neigh = __atomic_load_n(&dp->neigh, __ATOMIC_ACQUIRE);
	while (given < count && room) {
		part = RTE_MIN(count - given, RTE_DIM(jobs));
		for (uint32_t i = 0; i < part; i++)
			look_up(dp, &jobs[i], &records[given + i]);
		for (uint32_t i = 0; i < part && room; i++) {
			room = give_one(dp, neigh, &jobs[i], woken);
			given += room;
		}
	}
	rte_rcu_qsbr_thread_offline(dp->qsbr, SLU_READER_GIVER);
	return given;
}

uint32_t slu_sync_give(struct slu_dataplane *dp, const struct slu_sync_record *records, uint32_t count)
{
	uint32_t given, woken = 1;

	if (!dp->sync.outbox)
		return count;
	if (dp->workers == 1)
		given = rte_ring_sp_enqueue_burst_elem(dp->worker[0]->inbox, records, sizeof(*records), count, NULL);
	else
		given = give_many(dp, records, count, &woken);
	for (; woken; woken &= woken - 1) {
		const struct slu_worker *w = dp->worker[__builtin_ctz(woken)];

		if (w->wake)
			slu_wake_kick(w->wake);
	}
	return given;
}
