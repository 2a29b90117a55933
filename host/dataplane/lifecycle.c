#include "host/dataplane/lifecycle.h"

#include <errno.h>
#include <stdlib.h>

#include "host/dataplane/client_address.h"
#include "host/dataplane/forward.h"
#include "host/dataplane/local_port.h"
#include "host/dataplane/offload.h"
#include "host/dataplane/scheduler.h"
#include "host/dataplane/sync.h"

#define RESET_PROOF_S 5 /* of the ten that a reset leaves: traffic seen in them proves that the connection lives */
#define MATTERS (SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP | SLU_SESSION_RST)

static uint32_t ticks(uint32_t seconds)
{
	return slu_session_tick((uint64_t)seconds * 1000000);
}

uint32_t slu_lifecycle_timeout_s(
	const struct slu_generation *g, const struct slu_session_hot *hot, const struct slu_session_cold *cold)
{
	const struct slu_listener *l = NULL;

	if (g && cold->listener_live < g->listener_live_limit)
		l = g->listener_by_live[cold->listener_live];
	return slu_tcp_state_timeout_s(l ? &l->timeouts : NULL, (uint8_t)hot->proto_vpc, hot->state);
}

static void add(uint32_t *count, int change)
{
	__atomic_store_n(count, *count + (uint32_t)change, __ATOMIC_RELAXED);
}

/* Counts a session with these flags in or out. */
static void count_live(struct slu_worker *w, const struct slu_session_cold *cold, uint8_t flags, int change)
{
	struct slu_live *lives[2] = {&w->backend_live[cold->backend_live], &w->listener_live[cold->listener_live]};

	for (int i = 0; i < 2; i++) {
		add(flags & SLU_SESSION_ACTIVE ? &lives[i]->active : &lives[i]->inactive, change);
		if (flags & SLU_SESSION_TELL)
			add(&lives[i]->untold, change);
	}
}

/* Changes flags that are counted. */
static void set_counted(
	struct slu_worker *w, struct slu_session_hot *hot, const struct slu_session_cold *cold, uint8_t flags)
{
	if (flags == hot->flags)
		return;
	count_live(w, cold, hot->flags, -1);
	hot->flags = flags;
	count_live(w, cold, flags, 1);
}

static void set_active(
	struct slu_worker *w, struct slu_session_hot *hot, const struct slu_session_cold *cold, bool active)
{
	set_counted(
		w, hot, cold, (uint8_t)(active ? hot->flags | SLU_SESSION_ACTIVE : hot->flags & ~SLU_SESSION_ACTIVE));
}

void slu_lifecycle_told(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);

	set_counted(w, hot, slu_session_table_cold(&w->table, sid), (uint8_t)(hot->flags & ~SLU_SESSION_TELL));
}

/* Into the wheel: to be looked at when it may be over, or earlier if the cluster is to hear of it. */
static void schedule(struct slu_worker *w, uint32_t sid, uint32_t deadline)
{
	if (unlikely(slu_session_table_cold(&w->table, sid)->sync))
		deadline = slu_sync_deadline(w, sid, deadline);
	slu_timer_wheel_insert(&w->wheel, &w->table, sid, deadline);
}

void slu_lifecycle_reschedule(struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint32_t last_seen = __atomic_load_n(&hot->last_seen, __ATOMIC_RELAXED);

	slu_timer_wheel_remove(&w->wheel, &w->table, sid);
	schedule(w, sid, last_seen + ticks(slu_lifecycle_timeout_s(w->generation, hot, cold)));
}

/* ---------------------------------------------------------------- creation */

bool slu_lifecycle_bad_source(const struct slu_packet *p)
{
	static const uint8_t zero[16];
	const uint8_t *src = slu_packet_l3(p) + (p->family == 4 ? 12 : 8);

	if (p->family == 4)
		return src[0] == 0 || src[0] == 127 || src[0] >= 224;
	return src[0] == 0xFF || !memcmp(src, zero, 16);
}

void slu_lifecycle_fill_request(struct slu_session_table *t, uint32_t sid, const struct slu_packet *p)
{
	struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	uint32_t ports = (uint32_t)p->key.rest;

	if (p->family == 4)
		memcpy(&hot->tuple[SLU_DIR_REQUEST], &p->key.addresses, 8);
	else
		memcpy(slu_session_table_addresses(t, sid)->address[SLU_DIR_REQUEST], p->key.address6, 32);
	memcpy(&hot->tuple[SLU_DIR_REQUEST].sport, &ports, 4);
	hot->proto_vpc = (uint32_t)(p->key.rest >> 32);
}

