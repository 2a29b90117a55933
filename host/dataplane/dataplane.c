#include "host/dataplane/dataplane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf_dyn.h>

#include "host/dataplane/lifecycle.h"
#include "host/dataplane/session_file.h"
#include "host/dataplane/sync.h"
#include "host/dataplane/worker.h"

#define PORT_FIRST 1024

static const struct rte_mbuf_dynfield handover_field = {
	.name = "sluice_handover",
	.size = sizeof(struct slu_handover),
	.align = __alignof__(struct slu_handover),
};

/* Sessions of one worker. Hashing spreads flows unevenly, so several get a quarter more together. */
static uint32_t worker_capacity(const struct slu_dataplane_settings *s)
{
	if (s->workers == 1)
		return s->sessions;
	return (uint32_t)((uint64_t)s->sessions * 5 / 4 / s->workers) + 1;
}

/* ------------------------------------------------------------------ workers */

static struct rte_ring *make_ring(
	const char *what, uint32_t worker, unsigned int element, unsigned int count, unsigned int flags)
{
	static uint32_t serial; /* ring names are global */
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "slu_%s%u_%u", what, worker, __atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED));
	return rte_ring_create_elem(name, element, count, SOCKET_ID_ANY, flags);
}

static int make_rings(struct slu_worker *w)
{
	w->offload = make_ring(
		"off", w->id, sizeof(struct slu_offload_request), SLU_OFFLOAD_RING, RING_F_SP_ENQ | RING_F_SC_DEQ);
	w->unresolved = make_ring(
		"nei", w->id, sizeof(struct slu_unresolved), SLU_UNRESOLVED_RING, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (w->dp->workers > 1)
		w->handover = make_ring("han", w->id, sizeof(void *), SLU_HANDOVER_RING, RING_F_SC_DEQ);
	return w->offload && w->unresolved && (w->handover || w->dp->workers == 1) ? 0 : -ENOMEM;
}

static void free_worker(struct slu_worker *w)
{
	void *packet;

	if (!w)
		return;
	while (w->handover && rte_ring_sc_dequeue(w->handover, &packet) == 0)
		rte_pktmbuf_free(packet);
	for (uint16_t i = 0; i < w->held_count; i++)
		rte_pktmbuf_free(w->held[i].mbuf);
	rte_ring_free(w->handover);
	rte_ring_free(w->offload);
	rte_ring_free(w->unresolved);
	slu_sync_free(w);
	free(w->backend_live);
	free(w->listener_live);
	free(w->port_cursor);
	slu_session_table_fini(&w->table);
	slu_meter_fini(&w->meters);
	free(w);
}

static int make_worker(struct slu_dataplane *dp, uint32_t id, const struct slu_dataplane_settings *s)
{
	struct slu_worker *w = aligned_alloc(64, RTE_ALIGN(sizeof(*w), 64));
	int result;

	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	dp->worker[id] = w;
	w->dp = dp;
	w->id = id;
	w->now_us = s->now_us;
	w->now_tick = slu_session_tick(s->now_us);
	w->answer_tokens = SLU_ANSWERS_BURST;
	w->answer_time_us = s->now_us;
	if (getrandom(&w->random, sizeof(w->random), 0) != sizeof(w->random))
		return -EIO;
	w->fragments.salt = (uint32_t)slu_worker_random(w);
	w->backend_live = calloc(SLU_LIVE_MAX, sizeof(*w->backend_live));
	w->listener_live = calloc(SLU_LIVE_MAX, sizeof(*w->listener_live));
	w->port_cursor = calloc(SLU_LIVE_MAX, sizeof(*w->port_cursor));
	if (!w->backend_live || !w->listener_live || !w->port_cursor)
		return -ENOMEM;
	slu_timer_wheel_init(&w->wheel, w->now_tick);
	result = slu_session_table_init(
		&w->table, slu_session_file_table(dp->file, id), worker_capacity(s), dp->file->keys);
	if (!result)
		result = slu_meter_init(&w->meters, slu_session_file_meters(dp->file, id));
	return result ? result : make_rings(w);
}

static int recover(struct slu_dataplane *dp, struct slu_dataplane_recovery *out)
{
	for (uint32_t i = 0; dp->file->reused && i < dp->workers; i++) {
		uint32_t dropped = 0;
		int64_t kept = slu_session_table_recover(&dp->worker[i]->table, &dropped);

		if (kept < 0)
			return (int)kept;
		out->sessions += (uint32_t)kept;
		out->dropped += dropped;
	}
	out->reused = dp->file->reused;
	out->clean = dp->file->clean;
	out->discarded = dp->file->discarded;
	return 0;
}

/* --------------------------------------------------------------------- life */

static bool settings_are_sound(const struct slu_dataplane_settings *s)
{
	return s->workers >= 1 && s->workers <= SLU_WORKERS_MAX && s->sessions >= 1 &&
	       worker_capacity(s) < SLU_ENTRY_INDEX && s->port_first <= s->port_last;
}

static int make_qsbr(struct slu_dataplane *dp)
{
	size_t bytes = rte_rcu_qsbr_get_memsize(SLU_READERS_MAX);

	dp->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(bytes, RTE_CACHE_LINE_SIZE));
	return dp->qsbr && rte_rcu_qsbr_init(dp->qsbr, SLU_READERS_MAX) == 0 ? 0 : -ENOMEM;
}

