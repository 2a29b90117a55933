/*
 * Which backend a new session gets, and which listener a packet.
 */
#include "tests/unit/dataplane_fixture.h"

#include <errno.h>

#include "host/dataplane/listener_index.h"
#include "host/dataplane/scheduler.h"
#include "lib/maglev.h"

static struct fixture f;
static uint16_t maglev[SLU_MAGLEV_SLOTS];

static int setup(void **state)
{
	(void)state;
	fixture_create(&f, 4, 1, NULL);
	slu_worker_refresh(f.w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_destroy(&f);
	return 0;
}

static uint32_t open_one(uint16_t sport)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct seen s;

	syn.sport = sport;
	s = fixture_send(&f, CLIENT_PORT, &syn);
	assert_true(s.sent);
	return (uint32_t)s.flow.dst.bytes[3] - 11;
}

static void rr__each_backend_in_turn(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 40; i++)
		assert_int_equal(open_one(1000 + i), i % 4);
}

static void wrr__follows_the_interleaved_order(void **state)
{
	const uint16_t order[6] = {0, 1, 0, 2, 0, 3};
	unsigned int taken[4] = {0};

	(void)state;
	memcpy(f.wrr, order, sizeof(order));
	f.group.scheduler = SLU_SCHED_WRR;
	f.group.wrr_count = 6;
	for (uint16_t i = 0; i < 60; i++)
		taken[open_one(1000 + i)]++;
	assert_int_equal(taken[0], 30);
	assert_int_equal(taken[1], 10);
}

static void wlc__takes_the_least_loaded_for_its_weight(void **state)
{
	unsigned int taken[4] = {0};

	(void)state;
	f.group.scheduler = SLU_SCHED_WLC;
	f.backends[0].weight = 3;
	f.backends[3].weight = 0;
	for (uint16_t i = 0; i < 50; i++)
		taken[open_one(1000 + i)]++;
	assert_int_equal(taken[0], 30);
	assert_int_equal(taken[1], 10);
	assert_int_equal(taken[2], 10);
	assert_int_equal(taken[3], 0);
}

static void wlc__counts_what_other_nodes_have(void **state)
{
	unsigned int taken[4] = {0};

	(void)state;
	f.group.scheduler = SLU_SCHED_WLC;
	slu_dataplane_set_elsewhere(f.dp, f.backends[1].live, 20);
	slu_dataplane_set_elsewhere(f.dp, f.backends[2].live, 20);
	slu_dataplane_set_elsewhere(f.dp, 99999, 20); /* there is no such index */
	f.backends[3].weight = 0;
	for (uint16_t i = 0; i < 10; i++)
		taken[open_one(1000 + i)]++;
	assert_int_equal(taken[0], 10);
	slu_dataplane_set_elsewhere(f.dp, f.backends[1].live, 0);
	for (uint16_t i = 10; i < 20; i++)
		taken[open_one(1000 + i)]++;
	assert_in_range(taken[1], 9, 10);
}

/* A SYN of another client; returns whether it got a session. */
static bool admitted(uint16_t sport)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);

	syn.sport = sport;
	return fixture_send(&f, CLIENT_PORT, &syn).sent;
}

static void limit__holds_alone_by_max_sessions_and_in_a_cluster_by_the_ceiling(void **state)
{
	uint32_t live = f.listeners[LISTENER_TCP].live;
	struct flow other = fixture_request(&f, 17, 53, 0);
	uint16_t sport = 1000;

	(void)state;
	f.listeners[LISTENER_TCP].max_sessions = 5;
	for (int i = 0; i < 5; i++)
		assert_true(admitted(sport++));
	assert_false(admitted(sport));
	assert_false(admitted(sport + 1));
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_LIMIT), 2);
	/* A session that is there goes on, and another listener has its own count. */
	assert_true(admitted(1000));
	other.dport = f.listeners[LISTENER_UDP].port_first;
	assert_true(fixture_send(&f, CLIENT_PORT, &other).sent);
	slu_dataplane_set_ceiling(f.dp, live, 7);
	assert_true(admitted(sport++));
	assert_true(admitted(sport++));
	assert_false(admitted(sport));
	slu_dataplane_set_ceiling(f.dp, live, 0);
	assert_false(admitted(sport));
	slu_dataplane_set_ceiling(f.dp, live, UINT32_MAX);
	assert_false(admitted(sport));
	f.listeners[LISTENER_TCP].max_sessions = 8;
	assert_true(admitted(sport));
	/* When they have ended there is room again. */
	f.listeners[LISTENER_TCP].max_sessions = 1;
	fixture_advance(&f, 1000000000ull);
	assert_true(admitted(9000));
	assert_false(admitted(9001));
}

