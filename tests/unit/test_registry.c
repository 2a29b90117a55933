/*
 * Registered nodes as members: who counts, who is gone but keeps his place, and what is no registration.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cluster/registry.h"
#include "host/control/ip.h"

static struct slu_config_prefix own_prefix = {{4, {198, 18, 64}}, 24};
static const struct slu_config_member self = {
	.id = 1, .name = "n1", .address = {4, {198, 18, 9, 1}}, .locals = &own_prefix, .local_count = 1};

static int put(struct slu_registry *registry, unsigned int id, const char *address, const char *prefix)
{
	char key[8], text[256];

	snprintf(key, sizeof(key), "%u", id);
	snprintf(text, sizeof(text), "{\"id\":%u,\"name\":\"n%u\",\"address\":\"%s\",\"local_prefixes\":[\"%s\"]}", id,
		id, address, prefix);
	return slu_registry_put(registry, key, text, strlen(text));
}

/* Node `id` as every node is: an address and a prefix of its own. */
static int put_usual(struct slu_registry *registry, unsigned int id)
{
	char address[32], prefix[32];

	snprintf(address, sizeof(address), "198.18.9.%u", id);
	snprintf(prefix, sizeof(prefix), "198.19.%u.0/24", id);
	return put(registry, id, address, prefix);
}

/* The ids of the members as digits, in the order of precedence. */
static const char *members(struct slu_registry *registry, uint64_t now_ms)
{
	static char text[64];
	const struct slu_config_member *list;
	uint32_t count = slu_registry_members(registry, now_ms, &list), used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < count; i++)
		used += (uint32_t)snprintf(text + used, sizeof(text) - used, "%s%u", i ? " " : "", list[i].id);
	return text;
}

static void registered_nodes__are_members_beside_this_one(void **state)
{
	struct slu_registry *registry = slu_registry_create(&self);
	const struct slu_config_member *list;
	char text[SLU_IP_TEXT_BYTES];

	(void)state;
	assert_string_equal(members(registry, 0), "1");
	assert_int_equal(put_usual(registry, 3), 0);
	assert_int_equal(put_usual(registry, 2), 0);
	assert_string_equal(members(registry, 0), "1 2 3");
	assert_int_equal(slu_registry_members(registry, 0, &list), 3);
	assert_string_equal(list[2].name, "n3");
	assert_string_equal(slu_ip_format(&list[2].locals[0].ip, text), "198.19.3.0");
	slu_registry_free(registry);
}

static void registration_of_this_node_by_another__does_not_change_it(void **state)
{
	struct slu_registry *registry = slu_registry_create(&self);
	const struct slu_config_member *list;
	char text[SLU_IP_TEXT_BYTES];

	(void)state;
	assert_int_equal(put(registry, 1, "198.18.9.77", "198.18.77.0/24"), 0);
	assert_int_equal(slu_registry_members(registry, 0, &list), 1);
	assert_string_equal(slu_ip_format(&list[0].address, text), "198.18.9.1");
	slu_registry_free(registry);
}

static void node_that_is_gone__keeps_its_place_for_an_hour(void **state)
{
	struct slu_registry *registry = slu_registry_create(&self);

	(void)state;
	put_usual(registry, 2);
	slu_registry_remove(registry, "2", 1000);
	assert_string_equal(members(registry, 1000), "1 2");
	assert_string_equal(members(registry, 1000 + SLU_REGISTRY_KEEP_MS - 1), "1 2");
	assert_string_equal(members(registry, 1000 + SLU_REGISTRY_KEEP_MS), "1");
	slu_registry_free(registry);
}

static void node_that_is_gone__gives_way_to_one_that_is_there(void **state)
{
	struct slu_registry *registry = slu_registry_create(&self);

	(void)state;
	/* A new machine takes the address of the old one. */
	put_usual(registry, 2);
	slu_registry_remove(registry, "2", 5);
	assert_int_equal(put(registry, 3, "198.18.9.2", "198.19.3.0/24"), 0);
	assert_string_equal(members(registry, 6), "1 3");
	/* And of too many the one that left first. */
	for (unsigned int id = 10; id < 16; id++)
		put_usual(registry, id);
	slu_registry_remove(registry, "12", 10);
	slu_registry_remove(registry, "11", 20);
	put_usual(registry, 20);
	assert_string_equal(members(registry, 30), "1 3 10 13 14 15 20 11");
	slu_registry_free(registry);
}

static void nodes_that_exclude_each_other__are_not_both_members(void **state)
{
	struct slu_registry *registry = slu_registry_create(&self);

	(void)state;
	assert_int_equal(put(registry, 2, "198.18.9.1", "198.19.2.0/24"), 0);
	assert_int_equal(put(registry, 3, "198.18.9.3", "198.18.64.128/25"), 0);
	assert_int_equal(put(registry, 4, "198.18.9.4", "198.18.0.0/16"), 0);
	assert_int_equal(put(registry, 5, "198.18.9.5", "fd00:5::/64"), 0);
	assert_string_equal(members(registry, 0), "1 5");
	slu_registry_free(registry);
}

