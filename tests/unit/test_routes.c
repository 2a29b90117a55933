/*
 * The routes that tell the routing daemon what to announce, in the kernel of a
 * network namespace of the test's own.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "host/cluster/routes.h"
#include "host/control/ip.h"
#include "tests/unit/own_network.h"

#define TABLE 8848

/* What ip(8) shows of the table, both families, without the columns that differ between its versions. */
static const char *shown(void)
{
	static char text[4096];
	FILE *pipe = popen("for f in 4 6; do ip -$f route show table 8848 2>/dev/null | "
			   "sed -e 's/ dev lo//' -e 's/ pref medium//' -e 's/ *$//'; done | sort",
		"r");
	size_t bytes;

	assert_non_null(pipe);
	bytes = fread(text, 1, sizeof(text) - 1, pipe);
	text[bytes] = '\0';
	assert_int_equal(pclose(pipe), 0);
	return text;
}

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static struct slu_ip ip(const char *text)
{
	struct slu_ip address;

	assert_int_equal(slu_ip_parse(text, &address), 0);
	return address;
}

static struct slu_config_prefix prefix(const char *text, uint8_t bits)
{
	return (struct slu_config_prefix){.ip = ip(text), .bits = bits};
}

static struct slu_routes *created(uint32_t table)
{
	const struct slu_routes_settings settings = {.table = table};
	struct slu_routes *routes = NULL;

	assert_int_equal(slu_routes_create(&settings, &routes), 0);
	return routes;
}

/* Two addresses, an own and an adopted prefix; one address is named twice, as two listeners of it do. */
static int set_all(struct slu_routes *routes, bool announce)
{
	const struct slu_ip vips[] = {ip("198.18.10.1"), ip("fd00:10::1"), ip("198.18.10.1")};
	const struct slu_config_prefix own[] = {prefix("198.18.64.0", 24), prefix("fd00:64::", 64)};
	const struct slu_config_prefix backup[] = {prefix("198.18.65.0", 24)};
	const struct slu_routes_wanted wanted = {.announce = announce,
		.vips = vips,
		.vip_count = 3,
		.own = own,
		.own_count = 2,
		.backup = backup,
		.backup_count = 1};

	return slu_routes_set(routes, &wanted);
}

static const char all[] = "blackhole 198.18.10.1 proto 83 metric 100\n"
			  "blackhole 198.18.64.0/24 proto 83 metric 200\n"
			  "blackhole 198.18.65.0/24 proto 83 metric 300\n"
			  "blackhole fd00:10::1 proto 83 metric 100\n"
			  "blackhole fd00:64::/64 proto 83 metric 200\n";

static void routes_set__each_kind_has_its_metric__and_duplicates_are_one(void **state)
{
	struct slu_routes *routes = created(TABLE);
	struct slu_routes_state now;

	(void)state;
	assert_string_equal(shown(), "");
	assert_int_equal(set_all(routes, true), 0);
	assert_string_equal(shown(), all);
	slu_routes_state(routes, &now);
	assert_true(now.announces);
	assert_int_equal(now.vips, 2);
	assert_int_equal(now.own, 2);
	assert_int_equal(now.backup, 1);
	assert_int_equal(now.added, 5);
	slu_routes_destroy(routes);
	assert_string_equal(shown(), "");
}

static void routes_set__not_announcing__empties_the_table(void **state)
{
	struct slu_routes *routes = created(TABLE);
	struct slu_routes_state now;

	(void)state;
	assert_int_equal(set_all(routes, true), 0);
	assert_int_equal(set_all(routes, false), 0);
	assert_string_equal(shown(), "");
	slu_routes_state(routes, &now);
	assert_false(now.announces);
	assert_int_equal(now.vips + now.own + now.backup, 0);
	assert_int_equal(now.removed, 5);
	slu_routes_destroy(routes);
}

static void routes_set__the_same_again__changes_nothing(void **state)
{
	struct slu_routes *routes = created(TABLE);
	struct slu_routes_state now;

	(void)state;
	assert_int_equal(set_all(routes, true), 0);
	assert_int_equal(set_all(routes, true), 0);
	slu_routes_state(routes, &now);
	assert_int_equal(now.added, 5);
	assert_int_equal(now.removed, 0);
	slu_routes_destroy(routes);
}

static void routes_set__what_somebody_removed__is_put_back(void **state)
{
	struct slu_routes *routes = created(TABLE);

	(void)state;
	assert_int_equal(set_all(routes, true), 0);
	run("ip route delete blackhole 198.18.64.0/24 table 8848");
	assert_int_equal(set_all(routes, true), 0);
	assert_string_equal(shown(), all);
	slu_routes_destroy(routes);
}

static void routes_set__prefix_with_host_bits__is_that_of_its_network(void **state)
{
	struct slu_routes *routes = created(TABLE);
	const struct slu_config_prefix own[] = {prefix("198.18.64.77", 20), prefix("fd00:64::77", 61)};
	const struct slu_routes_wanted wanted = {.announce = true, .own = own, .own_count = 2};

	(void)state;
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	assert_string_equal(shown(), "blackhole 198.18.64.0/20 proto 83 metric 200\n"
				     "blackhole fd00:64::/61 proto 83 metric 200\n");
	slu_routes_destroy(routes);
}