static void maglev__is_the_same_for_a_flow_after_a_restart(void **state)
{
	struct slu_maglev_backend backends[4];
	uint32_t first[200];
	unsigned int taken[4] = {0};

	(void)state;
	for (uint16_t i = 0; i < 4; i++)
		backends[i] = (struct slu_maglev_backend){.id = i, .weight = 1, .seed = 77 + i};
	assert_int_equal(slu_maglev_build(backends, 4, maglev), 0);
	f.group.scheduler = SLU_SCHED_MAGLEV;
	f.group.maglev = maglev;
	for (uint16_t i = 0; i < 200; i++)
		taken[first[i] = open_one(1000 + i)]++;
	for (int i = 0; i < 4; i++)
		assert_in_range(taken[i], 25, 80);
	fixture_destroy(&f);
	fixture_create(&f, 4, 1, NULL);
	f.group.scheduler = SLU_SCHED_MAGLEV;
	f.group.maglev = maglev;
	for (uint16_t i = 0; i < 200; i++)
		assert_int_equal(open_one(1000 + i), first[i]);
}

static void listener_index__finds_the_range_of_a_port_and_no_other(void **state)
{
	const struct slu_listener_index *index = f.generation.index;
	struct slu_ip vip = fixture_vip(&f);
	const struct slu_address_entry *e = slu_listener_index_address(index, 0, 4, vip.bytes);

	(void)state;
	assert_non_null(e);
	assert_ptr_equal(slu_listener_index_find(index, e, 6, 80), &f.listeners[LISTENER_TCP]);
	assert_ptr_equal(slu_listener_index_find(index, e, 6, 81), &f.listeners[LISTENER_NAT]);
	assert_null(slu_listener_index_find(index, e, 6, 82));
	assert_null(slu_listener_index_find(index, e, 17, 80));
	assert_ptr_equal(slu_listener_index_find(index, e, 6, 8000), &f.listeners[LISTENER_RANGE]);
	assert_ptr_equal(slu_listener_index_find(index, e, 6, 8100), &f.listeners[LISTENER_RANGE]);
	assert_null(slu_listener_index_find(index, e, 6, 7999));
	assert_null(slu_listener_index_find(index, e, 6, 8101));
	assert_null(slu_listener_index_address(index, 0, 4, "\xC6\x12\x01\x65"));
	assert_true(slu_listener_index_address(index, 0, 4, f.locals[0].bytes)->kinds & SLU_ADDRESS_LOCAL);
}

static void listener_index__tenant_networks__are_apart(void **state)
{
	const struct slu_listener_index *index;
	struct slu_ip vip = fixture_vip(&f);
	const struct slu_address_entry *e;

	(void)state;
	f.listeners[LISTENER_NAT].vpc = 7;
	f.listeners[LISTENER_NAT].port_first = f.listeners[LISTENER_NAT].port_last = 80;
	fixture_publish(&f);
	index = f.generation.index;
	e = slu_listener_index_address(index, 7, 4, vip.bytes);
	assert_ptr_equal(slu_listener_index_find(index, e, 6, 80), &f.listeners[LISTENER_NAT]);
	e = slu_listener_index_address(index, 0, 4, vip.bytes);
	assert_ptr_equal(slu_listener_index_find(index, e, 6, 80), &f.listeners[LISTENER_TCP]);
	assert_null(slu_listener_index_address(index, 8, 4, vip.bytes));
	assert_non_null(slu_listener_index_address(index, 8, 4, f.locals[0].bytes));
}

static void listener_index__overlapping_ranges__are_refused(void **state)
{
	struct slu_generation g = f.generation;

	(void)state;
	g.index = NULL;
	f.listeners[LISTENER_RANGE].port_first = 80;
	assert_int_equal(slu_listener_index_build(&g), -EINVAL);
	f.listeners[LISTENER_RANGE].port_first = 8000;
	g.live_limit = 70000;
	assert_int_equal(slu_listener_index_build(&g), -E2BIG);
}

