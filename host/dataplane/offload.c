#include "host/dataplane/offload.h"

#include "host/dataplane/forward.h"
#include "host/dataplane/sync.h"

#define REFUSED_RETRY_PACKETS 4096u /* of the direction's, a power of two */
#define LEFT_TICKS 20u              /* what was told so long ago has left the node (docs/session-sync.md) */
#define BOTH_FINS (SLU_SESSION_FIN_REQ | SLU_SESSION_FIN_REP)

static uint8_t state_of(const struct slu_session_cold *cold, unsigned int dir)
{
	return __atomic_load_n(&cold->offload[dir], __ATOMIC_ACQUIRE);
}

static void set_state(struct slu_session_cold *cold, unsigned int dir, enum slu_offload_state state)
{
	__atomic_store_n(&cold->offload[dir], (uint8_t)state, __ATOMIC_RELEASE);
}

static bool move_state(
	struct slu_session_cold *cold, unsigned int dir, enum slu_offload_state from, enum slu_offload_state to)
{
	uint8_t expected = (uint8_t)from;

	return __atomic_compare_exchange_n(
		&cold->offload[dir], &expected, (uint8_t)to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Adds the final counters of a rule that is gone to the session's own. */
static void fold(struct slu_session_hot *hot, struct slu_session_cold *cold, unsigned int dir)
{
	uint64_t card_packets, card_bytes;

	if (state_of(cold, dir) != SLU_OFFLOAD_GONE)
		return;
	set_state(cold, dir, SLU_OFFLOAD_FOLDING);
	slu_session_card_load(cold, dir, &card_packets, &card_bytes);
	slu_session_set_packets(hot, cold, dir, slu_session_packets(hot, cold, dir) + card_packets);
	hot->bytes_nexthop[dir] += card_bytes << 16;
	slu_session_card_store(cold, dir, 0, 0);
	set_state(cold, dir, SLU_OFFLOAD_NONE);
}

/* ------------------------------------------------------------ the worker's */

/*
 * What the client has sent, this packet included. In a cluster its packets may all go to another node: then those that
 * this one sees count.
 */
static uint64_t client_packets(const struct slu_session_hot *hot, const struct slu_session_cold *cold, unsigned int dir)
{
	uint64_t count = slu_session_packets(hot, cold, SLU_DIR_REQUEST) + (dir == SLU_DIR_REQUEST);

	return count ? count : slu_session_packets(hot, cold, SLU_DIR_REPLY) + 1;
}

static bool qualifies(const struct slu_worker *w, const struct slu_session_hot *hot,
	const struct slu_session_cold *cold, unsigned int dir)
{
	const struct slu_listener *l = NULL;

	if (!(hot->flags & SLU_SESSION_OFFLOAD) || hot->flags & (BOTH_FINS | SLU_SESSION_RST))
		return false;
	if (hot->nexthop_epoch == SLU_EPOCH_OPENING)
		return false; /* the card adds nothing to packets */
	if (!__atomic_load_n(&w->dp->offload_enabled, __ATOMIC_RELAXED))
		return false;
	if ((uint8_t)hot->proto_vpc == SLU_PROTO_TCP && hot->state != SLU_TCP_ESTABLISHED)
		return false;
	if (cold->listener_live < w->generation->listener_live_limit)
		l = w->generation->listener_by_live[cold->listener_live];
	if (!l || !l->offload)
		return false;
	return client_packets(hot, cold, dir) >= l->offload_threshold_packets;
}

static bool wants(struct slu_session_hot *hot, struct slu_session_cold *cold, unsigned int dir)
{
	uint8_t state;

	fold(hot, cold, dir);
	state = state_of(cold, dir);
	return state == SLU_OFFLOAD_NONE ||
	       (state == SLU_OFFLOAD_REFUSED && slu_session_packets_low(hot, dir) % REFUSED_RETRY_PACKETS == 0);
}

static void consider(struct slu_worker *w, struct slu_session_hot *hot, struct slu_session_cold *cold, uint32_t sid)
{
	bool listed = false;

	for (unsigned int dir = 0; dir < 2; dir++)
		listed |= state_of(cold, dir) == SLU_OFFLOAD_PENDING;
	for (unsigned int dir = 0; dir < 2; dir++) {
		/* The request's tuple is another session's. */
		if (dir == SLU_DIR_REQUEST && cold->sync & SLU_SYNC_YIELDED)
			continue;
		if (!wants(hot, cold, dir))
			continue;
		if (!listed && w->offload_count == SLU_OFFLOAD_LIST) {
			slu_worker_count(w, SLU_COUNT_OFFLOAD_NO_ROOM);
			return;
		}
		if (!listed)
			w->offload_list[w->offload_count++] = sid;
		listed = true;
		set_state(cold, dir, SLU_OFFLOAD_PENDING);
		hot->flags |= SLU_SESSION_OFFLOADED;
	}
}

/*
 * The other members hear of a session before the card has it. Else it would live on in the card of an agent that dies
 * now, and break when the network notices half a second later.
 */
static bool others_know(struct slu_worker *w, const struct slu_session_hot *hot, uint32_t sid)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	if (!w->cluster || w->cluster->member_count < 2)
		return true;
	if (hot->flags & SLU_SESSION_TELL)
		slu_sync_first(w, sid); /* the card does not count towards the trigger */
	if (!(cold->sync & SLU_SYNC_TOLD))
		return true;
	return !(cold->sync & SLU_SYNC_LATE) && w->now_tick - cold->sync_tick >= LEFT_TICKS;
}

void slu_offload_notice(struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, bool plain)
{
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	if (plain && state_of(cold, dir) == SLU_OFFLOAD_CARD)
		slu_worker_count(w, SLU_COUNT_RX_AFTER_OFFLOAD);
	if ((hot->flags & BOTH_FINS) == BOTH_FINS)
		slu_offload_take_back(w, sid);
	else if (qualifies(w, hot, cold, dir) && others_know(w, hot, sid))
		consider(w, hot, cold, sid);
}

static bool ask(struct slu_worker *w, const struct slu_offload_request *request)
{
	return rte_ring_sp_enqueue_elem(w->offload, (void *)(uintptr_t)request, sizeof(*request)) == 0;
}

void slu_offload_take_back(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	struct slu_offload_request request = {.session = slu_worker_ref(w, sid), .op = SLU_OFFLOAD_REMOVE};

	for (unsigned int dir = 0; dir < 2; dir++) {
		move_state(cold, dir, SLU_OFFLOAD_PENDING, SLU_OFFLOAD_NONE);
		if (!move_state(cold, dir, SLU_OFFLOAD_CARD, SLU_OFFLOAD_TAKING))
			continue;
		request.dir = (uint8_t)dir;
		if (ask(w, &request)) {
			slu_worker_count(w, SLU_COUNT_OFFLOAD_TAKEN_BACK);
		} else {
			/* Unless the rule went by itself meanwhile; the next time-out tries again. */
			move_state(cold, dir, SLU_OFFLOAD_TAKING, SLU_OFFLOAD_CARD);
			slu_worker_count(w, SLU_COUNT_OFFLOAD_NO_ROOM);
		}
	}
}

bool slu_offload_busy(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	bool busy = false;

	for (unsigned int dir = 0; dir < 2; dir++) {
		uint8_t state;

		fold(hot, cold, dir);
		state = state_of(cold, dir);
		busy |= state != SLU_OFFLOAD_NONE && state != SLU_OFFLOAD_REFUSED;
	}
	if (!busy)
		hot->flags &= (uint8_t)~SLU_SESSION_OFFLOADED;
	return busy;
}

static void fill_tuple(const struct slu_session_table *t, uint32_t sid, unsigned int dir, struct slu_offload_request *r)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_tuple *in = &hot->tuple[dir], *other = &hot->tuple[dir ^ 1];

