/*
 * The hand-shake about offload: who is asked for what and when, counters of both
 * worlds, take-back, and what a restart finds.
 */
#include "tests/unit/dataplane_fixture.h"

#include <unistd.h>

static struct fixture f;
static char path[64];

static int setup(void **state)
{
	(void)state;
	fixture_create(&f, 4, 1, NULL);
	slu_offload_enable(f.dp, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_destroy(&f);
	return 0;
}

static int setup_file(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/dev/shm/slu_offload_test_%d", getpid());
	unlink(path);
	fixture_create(&f, 6, 1, path);
	slu_offload_enable(f.dp, true);
	return 0;
}

static int teardown_file(void **state)
{
	fixture_destroy(&f);
	unlink(path);
	(void)state;
	return 0;
}

static bool asked(struct slu_offload_request *r)
{
	slu_worker_offload_flush(f.w);
	return slu_offload_next(f.dp, r);
}

/* A connection past its threshold; returns both requests, reply direction first. */
static struct flow connect_and_ask(struct slu_offload_request r[2])
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn), data = syn;

	data.flags = ACK;
	data.payload = 10;
	assert_true(fixture_send(&f, CLIENT_PORT, &data).sent);
	assert_true(asked(&r[0]));
	assert_true(slu_offload_next(f.dp, &r[1]));
	return arrived;
}

static struct slu_session_snapshot snapshot(void)
{
	struct slu_session_snapshot s;
	uint64_t cursor = 0;

	assert_int_equal(slu_dataplane_sessions(f.dp, &cursor, &s, 1), 1);
	return s;
}

static void offload__third_client_packet__asks_for_the_reply_direction_first(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn), data = syn;
	struct slu_offload_request r[2];
	struct seen s;

	(void)state;
	assert_false(asked(&r[0]));
	data.flags = ACK;
	s = fixture_send(&f, CLIENT_PORT, &data);
	assert_true(s.sent);
	assert_false(slu_offload_next(f.dp, &r[0])); /* not before the burst is on its way */
	assert_true(asked(&r[0]));
	assert_true(slu_offload_next(f.dp, &r[1]));
	assert_int_equal(r[0].dir, SLU_DIR_REPLY);
	assert_int_equal(r[1].dir, SLU_DIR_REQUEST);
	assert_int_equal(r[1].op, SLU_OFFLOAD_INSTALL);
	assert_memory_equal(r[1].src, syn.src.bytes, 4);
	assert_memory_equal(r[1].dst, syn.dst.bytes, 4);
	assert_memory_equal(r[1].new_src, arrived.src.bytes, 4);
	assert_memory_equal(r[1].new_dst, arrived.dst.bytes, 4);
	assert_int_equal(__builtin_bswap16(r[1].sport), 40000);
	assert_int_equal(__builtin_bswap16(r[1].dport), 80);
	assert_int_equal(__builtin_bswap16(r[1].new_sport), arrived.sport);
	assert_int_equal(__builtin_bswap16(r[1].new_dport), 8080);
	assert_int_equal(r[1].hop.port, BACKEND_PORT);
	assert_int_equal(r[1].in_port, CLIENT_PORT);
	assert_memory_equal(r[1].hop.dst_mac, s.dst_mac, 6);
	assert_memory_equal(r[0].src, arrived.dst.bytes, 4);
	assert_memory_equal(r[0].new_dst, syn.src.bytes, 4);
	assert_int_equal(__builtin_bswap16(r[0].new_sport), 80);
	assert_int_equal(r[0].hop.port, CLIENT_PORT);
	assert_false(asked(&r[0]));
}

static void offload__accepted__names_the_card_and_counts_overtaken_packets(void **state)
{
	struct slu_offload_request r[2];
	struct flow arrived = connect_and_ask(r), reply = fixture_reply(&arrived, ACK);

	(void)state;
	assert_true(slu_offload_done(f.dp, r[0].session, SLU_DIR_REPLY, true));
	assert_int_equal(snapshot().owner[SLU_DIR_REPLY], SLU_OWNER_CARD);
	assert_int_equal(snapshot().owner[SLU_DIR_REQUEST], SLU_OWNER_SOFTWARE);
	assert_true(fixture_send(&f, BACKEND_PORT, &reply).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_RX_AFTER_OFFLOAD), 1);
	reply.flags = FIN | ACK;
	assert_true(fixture_send(&f, BACKEND_PORT, &reply).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_RX_AFTER_OFFLOAD), 1);
	assert_false(slu_offload_done(f.dp, r[0].session, SLU_DIR_REPLY, true));
}

