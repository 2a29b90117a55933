/* The map of the offload engine, against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/offload/flow_map.h"

#define KEYS 4096
#define STEPS 400000

static void an_empty_map_answers_none(void **state)
{
	struct slu_flow_map map = {0};

	(void)state;
	assert_int_equal(slu_flow_map_get(&map, 5), SLU_FLOW_MAP_NONE);
	slu_flow_map_remove(&map, 5);
	slu_flow_map_free(&map);
}

static void random_puts_and_removes_agree_with_an_array(void **state)
{
	static uint32_t expected[KEYS];
	struct slu_flow_map map = {0};
	uint32_t present = 0;

	(void)state;
	srand(3);
	memset(expected, 0xff, sizeof(expected));
	for (uint32_t step = 0; step < STEPS; step++) {
		uint32_t k = (uint32_t)rand() % KEYS, value = (uint32_t)rand() & 0xffffff;
		/* Keys of sessions: some differ in high bits only. */
		uint64_t key = (uint64_t)(k & 63) << 48 | (uint64_t)1 << 32 | (k >> 6) << 4;

		assert_int_equal(slu_flow_map_get(&map, key), expected[k]);
		if (rand() % 2) {
			present += expected[k] == SLU_FLOW_MAP_NONE;
			expected[k] = value;
			assert_int_equal(slu_flow_map_put(&map, key, value), 0);
		} else {
			present -= expected[k] != SLU_FLOW_MAP_NONE;
			expected[k] = SLU_FLOW_MAP_NONE;
			slu_flow_map_remove(&map, key);
		}
		assert_int_equal(map.count, present);
	}
	slu_flow_map_free(&map);
}

static void a_map_grows_and_keeps_everything(void **state)
{
	struct slu_flow_map map = {0};

	(void)state;
	for (uint32_t i = 1; i <= 100000; i++)
		assert_int_equal(slu_flow_map_put(&map, (uint64_t)i << 20, i), 0);
	for (uint32_t i = 1; i <= 100000; i++)
		assert_int_equal(slu_flow_map_get(&map, (uint64_t)i << 20), i);
	slu_flow_map_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(an_empty_map_answers_none),
		cmocka_unit_test(random_puts_and_removes_agree_with_an_array),
		cmocka_unit_test(a_map_grows_and_keeps_everything)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