static void local_ports__towards_one_backend__are_all_used_then_refused(void **state)
{
	struct slu_dataplane_settings settings = {
		.sessions = 4096, .workers = 1, .port_first = 2000, .port_last = 2009, .now_us = 1};
	struct slu_dataplane_recovery recovery;
	uint8_t seen[2][10] = {{0}};

	(void)state;
	slu_worker_stop(f.w);
	slu_dataplane_destroy(f.dp);
	assert_int_equal(slu_dataplane_create(&settings, &f.dp, &recovery), 0);
	f.w = slu_dataplane_worker(f.dp, 0);
	f.group.wrr_count = 1;
	fixture_publish(&f);
	slu_dataplane_publish_neigh(f.dp, f.neigh);
	slu_worker_start(f.w);
	for (uint16_t i = 0; i < 20; i++) {
		struct flow syn = fixture_request(&f, 6, 80, SYN);
		struct seen s;

		syn.sport = (uint16_t)(1000 + i);
		s = fixture_send(&f, CLIENT_PORT, &syn);
		assert_true(s.sent);
		assert_in_range(s.flow.sport, 2000, 2009);
		assert_int_equal(seen[s.flow.src.bytes[3] - 100][s.flow.sport - 2000]++, 0);
	}
	{
		struct flow syn = fixture_request(&f, 6, 80, SYN);

		assert_false(fixture_send(&f, CLIENT_PORT, &syn).sent);
		assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NO_LOCAL_PORT), 1);
		/* The same local ports serve the other backends. */
		f.wrr[0] = 1;
		assert_true(fixture_send(&f, CLIENT_PORT, &syn).sent);
	}
}

static void neighbours__longest_prefix_wins_and_gateways_are_followed(void **state)
{
	struct slu_neigh_view *v = slu_neigh_view_create();
	struct slu_ip any = {.family = 4}, net = fixture_ip("198.18.64.0"), gateway = fixture_ip("198.18.1.1");
	struct slu_ip a = fixture_ip("198.18.64.9"), b = fixture_ip("198.19.0.1"), c = fixture_ip("198.18.64.10"), ask;
	struct slu_nexthop h1 = {.port = 3, .dst_mac = {1}}, h2 = {.port = 4, .dst_mac = {2}};
	const struct slu_nexthop *hop;
	uint16_t port;

	(void)state;
	assert_int_equal(slu_neigh_resolve(v, &a, &hop, &port, &ask), -EHOSTUNREACH);
	assert_int_equal(slu_neigh_view_add_route(v, &any, 0, 3, &gateway), 0);
	assert_int_equal(slu_neigh_view_add_route(v, &net, 25, 4, NULL), 0);
	assert_int_equal(slu_neigh_view_add_neighbour(v, &gateway, &h1), 0);
	assert_int_equal(slu_neigh_view_add_neighbour(v, &a, &h2), 0);
	assert_int_equal(slu_neigh_resolve(v, &a, &hop, &port, &ask), 0);
	assert_int_equal(hop->dst_mac[0], 2);
	assert_int_equal(slu_neigh_resolve(v, &b, &hop, &port, &ask), 0);
	assert_int_equal(hop->dst_mac[0], 1);
	assert_int_equal(slu_neigh_resolve(v, &c, &hop, &port, &ask), -EAGAIN);
	assert_int_equal(port, 4);
	fixture_assert_ip(&ask, &c);
	assert_int_equal(slu_neigh_view_add_route(v, &net, 33, 4, NULL), -EINVAL);
	for (uint32_t i = 0; i < 5000; i++) {
		struct slu_ip ip = {.family = 6, .bytes = {0xFD, (uint8_t)(i >> 8), (uint8_t)i}};

		h2.dst_mac[1] = (uint8_t)i;
		assert_int_equal(slu_neigh_view_add_route(v, &ip, 24, 4, &ip), 0);
		assert_int_equal(slu_neigh_view_add_neighbour(v, &ip, &h2), 0);
	}
	for (uint32_t i = 0; i < 5000; i++) {
		struct slu_ip ip = {.family = 6, .bytes = {0xFD, (uint8_t)(i >> 8), (uint8_t)i, 77, [15] = 1}};

		assert_int_equal(slu_neigh_resolve(v, &ip, &hop, &port, &ask), 0);
		assert_int_equal(hop->dst_mac[1], (uint8_t)i);
	}
	slu_neigh_view_free(v);
}

