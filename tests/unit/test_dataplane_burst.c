/*
 * Crafted packets through a worker: what comes out, on which port, with which
 * addresses and checksums, and what is counted. Every case runs for IPv4 and IPv6.
 */
#include "tests/unit/dataplane_fixture.h"

#include "lib/maglev.h"

struct fixture f;

static int setup4(void **state)
{
	(void)state;
	fixture_create(&f, 4, 1, NULL);
	return 0;
}

static int setup6(void **state)
{
	(void)state;
	fixture_create(&f, 6, 1, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_destroy(&f);
	return 0;
}

static bool is_local(const struct slu_ip *ip)
{
	return !memcmp(ip, &f.locals[0], sizeof(*ip)) || !memcmp(ip, &f.locals[1], sizeof(*ip));
}

static void burst__tcp_fullnat__is_translated_both_ways_with_right_checksums(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), reply, data;
	struct slu_ip backend = fixture_backend(&f, 0), vip = fixture_vip(&f), client = fixture_client(&f, 0);
	const uint8_t gateway_mac[6] = {2, 0, 0, 0, 1, 1}, backend_mac[6] = {2, 0, 0, 0, 2, 0};
	struct seen s = fixture_send(&f, CLIENT_PORT, &syn);

	(void)state;
	assert_true(s.sent);
	assert_int_equal(s.port, BACKEND_PORT);
	assert_true(s.checksums_right);
	assert_true(is_local(&s.flow.src));
	assert_int_not_equal(memcmp(s.flow.dst.bytes, vip.bytes, 16), 0);
	fixture_assert_ip(&s.flow.dst, &backend);
	assert_int_equal(s.flow.dport, 8080);
	assert_int_equal(s.flow.ttl, 63);
	assert_int_equal(s.flow.flags, SYN);
	assert_int_equal(s.flow.seq, 1000);
	assert_memory_equal(s.dst_mac, backend_mac, 6);

	reply = fixture_reply(&s.flow, SYN | ACK);
	reply.payload = 3;
	s = fixture_send(&f, BACKEND_PORT, &reply);
	assert_true(s.sent);
	assert_int_equal(s.port, CLIENT_PORT);
	assert_true(s.checksums_right);
	fixture_assert_ip(&s.flow.src, &vip);
	fixture_assert_ip(&s.flow.dst, &client);
	assert_int_equal(s.flow.sport, 80);
	assert_int_equal(s.flow.dport, 40000);
	assert_memory_equal(s.dst_mac, gateway_mac, 6);

	data = syn;
	data.flags = ACK;
	data.payload = 1399; /* odd */
	s = fixture_send(&f, CLIENT_PORT, &data);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.payload, 1399);
}

static void burst__udp__is_translated_and_its_absent_checksum_stays_absent(void **state)
{
	struct flow query = fixture_request(&f, 17, 53, 0), answer;
	struct seen s;
	struct rte_mbuf *m;

	(void)state;
	query.payload = 33;
	s = fixture_send(&f, CLIENT_PORT, &query);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.dport, 8080);
	answer = fixture_reply(&s.flow, 0);
	s = fixture_send(&f, BACKEND_PORT, &answer);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.sport, 53);
	if (f.family == 6)
		return;
	m = fixture_packet(&query);
	memset(rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20 + 6), 0, 2);
	s = fixture_give(&f, CLIENT_PORT, m);
	assert_true(s.sent);
	assert_int_equal(*rte_pktmbuf_mtod_offset(s.mbuf, uint16_t *, 14 + 20 + 6), 0);
}

static void burst__nat__keeps_the_client_as_source(void **state)
{
	struct flow syn = fixture_request(&f, 6, 81, SYN), reply;
	struct slu_ip client = fixture_client(&f, 0), vip = fixture_vip(&f);
	struct seen s = fixture_send(&f, CLIENT_PORT, &syn);

	(void)state;
	assert_true(s.sent && s.checksums_right);
	fixture_assert_ip(&s.flow.src, &client);
	assert_int_equal(s.flow.sport, 40000);
	assert_int_equal(s.flow.dport, 8080);
	reply = fixture_reply(&s.flow, SYN | ACK);
	s = fixture_send(&f, BACKEND_PORT, &reply);
	assert_true(s.sent && s.checksums_right);
	fixture_assert_ip(&s.flow.src, &vip);
	assert_int_equal(s.flow.sport, 81);
}

