/* The members: who lives, and what is to be fetched from whom. */
#include <string.h>

#include "host/log.h"
#include "host/sync/engine.h"

#define QUIET_MS 1200u /* joining: so long without a heartbeat means that nobody is there */
#define REORDER_MS 30u /* what was only overtaken comes within it */
#define PAUSE_MS 100u  /* between two fetches from one member */
#define RETRY_MAX_MS 1000u
#define COMPARE_MS 500u      /* after a cut all who live are heard again within it */
#define JOIN_FAILURES_MAX 3u /* of one member, until a joining node goes on without it */

struct slu_engine_peer *slu_peers_find(struct slu_sync *sync, uint8_t id)
{
	for (uint32_t i = 0; i < sync->peer_count; i++)
		if (sync->peer[i].address.id == id)
			return &sync->peer[i];
	return NULL;
}

/* A fetch holds a pointer to its peer, so none may run while the table changes. */
static void stop_fetches(struct slu_sync *sync)
{
	for (uint32_t i = 0; i < sync->peer_count; i++) {
		struct slu_engine_peer *p = &sync->peer[i];

		if (!p->fetch)
			continue;
		if (slu_fetch_from(p->fetch)) {
			p->gap_from = slu_fetch_from(p->fetch);
			p->gap_certain = true;
		}
		slu_fetch_free(p->fetch);
		p->fetch = NULL;
	}
}

void slu_peers_replace(struct slu_sync *sync, const struct slu_sync_peer_address *peers, uint32_t count)
{
	struct slu_engine_peer now[SLU_ENGINE_PEERS_MAX];

	stop_fetches(sync);
	sync->in.from = NULL;
	for (uint32_t i = 0; i < count; i++) {
		const struct slu_engine_peer *old = slu_peers_find(sync, peers[i].id);

		now[i] = old ? *old : (struct slu_engine_peer){0};
		now[i].address = peers[i];
		now[i].count.id = peers[i].id;
	}
	pthread_mutex_lock(&sync->lock);
	memcpy(sync->peer, now, count * sizeof(*now));
	sync->peer_count = count;
	pthread_mutex_unlock(&sync->lock);
}

static void set_alive(struct slu_sync *sync, struct slu_engine_peer *p, bool alive)
{
	p->alive = alive;
	__atomic_store_n(&p->count.alive, alive, __ATOMIC_RELAXED);
	slu_engine_tell(
		sync, &(struct slu_engine_event){.kind = SLU_ENGINE_MEMBER, .id = p->address.id, .alive = alive});
}

/* Who has not said yet what he reads, reads the first. A node that joins may not have heard everybody. */
static uint8_t agreed(const struct slu_sync *sync)
{
	uint8_t lowest = sync->count.joined ? sync->options.revision : 1;

	for (uint32_t i = 0; i < sync->peer_count; i++) {
		const struct slu_engine_peer *p = &sync->peer[i];
		uint8_t reads = p->count.revision ? p->count.revision : 1;

		if (p->alive && reads < lowest)
			lowest = reads;
	}
	return lowest;
}

void slu_peers_agree(struct slu_sync *sync)
{
	uint8_t revision = agreed(sync);

	if (revision == sync->count.speaks)
		return;
	slu_info("session sync: this node speaks revision %u, up to %u would be possible", revision,
		sync->options.revision);
	__atomic_store_n(&sync->count.speaks, revision, __ATOMIC_RELAXED);
}

void slu_peers_heard(struct slu_sync *sync, struct slu_engine_peer *p)
{
	__atomic_store_n(&p->heard_ms, slu_engine_now_ms(), __ATOMIC_RELAXED);
	if (p->alive)
		return;
	set_alive(sync, p, true);
	slu_peers_agree(sync);
	p->not_before_ms = 0;
	p->failures = 0;
	p->want_all = p->want_all || sync->joining.active;
}

void slu_peers_gap(struct slu_engine_peer *p, uint64_t from, bool certain)
{
	uint64_t earliest = slu_engine_now_ms() + REORDER_MS;

	/* Everything will be asked for. Once that has begun, the snapshot may be past it. */
	if (p->want_all && !p->fetch)
		return;
	if (p->gap_from == 0 || from < p->gap_from)
		p->gap_from = from;
	p->gap_certain = p->gap_certain || certain;
	if (p->not_before_ms < earliest)
		p->not_before_ms = earliest;
}

