/*
 * How backends learn the client's address: options and headers in what comes out of
 * a worker, sequence numbers, and when an opening is over. Every case runs for IPv4 and IPv6.
 */
#include "tests/unit/dataplane_fixture.h"

#include <arpa/inet.h>

#include "host/dataplane/lifecycle.h"
#include "host/dataplane/sync_record.h"

#include "lib/proxy_v2.h"
#include "lib/tcp_options.h"

#define PSH 0x08
#define ISN 1000u /* fixture_request() */
#define BACKEND_ISN 7000u
#define FULL_PAYLOAD (f.family == 4 ? 1460 : 1440)

static struct fixture f;

static const uint8_t linux_options[] = {
	2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7}; /* MSS, SACK, timestamps, NOP, scale */

static int setup(uint8_t family, enum slu_client_address kind)
{
	fixture_create(&f, family, 1, NULL);
	f.listeners[LISTENER_TCP].client_address = kind;
	if (kind == SLU_CLIENT_ADDRESS_PROXY_V2)
		f.listeners[LISTENER_UDP].client_address = kind;
	return 0;
}

static int toa4(void **state)
{
	(void)state;
	return setup(4, SLU_CLIENT_ADDRESS_TOA);
}

static int toa6(void **state)
{
	(void)state;
	return setup(6, SLU_CLIENT_ADDRESS_TOA);
}

static int proxy4(void **state)
{
	(void)state;
	return setup(4, SLU_CLIENT_ADDRESS_PROXY_V2);
}

static int proxy6(void **state)
{
	(void)state;
	return setup(6, SLU_CLIENT_ADDRESS_PROXY_V2);
}

static int teardown(void **state)
{
	(void)state;
	fixture_destroy(&f);
	return 0;
}

/* ------------------------------------------------------------------ packets */

static uint8_t *l4_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, f.family == 4 ? 34 : 54);
}

/* A segment whose first payload bytes are options instead: the flow's payload counts both. */
static struct rte_mbuf *with_options(const struct flow *flow, const uint8_t *options, unsigned int count)
{
	struct rte_mbuf *m = fixture_packet(flow);
	uint8_t *tcp = l4_of(m), *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 14);
	unsigned int upper = 20 + flow->payload, n = f.family == 4 ? 4 : 16;
	uint16_t checksum;

	memcpy(tcp + 20, options, count);
	tcp[12] = (uint8_t)((20 + count) / 4 << 4);
	tcp[16] = tcp[17] = 0;
	checksum = fixture_sum16(6 + upper, ip + (n == 4 ? 12 : 8), 2 * n);
	checksum = (uint16_t)~fixture_sum16(checksum, tcp, upper);
	tcp[16] = (uint8_t)(checksum >> 8);
	tcp[17] = (uint8_t)checksum;
	return m;
}

static struct seen send_options(
	uint16_t port, struct flow flow, const uint8_t *options, unsigned int count, unsigned int payload)
{
	flow.payload = (uint16_t)(count + payload);
	return fixture_give(&f, port, with_options(&flow, options, count));
}

static struct seen send_syn(uint32_t seq)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);

	syn.seq = seq;
	return send_options(CLIENT_PORT, syn, linux_options, sizeof(linux_options), 0);
}

static struct seen send_reply(const struct flow *arrived, uint8_t flags, uint32_t ack, uint16_t payload)
{
	struct flow reply = fixture_reply(arrived, flags);

	reply.seq = BACKEND_ISN + !(flags & SYN);
	reply.ack = ack;
	reply.payload = payload;
	return fixture_send(&f, BACKEND_PORT, &reply);
}

static struct seen send_client(uint8_t flags, uint32_t seq, uint16_t payload)
{
	struct flow flow = fixture_request(&f, 6, 80, flags);

	flow.seq = seq;
	flow.ack = BACKEND_ISN + 1;
	flow.payload = payload;
	return fixture_send(&f, CLIENT_PORT, &flow);
}

static unsigned int options_of(const struct seen *s)
{
	return (l4_of(s->mbuf)[12] >> 4) * 4u - 20;
}

