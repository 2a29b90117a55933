#include "host/dataplane/ask.h"

#include <rte_ring_elem.h>

#include "host/dataplane/sync.h"
#include "host/dataplane/worker.h"

/*
 * An answer has come by then even from a node under load, and a sender's first retransmission (RFC 6298, section 2: at
 * least 200 ms in practice) has not met an RST; its second does.
 */
#define ANSWER_TICKS 293 /* 0.3 s */
#define AGAIN_TICKS 4883 /* 5 s: what was true then need not be now */

static bool may_ask(struct slu_worker *w)
{
	struct slu_ask *a = &w->ask;
	uint64_t earned = (w->now_us - a->time_us) * SLU_ASKS_PER_S / 1000000;

	if (earned) {
		a->time_us = w->now_us;
		a->tokens = (uint32_t)RTE_MIN(a->tokens + earned, (uint64_t)SLU_ASKS_BURST);
	}
	if (!a->tokens)
		return false;
	a->tokens--;
	return true;
}

/* Which session: that of the packet's tuple, whichever direction it is. */
static bool ask(struct slu_worker *w, const struct slu_packet *p)
{
	uint32_t bytes = p->family == 4 ? 4 : 16;
	const uint8_t *source = slu_packet_l3(p) + (p->family == 4 ? 12 : 8);
	struct slu_sync_record r = {
		.kind = SLU_SYNC_ASK,
		.family = p->family,
		.protocol = p->protocol,
		.mode = SLU_MODE_FULLNAT,
		.vpc = (uint32_t)(p->key.rest >> 40),
		.client_port = (slu_be16)p->key.rest,
		.local_port = (slu_be16)p->key.rest,
		.virtual_port = (slu_be16)(p->key.rest >> 16),
	};

	memcpy(r.client, source, bytes);
	memcpy(r.local, source, bytes); /* as of a session that keeps the client's: it needs no bytes on the wire */
	memcpy(r.virtual_ip, source + bytes, bytes);
	if (rte_ring_sp_enqueue_elem(w->outbox, &r, sizeof(r))) {
		slu_worker_count(w, SLU_COUNT_SYNC_OUTBOX_FULL);
		return false;
	}
	slu_worker_count(w, SLU_COUNT_SYNC_ASKED);
	w->told = true;
	return true;
}

bool slu_ask_others(struct slu_worker *w, const struct slu_packet *p)
{
	uint32_t at = p->hash % SLU_ASK_PLACES, tag = (uint32_t)(p->hash >> 32) | 1;
	uint32_t age = w->now_tick - w->ask.place[at].tick;

	if (!w->cluster || w->cluster->member_count < 2 || !w->outbox || p->kind != SLU_PACKET_PLAIN ||
		p->protocol != SLU_PROTO_TCP || p->tcp_flags & SLU_TCP_RST)
		return false;
	if (w->ask.place[at].tag == tag) {
		if (age < ANSWER_TICKS)
			return true;
		/* While the cluster settles, who can answer may only just be heard. */
		if (age < AGAIN_TICKS && !slu_sync_is_quiet(w))
			return false;
	}
	if (!may_ask(w) || !ask(w, p))
		return false;
	w->ask.place[at].tag = tag;
	w->ask.place[at].tick = w->now_tick;
	return true;
}
