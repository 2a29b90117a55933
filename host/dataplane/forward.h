/*
 * Forwards packets of a session: TCP state, counters, next hop, rewrite.
 */
#ifndef SLU_HOST_FORWARD_H
#define SLU_HOST_FORWARD_H

#include "host/dataplane/lifecycle.h"
#include "host/dataplane/offload.h"
#include "host/dataplane/worker.h"

#define SLU_NEXTHOP_NONE 0xFFFFu

/*
 * A packet of a session's direction, whatever its kind: plain, or any fragment. Takes the packet: it ends in a transmit
 * array, held, or dropped and counted.
 */
void slu_forward_packet(struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir);

/* The next hop of a direction, resolved anew if the view changed. NULL: not now, or no route (*no_route). */
const struct slu_nexthop *slu_forward_nexthop(struct slu_worker *w, uint32_t sid, unsigned int dir, bool *no_route);

/* Puts the Ethernet header right (VLAN tag off or on, addresses) and the packet into its transmit array. */
void slu_forward_send(struct slu_worker *w, struct slu_packet *p, const struct slu_nexthop *hop);

/* Where packets of a direction are sent to. */
struct slu_ip slu_forward_destination(const struct slu_session_table *t, uint32_t sid, unsigned int dir);

/* Held packets: those whose neighbour is known now are sent, those that waited too long dropped. Returns how many. */
uint16_t slu_forward_retry_held(struct slu_worker *w);

/* ----------------------------------------- the parts that every packet runs */

static inline void slu_forward_account(
	struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, const struct slu_packet *p)
{
	uint64_t bytes = slu_packet_bytes(p->mbuf);

	hot->last_seen = w->now_tick;
	__atomic_store_n(&hot->bytes_nexthop[dir], hot->bytes_nexthop[dir] + (bytes << 16), __ATOMIC_RELAXED);
	if (unlikely(hot->packets[dir] == UINT32_MAX))
		slu_session_table_cold(&w->table, sid)->packets_high[dir]++;
	__atomic_store_n(&hot->packets[dir], hot->packets[dir] + 1, __ATOMIC_RELAXED);
}

/* TCP state, and what sessions with something special about them want to know. */
static inline void slu_forward_observe(
	struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, const struct slu_packet *p)
{
	uint8_t special = p->tcp_flags & (SLU_TCP_FIN | SLU_TCP_SYN | SLU_TCP_RST);

	if (p->protocol == SLU_PROTO_TCP) {
		uint8_t next = slu_tcp_state_next(dir, p->tcp_flags, hot->state);

		if (unlikely(next != hot->state || special || hot->flags & SLU_SESSION_RST))
			slu_lifecycle_change(w, hot, sid, dir, p->tcp_flags, next);
	}
	if (unlikely(hot->flags & (SLU_SESSION_OFFLOAD | SLU_SESSION_OFFLOADED)))
		slu_offload_notice(w, hot, sid, dir, !special && p->kind == SLU_PACKET_PLAIN);
}

/* transport: the packet has its TCP or UDP header. */
static inline void slu_forward_rewrite(const struct slu_worker *w, const struct slu_session_hot *hot, uint32_t sid,
	unsigned int dir, const struct slu_packet *p, bool transport)
{
	/* The packet leaves with the other direction's tuple turned around. */
	const struct slu_tuple *other = &hot->tuple[dir ^ 1];
	uint16_t sign = (uint16_t) - (uint16_t)dir;
	uint32_t ports;

	if (p->family == 4) {
		uint64_t addresses = slu_packet_load64(other);

		addresses = addresses >> 32 | addresses << 32;
		slu_packet_edit_ipv4(slu_packet_l3(p), &addresses, hot->l3_delta ^ sign);
	} else {
		const uint8_t *reverse = slu_session_table_addresses(&w->table, sid)->address[dir ^ 1];
		uint8_t addresses[32];

		memcpy(addresses, reverse + 16, 16);
		memcpy(addresses + 16, reverse, 16);
		slu_packet_edit_ipv6(slu_packet_l3(p), addresses);
	}
	if (!transport)
		return;
	ports = slu_packet_load32(&other->sport);
	ports = ports >> 16 | ports << 16;
	if (p->protocol == SLU_PROTO_TCP)
		slu_packet_edit_tcp(slu_packet_l4(p), &ports, hot->l4_delta ^ sign);
	else
		slu_packet_edit_udp(slu_packet_l4(p), &ports, hot->l4_delta ^ sign);
}

static inline uint8_t slu_forward_ttl(const struct slu_packet *p)
{
	return slu_packet_l3(p)[p->family == 4 ? 8 : 7];
}

/* A plain untagged packet whose session is in the cache; what is not simple goes to slu_forward_packet(). */
static inline void slu_forward_plain(struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	uint16_t index = (uint16_t)hot->bytes_nexthop[dir];
	const struct slu_nexthop *hop = &w->hops[index];
	uint8_t *frame;

	if (unlikely(hot->nexthop_epoch != w->neigh_epoch || index >= w->hop_count || slu_forward_ttl(p) <= 1 ||
		     hop->mtu < p->ip_bytes || hop->vlan_tci)) {
		slu_forward_packet(w, p, sid, dir);
		return;
	}
	slu_forward_observe(w, hot, sid, dir, p);
	slu_forward_account(w, hot, sid, dir, p);
	slu_forward_rewrite(w, hot, sid, dir, p, true);
	frame = rte_pktmbuf_mtod(p->mbuf, uint8_t *);
	memcpy(frame, hop->dst_mac, 6);
	memcpy(frame + 6, hop->src_mac, 6);
	slu_worker_send(w, hop->port, p->mbuf);
}

#endif