/* What is not options: fixture_parse() counts those as payload. */
static unsigned int payload_of(const struct seen *s)
{
	return s->flow.payload - options_of(s);
}

static bool has_toa(const struct seen *s)
{
	struct slu_ip client = fixture_client(&f, 0);
	const uint8_t *toa = slu_tcp_options_find(l4_of(s->mbuf) + 20, options_of(s), 254);
	unsigned int n = f.family == 4 ? 4 : 16;

	return toa && toa[1] == 4 + n && toa[2] == 40000 >> 8 && toa[3] == (40000 & 0xFF) &&
	       !memcmp(toa + 4, client.bytes, n);
}

static unsigned int header_bytes(void)
{
	return f.family == 4 ? 28 : 52;
}

/* Whether data begins with the header of the fixture's client; port: the one that it called. */
static bool is_header(const uint8_t *data, uint8_t protocol, uint16_t port)
{
	struct slu_ip client = fixture_client(&f, 0), vip = fixture_vip(&f);
	unsigned int n = f.family == 4 ? 4 : 16;
	uint8_t wanted[52] = "\r\n\r\n\0\r\nQUIT\n\x21";

	wanted[13] = (uint8_t)((f.family == 4 ? 0x10 : 0x20) | (protocol == 6 ? 1 : 2));
	wanted[15] = (uint8_t)(2 * n + 4);
	memcpy(wanted + 16, client.bytes, n);
	memcpy(wanted + 16 + n, vip.bytes, n);
	wanted[16 + 2 * n] = 40000 >> 8;
	wanted[17 + 2 * n] = 40000 & 0xFF;
	wanted[18 + 2 * n] = (uint8_t)(port >> 8);
	wanted[19 + 2 * n] = (uint8_t)port;
	return !memcmp(data, wanted, header_bytes());
}

static bool has_header(const struct seen *s)
{
	return payload_of(s) >= header_bytes() && is_header(l4_of(s->mbuf) + 20 + options_of(s), 6, 80);
}

/* SYN and SYN-ACK of a connection; returns what the backend saw of the SYN. */
static struct flow begin(void)
{
	struct seen s = send_syn(ISN);
	struct flow arrived = s.flow;

	assert_true(s.sent && s.checksums_right);
	s = send_reply(&arrived, SYN | ACK, arrived.seq + 1, 0);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.ack, ISN + 1);
	return arrived;
}

/* --------------------------------------------------------------------- TOA */

static void toa__syn_and_its_repetition__carry_the_address_with_right_checksums(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct seen s = send_syn(ISN);

		assert_true(s.sent && s.checksums_right);
		assert_int_equal(s.port, BACKEND_PORT);
		assert_int_equal(s.flow.seq, ISN);
		assert_int_equal(payload_of(&s), 0);
		assert_int_equal(options_of(&s), f.family == 4 ? 28 : 40);
		assert_memory_equal(l4_of(s.mbuf) + 20, linux_options, 16);
		assert_true(has_toa(&s));
	}
	assert_int_equal(fixture_counter(&f, SLU_COUNT_TOA_WRITTEN), 2);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_TOA_STRIPPED), 0);
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
}

static void toa__wrong_checksum__stays_wrong(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct rte_mbuf *m;
	struct seen s;

	(void)state;
	syn.payload = sizeof(linux_options);
	m = with_options(&syn, linux_options, sizeof(linux_options));
	l4_of(m)[4] ^= 0x40;
	s = fixture_give(&f, CLIENT_PORT, m);
	assert_true(s.sent && has_toa(&s));
	assert_false(s.checksums_right);
}

