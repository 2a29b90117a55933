/*
 * lib: checksum, packet_edit and maglev.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/checksum.h"
#include "lib/maglev.h"
#include "lib/packet_edit.h"

static void checksum__example_of_rfc_1071__sums_to_ddf2(void **state)
{
	const uint8_t bytes[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(__builtin_bswap16(slu_checksum_fold(slu_checksum_add(0, bytes, 8))), 0xddf2);
	assert_int_equal(__builtin_bswap16(slu_checksum_final(slu_checksum_add(0, bytes, 8))), 0x220d);
	assert_int_equal(__builtin_bswap16(slu_checksum_fold(slu_checksum_add(0, "\x12\x34\x56", 3))), 0x1234 + 0x5600);
}

/* RFC 1624, section 4: the case where the older equation gives 0xFFFF. */
static void checksum__update_of_rfc_1624__gives_positive_zero(void **state)
{
	const uint8_t was[2] = {0x55, 0x55}, is[2] = {0x32, 0x85};
	uint16_t delta = slu_checksum_delta(was, is, 2);

	(void)state;
	assert_int_equal(slu_checksum_update(__builtin_bswap16(0xDD2F), delta), 0x0000);
}

static void checksum__updated_and_recomputed__are_equal_for_random_changes(void **state)
{
	uint8_t bytes[64], changed[64];

	(void)state;
	srand(7);
	for (int round = 0; round < 20000; round++) {
		unsigned int at = (unsigned int)rand() % 32 * 2,
			     count = 2 * (1 + (unsigned int)rand() % ((64 - at) / 2));
		uint16_t was;

		for (int i = 0; i < 64; i++)
			bytes[i] = (uint8_t)(rand() >> 8);
		memcpy(changed, bytes, 64);
		for (unsigned int i = 0; i < count; i++)
			changed[at + i] = (uint8_t)(rand() >> 8);
		was = slu_checksum_final(slu_checksum_add(0, bytes, 64));
		assert_int_equal(slu_checksum_update(was, slu_checksum_delta(bytes + at, changed + at, count)),
			slu_checksum_final(slu_checksum_add(0, changed, 64)));
	}
}

static void packet_edit__ipv4_tcp__keeps_right_checksums_right(void **state)
{
	(void)state;
	srand(3);
	for (int round = 0; round < 20000; round++) {
		uint8_t ip[20] = {0x45, 0, 0, 60, [8] = (uint8_t)(2 + rand() % 254), [9] = 6}, tcp[40];
		uint8_t was[12], is[12];
		uint16_t sum, l3, l4;

		for (int i = 0; i < 40; i++)
			tcp[i] = (uint8_t)(rand() >> 8);
		for (int i = 0; i < 12; i++)
			is[i] = (uint8_t)(rand() >> 8);
		for (int i = 12; i < 20; i++)
			ip[i] = (uint8_t)(rand() >> 8);
		sum = slu_checksum_final(slu_checksum_add(0, ip, 20));
		memcpy(ip + 10, &sum, 2);
		memset(tcp + 16, 0, 2);
		sum = slu_checksum_final(
			slu_checksum_add(slu_checksum_add_pseudo(0, ip + 12, ip + 16, 4, 6, 40), tcp, 40));
		memcpy(tcp + 16, &sum, 2);
		memcpy(was, ip + 12, 8);
		memcpy(was + 8, tcp, 4);
		slu_packet_edit_deltas(was, is, 4, &l3, &l4);
		slu_packet_edit_ipv4(ip, is, l3);
		slu_packet_edit_tcp(tcp, is + 8, l4);
		assert_memory_equal(ip + 12, is, 8);
		assert_memory_equal(tcp, is + 8, 4);
		assert_int_equal(slu_checksum_fold(slu_checksum_add(0, ip, 20)), 0xFFFF);
		assert_int_equal(slu_checksum_fold(slu_checksum_add(
					 slu_checksum_add_pseudo(0, ip + 12, ip + 16, 4, 6, 40), tcp, 40)),
			0xFFFF);
	}
}

static void packet_edit__udp_checksum__never_becomes_absent(void **state)
{
	unsigned int all_ones = 0;

	(void)state;
	for (uint32_t delta = 1; delta <= 0xFFFF; delta++) {
		uint8_t udp[8] = {0, 0, 0, 0, 0, 8, 0x12, 0x34}, none[8] = {0};

		slu_packet_edit_udp(udp, "\1\2\3\4", (uint16_t)delta);
		assert_true(udp[6] | udp[7]);
		all_ones += udp[6] == 0xFF && udp[7] == 0xFF;
		slu_packet_edit_udp(none, "\1\2\3\4", (uint16_t)delta);
		assert_int_equal(none[6] | none[7], 0);
	}
	assert_int_equal(all_ones, 1);
}

