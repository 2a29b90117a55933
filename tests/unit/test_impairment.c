/* Delay, loss and reordering of a wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hw/sim/impairment.h"

static unsigned int delivered[20000], count;

static void collect(void *ctx, const uint8_t *frame, size_t len)
{
	(void)ctx;
	assert_int_equal(len, sizeof(unsigned int));
	memcpy(&delivered[count++], frame, len);
}

static struct slu_impairment *make(uint32_t delay_us, double loss, double reorder)
{
	struct slu_impairment_config config = {.delay_us = delay_us, .loss = loss, .reorder = reorder};

	count = 0;
	return slu_impairment_create(&config, 42, collect, NULL);
}

static void send(struct slu_impairment *i, uint64_t now_us, unsigned int number)
{
	slu_impairment_pass(i, now_us, (uint8_t *)&number, sizeof(number));
}

static void nothing_set__frames_pass_at_once(void **state)
{
	struct slu_impairment *i = make(0, 0, 0);

	(void)state;
	send(i, 5, 1);
	assert_int_equal(count, 1);
	assert_true(slu_impairment_next_us(i) == UINT64_MAX);
	slu_impairment_destroy(i);
}

static void delay__frames_leave_when_due_and_in_order(void **state)
{
	struct slu_impairment *i = make(100, 0, 0);

	(void)state;
	for (unsigned int n = 0; n < 1000; n++)
		send(i, n / 10, n);
	assert_int_equal(count, 0);
	assert_int_equal(slu_impairment_next_us(i), 100);
	slu_impairment_advance(i, 149);
	assert_int_equal(count, 500);
	slu_impairment_advance(i, 1000);
	assert_int_equal(count, 1000);
	for (unsigned int n = 0; n < 1000; n++)
		assert_int_equal(delivered[n], n);
	slu_impairment_destroy(i);
}

static void loss__a_tenth__about_a_tenth_is_missing_and_counted(void **state)
{
	struct slu_impairment *i = make(0, 0.1, 0);
	struct slu_impairment_stats stats;

	(void)state;
	for (unsigned int n = 0; n < 20000; n++)
		send(i, n, n);
	slu_impairment_get_stats(i, &stats);
	assert_int_equal(stats.lost + count, 20000);
	/* Five standard deviations of 42. */
	assert_in_range(stats.lost, 2000 - 212, 2000 + 212);
	slu_impairment_destroy(i);
}

static void reorder__some_frames_come_later_and_none_is_lost(void **state)
{
	struct slu_impairment *i = make(0, 0, 0.2);
	static uint8_t seen[5000];
	unsigned int late = 0;

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (unsigned int n = 0; n < 5000; n++) {
		slu_impairment_advance(i, n * 10);
		send(i, n * 10, n);
	}
	slu_impairment_advance(i, 1000000);
	assert_int_equal(count, 5000);
	for (unsigned int n = 0; n < 5000; n++) {
		seen[delivered[n]]++;
		late += n && delivered[n] < delivered[n - 1];
	}
	assert_in_range(late, 500, 1500);
	for (unsigned int n = 0; n < 5000; n++)
		assert_int_equal(seen[n], 1);
	slu_impairment_destroy(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_set__frames_pass_at_once),
		cmocka_unit_test(delay__frames_leave_when_due_and_in_order),
		cmocka_unit_test(loss__a_tenth__about_a_tenth_is_missing_and_counted),
		cmocka_unit_test(reorder__some_frames_come_later_and_none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
