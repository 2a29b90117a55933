#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/base/flow_table.h"
#include "driver_fake_card.h"

#define BITS 7
#define SLOTS (8u << BITS)
#define FLOWS_MAX SLOTS

struct fixture {
	struct fake_card *card;
	struct slu_command_ring ring;
	struct slu_flow_table *table;
	struct slu_flow flows[FLOWS_MAX];
};

static void attach(struct fixture *f, bool warm)
{
	char why[256];

	assert_int_equal(
		slu_command_init(&f->ring, &f->card->hw, &f->card->card, &fake_card_memory, f->card->eventfd), 0);
	assert_int_equal(slu_flow_table_create(&f->ring, &f->card->card, warm, &f->table, why, sizeof(why)), 0);
}

/* As a killed process: the card keeps what it has. */
static void detach(struct fixture *f)
{
	slu_command_fini(&f->ring);
	slu_flow_table_destroy(f->table);
	fake_card_reset_host(f->card);
	memset(f->flows, 0, sizeof(f->flows));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->card = fake_card_create(BITS);
	attach(f, false);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->card->hang, false);
	detach(f);
	fake_card_destroy(f->card);
	free(f);
	return 0;
}

static struct slu_rule rule(uint32_t n)
{
	struct slu_rule r = {.proto = 6,
		.port_mask = 3,
		.tcp_zero = 7,
		.vlan_match = SLU_NIC_VLAN_MATCH_UNTAGGED,
		.actions = SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_SET_DMAC | SLU_NIC_ACT_COUNT};
	uint32_t src = __builtin_bswap32(0x0A000000 + n);

	if (n % 5 == 4) {
		r.ipv6 = true;
		r.src[0] = 0xFD;
		memcpy(r.src + 12, &src, 4);
		r.dst[0] = 0xFD;
		r.new_dst[0] = 0xFD;
	} else {
		memcpy(r.src, &src, 4);
		r.dst[0] = 198;
		r.new_dst[0] = 10;
	}
	r.sport = (uint16_t)n;
	r.dport = 0x5000;
	r.next_hop.flags = SLU_NIC_NH_VALID;
	r.next_hop.dmac[5] = (uint8_t)(n % 7);
	return r;
}

static int insert(struct fixture *f, struct slu_flow *flow, uint32_t n, struct slu_flow_counter *counter)
{
	struct slu_rule r = rule(n);
	enum slu_flow_refusal refusal;
	int error = slu_flow_table_insert(f->table, flow, &r, counter, NULL, &refusal);

	return error ? error : slu_command_wait(&f->ring, &flow->op);
}

static int remove_flow(struct fixture *f, struct slu_flow *flow)
{
	int error = slu_flow_table_remove(f->table, flow);

	return error ? error : slu_command_wait(&f->ring, &flow->op);
}

/* What a packet would find: the slot whose tag is valid and whose record has this key. */
static bool card_has(const struct fixture *f, uint32_t n)
{
	struct slu_rule r = rule(n);
	struct slu_flow_key key, there;

	slu_rule_key(&r, &key);
	for (uint32_t s = 0; s < SLOTS; s++) {
		if ((f->card->tags[s] >> 31) &&
			slu_rule_decode_key((const union slu_rule_record *)f->card->records[s], &there) == 0 &&
			memcmp(&key, &there, sizeof(key)) == 0)
			return true;
	}
	return false;
}

static void insert__churn_at_high_load__never_reuses_a_slot_without_a_fence(void **state)
{
	struct fixture *f = *state;
	uint32_t inserted = 0, seed = 1;

	for (uint32_t n = 0; n < SLOTS * 93 / 100; n++)
		inserted += insert(f, &f->flows[n], n, NULL) == 0;
	for (uint32_t round = 0; round < 3000; round++) {
		seed = seed * 1103515245 + 12345;
		uint32_t n = seed / 65536 % (SLOTS * 93 / 100);

		if (!f->flows[n].in_table)
			continue;
		assert_int_equal(remove_flow(f, &f->flows[n]), 0);
		assert_false(card_has(f, n));
		memset(&f->flows[n], 0, sizeof(f->flows[n]));
		inserted -= insert(f, &f->flows[n], n, NULL) != 0;
	}
	for (uint32_t n = 0; n < SLOTS * 93 / 100; n++)
		assert_int_equal(card_has(f, n), f->flows[n].in_table);
	assert_int_equal(slu_flow_table_used(f->table), inserted);
	assert_true(slu_flow_table_counts_get(f->table)->moves > 0);
	assert_true(slu_flow_table_counts_get(f->table)->fences > 0);
	assert_int_equal(atomic_load(&f->card->violations), 0);
	assert_int_equal(f->ring.failed, 0);
}

