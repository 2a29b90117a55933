#include "host/dataplane/worker.h"

#include "host/dataplane/answer.h"
#include "host/dataplane/forward.h"
#include "host/dataplane/icmp.h"
#include "host/dataplane/lifecycle.h"
#include "host/dataplane/local_port.h"
#include "host/dataplane/offload.h"
#include "host/dataplane/outbound.h"
#include "host/dataplane/sync.h"

#define TIMEOUTS_A_TICK 128
#define IDLE_US 250000
#define BUSY_US 1000
#define RECEIVED_MAX 64
/*
 * Packets of a stage. Three stages are under way, and a packet has up to five lines (headers, bucket, session,
 * addresses): with 16, more are asked for at a time than the processor fetches, and IPv6 of 200,000 flows took half as
 * long again.
 */
#define CHUNK 8

/* ----------------------------------------------------------------- helpers */

uint64_t slu_worker_random(struct slu_worker *w)
{
	w->random += 0x9E3779B97F4A7C15u;
	return slu_session_table_mix(w->random, w->random ^ 0xE7037ED1A0B428DBu);
}

bool slu_worker_may_answer(struct slu_worker *w)
{
	uint64_t earned = (w->now_us - w->answer_time_us) * SLU_ANSWERS_PER_S / 1000000;

	if (earned) {
		w->answer_time_us = w->now_us;
		w->answer_tokens = (uint32_t)RTE_MIN(w->answer_tokens + earned, (uint64_t)SLU_ANSWERS_BURST);
	}
	if (!w->answer_tokens)
		return false;
	w->answer_tokens--;
	return true;
}

static void enqueue(struct slu_worker *w, struct slu_packet *p, uint32_t to, uint8_t hops)
{
	struct slu_handover *h = slu_worker_handover_of(w, p->mbuf);

	*h = (struct slu_handover){.hops = hops};
	if (p->kind == SLU_PACKET_LATER_FRAGMENT && (uint32_t)p->key.rest) {
		h->ports = (uint32_t)p->key.rest;
		h->has_ports = 1;
	}
	p->mbuf->port = p->in_port;
	if (rte_ring_mp_enqueue(w->dp->worker[to]->handover, p->mbuf))
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_HANDOVER_FULL);
	else
		slu_worker_count(w, SLU_COUNT_HANDOVER);
}

void slu_worker_hand_over(struct slu_worker *w, struct slu_packet *p, uint32_t to, bool final)
{
	enqueue(w, p, to, final ? SLU_HOPS_FINAL : (uint8_t)(p->hops + 1));
}

bool slu_worker_try_next(struct slu_worker *w, struct slu_packet *p)
{
	if (p->hops == SLU_HOPS_FINAL || p->hops + 1u >= w->dp->workers)
		return false;
	slu_worker_hand_over(w, p, (w->id + 1) % w->dp->workers, false);
	return true;
}

/* Epochs begin again once in 65,534 views: no session may still have one of the last time. */
static void forget_hops(struct slu_worker *w)
{
	uint32_t sid = 0;

	while (slu_session_table_next(&w->table, &sid))
		slu_forward_forget_hop(slu_session_table_hot(&w->table, sid));
}

void slu_worker_refresh(struct slu_worker *w)
{
	const struct slu_generation *g = __atomic_load_n(&w->dp->generation, __ATOMIC_ACQUIRE);
	const struct slu_neigh_view *n = __atomic_load_n(&w->dp->neigh, __ATOMIC_ACQUIRE);

	w->cluster = __atomic_load_n(&w->dp->cluster, __ATOMIC_ACQUIRE);
	if (unlikely(g != w->generation)) {
		w->generation = g;
		w->index = g ? g->index : NULL;
	}
	if (unlikely(n != w->neigh)) {
		if (n && n->epoch < w->neigh_epoch)
			forget_hops(w);
		w->neigh = n;
		w->hops = n ? n->hops : NULL;
		w->hop_count = n ? (uint16_t)n->hop_count : 0;
		w->neigh_epoch = n ? n->epoch : w->neigh_epoch;
	}
}

/* -------------------------------------------------------- without a session */

