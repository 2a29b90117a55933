#include "host/dataplane/outbound.h"

#include "host/dataplane/forward.h"
#include "host/dataplane/lifecycle.h"
#include "host/dataplane/local_port.h"
#include "host/dataplane/outbound_port.h"

static const uint8_t *source_of(const struct slu_packet *p)
{
	return slu_packet_l3(p) + (p->family == 4 ? 12 : 8);
}

static const uint8_t *destination_of(const struct slu_packet *p)
{
	return slu_packet_l3(p) + (p->family == 4 ? 16 : 24);
}

static const struct slu_outbound *service_of(const struct slu_worker *w, const struct slu_packet *p, const uint8_t *ip)
{
	return slu_prefix_set_find(&w->index->inside, (uint32_t)(p->key.rest >> 40), p->family, ip);
}

static bool is_eip(const struct slu_outbound *service)
{
	return service->service.mode == SLU_MODE_EIP;
}

/* ------------------------------------------------------------- what goes out */

/* The network's broadcast address, if it has one. */
static bool is_broadcast(const struct slu_prefix *network, const uint8_t *ip)
{
	uint32_t hosts = network->bits < 31 ? UINT32_MAX >> network->bits : 0, address, own;

	if (network->ip.family != 4 || !hosts)
		return false;
	address = __builtin_bswap32(slu_packet_load32(ip));
	own = __builtin_bswap32(slu_packet_load32(network->ip.bytes));
	return address == (own | hosts);
}

static bool is_of_node(const struct slu_worker *w, uint8_t family, const uint8_t *ip)
{
	for (uint32_t i = 0; i < w->generation->node_count; i++) {
		const struct slu_prefix *own = &w->generation->node[i];

		if (own->ip.family == family &&
			(!memcmp(own->ip.bytes, ip, family == 4 ? 4 : 16) || is_broadcast(own, ip)))
			return true;
	}
	return false;
}

/* Whether an address can be a host outside: not multicast, loopback or of one link. */
static bool is_global(uint8_t family, const uint8_t *ip)
{
	static const uint8_t zero[15];

	if (family == 4)
		return ip[0] != 0 && ip[0] != 127 && ip[0] < 224 && !(ip[0] == 169 && ip[1] == 254);
	return ip[0] != 0xFF && !(ip[0] == 0xFE && (ip[1] & 0xC0) == 0x80) && memcmp(ip, zero, sizeof(zero)) != 0;
}

static bool is_outside(const struct slu_worker *w, const struct slu_packet *p)
{
	const uint8_t *ip = destination_of(p);

	return is_global(p->family, ip) && !is_of_node(w, p->family, ip) && !service_of(w, p, ip);
}

static bool is_echo_reply(const struct slu_packet *p)
{
	return p->kind == SLU_PACKET_ECHO &&
	       slu_packet_l4(p)[0] == (p->family == 4 ? SLU_ICMP_ECHO_REPLY : SLU_ICMPV6_ECHO_REPLY);
}

/* ------------------------------------------------------------------ creation */

static void put_source(struct slu_session_table *t, uint32_t sid, const uint8_t *ip)
{
	if (sid & SLU_ENTRY_IPV6)
		memcpy(slu_session_table_addresses(t, sid)->address[SLU_DIR_REPLY], ip, 16);
	else
		memcpy(&slu_session_table_hot(t, sid)->tuple[SLU_DIR_REPLY].src, ip, 4);
}

static void put_destination(struct slu_session_table *t, uint32_t sid, const uint8_t *ip)
{
	if (sid & SLU_ENTRY_IPV6)
		memcpy(slu_session_table_addresses(t, sid)->address[SLU_DIR_REPLY] + 16, ip, 16);
	else
		memcpy(&slu_session_table_hot(t, sid)->tuple[SLU_DIR_REPLY].dst, ip, 4);
}

/* Where return traffic will enter, if that is known; only several workers care. */
static uint16_t way_back(struct slu_worker *w, uint32_t sid)
{
	const struct slu_nexthop *hop = NULL;
	bool no_route;

	if (w->dp->workers > 1)
		hop = slu_forward_nexthop(w, sid, SLU_DIR_REQUEST, &no_route);
	return hop ? hop->port : SLU_PORTS_MAX;
}

/*
 * The reply's tuple. to: the EIP that is called, NULL: somebody outside. as: the service that lends the source its
 * address, NULL: it keeps its own. Returns 0 or the reason.
 */
