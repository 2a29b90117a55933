#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "driver/base/rule.h"

static struct slu_rule rule4(void)
{
	return (struct slu_rule){
		.proto = 6,
		.port_mask = 1,
		.tcp_zero = 7,
		.match_port_mac = true,
		.vlan_match = SLU_NIC_VLAN_MATCH_VID,
		.vid = 0x123,
		.vni = 0xABCDEF,
		.src = {198, 18, 1, 10},
		.dst = {198, 18, 1, 100},
		.sport = 0xD204, /* 1234 */
		.dport = 0x5000, /* 80 */
		.actions = SLU_NIC_ACT_SET_SRC | SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_SET_SPORT | SLU_NIC_ACT_SET_DPORT |
			   SLU_NIC_ACT_FORWARD,
		.new_src = {198, 18, 2, 100},
		.new_dst = {198, 18, 2, 11},
		.new_sport = 0x1111,
		.new_dport = 0x901F, /* 8080 */
		.queue = 0xFFFF,
		.mark = 0x11223344,
	};
}

static void encode__ipv4__gives_the_bytes_of_the_register_document(void **state)
{
	(void)state;
	const uint8_t expected[52] = {
		0x42, 0x02, 6, 1, 0x23, 0x81, 7, 0,               /* gen flags proto ports vlan tcp_zero */
		0xEF, 0xCD, 0xAB, 0, 0x04, 0xD2, 0x00, 0x50,      /* vni sport dport */
		0x78, 0x56, 0x34, 0x12, 0x2F, 0, 0, 0,            /* flow id, actions */
		0xCD, 0x0A, 0xFF, 0xFF, 0x44, 0x33, 0x22, 0x11,   /* next hop, queue, mark */
		198, 18, 1, 10, 198, 18, 1, 100, 198, 18, 2, 100, /* src dst new_src */
		198, 18, 2, 11, 0x11, 0x11, 0x1F, 0x90,           /* new_dst, new ports */
	};
	struct slu_rule rule = rule4();
	union slu_rule_record record;

	assert_int_equal(slu_rule_encode(&rule, 0x12345678, 0x0ACD, 0x42, &record), 64);
	assert_memory_equal(&record, expected, sizeof(expected));
	for (unsigned i = 56; i < sizeof(record); i++)
		assert_int_equal(record.bytes[i], 0);
}

static uint16_t ones_sum(const uint8_t *bytes, unsigned count)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < count; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

/* RFC 1624: HC' = ~(~HC + delta), HC being the checksum over these bytes alone. */
static void check_delta(const uint8_t *before, const uint8_t *after, unsigned count, slu_be16 delta)
{
	uint16_t old = (uint16_t)~ones_sum(before, count);
	uint32_t sum = (uint16_t)~old + (uint32_t)__builtin_bswap16(delta);

	sum = (sum & 0xFFFF) + (sum >> 16);
	assert_int_equal((uint16_t)~sum, (uint16_t)~ones_sum(after, count));
}

static void encode__ipv4__deltas_turn_old_checksums_into_new_ones(void **state)
{
	(void)state;
	struct slu_rule rule = rule4();
	union slu_rule_record record;
	uint8_t before[12], after[12];

	for (unsigned n = 0; n < 1000; n++) {
		rule.src[3] = (uint8_t)(n * 7);
		rule.new_dst[2] = (uint8_t)(n * 13);
		rule.new_sport = (uint16_t)(n * 31);
		memcpy(before, rule.src, 4);
		memcpy(before + 4, rule.dst, 4);
		memcpy(before + 8, &rule.sport, 2);
		memcpy(before + 10, &rule.dport, 2);
		memcpy(after, rule.new_src, 4);
		memcpy(after + 4, rule.new_dst, 4);
		memcpy(after + 8, &rule.new_sport, 2);
		memcpy(after + 10, &rule.new_dport, 2);
		slu_rule_encode(&rule, 0, 0, 0, &record);
		check_delta(before, after, 8, record.v4.l3_delta);
		check_delta(before, after, 12, record.v4.l4_delta);
	}
}

static void encode__field_that_is_not_set__is_not_in_the_delta(void **state)
{
	(void)state;
	struct slu_rule rule = rule4();
	union slu_rule_record record;

	rule.actions = SLU_NIC_ACT_FORWARD;
	slu_rule_encode(&rule, 0, 0, 0, &record);
	assert_int_equal(record.v4.l3_delta, 0);
	assert_int_equal(record.v4.l4_delta, 0);
}

