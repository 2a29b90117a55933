#include "host/dataplane/sync.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_ring_elem.h>

#include "host/dataplane/lifecycle.h"
#include "host/dataplane/offload.h"

/* What a new owner adds to a version: more than the last one may have told without our hearing it. */
#define TAKEOVER_STEP 16
#define RETELL_TICKS 9766u /* ten seconds: longer than an agent takes to come back */
#define SLOT_TICKS (1u << SLU_WHEEL_SLOT_SHIFT)
#define LASTED_TICKS 977    /* a second */
#define LIFE_MAX_S 2160000u /* 25 days: differences of ticks are signed */

static uint32_t timeout_ticks(const struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	return slu_session_tick((uint64_t)slu_lifecycle_timeout_s(w->generation, hot, cold) * 1000000);
}

/* --------------------------------------------------------------------- life */

static uint32_t *life_of(const struct slu_worker *w, uint32_t sid)
{
	return &w->life_s[!!(sid & SLU_ENTRY_IPV6)][sid & SLU_ENTRY_INDEX];
}

void slu_sync_set_life(struct slu_worker *w, uint32_t sid, uint32_t life_s)
{
	__atomic_store_n(life_of(w, sid), RTE_MIN(life_s, LIFE_MAX_S), __ATOMIC_RELAXED);
}

uint32_t slu_sync_life_s(const struct slu_worker *w, uint32_t sid)
{
	return w->life_s[0] ? __atomic_load_n(life_of(w, sid), __ATOMIC_RELAXED) : 0;
}

/* Of a session with this time-out: it outlives a refresh that is lost. */
static uint32_t life_for(uint32_t timeout_s)
{
	return timeout_s + (timeout_s + 2) / 3;
}

/*
 * The time-out that a copy is to be refreshed by, at its owner: of what that told, else this node's own. The two differ
 * where nodes have other time-outs in their documents, or a listener is not here yet.
 */
static uint32_t owner_ticks(const struct slu_worker *w, uint32_t sid)
{
	uint32_t life_s = *life_of(w, sid);

	if (!life_s || slu_sync_is_owner(w, sid))
		return timeout_ticks(w, sid);
	return slu_session_tick((uint64_t)life_s * 750000);
}

/* ---------------------------------------------------------------- ownership */

/* The address that its owner announces: where replies go to; if that is the client, where requests go to. */
static struct slu_ip announced(const struct slu_session_table *t, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	unsigned int dir = hot->flags & SLU_SESSION_NAT ? SLU_DIR_REQUEST : SLU_DIR_REPLY;
	struct slu_ip ip = {.family = sid & SLU_ENTRY_IPV6 ? 6 : 4};

	if (ip.family == 6)
		memcpy(ip.bytes, slu_session_table_addresses(t, sid)->address[dir] + 16, 16);
	else
		memcpy(ip.bytes, &hot->tuple[dir].dst, 4);
	return ip;
}

uint8_t slu_sync_owner(const struct slu_cluster_view *view, const struct slu_session_table *t, uint32_t sid)
{
	struct slu_ip address = announced(t, sid);
	const struct slu_cluster_prefix *prefix = slu_cluster_view_find(view, &address);
	uint8_t owner = prefix ? prefix->owner : view->nat_owner;

	/* Nobody announces its address: who made it goes on with it. */
	return owner ? owner : slu_session_table_cold(t, sid)->creator;
}

bool slu_sync_is_owner(const struct slu_worker *w, uint32_t sid)
{
	return !w->cluster || slu_sync_owner(w->cluster, &w->table, sid) == w->cluster->self;
}

bool slu_sync_is_home(struct slu_worker *w, const struct slu_ip *local)
{
	const struct slu_cluster_view *view = w->cluster;
	const struct slu_cluster_prefix *prefix;

	if (!view)
		return true;
	/* One after the other is mostly of one prefix. */
	if (w->home_hint < view->prefix_count && slu_cluster_prefix_has(&view->prefix[w->home_hint], local))
		return view->prefix[w->home_hint].home == view->self;
	prefix = slu_cluster_view_find(view, local);
	if (!prefix)
		return true;
	w->home_hint = (uint32_t)(prefix - view->prefix);
	return prefix->home == view->self;
}

bool slu_sync_is_member(const struct slu_worker *w, uint8_t family, const uint8_t *address)
{
	struct slu_ip ip = {.family = family};

	if (!w->cluster)
		return false;
	memcpy(ip.bytes, address, family == 4 ? 4 : 16);
	return slu_cluster_view_find(w->cluster, &ip);
}