static int fill_reply(struct slu_worker *w, uint32_t sid, const struct slu_packet *p, const struct slu_outbound *to,
	const struct slu_outbound *as)
{
	struct slu_session_table *t = &w->table;
	struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	struct slu_session_key key;

	put_source(t, sid, to ? to->private_ip.bytes : destination_of(p));
	hot->tuple[SLU_DIR_REPLY].sport = hot->tuple[SLU_DIR_REQUEST].dport;
	if (as && !is_eip(as))
		return slu_outbound_port_choose(w, sid, as, way_back(w, sid));
	put_destination(t, sid, as ? as->service.address.bytes : source_of(p));
	hot->tuple[SLU_DIR_REPLY].dport = hot->tuple[SLU_DIR_REQUEST].sport;
	if (!as)
		hot->flags |= SLU_SESSION_NAT;
	key = slu_session_table_key(t, sid, SLU_DIR_REPLY);
	return slu_session_table_find(t, slu_session_table_hash(t, &key), &key) ? SLU_COUNT_DROP_NO_PUBLIC_PORT : 0;
}

static bool is_syn(const struct slu_packet *p)
{
	return p->protocol == SLU_PROTO_TCP && (p->tcp_flags & (SLU_TCP_SYN | SLU_TCP_ACK)) == SLU_TCP_SYN;
}

static uint32_t create(struct slu_worker *w, const struct slu_packet *p, const struct slu_outbound *to,
	const struct slu_outbound *as, enum slu_counter *why)
{
	uint32_t sid;
	int reason;

	*why = SLU_COUNT_DROP_BAD_ADDRESS;
	if (slu_lifecycle_bad_source(p))
		return 0;
	*why = SLU_COUNT_DROP_TABLE_FULL;
	sid = slu_session_table_alloc(&w->table, p->family == 6);
	if (!sid)
		return 0;
	slu_lifecycle_fill_request(&w->table, sid, p);
	reason = fill_reply(w, sid, p, to, as);
	if (!reason)
		reason = slu_lifecycle_publish(w, sid, to ? &to->service : &as->service, NULL);
	if (!reason)
		return sid;
	*why = (enum slu_counter)reason;
	slu_session_table_release(&w->table, sid);
	return 0;
}

/*
 * In a cluster one direction of an EIP's session may come to this node and the other to another one, which opened it:
 * the address is this node's, or the other's, whoever routers give the other direction to. Nothing but the address
 * changes, so a packet in the middle says all that there is to know, but who called whom.
 */
static bool may_be_half(const struct slu_worker *w, const struct slu_packet *p, const struct slu_outbound *as)
{
	uint8_t flags = p->tcp_flags & (SLU_TCP_SYN | SLU_TCP_ACK | SLU_TCP_RST | SLU_TCP_FIN);

	if (!w->cluster || (as && !is_eip(as)))
		return false;
	if (p->protocol != SLU_PROTO_TCP)
		return is_echo_reply(p);
	return flags & SLU_TCP_SYN ? flags == (SLU_TCP_SYN | SLU_TCP_ACK) : flags != 0;
}

/* Whether such a packet is of who was called: so says a SYN-ACK; in the middle the one inside passes for the caller. */
static bool is_of_called(const struct slu_packet *p, const struct slu_outbound *as)
{
	return is_echo_reply(p) || p->tcp_flags & SLU_TCP_SYN || !as;
}

/* The request's tuple of the reply that a packet is: from who is really called to who he takes the sender for. */
static void fill_opposite(struct slu_session_table *t, uint32_t sid, const struct slu_packet *p,
	const struct slu_outbound *to, const struct slu_outbound *as)
{
	struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const uint8_t *caller = to ? to->private_ip.bytes : destination_of(p);
	const uint8_t *called = as ? as->service.address.bytes : source_of(p);

	put_source(t, sid, source_of(p));
	put_destination(t, sid, destination_of(p));
	if (sid & SLU_ENTRY_IPV6) {
		uint8_t *address = slu_session_table_addresses(t, sid)->address[SLU_DIR_REQUEST];

		memcpy(address, caller, 16);
		memcpy(address + 16, called, 16);
	} else {
		memcpy(&hot->tuple[SLU_DIR_REQUEST].src, caller, 4);
		memcpy(&hot->tuple[SLU_DIR_REQUEST].dst, called, 4);
	}
	hot->tuple[SLU_DIR_REPLY].sport = hot->tuple[SLU_DIR_REQUEST].dport = (slu_be16)p->key.rest;
	hot->tuple[SLU_DIR_REPLY].dport = hot->tuple[SLU_DIR_REQUEST].sport = (slu_be16)(p->key.rest >> 16);
	hot->proto_vpc = (uint32_t)(p->key.rest >> 32);
	if (!to)
		hot->flags |= SLU_SESSION_NAT;
	if (p->tcp_flags & SLU_TCP_SYN)
		hot->state = SLU_TCP_SYN_RECV;
}