static void encode__ipv6__has_generation_in_both_halves_and_the_right_delta(void **state)
{
	(void)state;
	struct slu_rule rule = rule4();
	union slu_rule_record record;
	uint8_t before[36], after[36];

	rule.ipv6 = true;
	for (unsigned i = 0; i < 16; i++) {
		rule.src[i] = (uint8_t)(0x10 + i);
		rule.dst[i] = (uint8_t)(0x30 + 3 * i);
		rule.new_src[i] = (uint8_t)(0x90 + 5 * i);
		rule.new_dst[i] = (uint8_t)(0xF0 - 7 * i);
	}
	assert_int_equal(slu_rule_encode(&rule, 1, 2, 0x99, &record), 128);
	assert_int_equal(record.bytes[0], 0x99);
	assert_int_equal(record.bytes[64], 0x99);
	assert_int_equal(record.bytes[1] & SLU_NIC_REC_IPV6, SLU_NIC_REC_IPV6);
	assert_memory_equal(record.bytes + 32, rule.src, 16);
	assert_memory_equal(record.bytes + 80, rule.dst, 16);
	assert_memory_equal(record.bytes + 96, rule.new_src, 16);
	assert_memory_equal(record.bytes + 112, rule.new_dst, 16);
	memcpy(before, rule.src, 16);
	memcpy(before + 16, rule.dst, 16);
	memcpy(before + 32, &rule.sport, 2);
	memcpy(before + 34, &rule.dport, 2);
	memcpy(after, rule.new_src, 16);
	memcpy(after + 16, rule.new_dst, 16);
	memcpy(after + 32, &rule.new_sport, 2);
	memcpy(after + 34, &rule.new_dport, 2);
	check_delta(before, after, 36, record.v6.l4_delta);
}

static void decode__what_was_encoded__gives_the_key_back(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct slu_rule rule = rule4();
		union slu_rule_record record;
		struct slu_flow_key key, back;

		rule.ipv6 = ipv6;
		slu_rule_key(&rule, &key);
		slu_rule_encode(&rule, 5, 6, 7, &record);
		assert_int_equal(slu_rule_decode_key(&record, &back), 0);
		assert_memory_equal(&key, &back, sizeof(key));
	}
}

static void decode__record_that_no_driver_writes__returns_ebadmsg(void **state)
{
	(void)state;
	struct slu_rule rule = rule4();
	union slu_rule_record record, bad;
	struct slu_flow_key key;

	rule.ipv6 = true;
	slu_rule_encode(&rule, 5, 6, 7, &record);
	bad = record;
	bad.v6.gen1++;
	assert_int_equal(slu_rule_decode_key(&bad, &key), -EBADMSG);
	bad = record;
	bad.v6.proto = 1;
	assert_int_equal(slu_rule_decode_key(&bad, &key), -EBADMSG);
	bad = record;
	bad.v6.flags |= 0x80;
	assert_int_equal(slu_rule_decode_key(&bad, &key), -EBADMSG);
	bad = record;
	bad.v6.vni = 0x1000000;
	assert_int_equal(slu_rule_decode_key(&bad, &key), -EBADMSG);
}

static void same_record__generation_differs__is_the_same(void **state)
{
	(void)state;
	struct slu_rule rule = rule4();
	union slu_rule_record a, b;

	slu_rule_encode(&rule, 5, 6, 7, &a);
	slu_rule_encode(&rule, 5, 6, 8, &b);
	assert_true(slu_rule_same_record(&a, &b));
	slu_rule_encode(&rule, 5, 9, 8, &b);
	assert_false(slu_rule_same_record(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encode__ipv4__gives_the_bytes_of_the_register_document),
		cmocka_unit_test(encode__ipv4__deltas_turn_old_checksums_into_new_ones),
		cmocka_unit_test(encode__field_that_is_not_set__is_not_in_the_delta),
		cmocka_unit_test(encode__ipv6__has_generation_in_both_halves_and_the_right_delta),
		cmocka_unit_test(decode__what_was_encoded__gives_the_key_back),
		cmocka_unit_test(decode__record_that_no_driver_writes__returns_ebadmsg),
		cmocka_unit_test(same_record__generation_differs__is_the_same),
	};

	return cmocka_run_group_tests_name("driver_rule", tests, NULL, NULL);
}