/* -------------------------------------------------------------- fetching */

static uint32_t count_full_fetches(const struct slu_sync *sync)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < sync->peer_count; i++)
		count += sync->peer[i].fetch && slu_fetch_from(sync->peer[i].fetch) == 0;
	return count;
}

static void start_fetch(struct slu_sync *sync, struct slu_engine_peer *p, uint64_t from)
{
	p->fetch = slu_fetch_start(sync, p, from);
	p->not_before_ms = slu_engine_now_ms() + PAUSE_MS;
	if (!p->fetch)
		return;
	p->gap_from = 0; /* what is missed from now on is another gap */
	p->gap_certain = false;
}

static void fetch_if_due(struct slu_sync *sync, struct slu_engine_peer *p, uint64_t now_ms)
{
	if (!p->alive || p->fetch || now_ms < p->not_before_ms)
		return;
	if (p->gap_from && !p->gap_certain && !slu_replay_missing(&p->replay, p->gap_from))
		p->gap_from = 0;
	/* It must have heard this node: from then on it tells in a revision that is read here. */
	if (p->want_all && (p->count.speaks == 0 || p->count.speaks > sync->options.revision))
		return;
	/* One after the other: each feeds as fast as the data plane takes it. */
	if (p->want_all) {
		if (count_full_fetches(sync) == 0)
			start_fetch(sync, p, 0);
	} else if (p->gap_from) {
		start_fetch(sync, p, p->gap_from);
	}
}

/* ------------------------------------------------- what members heard of others */

/* Whether a member said more than ever came here. */
static bool is_ahead(const struct slu_engine_sender *s, const struct slu_engine_peer *q)
{
	if (s->epoch == q->fed_epoch && s->sequence <= q->fed_sequence)
		return false;
	return s->epoch > q->replay.epoch || (s->epoch == q->replay.epoch && s->sequence > q->replay.highest);
}

void slu_peers_sender(struct slu_sync *sync, struct slu_engine_peer *p, const struct slu_engine_sender *s, bool all)
{
	struct slu_engine_peer *q = slu_peers_find(sync, s->id);

	if (!q || p->sender_count == SLU_ENGINE_PEERS_MAX)
		return;
	p->senders[p->sender_count++] = *s;
	if (all && slu_replay_learn(&q->replay, s->epoch, s->sequence))
		SLU_ENGINE_COUNT(q->count.epoch, q->replay.epoch - q->count.epoch);
}

/* All sessions of p have come: with them what it had heard of others. */
static void note_fed(struct slu_sync *sync, struct slu_engine_peer *p)
{
	for (uint32_t i = 0; i < p->sender_count; i++) {
		struct slu_engine_peer *q = slu_peers_find(sync, p->senders[i].id);

		if (!q || p->senders[i].epoch < q->fed_epoch)
			continue;
		q->fed_epoch = p->senders[i].epoch;
		q->fed_sequence = p->senders[i].sequence;
	}
	p->sender_count = 0;
	p->compare_ms = 0;
}

/*
 * A member that was on the other side of a cut has heard somebody who died before we could hear him again: nobody else
 * can tell us his sessions now. Who lives tells his own.
 */
static void compare_if_due(struct slu_sync *sync, struct slu_engine_peer *p, uint64_t now_ms)
{
	if (!p->compare_ms || now_ms < p->compare_ms)
		return;
	p->compare_ms = 0;
	for (uint32_t i = 0; i < p->sender_count; i++) {
		const struct slu_engine_peer *q = slu_peers_find(sync, p->senders[i].id);

		if (q && !q->alive && is_ahead(&p->senders[i], q))
			p->want_all = true;
	}
}

