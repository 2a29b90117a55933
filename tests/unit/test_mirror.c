/* The mirror of the kernel's routes and neighbours, fed with messages made byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "host/control/ip.h"
#include "host/ports/mirror.h"

#define TAP0 7
#define TAP1 9

struct fixture {
	struct slu_mirror mirror;
	uint8_t buffer[1024];
	struct nlmsghdr *message;
};

static struct slu_ip ip(const char *text)
{
	struct slu_ip address;

	assert_int_equal(slu_ip_parse(text, &address), 0);
	return address;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(slu_mirror_init(&f->mirror, 2), 0);
	slu_mirror_set_link(&f->mirror, 0, TAP0, 0);
	slu_mirror_set_link(&f->mirror, 1, TAP1, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	slu_mirror_fini(&f->mirror);
	free(f);
	return 0;
}

static void *begin(struct fixture *f, uint16_t type, size_t extra)
{
	memset(f->buffer, 0, sizeof(f->buffer));
	f->message = mnl_nlmsg_put_header(f->buffer);
	f->message->nlmsg_type = type;
	return mnl_nlmsg_put_extra_header(f->message, extra);
}

static size_t bytes_of(const struct slu_ip *address)
{
	return address->family == 4 ? 4 : 16;
}

static struct rtmsg *begin_route(struct fixture *f, const char *prefix, uint8_t bits)
{
	struct rtmsg *route = begin(f, RTM_NEWROUTE, sizeof(*route));
	struct slu_ip address = ip(prefix);

	route->rtm_family = address.family == 4 ? AF_INET : AF_INET6;
	route->rtm_dst_len = bits;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_type = RTN_UNICAST;
	if (bits)
		mnl_attr_put(f->message, RTA_DST, bytes_of(&address), address.bytes);
	return route;
}

static void add_route(
	struct fixture *f, const char *prefix, uint8_t bits, uint32_t oif, const char *gateway, uint32_t metric)
{
	begin_route(f, prefix, bits);
	mnl_attr_put_u32(f->message, RTA_OIF, oif);
	mnl_attr_put_u32(f->message, RTA_PRIORITY, metric);
	if (gateway) {
		struct slu_ip via = ip(gateway);

		mnl_attr_put(f->message, RTA_GATEWAY, bytes_of(&via), via.bytes);
	}
	slu_mirror_message(&f->mirror, f->message, true);
}

static void neighbour(
	struct fixture *f, uint16_t type, const char *address, int ifindex, uint16_t state, const char *mac)
{
	struct slu_ip dst = ip(address);
	struct ndmsg *nd = begin(f, type, sizeof(*nd));

	nd->ndm_family = dst.family == 4 ? AF_INET : AF_INET6;
	nd->ndm_ifindex = ifindex;
	nd->ndm_state = state;
	mnl_attr_put(f->message, NDA_DST, bytes_of(&dst), dst.bytes);
	if (mac)
		mnl_attr_put(f->message, NDA_LLADDR, 6, mac);
	slu_mirror_message(&f->mirror, f->message, false);
}

static const struct slu_mirror_route *route_to(struct fixture *f, const char *address)
{
	struct slu_ip destination = ip(address);

	return slu_mirror_find_route(&f->mirror, &destination);
}

static const struct slu_mirror_neighbour *neighbour_of(struct fixture *f, uint16_t port, const char *address)
{
	struct slu_ip key = ip(address);

	return slu_mirror_find_neighbour(&f->mirror, port, &key);
}

static void longest_prefix_wins_in_both_families(void **state)
{
	struct fixture *f = *state;

	add_route(f, "0.0.0.0", 0, TAP0, "198.18.1.1", 0);
	add_route(f, "198.18.2.0", 24, TAP1, NULL, 0);
	add_route(f, "198.18.2.128", 25, TAP0, "198.18.1.9", 0);
	add_route(f, "198.18.2.200", 32, TAP1, NULL, 0);
	add_route(f, "::", 0, TAP0, "fe80::1", 1024);
	add_route(f, "fd00:2::", 64, TAP1, NULL, 256);
	add_route(f, "fd00:2::1", 128, TAP0, NULL, 256);
	slu_mirror_settle(&f->mirror);
	assert_int_equal(f->mirror.malformed, 0);
	assert_int_equal(route_to(f, "8.8.8.8")->prefix_bits, 0);
	assert_int_equal(route_to(f, "198.18.2.127")->prefix_bits, 24);
	assert_int_equal(route_to(f, "198.18.2.128")->prefix_bits, 25);
	assert_int_equal(route_to(f, "198.18.2.200")->prefix_bits, 32);
	assert_int_equal(route_to(f, "198.18.2.200")->port, 1);
	assert_int_equal(route_to(f, "fd00:2::2")->prefix_bits, 64);
	assert_int_equal(route_to(f, "fd00:2::1")->port, 0);
	assert_int_equal(route_to(f, "2001:db8::1")->prefix_bits, 0);
	assert_int_equal(route_to(f, "2001:db8::1")->gateway.bytes[0], 0xfe);
}

static void no_route_is_no_answer(void **state)
{
	struct fixture *f = *state;

	assert_null(route_to(f, "198.18.1.1"));
	add_route(f, "198.18.1.0", 24, TAP0, NULL, 0);
	slu_mirror_settle(&f->mirror);
	assert_non_null(route_to(f, "198.18.1.1"));
	assert_null(route_to(f, "198.18.0.1"));
	assert_null(route_to(f, "fd00::1"));
	slu_mirror_clear_routes(&f->mirror);
	assert_null(route_to(f, "198.18.1.1"));
}

static void the_lower_metric_comes_first(void **state)
{
	struct fixture *f = *state;

	add_route(f, "198.18.1.0", 24, TAP1, NULL, 200);
	add_route(f, "198.18.1.0", 24, TAP0, NULL, 100);
	slu_mirror_settle(&f->mirror);
	assert_int_equal(route_to(f, "198.18.1.1")->metric, 100);
	assert_int_equal(route_to(f, "198.18.1.1")->port, 0);
}

static void every_next_hop_of_a_multipath_route_is_taken(void **state)
{
	struct fixture *f = *state;
	struct nlattr *paths;

	begin_route(f, "0.0.0.0", 0);
	paths = mnl_attr_nest_start(f->message, RTA_MULTIPATH);
	for (uint32_t i = 0; i < 2; i++) {
		uint8_t *tail = mnl_nlmsg_get_payload_tail(f->message);
		struct rtnexthop *hop = (struct rtnexthop *)tail;
		struct slu_ip gateway = ip(i ? "198.18.2.1" : "198.18.1.1");

		hop->rtnh_ifindex = i ? TAP1 : TAP0;
		f->message->nlmsg_len += sizeof(*hop);
		mnl_attr_put(f->message, RTA_GATEWAY, 4, gateway.bytes);
		hop->rtnh_len = (unsigned short)((uint8_t *)mnl_nlmsg_get_payload_tail(f->message) - tail);
	}
	mnl_attr_nest_end(f->message, paths);
	slu_mirror_message(&f->mirror, f->message, true);
	slu_mirror_settle(&f->mirror);
	assert_int_equal(f->mirror.malformed, 0);
	assert_int_equal(f->mirror.route_count, 2);
	assert_int_equal(f->mirror.routes[0].gateway.bytes[2], 1);
	assert_int_equal(f->mirror.routes[1].gateway.bytes[2], 2);
	assert_int_equal(f->mirror.routes[1].port, 1);
}

static void other_interfaces_and_tables_are_ignored(void **state)
{
	struct fixture *f = *state;
	struct rtmsg *route;

	add_route(f, "198.18.9.0", 24, 1, NULL, 0);
	route = begin_route(f, "198.18.1.0", 24);
	route->rtm_table = RT_TABLE_LOCAL;
	mnl_attr_put_u32(f->message, RTA_OIF, TAP0);
	slu_mirror_message(&f->mirror, f->message, true);
	route = begin_route(f, "198.18.1.0", 24);
	route->rtm_flags = RTM_F_CLONED;
	mnl_attr_put_u32(f->message, RTA_OIF, TAP0);
	slu_mirror_message(&f->mirror, f->message, true);
	neighbour(f, RTM_NEWNEIGH, "198.18.9.1", 1, NUD_REACHABLE, "\2\0\0\0\0\1");
	assert_int_equal(f->mirror.route_count, 0);
	assert_int_equal(f->mirror.neighbour_count, 0);
	assert_int_equal(f->mirror.malformed, 0);
}

static void a_route_event_only_asks_for_a_new_dump(void **state)
{
	struct fixture *f = *state;

	slu_mirror_settle(&f->mirror);
	assert_false(f->mirror.routes_stale);
	begin_route(f, "198.18.1.0", 24);
	mnl_attr_put_u32(f->message, RTA_OIF, TAP0);
	slu_mirror_message(&f->mirror, f->message, false);
	assert_true(f->mirror.routes_stale);
	assert_int_equal(f->mirror.route_count, 0);
}

static void neighbours_come_change_and_go(void **state)
{
	struct fixture *f = *state;

	neighbour(f, RTM_NEWNEIGH, "198.18.1.10", TAP0, NUD_REACHABLE, "\2\0\0\0\0\1");
	neighbour(f, RTM_NEWNEIGH, "198.18.1.5", TAP0, NUD_STALE, "\2\0\0\0\0\2");
	neighbour(f, RTM_NEWNEIGH, "fd00:1::5", TAP0, NUD_PERMANENT, "\2\0\0\0\0\3");
	neighbour(f, RTM_NEWNEIGH, "198.18.1.10", TAP1, NUD_INCOMPLETE, NULL);
	assert_int_equal(f->mirror.neighbour_count, 4);
	assert_true(slu_mirror_neighbour_usable(neighbour_of(f, 0, "198.18.1.10")));
	assert_false(slu_mirror_neighbour_usable(neighbour_of(f, 1, "198.18.1.10")));
	f->mirror.changed = false;
	neighbour(f, RTM_NEWNEIGH, "198.18.1.10", TAP0, NUD_STALE, "\2\0\0\0\0\1");
	assert_false(f->mirror.changed);
	neighbour(f, RTM_NEWNEIGH, "198.18.1.10", TAP0, NUD_REACHABLE, "\2\0\0\0\0\7");
	assert_true(f->mirror.changed);
	assert_int_equal(neighbour_of(f, 0, "198.18.1.10")->mac[5], 7);
	f->mirror.changed = false;
	neighbour(f, RTM_NEWNEIGH, "198.18.1.10", TAP0, NUD_FAILED, NULL);
	assert_true(f->mirror.changed);
	neighbour(f, RTM_DELNEIGH, "198.18.1.5", TAP0, 0, NULL);
	assert_null(neighbour_of(f, 0, "198.18.1.5"));
	assert_non_null(neighbour_of(f, 0, "fd00:1::5"));
	assert_int_equal(f->mirror.neighbour_count, 3);
}

static void a_link_that_goes_down_makes_routes_stale(void **state)
{
	struct fixture *f = *state;
	struct ifinfomsg *link = begin(f, RTM_NEWLINK, sizeof(*link));

	link->ifi_index = TAP1;
	link->ifi_flags = IFF_UP;
	slu_mirror_settle(&f->mirror);
	slu_mirror_message(&f->mirror, f->message, false);
	assert_true(f->mirror.links[1].up);
	assert_false(f->mirror.links[0].up);
	assert_true(f->mirror.routes_stale);
	link->ifi_flags = 0;
	slu_mirror_settle(&f->mirror);
	slu_mirror_message(&f->mirror, f->message, false);
	assert_false(f->mirror.links[1].up);
	assert_true(f->mirror.routes_stale);
}

/* Each row spoils one thing of a good message. */
static void malformed_messages_are_counted_and_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct nlattr *attribute;

	neighbour(f, RTM_NEWNEIGH, "198.18.1.10", TAP0, NUD_REACHABLE, NULL); /* usable, but no MAC */
	assert_int_equal(f->mirror.malformed, 1);
	begin(f, RTM_NEWNEIGH, sizeof(struct ndmsg)); /* shorter than its header */
	f->message->nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg) - 4);
	slu_mirror_message(&f->mirror, f->message, false);
	assert_int_equal(f->mirror.malformed, 2);
	((struct ndmsg *)begin(f, RTM_NEWNEIGH, sizeof(struct ndmsg)))->ndm_ifindex = TAP0;
	((struct ndmsg *)mnl_nlmsg_get_payload(f->message))->ndm_family = AF_INET6;
	mnl_attr_put(f->message, NDA_DST, 4, "\1\2\3\4"); /* four bytes of an IPv6 address */
	slu_mirror_message(&f->mirror, f->message, false);
	assert_int_equal(f->mirror.malformed, 3);
	begin_route(f, "198.18.1.0", 24);
	attribute = mnl_nlmsg_get_payload_tail(f->message);
	mnl_attr_put_u32(f->message, RTA_OIF, TAP0);
	attribute->nla_len = 200; /* runs past the end */
	slu_mirror_message(&f->mirror, f->message, true);
	assert_int_equal(f->mirror.malformed, 4);
	attribute->nla_len = 2; /* shorter than an attribute */
	slu_mirror_message(&f->mirror, f->message, true);
	assert_int_equal(f->mirror.malformed, 5);
	begin_route(f, "198.18.1.0", 33); /* longer than the family has bits */
	mnl_attr_put_u32(f->message, RTA_OIF, TAP0);
	slu_mirror_message(&f->mirror, f->message, true);
	assert_int_equal(f->mirror.malformed, 6);
	begin_route(f, "198.18.1.0", 24);
	mnl_attr_put(f->message, RTA_MULTIPATH, 8, "\377\377\0\0\7\0\0\0"); /* next hop longer than all */
	slu_mirror_message(&f->mirror, f->message, true);
	assert_int_equal(f->mirror.malformed, 7);
	begin(f, RTM_NEWLINK, 4);
	f->message->nlmsg_len = NLMSG_LENGTH(4);
	slu_mirror_message(&f->mirror, f->message, false);
	assert_int_equal(f->mirror.malformed, 8);
	assert_int_equal(f->mirror.route_count, 0);
	assert_int_equal(f->mirror.neighbour_count, 0);
}

