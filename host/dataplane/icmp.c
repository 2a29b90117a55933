#include "host/dataplane/icmp.h"

#include "host/dataplane/client_address.h"
#include "host/dataplane/forward.h"
#include "host/dataplane/sync.h"

#define ICMP_HEADER 8

/* The packet inside an ICMP error. */
struct inner {
	uint8_t *ip, *l4;
	uint32_t l4_bytes; /* of it that the error carries */
	uint8_t protocol;
	struct slu_session_key key; /* turned around */
	uint8_t address6[32];
};

static bool checksum_is_right(const struct slu_packet *p, uint32_t bytes)
{
	const uint8_t *ip = slu_packet_l3(p), *icmp = slu_packet_l4(p);
	uint64_t sum = 0;

	if (p->family == 6)
		sum = slu_checksum_add_pseudo(0, ip + 8, ip + 24, 16, SLU_PROTO_ICMPV6, bytes);
	return slu_checksum_fold(slu_checksum_add(sum, icmp, bytes)) == 0xFFFF;
}

static bool inner_ipv4(struct inner *in, uint32_t bytes)
{
	uint32_t header = (in->ip[0] & 0xF) * 4u;
	uint64_t addresses;

	if (in->ip[0] >> 4 != 4 || header < 20 || bytes < header + 8 || slu_packet_be16(in->ip + 6) & 0x1FFF)
		return false;
	in->protocol = in->ip[9];
	in->l4 = in->ip + header;
	in->l4_bytes = bytes - header;
	addresses = slu_packet_load64(in->ip + 12);
	in->key.addresses = addresses >> 32 | addresses << 32;
	return true;
}

static bool inner_ipv6(struct inner *in, uint32_t bytes)
{
	if (in->ip[0] >> 4 != 6 || bytes < 48)
		return false;
	in->protocol = in->ip[6];
	in->l4 = in->ip + 40;
	in->l4_bytes = bytes - 40;
	memcpy(in->address6, in->ip + 24, 16);
	memcpy(in->address6 + 16, in->ip + 8, 16);
	in->key.address6 = in->address6;
	return true;
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == SLU_PROTO_ICMP || protocol == SLU_PROTO_ICMPV6;
}

/* Understands the packet inside; false: too short or not sound. */
static bool parse_inner(const struct slu_packet *p, struct inner *in, uint32_t bytes)
{
	uint32_t vpc = (uint32_t)(p->key.rest >> 32) >> 8, ports;

	in->ip = slu_packet_l4(p) + ICMP_HEADER;
	if (bytes < 28 || !(p->family == 4 ? inner_ipv4(in, bytes) : inner_ipv6(in, bytes)))
		return false;
	ports = is_icmp(in->protocol) ? slu_packet_echo_ports(in->protocol, in->l4) : slu_packet_load32(in->l4);
	ports = ports >> 16 | ports << 16;
	in->key.rest = ports | (uint64_t)(in->protocol | vpc << 8) << 32;
	return true;
}

static void update(uint8_t *at, uint16_t delta)
{
	uint16_t checksum;

	memcpy(&checksum, at, 2);
	checksum = slu_checksum_update(checksum, delta);
	memcpy(at, &checksum, 2);
}

/*
 * The packet inside travelled against dir and was translated then; give it back the tuple that its sender used. What
 * that changes in its checksums is what a packet of dir changes.
 */
static void translate_inner(const struct slu_session_table *t, struct inner *in, uint32_t sid, unsigned int dir)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	const struct slu_tuple *other = &hot->tuple[dir ^ 1];
	uint16_t sign = (uint16_t) - (uint16_t)dir, l4_delta = hot->l4_delta ^ sign;

	if (sid & SLU_ENTRY_IPV6) {
		memcpy(in->ip + 8, slu_session_table_addresses(t, sid)->address[dir ^ 1], 32);
	} else {
		memcpy(in->ip + 12, other, 8);
		update(in->ip + 10, hot->l3_delta ^ sign);
	}
	if (is_icmp(in->protocol)) {
		uint16_t identifier = slu_packet_echo_identifier(slu_packet_load32(&other->sport));

		slu_packet_edit_echo(in->l4, &identifier, l4_delta);
		return;
	}
	memcpy(in->l4, &other->sport, 4);
	if (in->protocol == SLU_PROTO_TCP && dir == SLU_DIR_REPLY)
		slu_client_address_restore(t, sid, in->l4);
	if (in->protocol == SLU_PROTO_TCP && in->l4_bytes >= 18)
		update(in->l4 + 16, l4_delta);
	if (in->protocol == SLU_PROTO_UDP && (in->l4[6] | in->l4[7])) {
		update(in->l4 + 6, l4_delta);
		if (!(in->l4[6] | in->l4[7]))
			in->l4[6] = in->l4[7] = 0xFF;
	}
}