/* Another member may have it, or be about to tell of it. */
static void no_session(struct slu_worker *w, struct slu_packet *p, enum slu_counter why)
{
	if (slu_ask_others(w, p))
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_ASKED);
	else if (slu_sync_is_quiet(w))
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_QUIET);
	else
		slu_answer_rst(w, p, why);
}

bool slu_worker_opens(struct slu_worker *w, struct slu_packet *p)
{
	uint8_t flags = p->tcp_flags & (SLU_TCP_SYN | SLU_TCP_ACK | SLU_TCP_RST | SLU_TCP_FIN);

	if (flags == SLU_TCP_SYN)
		return true;
	if (flags == 0 || (flags & SLU_TCP_SYN && flags & (SLU_TCP_RST | SLU_TCP_FIN)))
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_TCP_FLAGS);
	else if (p->kind == SLU_PACKET_PLAIN || !slu_worker_try_next(w, p))
		no_session(w, p, SLU_COUNT_DROP_NO_SESSION);
	return false;
}

uint32_t slu_worker_nat_owner(const struct slu_dataplane *dp, uint8_t family, const uint8_t *client, slu_be16 port)
{
	uint64_t h =
		family == 4 ? slu_packet_load32(client) : slu_packet_load64(client) ^ slu_packet_load64(client + 8);

	h ^= (uint64_t)port << 40;
	return (uint32_t)(slu_session_table_mix(h ^ 0xA0761D6478BD642Fu, 0xE7037ED1A0B428DBu) >> 32) % dp->workers;
}

uint32_t slu_worker_peer_owner(const struct slu_worker *w, const struct slu_packet *p, bool reply)
{
	const uint8_t *source = slu_packet_l3(p) + (p->family == 4 ? 12 : 8);

	return slu_worker_nat_owner(w->dp, p->family, reply ? source + (p->family == 4 ? 4 : 16) : source,
		(slu_be16)(reply ? p->key.rest >> 16 : p->key.rest));
}

/* A packet for a listener's port. */
static void for_listener(struct slu_worker *w, struct slu_packet *p, const struct slu_listener *l)
{
	enum slu_counter why;
	uint32_t sid;

	if (l->mode == SLU_MODE_NAT && w->dp->workers > 1 && p->hops == 0) {
		uint32_t owner = slu_worker_peer_owner(w, p, false);

		if (owner != w->id) {
			slu_worker_hand_over(w, p, owner, true);
			return;
		}
	}
	if (p->kind == SLU_PACKET_LATER_FRAGMENT) {
		if (!slu_worker_try_next(w, p))
			slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_FRAGMENT_FIRST);
		return;
	}
	if (p->protocol == SLU_PROTO_TCP && !slu_worker_opens(w, p))
		return;
	if (p->kind == SLU_PACKET_FIRST_FRAGMENT && slu_worker_try_next(w, p))
		return;
	sid = slu_lifecycle_create(w, p, l, &why);
	if (sid)
		slu_forward_packet(w, p, sid, SLU_DIR_REQUEST);
	else
		slu_worker_drop(w, p->mbuf, why);
}

/* A packet for a local address of FULLNAT, this node's or another member's, whose session is not here. */
static void for_local(struct slu_worker *w, struct slu_packet *p)
{
	if (w->dp->workers > 1 && p->hops == 0 && p->kind == SLU_PACKET_PLAIN) {
		uint32_t owner = slu_local_port_owner(w->dp, p->in_port, &p->key);

		if (owner != w->id) {
			slu_worker_hand_over(w, p, owner, false);
			return;
		}
	}
	/* The way back was not known when a session's local port was chosen: any worker may have it. */
	if (slu_worker_try_next(w, p))
		return;
	no_session(w, p, p->kind == SLU_PACKET_LATER_FRAGMENT ? SLU_COUNT_DROP_FRAGMENT_FIRST : SLU_COUNT_DROP_LOCAL);
}

/*
 * A session of another node is where its replies come in; its client's packets may come to any worker. Returns whether
 * the packet is on its way there.
 */
static bool elsewhere(struct slu_worker *w, struct slu_packet *p)
{
	uint32_t to;

	if (p->hops || w->dp->workers == 1 || !(uint32_t)p->key.rest)
		return false;
	to = slu_sync_peek(w->dp, w->id, p->hash, &p->key);
	if (to == w->id)
		return false;
	slu_worker_hand_over(w, p, to, true);
	return true;
}