	r->sport = in->sport;
	r->dport = in->dport;
	r->new_sport = other->dport;
	r->new_dport = other->sport;
	if (sid & SLU_ENTRY_IPV6) {
		const struct slu_session_addresses *a = slu_session_table_addresses(t, sid);

		memcpy(r->src, a->address[dir], 16);
		memcpy(r->dst, a->address[dir] + 16, 16);
		memcpy(r->new_src, a->address[dir ^ 1] + 16, 16);
		memcpy(r->new_dst, a->address[dir ^ 1], 16);
	} else {
		memcpy(r->src, &in->src, 4);
		memcpy(r->dst, &in->dst, 4);
		memcpy(r->new_src, &other->dst, 4);
		memcpy(r->new_dst, &other->src, 4);
	}
}

/* Returns false if there is no next hop now: then hop.port is UINT16_MAX. */
static bool fill_install(struct slu_worker *w, uint32_t sid, unsigned int dir, struct slu_offload_request *r)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	const struct slu_nexthop *hop, *back;
	bool no_route;

	*r = (struct slu_offload_request){
		.session = slu_worker_ref(w, sid),
		.op = SLU_OFFLOAD_INSTALL,
		.dir = (uint8_t)dir,
		.family = sid & SLU_ENTRY_IPV6 ? 6 : 4,
		.protocol = (uint8_t)hot->proto_vpc,
		.vpc = hot->proto_vpc >> 8,
		.in_port = UINT16_MAX,
		.listener_id = cold->listener_id,
		.backend_id = cold->backend_id,
	};
	fill_tuple(&w->table, sid, dir, r);
	r->hop.port = UINT16_MAX;
	back = slu_forward_nexthop(w, sid, dir ^ 1, &no_route);
	if (back)
		r->in_port = back->port;
	hop = slu_forward_nexthop(w, sid, dir, &no_route);
	if (!hop)
		return false;
	r->hop = *hop;
	if (r->hop.mtu == UINT16_MAX)
		r->hop.mtu = 0;
	return true;
}

