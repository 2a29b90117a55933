#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow_place.h"

#define BITS 8
#define SLOTS ((SLU_NIC_BANKS * SLU_NIC_WAYS) << BITS)

/* What the card would hold: the flow at each slot, driven by plans alone. */
struct card {
	uint32_t flow[SLOTS]; /* 0: empty, else flow number */
	uint32_t place[SLOTS + 1];
	struct slu_flow_hash hash[SLOTS + 1];
	uint32_t flows;
};

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state += 0x9E3779B97F4A7C15ull;
	uint64_t z = random_state;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
	return z ^ (z >> 31);
}

static struct slu_flow_hash random_hash(void)
{
	uint64_t r = next_random();

	return (struct slu_flow_hash){
		.bucket = (uint32_t)r & ((1 << BITS) - 1), .tag = (uint32_t)(r >> 32) & SLU_FLOW_HASH_TAG_MASK};
}

/* Where the card looks: bank A at the bucket, bank B at bucket xor alternate. */
static int card_finds(const struct slu_flow_hash *hash, uint32_t slot)
{
	uint32_t bank = slot >> (BITS + 2), bucket = slot >> 2 & ((1 << BITS) - 1);

	return bucket == (bank ? hash->bucket ^ slu_flow_hash_alternate(hash->tag, BITS) : hash->bucket);
}

static void card_apply(struct card *card, const struct slu_flow_place_plan *plan, struct slu_flow_hash hash)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		uint32_t from = plan->moves[i].from, to = plan->moves[i].to, flow = card->flow[from];

		assert_int_not_equal(flow, 0);
		assert_int_equal(card->flow[to], 0); /* make before break: the target is free */
		assert_true(card_finds(&card->hash[flow], to));
		card->flow[to] = flow;
		card->place[flow] = to;
		card->flow[from] = 0;
	}
	uint32_t flow = ++card->flows;
	assert_int_equal(card->flow[plan->slot], 0);
	assert_true(card_finds(&hash, plan->slot));
	card->flow[plan->slot] = flow;
	card->place[flow] = plan->slot;
	card->hash[flow] = hash;
}

static void insert__until_full__every_flow_stays_where_the_card_looks(void **state)
{
	(void)state;
	struct slu_flow_place *table;
	struct card *card = calloc(1, sizeof(*card));
	uint32_t clashes = 0, moves = 0;

	assert_int_equal(slu_flow_place_create(BITS, &table), 0);
	for (;;) {
		struct slu_flow_hash hash = random_hash();
		struct slu_flow_place_plan plan;
		int error = slu_flow_place_insert(table, hash.bucket, hash.tag, &plan);

		if (error == -EEXIST) {
			clashes++;
			continue;
		}
		if (error) {
			assert_int_equal(error, -ENOSPC);
			break;
		}
		card_apply(card, &plan, hash);
		moves += plan.count;
		assert_true(plan.count <= SLU_FLOW_PLACE_MOVES_MAX);
	}
	assert_true(card->flows > 0.94 * SLOTS);
	assert_true(moves > 0 && clashes < 10);
	assert_int_equal(slu_flow_place_used(table), card->flows);
	for (uint32_t f = 1; f <= card->flows; f++) {
		uint32_t slot;

		assert_int_equal(slu_flow_place_find(table, card->hash[f].bucket, card->hash[f].tag, &slot), 0);
		assert_int_equal(slot, card->place[f]);
		assert_int_equal(slu_flow_place_home(table, slot), card->hash[f].bucket);
	}
	slu_flow_place_destroy(table);
	free(card);
}

static void insert__same_tag_and_bucket__returns_eexist_in_either_bank(void **state)
{
	(void)state;
	struct slu_flow_place *table;
	struct slu_flow_place_plan plan;

	assert_int_equal(slu_flow_place_create(BITS, &table), 0);
	for (uint32_t tag = 1; tag < 6; tag++) {
		assert_int_equal(slu_flow_place_insert(table, 7, tag, &plan), 0);
		assert_int_equal(slu_flow_place_insert(table, 7, tag, &plan), -EEXIST);
	}
	assert_int_equal(slu_flow_place_used(table), 5);
	assert_int_equal(slu_flow_place_insert(table, 8, 1, &plan), 0);
	slu_flow_place_destroy(table);
}