static void fill_backend(struct slu_session_table *t, uint32_t sid, const struct slu_backend *b)
{
	struct slu_session_hot *hot = slu_session_table_hot(t, sid);

	if (sid & SLU_ENTRY_IPV6)
		memcpy(slu_session_table_addresses(t, sid)->address[SLU_DIR_REPLY], b->address.bytes, 16);
	else
		memcpy(&hot->tuple[SLU_DIR_REPLY].src, b->address.bytes, 4);
	hot->tuple[SLU_DIR_REPLY].sport = b->port ? __builtin_bswap16(b->port) : hot->tuple[SLU_DIR_REQUEST].dport;
}

/* NAT: the client stays the source. Two listeners may map it onto one backend; then the second gets no session. */
static int keep_client(struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	struct slu_session_key key;

	hot->flags |= SLU_SESSION_NAT;
	hot->tuple[SLU_DIR_REPLY].dst = hot->tuple[SLU_DIR_REQUEST].src;
	hot->tuple[SLU_DIR_REPLY].dport = hot->tuple[SLU_DIR_REQUEST].sport;
	if (sid & SLU_ENTRY_IPV6) {
		struct slu_session_addresses *a = slu_session_table_addresses(t, sid);

		memcpy(a->address[SLU_DIR_REPLY] + 16, a->address[SLU_DIR_REQUEST], 16);
	}
	key = slu_session_table_key(t, sid, SLU_DIR_REPLY);
	return slu_session_table_find(t, slu_session_table_hash(t, &key), &key) ? SLU_COUNT_DROP_NO_LOCAL_PORT : 0;
}

void slu_lifecycle_fill_deltas(struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_tuple *in = &hot->tuple[SLU_DIR_REQUEST], *back = &hot->tuple[SLU_DIR_REPLY];

	if (sid & SLU_ENTRY_IPV6) {
		const struct slu_session_addresses *a = slu_session_table_addresses(t, sid);
		uint8_t was[36], is[36];

		memcpy(was, a->address[SLU_DIR_REQUEST], 32);
		memcpy(was + 32, &in->sport, 4);
		memcpy(is, a->address[SLU_DIR_REPLY] + 16, 16);
		memcpy(is + 16, a->address[SLU_DIR_REPLY], 16);
		memcpy(is + 32, &back->dport, 2);
		memcpy(is + 34, &back->sport, 2);
		slu_packet_edit_deltas(was, is, 16, NULL, &hot->l4_delta);
	} else if ((uint8_t)hot->proto_vpc == SLU_PROTO_ICMP) {
		/* No pseudo header. */
		const slu_be16 was[2] = {in->sport, in->dport}, is[2] = {back->dport, back->sport};
		const struct slu_tuple both = {back->dst, back->src, 0, 0};

		hot->l3_delta = slu_checksum_delta(in, &both, 8);
		hot->l4_delta = slu_checksum_delta(was, is, 4);
	} else {
		const struct slu_tuple is = {back->dst, back->src, back->dport, back->sport};

		slu_packet_edit_deltas(in, &is, 4, &hot->l3_delta, &hot->l4_delta);
	}
}

/* The tuple towards the backend, in either mode. Returns 0 or the reason. */
static int fill_reply(struct slu_worker *w, uint32_t sid, const struct slu_listener *l, const struct slu_backend *b)
{
	const struct slu_nexthop *hop = NULL;
	bool no_route;

	fill_backend(&w->table, sid, b);
	if (l->mode == SLU_MODE_NAT)
		return keep_client(&w->table, sid);
	if (w->dp->workers > 1)
		hop = slu_forward_nexthop(w, sid, SLU_DIR_REQUEST, &no_route);
	return slu_local_port_choose(w, sid, b->live, hop ? hop->port : SLU_PORTS_MAX);
}