static void burst__port_range_and_backend_port_zero__keeps_the_destination_port(void **state)
{
	struct flow syn = fixture_request(&f, 6, 8042, SYN);
	struct seen s;

	(void)state;
	f.backends[0].port = f.backends[1].port = 0;
	s = fixture_send(&f, CLIENT_PORT, &syn);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.dport, 8042);
	syn.dport = 8101;
	s = fixture_send(&f, CLIENT_PORT, &syn);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NO_LISTENER), 1);
}

static void burst__bad_tcp_checksum__stays_bad(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct rte_mbuf *m = fixture_packet(&syn);
	struct seen s;

	(void)state;
	*rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len - 3) ^= 0x10;
	s = fixture_give(&f, CLIENT_PORT, m);
	assert_true(s.sent);
	assert_false(s.checksums_right);
}

static void burst__many_flows_in_one_burst__each_gets_its_own_session(void **state)
{
	struct rte_mbuf *packets[64], **out;
	struct slu_session_snapshot *all = calloc(200, sizeof(*all));
	uint64_t cursor = 0;
	uint32_t count = 0, got;

	(void)state;
	for (unsigned int i = 0; i < 64; i++) {
		struct flow syn = fixture_request(&f, 6, 80, SYN);

		syn.sport = (uint16_t)(1000 + i);
		packets[i] = fixture_packet(&syn);
	}
	slu_worker_burst(f.w, CLIENT_PORT, packets, 64);
	assert_int_equal(slu_worker_take_tx(f.w, BACKEND_PORT, &out), 64);
	rte_pktmbuf_free_bulk(out, 64);
	while ((got = slu_dataplane_sessions(f.dp, &cursor, all + count, 7)))
		count += got;
	assert_int_equal(count, 64);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < i; j++) {
			assert_int_not_equal(all[i].client_port, all[j].client_port);
			if (all[i].backend_id == all[j].backend_id &&
				!memcmp(&all[i].local, &all[j].local, sizeof(struct slu_ip)))
				assert_int_not_equal(all[i].local_port, all[j].local_port);
		}
	free(all);
}

static void burst__session_counters__equal_the_frames_given(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn), data = syn, reply;
	uint64_t cursor = 0;
	struct slu_session_snapshot s;
	unsigned int header = 14 + (f.family == 4 ? 20 : 40) + 20;

	(void)state;
	data.flags = ACK;
	data.payload = 100;
	for (int i = 0; i < 10; i++)
		assert_true(fixture_send(&f, CLIENT_PORT, &data).sent);
	reply = fixture_reply(&arrived, ACK);
	reply.payload = 1000;
	for (int i = 0; i < 5; i++)
		assert_true(fixture_send(&f, BACKEND_PORT, &reply).sent);
	assert_int_equal(slu_dataplane_sessions(f.dp, &cursor, &s, 1), 1);
	assert_int_equal(s.packets[SLU_DIR_REQUEST], 12);
	assert_int_equal(s.bytes[SLU_DIR_REQUEST], 12 * header + 10 * 100);
	assert_int_equal(s.packets[SLU_DIR_REPLY], 6);
	assert_int_equal(s.bytes[SLU_DIR_REPLY], 6 * header + 5 * 1000);
	assert_int_equal(s.state, SLU_TCP_ESTABLISHED);
	assert_int_equal(s.owner[0], SLU_OWNER_SOFTWARE);
	assert_int_equal(s.listener_id, 500);
	assert_int_equal(s.backend_id, 1000);
}

static void burst__segment_without_session__is_answered_with_rst_that_fits(void **state)
{
	struct flow ack = fixture_request(&f, 6, 80, ACK);
	struct seen s;

	(void)state;
	ack.payload = 10;
	s = fixture_send(&f, CLIENT_PORT, &ack);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.port, CLIENT_PORT);
	assert_int_equal(s.flow.flags, RST);
	assert_int_equal(s.flow.seq, 2000);
	assert_int_equal(s.flow.dport, 40000);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NO_SESSION), 1);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_RST_SENT), 1);
	ack.flags = FIN;
	s = fixture_send(&f, CLIENT_PORT, &ack);
	assert_int_equal(s.flow.flags, RST | ACK);
	assert_int_equal(s.flow.ack, 1000 + 10 + 1);
	ack.flags = RST;
	assert_false(fixture_send(&f, CLIENT_PORT, &ack).sent);
}