static void insert__same_rule_twice__is_refused_as_a_duplicate(void **state)
{
	struct fixture *f = *state;
	struct slu_rule r = rule(1);
	enum slu_flow_refusal refusal;

	assert_int_equal(insert(f, &f->flows[0], 1, NULL), 0);
	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[1], &r, NULL, NULL, &refusal), -EEXIST);
	assert_int_equal(refusal, SLU_FLOW_REFUSED_DUPLICATE);
	assert_int_equal(slu_flow_table_counts_get(f->table)->duplicates, 1);
}

static void insert__more_next_hops_than_the_card_has__is_refused_and_leaks_nothing(void **state)
{
	struct fixture *f = *state;
	enum slu_flow_refusal refusal;
	struct slu_rule r;
	uint32_t n = 0;

	for (;; n++) {
		r = rule(n);
		r.next_hop.dmac[4] = 1;
		r.next_hop.dmac[5] = (uint8_t)n;
		if (slu_flow_table_insert(f->table, &f->flows[n], &r, NULL, NULL, &refusal))
			break;
		assert_int_equal(slu_command_wait(&f->ring, &f->flows[n].op), 0);
	}
	assert_int_equal(n, 64);
	assert_int_equal(refusal, SLU_FLOW_REFUSED_NO_NEXT_HOP);
	assert_int_equal(slu_flow_table_used(f->table), 64);
	assert_int_equal(remove_flow(f, &f->flows[5]), 0);
	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[n], &r, NULL, NULL, &refusal), 0);
}

static void insert__card_refuses_the_record__rule_is_out_and_its_slot_usable(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->card->fail_opcode, SLU_NIC_OPCODE_WRITE_RECORD);
	assert_int_equal(insert(f, &f->flows[0], 1, NULL), -EIO);
	assert_false(f->flows[0].in_table);
	assert_int_equal(slu_flow_table_used(f->table), 0);
	assert_int_equal(f->flows[0].op.status, SLU_NIC_CMD_STATUS_MEMORY);
	assert_int_equal(slu_flow_table_counts_get(f->table)->card_errors, 1);
	assert_int_equal(insert(f, &f->flows[0], 1, NULL), 0);
	assert_true(card_has(f, 1));
}

static void poll__completion_of_no_command__is_counted_and_not_believed(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->card->garbage, true);
	assert_int_equal(insert(f, &f->flows[0], 1, NULL), 0);
	assert_int_equal(f->ring.bad_completions, 1);
	assert_true(card_has(f, 1));
}

static void warm_start__equal_rule__is_adopted_without_a_write(void **state)
{
	struct fixture *f = *state;

	for (uint32_t n = 0; n < 300; n++)
		assert_int_equal(insert(f, &f->flows[n], n, NULL), 0);
	uint32_t id = f->flows[7].id;
	detach(f);
	attach(f, true);
	assert_int_equal(slu_flow_table_ghosts(f->table), 300);
	unsigned writes = atomic_load(&f->card->counts[SLU_NIC_OPCODE_WRITE_RECORD]);
	struct slu_flow_counter counter = {.id = SLU_FLOW_NO_ID};
	assert_int_equal(insert(f, &f->flows[7], 7, &counter), 0);
	assert_int_equal(f->flows[7].id, id);
	assert_int_equal(counter.id, id);
	assert_int_equal(insert(f, &f->flows[8], 8, NULL), 0);
	assert_int_equal(atomic_load(&f->card->counts[SLU_NIC_OPCODE_WRITE_RECORD]), writes);
	assert_int_equal(slu_flow_table_counts_get(f->table)->adopted, 2);
	/* Now it is a rule as any other. */
	struct slu_rule again = rule(7);
	enum slu_flow_refusal refusal;
	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[9], &again, NULL, NULL, &refusal), -EEXIST);
}

