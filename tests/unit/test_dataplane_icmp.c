/*
 * ICMP errors translated with the packet inside them, and fragments that follow
 * their first one.
 */
#include "tests/unit/dataplane_fixture.h"

static struct fixture f;

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

static unsigned int header(void)
{
	return f.family == 4 ? 20 : 40;
}

static void icmp__router_beyond_the_balancer__reaches_the_client_as_if_about_its_own_packet(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn), data = arrived;
	struct slu_ip router = fixture_ip(f.family == 4 ? "198.18.2.1" : "fd00:2::1"), vip = fixture_vip(&f);
	struct slu_ip client = fixture_client(&f, 0);
	struct seen s, in;

	(void)state;
	data.flags = ACK;
	data.payload = 100;
	s = fixture_give(&f, BACKEND_PORT, fixture_too_big(&f, &router, fixture_packet(&data), header() + 20 + 100));
	assert_true(s.sent);
	assert_int_equal(s.port, CLIENT_PORT);
	assert_true(s.checksums_right); /* of the outer packet: IP, ICMP */
	fixture_assert_ip(&s.flow.src, &vip);
	fixture_assert_ip(&s.flow.dst, &client);
	assert_int_equal(rte_pktmbuf_mtod_offset(s.mbuf, uint8_t *, 14 + header())[6], 0x05);
	in = fixture_inside(&f, &s);
	fixture_assert_ip(&in.flow.src, &client);
	fixture_assert_ip(&in.flow.dst, &vip);
	assert_int_equal(in.flow.sport, 40000);
	assert_int_equal(in.flow.dport, 80);
	assert_true(in.checksums_right); /* of the quoted packet: IP, TCP */
	rte_pktmbuf_free(in.mbuf);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_ICMP_TRANSLATED), 1);
}

static void icmp__router_before_the_balancer__reaches_the_backend(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn), data;
	struct slu_ip router = fixture_ip(f.family == 4 ? "203.0.113.9" : "2001:db8::9");
	struct seen s, in;

	(void)state;
	data = fixture_reply(&syn, ACK);
	data.payload = 31;
	s = fixture_give(&f, CLIENT_PORT, fixture_too_big(&f, &router, fixture_packet(&data), header() + 20 + 31));
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.port, BACKEND_PORT);
	fixture_assert_ip(&s.flow.src, &arrived.src);
	fixture_assert_ip(&s.flow.dst, &arrived.dst);
	in = fixture_inside(&f, &s);
	fixture_assert_ip(&in.flow.src, &arrived.dst);
	assert_int_equal(in.flow.dport, arrived.sport);
	assert_true(in.checksums_right);
	rte_pktmbuf_free(in.mbuf);
}

static void icmp__eight_bytes_quoted__are_enough(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn);
	struct slu_ip router = fixture_ip(f.family == 4 ? "198.18.2.1" : "fd00:2::1");
	struct seen s =
		fixture_give(&f, BACKEND_PORT, fixture_too_big(&f, &router, fixture_packet(&arrived), header() + 8));

	(void)state;
	assert_true(s.sent && s.checksums_right);
	s = fixture_give(&f, BACKEND_PORT, fixture_too_big(&f, &router, fixture_packet(&arrived), header() + 7));
	assert_false(s.sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_ICMP_BAD), 1);
}

static void icmp__wrong_checksum_or_no_session__is_dropped_and_counted(void **state)
{
	struct flow syn = fixture_request(&f, 6, 80, SYN), arrived = fixture_connect(&f, &syn), other = arrived;
	struct slu_ip router = fixture_ip(f.family == 4 ? "198.18.2.1" : "fd00:2::1");
	struct rte_mbuf *m = fixture_too_big(&f, &router, fixture_packet(&arrived), header() + 20);

	(void)state;
	rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + header())[7] ^= 1;
	assert_false(fixture_give(&f, BACKEND_PORT, m).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_ICMP_BAD), 1);
	other.sport ^= 1;
	assert_false(fixture_give(&f, BACKEND_PORT, fixture_too_big(&f, &router, fixture_packet(&other), header() + 20))
			     .sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_ICMP_NO_SESSION), 1);
	other.src = fixture_ip(f.family == 4 ? "198.18.1.2" : "fd00:1::2");
	assert_true(fixture_give(&f, BACKEND_PORT, fixture_too_big(&f, &router, fixture_packet(&other), header() + 20))
			    .exception);
}