static void burst__flood_without_session__is_answered_at_a_limited_rate(void **state)
{
	struct flow ack = fixture_request(&f, 6, 80, ACK);
	unsigned int answered = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		answered += fixture_send(&f, CLIENT_PORT, &ack).sent;
	assert_int_equal(answered, SLU_ANSWERS_BURST);
	fixture_advance(&f, 100000);
	answered = 0;
	for (int i = 0; i < 1000; i++)
		answered += fixture_send(&f, CLIENT_PORT, &ack).sent;
	assert_int_equal(answered, SLU_ANSWERS_PER_S / 10);
}

static void burst__after_a_membership_change__is_silent(void **state)
{
	struct flow ack = fixture_request(&f, 6, 80, ACK);

	(void)state;
	slu_dataplane_quiet_until(f.dp, f.now_us + 3000000);
	assert_false(fixture_send(&f, CLIENT_PORT, &ack).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_QUIET), 1);
	fixture_advance(&f, 3000001);
	assert_true(fixture_send(&f, CLIENT_PORT, &ack).sent);
}

static void burst__not_for_us__goes_to_the_kernel_unchanged(void **state)
{
	struct flow other = fixture_request(&f, 6, 22, SYN);
	struct rte_mbuf *m, *copy;
	struct seen s;

	(void)state;
	other.dst = fixture_ip(f.family == 4 ? "198.18.1.2" : "fd00:1::2");
	m = fixture_packet(&other);
	copy = rte_pktmbuf_copy(m, fixture_pool(), 0, UINT32_MAX);
	s = fixture_give(&f, CLIENT_PORT, m);
	assert_true(s.exception);
	assert_int_equal(s.mbuf->port, CLIENT_PORT);
	assert_memory_equal(
		rte_pktmbuf_mtod(s.mbuf, void *), rte_pktmbuf_mtod(copy, void *), rte_pktmbuf_data_len(copy));
	rte_pktmbuf_free(copy);
}

static void burst__ttl_used_up__is_answered_with_time_exceeded_from_the_virtual_address(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct slu_ip vip = fixture_vip(&f);
	struct seen s;

	(void)state;
	syn.ttl = 1;
	s = fixture_send(&f, CLIENT_PORT, &syn);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.port, CLIENT_PORT);
	assert_int_equal(s.flow.protocol, f.family == 4 ? 1 : 58);
	fixture_assert_ip(&s.flow.src, &vip);
	assert_int_equal(
		*rte_pktmbuf_mtod_offset(s.mbuf, uint8_t *, 14 + (f.family == 4 ? 20 : 40)), f.family == 4 ? 11 : 3);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_TTL), 1);
}

static void burst__vlan_tag__is_taken_off(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct seen s;

	(void)state;
	syn.vlan = 77;
	s = fixture_send(&f, CLIENT_PORT, &syn);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.vlan, 0);
	assert_int_equal(s.flow.dport, 8080);
}

static void burst__weight_zero__gets_no_new_session_but_keeps_the_old(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), data;
	struct slu_ip first = fixture_backend(&f, 0);
	struct seen s;

	(void)state;
	fixture_connect(&f, &syn);
	f.backends[0].weight = 0;
	fixture_publish(&f);
	for (uint16_t i = 1; i < 20; i++) {
		struct flow other = syn;

		other.sport += i;
		s = fixture_send(&f, CLIENT_PORT, &other);
		assert_true(s.sent);
		assert_int_not_equal(memcmp(s.flow.dst.bytes, first.bytes, 16), 0);
	}
	data = syn;
	data.flags = ACK;
	s = fixture_send(&f, CLIENT_PORT, &data);
	fixture_assert_ip(&s.flow.dst, &first);
	for (int i = 0; i < 4; i++)
		f.backends[i].weight = 0;
	syn.sport = 50000;
	assert_false(fixture_send(&f, CLIENT_PORT, &syn).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NO_BACKEND), 1);
}

