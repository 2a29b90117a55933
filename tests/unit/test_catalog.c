/*
 * Parts and generations of a shared configuration: only whole ones become documents.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cluster/catalog.h"
#include "host/cluster/etcd_value.h"

#define GROUP "{\"name\":\"web\",\"backends\":[]}"
#define OTHER "{\"name\":\"mail\",\"backends\":[]}"
#define LISTENER "{\"name\":\"l\",\"address\":\"198.18.1.9\",\"protocol\":\"tcp\",\"ports\":80,\"group\":\"web\"}"

static const char *name_of(const char *kind, const char *text)
{
	static char names[4][96];
	static unsigned int next;
	char hash[SLU_ETCD_HASH_BYTES], *name = names[next++ % 4];

	slu_etcd_value_hash(text, strlen(text), hash);
	snprintf(name, sizeof(names[0]), "%s/%s", kind, hash);
	return name;
}

/* The list of a generation of one group, and of a listener unless that is NULL. */
static int want(struct slu_catalog *catalog, unsigned int number, const char *group, const char *listener)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"number\":%u,\"groups\":[\"%s\"],\"listeners\":[%s%s%s]}", number,
		strchr(name_of("groups", group), '/') + 1, listener ? "\"" : "",
		listener ? strchr(name_of("listeners", listener), '/') + 1 : "", listener ? "\"" : "");
	return slu_catalog_want(catalog, text, strlen(text));
}

static int add(struct slu_catalog *catalog, const char *name, const char *text)
{
	return slu_catalog_add(catalog, name, text, strlen(text));
}

