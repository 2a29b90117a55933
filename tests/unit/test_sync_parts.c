/* The parts of session sync that need no network: what was seen, what was told, authentication. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/sync/auth.h"
#include "host/sync/history.h"
#include "host/sync/replay.h"

/* --------------------------------------------------------------------- replay */

struct replay_row {
	const char *sentence;
	uint64_t epoch, sequence;
	enum slu_replay_verdict verdict;
	uint64_t missing;
};

static void replay_note__a_history_of_datagrams__judges_each(void **state)
{
	static const struct replay_row rows[] = {
		{"the first of all", 5, 3, SLU_REPLAY_STARTED, 2},
		{"the next", 5, 4, SLU_REPLAY_NEW, 0},
		{"the next once more", 5, 4, SLU_REPLAY_DUPLICATE, 0},
		{"three further on", 5, 7, SLU_REPLAY_NEW, 2},
		{"one that was overtaken", 5, 6, SLU_REPLAY_LATE, 0},
		{"that one again", 5, 6, SLU_REPLAY_DUPLICATE, 0},
		{"one from before the first", 5, 2, SLU_REPLAY_LATE, 0},
		{"number 0", 5, 0, SLU_REPLAY_OLD, 0},
		{"epoch 0", 0, 9, SLU_REPLAY_OLD, 0},
		{"an earlier epoch", 4, 1000, SLU_REPLAY_OLD, 0},
		{"a thousand further on", 5, 1029, SLU_REPLAY_NEW, 1021},
		{"the oldest of the window, seen", 5, 6, SLU_REPLAY_DUPLICATE, 0},
		{"the one before it", 5, 5, SLU_REPLAY_OLD, 0},
		{"one in the middle, never seen", 5, 500, SLU_REPLAY_LATE, 0},
		{"far further on", 5, 100000, SLU_REPLAY_NEW, 98970},
		{"the old place of a seen one is free", 5, 99999, SLU_REPLAY_LATE, 0},
		{"the node has started again", 6, 1, SLU_REPLAY_STARTED, 0},
		{"what is left of its last start", 5, 100001, SLU_REPLAY_OLD, 0},
	};
	struct slu_replay r = {0};

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t missing;
		enum slu_replay_verdict verdict = slu_replay_note(&r, rows[i].epoch, rows[i].sequence, &missing);

		if (verdict != rows[i].verdict || missing != rows[i].missing)
			fail_msg("%s: verdict %d, missing %lu", rows[i].sentence, verdict, (unsigned long)missing);
	}
}

static void replay_missing__gap_that_fills__is_no_gap_any_more(void **state)
{
	struct slu_replay r = {0};
	uint64_t missing;

	(void)state;
	slu_replay_note(&r, 1, 1, &missing);
	slu_replay_note(&r, 1, 4, &missing);
	assert_true(slu_replay_missing(&r, 2));
	slu_replay_note(&r, 1, 3, &missing);
	assert_true(slu_replay_missing(&r, 2));
	assert_false(slu_replay_missing(&r, 3));
	slu_replay_note(&r, 1, 2, &missing);
	assert_false(slu_replay_missing(&r, 2));
	assert_false(slu_replay_missing(&r, 5));
	slu_replay_note(&r, 1, 4 + SLU_REPLAY_WINDOW, &missing);
	assert_true(slu_replay_missing(&r, 4));
}

static void replay_learn__what_others_have_seen__is_not_taken(void **state)
{
	struct slu_replay r = {0};
	uint64_t missing;

	(void)state;
	assert_true(slu_replay_learn(&r, 7, 5000));
	assert_int_equal(slu_replay_note(&r, 7, 5000, &missing), SLU_REPLAY_DUPLICATE);
	assert_int_equal(slu_replay_note(&r, 7, 4990, &missing), SLU_REPLAY_DUPLICATE);
	assert_int_equal(slu_replay_note(&r, 6, 9999, &missing), SLU_REPLAY_OLD);
	assert_int_equal(slu_replay_note(&r, 7, 5001, &missing), SLU_REPLAY_NEW);
	/* What this node has seen itself stands. */
	assert_false(slu_replay_learn(&r, 7, 9000));
	assert_false(slu_replay_learn(&r, 6, 9000));
	assert_int_equal(r.highest, 5001);
}

/* -------------------------------------------------------------------- history */