static void burst__syn_on_a_finished_session__starts_a_new_one(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn), segment = syn, reply;
	struct seen s;

	(void)state;
	segment.flags = FIN | ACK;
	fixture_send(&f, CLIENT_PORT, &segment);
	reply = fixture_reply(&arrived, FIN | ACK);
	fixture_send(&f, BACKEND_PORT, &reply);
	s = fixture_send(&f, CLIENT_PORT, &syn);
	assert_true(s.sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_SESSIONS_REUSED), 1);
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
	assert_true(s.flow.sport != arrived.sport || memcmp(&s.flow.src, &arrived.src, sizeof(s.flow.src)));
}

static void burst__unresolved_neighbour__is_held_then_sent(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct slu_neigh_view *view = slu_neigh_view_create(), *old;
	struct slu_ip link = fixture_ip(f.family == 4 ? "198.18.2.0" : "fd00:2::"), asked,
		      backend = fixture_backend(&f, 0);
	struct slu_nexthop hop = {.port = BACKEND_PORT, .dst_mac = {2, 9, 9, 9, 9, 9}};
	uint16_t port;
	struct seen s;

	(void)state;
	slu_neigh_view_add_route(view, &link, f.family == 4 ? 24 : 64, BACKEND_PORT, NULL);
	old = slu_dataplane_publish_neigh(f.dp, view);
	assert_false(fixture_send(&f, CLIENT_PORT, &syn).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_HELD), 1);
	assert_true(slu_dataplane_next_unresolved(f.dp, &port, &asked));
	assert_int_equal(port, BACKEND_PORT);
	fixture_assert_ip(&asked, &backend);
	assert_false(slu_dataplane_next_unresolved(f.dp, &port, &asked));
	slu_worker_poll(f.w);
	assert_false(fixture_collect(&f, f.w).sent);

	slu_neigh_view_free(old);
	f.neigh = slu_neigh_view_create();
	slu_neigh_view_add_route(f.neigh, &link, f.family == 4 ? 24 : 64, BACKEND_PORT, NULL);
	assert_int_equal(slu_neigh_view_add_neighbour(f.neigh, &backend, &hop), 0);
	slu_dataplane_publish_neigh(f.dp, f.neigh);
	slu_worker_poll(f.w);
	s = fixture_collect(&f, f.w);
	slu_neigh_view_free(view);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.dst_mac[1], 9);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_HELD_SENT), 1);
}

static void burst__unresolved_for_a_second__is_dropped_and_counted(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct slu_ip link = fixture_ip(f.family == 4 ? "198.18.2.0" : "fd00:2::");
	struct slu_neigh_view *old;

	(void)state;
	old = f.neigh;
	f.neigh = slu_neigh_view_create();
	slu_neigh_view_add_route(f.neigh, &link, f.family == 4 ? 24 : 64, BACKEND_PORT, NULL);
	slu_dataplane_publish_neigh(f.dp, f.neigh);
	fixture_send(&f, CLIENT_PORT, &syn);
	slu_neigh_view_free(old);
	fixture_advance(&f, 1100000);
	slu_worker_poll(f.w);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NEIGHBOUR), 1);
}

static void burst__sessions_time_out__and_a_busy_one_does_not(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), busy = syn, data;
	struct slu_live_counters live;

	(void)state;
	busy.sport = 41000;
	fixture_connect(&f, &syn);
	fixture_connect(&f, &busy);
	data = busy;
	data.flags = ACK;
	for (int i = 0; i < 10; i++) {
		fixture_advance(&f, 100000000);
		assert_true(fixture_send(&f, CLIENT_PORT, &data).sent);
	}
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_SESSIONS_EXPIRED), 1);
	slu_dataplane_listener_counters(f.dp, LISTENER_TCP, &live);
	assert_int_equal(live.connections, 2);
	assert_int_equal(live.active, 1);
	assert_int_equal(live.inactive, 0);
	assert_int_equal(fixture_metered(&f, 500 + LISTENER_TCP, -1).packets[SLU_DIR_REQUEST], 2 * 2 + 10);
	assert_int_equal(fixture_metered(&f, 500 + LISTENER_TCP, -1).packets[SLU_DIR_REPLY], 2);
}

