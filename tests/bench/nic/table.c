/*
 * The flow table without a card: how full it gets, how often two flows cannot
 * be told apart by tag, and what an insert costs the driver.
 *
 * Keys are what clients make, not random words: each figure of the table is
 * the worst of the key sets below. Prints lines `name value unit`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver/base/flow_table.h"
#include "flow_hash.h"
#include "flow_place.h"
#include "tests/unit/driver_fake_card.h"

#define BITS_1M 17
#define BITS_16M 21
#define PROBES 4000000u

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state += 0x9E3779B97F4A7C15ull;
	uint64_t z = random_state;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
	return z ^ (z >> 31);
}

static double thread_cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The i-th flow of a set of keys: all different. */
typedef void make_key(uint32_t i, struct slu_flow_key *key);

static void key4(struct slu_flow_key *key, uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport)
{
	src = __builtin_bswap32(src);
	dst = __builtin_bswap32(dst);
	slu_flow_hash_key(
		key, (uint8_t *)&src, (uint8_t *)&dst, 4, __builtin_bswap16(sport), __builtin_bswap16(dport), 6, 0);
}

/* A client after the other uses up its ports. */
static void key_ports(uint32_t i, struct slu_flow_key *key)
{
	key4(key, 0x0A000001 + i / 50000, 0xC6120164, (uint16_t)(10000 + i % 50000), 443);
}

/* Neighbouring clients with one connection each. */
static void key_addresses(uint32_t i, struct slu_flow_key *key)
{
	key4(key, 0x0A000001 + i, 0xC6120164, 40000, 443);
}

/* Answers: few backends, few local addresses, all their ports. */
static void key_replies(uint32_t i, struct slu_flow_key *key)
{
	key4(key, 0xC612020B + i % 4, 0xC6120264 + i / 4 % 4, (uint16_t)(80 + (i >> 20)), (uint16_t)(i / 16));
}

static void key_prefixes6(uint32_t i, struct slu_flow_key *key)
{
	uint8_t src[16] = {0xFD, [15] = 1}, dst[16] = {0xFD, 1, [15] = 2};
	uint32_t prefix = __builtin_bswap32(i);

	memcpy(src + 4, &prefix, 4);
	slu_flow_hash_key(key, src, dst, 16, 0x1234, __builtin_bswap16(443), 6, 0);
}

static make_key *const sets[] = {key_ports, key_addresses, key_replies, key_prefixes6};
#define SETS (sizeof(sets) / sizeof(sets[0]))

struct result {
	double first_fail_load;
	double clash_ppm[3]; /* of new keys, at 75, 90, 95 % load */
};

static void new_secret(uint32_t secret[SLU_NIC_HASH_KEYS])
{
	for (unsigned i = 0; i < SLU_NIC_HASH_KEYS; i++)
		secret[i] = (uint32_t)next_random();
	slu_flow_hash_condition(secret);
}

/* Of keys that are not in the table: how many would be refused for their tag. */
static double clash_ppm(
	const struct slu_flow_place *table, unsigned bits, const uint32_t *secret, make_key *make, uint32_t first)
{
	uint32_t clashes = 0;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct slu_flow_key key;
		uint32_t slot;

		make(first + i, &key);
		struct slu_flow_hash hash = slu_flow_hash_compute(&key, secret, bits);
		clashes += slu_flow_place_find(table, hash.bucket, hash.tag, &slot) == 0;
	}
	return clashes * 1e6 / PROBES;
}

static struct result fill(unsigned bits, make_key *make, bool probe)
{
	static const double loads[3] = {0.75, 0.90, 0.95};
	uint32_t secret[SLU_NIC_HASH_KEYS];
	struct slu_flow_place *table;
	struct result result = {0};
	unsigned next_load = 0;

	new_secret(secret);
	if (slu_flow_place_create(bits, &table))
		exit(1);
	double slots = slu_flow_place_slots(table);
	for (uint32_t i = 0;; i++) {
		struct slu_flow_place_plan plan;
		struct slu_flow_key key;

		make(i, &key);
		struct slu_flow_hash hash = slu_flow_hash_compute(&key, secret, bits);
		if (slu_flow_place_insert(table, hash.bucket, hash.tag, &plan) == -ENOSPC)
			break;
		if (probe && next_load < 3 && slu_flow_place_used(table) >= loads[next_load] * slots)
			result.clash_ppm[next_load++] = clash_ppm(table, bits, secret, make, i + 1);
	}
	result.first_fail_load = slu_flow_place_used(table) / slots;
	slu_flow_place_destroy(table);
	return result;
}