static void warm_start__next_hop_of_a_handle__is_claimed_by_the_handle_that_wants_the_same(void **state)
{
	struct fixture *f = *state;
	const uint8_t mac[6] = {2, 9, 9, 9, 9, 9};
	struct slu_rule r = rule(1);
	enum slu_flow_refusal refusal;
	int handle = 0, other = 0;

	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[0], &r, NULL, &handle, &refusal), 0);
	assert_int_equal(slu_command_wait(&f->ring, &f->flows[0].op), 0);
	detach(f);
	attach(f, true);
	unsigned writes = atomic_load(&f->card->counts[SLU_NIC_OPCODE_WRITE_RECORD]);
	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[0], &r, NULL, &handle, &refusal), 0);
	assert_int_equal(slu_flow_table_counts_get(f->table)->adopted, 1);
	assert_int_equal(atomic_load(&f->card->counts[SLU_NIC_OPCODE_WRITE_RECORD]), writes);
	r = rule(8);
	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[1], &r, NULL, &other, &refusal), 0);
	assert_int_not_equal(f->flows[0].next_hop, f->flows[1].next_hop);
	assert_int_equal(slu_flow_table_set_mac(f->table, &handle, mac), 0);
	assert_memory_equal(f->card->next_hops[f->flows[0].next_hop].dmac, mac, 6);
}

static void warm_start__other_actions__rewrites_the_record_in_place(void **state)
{
	struct fixture *f = *state;
	enum slu_flow_refusal refusal;

	assert_int_equal(insert(f, &f->flows[0], 3, NULL), 0);
	uint32_t slot = f->flows[0].slot;
	detach(f);
	attach(f, true);
	struct slu_rule r = rule(3);
	r.new_dst[3] = 99;
	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[0], &r, NULL, NULL, &refusal), 0);
	assert_int_equal(slu_command_wait(&f->ring, &f->flows[0].op), 0);
	assert_int_equal(f->flows[0].slot, slot);
	const struct slu_nic_record4 *record = (const struct slu_nic_record4 *)f->card->records[slot];
	assert_int_equal(record->new_dst >> 24, 99);
	assert_int_equal(slu_flow_table_counts_get(f->table)->updated, 1);
}

static void sweep__unclaimed_rules__leave_the_card_and_claimed_ones_stay(void **state)
{
	struct fixture *f = *state;

	for (uint32_t n = 0; n < 200; n++)
		assert_int_equal(insert(f, &f->flows[n], n, NULL), 0);
	detach(f);
	attach(f, true);
	for (uint32_t n = 0; n < 50; n++)
		assert_int_equal(insert(f, &f->flows[n], n, NULL), 0);
	assert_int_equal(slu_flow_table_sweep(f->table), 0);
	assert_int_equal(slu_flow_table_ghosts(f->table), 0);
	for (uint32_t n = 0; n < 200; n++)
		assert_int_equal(card_has(f, n), n < 50);
	for (uint32_t n = 50; n < 200; n++)
		assert_int_equal(insert(f, &f->flows[n], n, NULL), 0);
	assert_int_equal(atomic_load(&f->card->violations), 0);
}

static void warm_start__garbage_in_the_card__is_cleared_and_counted(void **state)
{
	struct fixture *f = *state;

	for (uint32_t n = 0; n < 10; n++)
		assert_int_equal(insert(f, &f->flows[n], n, NULL), 0);
	struct slu_nic_record4 *foreign = (struct slu_nic_record4 *)f->card->records[f->flows[0].slot];
	struct slu_nic_record4 *bad_id = (struct slu_nic_record4 *)f->card->records[f->flows[1].slot];
	struct slu_nic_record6 *torn = (struct slu_nic_record6 *)f->card->records[f->flows[4].slot];
	foreign->proto = 99;
	bad_id->flow_id = UINT32_MAX;
	torn->gen1 ^= 1;
	detach(f);
	attach(f, true);
	assert_int_equal(slu_flow_table_ghosts(f->table), 7);
	assert_int_equal(slu_flow_table_counts_get(f->table)->swept, 3);
	assert_false(card_has(f, 1));
	assert_int_equal(insert(f, &f->flows[1], 1, NULL), 0);
	assert_true(card_has(f, 1));
}

static void warm_start__move_cut_off_half_way__keeps_one_copy(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(insert(f, &f->flows[0], 1, NULL), 0);
	uint32_t slot = f->flows[0].slot, tag = f->card->tags[slot] & SLU_FLOW_HASH_TAG_MASK;
	uint32_t other = (slot / 4 ^ slu_flow_hash_alternate(tag, BITS) ^ (1u << BITS)) * 4 + 2;
	memcpy(f->card->records[other], f->card->records[slot], SLU_NIC_RECORD_BYTES);
	f->card->tags[other] = f->card->tags[slot];
	detach(f);
	attach(f, true);
	assert_int_equal(slu_flow_table_ghosts(f->table), 1);
	assert_int_equal((f->card->tags[slot] >> 31) + (f->card->tags[other] >> 31), 1);
	assert_int_equal(insert(f, &f->flows[0], 1, NULL), 0);
}