static void burst__half_open__times_out_after_a_minute(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);

	(void)state;
	fixture_send(&f, CLIENT_PORT, &syn);
	fixture_advance(&f, 59000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
	fixture_advance(&f, 2000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
}

static void burst__blind_rst__evicts_nothing(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), data = syn, rst = syn;

	(void)state;
	fixture_connect(&f, &syn);
	rst.flags = RST;
	assert_true(fixture_send(&f, CLIENT_PORT, &rst).sent);
	fixture_advance(&f, 5000000);
	data.flags = ACK;
	assert_true(fixture_send(&f, CLIENT_PORT, &data).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_RST_REVIVED), 1);
	fixture_advance(&f, 60000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
	assert_true(fixture_send(&f, CLIENT_PORT, &rst).sent);
	fixture_advance(&f, 11000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
}

/* What is freed and allocated again while a worker sleeps often has the old address. */
static void burst__after_a_sleep__a_new_view_at_the_old_address_is_seen(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	struct slu_ip gateway = fixture_ip(f.family == 4 ? "198.18.1.1" : "fd00:1::1");
	struct slu_nexthop hop = {.port = CLIENT_PORT, .dst_mac = {2, 7, 7, 7, 7, 7}};
	struct flow arrived = fixture_connect(&f, &syn), reply = fixture_reply(&arrived, ACK);
	struct seen s;

	(void)state;
	slu_worker_offline(f.w);
	slu_listener_index_free(f.generation.index);
	f.listeners[LISTENER_TCP].port_first = f.listeners[LISTENER_TCP].port_last = 90;
	f.listeners[LISTENER_TCP].address.bytes[15] ^= f.family == 6; /* another place in the hash */
	assert_int_equal(slu_listener_index_build(&f.generation), 0);
	slu_dataplane_publish(f.dp, &f.generation);
	assert_int_equal(slu_neigh_view_add_neighbour(f.neigh, &gateway, &hop), 0);
	slu_dataplane_publish_neigh(f.dp, f.neigh);
	slu_worker_online(f.w);
	s = fixture_send(&f, BACKEND_PORT, &reply);
	assert_true(s.sent);
	assert_int_equal(s.dst_mac[1], 7);
	syn.sport++;
	assert_false(fixture_send(&f, CLIENT_PORT, &syn).port == BACKEND_PORT);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_NO_LISTENER), 1);
}

static void burst__table_full__drops_with_a_count_and_recovers(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN);
	unsigned int sent = 0;

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		syn.sport = (uint16_t)(1000 + i);
		sent += fixture_send(&f, CLIENT_PORT, &syn).sent;
	}
	assert_int_equal(sent, 4096);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_TABLE_FULL), 5000 - 4096);
	fixture_advance(&f, 62000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
	assert_true(fixture_send(&f, CLIENT_PORT, &syn).sent);
}

#define BOTH(test)                                                                                                     \
	{#test " (IPv4)", test, setup4, teardown, NULL},                                                               \
	{                                                                                                              \
#test " (IPv6)", test, setup6, teardown, NULL                                                          \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(burst__tcp_fullnat__is_translated_both_ways_with_right_checksums),
		BOTH(burst__udp__is_translated_and_its_absent_checksum_stays_absent),
		BOTH(burst__nat__keeps_the_client_as_source),
		BOTH(burst__port_range_and_backend_port_zero__keeps_the_destination_port),
		BOTH(burst__bad_tcp_checksum__stays_bad),
		BOTH(burst__many_flows_in_one_burst__each_gets_its_own_session),
		BOTH(burst__session_counters__equal_the_frames_given),
		BOTH(burst__segment_without_session__is_answered_with_rst_that_fits),
		BOTH(burst__flood_without_session__is_answered_at_a_limited_rate),
		BOTH(burst__after_a_membership_change__is_silent),
		BOTH(burst__not_for_us__goes_to_the_kernel_unchanged),
		BOTH(burst__ttl_used_up__is_answered_with_time_exceeded_from_the_virtual_address),
		BOTH(burst__vlan_tag__is_taken_off),
		BOTH(burst__weight_zero__gets_no_new_session_but_keeps_the_old),
		BOTH(burst__syn_on_a_finished_session__starts_a_new_one),
		BOTH(burst__unresolved_neighbour__is_held_then_sent),
		BOTH(burst__unresolved_for_a_second__is_dropped_and_counted),
		BOTH(burst__sessions_time_out__and_a_busy_one_does_not),
		BOTH(burst__half_open__times_out_after_a_minute),
		BOTH(burst__blind_rst__evicts_nothing),
		BOTH(burst__after_a_sleep__a_new_view_at_the_old_address_is_seen),
		BOTH(burst__table_full__drops_with_a_count_and_recovers),
	};

	fixture_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
