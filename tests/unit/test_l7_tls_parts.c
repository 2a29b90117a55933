/* Pure parts of the proxy's TLS: what is to be signed, and names of servers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "l7/tls/name_map.h"
#include "l7/tls/statement.h"

#define HEAD_BYTES 98

static size_t cert_verify(uint8_t *text, const char *role, size_t hash_bytes)
{
	memset(text, ' ', 64);
	snprintf((char *)text + 64, 35, "TLS 1.3, %s CertificateVerify", role);
	memset(text + HEAD_BYTES, 0xaa, hash_bytes);
	return HEAD_BYTES + hash_bytes;
}

static void cert_verify__is_read_for_its_own_role_and_hash_alone(void **state)
{
	static const size_t good[] = {32, 48}, bad[] = {0, 20, 31, 33, 47, 49, 64};
	struct slu_statement statement;
	uint8_t text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		size_t bytes = cert_verify(text, "server", good[i]);

		assert_int_equal(slu_statement_read(text, bytes, true, false, &statement), 0);
		assert_int_equal(statement.kind, SLU_STATEMENT_CERT_VERIFY_13);
		assert_ptr_equal(statement.body, text + HEAD_BYTES);
		assert_int_equal(statement.body_bytes, good[i]);
		assert_int_equal(slu_statement_read(text, bytes, true, true, &statement), -EBADMSG);
		cert_verify(text, "client", good[i]);
		assert_int_equal(slu_statement_read(text, bytes, true, true, &statement), 0);
		assert_int_equal(slu_statement_read(text, bytes, true, false, &statement), -EBADMSG);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(slu_statement_read(text, cert_verify(text, "server", bad[i]), true, false, &statement),
			-EBADMSG);
	for (size_t i = 0; i < HEAD_BYTES; i++) {
		size_t bytes = cert_verify(text, "server", 32);

		text[i] ^= 1;
		assert_int_equal(slu_statement_read(text, bytes, true, false, &statement), -EBADMSG);
	}
}

static void key_exchange__is_read_if_it_names_a_curve_and_its_point_fills_it(void **state)
{
	struct slu_statement statement;
	uint8_t text[64 + 4 + 65] = {0};

	(void)state;
	text[64] = 3;
	text[66] = 23;
	text[67] = 65;
	assert_int_equal(slu_statement_read(text, sizeof(text), false, false, &statement), 0);
	assert_int_equal(statement.kind, SLU_STATEMENT_KEY_EXCHANGE_12);
	assert_ptr_equal(statement.server_random, text + 32);
	assert_ptr_equal(statement.body, text + 64);
	assert_int_equal(statement.body_bytes, sizeof(text) - 64);
	for (size_t bytes = 0; bytes < sizeof(text); bytes++)
		assert_int_equal(slu_statement_read(text, bytes, false, false, &statement), -EBADMSG);
	text[67] = 64;
	assert_int_equal(slu_statement_read(text, sizeof(text), false, false, &statement), -EBADMSG);
	text[67] = 65;
	text[64] = 1;
	assert_int_equal(slu_statement_read(text, sizeof(text), false, false, &statement), -EBADMSG);
}

static void transcript__begins_with_a_whole_client_hello(void **state)
{
	struct slu_statement statement;
	uint8_t text[200] = {1, 0, 0, 60};

	(void)state;
	assert_int_equal(slu_statement_read(text, sizeof(text), false, true, &statement), 0);
	assert_int_equal(statement.kind, SLU_STATEMENT_CLIENT_TRANSCRIPT_12);
	assert_int_equal(statement.body_bytes, sizeof(text));
	assert_int_equal(slu_statement_read(text, 37, false, true, &statement), -EBADMSG);
	assert_int_equal(slu_statement_read(text, 63, false, true, &statement), -EBADMSG);
	text[1] = 1;
	assert_int_equal(slu_statement_read(text, sizeof(text), false, true, &statement), -EBADMSG);
	text[1] = 0;
	text[0] = 2;
	assert_int_equal(slu_statement_read(text, sizeof(text), false, true, &statement), -EBADMSG);
}

static uint32_t find(const struct slu_name_map *map, const char *name)
{
	return slu_name_map_find(map, name, strlen(name), 0);
}

static void names__are_found_exactly_then_by_wildcard(void **state)
{
	struct slu_name_map *map = slu_name_map_create(3);
	char longest[300];

	(void)state;
	*slu_name_map_add(map, "www.example.org") = 1;
	*slu_name_map_add(map, "*.example.org") = 2;
	*slu_name_map_add(map, "example.org") = 3;
	assert_int_equal(*slu_name_map_add(map, "www.example.org"), 1);
	assert_null(slu_name_map_add(map, "fourth.example.org"));
	assert_int_equal(find(map, "www.example.org"), 1);
	assert_int_equal(find(map, "WWW.Example.ORG."), 1);
	assert_int_equal(find(map, "mail.example.org"), 2);
	assert_int_equal(find(map, "example.org"), 3);
	assert_int_equal(find(map, "a.b.example.org"), 0);
	assert_int_equal(find(map, "org"), 0);
	assert_int_equal(find(map, ".example.org"), 0);
	assert_int_equal(find(map, "*.example.org"), 0);
	assert_int_equal(find(map, ""), 0);
	assert_int_equal(find(map, "."), 0);
	assert_int_equal(slu_name_map_find(map, "www\0example.org", 15, 0), 0);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(slu_name_map_find(map, longest, sizeof(longest), 0), 0);
	assert_int_equal(slu_name_map_find(map, longest, 255, 0), 0);
	slu_name_map_free(map);
}

static void many_names__are_all_found(void **state)
{
	enum { MANY = 5000 };
	static char names[MANY][32];
	struct slu_name_map *map = slu_name_map_create(MANY);

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "host%u.example.net", i);
		*slu_name_map_add(map, names[i]) = i + 1;
	}
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(find(map, names[i]), i + 1);
	slu_name_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(cert_verify__is_read_for_its_own_role_and_hash_alone),
		cmocka_unit_test(key_exchange__is_read_if_it_names_a_curve_and_its_point_fills_it),
		cmocka_unit_test(transcript__begins_with_a_whole_client_hello),
		cmocka_unit_test(names__are_found_exactly_then_by_wildcard),
		cmocka_unit_test(many_names__are_all_found)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