/* Whether an address and port of one direction are the other's too. */
static bool keeps(const struct slu_session_table *t, uint32_t sid, unsigned int dir)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_tuple *in = &hot->tuple[dir], *out = &hot->tuple[dir ^ 1];

	if (in->sport != out->dport)
		return false;
	if (sid & SLU_ENTRY_IPV6) {
		const struct slu_session_addresses *a = slu_session_table_addresses(t, sid);

		return !memcmp(a->address[dir], a->address[dir ^ 1] + 16, 16);
	}
	return in->src == out->dst;
}

/* The meter of a session by its ids, and the scope of its client, or of the remote that is called. */
static void choose_meter(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	bool outgoing = keeps(&w->table, sid, SLU_DIR_REPLY);
	struct slu_meter_key key = {
		.listener_id = cold->listener_id, .backend_id = cold->backend_id, .outgoing = outgoing};
	const void *peer;

	if (sid & SLU_ENTRY_IPV6)
		peer = slu_session_table_addresses(&w->table, sid)->address[SLU_DIR_REQUEST] + (outgoing ? 16 : 0);
	else
		peer = outgoing ? &hot->tuple[SLU_DIR_REQUEST].dst : &hot->tuple[SLU_DIR_REQUEST].src;
	key.internal = w->index && slu_prefix_set_find(&w->index->internal, 0, sid & SLU_ENTRY_IPV6 ? 6 : 4, peer);
	slu_session_set_meter(hot, slu_meter_get(&w->meters, &key));
}

static void fill_cold(struct slu_worker *w, uint32_t sid, const struct slu_listener *l, const struct slu_backend *b)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint8_t protocol = (uint8_t)hot->proto_vpc;

	cold->listener_id = l->id;
	cold->backend_id = b ? b->id : 0;
	cold->listener_live = (uint16_t)l->live;
	cold->backend_live = b ? (uint16_t)b->live : SLU_SESSION_NONE_LIVE;
	cold->created = w->now_tick;
	hot->last_seen = w->now_tick;
	hot->bytes_nexthop[0] = hot->bytes_nexthop[1] = SLU_NEXTHOP_NONE;
	if (l->offload && (protocol == SLU_PROTO_TCP || protocol == SLU_PROTO_UDP))
		hot->flags |= SLU_SESSION_OFFLOAD;
	if (protocol != SLU_PROTO_TCP)
		hot->flags |= SLU_SESSION_ACTIVE;
	if (w->dp->sync.outbox && (protocol == SLU_PROTO_TCP || protocol == SLU_PROTO_UDP)) {
		hot->flags |= SLU_SESSION_TELL;
		cold->creator = __atomic_load_n(&w->dp->node, __ATOMIC_RELAXED);
	}
	choose_meter(w, sid);
}

static void begin(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint8_t state = (uint8_t)hot->proto_vpc == SLU_PROTO_TCP ? SLU_TCP_SYN_RECV : hot->state;
	struct slu_session_hot expected = {.proto_vpc = hot->proto_vpc, .state = state};

	slu_timer_wheel_insert(&w->wheel, &w->table, sid,
		w->now_tick + ticks(slu_lifecycle_timeout_s(w->generation, &expected, cold)));
	count_live(w, cold, hot->flags, 1);
	w->backend_live[cold->backend_live].connections++;
	w->listener_live[cold->listener_live].connections++;
	slu_worker_count(w, SLU_COUNT_SESSIONS_CREATED);
}

int slu_lifecycle_publish(struct slu_worker *w, uint32_t sid, const struct slu_listener *l, const struct slu_backend *b)
{
	slu_lifecycle_fill_deltas(&w->table, sid);
	fill_cold(w, sid, l, b);
	if (slu_session_table_publish(&w->table, sid))
		return SLU_COUNT_DROP_TABLE_FULL;
	begin(w, sid);
	return 0;
}

/* Whether the listener may have one more: by this node's share of what is free in the cluster, or alone by its limit.
 */
static bool has_room(const struct slu_dataplane *dp, const struct slu_listener *l)
{
	uint32_t ceiling = __atomic_load_n(&dp->listener_ceiling[l->live], __ATOMIC_RELAXED);
	uint64_t allowed = ceiling ? ceiling - 1 : l->max_sessions, sum = 0;

	for (uint32_t i = 0; i < dp->workers; i++) {
		const struct slu_live *live = &dp->worker[i]->listener_live[l->live];

		sum += __atomic_load_n(&live->active, __ATOMIC_RELAXED) +
		       __atomic_load_n(&live->inactive, __ATOMIC_RELAXED);
	}
	return sum < allowed;
}