static void hash__is_sha256(void **state)
{
	char hash[SLU_ETCD_HASH_BYTES];

	(void)state;
	/* FIPS 180-4, example "abc" */
	slu_etcd_value_hash("abc", 3, hash);
	assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void generation__is_whole_when_its_last_part_is_there_in_any_order(void **state)
{
	struct slu_catalog *catalog = slu_catalog_create();
	char *text;

	(void)state;
	assert_int_equal(slu_catalog_number(catalog), 0);
	assert_int_equal(add(catalog, name_of("listeners", LISTENER), LISTENER), 0);
	assert_int_equal(want(catalog, 3, GROUP, LISTENER), 0);
	assert_int_equal(slu_catalog_number(catalog), 3);
	assert_int_equal(slu_catalog_missing(catalog), 1);
	assert_int_equal(add(catalog, name_of("groups", GROUP), GROUP), 0);
	assert_int_equal(slu_catalog_missing(catalog), 0);
	text = slu_catalog_document(catalog);
	assert_string_equal(text, "{\"version\":1,\n\"groups\":[\n" GROUP "],\n\"listeners\":[\n" LISTENER "]}\n");
	free(text);
	slu_catalog_free(catalog);
}

static void parts_of_the_same_text_but_another_kind__are_not_mixed_up(void **state)
{
	struct slu_catalog *catalog = slu_catalog_create();

	(void)state;
	assert_int_equal(add(catalog, name_of("listeners", GROUP), GROUP), 0);
	assert_int_equal(want(catalog, 1, GROUP, NULL), 0);
	assert_int_equal(slu_catalog_missing(catalog), 1);
	slu_catalog_free(catalog);
}

static void parts_of_no_use__are_forgotten_with_the_document(void **state)
{
	struct slu_catalog *catalog = slu_catalog_create();

	(void)state;
	add(catalog, name_of("groups", GROUP), GROUP);
	add(catalog, name_of("groups", OTHER), OTHER);
	assert_int_equal(want(catalog, 1, GROUP, NULL), 0);
	free(slu_catalog_document(catalog));
	assert_int_equal(want(catalog, 2, OTHER, NULL), 0);
	assert_int_equal(slu_catalog_missing(catalog), 1);
	assert_int_equal(want(catalog, 3, GROUP, NULL), 0);
	assert_int_equal(slu_catalog_missing(catalog), 0);
	slu_catalog_free(catalog);
}

static void change__is_another_list_whatever_its_number(void **state)
{
	struct slu_catalog *catalog = slu_catalog_create();

	(void)state;
	assert_int_equal(want(catalog, 5, GROUP, NULL), 0);
	assert_int_equal(slu_catalog_changes(catalog), 1);
	assert_int_equal(want(catalog, 5, GROUP, NULL), 0);
	assert_int_equal(slu_catalog_changes(catalog), 1);
	/* etcd was made anew: numbers begin again. */
	assert_int_equal(want(catalog, 1, OTHER, NULL), 0);
	assert_int_equal(slu_catalog_changes(catalog), 2);
	slu_catalog_free(catalog);
}

static void part_with_another_hash_or_name__is_refused(void **state)
{
	static const char *const names[] = {"snat/12", "eip", "", "groups", "groups/", "groups/12", "pools/",
		"groups//x", "groups/BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"nodes/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"groups/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0"};
	struct slu_catalog *catalog = slu_catalog_create();
	char text[] = "\xff";

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(add(catalog, names[i], "abc"), -EINVAL);
	assert_int_equal(add(catalog, name_of("groups", GROUP), OTHER), -EBADMSG);
	assert_int_equal(add(catalog, name_of("groups", text), text), -EBADMSG); /* no UTF-8 */
	assert_int_equal(want(catalog, 1, GROUP, NULL), 0);
	assert_int_equal(slu_catalog_missing(catalog), 1);
	slu_catalog_free(catalog);
}

static void list_that_is_none__is_refused_and_the_earlier_one_stays(void **state)
{
	static const char *const texts[] = {"", "[]", "7", "{", "{}", "{\"number\":1}", "{\"number\":1,\"groups\":[]}",
		"{\"number\":0,\"groups\":[],\"listeners\":[]}", "{\"number\":-1,\"groups\":[],\"listeners\":[]}",
		"{\"number\":\"1\",\"groups\":[],\"listeners\":[]}", "{\"number\":1,\"groups\":{},\"listeners\":[]}",
		"{\"number\":1,\"groups\":[1],\"listeners\":[]}", "{\"number\":1,\"groups\":[\"ab\"],\"listeners\":[]}",
		"{\"number\":1,\"number\":1,\"groups\":[],\"listeners\":[]}",
		"{\"number\":1,\"groups\":[],\"listeners\":[],\"snat\":7}",
		"{\"number\":1,\"groups\":[],\"listeners\":[],\"eip\":[\"ab\"]}",
		"{\"number\":1,\"groups\":[],\"listeners\":[],\"metering\":["
		"\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\","
		"\"aa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"]}"};
	struct slu_catalog *catalog = slu_catalog_create();

	(void)state;
	assert_int_equal(want(catalog, 9, GROUP, NULL), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(slu_catalog_want(catalog, texts[i], strlen(texts[i])), -EINVAL);
	assert_int_equal(slu_catalog_number(catalog), 9);
	assert_int_equal(slu_catalog_changes(catalog), 1);
	assert_true(slu_catalog_wants(catalog, name_of("groups", GROUP)));
	slu_catalog_free(catalog);
}

static void configuration__is_split_and_becomes_the_same_document_again(void **state)
{
	static const char text[] =
		"version: 1\nports: [{name: p, device: d, tap: t}]\nlocal_addresses: [198.18.2.9]\n"
		"groups: [{name: web, backends: [{name: b, address: 198.18.3.1}]}]\n"
		"listeners: [{name: l, address: 198.18.1.9, protocol: tcp, ports: 80, group: web}]\n"
		"snat: [{name: nat, sources: [198.18.3.0/24], addresses: [198.18.1.10-198.18.1.12], ports: "
		"2000-3000}]\n"
		"eip: [{name: e1, public: 198.18.1.20, private: 198.18.3.1}, {name: e2, public: 198.18.1.21, private: "
		"198.18.3.2, timeouts: {udp_s: 9}}]\n"
		"metering: {internal: [198.18.0.0/16]}\n";
	struct slu_catalog *catalog = slu_catalog_create();
	struct slu_config *config, *again;
	json_t *list, *parts, *part;
	struct slu_errors errors;
	char *document, *before, *after;
	const char *name;

	(void)state;
	slu_errors_init(&errors, "doc");
	assert_int_equal(slu_config_parse(text, strlen(text), &config, &errors), 0);
	assert_int_equal(slu_catalog_split(config, 4, &list, &parts), 0);
	assert_int_equal(json_object_size(parts), 6);
	document = json_dumps(list, 0);
	assert_int_equal(slu_catalog_want(catalog, document, strlen(document)), 0);
	free(document);
	json_object_foreach(parts, name, part)
	{
		assert_int_equal(add(catalog, name, json_string_value(part)), 0);
	}
	assert_int_equal(slu_catalog_number(catalog), 4);
	assert_int_equal(slu_catalog_missing(catalog), 0);
	document = slu_catalog_document(catalog);
	assert_int_equal(slu_config_parse_shared(config, document, strlen(document), &again, &errors), 0);
	before = slu_config_dump(config);
	after = slu_config_dump(again);
	assert_string_equal(before, after);
	free(before);
	free(after);
	free(document);
	json_decref(list);
	json_decref(parts);
	slu_config_free(config);
	slu_config_free(again);
	slu_errors_clear(&errors);
	slu_catalog_free(catalog);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash__is_sha256),
		cmocka_unit_test(generation__is_whole_when_its_last_part_is_there_in_any_order),
		cmocka_unit_test(parts_of_the_same_text_but_another_kind__are_not_mixed_up),
		cmocka_unit_test(parts_of_no_use__are_forgotten_with_the_document),
		cmocka_unit_test(change__is_another_list_whatever_its_number),
		cmocka_unit_test(part_with_another_hash_or_name__is_refused),
		cmocka_unit_test(list_that_is_none__is_refused_and_the_earlier_one_stays),
		cmocka_unit_test(configuration__is_split_and_becomes_the_same_document_again),
	};

	return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