static void bench_table(void)
{
	struct result worst = {.first_fail_load = 1};
	double load_16m = 1;

	for (unsigned s = 0; s < SETS; s++) {
		struct result r = fill(BITS_1M, sets[s], true);

		if (r.first_fail_load < worst.first_fail_load)
			worst.first_fail_load = r.first_fail_load;
		for (int i = 0; i < 3; i++)
			worst.clash_ppm[i] = r.clash_ppm[i] > worst.clash_ppm[i] ? r.clash_ppm[i] : worst.clash_ppm[i];
	}
	load_16m = fill(BITS_16M, key_replies, false).first_fail_load;
	printf("nic.table_first_capacity_fail_load %.4f ratio\n", worst.first_fail_load);
	printf("nic.table_first_capacity_fail_load_16M %.4f ratio\n", load_16m);
	printf("nic.tag_clash_ppm_75 %.1f ppm\n", worst.clash_ppm[0]);
	printf("nic.tag_clash_ppm_90 %.1f ppm\n", worst.clash_ppm[1]);
	printf("nic.tag_clash_ppm_95 %.1f ppm\n", worst.clash_ppm[2]);
}

static void make_rule(uint32_t i, struct slu_rule *rule)
{
	uint32_t src = __builtin_bswap32(0x0A000001 + i / 50000);

	*rule = (struct slu_rule){.proto = 6,
		.port_mask = 1,
		.tcp_zero = 7,
		.vlan_match = SLU_NIC_VLAN_MATCH_UNTAGGED,
		.src = {0},
		.dst = {198, 18, 1, 100},
		.sport = __builtin_bswap16((uint16_t)(10000 + i % 50000)),
		.dport = 0x5000,
		.actions = SLU_NIC_ACT_SET_SRC | SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_SET_SPORT | SLU_NIC_ACT_SET_DPORT |
			   SLU_NIC_ACT_DEC_TTL | SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_SET_DMAC | SLU_NIC_ACT_SET_SMAC |
			   SLU_NIC_ACT_COUNT,
		.new_src = {198, 18, 2, 100},
		.new_dst = {198, 18, 2, (uint8_t)(11 + i % 3)},
		.new_sport = (uint16_t)i,
		.new_dport = 0x5000,
		.next_hop = {.flags = SLU_NIC_NH_VALID, .port = 1, .dmac = {2, 0, 0, 0, 0, (uint8_t)(i % 3)}}};
	memcpy(rule->src, &src, 4);
}

/*
 * Key, placement, record, next hop and commands, up to the ring: the driver's own thread, to 75 % of 1 M slots. A
 * second thread stands in for the card; its time does not count, nor does a time in which the driver waits for it.
 */
static void bench_inserts(void)
{
	struct fake_card *card = fake_card_create(BITS_1M);
	const uint32_t count = (8u << BITS_1M) * 3 / 4;
	struct slu_flow *flows = calloc(count, sizeof(*flows));
	struct slu_command_ring ring;
	struct slu_flow_table *table;
	double busy_s = 0;
	uint32_t inserted = 0;
	char why[256];

	if (!flows || slu_command_init(&ring, &card->hw, &card->card, &fake_card_memory, card->eventfd) ||
		slu_flow_table_create(&ring, &card->card, false, &table, why, sizeof(why)))
		exit(1);
	for (uint32_t i = 0; i < count;) {
		uint32_t batch = count - i < 64 ? count - i : 64; /* fits the ring, whatever it has to move */
		struct slu_flow *last = NULL;
		double begin = thread_cpu_s();

		for (uint32_t n = 0; n < batch; n++, i++) {
			enum slu_flow_refusal refusal;
			struct slu_rule rule;

			make_rule(i, &rule);
			if (slu_flow_table_insert(table, &flows[i], &rule, NULL, NULL, &refusal) == 0) {
				last = &flows[i];
				inserted++;
			}
		}
		slu_command_kick(&ring);
		busy_s += thread_cpu_s() - begin;
		if (last)
			slu_command_wait(&ring, &last->op);
	}
	printf("nic.driver_inserts_per_cpu_s %.0f 1/s\n", inserted / busy_s);
	slu_command_fini(&ring);
	slu_flow_table_destroy(table);
	fake_card_destroy(card);
	free(flows);
}

int main(void)
{
	bench_table();
	bench_inserts();
	return 0;
}