static void history__more_than_it_keeps__has_the_newest_in_order_and_knows_its_reach(void **state)
{
	struct slu_history *h = slu_history_create(0); /* the smallest */
	uint8_t *bytes = malloc(65535);
	uint64_t cursor = 0, sequence, expected = 0;
	uint32_t count, kept = 0;

	(void)state;
	assert_non_null(h);
	assert_true(slu_history_reaches(h, 1));
	assert_int_equal(slu_history_next(h, &cursor, 1, &sequence, bytes), 0);
	for (uint64_t s = 1; s <= 1000; s++) {
		memset(bytes, (int)s, 100 + s);
		slu_history_add(h, 2 * s, bytes, (uint32_t)(100 + s)); /* heartbeats take the odd ones */
	}
	cursor = 0;
	while ((count = slu_history_next(h, &cursor, 0, &sequence, bytes))) {
		assert_int_equal(count, 100 + sequence / 2);
		assert_int_equal(bytes[0], (uint8_t)(sequence / 2));
		assert_int_equal(bytes[count - 1], (uint8_t)(sequence / 2));
		assert_true(!expected || sequence == expected);
		expected = sequence + 2;
		if (kept++ == 0) {
			assert_true(slu_history_reaches(h, sequence));
			assert_true(slu_history_reaches(h, sequence - 1));
			assert_false(slu_history_reaches(h, sequence - 2));
		}
	}
	assert_int_equal(expected, 2002);
	assert_true(kept > 50 && kept < 70);
	cursor = 0;
	assert_int_equal(slu_history_next(h, &cursor, 1999, &sequence, bytes), 1100);
	assert_int_equal(sequence, 2000);
	slu_history_free(h);
	free(bytes);
}

static void history__largest_datagram__fits_the_smallest_history(void **state)
{
	struct slu_history *h = slu_history_create(1);
	uint8_t *bytes = calloc(1, 65535);
	uint64_t cursor = 0, sequence;

	(void)state;
	slu_history_add(h, 1, bytes, 65535);
	slu_history_add(h, 2, bytes, 65535);
	assert_int_equal(slu_history_next(h, &cursor, 0, &sequence, bytes), 65535);
	assert_int_equal(sequence, 2);
	slu_history_free(h);
	free(bytes);
}

/* ------------------------------------------------------------- authentication */

/* RFC 4231, test case 2. */
static void auth_compute__test_case_of_the_rfc__has_its_result(void **state)
{
	static const uint8_t expected[SLU_AUTH_MAC] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
		0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9,
		0x64, 0xec, 0x38, 0x43};
	const struct slu_auth_part parts[] = {{"what do ya want ", 16}, {"for nothing?", 12}};
	struct slu_auth *auth = slu_auth_create((const uint8_t *)"Jefe", 4);
	uint8_t mac[SLU_AUTH_MAC];

	(void)state;
	assert_non_null(auth);
	for (int i = 0; i < 3; i++) { /* the context is used again */
		assert_true(slu_auth_compute(auth, parts, 2, mac));
		assert_memory_equal(mac, expected, sizeof(mac));
	}
	slu_auth_free(auth);
}

static void auth_verify__any_bit_changed__is_noticed(void **state)
{
	struct slu_auth *auth = slu_auth_create((const uint8_t *)"0123456789abcdef", 16);
	struct slu_auth *other = slu_auth_create((const uint8_t *)"0123456789abcdeF", 16);
	uint8_t bytes[100];

	(void)state;
	memset(bytes, 0xAA, sizeof(bytes));
	assert_true(slu_auth_sign(auth, bytes, sizeof(bytes)));
	assert_true(slu_auth_verify(auth, bytes, sizeof(bytes)));
	assert_false(slu_auth_verify(other, bytes, sizeof(bytes)));
	assert_false(slu_auth_verify(auth, bytes, sizeof(bytes) - 1));
	assert_false(slu_auth_verify(auth, bytes, 15));
	for (unsigned int bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(slu_auth_verify(auth, bytes, sizeof(bytes)));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	slu_auth_free(auth);
	slu_auth_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay_note__a_history_of_datagrams__judges_each),
		cmocka_unit_test(replay_missing__gap_that_fills__is_no_gap_any_more),
		cmocka_unit_test(replay_learn__what_others_have_seen__is_not_taken),
		cmocka_unit_test(history__more_than_it_keeps__has_the_newest_in_order_and_knows_its_reach),
		cmocka_unit_test(history__largest_datagram__fits_the_smallest_history),
		cmocka_unit_test(auth_compute__test_case_of_the_rfc__has_its_result),
		cmocka_unit_test(auth_verify__any_bit_changed__is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