/* TCP or UDP without a session here. */
static void miss(struct slu_worker *w, struct slu_packet *p)
{
	const uint8_t *dst = slu_packet_l3(p) + (p->family == 4 ? 16 : 24);
	const struct slu_address_entry *address;
	const struct slu_listener *l;
	bool member;

	if (!w->index) {
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_NO_CONFIG);
		return;
	}
	if (w->inbox && elsewhere(w, p))
		return;
	address = slu_listener_index_address(w->index, (uint32_t)(p->key.rest >> 40), p->family, dst);
	member = !address && slu_sync_is_member(w, p->family, dst);
	if (!member && slu_outbound_take(w, p, address))
		return;
	if (!address && !member) {
		if (w->index->has_nat && w->dp->workers > 1 && p->hops == 0 && (uint32_t)p->key.rest &&
			slu_worker_peer_owner(w, p, true) != w->id)
			slu_worker_hand_over(w, p, slu_worker_peer_owner(w, p, true), true);
		else
			slu_worker_except(w, p);
		return;
	}
	/* A later fragment whose ports are not known. */
	if (!(uint32_t)p->key.rest && p->kind == SLU_PACKET_LATER_FRAGMENT) {
		if (!slu_worker_try_next(w, p))
			slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_FRAGMENT_FIRST);
		return;
	}
	l = address ? slu_listener_index_find(
			      w->index, address, p->protocol, __builtin_bswap16((uint16_t)(p->key.rest >> 16)))
		    : NULL;
	if (l)
		for_listener(w, p, l);
	else if (!address || address->kinds & SLU_ADDRESS_LOCAL)
		for_local(w, p);
	else if (p->kind == SLU_PACKET_LATER_FRAGMENT)
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_NO_LISTENER);
	else
		slu_answer_rst(w, p, SLU_COUNT_DROP_NO_LISTENER);
}

/* A client's SYN on a finished session of the same tuple starts a new one. */
static bool replaced(struct slu_worker *w, const struct slu_packet *p, uint32_t entry)
{
	const uint8_t wanted = SLU_TCP_SYN, among = SLU_TCP_SYN | SLU_TCP_ACK | SLU_TCP_RST | SLU_TCP_FIN;
	uint32_t sid = SLU_SID(entry);

	if (entry & SLU_ENTRY_REPLY || p->protocol != SLU_PROTO_TCP || (p->tcp_flags & among) != wanted)
		return false;
	if (slu_session_table_hot(&w->table, sid)->flags & SLU_SESSION_OFFLOADED && slu_offload_busy(w, sid))
		return false;
	if (!slu_lifecycle_replaceable(w, sid))
		return false;
	slu_worker_count(w, SLU_COUNT_SESSIONS_REUSED);
	slu_lifecycle_end(w, sid);
	return true;
}

/* TCP or UDP whose key, and of that the hash, are known. */
static void with_key(struct slu_worker *w, struct slu_packet *p)
{
	uint32_t entry;

	entry = slu_session_table_find(&w->table, p->hash, &p->key);
	if (entry && !replaced(w, p, entry))
		slu_forward_packet(w, p, SLU_SID(entry), entry >> 31);
	else
		miss(w, p);
}

/* An echo of no outbound service is the kernel's. */
static void echo(struct slu_worker *w, struct slu_packet *p)
{
	const uint8_t *dst = slu_packet_l3(p) + (p->family == 4 ? 16 : 24);
	const struct slu_address_entry *address;
	uint32_t entry;

	p->hash = slu_session_table_hash(&w->table, &p->key);
	entry = slu_session_table_find(&w->table, p->hash, &p->key);
	if (entry) {
		slu_forward_packet(w, p, SLU_SID(entry), entry >> 31);
		return;
	}
	address = w->index ? slu_listener_index_address(w->index, (uint32_t)(p->key.rest >> 40), p->family, dst) : NULL;
	if (!w->index || !slu_outbound_take(w, p, address))
		slu_worker_except(w, p);
}