static void fetch_failed(struct slu_sync *sync, struct slu_engine_peer *p, uint64_t from)
{
	uint32_t pause = PAUSE_MS << (p->failures < 4 ? p->failures : 4);

	p->failures++;
	p->not_before_ms = slu_engine_now_ms() + (pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
	if (from) {
		p->gap_from = from;
		p->gap_certain = true;
	}
	if (from || !sync->joining.active || p->failures < JOIN_FAILURES_MAX)
		return;
	/* It lives, but it does not feed: the node cannot wait for ever. What it told is asked for again later. */
	slu_warning("session sync: member %u does not feed this node; joining goes on without it", p->address.id);
	p->want_all = false;
	p->gap_from = 1;
	p->gap_certain = true;
}

void slu_peers_fetched(struct slu_sync *sync, struct slu_engine_peer *p, bool ok, uint64_t sessions)
{
	uint64_t from = slu_fetch_from(p->fetch);
	uint32_t ms = slu_fetch_ms(p->fetch);

	slu_fetch_free(p->fetch);
	p->fetch = NULL;
	if (!ok) {
		fetch_failed(sync, p, from);
		return;
	}
	SLU_ENGINE_COUNT(sync->count.fetches, 1);
	p->failures = 0;
	p->not_before_ms = slu_engine_now_ms() + PAUSE_MS;
	if (from) {
		p->compare_ms = p->sender_count ? slu_engine_now_ms() + COMPARE_MS : 0;
		return;
	}
	p->want_all = false;
	p->known_epoch = p->replay.epoch;
	note_fed(sync, p);
	sync->joining.sessions += sessions;
	slu_info("session sync: member %u fed %lu sessions in %u ms", p->address.id, (unsigned long)sessions, ms);
}

/* --------------------------------------------------------------- joining */

void slu_peers_join_all(struct slu_sync *sync)
{
	sync->joining = (struct slu_joining){.active = true, .started_ms = slu_engine_now_ms()};
	for (uint32_t i = 0; i < sync->peer_count; i++) {
		sync->peer[i].want_all = sync->peer[i].alive;
		sync->peer[i].not_before_ms = 0;
	}
}

/*
 * What a member tells has numbers, so that nothing of it is missed, however long it was not heard. What it has besides,
 * from others and from before its start, we have too if it fed us, or if we were there when it joined. Else all of it
 * is asked for: we joined while we could not hear it.
 */
void slu_peers_status(struct slu_sync *sync, struct slu_engine_peer *p, bool joined)
{
	p->joined = joined;
	if (!joined)
		p->known_epoch = p->replay.epoch;
	else if (p->known_epoch != p->replay.epoch && sync->count.joined)
		p->want_all = true;
}

/* Everybody who lives, or is just feeding this node, has fed it; and who was not heard by now is not there. */
static bool join_is_complete(const struct slu_sync *sync, uint64_t now_ms)
{
	bool waited = now_ms - sync->joining.started_ms >= QUIET_MS;

	for (uint32_t i = 0; i < sync->peer_count; i++) {
		const struct slu_engine_peer *p = &sync->peer[i];

		if (p->alive || p->fetch ? p->want_all : !waited)
			return false;
	}
	return waited || sync->peer_count > 0;
}

static void check_join(struct slu_sync *sync, uint64_t now_ms)
{
	uint32_t ms = (uint32_t)(now_ms - sync->joining.started_ms);

	if (!sync->joining.active || !join_is_complete(sync, now_ms))
		return;
	sync->joining.active = false;
	__atomic_store_n(&sync->count.joined, true, __ATOMIC_RELAXED);
	SLU_ENGINE_COUNT(sync->count.joins_done, 1);
	slu_info("session sync: joined with %lu sessions after %u ms", (unsigned long)sync->joining.sessions, ms);
	slu_engine_tell(sync,
		&(struct slu_engine_event){.kind = SLU_ENGINE_JOINED, .sessions = sync->joining.sessions, .ms = ms});
}

/* ------------------------------------------------------------------ time */

void slu_peers_tick(struct slu_sync *sync, uint64_t now_ms)
{
	/* If this thread did not run, nobody was heard: that says nothing of the others. */
	uint64_t stalled_ms =
		sync->ticked_ms && now_ms - sync->ticked_ms > SLU_ENGINE_DEAD_MS / 2 ? now_ms - sync->ticked_ms : 0;

	sync->ticked_ms = now_ms;
	for (uint32_t i = 0; i < sync->peer_count; i++) {
		struct slu_engine_peer *p = &sync->peer[i];

		if (p->alive && stalled_ms)
			__atomic_store_n(&p->heard_ms, p->heard_ms + stalled_ms, __ATOMIC_RELAXED);
		if (p->alive && now_ms > p->heard_ms && now_ms - p->heard_ms >= SLU_ENGINE_DEAD_MS)
			set_alive(sync, p, false);
		compare_if_due(sync, p, now_ms);
		fetch_if_due(sync, p, now_ms);
	}
	check_join(sync, now_ms);
	slu_peers_agree(sync);
}