static void toa__forged_option_of_the_client__is_replaced_in_every_packet_of_the_opening(void **state)
{
	const uint8_t forged[] = {254, 8, 1, 2, 3, 4, 5, 6, 254, 4, 7, 7};
	struct flow syn = fixture_request(&f, 6, 80, SYN), ack = fixture_request(&f, 6, 80, ACK), arrived;
	struct seen s = send_options(CLIENT_PORT, syn, forged, sizeof(forged), 0);

	(void)state;
	arrived = s.flow;
	assert_true(s.sent && s.checksums_right && has_toa(&s));
	assert_int_equal(options_of(&s), f.family == 4 ? 8 : 20);
	send_reply(&arrived, SYN | ACK, ISN + 1, 0);
	ack.seq = ISN + 1;
	s = send_options(CLIENT_PORT, ack, forged, sizeof(forged), 33);
	assert_true(s.sent && s.checksums_right && has_toa(&s));
	assert_int_equal(options_of(&s), f.family == 4 ? 8 : 20);
	assert_int_equal(payload_of(&s), 33);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_TOA_STRIPPED), 2);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_TOA_WRITTEN), 2);
}

static void toa__no_room__is_counted_and_the_syn_goes_without(void **state)
{
	uint8_t full[40] = {8, 10, [10] = 8, 10, [20] = 8, 10, [30] = 8, 10};
	struct seen s = send_options(CLIENT_PORT, fixture_request(&f, 6, 80, SYN), full, sizeof(full), 0);

	(void)state;
	assert_true(s.sent && s.checksums_right && !has_toa(&s));
	assert_int_equal(options_of(&s), 40);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_TOA_NO_ROOM), 1);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_TOA_WRITTEN), 0);
}

static void toa__third_packet_and_data__carry_it_until_the_backend_answers(void **state)
{
	struct flow arrived = begin();
	struct seen s = send_client(ACK, ISN + 1, 0);

	(void)state;
	assert_true(s.sent && s.checksums_right && has_toa(&s));
	s = send_client(ACK | PSH, ISN + 1, 101);
	assert_true(s.sent && s.checksums_right && has_toa(&s));
	assert_int_equal(payload_of(&s), 101);
	s = send_reply(&arrived, ACK, ISN + 102, 0);
	assert_true(s.sent && s.checksums_right);
	s = send_client(ACK | PSH, ISN + 102, 5);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(options_of(&s), 0);
	assert_int_equal(s.flow.payload, 5);
}

static void set_mtu(uint16_t mtu)
{
	struct slu_neigh_view *v = slu_neigh_view_create(), *old;
	struct slu_ip any = {.family = f.family};

	assert_int_equal(slu_neigh_view_add_route(v, &any, 0, BACKEND_PORT, NULL), 0);
	for (uint8_t i = 0; i < 4; i++) {
		struct slu_ip ip = fixture_backend(&f, i), client = fixture_client(&f, i);
		struct slu_nexthop hop = {.port = BACKEND_PORT, .mtu = mtu};

		assert_int_equal(slu_neigh_view_add_neighbour(v, &ip, &hop), 0);
		assert_int_equal(slu_neigh_view_add_neighbour(v, &client, &hop), 0);
	}
	old = slu_dataplane_publish_neigh(f.dp, v);
	slu_neigh_view_free(old);
	f.neigh = v;
}

static void toa__data_that_fills_the_mtu__goes_without_but_a_syn_is_answered(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct seen s;

	(void)state;
	set_mtu(1500);
	begin();
	s = send_client(ACK, ISN + 1, (uint16_t)FULL_PAYLOAD);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(options_of(&s), 0);
	assert_int_equal(s.flow.payload, FULL_PAYLOAD);
	syn.sport = 40001;
	syn.payload = (uint16_t)(FULL_PAYLOAD - 4);
	s = fixture_send(&f, CLIENT_PORT, &syn);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.protocol, f.family == 4 ? 1 : 58);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_TOO_BIG_SENT), 1);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_TOO_BIG), 1);
	/* What the answer allows fits, with the option. */
	assert_int_equal(ntohs(*(const uint16_t *)(const void *)(l4_of(s.mbuf) + 6)), f.family == 4 ? 1492 : 1480);
}

static void toa__fragmented_syn__is_dropped(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);

	(void)state;
	syn.payload = 32;
	syn.fragment = 0x2000;
	assert_false(fixture_send(&f, CLIENT_PORT, &syn).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_OPENING), 1);
}

/* ------------------------------------------------------------ PROXY, TCP */