static int set_up(struct slu_dataplane *dp, const struct slu_dataplane_settings *s, struct slu_dataplane_recovery *out)
{
	int result;

	slu_tcp_state_init();
	dp->handover_offset = rte_mbuf_dynfield_register(&handover_field);
	if (dp->handover_offset < 0)
		return -rte_errno;
	result = make_qsbr(dp);
	dp->file = calloc(1, sizeof(*dp->file));
	if (!result && !dp->file)
		result = -ENOMEM;
	if (!result)
		result = slu_session_file_open(dp->file, s->session_file, s->workers, worker_capacity(s));
	for (uint32_t i = 0; !result && i < s->workers; i++)
		result = make_worker(dp, i, s);
	return result ? result : recover(dp, out);
}

static void tear_down(struct slu_dataplane *dp, bool clean)
{
	for (uint32_t i = 0; i < SLU_WORKERS_MAX; i++)
		free_worker(dp->worker[i]);
	if (dp->file && dp->file->memory)
		slu_session_file_close(dp->file, clean);
	slu_wake_close(&dp->sync_wake);
	free(dp->backend_elsewhere);
	free(dp->listener_ceiling);
	free(dp->file);
	free(dp->qsbr);
	free(dp);
}

int slu_dataplane_create(const struct slu_dataplane_settings *settings, struct slu_dataplane **out,
	struct slu_dataplane_recovery *recovery)
{
	struct slu_dataplane *dp;
	int result;

	static_assert(sizeof(struct slu_offload_request) % 4 == 0, "an element of a ring");
	static_assert(sizeof(struct slu_unresolved) % 4 == 0, "an element of a ring");
	*out = NULL;
	*recovery = (struct slu_dataplane_recovery){0};
	if (!settings_are_sound(settings))
		return -EINVAL;
	dp = calloc(1, sizeof(*dp));
	if (!dp)
		return -ENOMEM;
	dp->sync_wake.fd = -1;
	dp->backend_elsewhere = calloc(SLU_LIVE_MAX, sizeof(*dp->backend_elsewhere));
	dp->listener_ceiling = calloc(SLU_LIVE_MAX, sizeof(*dp->listener_ceiling));
	dp->workers = settings->workers;
	dp->sessions = settings->sessions;
	dp->port_first = settings->port_last ? settings->port_first : PORT_FIRST;
	dp->port_last = settings->port_last ? settings->port_last : UINT16_MAX;
	result = dp->backend_elsewhere && dp->listener_ceiling ? set_up(dp, settings, recovery) : -ENOMEM;
	if (result) {
		tear_down(dp, false);
		return result;
	}
	*out = dp;
	return 0;
}

void slu_dataplane_destroy(struct slu_dataplane *dp)
{
	if (dp)
		tear_down(dp, true);
}