static void insert__one_pair_of_buckets_full_of_one_path__returns_enospc_unchanged(void **state)
{
	(void)state;
	struct slu_flow_place *table;
	struct slu_flow_place_plan plan;
	uint32_t slot = 0, tag, before = 0, after = 0;

	/* 2 buckets a bank: 16 slots, every path ends soon. */
	assert_int_equal(slu_flow_place_create(1, &table), 0);
	uint32_t t = 0;
	int error;
	do {
		error = slu_flow_place_insert(table, t & 1, t / 2 * 7 + 1, &plan);
		t++;
	} while (error == 0);
	assert_int_equal(error, -ENOSPC);
	for (; slu_flow_place_next(table, &slot, &tag); slot++)
		before += slot * 31 + tag;
	assert_int_equal(slu_flow_place_insert(table, t & 1, 99999, &plan), -ENOSPC);
	for (slot = 0; slu_flow_place_next(table, &slot, &tag); slot++)
		after += slot * 31 + tag;
	assert_int_equal(before, after);
	slu_flow_place_destroy(table);
}

static void remove__then_insert_again__uses_the_slot_and_keeps_count(void **state)
{
	(void)state;
	struct slu_flow_place *table;
	struct slu_flow_place_plan plan;
	uint32_t slot;

	assert_int_equal(slu_flow_place_create(BITS, &table), 0);
	assert_int_equal(slu_flow_place_insert(table, 3, 77, &plan), 0);
	slu_flow_place_remove(table, plan.slot);
	assert_int_equal(slu_flow_place_used(table), 0);
	assert_int_equal(slu_flow_place_find(table, 3, 77, &slot), -ENOENT);
	assert_int_equal(slu_flow_place_insert(table, 3, 77, &plan), 0);
	slu_flow_place_destroy(table);
}

static void restore__dump_of_another_table__finds_the_same_slots(void **state)
{
	(void)state;
	struct slu_flow_place *a, *b;
	struct slu_flow_place_plan plan;
	uint32_t slot, tag, slot_b;

	assert_int_equal(slu_flow_place_create(BITS, &a), 0);
	assert_int_equal(slu_flow_place_create(BITS, &b), 0);
	for (uint32_t i = 0; i < SLOTS * 9 / 10; i++) {
		struct slu_flow_hash hash = random_hash();
		slu_flow_place_insert(a, hash.bucket, hash.tag, &plan);
	}
	for (slot = 0; slu_flow_place_next(a, &slot, &tag); slot++)
		assert_int_equal(slu_flow_place_restore(b, slot, tag), 0);
	assert_int_equal(slu_flow_place_used(a), slu_flow_place_used(b));
	for (slot = 0; slu_flow_place_next(a, &slot, &tag); slot++) {
		assert_int_equal(slu_flow_place_find(b, slu_flow_place_home(a, slot), tag, &slot_b), 0);
		assert_int_equal(slot_b, slot);
		assert_int_equal(slu_flow_place_restore(b, slot, tag), -EEXIST);
	}
	slu_flow_place_destroy(a);
	slu_flow_place_destroy(b);
}

static void create__bits_out_of_range__returns_einval(void **state)
{
	(void)state;
	struct slu_flow_place *table;

	assert_int_equal(slu_flow_place_create(0, &table), -EINVAL);
	assert_int_equal(slu_flow_place_create(25, &table), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(insert__until_full__every_flow_stays_where_the_card_looks),
		cmocka_unit_test(insert__same_tag_and_bucket__returns_eexist_in_either_bank),
		cmocka_unit_test(insert__one_pair_of_buckets_full_of_one_path__returns_enospc_unchanged),
		cmocka_unit_test(remove__then_insert_again__uses_the_slot_and_keeps_count),
		cmocka_unit_test(restore__dump_of_another_table__finds_the_same_slots),
		cmocka_unit_test(create__bits_out_of_range__returns_einval),
	};

	return cmocka_run_group_tests_name("flow_place", tests, NULL, NULL);
}