static void random_bytes_never_read_past_a_message(void **state)
{
	static const uint16_t types[] = {RTM_NEWROUTE, RTM_NEWNEIGH, RTM_DELNEIGH, RTM_NEWLINK};
	struct fixture *f = *state;

	srand(1);
	for (uint32_t i = 0; i < 200000; i++) {
		size_t bytes = NLMSG_HDRLEN + (size_t)rand() % 96;
		/* Exactly as long as the message, so that a sanitizer or valgrind sees any step past it. */
		struct nlmsghdr *message = malloc(bytes);

		for (size_t b = 0; b < bytes; b++)
			((uint8_t *)message)[b] = (uint8_t)(rand() % 4 ? rand() % 12 : rand());
		message->nlmsg_len = (uint32_t)bytes;
		message->nlmsg_type = types[i % 4];
		slu_mirror_message(&f->mirror, message, true);
		free(message);
	}
	slu_mirror_settle(&f->mirror);
	assert_true(f->mirror.malformed > 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(longest_prefix_wins_in_both_families), T(no_route_is_no_answer),
		T(the_lower_metric_comes_first), T(every_next_hop_of_a_multipath_route_is_taken),
		T(other_interfaces_and_tables_are_ignored), T(a_route_event_only_asks_for_a_new_dump),
		T(neighbours_come_change_and_go), T(a_link_that_goes_down_makes_routes_stale),
		T(malformed_messages_are_counted_and_change_nothing), T(random_bytes_never_read_past_a_message)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