uint32_t slu_lifecycle_create(
	struct slu_worker *w, const struct slu_packet *p, const struct slu_listener *l, enum slu_counter *why)
{
	const struct slu_backend *b;
	uint32_t sid;
	int reason;

	*why = SLU_COUNT_DROP_BAD_ADDRESS;
	if (slu_lifecycle_bad_source(p))
		return 0;
	*why = SLU_COUNT_DROP_LIMIT;
	if (unlikely(l->max_sessions) && !has_room(w->dp, l))
		return 0;
	*why = SLU_COUNT_DROP_NO_BACKEND;
	b = slu_scheduler_pick(w, l->group, p);
	if (!b || b->address.family != p->family)
		return 0;
	*why = SLU_COUNT_DROP_TABLE_FULL;
	sid = slu_session_table_alloc(&w->table, p->family == 6);
	if (!sid)
		return 0;
	slu_lifecycle_fill_request(&w->table, sid, p);
	reason = fill_reply(w, sid, l, b);
	if (!reason)
		reason = slu_lifecycle_publish(w, sid, l, b);
	if (!reason) {
		if (unlikely(l->client_address != SLU_CLIENT_ADDRESS_NONE))
			slu_client_address_open(w, sid, l);
		return sid;
	}
	*why = (enum slu_counter)reason;
	slu_session_table_release(&w->table, sid);
	return 0;
}

enum slu_mode slu_lifecycle_mode(const struct slu_generation *g, const struct slu_session_table *t, uint32_t sid)
{
	const struct slu_session_cold *cold = slu_session_table_cold(t, sid);

	if (g && cold->listener_live < g->listener_live_limit && g->listener_by_live[cold->listener_live])
		return g->listener_by_live[cold->listener_live]->mode;
	if (keeps(t, sid, SLU_DIR_REQUEST))
		return SLU_MODE_NAT;
	return keeps(t, sid, SLU_DIR_REPLY) ? SLU_MODE_SNAT : SLU_MODE_FULLNAT;
}

int slu_lifecycle_adopt(struct slu_worker *w, uint32_t sid, const struct slu_listener *l, const struct slu_backend *b)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	slu_lifecycle_fill_deltas(&w->table, sid);
	hot->last_seen = w->now_tick;
	hot->bytes_nexthop[0] = hot->bytes_nexthop[1] = SLU_NEXTHOP_NONE;
	if ((uint8_t)hot->proto_vpc == SLU_PROTO_UDP || hot->state == SLU_TCP_ESTABLISHED)
		hot->flags |= SLU_SESSION_ACTIVE;
	cold->listener_live = cold->backend_live = SLU_SESSION_NONE_LIVE;
	count_live(w, cold, hot->flags, 1);
	slu_lifecycle_assign(w, sid, l, b);
	if (slu_session_table_publish(&w->table, sid)) {
		count_live(w, cold, hot->flags, -1);
		return -ENOSPC;
	}
	schedule(w, sid, w->now_tick + ticks(slu_lifecycle_timeout_s(w->generation, hot, cold)));
	return 0;
}

void slu_lifecycle_assign(struct slu_worker *w, uint32_t sid, const struct slu_listener *l, const struct slu_backend *b)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	count_live(w, cold, hot->flags, -1);
	if (l) {
		cold->listener_id = l->id;
		cold->listener_live = (uint16_t)l->live;
		if (l->offload)
			hot->flags |= SLU_SESSION_OFFLOAD;
	}
	if (b) {
		cold->backend_id = b->id;
		cold->backend_live = (uint16_t)b->live;
	}
	choose_meter(w, sid);
	count_live(w, cold, hot->flags, 1);
}

/* ------------------------------------------------------------------- changes */

/* A reset without FINs may be forged; later traffic proves that the connection lives. */
static bool revives(const struct slu_session_hot *hot, uint8_t flags)
{
	return hot->flags & SLU_SESSION_RST && hot->state == SLU_TCP_CLOSE &&
	       (flags & (SLU_TCP_ACK | SLU_TCP_SYN | SLU_TCP_FIN | SLU_TCP_RST)) == SLU_TCP_ACK;
}

