/*
 * What nodes tell of themselves with each heartbeat: written, read back, and read from bytes that are none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cluster/node_status.h"

static void status__is_read_back_as_it_was_written(void **state)
{
	struct slu_node_status out = {true, false, true, 0, 0x1122334455667788, UINT64_MAX, 70000}, in = {0};
	const struct slu_node_count told[2] = {{UINT64_MAX - 1, UINT32_MAX}, {1, 2}};
	struct slu_node_count read[SLU_NODE_STATUS_COUNTS];
	uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES];
	uint32_t next = 0, size;

	(void)state;
	size = slu_node_status_encode(&out, told, 2, &next, bytes);
	assert_int_equal(size, SLU_NODE_STATUS_HEAD_BYTES + 2 * SLU_NODE_STATUS_COUNT_BYTES);
	assert_int_equal(bytes[11], 0x88); /* big-endian, whatever the machine */
	assert_int_equal(slu_node_status_decode(bytes, size, &in, read), 2);
	assert_true(in.joined);
	assert_false(in.announces);
	assert_true(in.drained);
	assert_int_equal(in.turn, 1);
	assert_int_equal(in.generation, out.generation);
	assert_int_equal(in.hash, out.hash);
	assert_int_equal(in.sessions, 70000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read[i].key, told[i].key);
		assert_int_equal(read[i].count, told[i].count);
	}
}

static void counts_that_do_not_fit__are_all_told_within_one_turn(void **state)
{
	enum { COUNT = 3 * SLU_NODE_STATUS_COUNTS - 5 };
	struct slu_node_count told[COUNT], read[SLU_NODE_STATUS_COUNTS];
	struct slu_node_status status = {0}, in;
	uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES];
	uint32_t seen[COUNT] = {0}, next = 0;

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		told[i] = (struct slu_node_count){i, 10 * i};
	for (int beat = 0; beat < 3; beat++) {
		uint32_t size = slu_node_status_encode(&status, told, COUNT, &next, bytes);
		int count = slu_node_status_decode(bytes, size, &in, read);

		assert_int_equal(in.turn, 3);
		assert_int_equal(count, SLU_NODE_STATUS_COUNTS);
		for (int i = 0; i < count; i++) {
			assert_int_equal(read[i].count, 10 * read[i].key);
			seen[read[i].key]++;
		}
	}
	for (uint32_t i = 0; i < COUNT; i++)
		assert_in_range(seen[i], 1, 2);
}

static void list_that_became_shorter__is_told_from_within_it(void **state)
{
	struct slu_node_count told[2] = {{1, 1}, {2, 2}}, read[SLU_NODE_STATUS_COUNTS];
	struct slu_node_status status = {0}, in;
	uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES];
	uint32_t next = 77, size;

	(void)state;
	size = slu_node_status_encode(&status, told, 2, &next, bytes);
	assert_int_equal(slu_node_status_decode(bytes, size, &in, read), 2);
	assert_int_equal(next, 1);
	size = slu_node_status_encode(&status, told, 0, &next, bytes);
	assert_int_equal(slu_node_status_decode(bytes, size, &in, read), 0);
	assert_int_equal(next, 0);
}

/* Rows of what must be refused: the version, and a size that is no head with whole counts. */
static void bytes_that_are_no_status__are_refused_and_write_nothing(void **state)
{
	static const struct {
		uint8_t version;
		uint32_t size;
	} rows[] = {{1, 0}, {1, 1}, {1, SLU_NODE_STATUS_HEAD_BYTES - 1}, {1, SLU_NODE_STATUS_HEAD_BYTES + 1},
		{1, SLU_NODE_STATUS_HEAD_BYTES + SLU_NODE_STATUS_COUNT_BYTES - 1},
		{1, SLU_NODE_STATUS_HEAD_BYTES + SLU_NODE_STATUS_COUNT_BYTES * (SLU_NODE_STATUS_COUNTS + 1)},
		{0, SLU_NODE_STATUS_HEAD_BYTES}, {2, SLU_NODE_STATUS_HEAD_BYTES}};
	struct slu_node_count read[SLU_NODE_STATUS_COUNTS] = {{7, 7}};
	struct slu_node_status status = {.sessions = 7};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* Of hardly more than that size, so that a tool for memory errors sees a read behind it. */
		uint8_t *bytes = calloc(rows[i].size + 1, 1);

		assert_non_null(bytes);
		bytes[0] = rows[i].version;
		assert_int_equal(slu_node_status_decode(bytes, rows[i].size, &status, read), -EINVAL);
		free(bytes);
	}
	assert_int_equal(status.sessions, 7);
	assert_int_equal(read[0].key, 7);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(status__is_read_back_as_it_was_written),
		cmocka_unit_test(counts_that_do_not_fit__are_all_told_within_one_turn),
		cmocka_unit_test(list_that_became_shorter__is_told_from_within_it),
		cmocka_unit_test(bytes_that_are_no_status__are_refused_and_write_nothing),
	};

	return cmocka_run_group_tests_name("node_status", tests, NULL, NULL);
}
