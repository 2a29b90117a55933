#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "flow_hash.h"

static const uint32_t secret[SLU_NIC_HASH_KEYS] = {0x01234567, 0x89ABCDEF, 0x0F1E2D3C, 0x4B5A6979, 0x8897A6B5,
	0xC4D3E2F1, 0x13579BDF, 0x2468ACE1, 0xDEADBEEF, 0xCAFEF00D, 0x31415927, 0x27182819, 0x16180339, 0x14142135};

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state += 0x9E3779B97F4A7C15ull;
	uint64_t z = random_state;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
	return z ^ (z >> 31);
}

static void key__bytes_of_the_packet__stand_in_little_endian_words(void **state)
{
	(void)state;
	const uint8_t src[4] = {198, 18, 1, 2}, dst[4] = {198, 18, 1, 100};
	const uint8_t ports[4] = {0x9C, 0x40, 0x00, 0x50};
	uint16_t sport, dport;
	struct slu_flow_key key;

	memcpy(&sport, ports, 2);
	memcpy(&dport, ports + 2, 2);
	slu_flow_hash_key(&key, src, dst, 4, sport, dport, 6, 0xABCDEF);
	assert_int_equal(key.w[0], 0x020112C6);
	assert_int_equal(key.w[4], 0x640112C6);
	assert_int_equal(key.w[1] | key.w[2] | key.w[3] | key.w[5] | key.w[6] | key.w[7], 0);
	assert_int_equal(key.w[8], 0x5000409C);
	assert_int_equal(key.w[9], 0xABCDEF06);
}

/* The formula of the register document, spelled out once more with wide integers. */
static void compute__any_key__equals_the_formula_term_by_term(void **state)
{
	(void)state;
	for (int n = 0; n < 1000; n++) {
		struct slu_flow_key key;
		unsigned __int128 sum = 0;

		for (int i = 0; i < SLU_FLOW_HASH_WORDS; i++)
			key.w[i] = (uint32_t)next_random();
		for (int i = 0; i < 5; i++) {
			uint64_t a = ((uint64_t)key.w[2 * i] + secret[2 * i]) % (1ull << 32);
			uint64_t b = ((uint64_t)key.w[2 * i + 1] + secret[2 * i + 1]) % (1ull << 32);
			sum += (unsigned __int128)a * b;
		}
		uint64_t lo = (uint64_t)sum % (1ull << 32), hi = (uint64_t)sum / (1ull << 32);
		uint64_t f0 = (lo + secret[10]) % (1ull << 32) * ((hi + secret[11]) % (1ull << 32));
		uint64_t f1 = (lo ^ secret[12]) * (hi ^ secret[13] ^ ((lo * 65536 + lo / 65536) % (1ull << 32)));
		struct slu_flow_hash hash = slu_flow_hash_compute(&key, secret, 17);

		assert_int_equal(hash.bucket, f0 / (1 << 24) % (1 << 17));
		assert_int_equal(hash.tag, f1 / (1 << 28) % (1 << 17));
	}
}

static void compute__fixed_key__gives_the_committed_vector(void **state)
{
	(void)state;
	const uint8_t src[4] = {198, 18, 1, 2}, dst[4] = {198, 18, 1, 100};
	struct slu_flow_key key;

	slu_flow_hash_key(&key, src, dst, 4, 0x409C, 0x5000, 6, 0);
	struct slu_flow_hash hash = slu_flow_hash_compute(&key, secret, 17);

	assert_int_equal(hash.bucket, 0x173AB);
	assert_int_equal(hash.tag, 0xEFB3);
}

static void condition__any_secret__makes_multipliers_odd_and_is_idempotent(void **state)
{
	(void)state;
	uint32_t a[SLU_NIC_HASH_KEYS] = {0}, b[SLU_NIC_HASH_KEYS];

	slu_flow_hash_condition(a);
	assert_int_equal(a[1] & a[3] & a[5] & a[7] & a[9], 1);
	memcpy(b, a, sizeof(a));
	slu_flow_hash_condition(b);
	assert_memory_equal(a, b, sizeof(a));
}

