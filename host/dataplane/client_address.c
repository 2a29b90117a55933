#include "host/dataplane/client_address.h"

#include "host/dataplane/answer.h"
#include "host/dataplane/offload.h"
#include "host/dataplane/sync.h"

#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define TCP_PSH 0x08

/* ------------------------------------------------------------- the opening */

#define HEADER_SENT (1u << 8) /* in the word above the number, beside the kind */
#define WINDOW_MAX (1u << 30) /* of TCP (RFC 7323, section 2.3) */

/*
 * Kind and the client's initial sequence number stand where a rule's counters will: the card has no part in a session
 * that is opening. Read as counters they are few bytes.
 */
static void store(struct slu_session_cold *cold, enum slu_client_address kind, uint32_t isn)
{
	__atomic_store_n(&cold->card_low[0], (uint64_t)kind << 32 | isn, __ATOMIC_RELAXED);
}

static enum slu_client_address kind_of(const struct slu_session_cold *cold)
{
	return (enum slu_client_address)(cold->card_low[0] >> 32 & 0xFF);
}

static bool is_header_sent(const struct slu_session_cold *cold)
{
	return cold->card_low[0] >> 32 & HEADER_SENT;
}

static void note_header_sent(struct slu_session_cold *cold)
{
	__atomic_store_n(&cold->card_low[0], cold->card_low[0] | (uint64_t)HEADER_SENT << 32, __ATOMIC_RELAXED);
}

static uint32_t isn_of(const struct slu_session_cold *cold)
{
	return (uint32_t)cold->card_low[0];
}

static void begin(struct slu_worker *w, uint32_t sid, enum slu_client_address kind)
{
	/* The mark first: who reads counters looks at it. */
	__atomic_store_n(&slu_session_table_hot(&w->table, sid)->nexthop_epoch, SLU_EPOCH_OPENING, __ATOMIC_RELEASE);
	store(slu_session_table_cold(&w->table, sid), kind, 0);
}

static void end(struct slu_worker *w, uint32_t sid)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);

	slu_session_card_store(slu_session_table_cold(&w->table, sid), SLU_DIR_REQUEST, 0, 0);
	__atomic_store_n(&hot->nexthop_epoch, 0, __ATOMIC_RELEASE);
	slu_sync_opened(w, sid);
}

void slu_client_address_open(struct slu_worker *w, uint32_t sid, const struct slu_listener *l)
{
	if (l->client_address == SLU_CLIENT_ADDRESS_PROXY_V2 || l->protocol == SLU_PROTO_TCP)
		begin(w, sid, l->client_address);
}

static enum slu_client_address configured(const struct slu_worker *w, uint32_t sid)
{
	const struct slu_generation *g = w->generation;
	uint16_t live = slu_session_table_cold(&w->table, sid)->listener_live;
	const struct slu_listener *l = live < g->listener_live_limit ? g->listener_by_live[live] : NULL;

	return l ? l->client_address : SLU_CLIENT_ADDRESS_NONE;
}

/* ------------------------------------------------------------------ packets */

static uint32_t be32(const uint8_t *p)
{
	return __builtin_bswap32(slu_packet_load32(p));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}

static void put16(uint8_t *p, uint32_t v)
{
	uint16_t be = __builtin_bswap16((uint16_t)v);

	memcpy(p, &be, 2);
}

/* Bytes of the transport header, of those behind it, and of both. */
static uint32_t header_bytes(const struct slu_packet *p)
{
	return p->protocol == SLU_PROTO_TCP ? (slu_packet_l4(p)[12] >> 4) * 4u : UDP_HEADER;
}

static uint32_t upper_bytes(const struct slu_packet *p)
{
	return p->l3 + (uint32_t)p->ip_bytes - p->l4;
}

static bool is_syn(const struct slu_packet *p)
{
	return (p->tcp_flags & (SLU_TCP_SYN | SLU_TCP_ACK)) == SLU_TCP_SYN;
}

/* The client's end of a session. */
static void client_of(const struct slu_session_table *t, uint32_t sid, const uint8_t **ip, const uint8_t **ports)
{
	const struct slu_tuple *in = &slu_session_table_hot(t, sid)->tuple[SLU_DIR_REQUEST];

	*ports = (const uint8_t *)&in->sport;
	*ip = sid & SLU_ENTRY_IPV6 ? slu_session_table_addresses(t, sid)->address[SLU_DIR_REQUEST]
				   : (const uint8_t *)&in->src;
}

