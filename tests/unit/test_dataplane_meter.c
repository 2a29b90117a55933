/*
 * Meters: whose packets are counted where, what they outlive, and what happens at
 * their limits. Those of the card are in test_dataplane_offload.c too.
 */
#include <unistd.h>

#include "tests/unit/dataplane_fixture.h"

static struct fixture f;
static struct slu_prefix internal[1];

static int setup(void **state)
{
	(void)state;
	fixture_create(&f, 4, 1, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_destroy(&f);
	return 0;
}

/* A datagram of the first client to the UDP listener, and its answer. */
static void exchange(uint16_t sport, uint16_t payload)
{
	struct flow in = fixture_request(&f, 17, 53, 0), back;
	struct seen s;

	in.sport = sport;
	in.payload = payload;
	s = fixture_send(&f, CLIENT_PORT, &in);
	assert_true(s.sent);
	back = fixture_reply(&s.flow, 0);
	back.payload = 100;
	assert_true(fixture_send(&f, BACKEND_PORT, &back).sent);
}

static void meters__count_whole_frames_of_each_direction(void **state)
{
	struct slu_meter_reading r;

	(void)state;
	exchange(1000, 10);
	exchange(1000, 20);
	exchange(1001, 30);
	r = fixture_metered(&f, 500 + LISTENER_UDP, -1);
	assert_int_equal(r.packets[SLU_DIR_REQUEST], 3);
	assert_int_equal(r.bytes[SLU_DIR_REQUEST], 3 * (14 + 20 + 8) + 10 + 20 + 30);
	assert_int_equal(r.packets[SLU_DIR_REPLY], 3);
	assert_int_equal(r.bytes[SLU_DIR_REPLY], 3 * (14 + 20 + 8 + 100));
	assert_false(r.outgoing);
	assert_int_equal(fixture_metered(&f, 500 + LISTENER_TCP, -1).packets[SLU_DIR_REQUEST], 0);
	assert_int_equal(fixture_metered(&f, 0, -1).packets[SLU_DIR_REQUEST], 0);
}

static void meters__of_sessions_that_ended__stay(void **state)
{
	struct slu_meter_reading before, after;

	(void)state;
	exchange(1000, 10);
	before = fixture_metered(&f, 500 + LISTENER_UDP, -1);
	fixture_advance(&f, 400000000);
	assert_int_equal(slu_dataplane_session_count(f.dp), 0);
	after = fixture_metered(&f, 500 + LISTENER_UDP, -1);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void meters__tell_the_scope_of_the_client(void **state)
{
	(void)state;
	exchange(1000, 10);
	internal[0] = (struct slu_prefix){fixture_ip("198.19.0.0"), 16};
	f.generation.internal = internal;
	f.generation.internal_count = 1;
	fixture_publish(&f);
	exchange(1000, 10); /* a session keeps its scope */
	exchange(1001, 10);
	assert_int_equal(fixture_metered(&f, 500 + LISTENER_UDP, 0).packets[SLU_DIR_REQUEST], 2);
	assert_int_equal(fixture_metered(&f, 500 + LISTENER_UDP, 1).packets[SLU_DIR_REQUEST], 1);
}

static void meters__of_outbound_services__tell_the_remotes_scope_and_who_asks(void **state)
{
	struct slu_prefix source = {fixture_ip("198.18.2.0"), 24};
	struct slu_ip public = fixture_ip("198.18.1.150");
	struct slu_outbound snat = {.service = {.id = 900, .live = 4, .mode = SLU_MODE_SNAT},
		.sources = &source,
		.source_count = 1,
		.addresses = {&public},
		.address_count = {1},
		.own_count = {1},
		.port_first = 2000,
		.port_last = 2999};
	struct flow out = {.src = fixture_backend(&f, 1),
		.dst = fixture_client(&f, 0),
		.sport = 7,
		.dport = 8,
		.protocol = 17,
		.payload = 5};

	(void)state;
	internal[0] = (struct slu_prefix){fixture_ip("198.19.0.0"), 16};
	f.generation.internal = internal;
	f.generation.internal_count = 1;
	f.generation.outbound = &snat;
	f.generation.outbound_count = 1;
	fixture_publish(&f);
	assert_true(fixture_send(&f, BACKEND_PORT, &out).sent);
	assert_int_equal(fixture_metered(&f, 900, 1).packets[SLU_DIR_REQUEST], 1);
	assert_int_equal(fixture_metered(&f, 900, 0).packets[SLU_DIR_REQUEST], 0);
	assert_true(fixture_metered(&f, 900, 1).outgoing);
	out.dst = fixture_ip("203.0.113.1");
	assert_true(fixture_send(&f, BACKEND_PORT, &out).sent);
	assert_int_equal(fixture_metered(&f, 900, 0).bytes[SLU_DIR_REQUEST], 14 + 20 + 8 + 5);
}

static void packets_beyond_23_bits__are_carried_into_the_cold_line(void **state)
{
	struct slu_session_snapshot s;
	uint64_t cursor = 0;
	uint32_t sid = 0;

	(void)state;
	exchange(1000, 10);
	assert_true(slu_session_table_next(&f.w->table, &sid));
	slu_session_set_packets(slu_session_table_hot(&f.w->table, sid), slu_session_table_cold(&f.w->table, sid),
		SLU_DIR_REQUEST, SLU_PACKETS_MASK - 1);
	for (int i = 0; i < 3; i++)
		exchange(1000, 10);
	assert_int_equal(slu_dataplane_sessions(f.dp, &cursor, &s, 1), 1);
	assert_int_equal(s.packets[SLU_DIR_REQUEST], SLU_PACKETS_MASK + 2);
	assert_int_equal(s.packets[SLU_DIR_REPLY], 4);
	assert_int_equal(fixture_metered(&f, 500 + LISTENER_UDP, -1).packets[SLU_DIR_REQUEST], 4);
}

static void card__counters_that_grow_wrap_or_begin_again__are_each_added_once(void **state)
{
	static const struct {
		struct slu_meter_count was, is;
		uint64_t packets, bytes; /* added */
	} rows[] = {
		{{0, 0}, {10, 1000}, 10, 1000},
		{{10, 1000}, {10, 1000}, 0, 0},
		{{10, 1000}, {12, 1300}, 2, 300},
		{{10, 1000}, {3, 180}, 3, 180},                          /* another rule */
		{{10, (1ull << 48) - 5}, {11, (1ull << 48) + 5}, 1, 10}, /* the session kept 48 bits */
		{{10, 7}, {11, (3ull << 48) + 107}, 1, 100},             /* long after */
		{{10, (1ull << 48) - 1}, {20, (1ull << 48) - 1}, 10, 0},
	};
	uint32_t meter;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		const struct slu_meter_key key = {.listener_id = (uint32_t)(1 + i)};
		struct slu_meter_reading r;

		meter = slu_meter_get(&f.w->meters, &key);
		slu_meter_add_card(f.w->meters.area, meter, SLU_DIR_REPLY, &rows[i].was, &rows[i].is);
		r = fixture_metered(&f, (uint32_t)(1 + i), -1);
		assert_int_equal(r.packets[SLU_DIR_REPLY], rows[i].packets);
		assert_int_equal(r.bytes[SLU_DIR_REPLY], rows[i].bytes);
		assert_int_equal(r.packets[SLU_DIR_REQUEST], 0);
	}
}

static void meters_used_up__are_shared_by_listener_then_nobodys(void **state)
{
	struct slu_meter_key key = {.listener_id = 1}, again;
	uint32_t first, pair;

	(void)state;
	for (key.backend_id = 1; key.backend_id <= SLU_METERS_OF_PAIRS; key.backend_id++)
		slu_meter_get(&f.w->meters, &key);
	again = (struct slu_meter_key){.listener_id = 1, .backend_id = 77};
	pair = slu_meter_get(&f.w->meters, &again);
	assert_int_equal(f.w->meters.area->key[pair].backend_id, 77);
	first = slu_meter_get(&f.w->meters, &key);
	assert_int_equal(f.w->meters.area->key[first].backend_id, 0);
	assert_int_equal(f.w->meters.area->key[first].listener_id, 1);
	key.backend_id++;
	assert_int_equal(slu_meter_get(&f.w->meters, &key), first);
	for (key.listener_id = 2; key.listener_id <= SLU_METERS_OF_PAIRS; key.listener_id++)
		slu_meter_get(&f.w->meters, &key);
	assert_int_equal(f.w->meters.area->used, SLU_METERS_MAX - 1);
	assert_int_equal(slu_meter_get(&f.w->meters, &key), 0);
	assert_int_equal(slu_meter_get(&f.w->meters, &again), pair);
}

static bool is_below(const void *limit, uint32_t listener_id)
{
	return listener_id < *(const uint32_t *)limit;
}

/* Listener id's meters of so many backends, each with packets of both worlds. Returns the last one. */
static uint32_t fill(uint32_t listener_id, uint32_t backends, uint8_t internal)
{
	struct slu_meter_key key = {.listener_id = listener_id, .internal = internal};
	uint32_t meter = 0;

	for (key.backend_id = 1; key.backend_id <= backends; key.backend_id++) {
		meter = slu_meter_get(&f.w->meters, &key);
		for (unsigned int dir = 0; dir < 2; dir++) {
			const struct slu_meter_count none = {0}, card = {2, 200 + dir};

			slu_meter_add(f.w->meters.area, meter, dir, 100);
			slu_meter_add_card(f.w->meters.area, meter, dir, &none, &card);
		}
	}
	return meter;
}

static void assert_filled(uint32_t listener_id, uint32_t backends)
{
	struct slu_meter_reading r = fixture_metered(&f, listener_id, -1);

	for (unsigned int dir = 0; dir < 2; dir++) {
		assert_int_equal(r.packets[dir], 3 * backends);
		assert_int_equal(r.bytes[dir], (300 + dir) * backends);
	}
}

static void meters_of_listeners_that_are_gone__become_one_each_and_their_places_free(void **state)
{
	bool *held = calloc(SLU_METERS_MAX, sizeof(*held));
	uint32_t limit = 10, used, last;

	(void)state;
	assert_non_null(held);
	fill(5, 100, 0);
	last = fill(20, 100, 0);
	fill(20, 50, 1);
	fill(30, 100, 0);
	held[last] = true; /* a session still points to it */
	used = f.w->meters.area->used;
	/* Of 99 without a session one is left, as of 50 and of 100. */
	assert_int_equal(slu_meter_reclaim(&f.w->meters, held, is_below, &limit), 98 + 49 + 99);
	assert_int_equal(slu_meter_reclaim(&f.w->meters, held, is_below, &limit), 0);
	assert_filled(5, 100);
	assert_filled(20, 150);
	assert_filled(30, 100);
	assert_int_equal(fixture_metered(&f, 20, 1).packets[0], 3 * 50);
	assert_int_equal(f.w->meters.area->key[last].backend_id, 100);
	fill(40, 98 + 49 + 99, 0);
	assert_int_equal(f.w->meters.area->used, used);
	assert_filled(40, 98 + 49 + 99);
	fill(41, 1, 0);
	assert_int_equal(f.w->meters.area->used, used + 1);
	/* The session is over, too. */
	held[last] = false;
	assert_int_equal(slu_meter_reclaim(&f.w->meters, held, is_below, &limit), 1 + 98 + 49 + 98);
	assert_filled(20, 150);
	assert_filled(40, 98 + 49 + 99);
	free(held);
}

static void meters_used_up__are_given_again_after_a_reclaim(void **state)
{
	bool *held = calloc(SLU_METERS_MAX, sizeof(*held));
	const struct slu_meter_key key = {.listener_id = 2, .backend_id = 1};
	uint32_t limit = 0;

	(void)state;
	assert_non_null(held);
	fill(1, SLU_METERS_OF_PAIRS, 0);
	assert_int_equal(f.w->meters.area->key[slu_meter_get(&f.w->meters, &key)].backend_id, 0);
	assert_int_equal(slu_meter_reclaim(&f.w->meters, held, is_below, &limit), SLU_METERS_OF_PAIRS - 1);
	assert_int_equal(f.w->meters.area->key[slu_meter_get(&f.w->meters, &key)].backend_id, 1);
	assert_filled(1, SLU_METERS_OF_PAIRS);
	free(held);
}

/* Whatever of a join was done when the process died, the next one ends it with nothing lost or there twice. */
static void process_killed_while_meters_join__next_one_finishes(void **state)
{
	struct slu_meter_area *area = f.w->meters.area;

	(void)state;
	for (unsigned int done = 0; done < 4; done++) {
		const uint32_t id = 50 + done;
		uint32_t from = fill(id, 2, 0), to = from - 1;

		area->join = (struct slu_meter_join){.from = from, .to = to, .sum = {{6, 600}, {6, 602}}};
		if (done > 0)
			memcpy(area->software[to], area->join.sum, sizeof(area->join.sum));
		if (done > 1)
			memset(area->card[to], 0, sizeof(area->card[to]));
		if (done > 2)
			memset(area->software[from], 0, sizeof(area->software[from]));
		slu_meter_fini(&f.w->meters);
		assert_int_equal(slu_meter_init(&f.w->meters, area), 0);
		assert_filled(id, 2);
		assert_int_equal(area->join.from, 0);
		assert_int_equal(f.w->meters.free_count, 1);
		fill(90 + done, 1, 0);
	}
	/* What no program wrote is passed over. */
	area->join = (struct slu_meter_join){.from = SLU_METERS_MAX + 7, .to = 1};
	slu_meter_fini(&f.w->meters);
	assert_int_equal(slu_meter_init(&f.w->meters, area), 0);
	assert_filled(50, 2);
}

static void listener_removed__its_meters_are_joined_at_the_next_start(void **state)
{
	char file[] = "/tmp/meters_XXXXXX";
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(file);
	fixture_create(&f, 4, 1, file);
	fill(77, 5, 0); /* no listener of the fixture */
	fill(500 + LISTENER_UDP, 5, 0);
	fixture_destroy(&f);
	fixture_create(&f, 4, 1, file);
	assert_int_equal(f.w->meters.free_count, 4);
	assert_filled(77, 5);
	assert_filled(500 + LISTENER_UDP, 5);
	fixture_destroy(&f);
	unlink(file);
}

static void process_killed__next_one_goes_on_to_the_packet(void **state)
{
	char file[] = "/tmp/meters_XXXXXX";
	int fd = mkstemp(file);
	struct slu_meter_reading before, r;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(file);
	fixture_create(&f, 4, 1, file);
	assert_false(slu_dataplane_meters_seeded(f.dp));
	slu_dataplane_seed_meters(f.dp, NULL, 0);
	exchange(1000, 10);
	before = fixture_metered(&f, 500 + LISTENER_UDP, -1);
	fixture_destroy(&f);
	fixture_create(&f, 4, 1, file);
	assert_true(slu_dataplane_meters_seeded(f.dp));
	r = fixture_metered(&f, 500 + LISTENER_UDP, -1);
	assert_memory_equal(&before, &r, sizeof(r));
	exchange(1000, 10); /* the session kept its meter */
	exchange(1001, 10); /* a new one finds it */
	r = fixture_metered(&f, 500 + LISTENER_UDP, -1);
	assert_int_equal(r.packets[SLU_DIR_REQUEST], 3);
	assert_in_range(f.w->meters.area->used, 1, 2);
	fixture_destroy(&f);
	unlink(file);
}

static void seeds__stand_where_nothing_was_metered_and_can_be_repeated(void **state)
{
	const struct slu_meter_reading seed = {
		.listener_id = 500 + LISTENER_UDP, .packets = {5, 6}, .bytes = {5000, 6000}};
	struct slu_meter_reading r;

	(void)state;
	slu_dataplane_seed_meters(f.dp, &seed, 1);
	slu_dataplane_seed_meters(f.dp, &seed, 1);
	exchange(1000, 10);
	r = fixture_metered(&f, 500 + LISTENER_UDP, -1);
	assert_int_equal(r.packets[SLU_DIR_REQUEST], 6);
	assert_int_equal(r.bytes[SLU_DIR_REPLY], 6000 + 142);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(meters__count_whole_frames_of_each_direction, setup, teardown),
		cmocka_unit_test_setup_teardown(meters__of_sessions_that_ended__stay, setup, teardown),
		cmocka_unit_test_setup_teardown(meters__tell_the_scope_of_the_client, setup, teardown),
		cmocka_unit_test_setup_teardown(
			meters__of_outbound_services__tell_the_remotes_scope_and_who_asks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			packets_beyond_23_bits__are_carried_into_the_cold_line, setup, teardown),
		cmocka_unit_test_setup_teardown(
			card__counters_that_grow_wrap_or_begin_again__are_each_added_once, setup, teardown),
		cmocka_unit_test_setup_teardown(meters_used_up__are_shared_by_listener_then_nobodys, setup, teardown),
		cmocka_unit_test_setup_teardown(
			meters_of_listeners_that_are_gone__become_one_each_and_their_places_free, setup, teardown),
		cmocka_unit_test_setup_teardown(meters_used_up__are_given_again_after_a_reclaim, setup, teardown),
		cmocka_unit_test_setup_teardown(process_killed_while_meters_join__next_one_finishes, setup, teardown),
		cmocka_unit_test(listener_removed__its_meters_are_joined_at_the_next_start),
		cmocka_unit_test(process_killed__next_one_goes_on_to_the_packet),
		cmocka_unit_test_setup_teardown(
			seeds__stand_where_nothing_was_metered_and_can_be_repeated, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