bool slu_sync_is_quiet(const struct slu_worker *w)
{
	return __atomic_load_n(&w->dp->quiet_until_us, __ATOMIC_RELAXED) > w->now_us;
}

uint32_t slu_sync_peek(
	const struct slu_dataplane *dp, uint32_t worker, uint64_t hash, const struct slu_session_key *key)
{
	for (uint32_t i = 1; i < dp->workers; i++) {
		uint32_t other = (worker + i) % dp->workers;

		if (slu_session_table_find(&dp->worker[other]->table, hash, key))
			return other;
	}
	return worker;
}

/* ------------------------------------------------------------------ telling */

/* Serial number arithmetic (RFC 1982); 0 is for sessions without one. */
static void raise_version(struct slu_session_cold *cold, uint16_t by)
{
	uint16_t version = (uint16_t)(cold->version + by);

	/* After the state that it stands for: slu_sync_snapshot() reads them the other way round. */
	__atomic_store_n(&cold->version, version ? version : 1, __ATOMIC_RELEASE);
}

static uint64_t tombstone_key(const struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_key request = slu_session_table_key(t, sid, SLU_DIR_REQUEST);
	struct slu_session_key reply = slu_session_table_key(t, sid, SLU_DIR_REPLY);

	return slu_sync_tombstone_key(slu_session_table_hash(t, &request), slu_session_table_hash(t, &reply));
}

/*
 * From the time of creation, and above the last session of the same tuples, whose end some may not have heard of. Only
 * a client that keeps its port makes the same tuples again so soon.
 */
static uint16_t first_version(const struct slu_worker *w, uint32_t sid)
{
	const struct slu_tombstone *last = NULL;
	uint16_t version = (uint16_t)(slu_session_table_cold(&w->table, sid)->created >> 6);

	if (slu_session_table_hot(&w->table, sid)->flags & SLU_SESSION_NAT)
		last = slu_tombstone_find(&w->tombstones, tombstone_key(&w->table, sid), w->now_tick);
	if (last && (int16_t)(uint16_t)(version - last->version) <= 0)
		version = (uint16_t)(last->version + 1);
	return version ? version : 1;
}

static void fill_tuples(const struct slu_session_table *t, uint32_t sid, struct slu_sync_record *r)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_tuple *in = &hot->tuple[SLU_DIR_REQUEST], *back = &hot->tuple[SLU_DIR_REPLY];

	r->client_port = in->sport;
	r->virtual_port = in->dport;
	r->backend_port = back->sport;
	r->local_port = back->dport;
	if (sid & SLU_ENTRY_IPV6) {
		const struct slu_session_addresses *a = slu_session_table_addresses(t, sid);

		memcpy(r->client, a->address[SLU_DIR_REQUEST], 16);
		memcpy(r->virtual_ip, a->address[SLU_DIR_REQUEST] + 16, 16);
		memcpy(r->backend, a->address[SLU_DIR_REPLY], 16);
		memcpy(r->local, a->address[SLU_DIR_REPLY] + 16, 16);
	} else {
		memcpy(r->client, &in->src, 4);
		memcpy(r->virtual_ip, &in->dst, 4);
		memcpy(r->backend, &back->src, 4);
		memcpy(r->local, &back->dst, 4);
	}
}

/* sender is left to the reader's side, and age_ms is still the time of creation. */
static void fill_record(const struct slu_worker *w, const struct slu_generation *g, uint32_t sid,
	enum slu_sync_kind kind, struct slu_sync_record *r)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint16_t version = __atomic_load_n(&cold->version, __ATOMIC_ACQUIRE);

	*r = (struct slu_sync_record){
		.kind = (uint8_t)kind,
		.family = sid & SLU_ENTRY_IPV6 ? 6 : 4,
		.protocol = (uint8_t)hot->proto_vpc,
		.mode = (uint8_t)slu_lifecycle_mode(g, &w->table, sid),
		.state = hot->state,
		.flags = hot->flags & (SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP | SLU_SESSION_RST),
		.version = version,
		.vpc = hot->proto_vpc >> 8,
		.age_ms = cold->created,
		.creator = cold->creator,
	};
	fill_tuples(&w->table, sid, r);
}