/* A session whose first packet here is a reply. */
static uint32_t create_opposite(struct slu_worker *w, const struct slu_packet *p, const struct slu_outbound *to,
	const struct slu_outbound *as, enum slu_counter *why)
{
	uint32_t sid = slu_session_table_alloc(&w->table, p->family == 6);
	struct slu_session_key key;
	int reason = SLU_COUNT_DROP_NO_PUBLIC_PORT;

	*why = SLU_COUNT_DROP_TABLE_FULL;
	if (!sid)
		return 0;
	fill_opposite(&w->table, sid, p, to, as);
	key = slu_session_table_key(&w->table, sid, SLU_DIR_REQUEST);
	if (!slu_session_table_find(&w->table, slu_session_table_hash(&w->table, &key), &key))
		reason = slu_lifecycle_publish(w, sid, as ? &as->service : &to->service, NULL);
	if (!reason)
		return sid;
	*why = (enum slu_counter)reason;
	slu_session_table_release(&w->table, sid);
	return 0;
}

/* --------------------------------------------------------------- which worker */

static uint64_t hash_end(const struct slu_dataplane *dp, uint8_t family, const uint8_t *ip, slu_be16 port)
{
	const uint64_t *keys = dp->worker[0]->table.keys;
	uint64_t h = family == 4 ? slu_packet_load32(ip) : slu_packet_load64(ip) ^ slu_packet_load64(ip + 8);

	return slu_session_table_mix(h ^ (uint64_t)port << 40 ^ keys[0], keys[1]);
}

/* Between two EIPs both see the other's public address: the same worker whoever sends. */
static uint32_t hairpin_owner(
	const struct slu_dataplane *dp, uint8_t family, const uint8_t *from, const uint8_t *to, uint32_t ports)
{
	uint64_t h = hash_end(dp, family, from, (slu_be16)ports) ^ hash_end(dp, family, to, (slu_be16)(ports >> 16));

	return (uint32_t)(h >> 32) % dp->workers;
}

/* The worker of a session that does not exist yet. */
static uint32_t owner_of(const struct slu_worker *w, const struct slu_packet *p, const struct slu_outbound *to,
	const struct slu_outbound *as)
{
	if (as && !is_eip(as))
		return p->protocol == SLU_PROTO_TCP ? w->id : slu_outbound_port_chooser(w, &p->key);
	if (to && as)
		return hairpin_owner(
			w->dp, p->family, as->service.address.bytes, destination_of(p), (uint32_t)p->key.rest);
	return slu_worker_peer_owner(w, p, !to);
}

/*
 * Passes the packet to the worker that it belongs to, if that is another. A backend's reply in mode NAT looks like it
 * goes out, so its worker looks first.
 */
static bool passed_on(
	struct slu_worker *w, struct slu_packet *p, const struct slu_outbound *to, const struct slu_outbound *as)
{
	bool nat_first = !to && w->index->has_nat && !is_syn(p);
	uint32_t owner;

	if (w->dp->workers == 1 || p->hops == SLU_HOPS_FINAL)
		return false;
	if (nat_first && p->hops == 0) {
		owner = slu_worker_peer_owner(w, p, true);
		if (owner != w->id) {
			slu_worker_hand_over(w, p, owner, false);
			return true;
		}
	}
	owner = owner_of(w, p, to, as);
	if (owner == w->id || p->hops > nat_first)
		return false;
	slu_worker_hand_over(w, p, owner, !w->cluster);
	return true;
}

/* Sessions of other nodes stand where replies come to; requests may come to any worker. */
static bool may_be_elsewhere(const struct slu_worker *w, const struct slu_packet *p)
{
	return p->kind == SLU_PACKET_FIRST_FRAGMENT || (w->cluster && !is_syn(p));
}

/* -------------------------------------------------------------------- packets */

/* The middle, or the other half, of a session that another node has. */
static void go_on(
	struct slu_worker *w, struct slu_packet *p, const struct slu_outbound *to, const struct slu_outbound *as)
{
	bool reply = is_of_called(p, as);
	enum slu_counter why;
	uint32_t sid;

	if (slu_lifecycle_bad_source(p)) {
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_BAD_ADDRESS);
		return;
	}
	sid = reply ? create_opposite(w, p, to, as, &why) : create(w, p, to, as, &why);
	if (sid)
		slu_forward_packet(w, p, sid, reply ? SLU_DIR_REPLY : SLU_DIR_REQUEST);
	else
		slu_worker_drop(w, p->mbuf, why);
}