/* ---------------------------------------------------------------- maglev */

static uint16_t slots[SLU_MAGLEV_SLOTS], other[SLU_MAGLEV_SLOTS];

static void make(struct slu_maglev_backend *b, uint16_t n, uint16_t weight)
{
	for (uint16_t i = 0; i < n; i++)
		b[i] = (struct slu_maglev_backend){.id = i, .weight = weight, .seed = 1000u * i + 5};
}

static void maglev_build__equal_weights__share_evenly(void **state)
{
	struct slu_maglev_backend b[10];
	uint32_t count[10] = {0};

	(void)state;
	make(b, 10, 5);
	assert_int_equal(slu_maglev_build(b, 10, slots), 0);
	for (uint32_t i = 0; i < SLU_MAGLEV_SLOTS; i++) {
		assert_true(slots[i] < 10);
		count[slots[i]]++;
	}
	for (int i = 0; i < 10; i++)
		assert_in_range(count[i], SLU_MAGLEV_SLOTS / 10 - 1, SLU_MAGLEV_SLOTS / 10 + 1);
}

static void maglev_build__weights__share_in_proportion_and_zero_gets_none(void **state)
{
	struct slu_maglev_backend b[3];
	uint32_t count[3] = {0};

	(void)state;
	make(b, 3, 1);
	b[1].weight = 3;
	b[2].weight = 0;
	assert_int_equal(slu_maglev_build(b, 3, slots), 0);
	for (uint32_t i = 0; i < SLU_MAGLEV_SLOTS; i++)
		count[slots[i]]++;
	assert_in_range(count[0], SLU_MAGLEV_SLOTS / 4 - 2, SLU_MAGLEV_SLOTS / 4 + 2);
	assert_int_equal(count[2], 0);
}

static void maglev_build__order_of_backends__does_not_matter(void **state)
{
	struct slu_maglev_backend b[20], turned[20];

	(void)state;
	make(b, 20, 2);
	for (int i = 0; i < 20; i++)
		turned[i] = b[19 - i];
	assert_int_equal(slu_maglev_build(b, 20, slots), 0);
	assert_int_equal(slu_maglev_build(turned, 20, other), 0);
	assert_memory_equal(slots, other, sizeof(slots));
}

static void maglev_build__one_backend_removed__moves_few_others(void **state)
{
	struct slu_maglev_backend b[100];
	uint32_t moved = 0;

	(void)state;
	make(b, 100, 1);
	assert_int_equal(slu_maglev_build(b, 100, slots), 0);
	b[50].weight = 0;
	assert_int_equal(slu_maglev_build(b, 100, other), 0);
	for (uint32_t i = 0; i < SLU_MAGLEV_SLOTS; i++)
		moved += slots[i] != other[i] && slots[i] != 50;
	/* NSDI 2016, figure 12: about 2 % with a table of 65,537 and so many backends. */
	assert_in_range(moved, 0, SLU_MAGLEV_SLOTS * 3 / 100);
}

static void maglev_build__all_weights_zero__returns_einval(void **state)
{
	struct slu_maglev_backend b[2];

	(void)state;
	make(b, 2, 0);
	slots[7] = 1234;
	assert_int_equal(slu_maglev_build(b, 2, slots), -EINVAL);
	assert_int_equal(slu_maglev_build(b, 0, slots), -EINVAL);
	make(b, 2, 1);
	b[1].seed = b[0].seed;
	assert_int_equal(slu_maglev_build(b, 2, slots), -EINVAL);
	assert_int_equal(slots[7], 1234);
}

static void maglev_slot__every_hash__is_inside_the_table(void **state)
{
	(void)state;
	assert_int_equal(slu_maglev_slot(0), 0);
	assert_int_equal(slu_maglev_slot(UINT64_MAX), SLU_MAGLEV_SLOTS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum__example_of_rfc_1071__sums_to_ddf2),
		cmocka_unit_test(checksum__update_of_rfc_1624__gives_positive_zero),
		cmocka_unit_test(checksum__updated_and_recomputed__are_equal_for_random_changes),
		cmocka_unit_test(packet_edit__ipv4_tcp__keeps_right_checksums_right),
		cmocka_unit_test(packet_edit__udp_checksum__never_becomes_absent),
		cmocka_unit_test(maglev_build__equal_weights__share_evenly),
		cmocka_unit_test(maglev_build__weights__share_in_proportion_and_zero_gets_none),
		cmocka_unit_test(maglev_build__order_of_backends__does_not_matter),
		cmocka_unit_test(maglev_build__one_backend_removed__moves_few_others),
		cmocka_unit_test(maglev_build__all_weights_zero__returns_einval),
		cmocka_unit_test(maglev_slot__every_hash__is_inside_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