struct slu_worker *slu_dataplane_worker(struct slu_dataplane *dp, uint32_t worker)
{
	return worker < dp->workers ? dp->worker[worker] : NULL;
}

void slu_dataplane_set_rss(struct slu_dataplane *dp, uint16_t port, const struct slu_rss *rss)
{
	if (port >= SLU_PORTS_MAX)
		return;
	dp->rss[port] = *rss;
	if (rss->reta_size == 0 || rss->reta_size > RTE_DIM(rss->reta) || rss->key_bytes < 40)
		dp->rss[port].valid = false;
}

void slu_dataplane_set_vpc(struct slu_dataplane *dp, uint16_t port, uint32_t vpc)
{
	if (port < SLU_PORTS_MAX)
		dp->vpc[port] = vpc & SLU_VPC_MAX;
}

void slu_dataplane_quiet_until(struct slu_dataplane *dp, uint64_t time_us)
{
	__atomic_store_n(&dp->quiet_until_us, time_us, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------- publication */

const struct slu_generation *slu_dataplane_publish(struct slu_dataplane *dp, const struct slu_generation *generation)
{
	if (!dp->bound) {
		for (uint32_t i = 0; i < dp->workers; i++)
			slu_lifecycle_bind(dp->worker[i], generation);
		dp->bound = true;
	}
	return __atomic_exchange_n(&dp->generation, generation, __ATOMIC_ACQ_REL);
}

struct slu_neigh_view *slu_dataplane_publish_neigh(struct slu_dataplane *dp, struct slu_neigh_view *view)
{
	/* 0 marks sessions that never resolved. */
	dp->neigh_epoch = (uint16_t)(dp->neigh_epoch % (UINT16_MAX - 1) + 1);
	if (view)
		view->epoch = dp->neigh_epoch;
	return __atomic_exchange_n(&dp->neigh, view, __ATOMIC_ACQ_REL);
}

uint64_t slu_dataplane_grace_start(struct slu_dataplane *dp)
{
	return rte_rcu_qsbr_start(dp->qsbr);
}

bool slu_dataplane_grace_done(struct slu_dataplane *dp, uint64_t token)
{
	return rte_rcu_qsbr_check(dp->qsbr, token, false) == 1;
}

void slu_dataplane_synchronize(struct slu_dataplane *dp)
{
	rte_rcu_qsbr_synchronize(dp->qsbr, RTE_QSBR_THRID_INVALID);
}

bool slu_dataplane_next_unresolved(struct slu_dataplane *dp, uint16_t *port, struct slu_ip *address)
{
	for (uint32_t i = 0; i < dp->workers; i++) {
		struct slu_worker *w = dp->worker[dp->unresolved_turn++ % dp->workers];
		struct slu_unresolved u;

		if (rte_ring_sc_dequeue_elem(w->unresolved, &u, sizeof(u)) == 0) {
			*port = u.port;
			*address = u.address;
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------ reading */

const char *slu_session_state_name(uint8_t protocol, uint8_t state)
{
	if (protocol == SLU_PROTO_ICMP || protocol == SLU_PROTO_ICMPV6)
		return "ICMP";
	return protocol == SLU_PROTO_UDP ? "UDP" : slu_tcp_state_name(state);
}

static struct slu_ip ip_of(bool ipv6, const void *address)
{
	struct slu_ip ip = {.family = ipv6 ? 6 : 4};

	memcpy(ip.bytes, address, ipv6 ? 16 : 4);
	return ip;
}

static uint16_t from_be16(slu_be16 v)
{
	return __builtin_bswap16(v);
}

static void copy_tuple(const struct slu_session_table *t, uint32_t sid, struct slu_session_snapshot *out)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_tuple *in = &hot->tuple[SLU_DIR_REQUEST], *back = &hot->tuple[SLU_DIR_REPLY];
	bool ipv6 = sid & SLU_ENTRY_IPV6;
	const struct slu_session_addresses *a = ipv6 ? slu_session_table_addresses(t, sid) : NULL;

	out->family = ipv6 ? 6 : 4;
	out->protocol = (uint8_t)hot->proto_vpc;
	out->vpc = hot->proto_vpc >> 8;
	out->client = ip_of(ipv6, ipv6 ? (const void *)a->address[SLU_DIR_REQUEST] : &in->src);
	out->virtual_ip = ip_of(ipv6, ipv6 ? (const void *)(a->address[SLU_DIR_REQUEST] + 16) : &in->dst);
	out->backend = ip_of(ipv6, ipv6 ? (const void *)a->address[SLU_DIR_REPLY] : &back->src);
	out->local = ip_of(ipv6, ipv6 ? (const void *)(a->address[SLU_DIR_REPLY] + 16) : &back->dst);
	out->client_port = from_be16(in->sport);
	out->virtual_port = from_be16(in->dport);
	out->backend_port = from_be16(back->sport);
	out->local_port = from_be16(back->dport);
}

/* Session ticks are 1.024 ms. */
static uint32_t ms_of(int32_t ticks)
{
	return ticks > 0 ? (uint32_t)(((uint64_t)ticks << SLU_TICK_SHIFT) / 1000) : 0;
}

static void copy_times(const struct slu_worker *w, uint32_t sid, struct slu_session_snapshot *out)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	const struct slu_generation *g = __atomic_load_n(&w->dp->generation, __ATOMIC_ACQUIRE);
	uint32_t now = __atomic_load_n(&w->now_tick, __ATOMIC_RELAXED);

	out->mode = slu_lifecycle_mode(g, &w->table, sid);
	out->state = hot->state;
	out->age_ms = ms_of((int32_t)(now - cold->created));
	out->idle_ms = ms_of((int32_t)(now - __atomic_load_n(&hot->last_seen, __ATOMIC_RELAXED)));
	out->timeout_ms = slu_lifecycle_timeout_s(g, hot, cold) * 1000;
	out->expires_ms = out->timeout_ms > out->idle_ms ? out->timeout_ms - out->idle_ms : 0;
}

static void copy_cluster(const struct slu_worker *w, uint32_t sid, struct slu_session_snapshot *out)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	const struct slu_cluster_view *view = __atomic_load_n(&w->dp->cluster, __ATOMIC_ACQUIRE);
	uint32_t last_seen = __atomic_load_n(&slu_session_table_hot(&w->table, sid)->last_seen, __ATOMIC_RELAXED);
	uint32_t life_s;

	out->owner_node = view ? slu_sync_owner(view, &w->table, sid) : 0;
	out->passive = view && out->owner_node != view->self;
	out->synced = cold->sync & SLU_SYNC_TOLD;
	life_s = out->passive && out->synced ? slu_sync_life_s(w, sid) : 0;
	if (life_s)
		out->expires_ms = life_s * 1000 > out->idle_ms ? life_s * 1000 - out->idle_ms : 0;
	/* A record sets both to the same tick; a packet or the card moves last_seen on. */
	out->heard = out->passive && out->synced && last_seen == cold->sync_tick;
	out->version = cold->version;
	out->creator = cold->creator;
}

/* Something else stands where the card's counters do. */
static bool is_opening(const struct slu_session_hot *hot)
{
	return __atomic_load_n(&hot->nexthop_epoch, __ATOMIC_ACQUIRE) == SLU_EPOCH_OPENING;
}

/* Both worlds' counters of a direction; false while a rule's counters are being added up. */
static bool copy_counters(
	const struct slu_session_table *t, uint32_t sid, unsigned int dir, struct slu_session_snapshot *out)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(t, sid);
	uint8_t before = __atomic_load_n(&cold->offload[dir], __ATOMIC_ACQUIRE);
	bool opening;

	opening = is_opening(hot);
	slu_session_card_load(cold, dir, &out->card_packets[dir], &out->card_bytes[dir]);
	if (opening || is_opening(hot))
		out->card_packets[dir] = out->card_bytes[dir] = 0;
	out->packets[dir] = slu_session_packets(hot, cold, dir) + out->card_packets[dir];
	out->bytes[dir] =
		slu_session_bytes(__atomic_load_n(&hot->bytes_nexthop[dir], __ATOMIC_ACQUIRE)) + out->card_bytes[dir];
	out->owner[dir] =
		before == SLU_OFFLOAD_CARD || before == SLU_OFFLOAD_TAKING ? SLU_OWNER_CARD : SLU_OWNER_SOFTWARE;
	return before != SLU_OFFLOAD_FOLDING && before == __atomic_load_n(&cold->offload[dir], __ATOMIC_ACQUIRE);
}

static bool copy_session(const struct slu_worker *w, uint32_t sid, struct slu_session_snapshot *out)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint16_t generation = __atomic_load_n(&cold->generation, __ATOMIC_ACQUIRE);

	if (!(generation & 1))
		return false;
	memset(out, 0, sizeof(*out));
	out->session = (uint64_t)generation << 48 | (uint64_t)(w->id + 1) << 32 | sid;
	out->worker = w->id;
	out->listener_id = cold->listener_id;
	out->backend_id = cold->backend_id;
	copy_tuple(&w->table, sid, out);
	copy_times(w, sid, out);
	copy_cluster(w, sid, out);
	for (unsigned int dir = 0; dir < 2; dir++)
		while (!copy_counters(&w->table, sid, dir, out))
			if (__atomic_load_n(&cold->generation, __ATOMIC_ACQUIRE) != generation)
				return false;
	return __atomic_load_n(&cold->generation, __ATOMIC_ACQUIRE) == generation;
}