/* Rows: from the client or the backend, flags, state before, state after; a sentence each. */
static void tcp_state__transitions__are_those_of_ipvs(void **state)
{
	static const struct {
		uint8_t dir, flags, before, after;
		const char *what;
	} rows[] = {
		{0, SYN, SLU_TCP_NONE, SLU_TCP_SYN_RECV, "a client's SYN opens"},
		{1, SYN | ACK, SLU_TCP_SYN_RECV, SLU_TCP_SYN_RECV, "the backend's SYN-ACK does not establish yet"},
		{0, ACK, SLU_TCP_SYN_RECV, SLU_TCP_ESTABLISHED, "the client's ACK establishes"},
		{0, FIN | ACK, SLU_TCP_ESTABLISHED, SLU_TCP_CLOSE_WAIT, "the client closes first"},
		{1, FIN | ACK, SLU_TCP_ESTABLISHED, SLU_TCP_FIN_WAIT, "the backend closes first"},
		{1, FIN | ACK, SLU_TCP_CLOSE_WAIT, SLU_TCP_TIME_WAIT, "both have closed"},
		{0, FIN | ACK, SLU_TCP_FIN_WAIT, SLU_TCP_TIME_WAIT, "both have closed, the other order"},
		{0, RST, SLU_TCP_ESTABLISHED, SLU_TCP_CLOSE, "a reset closes"},
		{1, RST | ACK, SLU_TCP_SYN_RECV, SLU_TCP_CLOSE, "a refused connection closes"},
		{1, RST, SLU_TCP_TIME_WAIT, SLU_TCP_TIME_WAIT, "a late reset changes nothing"},
		{0, 0, SLU_TCP_ESTABLISHED, SLU_TCP_ESTABLISHED, "no flags change nothing"},
		{0, RST | SYN, SLU_TCP_ESTABLISHED, SLU_TCP_CLOSE, "RST weighs more than SYN"},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		uint8_t after = slu_tcp_state_next(rows[i].dir, rows[i].flags, rows[i].before);

		if (after != rows[i].after)
			fail_msg("%s: %s", rows[i].what, slu_tcp_state_name(after));
	}
	assert_int_equal(SLU_TCP_CLOSE_WAIT, 7);
	assert_int_equal(SLU_TCP_SYNACK, 10);
	assert_int_equal(slu_tcp_state_timeout_s(NULL, 6, SLU_TCP_ESTABLISHED), 900);
	assert_int_equal(slu_tcp_state_timeout_s(NULL, 6, SLU_TCP_CLOSE), 10);
	assert_int_equal(slu_tcp_state_timeout_s(NULL, 17, 0), 300);
	assert_string_equal(slu_session_state_name(6, SLU_TCP_TIME_WAIT), "TIME_WAIT");
}

/* ---------------------------------------------------------- malformed frames */

static void expect_drop(struct rte_mbuf *m, enum slu_counter why)
{
	uint64_t before = fixture_counter(&f, why);

	assert_false(fixture_give(&f, CLIENT_PORT, m).sent);
	if (fixture_counter(&f, why) != before + 1)
		fail_msg("%s was not counted", slu_counter_info[why].name);
}

static void fix_ip(struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 14);
	uint16_t checksum;

	ip[10] = ip[11] = 0;
	checksum = slu_checksum_final(slu_checksum_add(0, ip, (ip[0] & 15) * 4u));
	memcpy(ip + 10, &checksum, 2);
}