static bool tell(struct slu_worker *w, uint32_t sid, enum slu_sync_kind kind)
{
	static const enum slu_counter counters[] = {
		[SLU_SYNC_SESSION] = SLU_COUNT_SYNC_TOLD,
		[SLU_SYNC_REPORT] = SLU_COUNT_SYNC_REPORTED,
		[SLU_SYNC_END] = SLU_COUNT_SYNC_ENDS_TOLD,
	};
	struct slu_sync_record r;

	fill_record(w, w->generation, sid, kind, &r);
	r.timeout_s = slu_lifecycle_timeout_s(
		w->generation, slu_session_table_hot(&w->table, sid), slu_session_table_cold(&w->table, sid));
	if (kind == SLU_SYNC_SESSION) {
		slu_sync_set_life(w, sid, life_for(r.timeout_s));
		r.life_s = *life_of(w, sid);
	}
	if (rte_ring_sp_enqueue_elem(w->outbox, &r, sizeof(r))) {
		slu_worker_count(w, SLU_COUNT_SYNC_OUTBOX_FULL);
		return false;
	}
	slu_worker_count(w, counters[kind]);
	w->told = true;
	return true;
}

/* The session as its owner, or what we know of it for its owner. */
static void announce(struct slu_worker *w, uint32_t sid, bool changed)
{
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	bool owner = slu_sync_is_owner(w, sid);

	if (owner && cold->sync & SLU_SYNC_FOREIGN)
		raise_version(cold, TAKEOVER_STEP);
	else if (owner && changed)
		raise_version(cold, 1);
	if (owner)
		cold->sync &= (uint8_t)~SLU_SYNC_FOREIGN;
	else if (changed)
		slu_sync_set_life(w, sid, 0); /* it was of another state */
	if (tell(w, sid, owner ? SLU_SYNC_SESSION : SLU_SYNC_REPORT)) {
		cold->sync &= (uint8_t)~SLU_SYNC_LATE;
		cold->sync_tick = w->now_tick;
	} else {
		cold->sync |= SLU_SYNC_LATE;
	}
}

/*
 * Whether the slot that a TCP connection got with its SYN comes up before the first refresh is due: then it need not be
 * moved.
 */
static bool comes_up_soon(const struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	const struct slu_session_hot opening = {.proto_vpc = hot->proto_vpc, .state = SLU_TCP_SYN_RECV};
	uint32_t first = slu_session_tick((uint64_t)slu_lifecycle_timeout_s(w->generation, &opening, cold) * 1000000);

	return (uint8_t)hot->proto_vpc == SLU_PROTO_TCP && w->now_tick - cold->created < first &&
	       first <= timeout_ticks(w, sid) / 4;
}

void slu_sync_first(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	bool known = cold->version;

	slu_sync_set_life(w, sid, 0); /* it was of the last session that stood here */
	slu_lifecycle_told(w, sid);
	if (!known)
		cold->version = first_version(w, sid);
	cold->sync |= SLU_SYNC_TOLD;
	cold->sync_tick = w->now_tick;
	announce(w, sid, known);
	if (cold->sync & SLU_SYNC_LATE || !comes_up_soon(w, sid))
		slu_lifecycle_reschedule(w, sid);
}

static bool has_data(const struct slu_packet *p)
{
	uint32_t bytes = p->l3 + (uint32_t)p->ip_bytes - p->l4;

	return p->protocol != SLU_PROTO_TCP || bytes > (slu_packet_l4(p)[12] >> 4) * 4u;
}

/* A client that downloads sends its request and then acknowledgements: that it goes on for a second counts as well. */
static bool has_lasted(const struct slu_worker *w, const struct slu_session_hot *hot, uint32_t sid)
{
	return w->now_tick - slu_session_table_cold(&w->table, sid)->created >= LASTED_TICKS &&
	       ((uint8_t)hot->proto_vpc != SLU_PROTO_TCP || hot->state == SLU_TCP_ESTABLISHED);
}

void slu_sync_notice(struct slu_worker *w, const struct slu_session_hot *hot, uint32_t sid, unsigned int dir,
	const struct slu_packet *p)
{
	const struct slu_sync_settings *s = &w->dp->sync;
	bool due;

	if (s->trigger == SLU_SYNC_AFTER_PACKETS) {
		uint32_t packets = slu_session_packets_low(hot, SLU_DIR_REQUEST) + 1;

		due = dir == SLU_DIR_REQUEST && (s->period ? packets % s->period : packets) == s->threshold;
	} else {
		due = has_lasted(w, hot, sid) ||
		      (dir == SLU_DIR_REQUEST && has_data(p) &&
			      ++slu_session_table_cold(&w->table, sid)->sync_tick >= s->threshold);
	}
	/* Another node could not go on with one that is opening. */
	if (due && hot->nexthop_epoch != SLU_EPOCH_OPENING)
		slu_sync_first(w, sid);
}

