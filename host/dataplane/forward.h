/*
 * Forwards packets of a session: TCP state, counters, next hop, rewrite.
 */
#ifndef SLU_HOST_FORWARD_H
#define SLU_HOST_FORWARD_H

#include "host/dataplane/lifecycle.h"
#include "host/dataplane/offload.h"
#include "host/dataplane/sync.h"
#include "host/dataplane/worker.h"

#define SLU_NEXTHOP_NONE 0xFFFFu

/*
 * A packet of a session's direction, whatever its kind: plain, or any fragment. Takes the packet: it ends in a transmit
 * array, held, or dropped and counted.
 */
void slu_forward_packet(struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir);

/* The next hop of a direction, resolved anew if the view changed. NULL: not now, or no route (*no_route). */
const struct slu_nexthop *slu_forward_nexthop(struct slu_worker *w, uint32_t sid, unsigned int dir, bool *no_route);

/* The session's next hops are resolved anew. */
static inline void slu_forward_forget_hop(struct slu_session_hot *hot)
{
	if (hot->nexthop_epoch != SLU_EPOCH_OPENING)
		hot->nexthop_epoch = 0;
}

/* Puts the Ethernet header right (VLAN tag off or on, addresses) and the packet into its transmit array. */
void slu_forward_send(struct slu_worker *w, struct slu_packet *p, const struct slu_nexthop *hop);

/* Where packets of a direction are sent to. */
struct slu_ip slu_forward_destination(const struct slu_session_table *t, uint32_t sid, unsigned int dir);

/* Held packets: those whose neighbour is known now are sent, those that waited too long dropped. Returns how many. */
uint16_t slu_forward_retry_held(struct slu_worker *w);

/* ----------------------------------------- the parts that every packet runs */

static inline void slu_forward_account(
	struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, uint32_t bytes)
{
	uint32_t packets = hot->packets_meter[dir] + 1;

	slu_meter_add(w->meters.area, slu_session_meter(hot), dir, bytes);
	hot->last_seen = w->now_tick;
	__atomic_store_n(&hot->bytes_nexthop[dir], hot->bytes_nexthop[dir] + ((uint64_t)bytes << 16), __ATOMIC_RELAXED);
	if (unlikely((packets & SLU_PACKETS_MASK) == 0)) {
		packets -= SLU_PACKETS_MASK + 1;
		slu_session_table_cold(&w->table, sid)->packets_high[dir]++;
	}
	__atomic_store_n(&hot->packets_meter[dir], packets, __ATOMIC_RELAXED);
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
	if (unlikely(hot->flags & (SLU_SESSION_OFFLOAD | SLU_SESSION_OFFLOADED | SLU_SESSION_TELL))) {
		if (hot->flags & SLU_SESSION_TELL)
			slu_sync_notice(w, hot, sid, dir, p);
		slu_offload_notice(w, hot, sid, dir, !special && p->kind == SLU_PACKET_PLAIN);
	}
}

static inline void slu_forward_rewrite_echo(uint8_t *icmp, uint32_t ports, uint16_t l4_delta)
{
	uint16_t identifier = slu_packet_echo_identifier(ports);

	slu_packet_edit_echo(icmp, &identifier, l4_delta);
}

/* ip and l4 point to the packet's headers; l4 is NULL if it has none of TCP, UDP or an echo. */
static inline void slu_forward_rewrite(
	const struct slu_session_hot *hot, unsigned int dir, const struct slu_packet *p, uint8_t *ip, uint8_t *l4)
{
	/* The packet leaves with the other direction's tuple turned around. */
	const struct slu_tuple *other = &hot->tuple[dir ^ 1];
	uint16_t sign = (uint16_t) - (uint16_t)dir;
	uint32_t ports;

	if (p->family == 4) {
		uint64_t addresses = slu_packet_load64(other);

		addresses = addresses >> 32 | addresses << 32;
		slu_packet_edit_ipv4(ip, &addresses, hot->l3_delta ^ sign);
	} else {
		const uint8_t *reverse = slu_session_addresses_of(hot)->address[dir ^ 1];
		uint8_t addresses[32];

		memcpy(addresses, reverse + 16, 16);
		memcpy(addresses + 16, reverse, 16);
		slu_packet_edit_ipv6(ip, addresses);
	}
	if (!l4)
		return;
	ports = slu_packet_load32(&other->sport);
	ports = ports >> 16 | ports << 16;
	if (p->protocol == SLU_PROTO_TCP)
		slu_packet_edit_tcp(l4, &ports, hot->l4_delta ^ sign);
	else if (likely(p->protocol == SLU_PROTO_UDP))
		slu_packet_edit_udp(l4, &ports, hot->l4_delta ^ sign);
	else
		slu_forward_rewrite_echo(l4, ports, hot->l4_delta ^ sign);
}

/* A packet of slu_packet_parse_fast() whose session is in the cache; what is not simple goes to slu_forward_packet().
 */
static inline void slu_forward_fast(struct slu_worker *w, struct slu_packet *p)
{
	struct slu_session_hot *hot = p->hot;
	unsigned int dir = p->entry >> 31;
	uint32_t sid = SLU_SID(p->entry), index = (uint16_t)hot->bytes_nexthop[dir];
	const struct slu_nexthop *hop = &w->hops[index];
	struct rte_mbuf *m = p->mbuf;
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *ip = frame + SLU_ETHER_BYTES;

	if (unlikely(hot->nexthop_epoch != w->neigh_epoch || index >= w->hop_count || hop->mtu < p->ip_bytes ||
		     hop->vlan_tci)) {
		slu_forward_packet(w, p, sid, dir);
		return;
	}
	slu_forward_observe(w, hot, sid, dir, p);
	slu_forward_account(w, hot, sid, dir, slu_packet_bytes(m));
	slu_forward_rewrite(hot, dir, p, ip, ip + (p->family == 4 ? 20 : 40));
	memcpy(frame, hop->dst_mac, 6);
	memcpy(frame + 6, hop->src_mac, 6);
	slu_worker_send(w, hop->port, m);
}

#endif
