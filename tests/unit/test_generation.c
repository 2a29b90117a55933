/*
 * Generations: what the compiler makes of configuration and health.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/control/compile.h"
#include "host/control/difference.h"
#include "host/control/ip.h"
#include "host/control/wrr.h"
#include "maglev.h"

#define HEAD "version: 1\nports: [{name: p0, device: d0, tap: t0}]\nlocal_addresses: [198.18.2.100, \"fd00:2::100\"]\n"

/* What health says of a backend's id; unlisted ones are up. */
static uint32_t down[4];

static enum slu_health_state health(void *ctx, uint32_t id)
{
	(void)ctx;
	for (size_t i = 0; i < 4; i++)
		if (down[i] == id)
			return SLU_HEALTH_DOWN;
	return SLU_HEALTH_UP;
}

static int start(void **state)
{
	struct slu_ids *ids;
	char *why;

	memset(down, 0, sizeof(down));
	if (slu_ids_load("/nonexistent/ids", &ids, &why) != 0)
		return -1;
	*state = ids;
	return 0;
}

static int stop(void **state)
{
	slu_ids_free(*state);
	return 0;
}

static struct slu_config *parse(const char *text)
{
	struct slu_config *config;
	struct slu_errors errors;

	slu_errors_init(&errors, "doc");
	slu_config_parse(text, strlen(text), &config, &errors);
	for (size_t i = 0; i < errors.count; i++)
		print_error("%s: %s\n", errors.items[i].path, errors.items[i].rule);
	slu_errors_clear(&errors);
	assert_non_null(config);
	return config;
}

/* The transaction stays open, so that ids are kept without a file. */
static struct slu_generation *compile(
	struct slu_ids *ids, const struct slu_config *config, const struct slu_generation *previous, bool first)
{
	const struct slu_compile request = {.config = config,
		.ids = ids,
		.health = health,
		.previous = previous,
		.number = previous != NULL ? previous->number + 1 : 1};
	struct slu_generation *generation;

	if (first)
		slu_ids_begin(ids);
	assert_int_equal(slu_compile_generation(&request, &generation), 0);
	return generation;
}

static void listeners__are_sorted_and_point_to_their_groups(void **state)
{
	struct slu_config *config =
		parse(HEAD "groups: [{name: g4, backends: [{name: b, address: 198.18.2.1}]}, {name: g6, backends: "
			   "[{name: b, address: "
			   "\"fd00:2::1\"}]}]\n"
			   "listeners:\n"
			   "- {name: six, address: \"fd00::9\", protocol: tcp, ports: 80, group: g6}\n"
			   "- {name: udp, address: 198.18.1.9, protocol: udp, ports: 53, group: g4}\n"
			   "- {name: high, address: 198.18.1.9, protocol: tcp, ports: 90-95, group: g4}\n"
			   "- {name: low, address: 198.18.1.9, protocol: tcp, ports: 80, group: g4}\n"
			   "- {name: first, address: 198.18.1.8, protocol: tcp, ports: 99, group: g4}\n");
	struct slu_generation *generation = compile(*state, config, NULL, true);
	static const char *const names[] = {"first", "low", "high", "udp", "six"};

	assert_int_equal(generation->listener_count, 5);
	for (size_t i = 0; i < 5; i++) {
		const struct slu_listener *listener = &generation->listeners[i];

		assert_string_equal(listener->name, names[i]);
		assert_string_equal(generation->groups[listener->group]->name, i == 4 ? "g6" : "g4");
		assert_ptr_equal(generation->listener_by_live[listener->live], listener);
	}
	assert_int_equal(generation->local_count, 2);
	assert_int_equal(generation->backend_count, 2);
	for (uint32_t live = 0; live < generation->live_limit; live++)
		assert_int_equal(generation->by_live[live]->live, live);
	slu_compile_free(generation);
	slu_config_free(config);
}

#define TWO_GROUPS(weight)                                                                                             \
	HEAD "groups:\n- {name: a, scheduler: maglev, check: {type: tcp}, backends: [{name: b1, address: 198.18.2.1, " \
	     "port: 80, weight: " weight "}, {name: b2, address: 198.18.2.2, port: 80, weight: 1}]}\n"                 \
	     "- {name: b, scheduler: maglev, backends: [{name: b1, address: 198.18.2.1, port: 80}]}\n"