static void offload__refused_direction__stays_in_software_alone(void **state)
{
	struct slu_offload_request r[2], more;
	struct flow arrived = connect_and_ask(r), reply = fixture_reply(&arrived, ACK);

	(void)state;
	assert_true(slu_offload_done(f.dp, r[0].session, SLU_DIR_REPLY, false));
	assert_true(slu_offload_done(f.dp, r[1].session, SLU_DIR_REQUEST, true));
	assert_int_equal(snapshot().owner[SLU_DIR_REPLY], SLU_OWNER_SOFTWARE);
	assert_int_equal(snapshot().owner[SLU_DIR_REQUEST], SLU_OWNER_CARD);
	for (int i = 0; i < 100; i++)
		fixture_send(&f, BACKEND_PORT, &reply);
	assert_false(asked(&more));
}

/* The listener's meters have what its only session ever had. */
static void assert_metered(const struct slu_session_snapshot *s)
{
	struct slu_meter_reading r = fixture_metered(&f, s->listener_id, -1);

	for (int dir = 0; dir < 2; dir++) {
		assert_int_equal(r.packets[dir], s->packets[dir]);
		assert_int_equal(r.bytes[dir], s->bytes[dir]);
	}
}

static void offload__counters_of_both_worlds__add_up_before_and_after_take_back(void **state)
{
	struct slu_offload_request r[2], remove;
	struct flow arrived = connect_and_ask(r), fin = fixture_request(&f, 6, 80, FIN | ACK), reply;
	struct slu_session_snapshot before = snapshot(), s;

	(void)state;
	slu_offload_done(f.dp, r[0].session, SLU_DIR_REPLY, true);
	slu_offload_done(f.dp, r[1].session, SLU_DIR_REQUEST, true);
	slu_offload_counters(f.dp, r[1].session, SLU_DIR_REQUEST, 1000, 1500000, f.now_us);
	slu_offload_counters(f.dp, r[0].session, SLU_DIR_REPLY, 7, 700, f.now_us);
	s = snapshot();
	assert_int_equal(s.packets[0], before.packets[0] + 1000);
	assert_int_equal(s.bytes[0], before.bytes[0] + 1500000);
	assert_int_equal(s.card_packets[0], 1000);
	assert_int_equal(s.packets[1], before.packets[1] + 7);
	assert_metered(&s);

	assert_true(fixture_send(&f, CLIENT_PORT, &fin).sent);
	assert_false(slu_offload_next(f.dp, &remove)); /* half-close: both rules stay */
	reply = fixture_reply(&arrived, FIN | ACK);
	assert_true(fixture_send(&f, BACKEND_PORT, &reply).sent);
	for (int i = 0; i < 2; i++) {
		assert_true(slu_offload_next(f.dp, &remove));
		assert_int_equal(remove.op, SLU_OFFLOAD_REMOVE);
		assert_true(remove.session == r[0].session);
	}
	slu_offload_removed(f.dp, r[1].session, SLU_DIR_REQUEST, 1001, 1501500);
	slu_offload_removed(f.dp, r[0].session, SLU_DIR_REPLY, 9, 900);
	s = snapshot();
	assert_int_equal(s.packets[0], before.packets[0] + 1001 + 1);
	assert_int_equal(s.bytes[0], before.bytes[0] + 1501500 + 54);
	assert_int_equal(s.packets[1], before.packets[1] + 9 + 1);
	assert_int_equal(s.owner[0], SLU_OWNER_SOFTWARE);
	fixture_advance(&f, 121000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
	assert_metered(&s);
}

static void offload__session_the_card_serves__does_not_expire_in_software(void **state)
{
	struct slu_offload_request r[2], remove;

	(void)state;
	connect_and_ask(r);
	slu_offload_done(f.dp, r[0].session, SLU_DIR_REPLY, true);
	slu_offload_done(f.dp, r[1].session, SLU_DIR_REQUEST, true);
	for (int i = 0; i < 20; i++) {
		fixture_advance(&f, 100000000);
		slu_offload_counters(f.dp, r[0].session, SLU_DIR_REPLY, (uint64_t)i, 100, f.now_us - 1000000);
	}
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
	assert_false(slu_offload_next(f.dp, &remove));
	/* Silent on the card too: rules go first, then the session. */
	fixture_advance(&f, 902000000);
	assert_true(slu_offload_next(f.dp, &remove));
	assert_int_equal(remove.op, SLU_OFFLOAD_REMOVE);
	assert_true(slu_offload_next(f.dp, &remove));
	fixture_advance(&f, 5000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 1);
	slu_offload_removed(f.dp, r[0].session, SLU_DIR_REPLY, 20, 100);
	slu_offload_removed(f.dp, r[0].session, SLU_DIR_REQUEST, 0, 0);
	fixture_advance(&f, 2000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
	assert_false(slu_offload_done(f.dp, r[0].session, SLU_DIR_REPLY, true));
}

static void offload__listener_without_offload__asks_nothing(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), data = syn;
	struct slu_offload_request r;

	(void)state;
	f.listeners[LISTENER_TCP].offload = false;
	fixture_publish(&f);
	fixture_connect(&f, &syn);
	data.flags = ACK;
	for (int i = 0; i < 10; i++)
		fixture_send(&f, CLIENT_PORT, &data);
	assert_false(asked(&r));
}

/* Whether there is a session again, with all it had, and the card's directions are offered for adoption. */
static void restart__sessions_and_card_directions__are_found_again(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), data = syn;
	struct slu_dataplane_settings settings = {.session_file = path, .sessions = 4096, .workers = 1};
	struct slu_dataplane_recovery recovery;
	struct slu_offload_request r[2], again;
	struct slu_session_snapshot before, after;
	uint64_t cursor = 0;
	struct seen was, is;

	(void)state;
	connect_and_ask(r);
	slu_offload_done(f.dp, r[0].session, SLU_DIR_REPLY, true);
	slu_offload_counters(f.dp, r[0].session, SLU_DIR_REPLY, 5, 500, f.now_us);
	data.flags = ACK;
	data.payload = 50;
	was = fixture_send(&f, CLIENT_PORT, &data);
	before = snapshot();
	rte_pktmbuf_free(was.mbuf);
	was.mbuf = NULL;
	fixture_collect(&f, f.w); /* forgets the packet just freed */
	slu_worker_stop(f.w);
	slu_dataplane_destroy(f.dp);

	settings.now_us = f.now_us;
	assert_int_equal(slu_dataplane_create(&settings, &f.dp, &recovery), 0);
	assert_true(recovery.reused && recovery.clean);
	assert_int_equal(recovery.sessions, 1);
	f.w = slu_dataplane_worker(f.dp, 0);
	/* The backend has another live index now; its id is the same. */
	f.backends[0].live = 6;
	f.by_live[6] = f.by_live[0];
	f.by_live[0] = NULL;
	fixture_publish(&f);
	slu_dataplane_publish_neigh(f.dp, f.neigh);
	/* The request direction had been asked for, and the card may have it. */
	assert_true(slu_offload_next_recovered(f.dp, &cursor, &again));
	assert_int_equal(again.dir, SLU_DIR_REQUEST);
	assert_true(slu_offload_done(f.dp, again.session, (enum slu_dir)again.dir, false));
	assert_true(slu_offload_next_recovered(f.dp, &cursor, &again));
	assert_int_equal(again.dir, r[0].dir);
	assert_memory_equal(again.src, r[0].src, 16);
	assert_memory_equal(again.new_dst, r[0].new_dst, 16);
	assert_int_equal(again.hop.port, CLIENT_PORT);
	assert_true(slu_offload_done(f.dp, again.session, (enum slu_dir)again.dir, true));
	assert_false(slu_offload_next_recovered(f.dp, &cursor, &again));

	slu_worker_start(f.w);
	slu_worker_tick(f.w, f.now_us);
	after = snapshot();
	assert_int_equal(after.packets[0], before.packets[0]);
	assert_int_equal(after.bytes[1], before.bytes[1]);
	assert_int_equal(after.owner[1], SLU_OWNER_CARD);
	assert_int_equal(after.state, SLU_TCP_ESTABLISHED);
	is = fixture_send(&f, CLIENT_PORT, &data);
	assert_true(is.sent && is.checksums_right);
	fixture_assert_ip(&is.flow.src, &was.flow.src);
	assert_int_equal(is.flow.sport, was.flow.sport);
	{
		struct slu_live_counters live;

		slu_dataplane_backend_counters(f.dp, 6, &live);
		assert_int_equal(live.active, 1);
	}
	slu_offload_removed(f.dp, after.session, SLU_DIR_REPLY, 5, 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			offload__third_client_packet__asks_for_the_reply_direction_first, setup, teardown),
		cmocka_unit_test_setup_teardown(
			offload__accepted__names_the_card_and_counts_overtaken_packets, setup, teardown),
		cmocka_unit_test_setup_teardown(offload__refused_direction__stays_in_software_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			offload__counters_of_both_worlds__add_up_before_and_after_take_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			offload__session_the_card_serves__does_not_expire_in_software, setup, teardown),
		cmocka_unit_test_setup_teardown(offload__listener_without_offload__asks_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			restart__sessions_and_card_directions__are_found_again, setup_file, teardown_file),
	};

	fixture_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