/* cursor: worker << 32 | sid */
uint32_t slu_dataplane_sessions(
	struct slu_dataplane *dp, uint64_t *cursor, struct slu_session_snapshot *out, uint32_t max)
{
	uint32_t worker = (uint32_t)(*cursor >> 32), sid = (uint32_t)*cursor, count = 0;

	for (; worker < dp->workers && count < max; worker++, sid = 0) {
		const struct slu_worker *w = dp->worker[worker];

		while (count < max && slu_session_table_next(&w->table, &sid))
			count += copy_session(w, sid, &out[count]);
		if (count == max)
			break;
	}
	*cursor = (uint64_t)worker << 32 | sid;
	return count;
}

bool slu_dataplane_session(struct slu_dataplane *dp, slu_session_ref session, struct slu_session_snapshot *out)
{
	uint32_t id = (uint32_t)(session >> 32 & 0xFFFF) - 1, sid = (uint32_t)session;

	if (id >= dp->workers || (sid & SLU_ENTRY_INDEX) == 0 || sid != SLU_SID(sid) ||
		(sid & SLU_ENTRY_INDEX) > dp->worker[id]->table.capacity)
		return false;
	return copy_session(dp->worker[id], sid, out) && out->session == session;
}

void slu_dataplane_counters(const struct slu_dataplane *dp, uint64_t counters[SLU_COUNT_MAX])
{
	for (int c = 0; c < SLU_COUNT_MAX; c++) {
		counters[c] = 0;
		for (uint32_t i = 0; i < dp->workers; i++)
			counters[c] += __atomic_load_n(&dp->worker[i]->counters[c], __ATOMIC_RELAXED);
	}
}