static void unchanged_groups__are_shared_by_reference(void **state)
{
	struct slu_config *config = parse(TWO_GROUPS("3")), *changed = parse(TWO_GROUPS("4"));
	struct slu_generation *first = compile(*state, config, NULL, true);
	struct slu_generation *second = compile(*state, changed, first, false);

	assert_ptr_not_equal(first->groups[0], second->groups[0]);
	assert_ptr_equal(first->groups[1], second->groups[1]);
	assert_int_equal(first->groups[1]->references, 2);
	assert_int_equal(first->groups[0]->backends[0].id, second->groups[0]->backends[0].id);
	slu_compile_free(first);
	assert_int_equal(second->groups[1]->references, 1);
	assert_int_equal(second->groups[1]->maglev[0], 0); /* still there */
	assert_int_equal(second->number, 2);
	slu_compile_free(second);
	slu_config_free(config);
	slu_config_free(changed);
}

static void groups_in_another_order__are_shared_too(void **state)
{
	struct slu_config *config = parse(HEAD "groups: [{name: a, backends: []}, {name: b, backends: []}]\n");
	struct slu_config *turned = parse(HEAD "groups: [{name: b, backends: []}, {name: a, backends: []}]\n");
	struct slu_generation *first = compile(*state, config, NULL, true);
	struct slu_generation *second = compile(*state, turned, first, false);

	assert_ptr_equal(first->groups[0], second->groups[1]);
	assert_ptr_equal(first->groups[1], second->groups[0]);
	slu_compile_free(first);
	slu_compile_free(second);
	slu_config_free(config);
	slu_config_free(turned);
}

static void backend_that_is_down__has_no_weight_and_no_slot(void **state)
{
	struct slu_config *config = parse(TWO_GROUPS("3"));
	struct slu_generation *first = compile(*state, config, NULL, true), *second;
	const struct slu_group *group;

	assert_int_equal(first->groups[0]->weight_sum, 4);
	down[0] = first->groups[0]->backends[0].id;
	second = compile(*state, config, first, false);
	group = second->groups[0];
	assert_int_equal(group->backends[0].weight, 0);
	assert_int_equal(group->backends[0].configured, 3);
	assert_int_equal(group->weight_sum, 1);
	for (uint32_t slot = 0; slot < SLU_MAGLEV_SLOTS; slot++)
		assert_int_equal(group->maglev[slot], 1);
	slu_compile_free(first);
	slu_compile_free(second);
	slu_config_free(config);
}

static void group_with_all_backends_down__has_an_empty_table(void **state)
{
	struct slu_config *config = parse(HEAD "groups:\n- {name: a, check: {type: tcp}, backends: [{name: b1, "
					       "address: 198.18.2.1, port: 80, weight: 0}]}\n"
					       "- {name: r, scheduler: rr, backends: []}\n");
	struct slu_generation *generation = compile(*state, config, NULL, true);

	for (uint32_t slot = 0; slot < SLU_MAGLEV_SLOTS; slot++)
		assert_int_equal(generation->groups[0]->maglev[slot], SLU_MAGLEV_NONE);
	assert_int_equal(generation->groups[1]->wrr_count, 0);
	assert_null(generation->groups[1]->wrr);
	slu_compile_free(generation);
	slu_config_free(config);
}

static void backend_with_a_new_address__is_another_backend(void **state)
{
	struct slu_config *before = parse(HEAD "groups: [{name: g, backends: [{name: b, address: 198.18.2.1}]}]\n");
	struct slu_config *after = parse(HEAD "groups: [{name: g, backends: [{name: b, address: 198.18.2.2}]}]\n");
	struct slu_generation *first = compile(*state, before, NULL, true);
	struct slu_generation *second = compile(*state, after, first, false);
	const struct slu_backend *a = &first->groups[0]->backends[0], *b = &second->groups[0]->backends[0];

	assert_int_not_equal(a->id, b->id);
	assert_int_not_equal(a->live, b->live);
	assert_null(second->by_live[a->live]);
	assert_true(a->seed == b->seed);
	slu_compile_free(first);
	slu_compile_free(second);
	slu_config_free(before);
	slu_config_free(after);
}