static void proxy__handshake__makes_room_below_the_clients_numbers_and_nothing_is_shifted_after(void **state)
{
	struct seen s = send_syn(ISN);
	struct flow arrived = s.flow;

	(void)state;
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.seq, ISN - header_bytes());
	s = send_reply(&arrived, SYN | ACK, arrived.seq + 1, 0);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.ack, ISN + 1);
	assert_int_equal(ntohs(*(const uint16_t *)(const void *)(l4_of(s.mbuf) + 14)), 1000 - header_bytes());

	s = send_client(ACK, ISN + 1, 0);
	assert_true(s.sent && s.checksums_right && has_header(&s));
	assert_int_equal(s.flow.seq, arrived.seq + 1);
	assert_int_equal(s.flow.flags, ACK | PSH);
	assert_int_equal(payload_of(&s), header_bytes());

	s = send_reply(&arrived, ACK, ISN + 1, 0);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.ack, ISN + 1);
	s = send_client(ACK, ISN + 1, 77);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.seq, ISN + 1);
	assert_int_equal(s.flow.payload, 77);
	s = send_reply(&arrived, ACK, ISN + 78, 500);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.ack, ISN + 78);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_PROXY_HEADERS), 1);
}

static void proxy__number_below_zero__wraps(void **state)
{
	struct seen s = send_syn(5);
	struct flow arrived = s.flow;

	(void)state;
	assert_int_equal(s.flow.seq, 5 - header_bytes());
	s = send_reply(&arrived, SYN | ACK, arrived.seq + 1, 0);
	assert_true(s.checksums_right);
	assert_int_equal(s.flow.ack, 6);
	s = send_client(ACK, 6, 0);
	assert_true(s.checksums_right && has_header(&s));
	s = send_reply(&arrived, ACK, 6, 0);
	assert_int_equal(s.flow.ack, 6);
	s = send_client(ACK, 6, 1);
	assert_int_equal(payload_of(&s), 1);
}

static void proxy__lost_header__comes_again_with_whatever_the_client_repeats(void **state)
{
	struct flow arrived = begin();
	struct seen s;

	(void)state;
	send_client(ACK, ISN + 1, 0); /* lost */
	s = send_reply(&arrived, SYN | ACK, arrived.seq + 1, 0);
	assert_int_equal(s.flow.ack, ISN + 1);
	s = send_client(ACK, ISN + 1, 0);
	assert_true(s.checksums_right && has_header(&s));
	s = send_client(ACK | PSH, ISN + 1, 99); /* and data */
	assert_true(s.checksums_right && has_header(&s));
	assert_int_equal(payload_of(&s), header_bytes() + 99);
	assert_int_equal(s.flow.seq, arrived.seq + 1);
	s = send_client(ACK | PSH, ISN + 100, 10); /* behind it: as it is */
	assert_true(s.checksums_right);
	assert_int_equal(s.flow.seq, ISN + 100);
	assert_int_equal(payload_of(&s), 10);
	s = send_reply(&arrived, ACK, arrived.seq + 1, 0); /* a duplicate ACK tells the client where it is */
	assert_true(s.checksums_right);
	assert_int_equal(s.flow.ack, ISN + 1);
	s = send_client(FIN | ACK, ISN + 1, 0);
	assert_true(s.checksums_right && has_header(&s));
	assert_int_equal(s.flow.flags, FIN | ACK | PSH);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_PROXY_HEADERS), 4);
}

static void proxy__first_data_that_fills_the_mtu__follows_a_header_of_its_own(void **state)
{
	struct flow flow = fixture_request(&f, 6, 80, ACK);
	struct rte_mbuf *m, **packets;
	struct seen s = {.sent = true};
	struct flow arrived;
	uint8_t stamps[12] = {1, 1, 8, 10, 9, 9, 9, 9};
	struct rte_mbuf *out[2];

	(void)state;
	set_mtu(1500);
	arrived = begin();
	flow.seq = ISN + 1;
	flow.ack = BACKEND_ISN + 1;
	flow.payload = (uint16_t)FULL_PAYLOAD;
	m = with_options(&flow, stamps, sizeof(stamps));
	slu_worker_burst(f.w, CLIENT_PORT, &m, 1);
	assert_int_equal(slu_worker_take_tx(f.w, BACKEND_PORT, &packets), 2);
	memcpy(out, packets, sizeof(out));
	s.mbuf = out[0];
	fixture_parse(&s);
	assert_true(s.checksums_right && has_header(&s));
	assert_int_equal(s.flow.seq, arrived.seq + 1);
	assert_int_equal(payload_of(&s), header_bytes());
	assert_memory_equal(l4_of(s.mbuf) + 20, stamps, sizeof(stamps));
	s.mbuf = out[1];
	fixture_parse(&s);
	assert_true(s.checksums_right);
	assert_int_equal(s.flow.seq, ISN + 1);
	assert_int_equal(s.flow.payload, FULL_PAYLOAD);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_PROXY_HEADERS_ALONE), 1);
	rte_pktmbuf_free_bulk(out, 2);
}