uint32_t slu_dataplane_session_count(const struct slu_dataplane *dp)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < dp->workers; i++)
		count += __atomic_load_n(&dp->worker[i]->table.count, __ATOMIC_RELAXED);
	return count;
}

uint32_t slu_dataplane_session_capacity(const struct slu_dataplane *dp)
{
	return dp->sessions;
}

uint64_t slu_dataplane_memory_bytes(const struct slu_dataplane *dp)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < dp->workers; i++) {
		const struct slu_session_table *t = &dp->worker[i]->table;

		bytes += sizeof(struct slu_worker) + (uint64_t)t->bucket_count * sizeof(struct slu_bucket);
		bytes += t->used[0] *
			 (sizeof(struct slu_session_hot) + sizeof(struct slu_session_cold) + sizeof(uint32_t));
		bytes +=
			t->used[1] * (sizeof(struct slu_session6) + sizeof(struct slu_session_cold) + sizeof(uint32_t));
	}
	return bytes;
}

static void sum_live(const struct slu_dataplane *dp, bool backend, uint32_t live, struct slu_live_counters *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < dp->workers && live < SLU_LIVE_MAX; i++) {
		const struct slu_worker *w = dp->worker[i];
		const struct slu_live *l = backend ? &w->backend_live[live] : &w->listener_live[live];

		out->connections += __atomic_load_n(&l->connections, __ATOMIC_RELAXED);
		out->active += __atomic_load_n(&l->active, __ATOMIC_RELAXED);
		out->inactive += __atomic_load_n(&l->inactive, __ATOMIC_RELAXED);
		out->untold += __atomic_load_n(&l->untold, __ATOMIC_RELAXED);
	}
}