void slu_sync_opened(struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_sync_settings *s = &w->dp->sync;
	uint32_t count = s->trigger == SLU_SYNC_AFTER_PACKETS ? slu_session_packets_low(hot, SLU_DIR_REQUEST)
							      : slu_session_table_cold(&w->table, sid)->sync_tick;

	if (hot->flags & SLU_SESSION_TELL && count >= s->threshold)
		slu_sync_first(w, sid);
}

void slu_sync_changed(struct slu_worker *w, uint32_t sid)
{
	announce(w, sid, true);
	if (slu_session_table_cold(&w->table, sid)->sync & SLU_SYNC_LATE)
		slu_lifecycle_reschedule(w, sid);
}

/* The owner answers; to an owner that lacks its own session, whoever has it. */
void slu_sync_answer(struct slu_worker *w, uint32_t sid, uint8_t asker)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint8_t owner = w->cluster ? slu_sync_owner(w->cluster, &w->table, sid) : 0;

	if (!w->cluster || (owner != w->cluster->self && owner != asker) || cold->sync & SLU_SYNC_ENDED)
		return;
	if (cold->sync & SLU_SYNC_TOLD)
		announce(w, sid, false);
	else if (hot->flags & SLU_SESSION_TELL)
		slu_sync_first(w, sid);
	else
		return;
	slu_worker_count(w, SLU_COUNT_SYNC_ANSWERED);
}

void slu_sync_bury(struct slu_worker *w, uint64_t key, uint16_t version, uint32_t created, uint32_t timeout)
{
	const struct slu_tombstone stone = {
		.key = key,
		.until_tick = w->now_tick + RTE_MAX(timeout / 3 * 2, 10 * SLU_RETRY_TICKS),
		.created_tick = created,
		.version = version,
	};

	if (!slu_tombstone_add(&w->tombstones, &stone, w->now_tick))
		slu_worker_count(w, SLU_COUNT_SYNC_TOMBSTONES_FULL);
}

void slu_sync_end(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	if (cold->sync & SLU_SYNC_ENDED)
		return; /* its owner said so */
	if (!slu_sync_is_owner(w, sid)) {
		slu_worker_count(w, SLU_COUNT_SYNC_EXPIRED);
		return;
	}
	raise_version(cold, cold->sync & SLU_SYNC_FOREIGN ? TAKEOVER_STEP : 1);
	tell(w, sid, SLU_SYNC_END);
	slu_sync_bury(w, tombstone_key(&w->table, sid), cold->version, cold->created, timeout_ticks(w, sid));
}

/* ------------------------------------------------------------------- timers */

/* Up to an eighth less than a third of the time-out, so that nodes and sessions do not march in step. */
static uint32_t refresh_ticks(struct slu_worker *w, uint32_t timeout)
{
	uint32_t third = timeout / 3 + 1;

	return third - (uint32_t)(((uint64_t)(uint32_t)slu_worker_random(w) * (third / 8)) >> 32);
}

uint32_t slu_sync_expiry(const struct slu_worker *w, uint32_t sid, uint32_t deadline)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	if (cold->sync & SLU_SYNC_ENDED)
		return w->now_tick;
	if (!(cold->sync & SLU_SYNC_TOLD) || slu_sync_is_owner(w, sid))
		return deadline;
	if (*life_of(w, sid))
		return deadline - timeout_ticks(w, sid) + slu_session_tick((uint64_t)*life_of(w, sid) * 1000000);
	/* A lost refresh does not end it. */
	return deadline + timeout_ticks(w, sid) / 3;
}

uint32_t slu_sync_deadline(struct slu_worker *w, uint32_t sid, uint32_t deadline)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint32_t interval, check;

	if (cold->sync & SLU_SYNC_ENDED)
		return w->now_tick + SLU_RETRY_TICKS;
	if (!(cold->sync & SLU_SYNC_TOLD))
		return deadline;
	if (cold->sync & SLU_SYNC_LATE)
		return w->now_tick;
	interval = refresh_ticks(w, owner_ticks(w, sid));
	check = cold->sync_tick + interval;
	if ((int32_t)(check - w->now_tick) <= 0)
		check = w->now_tick + interval;
	deadline = slu_sync_expiry(w, sid, deadline);
	return (int32_t)(check - deadline) < 0 ? check : deadline;
}