void slu_lifecycle_change(
	struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, uint8_t flags, uint8_t next)
{
	uint8_t matters = hot->flags & MATTERS;

	if (next == hot->state && !(flags & (SLU_TCP_FIN | SLU_TCP_RST)) && !(hot->flags & SLU_SESSION_RST))
		return; /* a SYN that changes nothing */
	if (flags & SLU_TCP_FIN)
		matters |= dir ? SLU_SESSION_FIN_REP : SLU_SESSION_FIN_REQ;
	if (revives(hot, flags)) {
		matters &= (uint8_t)~SLU_SESSION_RST;
		next = SLU_TCP_ESTABLISHED;
		slu_worker_count(w, SLU_COUNT_RST_REVIVED);
	} else if (flags & SLU_TCP_RST && hot->state == SLU_TCP_ESTABLISHED && next == SLU_TCP_CLOSE) {
		matters |= SLU_SESSION_RST;
	} else if (flags & SLU_TCP_SYN && next != SLU_TCP_CLOSE) {
		matters &= (uint8_t)~SLU_SESSION_RST;
	}
	if (slu_lifecycle_set(w, sid, next, matters) && slu_session_table_cold(&w->table, sid)->sync & SLU_SYNC_TOLD)
		slu_sync_changed(w, sid);
}

bool slu_lifecycle_set(struct slu_worker *w, uint32_t sid, uint8_t state, uint8_t flags)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint32_t before = slu_lifecycle_timeout_s(w->generation, hot, cold), after;
	bool changed = state != hot->state || flags != (hot->flags & MATTERS);

	hot->flags = (uint8_t)((hot->flags & ~MATTERS) | flags);
	hot->state = state;
	if ((uint8_t)hot->proto_vpc == SLU_PROTO_TCP)
		set_active(w, hot, cold, state == SLU_TCP_ESTABLISHED);
	after = slu_lifecycle_timeout_s(w->generation, hot, cold);
	if (after < before) {
		slu_timer_wheel_remove(&w->wheel, &w->table, sid);
		schedule(w, sid, w->now_tick + ticks(after));
	}
	if ((hot->flags & (SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP)) == (SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP) &&
		hot->flags & SLU_SESSION_OFFLOADED)
		slu_offload_take_back(w, sid);
	return changed;
}

bool slu_lifecycle_finished(const struct slu_session_hot *hot)
{
	const uint8_t both = SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP;

	return hot->state == SLU_TCP_TIME_WAIT || (hot->flags & both) == both ||
	       (hot->state == SLU_TCP_CLOSE && !(hot->flags & SLU_SESSION_RST));
}

bool slu_lifecycle_replaceable(const struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	const struct slu_backend *b = NULL;

	if (hot->flags & SLU_SESSION_OFFLOADED)
		return false;
	if (slu_lifecycle_finished(hot))
		return true;
	if (hot->state != SLU_TCP_SYN_RECV || slu_session_packets_low(hot, SLU_DIR_REPLY) || !cold->backend_id)
		return false;
	if (cold->backend_live < w->generation->live_limit)
		b = w->generation->by_live[cold->backend_live];
	return !b || b->weight == 0;
}

void slu_lifecycle_end(struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	if (unlikely(cold->sync & SLU_SYNC_TOLD))
		slu_sync_end(w, sid);
	count_live(w, cold, hot->flags, -1);
	slu_timer_wheel_remove(&w->wheel, &w->table, sid);
	slu_session_table_remove(&w->table, sid);
}

/*
 * The card carries packets that would have revived the session here. Its last-seen is up to two seconds late, so what
 * was in flight at the reset does not count.
 */
static bool lives_in_card(const struct slu_worker *w, const struct slu_session_hot *hot, uint32_t last_seen)
{
	return hot->flags & SLU_SESSION_RST && hot->flags & SLU_SESSION_OFFLOADED && hot->state == SLU_TCP_CLOSE &&
	       w->now_tick - last_seen < ticks(RESET_PROOF_S);
}