static void fill_header(
	const struct slu_worker *w, uint32_t sid, uint8_t protocol, struct slu_client_address_edit *edit)
{
	uint8_t family = sid & SLU_ENTRY_IPV6 ? 6 : 4;
	const uint8_t *ip, *ports;

	/* The tuple as the client sent it: the virtual address and port behind its own. */
	client_of(&w->table, sid, &ip, &ports);
	edit->header_bytes = (uint8_t)slu_proxy_v2_write(
		edit->header, family, protocol, ip, ip + (family == 4 ? 4 : 16), ports, ports + 2);
	edit->any = true;
}

/* What the IP packet will be longer; modulo 2^32. */
static uint32_t growth_of(const struct slu_packet *p, const struct slu_client_address_edit *edit)
{
	uint32_t header = header_bytes(p), growth = edit->header_bytes;

	if (edit->has_options)
		growth += TCP_HEADER + edit->options.count - header;
	return edit->cut ? growth - (upper_bytes(p) - header) : growth;
}

/* --------------------------------------------------------------------- TOA */

/* The option in whatever the client sends, until its backend answers: kernel modules look into the third packet. */
static void plan_toa(struct slu_worker *w, const struct slu_packet *p, uint32_t sid, const struct slu_nexthop *hop,
	struct slu_client_address_edit *edit)
{
	const uint8_t *options = slu_packet_l4(p) + TCP_HEADER, *ip, *ports;
	uint32_t bytes = header_bytes(p) - TCP_HEADER, toa_bytes;
	uint8_t toa[SLU_TCP_OPTION_TOA_BYTES6];

	client_of(&w->table, sid, &ip, &ports);
	toa_bytes = slu_tcp_options_write_toa(toa, sid & SLU_ENTRY_IPV6 ? 6 : 4, ip, ports);
	slu_tcp_options_pack(options, bytes, true, toa, toa_bytes, &edit->options);
	edit->has_options = edit->any = true;
	/* The SYN's is the one that counts: it is never left out for its data. */
	if (!is_syn(p) && p->ip_bytes + growth_of(p, edit) > hop->mtu)
		slu_tcp_options_pack(options, bytes, true, NULL, 0, &edit->options);
}

/* ------------------------------------------------------------ PROXY, TCP */

/*
 * Room for the header is made below the client's first number. Data and Fast Open go, because the header comes before
 * the data; the client sends it again.
 */
static void plan_proxy_syn(
	struct slu_worker *w, const struct slu_packet *p, uint32_t sid, struct slu_client_address_edit *edit)
{
	const uint8_t *tcp = slu_packet_l4(p);

	store(slu_session_table_cold(&w->table, sid), SLU_CLIENT_ADDRESS_PROXY_V2, be32(tcp + 4));
	edit->sequence = 0 - slu_proxy_v2_bytes(p->family);
	slu_tcp_options_pack(tcp + TCP_HEADER, header_bytes(p) - TCP_HEADER, false, NULL, 0, &edit->options);
	edit->has_options = edit->cut = edit->any = true;
}

/*
 * The header goes before whatever the client sends at its first number, as often as it does: so its own
 * retransmissions, and its answers to a repeated SYN-ACK, are those of the header.
 */
static void plan_proxy_request(struct slu_worker *w, const struct slu_packet *p, uint32_t sid,
	const struct slu_nexthop *hop, struct slu_client_address_edit *edit)
{
	uint32_t first = isn_of(slu_session_table_cold(&w->table, sid)) + 1;

	if (be32(slu_packet_l4(p) + 4) != first)
		return;
	edit->sequence = 0 - slu_proxy_v2_bytes(p->family);
	edit->any = true;
	if (p->tcp_flags & SLU_TCP_RST)
		return;
	fill_header(w, sid, SLU_PROTO_TCP, edit);
	edit->flags = TCP_PSH;
	edit->alone = p->ip_bytes + growth_of(p, edit) > hop->mtu;
}