/* The card must not have the request; and who has it here may have ended. */
static void look_after_yielded(struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	struct slu_session_key key = slu_session_table_key(&w->table, sid, SLU_DIR_REQUEST);
	uint64_t hash = slu_session_table_hash(&w->table, &key);

	if (cold->offload[SLU_DIR_REQUEST] == SLU_OFFLOAD_CARD)
		slu_offload_take_back(w, sid);
	else if (!slu_session_table_find(&w->table, hash, &key) && slu_sync_peek(w->dp, w->id, hash, &key) == w->id)
		(void)slu_session_table_reclaim(&w->table, sid); /* no room in its buckets: it stays as it is */
}

void slu_sync_due(struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint32_t third;
	bool used;

	if (hot->flags & SLU_SESSION_TELL && hot->flags & SLU_SESSION_OFFLOADED)
		return slu_sync_first(w, sid);
	if (!(cold->sync & SLU_SYNC_TOLD))
		return;
	if (cold->sync & SLU_SYNC_YIELDED)
		look_after_yielded(w, sid);
	third = owner_ticks(w, sid) / 3;
	if (!slu_sync_is_left_over(w, sid))
		cold->sync &= (uint8_t)~SLU_SYNC_LEFT; /* ticks wrap: not to be asked again much later */
	used = (int32_t)(__atomic_load_n(&hot->last_seen, __ATOMIC_RELAXED) - cold->sync_tick) > 0;
	if (cold->sync & SLU_SYNC_LATE || (used && w->now_tick - cold->sync_tick + SLOT_TICKS >= third - third / 8))
		announce(w, sid, false);
}

void slu_sync_recover(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	if (!w->dp->sync.outbox) {
		hot->flags &= (uint8_t)~SLU_SESSION_TELL;
		cold->sync &= SLU_SYNC_YIELDED;
	} else if (!(cold->sync & SLU_SYNC_TOLD)) {
		hot->flags |= SLU_SESSION_TELL;
		cold->sync_tick = 0;
	} else {
		cold->sync |= SLU_SYNC_LEFT;
		if (!(cold->sync & (SLU_SYNC_FOREIGN | SLU_SYNC_ENDED)) && w->now_tick - cold->sync_tick < RETELL_TICKS)
			cold->sync |= SLU_SYNC_LATE; /* the record may have died with the process, on its way out */
	}
}

bool slu_sync_is_left_over(const struct slu_worker *w, uint32_t sid)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);

	return slu_session_table_cold(&w->table, sid)->sync & SLU_SYNC_LEFT &&
	       (int32_t)(__atomic_load_n(&hot->last_seen, __ATOMIC_RELAXED) - w->bound_tick) < 0;
}

/* ------------------------------------------------------------------ set-up */