void slu_lifecycle_timeout(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint32_t last_seen = __atomic_load_n(&hot->last_seen, __ATOMIC_RELAXED);
	uint32_t deadline = last_seen + ticks(slu_lifecycle_timeout_s(w->generation, hot, cold));

	if ((int32_t)(slu_sync_expiry(w, sid, deadline) - w->now_tick) > 0) {
		if (lives_in_card(w, hot, last_seen)) {
			slu_worker_count(w, SLU_COUNT_RST_REVIVED);
			slu_lifecycle_set(w, sid, SLU_TCP_ESTABLISHED, hot->flags & MATTERS & ~SLU_SESSION_RST);
			if (cold->sync & SLU_SYNC_TOLD)
				slu_sync_changed(w, sid);
			deadline = last_seen + ticks(slu_lifecycle_timeout_s(w->generation, hot, cold));
		}
		if (unlikely(cold->sync || hot->flags & SLU_SESSION_TELL))
			slu_sync_due(w, sid);
		schedule(w, sid, deadline);
		return;
	}
	if (hot->flags & SLU_SESSION_OFFLOADED && slu_offload_busy(w, sid)) {
		slu_offload_take_back(w, sid);
		slu_timer_wheel_insert(&w->wheel, &w->table, sid, w->now_tick + SLU_RETRY_TICKS);
		return;
	}
	slu_worker_count(w, SLU_COUNT_SESSIONS_EXPIRED);
	slu_lifecycle_end(w, sid);
}

/* ------------------------------------------------------------------- restart */

struct id_live {
	uint32_t id;
	uint16_t live;
};

static int by_id(const void *a, const void *b)
{
	const struct id_live *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static uint16_t live_of(const struct id_live *map, uint32_t count, uint32_t id)
{
	const struct id_live wanted = {.id = id};
	const struct id_live *found = count ? bsearch(&wanted, map, count, sizeof(*map), by_id) : NULL;

	return found ? found->live : SLU_SESSION_NONE_LIVE;
}

static void bind_one(struct slu_worker *w, uint32_t sid, const struct slu_generation *g)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint32_t deadline = hot->last_seen + ticks(slu_lifecycle_timeout_s(g, hot, cold));

	slu_forward_forget_hop(hot);
	cold->timer_next = cold->timer_prev = 0;
	slu_offload_recover(w, sid);
	slu_sync_recover(w, sid);
	count_live(w, cold, hot->flags, 1);
	schedule(w, sid, deadline);
}

struct id_map {
	const struct id_live *lives;
	uint32_t count;
};

static bool is_there(const void *context, uint32_t listener_id)
{
	const struct id_map *map = context;

	return live_of(map->lives, map->count, listener_id) != SLU_SESSION_NONE_LIVE;
}

/* Meters of listeners that are gone, and their last session with them. Without memory for it, another time. */
static void reclaim_meters(struct slu_worker *w, const struct id_live *listeners, uint32_t count)
{
	const struct id_map map = {listeners, count};
	bool *held = calloc(SLU_METERS_MAX, sizeof(*held));
	uint32_t sid = 0;

	while (held && slu_session_table_next(&w->table, &sid))
		held[slu_session_meter(slu_session_table_hot(&w->table, sid))] = true;
	if (held && listeners)
		slu_meter_reclaim(&w->meters, held, is_there, &map);
	free(held);
}

void slu_lifecycle_bind(struct slu_worker *w, const struct slu_generation *g)
{
	struct id_live *backends = calloc(g->live_limit + 1, sizeof(*backends));
	struct id_live *listeners = calloc(g->listener_live_limit + 1, sizeof(*listeners));
	uint32_t backend_count = 0, listener_count = 0, sid = 0;

	w->bound_tick = w->now_tick;
	for (uint32_t i = 0; backends && i < g->live_limit; i++)
		if (g->by_live[i])
			backends[backend_count++] = (struct id_live){g->by_live[i]->id, (uint16_t)i};
	for (uint32_t i = 0; listeners && i < g->listener_live_limit; i++)
		if (g->listener_by_live[i])
			listeners[listener_count++] = (struct id_live){g->listener_by_live[i]->id, (uint16_t)i};
	if (backends)
		qsort(backends, backend_count, sizeof(*backends), by_id);
	if (listeners)
		qsort(listeners, listener_count, sizeof(*listeners), by_id);
	while (slu_session_table_next(&w->table, &sid)) {
		struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

		cold->backend_live = live_of(backends, backend_count, cold->backend_id);
		cold->listener_live = live_of(listeners, listener_count, cold->listener_id);
		bind_one(w, sid, g);
	}
	reclaim_meters(w, listeners, listener_count);
	free(backends);
	free(listeners);
}