/* A block of selective acknowledgement that tells of the header tells the client nothing. */
static void plan_sack(const struct slu_packet *p, uint32_t from, uint32_t bytes, struct slu_client_address_edit *edit)
{
	const uint8_t *options = slu_packet_l4(p) + TCP_HEADER, *sack;
	uint32_t count = header_bytes(p) - TCP_HEADER;
	bool touches = false;

	sack = slu_tcp_options_find(options, count, SLU_TCP_OPTION_SACK);
	if (!sack)
		return;
	for (uint32_t at = 2; at + 8 <= sack[1]; at += 8)
		touches |= be32(sack + at) - from < bytes;
	if (!touches)
		return;
	memcpy(edit->options.bytes, options, count);
	memset(edit->options.bytes + (sack - options), SLU_TCP_OPTION_NOP, sack[1]);
	edit->options.count = (uint8_t)count;
	edit->has_options = true;
}

/* What the backend says of the header is kept from the client; once it is acknowledged, all is as without. */
static void plan_proxy_reply(
	struct slu_worker *w, const struct slu_packet *p, uint32_t sid, struct slu_client_address_edit *edit)
{
	const struct slu_session_cold *cold = slu_session_table_cold(&w->table, sid);
	uint32_t bytes = slu_proxy_v2_bytes(p->family), from = isn_of(cold) + 1 - bytes;
	const uint8_t *tcp = slu_packet_l4(p);
	uint32_t known = be32(tcp + 8) - from;

	if (!(p->tcp_flags & SLU_TCP_ACK))
		return;
	if (known >= bytes) {
		/* A segment of the last connection of these ports acknowledges something else. */
		edit->ends = is_header_sent(cold) && known - bytes <= WINDOW_MAX;
		return;
	}
	edit->any = true;
	edit->acknowledge = bytes - known;
	plan_sack(p, from, bytes, edit);
	/* The window began at the header. Later ones are scaled by a factor that is not known here, and bytes too wide.
	 */
	if (p->tcp_flags & SLU_TCP_SYN)
		edit->window = (uint16_t)RTE_MIN(bytes, slu_packet_be16(tcp + 14));
}

/* ---------------------------------------------------------------- planning */

/* A fragment cannot grow: those behind it have their places. */
static bool is_fragment(const struct slu_packet *p)
{
	return p->kind != SLU_PACKET_PLAIN;
}

static bool take(struct slu_worker *w, struct slu_packet *p, enum slu_counter why)
{
	slu_worker_drop(w, p->mbuf, why);
	return false;
}

/* A SYN begins anew, whatever the session has been. */
static bool reopen(struct slu_worker *w, uint32_t sid, enum slu_client_address kind)
{
	struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);

	if (hot->nexthop_epoch == SLU_EPOCH_OPENING || kind == SLU_CLIENT_ADDRESS_NONE)
		return true;
	if (hot->flags & SLU_SESSION_OFFLOADED && slu_offload_busy(w, sid)) {
		slu_offload_take_back(w, sid);
		return false;
	}
	begin(w, sid, kind);
	return true;
}

static void plan_request(struct slu_worker *w, const struct slu_packet *p, uint32_t sid, const struct slu_nexthop *hop,
	struct slu_client_address_edit *edit)
{
	enum slu_client_address kind = kind_of(slu_session_table_cold(&w->table, sid));

	if (kind == SLU_CLIENT_ADDRESS_TOA) {
		plan_toa(w, p, sid, hop, edit);
	} else if (p->protocol == SLU_PROTO_UDP) {
		fill_header(w, sid, SLU_PROTO_UDP, edit);
		edit->ends = true;
	} else if (is_syn(p)) {
		plan_proxy_syn(w, p, sid, edit);
	} else {
		plan_proxy_request(w, p, sid, hop, edit);
	}
}

static void plan_reply(
	struct slu_worker *w, const struct slu_packet *p, uint32_t sid, struct slu_client_address_edit *edit)
{
	if (p->kind == SLU_PACKET_LATER_FRAGMENT || p->protocol != SLU_PROTO_TCP)
		return;
	if (kind_of(slu_session_table_cold(&w->table, sid)) == SLU_CLIENT_ADDRESS_PROXY_V2)
		plan_proxy_reply(w, p, sid, edit);
	else
		edit->ends = !(p->tcp_flags & SLU_TCP_SYN);
}