static void cold_start__rules_of_before__are_gone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(insert(f, &f->flows[0], 1, NULL), 0);
	detach(f);
	attach(f, false);
	assert_int_equal(slu_flow_table_ghosts(f->table), 0);
	assert_false(card_has(f, 1));
}

static void counter__outlives_its_rules__and_adds_them_up(void **state)
{
	struct fixture *f = *state;
	struct slu_flow_counter counter = {.id = SLU_FLOW_NO_ID};
	struct slu_flow_stats stats;

	assert_int_equal(insert(f, &f->flows[0], 1, &counter), 0);
	assert_int_equal(insert(f, &f->flows[1], 2, &counter), 0);
	assert_int_equal(f->flows[0].id, f->flows[1].id);
	f->card->stats[counter.id].packets[0] = 7;
	f->card->stats[counter.id].bytes[1] = 2;
	f->card->stats[counter.id].last_seen[0] = 3;
	assert_int_equal(remove_flow(f, &f->flows[0]), 0);
	assert_int_equal(remove_flow(f, &f->flows[1]), 0);
	unsigned fences = atomic_load(&f->card->counts[SLU_NIC_OPCODE_FENCE]);
	assert_int_equal(slu_flow_table_stats(f->table, counter.id, &stats), 0);
	assert_int_equal(atomic_load(&f->card->counts[SLU_NIC_OPCODE_FENCE]), fences + 1);
	assert_int_equal(stats.packets, 7);
	assert_int_equal(stats.bytes, 512);
	assert_int_equal(stats.last_seen_us, 3 << 10);
	uint32_t id = counter.id;
	slu_flow_table_counter_close(f->table, &counter);
	/* The id comes back one day, with its statistics cleared. */
	for (uint32_t n = 0; n < SLOTS; n++) {
		struct slu_flow flow = {0};

		assert_int_equal(insert(f, &flow, 3, NULL), 0);
		bool same = flow.id == id;
		if (same)
			assert_int_equal(f->card->stats[id].packets[0], 0);
		assert_int_equal(remove_flow(f, &flow), 0);
		if (same)
			return;
	}
	fail_msg("the id was never used again");
}

static void set_mac__of_a_handle__changes_its_next_hop_and_no_other(void **state)
{
	struct fixture *f = *state;
	const uint8_t mac[6] = {2, 9, 9, 9, 9, 9};
	struct slu_rule r = rule(1);
	enum slu_flow_refusal refusal;
	int handle = 0;

	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[0], &r, NULL, &handle, &refusal), 0);
	r = rule(8); /* the same next hop, but anyone's */
	assert_int_equal(slu_flow_table_insert(f->table, &f->flows[1], &r, NULL, NULL, &refusal), 0);
	assert_int_not_equal(f->flows[0].next_hop, f->flows[1].next_hop);
	assert_int_equal(slu_flow_table_set_mac(f->table, &handle, mac), 0);
	assert_memory_equal(f->card->next_hops[f->flows[0].next_hop].dmac, mac, 6);
	assert_memory_not_equal(f->card->next_hops[f->flows[1].next_hop].dmac, mac, 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(insert__churn_at_high_load__never_reuses_a_slot_without_a_fence),
		TEST(insert__same_rule_twice__is_refused_as_a_duplicate),
		TEST(insert__more_next_hops_than_the_card_has__is_refused_and_leaks_nothing),
		TEST(insert__card_refuses_the_record__rule_is_out_and_its_slot_usable),
		TEST(poll__completion_of_no_command__is_counted_and_not_believed),
		TEST(warm_start__equal_rule__is_adopted_without_a_write),
		TEST(warm_start__next_hop_of_a_handle__is_claimed_by_the_handle_that_wants_the_same),
		TEST(warm_start__other_actions__rewrites_the_record_in_place),
		TEST(sweep__unclaimed_rules__leave_the_card_and_claimed_ones_stay),
		TEST(warm_start__garbage_in_the_card__is_cleared_and_counted),
		TEST(warm_start__move_cut_off_half_way__keeps_one_copy),
		TEST(cold_start__rules_of_before__are_gone),
		TEST(counter__outlives_its_rules__and_adds_them_up),
		TEST(set_mac__of_a_handle__changes_its_next_hop_and_no_other),
	};

	return cmocka_run_group_tests_name("driver_flow_table", tests, NULL, NULL);
}