/* Fills 2^14 cells from 2^18 keys and compares the spread with a random function's: chi-square within 6 sigma. */
static void check_spread(void (*make)(uint32_t, struct slu_flow_key *))
{
	enum { CELLS = 1 << 14, KEYS = 1 << 18 };
	static uint32_t buckets[CELLS], tags[CELLS];

	for (int run = 0; run < 4; run++) {
		uint32_t k[SLU_NIC_HASH_KEYS];
		double chi_bucket = 0, chi_tag = 0, mean = (double)KEYS / CELLS;

		for (unsigned i = 0; i < SLU_NIC_HASH_KEYS; i++)
			k[i] = (uint32_t)next_random();
		slu_flow_hash_condition(k);
		memset(buckets, 0, sizeof(buckets));
		memset(tags, 0, sizeof(tags));
		for (uint32_t i = 0; i < KEYS; i++) {
			struct slu_flow_key key;

			make(i, &key);
			struct slu_flow_hash hash = slu_flow_hash_compute(&key, k, 14);
			buckets[hash.bucket]++;
			tags[hash.tag & (CELLS - 1)]++;
		}
		for (int c = 0; c < CELLS; c++) {
			chi_bucket += (buckets[c] - mean) * (buckets[c] - mean) / mean;
			chi_tag += (tags[c] - mean) * (tags[c] - mean) / mean;
		}
		/* Mean CELLS - 1, variance 2 (CELLS - 1): sigma is 181. Structured keys may spread too evenly, which is
		 * no harm. */
		assert_true(chi_bucket < CELLS + 6 * 181);
		assert_true(chi_tag < CELLS + 6 * 181);
	}
}

static void sequential_ports(uint32_t i, struct slu_flow_key *key)
{
	uint32_t src = __builtin_bswap32(0x0A000001 + i / 50000), dst = __builtin_bswap32(0xC6120164);

	slu_flow_hash_key(key, (uint8_t *)&src, (uint8_t *)&dst, 4, __builtin_bswap16((uint16_t)(1024 + i % 50000)),
		__builtin_bswap16(80), 6, 0);
}

static void sequential_addresses(uint32_t i, struct slu_flow_key *key)
{
	uint32_t src = __builtin_bswap32(0x0A000001 + i), dst = __builtin_bswap32(0xC6120164);

	slu_flow_hash_key(key, (uint8_t *)&src, (uint8_t *)&dst, 4, 0x1234, __builtin_bswap16(443), 17, 0);
}

static void few_clients(uint32_t i, struct slu_flow_key *key)
{
	uint32_t src = __builtin_bswap32(0xC612020B + i % 4), dst = __builtin_bswap32(0xC6120264 + i / 4 % 2);

	slu_flow_hash_key(key, (uint8_t *)&src, (uint8_t *)&dst, 4, __builtin_bswap16(80),
		__builtin_bswap16((uint16_t)(i / 8)), 6, i >> 19);
}

static void sequential_prefixes(uint32_t i, struct slu_flow_key *key)
{
	uint8_t src[16] = {0xFD, [15] = 1}, dst[16] = {0xFD, 1, [15] = 2};
	uint32_t prefix = __builtin_bswap32(i);

	memcpy(src + 4, &prefix, 4);
	slu_flow_hash_key(key, src, dst, 16, 0x1234, __builtin_bswap16(443), 6, 0);
}

#define SPREAD_TEST(name, make)                                                                                        \
	static void name(void **state)                                                                                 \
	{                                                                                                              \
		(void)state;                                                                                           \
		check_spread(make);                                                                                    \
	}
SPREAD_TEST(compute__sequential_ports__spread_like_random, sequential_ports)
SPREAD_TEST(compute__sequential_addresses__spread_like_random, sequential_addresses)
SPREAD_TEST(compute__four_backends_and_all_ports__spread_like_random, few_clients)
SPREAD_TEST(compute__sequential_ipv6_prefixes__spread_like_random, sequential_prefixes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key__bytes_of_the_packet__stand_in_little_endian_words),
		cmocka_unit_test(compute__any_key__equals_the_formula_term_by_term),
		cmocka_unit_test(compute__fixed_key__gives_the_committed_vector),
		cmocka_unit_test(condition__any_secret__makes_multipliers_odd_and_is_idempotent),
		cmocka_unit_test(compute__sequential_ports__spread_like_random),
		cmocka_unit_test(compute__sequential_addresses__spread_like_random),
		cmocka_unit_test(compute__four_backends_and_all_ports__spread_like_random),
		cmocka_unit_test(compute__sequential_ipv6_prefixes__spread_like_random),
	};

	return cmocka_run_group_tests_name("flow_hash", tests, NULL, NULL);
}