void slu_worker_dispatch(struct slu_worker *w, struct slu_packet *p)
{
	switch (p->kind) {
	case SLU_PACKET_FIRST_FRAGMENT:
		slu_fragment_note(&w->fragments, p, w->now_tick);
		p->hash = slu_session_table_hash(&w->table, &p->key);
		with_key(w, p);
		return;
	case SLU_PACKET_LATER_FRAGMENT:
		if ((uint32_t)p->key.rest || slu_fragment_complete(&w->fragments, p, w->now_tick)) {
			p->hash = slu_session_table_hash(&w->table, &p->key);
			with_key(w, p);
		} else {
			miss(w, p);
		}
		return;
	case SLU_PACKET_PLAIN:
		with_key(w, p);
		return;
	case SLU_PACKET_ICMP_ERROR:
		slu_icmp_error(w, p);
		return;
	case SLU_PACKET_ECHO:
		echo(w, p);
		return;
	case SLU_PACKET_OTHER:
		slu_worker_except(w, p);
		return;
	default:
		slu_worker_drop(w, p->mbuf, (enum slu_counter)p->drop);
	}
}

/* -------------------------------------------------------------------- burst */

/* Understands packets and starts to fetch their buckets, */
static inline void parse_chunk(
	struct slu_worker *w, uint16_t in_port, struct rte_mbuf **packets, uint16_t from, uint16_t to, uint16_t count)
{
	uint32_t vpc = w->dp->vpc[in_port];

	for (uint16_t i = from; i < to; i++) {
		struct slu_packet *p = &w->burst[i];

		if (i + CHUNK < count)
			rte_prefetch0(rte_pktmbuf_mtod(packets[i + CHUNK], void *));
		p->mbuf = packets[i];
		p->in_port = in_port;
		p->hops = 0;
		p->fast = slu_packet_parse_fast(p, vpc);
		if (unlikely(!p->fast)) {
			slu_packet_parse(p, vpc);
			if (p->kind != SLU_PACKET_PLAIN)
				continue;
		}
		p->hash = slu_session_table_hash(&w->table, &p->key);
	}
	/* All at once: a prefetch that waits for a page's address holds up what follows it, but not another prefetch.
	 */
	for (uint16_t i = from; i < to; i++)
		slu_session_table_prefetch(&w->table, w->burst[i].hash);
}

/* then the sessions that the buckets name, */
static inline void find_chunk(struct slu_worker *w, uint16_t from, uint16_t to)
{
	/* Of packets without a key the hash is an old one, and nobody looks at the entry. */
	for (uint16_t i = from; i < to; i++)
		w->burst[i].entry = slu_session_table_candidate(&w->table, w->burst[i].hash);
	for (uint16_t i = from; i < to; i++) {
		uint32_t entry = w->burst[i].entry;

		w->burst[i].hot = slu_session_table_hot(&w->table, entry);
		rte_prefetch0(w->burst[i].hot);
		if (entry & SLU_ENTRY_IPV6)
			rte_prefetch0(slu_session_table_addresses(&w->table, entry));
	}
}

/* and then forwards, in order of arrival. */
static inline void forward_chunk(struct slu_worker *w, uint16_t from, uint16_t to)
{
	const uint8_t among = SLU_TCP_SYN | SLU_TCP_ACK;

	for (uint16_t i = from; i < to; i++) {
		struct slu_packet *p = &w->burst[i];

		if (likely(p->fast && (p->tcp_flags & among) != SLU_TCP_SYN &&
			    slu_session_table_is(p->hot, p->entry, &p->key)))
			slu_forward_fast(w, p);
		else
			slu_worker_dispatch(w, p);
	}
}

/*
 * Chunks overlap: while the buckets of one are on their way from memory, the sessions of the chunk before it are looked
 * for, and the chunk before that is forwarded.
 */
void slu_worker_burst(struct slu_worker *w, uint16_t in_port, struct rte_mbuf **packets, uint16_t count)
{
	RTE_ASSERT(count <= SLU_BURST_MAX && in_port < SLU_PORTS_MAX);
	slu_worker_refresh(w);
	w->counters[SLU_COUNT_RX] += count;
	for (int from = 0; from < count + 2 * CHUNK; from += CHUNK) {
		if (from < count)
			parse_chunk(w, in_port, packets, (uint16_t)from, RTE_MIN(from + CHUNK, count), count);
		if (from >= CHUNK && from - CHUNK < count)
			find_chunk(w, (uint16_t)(from - CHUNK), RTE_MIN(from, count));
		if (from >= 2 * CHUNK)
			forward_chunk(w, (uint16_t)(from - 2 * CHUNK), RTE_MIN(from - CHUNK, count));
	}
}