static void fragments__follow_the_first_ones_session(void **state)
{
	struct flow first = fixture_request(&f, 17, 53, 0), later;
	struct seen a, b;

	(void)state;
	first.fragment = 0x2000;
	first.id = 99;
	first.payload = 1472 - 8;
	later = first;
	later.fragment = 184;
	later.payload = 200;
	a = fixture_send(&f, CLIENT_PORT, &first);
	assert_true(a.sent && a.checksums_right);
	assert_int_equal(a.flow.dport, 8080);
	b = fixture_send(&f, CLIENT_PORT, &later);
	assert_true(b.sent && b.checksums_right);
	fixture_assert_ip(&a.flow.src, &b.flow.src);
	fixture_assert_ip(&a.flow.dst, &b.flow.dst);
	assert_int_equal(b.flow.fragment, 184);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_FRAGMENTS), 2);
}

/* The checksum of a datagram lies in its first fragment; it must be right for the whole after translation. */
static void fragments__checksum_of_the_whole__is_right_after_translation(void **state)
{
	struct flow whole = fixture_request(&f, 17, 53, 0), first, later;
	struct rte_mbuf *m = NULL, *part;
	struct seen s;
	uint32_t sum;
	uint16_t checksum;
	unsigned int at = 14 + header();
	const uint8_t *bytes;

	(void)state;
	whole.payload = 400;
	m = fixture_packet(&whole);
	bytes = rte_pktmbuf_mtod_offset(m, const uint8_t *, at);
	first = later = whole;
	first.fragment = 0x2000;
	first.payload = 200 - 8;
	later.fragment = 25;
	later.payload = 208;
	at += f.family == 4 ? 0 : 8;
	part = fixture_packet(&first);
	memcpy(rte_pktmbuf_mtod_offset(part, uint8_t *, at), bytes, 200);
	s = fixture_give(&f, CLIENT_PORT, part);
	assert_true(s.sent);
	sum = fixture_sum16(0, rte_pktmbuf_mtod_offset(s.mbuf, uint8_t *, at), 200);
	sum += fixture_sum16(0, s.flow.src.bytes, 16);
	sum += fixture_sum16(0, s.flow.dst.bytes, 16);
	part = fixture_packet(&later);
	memcpy(rte_pktmbuf_mtod_offset(part, uint8_t *, at), bytes + 200, 208);
	s = fixture_give(&f, CLIENT_PORT, part);
	assert_true(s.sent);
	checksum = fixture_sum16(sum + 17 + 408, rte_pktmbuf_mtod_offset(s.mbuf, uint8_t *, at), 208);
	assert_int_equal(checksum, 0xFFFF);
	rte_pktmbuf_free(m);
}

static void fragments__without_the_first__are_dropped_or_left_to_the_kernel(void **state)
{
	struct flow later = fixture_request(&f, 17, 53, 0);

	(void)state;
	later.fragment = 100;
	later.payload = 64;
	assert_false(fixture_send(&f, CLIENT_PORT, &later).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_FRAGMENT_FIRST), 1);
	later.dst = fixture_ip(f.family == 4 ? "198.18.1.2" : "fd00:1::2");
	assert_true(fixture_send(&f, CLIENT_PORT, &later).exception);
}

static void fragments__first_without_a_whole_header__is_dropped(void **state)
{
	struct flow first = fixture_request(&f, 6, 80, SYN);
	struct rte_mbuf *m;
	unsigned int l3 = 14;

	(void)state;
	first.fragment = 0x2000;
	first.payload = 0;
	m = fixture_packet(&first);
	/* Eight bytes less than a TCP header, lengths and checksum to match. */
	rte_pktmbuf_trim(m, 8);
	if (f.family == 4) {
		uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, l3);
		uint16_t checksum;

		ip[3] -= 8;
		ip[10] = ip[11] = 0;
		checksum = (uint16_t)~fixture_sum16(0, ip, 20);
		ip[10] = (uint8_t)(checksum >> 8);
		ip[11] = (uint8_t)checksum;
	} else {
		rte_pktmbuf_mtod_offset(m, uint8_t *, l3)[5] -= 8;
	}
	assert_false(fixture_give(&f, CLIENT_PORT, m).sent);
	assert_int_equal(fixture_counter(&f, SLU_COUNT_DROP_FRAGMENT_TINY), 1);
}

#define BOTH(test)                                                                                                     \
	{#test " (IPv4)", test, setup4, teardown, NULL},                                                               \
	{                                                                                                              \
#test " (IPv6)", test, setup6, teardown, NULL                                                          \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(icmp__router_beyond_the_balancer__reaches_the_client_as_if_about_its_own_packet),
		BOTH(icmp__router_before_the_balancer__reaches_the_backend),
		BOTH(icmp__eight_bytes_quoted__are_enough),
		BOTH(icmp__wrong_checksum_or_no_session__is_dropped_and_counted),
		BOTH(fragments__follow_the_first_ones_session),
		BOTH(fragments__checksum_of_the_whole__is_right_after_translation),
		BOTH(fragments__without_the_first__are_dropped_or_left_to_the_kernel),
		BOTH(fragments__first_without_a_whole_header__is_dropped),
	};

	fixture_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