static void open_session(
	struct slu_worker *w, struct slu_packet *p, const struct slu_outbound *to, const struct slu_outbound *as)
{
	enum slu_counter why;
	uint32_t sid;

	if (passed_on(w, p, to, as))
		return;
	if (p->kind == SLU_PACKET_LATER_FRAGMENT) {
		if (!slu_worker_try_next(w, p))
			slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_FRAGMENT_FIRST);
		return;
	}
	if (is_echo_reply(p) && !may_be_half(w, p, as)) {
		slu_worker_except(w, p);
		return;
	}
	if (may_be_elsewhere(w, p) && slu_worker_try_next(w, p))
		return;
	if (may_be_half(w, p, as)) {
		go_on(w, p, to, as);
		return;
	}
	if (p->protocol == SLU_PROTO_TCP && !slu_worker_opens(w, p))
		return;
	sid = create(w, p, to, as, &why);
	if (sid)
		slu_forward_packet(w, p, sid, SLU_DIR_REQUEST);
	else
		slu_worker_drop(w, p->mbuf, why);
}

/* For a public address of SNAT, and its session is not here. */
static void for_public(struct slu_worker *w, struct slu_packet *p)
{
	if (w->dp->workers > 1 && p->hops == 0 && p->kind != SLU_PACKET_LATER_FRAGMENT) {
		uint32_t owner = slu_outbound_port_owner(w->dp, p->in_port, &p->key);

		if (owner != w->id) {
			slu_worker_hand_over(w, p, owner, false);
			return;
		}
	}
	if (slu_worker_try_next(w, p))
		return;
	if (p->kind == SLU_PACKET_ECHO)
		slu_worker_except(w, p); /* the node answers */
	else if (slu_ask_others(w, p))
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_ASKED);
	else
		slu_worker_drop(w, p->mbuf,
			p->kind == SLU_PACKET_LATER_FRAGMENT ? SLU_COUNT_DROP_FRAGMENT_FIRST
							     : SLU_COUNT_DROP_SNAT_NO_SESSION);
}

static bool has_no_ports(const struct slu_packet *p)
{
	return p->kind == SLU_PACKET_LATER_FRAGMENT && !(uint32_t)p->key.rest;
}

bool slu_outbound_take(struct slu_worker *w, struct slu_packet *p, const struct slu_address_entry *address)
{
	const struct slu_outbound *as, *to = NULL;

	if (address && !address->outbound)
		return false;
	as = service_of(w, p, source_of(p));
	if (address)
		to = is_eip(address->outbound) ? address->outbound : NULL;
	else if (!as || !is_outside(w, p))
		return false;
	if (has_no_ports(p)) {
		if (!slu_worker_try_next(w, p))
			slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_FRAGMENT_FIRST);
	} else if (address && !to) {
		for_public(w, p);
	} else {
		open_session(w, p, to, as);
	}
	return true;
}

/* The service whose public address a key's destination is, or NULL. */
static const struct slu_outbound *owner_of_address(
	const struct slu_listener_index *index, const struct slu_session_key *key)
{
	uint32_t word = (uint32_t)(key->addresses >> 32);
	const void *ip = key->address6 ? (const void *)(key->address6 + 16) : &word;
	const struct slu_address_entry *e =
		slu_listener_index_address(index, (uint32_t)(key->rest >> 40), key->address6 ? 6 : 4, ip);

	return e ? e->outbound : NULL;
}

bool slu_outbound_worker_of(const struct slu_dataplane *dp, const struct slu_listener_index *index,
	const struct slu_session_key *request, const struct slu_session_key *reply, uint32_t *worker)
{
	const struct slu_outbound *as = owner_of_address(index, reply), *to = owner_of_address(index, request);
	uint64_t addresses = request->addresses;
	const uint8_t *called = request->address6 ? request->address6 + 16 : (const uint8_t *)&addresses + 4;
	slu_be16 called_port = (slu_be16)(request->rest >> 16);
	uint8_t family = request->address6 ? 6 : 4;

	if (!as)
		return false;
	if (!is_eip(as)) {
		*worker = slu_outbound_port_owner(dp, SLU_PORTS_MAX, reply);
		return (uint8_t)(reply->rest >> 32) != SLU_PROTO_TCP;
	}
	if (to && is_eip(to))
		*worker = hairpin_owner(dp, family, as->service.address.bytes, called, (uint32_t)request->rest);
	else
		*worker = slu_worker_nat_owner(dp, family, called, called_port);
	return true;
}