/* Returns false if the ring is full. */
static bool flush_direction(struct slu_worker *w, uint32_t sid, unsigned int dir)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	struct slu_offload_request request;

	if (state_of(cold, dir) != SLU_OFFLOAD_PENDING)
		return true;
	if (!qualifies(w, hot, cold, dir) || !fill_install(w, sid, dir, &request)) {
		set_state(cold, dir, SLU_OFFLOAD_NONE);
		return true;
	}
	/* The card does not count towards the trigger. */
	if (dir == SLU_DIR_REQUEST && hot->flags & SLU_SESSION_TELL)
		slu_sync_first(w, sid);
	set_state(cold, dir, SLU_OFFLOAD_ASKED);
	if (!ask(w, &request)) {
		set_state(cold, dir, SLU_OFFLOAD_PENDING);
		slu_worker_count(w, SLU_COUNT_OFFLOAD_NO_ROOM);
		return false;
	}
	slu_worker_count(w, SLU_COUNT_OFFLOAD_ASKED);
	return true;
}

void slu_worker_offload_flush(struct slu_worker *w)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < w->offload_count; i++) {
		uint32_t sid = w->offload_list[i];
		struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

		if (!(cold->generation & 1))
			continue;
		if (!flush_direction(w, sid, SLU_DIR_REPLY) || !flush_direction(w, sid, SLU_DIR_REQUEST))
			w->offload_list[kept++] = sid;
	}
	w->offload_count = kept;
	slu_sync_kick(w);
}

bool slu_worker_control_waiting(const struct slu_worker *w)
{
	return !rte_ring_empty(w->offload) || !rte_ring_empty(w->unresolved);
}

/* ------------------------------------------------------- the control thread's */

/* The cold line of a living session; its worker cannot release it while the card has, or was asked for, a direction. */
static struct slu_session_cold *cold_of(struct slu_dataplane *dp, slu_session_ref ref, struct slu_worker **worker)
{
	uint32_t id = (uint32_t)(ref >> 32 & 0xFFFF) - 1, sid = (uint32_t)ref;
	struct slu_session_cold *cold;

	if (id >= dp->workers || (sid & SLU_ENTRY_INDEX) == 0 || sid & (SLU_ENTRY_REPLY | SLU_ENTRY_SECONDARY) ||
		(sid & SLU_ENTRY_INDEX) > dp->worker[id]->table.capacity)
		return NULL;
	*worker = dp->worker[id];
	cold = slu_session_table_cold(&(*worker)->table, sid);
	if (__atomic_load_n(&cold->generation, __ATOMIC_ACQUIRE) != ref >> 48 || !(ref >> 48 & 1))
		return NULL;
	return cold;
}

void slu_offload_enable(struct slu_dataplane *dp, bool enable)
{
	__atomic_store_n(&dp->offload_enabled, enable, __ATOMIC_RELAXED);
}

bool slu_offload_next(struct slu_dataplane *dp, struct slu_offload_request *request)
{
	for (uint32_t i = 0; i < dp->workers; i++) {
		struct slu_worker *w = dp->worker[dp->offload_turn++ % dp->workers];

		if (rte_ring_sc_dequeue_elem(w->offload, request, sizeof(*request)) == 0)
			return true;
	}
	return false;
}

/*
 * Both FINs seen. The worker sets the flag and then looks at the state, the control thread the other way round, both
 * with locked operations: one of them notices a rule that is made while the session ends.
 */
static bool is_finished(const struct slu_worker *w, slu_session_ref session)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, (uint32_t)session);

	return (__atomic_load_n(&hot->flags, __ATOMIC_RELAXED) & BOTH_FINS) == BOTH_FINS;
}

bool slu_offload_wanted(struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir)
{
	struct slu_worker *w;
	struct slu_session_cold *cold = cold_of(dp, session, &w);

	return cold && state_of(cold, dir) == SLU_OFFLOAD_ASKED && !is_finished(w, session);
}

bool slu_offload_done(struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir, bool ok)
{
	struct slu_worker *w;
	struct slu_session_cold *cold = cold_of(dp, session, &w);
	uint64_t packets, bytes;

	if (!cold)
		return false;
	if (ok) {
		if (!move_state(cold, dir, SLU_OFFLOAD_ASKED, SLU_OFFLOAD_CARD))
			return false;
		return !is_finished(w, session) || !move_state(cold, dir, SLU_OFFLOAD_CARD, SLU_OFFLOAD_TAKING);
	}
	/* After a restart the last counters of a rule that is lost may be here. */
	slu_session_card_load(cold, dir, &packets, &bytes);
	return move_state(cold, dir, SLU_OFFLOAD_ASKED, packets ? SLU_OFFLOAD_GONE : SLU_OFFLOAD_REFUSED);
}