static void node_that_a_listing_lacks__is_gone(void **state)
{
	struct slu_registry *registry = slu_registry_create(&self);

	(void)state;
	put_usual(registry, 2);
	put_usual(registry, 3);
	slu_registry_begin(registry);
	put_usual(registry, 3);
	slu_registry_end(registry, 100);
	assert_string_equal(members(registry, 100), "1 3 2");
	assert_string_equal(members(registry, 100 + SLU_REGISTRY_KEEP_MS), "1 3");
	slu_registry_free(registry);
}

static void what_is_no_registration__is_refused_and_changes_nothing(void **state)
{
	static const struct {
		const char *id, *text;
	} rows[] = {
		{"2", ""},
		{"2", "[]"},
		{"2", "{}"},
		{"2", "{\"id\":2,\"name\":\"x\"}"},
		{"2", "{\"id\":3,\"name\":\"x\",\"address\":\"198.18.9.2\"}"},
		{"02", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\"}"},
		{"0", "{\"id\":0,\"name\":\"x\",\"address\":\"198.18.9.2\"}"},
		{"256", "{\"id\":256,\"name\":\"x\",\"address\":\"198.18.9.2\"}"},
		{"2", "{\"id\":\"2\",\"name\":\"x\",\"address\":\"198.18.9.2\"}"},
		{"2", "{\"id\":2,\"name\":\"\",\"address\":\"198.18.9.2\"}"},
		{"2", "{\"id\":2,\"name\":7,\"address\":\"198.18.9.2\"}"},
		{"2", "{\"id\":2,\"name\":\"x\\ny\",\"address\":\"198.18.9.2\"}"},
		{"2", "{\"id\":2,\"name\":\"-x\",\"address\":\"198.18.9.2\"}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"fd00::2\"}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2/24\"}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[7]}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[\"198.18.70.0\"]}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[\"198.18.70.0/33\"]}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[\"198.18.70.0/+24\"]}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[\"198.18.70.0/0\"]}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[\"198.18.70.0/ 24\"]}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[\"198.18.70.1/24\"]}"},
		{"2", "{\"id\":2,\"name\":\"x\",\"address\":\"198.18.9.2\",\"local_prefixes\":[\"198.18.70.0/24x\"]}"},
	};
	struct slu_registry *registry = slu_registry_create(&self);
	char name[300], text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(slu_registry_put(registry, rows[i].id, rows[i].text, strlen(rows[i].text)), -EINVAL);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(text, sizeof(text), "{\"id\":2,\"name\":\"%s\",\"address\":\"198.18.9.2\"}", name);
	assert_int_equal(slu_registry_put(registry, "2", text, strlen(text)), -EINVAL);
	slu_registry_remove(registry, "", 0);
	slu_registry_remove(registry, "99999999999999999999", 0);
	slu_registry_remove(registry, "-1", 0);
	assert_string_equal(members(registry, 0), "1");
	slu_registry_free(registry);
}

static void members__outlive_a_restart_as_some_who_are_gone(void **state)
{
	struct slu_registry *registry = slu_registry_create(&self);
	char *text;

	(void)state;
	put_usual(registry, 2);
	put_usual(registry, 3);
	text = slu_registry_dump(registry);
	slu_registry_free(registry);
	registry = slu_registry_create(&self);
	slu_registry_load(registry, "{broken", 7, 50);
	assert_string_equal(members(registry, 50), "1");
	slu_registry_load(registry, text, strlen(text), 50);
	assert_string_equal(members(registry, 50), "1 2 3");
	assert_string_equal(members(registry, 50 + SLU_REGISTRY_KEEP_MS), "1");
	free(text);
	slu_registry_free(registry);
}

static void own_registration__is_read_by_another_node(void **state)
{
	static const struct slu_config_member other = {.id = 9, .name = "n9", .address = {4, {198, 18, 9, 9}}};
	struct slu_registry *registry = slu_registry_create(&other);
	char *text = slu_registry_text(&self);

	(void)state;
	assert_int_equal(slu_registry_put(registry, "1", text, strlen(text)), 0);
	assert_string_equal(members(registry, 0), "9 1");
	free(text);
	slu_registry_free(registry);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(registered_nodes__are_members_beside_this_one),
		cmocka_unit_test(registration_of_this_node_by_another__does_not_change_it),
		cmocka_unit_test(node_that_is_gone__keeps_its_place_for_an_hour),
		cmocka_unit_test(node_that_is_gone__gives_way_to_one_that_is_there),
		cmocka_unit_test(nodes_that_exclude_each_other__are_not_both_members),
		cmocka_unit_test(node_that_a_listing_lacks__is_gone),
		cmocka_unit_test(what_is_no_registration__is_refused_and_changes_nothing),
		cmocka_unit_test(members__outlive_a_restart_as_some_who_are_gone),
		cmocka_unit_test(own_registration__is_read_by_another_node),
	};

	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