static void round_robin__visits_each_serving_backend_once(void **state)
{
	struct slu_config *config = parse(HEAD "groups: [{name: g, scheduler: rr, backends: [{name: a, address: "
					       "198.18.2.1, weight: 9}, {name: b, address: "
					       "198.18.2.2, weight: 0}, {name: c, address: 198.18.2.3}]}]\n");
	struct slu_generation *generation = compile(*state, config, NULL, true);

	assert_int_equal(generation->groups[0]->wrr_count, 2);
	assert_int_equal(generation->groups[0]->wrr[0], 0);
	assert_int_equal(generation->groups[0]->wrr[1], 2);
	slu_compile_free(generation);
	slu_config_free(config);
}

static void weighted_order__is_interleaved(void **state)
{
	static const struct {
		uint16_t weights[4];
		const char *order;
	} rows[] = {
		{{5, 1, 1, 0}, "0001200"}, /* turns at 1/10, 3/10, 1/2, 1/2, 1/2, 7/10, 9/10 */
		{{10, 20, 0, 10}, "1031"},
		{{1, 1, 1, 1}, "0123"},
		{{0, 0, 0, 7}, "3"},
		{{3, 2, 0, 0}, "01010"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t turns;
		uint16_t *order = slu_wrr_build(rows[i].weights, 4, &turns);
		char text[32] = "";

		for (uint32_t turn = 0; turn < turns; turn++)
			text[turn] = (char)('0' + order[turn]);
		assert_string_equal(text, rows[i].order);
		free(order);
	}
}

static void weighted_order__gives_every_stretch_its_share(void **state)
{
	static const uint16_t weights[] = {997, 500, 250, 3, 1};
	uint32_t turns, seen[5] = {0};
	uint16_t *order = slu_wrr_build(weights, 5, &turns);

	(void)state;
	assert_int_equal(turns, 1751);
	for (uint32_t turn = 0; turn < turns; turn++) {
		seen[order[turn]]++;
		/* After any number of turns nobody is off its share by more than two. */
		for (uint32_t i = 0; i < 5; i++) {
			double share = (double)(turn + 1) * weights[i] / turns;

			assert_true(seen[i] < share + 2 && seen[i] > share - 2);
		}
	}
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(seen[i], weights[i]);
	free(order);
}

static void weighted_order_of_many__is_scaled_and_forgets_nobody(void **state)
{
	enum { COUNT = 4096 };
	uint16_t *weights = calloc(COUNT, sizeof(*weights)), *order;
	uint32_t turns, *seen = calloc(COUNT, sizeof(*seen));

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		weights[i] = (uint16_t)(i == 0 ? 1 : 999 - i % 2);
	order = slu_wrr_build(weights, COUNT, &turns);
	assert_in_range(turns, SLU_WRR_MAX / 2, SLU_WRR_MAX + COUNT);
	for (uint32_t turn = 0; turn < turns; turn++)
		seen[order[turn]]++;
	for (uint32_t i = 0; i < COUNT; i++)
		assert_in_range(seen[i], 1, 17);
	free(order);
	free(weights);
	free(seen);
}

static void difference__tells_every_change_in_a_sentence(void **state)
{
	struct slu_config *before =
		parse(HEAD "groups: [{name: g, scheduler: rr, backends: [{name: a, address: 198.18.2.1, weight: 5}, "
			   "{name: b, address: "
			   "198.18.2.2}]}]\n"
			   "listeners: [{name: l, address: 198.18.1.9, protocol: tcp, ports: 80, group: g}]\n");
	struct slu_config *after =
		parse("version: 1\nports: [{name: p0, device: d0, tap: t0}]\nlocal_addresses: [198.18.2.101]\n"
		      "groups: [{name: h, backends: []}, {name: g, scheduler: wlc, check: {type: http, port: 8, "
		      "interval_ms: 500}, "
		      "backends: [{name: c, address: 198.18.2.3}, {name: a, address: 198.18.2.1, weight: 0}]}]\n"
		      "listeners: [{name: l, address: 198.18.1.9, protocol: tcp, ports: 80-81, group: g, offload: "
		      "{enabled: false}, "
		      "timeouts: {established_s: 60}}]\n");
	static const char *const expected[] = {"local address 198.18.2.100: removed",
		"local address 198.18.2.101: added", "local address fd00:2::100: removed",
		"group g: scheduler rr -> wlc", "group g: check.type none -> http", "group g: check.port 0 -> 8",
		"group g: check.interval_ms 2000 -> 500", "group g: check.timeout_ms 1000 -> 500",
		"backend g/a: weight 5 -> 0", "backend g/b: removed", "backend g/c: added, 198.18.2.3 port 0, weight 1",
		"group h: added, maglev", "listener l: ports 80-80 -> 80-81",
		"listener l: offload.enabled true -> false", "listener l: timeouts.established_s 900 -> 60"};
	struct slu_difference difference;

	(void)state;
	slu_difference_report(before, after, &difference);
	for (size_t i = 0; i < difference.count && i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_string_equal(difference.lines[i], expected[i]);
	assert_int_equal(difference.count, sizeof(expected) / sizeof(expected[0]));
	slu_difference_clear(&difference);
	slu_difference_report(after, after, &difference);
	assert_int_equal(difference.count, 0);
	slu_difference_clear(&difference);
	slu_config_free(before);
	slu_config_free(after);
}

#define OUTBOUND                                                                                                       \
	"snat: [{name: n, sources: [198.18.4.0/24, \"fd00:4::/64\"], addresses: [198.18.2.7, 198.18.3.7, "             \
	"\"fd00:2::7\"]}]\neip: [{name: e, public: 198.18.3.8, private: 198.18.4.8}]\n"

static void outbound_services__stand_beside_the_listeners(void **state)
{
	struct slu_config *config = parse(
		HEAD "groups: [{name: g, backends: []}]\n"
		     "listeners: [{name: l, address: 198.18.1.9, protocol: tcp, ports: 80, group: g}]\n" OUTBOUND);
	struct slu_generation *first = compile(*state, config, NULL, true),
			      *second = compile(*state, config, first, false);
	const struct slu_outbound *snat = &first->outbound[0], *eip = &first->outbound[1];

	assert_int_equal(first->outbound_count, 2);
	assert_int_equal(snat->service.mode, SLU_MODE_SNAT);
	assert_int_equal(eip->service.mode, SLU_MODE_EIP);
	assert_ptr_equal(first->listener_by_live[snat->service.live], &snat->service);
	assert_ptr_equal(first->listener_by_live[eip->service.live], &eip->service);
	assert_int_not_equal(snat->service.live, first->listeners[0].live);
	assert_int_equal(second->outbound[0].service.id, snat->service.id);
	assert_int_equal(second->outbound[1].service.id, eip->service.id);
	assert_int_equal(snat->source_count, 2);
	/* Alone, a node gives out every address. */
	assert_int_equal(snat->address_count[0], 2);
	assert_int_equal(snat->own_count[0], 2);
	assert_int_equal(snat->own_count[1], 1);
	assert_int_equal(eip->own_count[0], 1);
	slu_compile_free(second);
	slu_compile_free(first);
	slu_config_free(config);
}

static void node_of_a_cluster__gives_out_public_addresses_of_its_home_prefixes(void **state)
{
	struct slu_config *config = parse(HEAD OUTBOUND
		"cluster: {id: 2, interface: s, address: 198.18.9.2, local_prefixes: [198.18.2.100/32, "
		"\"fd00:2::/64\", "
		"198.18.3.0/24], members: [{id: 1, name: a, address: 198.18.9.1, local_prefixes: [198.18.2.0/28]}, "
		"{id: 2, name: b, address: 198.18.9.2, local_prefixes: [198.18.2.100/32, \"fd00:2::/64\", "
		"198.18.3.0/24]}]}\n");
	struct slu_generation *generation = compile(*state, config, NULL, true);
	const struct slu_outbound *snat = &generation->outbound[0];
	char text[SLU_IP_TEXT_BYTES];

	assert_int_equal(snat->address_count[0], 2);
	assert_int_equal(snat->own_count[0], 1);
	assert_string_equal(slu_ip_format(&snat->addresses[0][0], text), "198.18.3.7");
	assert_string_equal(slu_ip_format(&snat->addresses[0][1], text), "198.18.2.7");
	assert_int_equal(snat->own_count[1], 1);
	assert_int_equal(generation->outbound[1].own_count[0], 1);
	slu_compile_free(generation);
	slu_config_free(config);
}

static void difference__of_outbound_services__is_told_too(void **state)
{
	struct slu_config *before = parse(HEAD OUTBOUND), *none = parse(HEAD);
	struct slu_config *after = parse(HEAD
		"snat: [{name: n, sources: [198.18.4.0/23], addresses: [198.18.2.7], ports: 2000-3000, timeouts: "
		"{udp_s: 9}}]\neip: [{name: e, public: 198.18.3.9, private: 198.18.4.8, offload: {enabled: false}}]\n"
		"metering: {internal: [10.0.0.0/8]}\n");
	static const char *const expected[] = {"snat n: sources 198.18.4.0/24,fd00:4::/64 -> 198.18.4.0/23",
		"snat n: addresses 198.18.2.7,198.18.3.7,fd00:2::7 -> 198.18.2.7",
		"snat n: ports 1024-65535 -> 2000-3000", "snat n: timeouts.udp_s 300 -> 9",
		"eip e: public 198.18.3.8 -> 198.18.3.9", "eip e: offload.enabled true -> false",
		"metering: internal none -> 10.0.0.0/8"};
	static const char *const gone[] = {"snat n: removed", "eip e: removed"};
	static const char *const come[] = {
		"snat n: added, sources 198.18.4.0/24,fd00:4::/64, addresses 198.18.2.7,198.18.3.7,fd00:2::7, ports "
		"1024-65535",
		"eip e: added, 198.18.3.8 for 198.18.4.8"};
	const struct {
		const struct slu_config *from, *to;
		const char *const *lines;
		size_t count;
	} rows[] = {{before, after, expected, 7}, {before, none, gone, 2}, {none, before, come, 2}};

	(void)state;
	for (size_t r = 0; r < 3; r++) {
		struct slu_difference difference;

		slu_difference_report(rows[r].from, rows[r].to, &difference);
		assert_int_equal(difference.count, rows[r].count);
		for (size_t i = 0; i < difference.count; i++)
			assert_string_equal(difference.lines[i], rows[r].lines[i]);
		slu_difference_clear(&difference);
	}
	slu_config_free(before);
	slu_config_free(after);
	slu_config_free(none);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(listeners__are_sorted_and_point_to_their_groups, start, stop),
		cmocka_unit_test_setup_teardown(unchanged_groups__are_shared_by_reference, start, stop),
		cmocka_unit_test_setup_teardown(groups_in_another_order__are_shared_too, start, stop),
		cmocka_unit_test_setup_teardown(backend_that_is_down__has_no_weight_and_no_slot, start, stop),
		cmocka_unit_test_setup_teardown(group_with_all_backends_down__has_an_empty_table, start, stop),
		cmocka_unit_test_setup_teardown(backend_with_a_new_address__is_another_backend, start, stop),
		cmocka_unit_test_setup_teardown(round_robin__visits_each_serving_backend_once, start, stop),
		cmocka_unit_test(weighted_order__is_interleaved),
		cmocka_unit_test(weighted_order__gives_every_stretch_its_share),
		cmocka_unit_test(weighted_order_of_many__is_scaled_and_forgets_nobody),
		cmocka_unit_test(difference__tells_every_change_in_a_sentence),
		cmocka_unit_test_setup_teardown(outbound_services__stand_beside_the_listeners, start, stop),
		cmocka_unit_test_setup_teardown(
			node_of_a_cluster__gives_out_public_addresses_of_its_home_prefixes, start, stop),
		cmocka_unit_test(difference__of_outbound_services__is_told_too),
	};

	return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
