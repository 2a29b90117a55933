/*
 * Several workers: packets that reach the wrong one cross a ring, wherever the
 * card's hash or the kernel put them; local ports bring replies home.
 */
#include "tests/unit/dataplane_fixture.h"

#define WORKERS 3

static struct fixture f;

static int setup4(void **state)
{
	(void)state;
	fixture_create(&f, 4, WORKERS, NULL);
	return 0;
}

static int setup6(void **state)
{
	(void)state;
	fixture_create(&f, 6, WORKERS, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_destroy(&f);
	return 0;
}

/* Gives a packet to a worker, then lets all of them work on what is handed over. *by: who sent it. */
static struct seen send_to(uint32_t worker, uint16_t in_port, const struct flow *flow, uint32_t *by)
{
	struct rte_mbuf *m = fixture_packet(flow);
	struct seen s = {0};

	slu_worker_burst(f.dp->worker[worker], in_port, &m, 1);
	for (unsigned int turn = 0; turn < 2 * WORKERS && !s.sent && !s.exception; turn++) {
		for (*by = 0; *by < WORKERS; ++*by) {
			s = fixture_collect(&f, f.dp->worker[*by]);
			if (s.sent || s.exception)
				return s;
		}
		for (uint32_t i = 0; i < WORKERS; i++)
			slu_worker_poll(f.dp->worker[i]);
	}
	return s;
}

static void workers__reply_on_any_worker__reaches_the_client(void **state)
{
	(void)state;
	for (uint32_t owner = 0; owner < WORKERS; owner++)
		for (uint32_t lands = 0; lands < WORKERS; lands++) {
			struct flow syn = fixture_request(&f, 6, 80, SYN), reply;
			uint32_t by;
			struct seen s;

			syn.sport = (uint16_t)(5000 + owner * 10 + lands);
			s = send_to(owner, CLIENT_PORT, &syn, &by);
			assert_true(s.sent);
			assert_int_equal(by, owner);
			reply = fixture_reply(&s.flow, SYN | ACK);
			s = send_to(lands, BACKEND_PORT, &reply, &by);
			assert_true(s.sent && s.checksums_right);
			assert_int_equal(by, owner);
			assert_int_equal(s.flow.dport, syn.sport);
		}
	assert_int_equal(fixture_counter(&f, SLU_COUNT_HANDOVER), WORKERS * (WORKERS - 1));
}

static void workers__nat__both_directions_meet_at_one_worker(void **state)
{
	(void)state;
	for (uint32_t a = 0; a < WORKERS; a++)
		for (uint32_t b = 0; b < WORKERS; b++) {
			struct flow syn = fixture_request(&f, 6, 81, SYN), reply;
			uint32_t first, second;
			struct seen s;

			syn.sport = (uint16_t)(5000 + a * 10 + b);
			s = send_to(a, CLIENT_PORT, &syn, &first);
			assert_true(s.sent);
			reply = fixture_reply(&s.flow, SYN | ACK);
			s = send_to(b, BACKEND_PORT, &reply, &second);
			assert_true(s.sent && s.checksums_right);
			assert_int_equal(first, second);
			assert_int_equal(s.flow.sport, 81);
		}
	assert_int_equal(slu_dataplane_session_count(f.dp), WORKERS * WORKERS);
}

static void workers__fragments_on_another_worker__find_the_session(void **state)
{
	struct flow whole = fixture_request(&f, 17, 53, 0), first, later;
	uint32_t by;
	struct seen a, b;

	(void)state;
	a = send_to(0, CLIENT_PORT, &whole, &by);
	assert_true(a.sent);
	first = later = whole;
	first.fragment = 0x2000;
	first.payload = 800;
	later.fragment = 101;
	later.payload = 50;
	b = send_to(1, CLIENT_PORT, &first, &by);
	assert_true(b.sent);
	assert_int_equal(by, 0);
	assert_int_equal(b.flow.sport, a.flow.sport);
	b = send_to(1, CLIENT_PORT, &later, &by);
	assert_true(b.sent && b.checksums_right);
	assert_int_equal(by, 0);
	fixture_assert_ip(&b.flow.src, &a.flow.src);
	fixture_assert_ip(&b.flow.dst, &a.flow.dst);
}

static void workers__foreign_packet_with_nat_listeners__ends_at_the_kernel_once(void **state)
{
	struct flow other = fixture_request(&f, 6, 22, SYN);
	uint32_t by;

	(void)state;
	other.dst = fixture_ip(f.family == 4 ? "198.18.1.2" : "fd00:1::2");
	assert_true(send_to(1, CLIENT_PORT, &other, &by).exception);
}

static void workers__without_session_anywhere__is_refused_once(void **state)
{
	struct flow stray = fixture_request(&f, 6, 80, ACK);
	struct seen s;
	uint32_t by;

	(void)state;
	stray.dst = f.locals[0];
	s = send_to(2, BACKEND_PORT, &stray, &by);
	assert_true(s.sent);
	assert_int_equal(s.flow.flags, RST);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_LOCAL), 1);
}

