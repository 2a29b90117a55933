#include "host/dataplane/forward.h"

#include <errno.h>

#include "host/dataplane/answer.h"
#include "host/dataplane/client_address.h"

#define HOLD_US 1000000
#define ASK_AGAIN_US 200000

struct slu_ip slu_forward_destination(const struct slu_session_table *t, uint32_t sid, unsigned int dir)
{
	struct slu_ip ip = {.family = sid & SLU_ENTRY_IPV6 ? 6 : 4};

	if (ip.family == 6)
		memcpy(ip.bytes, slu_session_table_addresses(t, sid)->address[dir ^ 1], 16);
	else
		memcpy(ip.bytes, &slu_session_table_hot(t, sid)->tuple[dir ^ 1].src, 4);
	return ip;
}

/* Tells control once in a while whom we wait for. */
static void ask(struct slu_worker *w, uint16_t port, const struct slu_ip *address)
{
	struct slu_unresolved wanted;
	uint32_t place = (address->bytes[3] ^ address->bytes[15]) % RTE_DIM(w->asked);

	memset(&wanted, 0, sizeof(wanted));
	wanted.address = *address;
	wanted.port = port;
	if (!memcmp(&w->asked[place], &wanted, sizeof(wanted)) && w->now_us - w->asked_us[place] < ASK_AGAIN_US)
		return;
	if (rte_ring_sp_enqueue_elem(w->unresolved, &wanted, sizeof(wanted)))
		return;
	w->asked[place] = wanted;
	w->asked_us[place] = w->now_us;
}

const struct slu_nexthop *slu_forward_nexthop(struct slu_worker *w, uint32_t sid, unsigned int dir, bool *no_route)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_nexthop *hop;
	struct slu_ip destination, via;
	uint16_t port;
	int result;

	*no_route = true;
	if (!w->neigh)
		return NULL;
	if (hot->nexthop_epoch != w->neigh_epoch) {
		hot->bytes_nexthop[0] |= SLU_NEXTHOP_NONE;
		hot->bytes_nexthop[1] |= SLU_NEXTHOP_NONE;
		if (hot->nexthop_epoch != SLU_EPOCH_OPENING)
			hot->nexthop_epoch = w->neigh_epoch;
	}
	if ((uint16_t)hot->bytes_nexthop[dir] < w->hop_count)
		return &w->hops[(uint16_t)hot->bytes_nexthop[dir]];
	destination = slu_forward_destination(&w->table, sid, dir);
	result = slu_neigh_resolve(w->neigh, &destination, &hop, &port, &via);
	if (result == 0) {
		hot->bytes_nexthop[dir] =
			(hot->bytes_nexthop[dir] & ~(uint64_t)SLU_NEXTHOP_NONE) | (uint64_t)(hop - w->neigh->hops);
		return hop;
	}
	if (result == -EAGAIN) {
		*no_route = false;
		ask(w, port, &via);
	}
	return NULL;
}

void slu_forward_send(struct slu_worker *w, struct slu_packet *p, const struct slu_nexthop *hop)
{
	struct rte_mbuf *m = p->mbuf;
	uint8_t *frame;

	if (p->l3 > SLU_ETHER_BYTES) {
		frame = rte_pktmbuf_mtod(m, uint8_t *);
		memmove(frame + 4, frame, 12);
		rte_pktmbuf_adj(m, 4);
	}
	if (hop->vlan_tci) {
		frame = (uint8_t *)rte_pktmbuf_prepend(m, 4);
		if (!frame) {
			slu_worker_drop(w, m, SLU_COUNT_DROP_NO_MEMORY);
			return;
		}
		memmove(frame, frame + 4, 12);
		frame[12] = 0x81;
		frame[13] = 0x00;
		frame[14] = (uint8_t)(hop->vlan_tci >> 8);
		frame[15] = (uint8_t)hop->vlan_tci;
	}
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(frame, hop->dst_mac, 6);
	memcpy(frame + 6, hop->src_mac, 6);
	slu_worker_send(w, hop->port, m);
}