/*
 * Whether a direction's packets keep their source: the client of NAT and EIP, the remote of SNAT and EIP. Routers on
 * that side are no secret to the other then.
 */
static bool keeps_source(const struct slu_session_table *t, uint32_t sid, unsigned int dir)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);

	if (sid & SLU_ENTRY_IPV6) {
		const struct slu_session_addresses *a = slu_session_table_addresses(t, sid);

		return !memcmp(a->address[dir], a->address[dir ^ 1] + 16, 16);
	}
	return hot->tuple[dir].src == hot->tuple[dir ^ 1].dst;
}

/* The error comes from whom the receiver knows: a router on a side that is translated stays invisible. */
static void translate_outer(const struct slu_session_table *t, const struct slu_packet *p, uint32_t sid,
	unsigned int dir, uint32_t icmp_bytes)
{
	const struct slu_session_hot *hot = slu_session_table_hot(t, sid);
	bool keep_source = keeps_source(t, sid, dir);
	uint8_t *ip = slu_packet_l3(p), *icmp = slu_packet_l4(p);
	uint16_t checksum;
	uint64_t sum = 0;

	icmp[2] = icmp[3] = 0;
	if (p->family == 4) {
		const struct slu_tuple *other = &hot->tuple[dir ^ 1];

		if (!keep_source)
			memcpy(ip + 12, &other->dst, 4);
		memcpy(ip + 16, &other->src, 4);
		ip[8]--;
		ip[10] = ip[11] = 0;
		checksum = slu_checksum_final(slu_checksum_add(0, ip, p->l4 - p->l3));
		memcpy(ip + 10, &checksum, 2);
	} else {
		const uint8_t *other = slu_session_table_addresses(t, sid)->address[dir ^ 1];

		if (!keep_source)
			memcpy(ip + 8, other + 16, 16);
		memcpy(ip + 24, other, 16);
		ip[7]--;
		sum = slu_checksum_add_pseudo(0, ip + 8, ip + 24, 16, SLU_PROTO_ICMPV6, icmp_bytes);
	}
	checksum = slu_checksum_final(slu_checksum_add(sum, icmp, icmp_bytes));
	memcpy(icmp + 2, &checksum, 2);
}

static void no_session(struct slu_worker *w, struct slu_packet *p)
{
	const uint8_t *dst = slu_packet_l3(p) + (p->family == 4 ? 16 : 24);

	if (slu_worker_try_next(w, p))
		return;
	if (slu_sync_is_member(w, p->family, dst) ||
		(w->index && slu_listener_index_address(w->index, (uint32_t)(p->key.rest >> 32) >> 8, p->family, dst)))
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_ICMP_NO_SESSION);
	else
		slu_worker_except(w, p);
}

void slu_icmp_error(struct slu_worker *w, struct slu_packet *p)
{
	uint32_t bytes = p->l3 + (uint32_t)p->ip_bytes - p->l4;
	const struct slu_nexthop *hop;
	struct inner in = {0};
	uint32_t entry;
	unsigned int dir;
	bool no_route;

	if (bytes < ICMP_HEADER || p->l4 + bytes > p->mbuf->data_len || !checksum_is_right(p, bytes) ||
		!parse_inner(p, &in, bytes - ICMP_HEADER)) {
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_ICMP_BAD);
		return;
	}
	if (in.protocol != SLU_PROTO_TCP && in.protocol != SLU_PROTO_UDP && !is_icmp(in.protocol)) {
		slu_worker_except(w, p);
		return;
	}
	entry = slu_session_table_find(&w->table, slu_session_table_hash(&w->table, &in.key), &in.key);
	if (!entry) {
		no_session(w, p);
		return;
	}
	dir = entry >> 31;
	if (slu_packet_ttl(p) <= 1) {
		slu_worker_drop(w, p->mbuf, SLU_COUNT_DROP_TTL);
		return;
	}
	hop = slu_forward_nexthop(w, SLU_SID(entry), dir, &no_route);
	if (!hop) {
		slu_worker_drop(w, p->mbuf, no_route ? SLU_COUNT_DROP_NO_ROUTE : SLU_COUNT_DROP_NEIGHBOUR);
		return;
	}
	translate_inner(&w->table, &in, SLU_SID(entry), dir);
	translate_outer(&w->table, p, SLU_SID(entry), dir, bytes);
	slu_worker_count(w, SLU_COUNT_ICMP_TRANSLATED);
	slu_forward_send(w, p, hop);
}