bool slu_client_address_plan(struct slu_worker *w, struct slu_packet *p, uint32_t sid, unsigned int dir,
	const struct slu_nexthop *hop, struct slu_client_address_edit *edit)
{
	const struct slu_session_hot *hot = slu_session_table_hot(&w->table, sid);
	bool tcp = p->protocol == SLU_PROTO_TCP;

	*edit = (struct slu_client_address_edit){0};
	if (dir == SLU_DIR_REQUEST && tcp && p->kind != SLU_PACKET_LATER_FRAGMENT && is_syn(p) &&
		!reopen(w, sid, configured(w, sid)))
		return take(w, p, SLU_COUNT_DROP_OPENING);
	if (hot->nexthop_epoch != SLU_EPOCH_OPENING)
		return true;
	if (dir == SLU_DIR_REQUEST && is_fragment(p))
		return take(w, p, SLU_COUNT_DROP_OPENING);
	if (p->kind != SLU_PACKET_LATER_FRAGMENT && p->l4 + header_bytes(p) > p->mbuf->data_len)
		return take(w, p, SLU_COUNT_DROP_NO_MEMORY);
	if (dir == SLU_DIR_REPLY) {
		plan_reply(w, p, sid, edit);
		return true;
	}
	plan_request(w, p, sid, hop, edit);
	if (edit->alone || !edit->any || p->ip_bytes + growth_of(p, edit) <= hop->mtu)
		return true;
	slu_answer_too_big(w, p, (uint16_t)(hop->mtu - growth_of(p, edit)));
	return false;
}

/* ---------------------------------------------------------------- changing */

/* The transport header that replaces that of the packet, and what comes before the data. Returns its bytes. */
static uint32_t write_upper(const struct slu_packet *p, const struct slu_client_address_edit *edit, uint8_t *out)
{
	const uint8_t *l4 = slu_packet_l4(p);
	uint32_t bytes = header_bytes(p);

	memcpy(out, l4, bytes);
	if (p->protocol == SLU_PROTO_TCP) {
		if (edit->has_options) {
			memcpy(out + TCP_HEADER, edit->options.bytes, edit->options.count);
			bytes = TCP_HEADER + edit->options.count;
		}
		put32(out + 4, be32(l4 + 4) + edit->sequence);
		put32(out + 8, be32(l4 + 8) + edit->acknowledge);
		out[12] = (uint8_t)((bytes / 4) << 4 | (l4[12] & 0xF));
		out[13] |= edit->flags;
		put16(out + 14, slu_packet_be16(l4 + 14) - edit->window);
	} else {
		put16(out + 4, slu_packet_be16(l4 + 4) + edit->header_bytes);
	}
	memcpy(out + bytes, edit->header, edit->header_bytes);
	return bytes + edit->header_bytes;
}

/* What a change of a 16-bit number adds to a checksum. */
static uint64_t change(uint64_t sum, uint32_t was, uint32_t is)
{
	return sum + (uint16_t)~__builtin_bswap16((uint16_t)was) + __builtin_bswap16((uint16_t)is);
}

static void update_ip(struct slu_packet *p, uint32_t ip_bytes)
{
	uint8_t *ip = slu_packet_l3(p);
	uint16_t checksum;

	if (p->family == 6) {
		put16(ip + 4, ip_bytes - 40);
	} else {
		memcpy(&checksum, ip + 10, 2);
		checksum = slu_checksum_update(checksum, (uint32_t)change(0, p->ip_bytes, ip_bytes));
		memcpy(ip + 10, &checksum, 2);
		put16(ip + 2, ip_bytes);
	}
	p->ip_bytes = (uint16_t)ip_bytes;
}

/* Moves what stands before the data so that by bytes more have room there; behind the transport header nothing moves.
 */
static bool make_room(struct slu_packet *p, int32_t by)
{
	struct rte_mbuf *m = p->mbuf;
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *), *moved;

	if (by > 0) {
		moved = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)by);
		if (!moved)
			return false;
		memmove(moved, frame, p->l4);
	} else if (by < 0) {
		memmove(frame - by, frame, p->l4);
		rte_pktmbuf_adj(m, (uint16_t)-by);
	}
	return true;
}