static void hold(struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir)
{
	struct slu_held *held;

	if (w->held_count == SLU_HELD_MAX) {
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_NEIGHBOUR);
		return;
	}
	held = &w->held[w->held_count++];
	p->mbuf->port = p->in_port;
	*held = (struct slu_held){
		.mbuf = p->mbuf,
		.deadline_us = w->now_us + HOLD_US,
		.sid = sid,
		.generation = slu_session_table_cold(&w->table, sid)->generation,
		.dir = (uint8_t)dir,
	};
	w->held_epoch = w->neigh_epoch;
	slu_worker_count(w, SLU_COUNT_HELD);
}

/* What a packet of a session runs from here on, however it got here. */
static void count_packet(
	struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, const struct slu_packet *p)
{
	if (p->kind != SLU_PACKET_LATER_FRAGMENT)
		slu_forward_observe(w, hot, sid, dir, p);
	if (p->kind == SLU_PACKET_FIRST_FRAGMENT || p->kind == SLU_PACKET_LATER_FRAGMENT)
		slu_worker_count(w, SLU_COUNT_FRAGMENTS);
	slu_forward_account(w, hot, sid, dir, slu_packet_bytes(p->mbuf));
}

static void translate_and_send(struct slu_worker *w, const struct slu_session_hot *hot, unsigned int dir,
	struct slu_packet *p, const struct slu_nexthop *hop)
{
	slu_forward_rewrite(
		hot, dir, p, slu_packet_l3(p), p->kind == SLU_PACKET_LATER_FRAGMENT ? NULL : slu_packet_l4(p));
	slu_forward_send(w, p, hop);
}

/* A packet of a session whose backend is being told who calls. */
static void forward_opening(
	struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir, const struct slu_nexthop *hop)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	struct slu_client_address_edit edit;
	struct slu_packet alone;

	if (!slu_client_address_plan(w, p, sid, dir, hop, &edit))
		return;
	count_packet(w, hot, sid, dir, p);
	if (edit.alone ? !slu_client_address_split(p, &edit, &alone)
		       : edit.any && !slu_client_address_apply(p, &edit)) {
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_NO_MEMORY);
		return;
	}
	if (edit.alone) {
		slu_worker_count(w, SLU_COUNT_PROXY_HEADERS_ALONE);
		translate_and_send(w, hot, dir, &alone, hop);
	}
	slu_client_address_sent(w, sid, p, &edit);
	translate_and_send(w, hot, dir, p, hop);
}

void slu_forward_packet(struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	const struct slu_nexthop *hop;
	bool no_route;

	if (slu_packet_ttl(p) <= 1) {
		slu_answer_time_exceeded(w, p);
		return;
	}
	hop = slu_forward_nexthop(w, sid, dir, &no_route);
	if (!hop) {
		if (no_route)
			slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_NO_ROUTE);
		else
			hold(w, p, sid, dir);
		return;
	}
	if (p->ip_bytes > hop->mtu) {
		slu_answer_too_big(w, p, hop->mtu);
		return;
	}
	if (unlikely(slu_client_address_concerns(hot, dir, p))) {
		forward_opening(w, p, sid, dir, hop);
		return;
	}
	count_packet(w, hot, sid, dir, p);
	translate_and_send(w, hot, dir, p, hop);
}

/* Whether the session of a held packet still lives and has a next hop now. */
static bool ready(struct slu_worker *w, const struct slu_held *held)
{
	bool no_route;

	if (slu_session_table_cold(&w->table, held->sid)->generation != held->generation)
		return false;
	return slu_forward_nexthop(w, held->sid, held->dir, &no_route);
}

uint16_t slu_forward_retry_held(struct slu_worker *w)
{
	bool changed = w->held_epoch != w->neigh_epoch;
	uint16_t kept = 0, done = 0;

	for (uint16_t i = 0; i < w->held_count; i++) {
		struct slu_held held = w->held[i];
		struct slu_packet p = {.mbuf = held.mbuf, .in_port = held.mbuf->port};

		if (changed && ready(w, &held)) {
			slu_worker_count(w, SLU_COUNT_HELD_SENT);
			slu_packet_parse(&p, w->dp->vpc[p.in_port]);
			slu_forward_packet(w, &p, held.sid, held.dir);
			done++;
		} else if (held.deadline_us <= w->now_us) {
			slu_worker_drop(w, held.mbuf, SLU_COUNT_DROP_NEIGHBOUR);
			done++;
		} else {
			w->held[kept++] = held;
		}
	}
	w->held_count = kept;
	w->held_epoch = w->neigh_epoch;
	return done;
}