void slu_dataplane_backend_counters(const struct slu_dataplane *dp, uint32_t live, struct slu_live_counters *out)
{
	sum_live(dp, true, live, out);
}

void slu_dataplane_listener_counters(const struct slu_dataplane *dp, uint32_t live, struct slu_live_counters *out)
{
	sum_live(dp, false, live, out);
}

/* ------------------------------------------------------------------- meters */

bool slu_dataplane_meters_seeded(const struct slu_dataplane *dp)
{
	return slu_session_file_is_seeded(dp->file);
}

void slu_dataplane_seed_meters(struct slu_dataplane *dp, const struct slu_meter_reading *readings, uint32_t count)
{
	struct slu_worker *w = dp->worker[0];

	for (uint32_t i = 0; i < count; i++) {
		const struct slu_meter_reading *r = &readings[i];
		const struct slu_meter_key key = {r->listener_id, r->backend_id, r->internal, r->outgoing, {0}};
		uint32_t meter = slu_meter_get(&w->meters, &key);

		/* An earlier attempt may have died in the middle of this. */
		for (unsigned int dir = 0; dir < 2; dir++)
			w->meters.area->software[meter][dir] = (struct slu_meter_count){r->packets[dir], r->bytes[dir]};
	}
	slu_session_file_set_seeded(dp->file);
}

/* cursor: worker << 32 | meter */
uint32_t slu_dataplane_meters(
	const struct slu_dataplane *dp, uint64_t *cursor, struct slu_meter_reading *out, uint32_t max)
{
	uint32_t worker = (uint32_t)(*cursor >> 32), meter = (uint32_t)*cursor, count = 0;

	for (; worker < dp->workers && count < max; worker++, meter = 0) {
		const struct slu_meter_area *area = dp->worker[worker]->meters.area;
		uint32_t used = __atomic_load_n(&area->used, __ATOMIC_ACQUIRE);

		for (; meter <= used && count < max; meter++) {
			const struct slu_meter_key *key = &area->key[meter];
			uint32_t listener_id = __atomic_load_n(&key->listener_id, __ATOMIC_ACQUIRE);

			if (listener_id == SLU_METER_FREE)
				continue;
			out[count] = (struct slu_meter_reading){
				listener_id, key->backend_id, key->internal, key->outgoing, {0}, {0}};
			for (unsigned int dir = 0; dir < 2; dir++) {
				const struct slu_meter_count *s = &area->software[meter][dir],
							     *c = &area->card[meter][dir];

				out[count].packets[dir] = __atomic_load_n(&s->packets, __ATOMIC_RELAXED) +
							  __atomic_load_n(&c->packets, __ATOMIC_RELAXED);
				out[count].bytes[dir] = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED) +
							__atomic_load_n(&c->bytes, __ATOMIC_RELAXED);
			}
			count++;
		}
		if (meter <= used)
			break;
	}
	*cursor = (uint64_t)worker << 32 | meter;
	return count;
}

void slu_dataplane_set_elsewhere(struct slu_dataplane *dp, uint32_t backend_live, uint32_t sessions)
{
	if (backend_live < SLU_LIVE_MAX)
		__atomic_store_n(&dp->backend_elsewhere[backend_live], sessions, __ATOMIC_RELAXED);
}

void slu_dataplane_set_ceiling(struct slu_dataplane *dp, uint32_t listener_live, uint32_t sessions)
{
	if (listener_live < SLU_LIVE_MAX)
		__atomic_store_n(&dp->listener_ceiling[listener_live], sessions + 1, __ATOMIC_RELAXED);
}