/* The key of the examples that define the hash (Microsoft's RSS verification suite). */
static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
	0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* Toeplitz, bit by bit. */
static uint32_t toeplitz(const uint8_t *data, unsigned int bytes)
{
	uint32_t hash = 0;

	for (unsigned int bit = 0; bit < bytes * 8; bit++) {
		uint32_t window = 0;

		if (!(data[bit / 8] & 0x80 >> bit % 8))
			continue;
		for (unsigned int i = 0; i < 32; i++)
			window = window << 1 | (key[(bit + i) / 8 % 40] >> (7 - (bit + i) % 8) & 1);
		hash ^= window;
	}
	return hash;
}

static void workers__port_with_rss__gets_replies_where_the_session_is(void **state)
{
	struct slu_rss rss = {.valid = true, .key_bytes = 40, .ports = true, .reta_size = 128};
	uint8_t data[36];
	unsigned int n = f.family == 4 ? 4 : 16;

	(void)state;
	/* 161.142.100.80:1766 <- 66.9.149.187:2794 is 0x51ccc178 */
	memcpy(data, "\x42\x09\x95\xbb\xa1\x8e\x64\x50\x0a\xea\x06\xe6", 12);
	assert_int_equal(toeplitz(data, 12), 0x51ccc178);
	memcpy(rss.key, key, sizeof(key));
	for (unsigned int i = 0; i < 128; i++)
		rss.reta[i] = (uint16_t)(i * 7 % 5);
	for (unsigned int q = 0; q < 5; q++)
		rss.worker_of_queue[q] = (uint8_t)(q % WORKERS);
	slu_dataplane_set_rss(f.dp, BACKEND_PORT, &rss);
	for (uint32_t i = 0; i < 60; i++) {
		struct flow syn = fixture_request(&f, 6, 80, SYN);
		uint32_t by;
		struct seen s;

		syn.sport = (uint16_t)(5000 + i);
		s = send_to(i % WORKERS, CLIENT_PORT, &syn, &by);
		assert_true(s.sent);
		memcpy(data, s.flow.dst.bytes, n);
		memcpy(data + n, s.flow.src.bytes, n);
		data[2 * n] = (uint8_t)(s.flow.dport >> 8);
		data[2 * n + 1] = (uint8_t)s.flow.dport;
		data[2 * n + 2] = (uint8_t)(s.flow.sport >> 8);
		data[2 * n + 3] = (uint8_t)s.flow.sport;
		assert_int_equal(rss.worker_of_queue[rss.reta[toeplitz(data, 2 * n + 4) % 128]], i % WORKERS);
	}
}

#define BOTH(test)                                                                                                     \
	{#test " (IPv4)", test, setup4, teardown, NULL},                                                               \
	{                                                                                                              \
#test " (IPv6)", test, setup6, teardown, NULL                                                          \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(workers__reply_on_any_worker__reaches_the_client),
		BOTH(workers__nat__both_directions_meet_at_one_worker),
		BOTH(workers__fragments_on_another_worker__find_the_session),
		BOTH(workers__foreign_packet_with_nat_listeners__ends_at_the_kernel_once),
		BOTH(workers__without_session_anywhere__is_refused_once),
		BOTH(workers__port_with_rss__gets_replies_where_the_session_is),
	};

	fixture_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