static void proxy__sack_of_the_header__is_hidden_and_that_of_data_is_not(void **state)
{
	struct flow arrived = begin(), reply = fixture_reply(&arrived, ACK);
	uint8_t sack[12] = {1, 1, 5, 10};
	uint32_t edges[2] = {htonl(ISN + 101), htonl(ISN + 201)};
	struct seen s;

	(void)state;
	reply.ack = arrived.seq + 1;
	memcpy(sack + 4, edges, 8);
	s = send_options(BACKEND_PORT, reply, sack, sizeof(sack), 0);
	assert_true(s.checksums_right);
	assert_memory_equal(l4_of(s.mbuf) + 20, sack, sizeof(sack));
	edges[0] = htonl(ISN + 1 - 4);
	memcpy(sack + 4, edges, 8);
	s = send_options(BACKEND_PORT, reply, sack, sizeof(sack), 0);
	assert_true(s.checksums_right);
	assert_null(slu_tcp_options_find(l4_of(s.mbuf) + 20, 12, 5));
	assert_int_equal(s.flow.ack, ISN + 1);
}

static void proxy__data_and_fast_open_in_the_syn__go(void **state)
{
	const uint8_t options[] = {2, 4, 5, 0xb4, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 254, 8, 1, 2, 3, 4, 5, 6};
	struct seen s = send_options(CLIENT_PORT, fixture_request(&f, 6, 80, SYN), options, sizeof(options), 501);

	(void)state;
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(options_of(&s), 4);
	assert_int_equal(payload_of(&s), 0);
	assert_int_equal(s.mbuf->pkt_len, (f.family == 4 ? 34 : 54) + 24);
}

static void proxy__rst_either_way__has_the_number_that_its_receiver_expects(void **state)
{
	struct flow arrived = begin();
	struct seen s = send_client(RST | ACK, ISN + 1, 0);

	(void)state;
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.seq, arrived.seq + 1);
	assert_int_equal(payload_of(&s), 0);
	s = send_reply(&arrived, RST | ACK, arrived.seq + 1, 0);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.ack, ISN + 1);
}

static void proxy__icmp_error_about_the_syn__has_the_clients_number(void **state)
{
	struct slu_ip router = fixture_backend(&f, 3);
	struct seen s = send_syn(ISN), in;
	struct rte_mbuf *about = rte_pktmbuf_copy(s.mbuf, fixture_pool(), 0, UINT32_MAX);

	(void)state;
	s = fixture_give(&f, BACKEND_PORT, fixture_too_big(&f, &router, about, f.family == 4 ? 40 : 60));
	assert_true(s.sent);
	in = fixture_inside(&f, &s);
	assert_int_equal(in.flow.seq, ISN);
	rte_pktmbuf_free(in.mbuf);
}