static void received(struct slu_worker *w, struct rte_mbuf *m)
{
	const struct slu_handover *h = slu_worker_handover_of(w, m);
	struct slu_packet p = {.mbuf = m, .in_port = m->port, .hops = h->hops};

	slu_packet_parse(&p, w->dp->vpc[m->port]);
	if (p.kind == SLU_PACKET_LATER_FRAGMENT && h->has_ports)
		p.key.rest |= h->ports;
	if (p.kind == SLU_PACKET_PLAIN)
		p.hash = slu_session_table_hash(&w->table, &p.key);
	slu_worker_dispatch(w, &p);
}

bool slu_worker_handover_waiting(const struct slu_worker *w)
{
	return w->handover && !rte_ring_empty(w->handover);
}

uint16_t slu_worker_poll(struct slu_worker *w)
{
	struct rte_mbuf *packets[RECEIVED_MAX];
	uint16_t count = 0;

	slu_worker_refresh(w);
	if (w->handover)
		count = (uint16_t)rte_ring_sc_dequeue_burst(w->handover, (void **)packets, RECEIVED_MAX, NULL);
	for (uint16_t i = 0; i < count; i++)
		received(w, packets[i]);
	if (w->held_count)
		count += slu_forward_retry_held(w);
	if (w->inbox)
		count += slu_sync_inbox_drain(w);
	return count;
}

/* --------------------------------------------------------------------- loop */

uint32_t slu_worker_tx_ports(const struct slu_worker *w)
{
	return w->tx_ports;
}

uint16_t slu_worker_take_tx(struct slu_worker *w, uint16_t port, struct rte_mbuf ***packets)
{
	struct slu_out *out = &w->tx[port];
	uint16_t count = out->count;

	*packets = out->packets;
	out->count = 0;
	w->tx_ports &= ~(1u << port);
	w->counters[SLU_COUNT_TX] += count;
	return count;
}

uint16_t slu_worker_take_exceptions(struct slu_worker *w, struct rte_mbuf ***packets)
{
	uint16_t count = w->exceptions.count;

	*packets = w->exceptions.packets;
	w->exceptions.count = 0;
	return count;
}

static void set_time(struct slu_worker *w, uint64_t now_us)
{
	w->now_us = now_us;
	__atomic_store_n(&w->now_tick, slu_session_tick(now_us), __ATOMIC_RELAXED);
}

uint32_t slu_worker_tick(struct slu_worker *w, uint64_t now_us)
{
	uint32_t sid, done = 0;

	set_time(w, now_us);
	slu_worker_refresh(w);
	while (done < TIMEOUTS_A_TICK && (sid = slu_timer_wheel_next(&w->wheel, &w->table, w->now_tick))) {
		slu_lifecycle_timeout(w, sid);
		done++;
	}
	slu_sync_kick(w);
	rte_rcu_qsbr_quiescent(w->dp->qsbr, w->id);
	if (done == TIMEOUTS_A_TICK)
		return 0;
	return w->held_count || w->offload_count ? BUSY_US : IDLE_US;
}

void slu_worker_offline(struct slu_worker *w)
{
	/* Both may be freed from now on, and what is published next may stand at the same address. */
	w->generation = NULL;
	w->index = NULL;
	w->neigh = NULL;
	w->hops = NULL;
	w->hop_count = 0;
	w->cluster = NULL;
	rte_rcu_qsbr_thread_offline(w->dp->qsbr, w->id);
}

void slu_worker_online(struct slu_worker *w)
{
	rte_rcu_qsbr_thread_online(w->dp->qsbr, w->id);
	slu_worker_refresh(w);
}

void slu_worker_set_wake(struct slu_worker *w, struct slu_wake *wake)
{
	w->wake = wake;
}

void slu_worker_start(struct slu_worker *w)
{
	rte_rcu_qsbr_thread_register(w->dp->qsbr, w->id);
	slu_worker_online(w);
}

void slu_worker_stop(struct slu_worker *w)
{
	slu_worker_offline(w);
	rte_rcu_qsbr_thread_unregister(w->dp->qsbr, w->id);
}