static void routes_set__gateway__is_the_default_route_of_its_families(void **state)
{
	struct slu_routes *routes = created(TABLE);
	struct slu_routes_wanted wanted = {.announce = true, .gateway = {true, true}};
	struct slu_routes_state now;

	(void)state;
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	assert_string_equal(shown(), "blackhole default proto 83 metric 400\n"
				     "blackhole default proto 83 metric 400\n");
	slu_routes_state(routes, &now);
	assert_int_equal(now.gateways, 2);
	wanted.gateway[1] = false;
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	assert_string_equal(shown(), "blackhole default proto 83 metric 400\n");
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	slu_routes_state(routes, &now);
	assert_int_equal(now.added, 2);
	assert_int_equal(now.removed, 1);
	wanted.announce = false;
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	assert_string_equal(shown(), "");
	slu_routes_destroy(routes);
}

static void routes_set__prefix_that_is_own_and_adopted__is_own(void **state)
{
	struct slu_routes *routes = created(TABLE);
	const struct slu_config_prefix both[] = {prefix("198.18.64.0", 24)};
	struct slu_routes_wanted wanted = {.announce = true, .backup = both, .backup_count = 1};

	(void)state;
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	assert_string_equal(shown(), "blackhole 198.18.64.0/24 proto 83 metric 300\n");
	wanted.own = both;
	wanted.own_count = 1;
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	assert_string_equal(shown(), "blackhole 198.18.64.0/24 proto 83 metric 200\n");
	slu_routes_destroy(routes);
}

static void routes_create__routes_of_a_killed_agent__are_removed_and_an_operators_stay(void **state)
{
	struct slu_routes *routes;

	(void)state;
	run("ip route add blackhole 198.18.66.0/24 table 8848 proto 83 metric 200");
	run("ip -6 route add blackhole fd00:66::/64 table 8848 proto 83 metric 100");
	run("ip route add blackhole 198.18.67.0/24 table 8848 proto static");
	run("ip route add blackhole 198.18.68.0/24 table 8849 proto 83");
	routes = created(TABLE);
	assert_string_equal(shown(), "blackhole 198.18.67.0/24 proto static\n");
	run("ip route show table 8849 | grep -q 198.18.68.0/24");
	slu_routes_destroy(routes);
	assert_string_equal(shown(), "blackhole 198.18.67.0/24 proto static\n");
	run("ip route flush table 8848; ip route flush table 8849");
}

static void routes_set__one_that_the_kernel_refuses__is_told_and_the_others_are_there(void **state)
{
	struct slu_routes *routes = created(TABLE);
	struct slu_routes_state now;

	(void)state;
	/* An operator's own with our metric is in the way. */
	run("ip route add blackhole 198.18.10.1/32 table 8848 proto static metric 100");
	assert_int_not_equal(set_all(routes, true), 0);
	slu_routes_state(routes, &now);
	assert_int_equal(now.errors, 1);
	assert_int_equal(now.vips, 1);
	assert_int_equal(now.own, 2);
	run("ip route flush table 8848 proto static");
	assert_int_equal(set_all(routes, true), 0);
	assert_string_equal(shown(), all);
	slu_routes_destroy(routes);
}

static void routes_set__thousands_of_addresses__are_all_there(void **state)
{
	enum { COUNT = 5000 };
	struct slu_routes *routes = created(TABLE);
	struct slu_ip *vips = calloc(COUNT, sizeof(*vips));
	struct slu_routes_wanted wanted = {.announce = true, .vips = vips, .vip_count = COUNT};
	struct slu_routes_state now;

	(void)state;
	assert_non_null(vips);
	vips[0] = ip("198.18.100.0");
	for (int i = 1; i < COUNT; i++) {
		vips[i] = vips[i - 1];
		assert_true(slu_ip_increment(&vips[i]));
	}
	assert_int_equal(slu_routes_set(routes, &wanted), 0);
	slu_routes_state(routes, &now);
	assert_int_equal(now.vips, COUNT);
	slu_routes_destroy(routes);
	assert_string_equal(shown(), "");
	free(vips);
}

static void routes_set__table_zero__writes_nothing(void **state)
{
	struct slu_routes *routes = created(0);

	(void)state;
	assert_int_equal(set_all(routes, true), 0);
	assert_string_equal(shown(), "");
	slu_routes_destroy(routes);
	slu_routes_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_set__each_kind_has_its_metric__and_duplicates_are_one),
		cmocka_unit_test(routes_set__not_announcing__empties_the_table),
		cmocka_unit_test(routes_set__the_same_again__changes_nothing),
		cmocka_unit_test(routes_set__what_somebody_removed__is_put_back),
		cmocka_unit_test(routes_set__prefix_with_host_bits__is_that_of_its_network),
		cmocka_unit_test(routes_set__gateway__is_the_default_route_of_its_families),
		cmocka_unit_test(routes_set__prefix_that_is_own_and_adopted__is_own),
		cmocka_unit_test(routes_create__routes_of_a_killed_agent__are_removed_and_an_operators_stay),
		cmocka_unit_test(routes_set__one_that_the_kernel_refuses__is_told_and_the_others_are_there),
		cmocka_unit_test(routes_set__thousands_of_addresses__are_all_there),
		cmocka_unit_test(routes_set__table_zero__writes_nothing),
	};

	if (own_network_enter() != 0)
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