static void proxy__offload__waits_until_the_header_is_acknowledged(void **state)
{
	struct slu_offload_request request;
	struct slu_session_snapshot session;
	uint64_t cursor = 0;
	struct flow arrived;

	(void)state;
	slu_offload_enable(f.dp, true);
	arrived = begin();
	send_client(ACK, ISN + 1, 0);
	for (int i = 0; i < 4; i++)
		send_client(ACK, ISN + 1 + 10u * (uint32_t)i, 10);
	slu_worker_offload_flush(f.w);
	assert_false(slu_offload_next(f.dp, &request));
	assert_int_equal(slu_dataplane_sessions(f.dp, &cursor, &session, 1), 1);
	assert_int_equal(session.card_bytes[0] + session.card_packets[0], 0);
	assert_int_equal(session.packets[0], 6);
	send_reply(&arrived, ACK, ISN + 41, 0);
	send_client(ACK, ISN + 41, 10);
	slu_worker_offload_flush(f.w);
	assert_true(slu_offload_next(f.dp, &request));
	assert_true(slu_offload_next(f.dp, &request));
	assert_true(slu_offload_done(f.dp, request.session, SLU_DIR_REQUEST, true));

	/* A SYN is not sent past the header: the card gives the session back first. */
	assert_false(send_syn(ISN + 70000).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_OPENING), 1);
	slu_offload_done(f.dp, request.session, SLU_DIR_REPLY, false);
	assert_true(slu_offload_next(f.dp, &request));
	assert_int_equal(request.op, SLU_OFFLOAD_REMOVE);
	slu_offload_removed(f.dp, request.session, SLU_DIR_REQUEST, 3, 300);
	assert_int_equal(send_syn(ISN + 70000).flow.seq, ISN + 70000 - header_bytes());
}

static void proxy__segment_of_the_last_connection__does_not_end_the_opening(void **state)
{
	struct seen s = send_syn(ISN);
	struct flow arrived = s.flow;

	(void)state;
	s = send_reply(&arrived, ACK, ISN + 5000, 0);
	assert_int_equal(s.flow.ack, ISN + 5000);
	send_reply(&arrived, SYN | ACK, arrived.seq + 1, 0);
	s = send_client(ACK, ISN + 1, 0);
	assert_true(has_header(&s));
	send_reply(&arrived, ACK, ISN - 5000, 0);
	s = send_client(ACK, ISN + 1, 0);
	assert_true(has_header(&s));
}

static void proxy__cluster__hears_of_it_when_the_header_is_acknowledged(void **state)
{
	const struct slu_sync_settings settings = {
		.trigger = SLU_SYNC_AFTER_DATA, .threshold = 2, .outbox = 64, .inbox = 64};
	struct slu_sync_record record;
	struct flow arrived;

	(void)state;
	assert_int_equal(slu_dataplane_set_sync(f.dp, &settings), 0);
	arrived = begin();
	send_client(ACK, ISN + 1, 0);
	for (uint32_t i = 0; i < 4; i++)
		send_client(ACK, ISN + 1 + 10 * i, 10);
	assert_int_equal(slu_sync_take(f.dp, &record, 1), 0);
	send_reply(&arrived, ACK, ISN + 41, 0);
	assert_int_equal(slu_sync_take(f.dp, &record, 1), 1);
	assert_int_equal(record.kind, SLU_SYNC_SESSION);
}

static void proxy__opening__outlives_a_view_of_neighbours_and_a_restart(void **state)
{
	struct flow arrived = begin();
	struct seen s;

	(void)state;
	set_mtu(1500);
	slu_lifecycle_bind(f.w, &f.generation);
	s = send_client(ACK, ISN + 1, 0);
	assert_true(s.sent && has_header(&s));
	assert_int_equal(s.flow.seq, arrived.seq + 1);
}

/* ------------------------------------------------------------ PROXY, UDP */

static void proxy__udp__has_the_header_before_the_first_datagram_only(void **state)
{
	struct flow query = fixture_request(&f, 17, 53, 0);
	struct seen s;

	(void)state;
	query.payload = 33;
	s = fixture_send(&f, CLIENT_PORT, &query);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.payload, 33 + header_bytes());
	assert_true(is_header(l4_of(s.mbuf) + 8, 17, 53));
	assert_int_equal(ntohs(*(const uint16_t *)(const void *)(l4_of(s.mbuf) + 4)), 8 + 33 + header_bytes());
	s = fixture_send(&f, CLIENT_PORT, &query);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.payload, 33);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_PROXY_HEADERS), 1);
}