static void malformed__every_kind__is_dropped_under_its_own_name(void **state)
{
	static const struct {
		unsigned int offset;
		uint8_t value;
		enum slu_counter why;
	} rows[] = {
		{14, 0x44, SLU_COUNT_DROP_BAD_IP},      /* header length below 20 */
		{14, 0x55, SLU_COUNT_DROP_BAD_IP},      /* version 5 */
		{14, 0x4F, SLU_COUNT_DROP_BAD_IP},      /* header longer than the packet */
		{16, 0xFF, SLU_COUNT_DROP_BAD_IP},      /* total length beyond the frame */
		{17, 19, SLU_COUNT_DROP_BAD_IP},        /* total length below the header */
		{17, 39, SLU_COUNT_DROP_BAD_L4},        /* TCP header cut */
		{34 + 12, 0x40, SLU_COUNT_DROP_BAD_L4}, /* data offset below 20 */
		{34 + 12, 0x60, SLU_COUNT_DROP_BAD_L4}, /* data offset beyond the packet */
		{34 + 13, 0x00, SLU_COUNT_DROP_TCP_FLAGS}, {34 + 13, 0x03, SLU_COUNT_DROP_TCP_FLAGS},
		{26, 0xE0, SLU_COUNT_DROP_BAD_ADDRESS}, /* from a multicast address */
	};
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct rte_mbuf *m;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		m = fixture_packet(&syn);
		rte_pktmbuf_mtod(m, uint8_t *)[rows[i].offset] = rows[i].value;
		if (rows[i].offset != 14)
			fix_ip(m);
		expect_drop(m, rows[i].why);
	}
	m = fixture_packet(&syn);
	rte_pktmbuf_mtod(m, uint8_t *)[24] ^= 1;
	expect_drop(m, SLU_COUNT_DROP_BAD_L3_CSUM);
	for (uint16_t bytes = 0; bytes < 34; bytes++) {
		m = fixture_packet(&syn);
		m->data_len = bytes;
		m->pkt_len = bytes;
		expect_drop(m, SLU_COUNT_DROP_SHORT);
	}
	syn.protocol = 17;
	syn.dport = 53;
	m = fixture_packet(&syn);
	rte_pktmbuf_mtod(m, uint8_t *)[34 + 5] = 7; /* UDP length below its header */
	expect_drop(m, SLU_COUNT_DROP_BAD_L4);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
}

static void malformed__ipv4_options__are_kept_and_the_packet_forwarded(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct rte_mbuf *m = fixture_packet(&syn);
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 14);
	struct seen s;

	(void)state;
	rte_pktmbuf_append(m, 8);
	memmove(ip + 28, ip + 20, 20);
	memset(ip + 20, 1, 8); /* no operation */
	ip[0] = 0x47;
	ip[3] += 8;
	fix_ip(m);
	s = fixture_give(&f, CLIENT_PORT, m);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.dport, 8080);
	assert_int_equal(rte_pktmbuf_mtod_offset(s.mbuf, uint8_t *, 14)[0], 0x47);
}

static void malformed__chained_packet__is_forwarded_whole(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct rte_mbuf *whole, *head = rte_pktmbuf_alloc(fixture_pool()), *tail = rte_pktmbuf_alloc(fixture_pool());
	struct seen s;

	(void)state;
	syn.payload = 300;
	whole = fixture_packet(&syn);
	memcpy(rte_pktmbuf_append(head, 40), rte_pktmbuf_mtod(whole, void *), 40);
	memcpy(rte_pktmbuf_append(tail, whole->data_len - 40), rte_pktmbuf_mtod_offset(whole, void *, 40),
		whole->data_len - 40);
	rte_pktmbuf_free(whole);
	assert_int_equal(rte_pktmbuf_chain(head, tail), 0);
	s = fixture_give(&f, CLIENT_PORT, head);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.payload, 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rr__each_backend_in_turn),
		TEST(wrr__follows_the_interleaved_order),
		TEST(wlc__takes_the_least_loaded_for_its_weight),
		TEST(wlc__counts_what_other_nodes_have),
		TEST(limit__holds_alone_by_max_sessions_and_in_a_cluster_by_the_ceiling),
		TEST(maglev__is_the_same_for_a_flow_after_a_restart),
		TEST(listener_index__finds_the_range_of_a_port_and_no_other),
		TEST(listener_index__tenant_networks__are_apart),
		TEST(listener_index__overlapping_ranges__are_refused),
		TEST(local_ports__towards_one_backend__are_all_used_then_refused),
		TEST(neighbours__longest_prefix_wins_and_gateways_are_followed),
		TEST(tcp_state__transitions__are_those_of_ipvs),
		TEST(malformed__every_kind__is_dropped_under_its_own_name),
		TEST(malformed__ipv4_options__are_kept_and_the_packet_forwarded),
		TEST(malformed__chained_packet__is_forwarded_whole),
	};

	fixture_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