static struct rte_ring *make_box(const char *what, uint32_t worker, uint32_t count)
{
	static uint32_t serial; /* ring names are global */
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "slu_%s%u_%u", what, worker, __atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED));
	return rte_ring_create_elem(
		name, sizeof(struct slu_sync_record), count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static bool is_ring_size(uint32_t count)
{
	return count >= 2 && count <= 1u << 24 && !(count & (count - 1));
}

static int set_up_worker(struct slu_worker *w, const struct slu_sync_settings *s)
{
	w->outbox = make_box("out", w->id, s->outbox);
	w->inbox = make_box("in", w->id, s->inbox);
	for (int family = 0; family < 2; family++)
		w->life_s[family] = calloc((size_t)w->table.capacity + 1, sizeof(*w->life_s[family]));
	if (!w->outbox || !w->inbox || !w->life_s[0] || !w->life_s[1] || slu_sync_inbox_create(w))
		return -ENOMEM;
	return slu_tombstone_init(&w->tombstones, w->table.capacity / 16);
}

void slu_sync_free(struct slu_worker *w)
{
	rte_ring_free(w->outbox);
	rte_ring_free(w->inbox);
	slu_sync_inbox_free(w);
	slu_tombstone_fini(&w->tombstones);
	for (int family = 0; family < 2; family++) {
		free(w->life_s[family]);
		w->life_s[family] = NULL;
	}
	w->outbox = w->inbox = NULL;
}

int slu_dataplane_set_sync(struct slu_dataplane *dp, const struct slu_sync_settings *s)
{
	int result = 0;

	if (s->outbox == 0)
		return 0;
	if (dp->sync.outbox || !is_ring_size(s->outbox) || !is_ring_size(s->inbox) ||
		s->trigger > SLU_SYNC_AFTER_PACKETS ||
		(s->trigger == SLU_SYNC_AFTER_PACKETS && s->period && s->threshold >= s->period))
		return -EINVAL;
	for (uint32_t i = 0; i < dp->workers && !result; i++)
		result = set_up_worker(dp->worker[i], s);
	if (!result)
		result = slu_wake_open(&dp->sync_wake);
	if (result) {
		for (uint32_t i = 0; i < dp->workers; i++)
			slu_sync_free(dp->worker[i]);
		return result;
	}
	dp->sync = *s;
	rte_rcu_qsbr_thread_register(dp->qsbr, SLU_READER_GIVER);
	for (uint32_t i = 0; i < dp->workers && dp->bound; i++)
		for (uint32_t sid = 0; slu_session_table_next(&dp->worker[i]->table, &sid);)
			slu_sync_recover(dp->worker[i], sid);
	return 0;
}

const struct slu_cluster_view *slu_dataplane_publish_cluster(
	struct slu_dataplane *dp, const struct slu_cluster_view *view)
{
	if (view)
		__atomic_store_n(&dp->node, view->self, __ATOMIC_RELAXED);
	return __atomic_exchange_n(&dp->cluster, view, __ATOMIC_ACQ_REL);
}

/* --------------------------------------------------- the consumer's thread */

/* Session ticks are 1.024 ms; 0 would mean "not told". */
static uint32_t age_ms(uint32_t now, uint32_t created)
{
	int32_t ticks = (int32_t)(now - created);

	return ticks > 0 ? (uint32_t)(((uint64_t)ticks << SLU_TICK_SHIFT) / 1000) : 1;
}

static void complete(const struct slu_worker *w, struct slu_sync_record *r)
{
	uint8_t node = __atomic_load_n(&w->dp->node, __ATOMIC_RELAXED);

	r->age_ms = age_ms(__atomic_load_n(&w->now_tick, __ATOMIC_RELAXED), r->age_ms);
	r->sender = node;
	if (!r->creator && r->version)
		r->creator = node;
}

static uint32_t take(struct slu_dataplane *dp, struct slu_sync_record *records, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < dp->workers && count < max; i++) {
		const struct slu_worker *w = dp->worker[dp->sync_turn++ % dp->workers];
		uint32_t got =
			rte_ring_sc_dequeue_burst_elem(w->outbox, &records[count], sizeof(*records), max - count, NULL);

		for (uint32_t k = 0; k < got; k++)
			complete(w, &records[count + k]);
		count += got;
	}
	return count;
}

uint32_t slu_sync_take(struct slu_dataplane *dp, struct slu_sync_record *records, uint32_t max)
{
	uint32_t count;

	if (!dp->sync.outbox)
		return 0;
	if (dp->sync_armed)
		slu_wake_disarm(&dp->sync_wake);
	dp->sync_armed = false;
	count = take(dp, records, max);
	if (count || !max)
		return count;
	/* It will sleep now: what comes after this last look wakes it. */
	slu_wake_arm(&dp->sync_wake);
	dp->sync_armed = true;
	return take(dp, records, max);
}

int slu_sync_event(const struct slu_dataplane *dp)
{
	return dp->sync.outbox ? dp->sync_wake.fd : -1;
}

/* cursor: worker << 32 | sid, as of slu_dataplane_sessions() */
uint32_t slu_sync_snapshot(struct slu_dataplane *dp, uint64_t *cursor, struct slu_sync_record *records, uint32_t max)
{
	uint32_t worker = (uint32_t)(*cursor >> 32), sid = (uint32_t)*cursor, count = 0;

	for (; worker < dp->workers && count < max; worker++, sid = 0) {
		const struct slu_worker *w = dp->worker[worker];

		while (count < max && slu_session_table_next(&w->table, &sid)) {
			const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
			uint16_t generation = __atomic_load_n(&cold->generation, __ATOMIC_ACQUIRE);

			if (!(cold->sync & SLU_SYNC_TOLD) || cold->sync & SLU_SYNC_ENDED)
				continue;
			fill_record(w, NULL, sid, SLU_SYNC_SESSION, &records[count]);
			records[count].life_s = __atomic_load_n(life_of(w, sid), __ATOMIC_RELAXED);
			complete(w, &records[count]);
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (generation & 1 && __atomic_load_n(&cold->generation, __ATOMIC_RELAXED) == generation)
				count++;
		}
		if (count == max)
			break;
	}
	*cursor = (uint64_t)worker << 32 | sid;
	return count;
}