static bool is_on_card(const struct slu_session_cold *cold, unsigned int dir)
{
	uint8_t state = state_of(cold, dir);

	return state == SLU_OFFLOAD_CARD || state == SLU_OFFLOAD_TAKING;
}

/* The counters of a session's rule, absolute. */
static void take_counters(
	struct slu_worker *w, slu_session_ref session, enum slu_dir dir, const struct slu_meter_count *is)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, (uint32_t)session);
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, (uint32_t)session);
	struct slu_meter_count was;

	slu_session_card_load(cold, dir, &was.packets, &was.bytes);
	/* In this order: what a crash between them leaves is missing, not counted twice. */
	slu_session_card_store(cold, dir, is->packets, is->bytes);
	slu_meter_add_card(w->meters.area, slu_session_meter(hot), dir, &was, is);
}

void slu_offload_counters(struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir, uint64_t packets,
	uint64_t bytes, uint64_t last_seen_us)
{
	struct slu_worker *w;
	struct slu_session_cold *cold = cold_of(dp, session, &w);
	struct slu_session_hot *hot;
	uint32_t tick = slu_session_tick(last_seen_us);

	if (!cold || !is_on_card(cold, dir))
		return;
	take_counters(w, session, dir, &(struct slu_meter_count){packets, bytes});
	if (!last_seen_us)
		return;
	/* The worker may store a newer time at the same moment; losing either costs a millisecond. */
	hot = slu_session_table_hot(&w->table, (uint32_t)session);
	if ((int32_t)(tick - __atomic_load_n(&hot->last_seen, __ATOMIC_RELAXED)) > 0)
		__atomic_store_n(&hot->last_seen, tick, __ATOMIC_RELAXED);
}

void slu_offload_removed(
	struct slu_dataplane *dp, slu_session_ref session, enum slu_dir dir, uint64_t packets, uint64_t bytes)
{
	struct slu_worker *w;
	struct slu_session_cold *cold = cold_of(dp, session, &w);

	if (!cold || !(is_on_card(cold, dir) || state_of(cold, dir) == SLU_OFFLOAD_ASKED))
		return;
	take_counters(w, session, dir, &(struct slu_meter_count){packets, bytes});
	set_state(cold, dir, SLU_OFFLOAD_GONE);
}

/* ------------------------------------------------------------------- restart */

void slu_offload_recover(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);

	for (unsigned int dir = 0; dir < 2; dir++) {
		switch (cold->offload[dir]) {
		case SLU_OFFLOAD_FOLDING:
			/* The sum may be in already; rather a rule's packets missing than counted twice. */
			slu_session_card_store(cold, dir, 0, 0);
			set_state(cold, dir, SLU_OFFLOAD_NONE);
			break;
		case SLU_OFFLOAD_ASKED:
		case SLU_OFFLOAD_CARD:
		case SLU_OFFLOAD_TAKING:
			set_state(cold, dir, SLU_OFFLOAD_CARD);
			break;
		case SLU_OFFLOAD_GONE:
			break;
		default:
			set_state(cold, dir, SLU_OFFLOAD_NONE);
		}
	}
}

/* The next direction, from {sid, dir} on, that the card had; false at the end of this worker's sessions. */
static bool next_on_card(const struct slu_session_table *t, uint32_t *sid, unsigned int *dir)
{
	while (*sid || slu_session_table_next(t, sid)) {
		for (; *dir < 2; ++*dir)
			if (move_state(slu_session_table_cold(t, *sid), *dir, SLU_OFFLOAD_CARD, SLU_OFFLOAD_ASKED))
				return true;
		*dir = 0;
		if (!slu_session_table_next(t, sid))
			break;
	}
	return false;
}

/* cursor: worker << 40 | sid << 8 | direction to look at */
bool slu_offload_next_recovered(struct slu_dataplane *dp, uint64_t *cursor, struct slu_offload_request *request)
{
	uint32_t worker = (uint32_t)(*cursor >> 40), sid = (uint32_t)(*cursor >> 8);
	unsigned int dir = *cursor & 0xFF;

	for (; worker < dp->workers; worker++, sid = 0, dir = 0) {
		struct slu_worker *w = dp->worker[worker];

		slu_worker_refresh(w);
		if (!next_on_card(&w->table, &sid, &dir))
			continue;
		fill_install(w, sid, dir, request);
		*cursor = (uint64_t)worker << 40 | (uint64_t)sid << 8 | (dir + 1);
		return true;
	}
	*cursor = (uint64_t)dp->workers << 40;
	return false;
}