/* UDP's absent checksum stays absent; a computed 0 is sent as 0xFFFF (RFC 768). */
static void update_checksum(uint8_t protocol, uint8_t *upper, uint16_t delta)
{
	uint8_t *at = upper + (protocol == SLU_PROTO_TCP ? 16 : 6);
	uint16_t checksum;

	memcpy(&checksum, at, 2);
	if (protocol == SLU_PROTO_UDP && checksum == 0)
		return;
	checksum = slu_checksum_update(checksum, delta);
	if (protocol == SLU_PROTO_UDP && checksum == 0)
		checksum = 0xFFFF;
	memcpy(at, &checksum, 2);
}

bool slu_client_address_apply(struct slu_packet *p, const struct slu_client_address_edit *edit)
{
	uint32_t header = header_bytes(p), upper = upper_bytes(p), old_bytes = edit->cut ? upper : header, new_bytes;
	uint8_t out[TCP_HEADER + SLU_TCP_OPTIONS_MAX + SLU_PROXY_V2_BYTES_MAX];
	uint32_t growth = growth_of(p, edit);
	uint64_t sum;
	uint16_t was;

	if (edit->cut && p->mbuf->nb_segs > 1 && rte_pktmbuf_linearize(p->mbuf))
		return false;
	new_bytes = write_upper(p, edit, out);
	/* The old checksum stands in both sums. Only the end of the data may be odd. */
	was = slu_checksum_fold(slu_checksum_add(0, slu_packet_l4(p), old_bytes));
	sum = slu_checksum_add((uint16_t)~was, out, new_bytes);
	sum = change(sum, upper, upper + growth);
	if (!make_room(p, (int32_t)(new_bytes - header)))
		return false;
	if (edit->cut) /* and what an Ethernet frame may have behind it */
		rte_pktmbuf_trim(p->mbuf, (uint16_t)(p->mbuf->pkt_len - p->l4 - new_bytes));
	update_checksum(p->protocol, out, slu_checksum_fold(sum));
	memcpy(slu_packet_l4(p), out, new_bytes);
	update_ip(p, p->ip_bytes + growth);
	return true;
}

bool slu_client_address_split(
	const struct slu_packet *p, struct slu_client_address_edit *edit, struct slu_packet *alone)
{
	struct slu_client_address_edit header = *edit;

	*alone = *p;
	alone->mbuf = rte_pktmbuf_copy(p->mbuf, p->mbuf->pool, 0, UINT32_MAX);
	if (!alone->mbuf)
		return false;
	header.cut = true;
	if (!slu_client_address_apply(alone, &header)) {
		rte_pktmbuf_free(alone->mbuf);
		return false;
	}
	return true;
}

void slu_client_address_sent(
	struct slu_worker *w, uint32_t sid, const struct slu_packet *p, const struct slu_client_address_edit *edit)
{
	bool toa = kind_of(slu_session_table_cold(&w->table, sid)) == SLU_CLIENT_ADDRESS_TOA;

	if (edit->has_options && edit->options.stripped)
		slu_worker_count(w, SLU_COUNT_TOA_STRIPPED);
	if (edit->has_options && edit->options.has_toa)
		slu_worker_count(w, SLU_COUNT_TOA_WRITTEN);
	else if (edit->has_options && toa && is_syn(p))
		slu_worker_count(w, SLU_COUNT_TOA_NO_ROOM);
	if (edit->header_bytes) {
		note_header_sent(slu_session_table_cold(&w->table, sid));
		slu_worker_count(w, SLU_COUNT_PROXY_HEADERS);
	}
	if (edit->ends)
		end(w, sid);
}

void slu_client_address_restore(const struct slu_session_table *t, uint32_t sid, uint8_t *tcp)
{
	const struct slu_session_cold *cold = slu_session_table_cold(t, sid);
	uint32_t bytes = slu_proxy_v2_bytes(sid & SLU_ENTRY_IPV6 ? 6 : 4), sequence = be32(tcp + 4);

	if (slu_session_table_hot(t, sid)->nexthop_epoch != SLU_EPOCH_OPENING ||
		kind_of(cold) != SLU_CLIENT_ADDRESS_PROXY_V2)
		return;
	/* From the SYN's number to the header's end. */
	if (sequence - (isn_of(cold) - bytes) <= bytes)
		put32(tcp + 4, isn_of(cold) + (sequence != isn_of(cold) - bytes));
}