static void proxy__udp_first_datagram_too_long_or_a_fragment__is_refused_and_the_next_has_the_header(void **state)
{
	struct flow query = fixture_request(&f, 17, 53, 0);
	struct seen s;

	(void)state;
	set_mtu(1500);
	query.payload = (uint16_t)(FULL_PAYLOAD + 12 - header_bytes() + 2);
	s = fixture_send(&f, CLIENT_PORT, &query);
	assert_true(s.sent);
	assert_int_equal(s.flow.protocol, f.family == 4 ? 1 : 58);
	query.payload = 64;
	query.fragment = 0x2000;
	assert_false(fixture_send(&f, CLIENT_PORT, &query).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_OPENING), 1);
	query.fragment = 0;
	s = fixture_send(&f, CLIENT_PORT, &query);
	assert_int_equal(s.flow.payload, 64 + header_bytes());
}

static void proxy__udp_without_checksum__stays_without(void **state)
{
	struct flow query = fixture_request(&f, 17, 53, 0);
	struct rte_mbuf *m = fixture_packet(&query);
	struct seen s;

	(void)state;
	memset(l4_of(m) + 6, 0, 2);
	s = fixture_give(&f, CLIENT_PORT, m);
	assert_int_equal(s.flow.payload, header_bytes());
	assert_int_equal(l4_of(s.mbuf)[6] | l4_of(s.mbuf)[7], 0);
}

static void none__option_254__is_nobodys_business(void **state)
{
	const uint8_t forged[] = {254, 8, 1, 2, 3, 4, 5, 6};
	struct flow syn = fixture_request(&f, 6, 8000, SYN);
	struct seen s = send_options(CLIENT_PORT, syn, forged, sizeof(forged), 0);

	(void)state;
	assert_true(s.sent && s.checksums_right);
	assert_memory_equal(l4_of(s.mbuf) + 20, forged, sizeof(forged));
}

#define BOTH(kind, test)                                                                                               \
	cmocka_unit_test_setup_teardown(test, kind##4, teardown),                                                      \
		cmocka_unit_test_setup_teardown(test, kind##6, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(toa, toa__syn_and_its_repetition__carry_the_address_with_right_checksums),
		BOTH(toa, toa__wrong_checksum__stays_wrong),
		BOTH(toa, toa__forged_option_of_the_client__is_replaced_in_every_packet_of_the_opening),
		BOTH(toa, toa__no_room__is_counted_and_the_syn_goes_without),
		BOTH(toa, toa__third_packet_and_data__carry_it_until_the_backend_answers),
		BOTH(toa, toa__data_that_fills_the_mtu__goes_without_but_a_syn_is_answered),
		BOTH(toa, toa__fragmented_syn__is_dropped),
		BOTH(toa, none__option_254__is_nobodys_business),
		BOTH(proxy, proxy__handshake__makes_room_below_the_clients_numbers_and_nothing_is_shifted_after),
		BOTH(proxy, proxy__number_below_zero__wraps),
		BOTH(proxy, proxy__lost_header__comes_again_with_whatever_the_client_repeats),
		BOTH(proxy, proxy__first_data_that_fills_the_mtu__follows_a_header_of_its_own),
		BOTH(proxy, proxy__sack_of_the_header__is_hidden_and_that_of_data_is_not),
		BOTH(proxy, proxy__data_and_fast_open_in_the_syn__go),
		BOTH(proxy, proxy__rst_either_way__has_the_number_that_its_receiver_expects),
		BOTH(proxy, proxy__icmp_error_about_the_syn__has_the_clients_number),
		BOTH(proxy, proxy__offload__waits_until_the_header_is_acknowledged),
		BOTH(proxy, proxy__segment_of_the_last_connection__does_not_end_the_opening),
		BOTH(proxy, proxy__cluster__hears_of_it_when_the_header_is_acknowledged),
		BOTH(proxy, proxy__opening__outlives_a_view_of_neighbours_and_a_restart),
		BOTH(proxy, proxy__udp__has_the_header_before_the_first_datagram_only),
		BOTH(proxy, proxy__udp_first_datagram_too_long_or_a_fragment__is_refused_and_the_next_has_the_header),
		BOTH(proxy, proxy__udp_without_checksum__stays_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
