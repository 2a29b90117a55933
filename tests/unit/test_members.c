/*
 * Members of a cluster: who owns what, for every ring of 1 to 8 and every state of its members.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/cluster/members.h"
#include "host/control/ip.h"

/* Ids are not the indexes, and the list is not sorted: member i has id 10 i + 5 and the network 198.18.(i + 1).0/24. */
static uint8_t id_of(uint32_t index)
{
	return (uint8_t)(10 * index + 5);
}

static void make(struct slu_members *members, uint32_t count, uint32_t self)
{
	struct slu_config_prefix prefix[SLU_CLUSTER_MEMBERS_MAX];
	struct slu_config_member list[SLU_CLUSTER_MEMBERS_MAX] = {0};

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = count - 1 - i;

		prefix[i] = (struct slu_config_prefix){{4, {198, 18, (uint8_t)(index + 1)}}, 24};
		list[i] = (struct slu_config_member){.id = id_of(index),
			.address = {4, {198, 18, 9, (uint8_t)(index + 1)}},
			.locals = &prefix[i],
			.local_count = 1};
		snprintf(list[i].name, sizeof(list[i].name), "n%u", index);
	}
	slu_members_set(members, id_of(self), list, count);
}

static void mark_all(struct slu_members *members, uint32_t count, uint32_t alive, uint32_t announce)
{
	for (uint32_t i = 0; i < count; i++)
		slu_members_mark(members, id_of(i), alive >> i & 1, announce >> i & 1);
}

/* What the header promises of an owner, in its own words. */
static void check_owner(uint32_t count, uint32_t home, uint8_t owner, uint32_t alive, uint32_t announce)
{
	uint32_t fit = announce & alive ? announce & alive : alive;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = (home + i) % count;

		if (fit >> index & 1) {
			assert_int_equal(owner, id_of(index));
			return;
		}
	}
	assert_int_equal(owner, 0);
}

static void owner__is_the_next_in_the_ring_that_lives_and_announces(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= SLU_CLUSTER_MEMBERS_MAX; count++) {
		struct slu_members members = {0};

		make(&members, count, 0);
		for (uint32_t alive = 1; alive < 1u << count; alive += 2)
			for (uint32_t announce = 0; announce < 1u << count; announce++) {
				mark_all(&members, count, alive, announce);
				for (uint32_t home = 0; home < count; home++)
					check_owner(
						count, home, slu_members_owner(&members, id_of(home)), alive, announce);
			}
	}
}

static void every_living_node__sees_the_same_owners(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= SLU_CLUSTER_MEMBERS_MAX; count++)
		for (uint32_t alive = 1; alive < 1u << count; alive++) {
			struct slu_cluster_view views[SLU_CLUSTER_MEMBERS_MAX];
			int reference = -1;

			for (uint32_t self = 0; self < count; self++) {
				struct slu_members members = {0};

				if (!(alive >> self & 1))
					continue;
				make(&members, count, self);
				mark_all(&members, count, alive, alive);
				slu_members_view(&members, &views[self]);
				assert_int_equal(views[self].self, id_of(self));
				assert_int_equal(views[self].member_count, __builtin_popcount(alive));
				assert_int_equal(views[self].prefix_count, count);
				if (reference < 0)
					reference = (int)self;
				assert_memory_equal(views[self].prefix, views[reference].prefix,
					count * sizeof(views[self].prefix[0]));
				assert_int_equal(views[self].nat_owner, views[reference].nat_owner);
			}
		}
}

static void prefix_of_a_member__has_exactly_one_other_node_as_backup(void **state)
{
	(void)state;
	for (uint32_t count = 2; count <= SLU_CLUSTER_MEMBERS_MAX; count++)
		for (uint32_t alive = 1; alive < 1u << count; alive++) {
			uint32_t backups[SLU_CLUSTER_MEMBERS_MAX] = {0};

			for (uint32_t self = 0; self < count; self++) {
				struct slu_config_prefix prefixes[SLU_CLUSTER_PREFIXES_MAX];
				struct slu_members members = {0};
				uint32_t held;

				if (!(alive >> self & 1))
					continue;
				make(&members, count, self);
				mark_all(&members, count, alive, alive);
				held = slu_members_backup(&members, prefixes);
				for (uint32_t i = 0; i < held; i++) {
					uint32_t home = prefixes[i].ip.bytes[2] - 1u;

					backups[home]++;
					/* Who is backup owns it when its home goes. */
					mark_all(&members, count, alive & ~(1u << home), alive);
					assert_int_equal(slu_members_owner(&members, id_of(home)), id_of(self));
					mark_all(&members, count, alive, alive);
				}
			}
			for (uint32_t home = 0; home < count; home++)
				assert_int_equal(backups[home], (alive & ~(1u << home)) != 0);
		}
}

static void member_that_flaps__changes_the_view_each_time_and_back_to_the_same(void **state)
{
	struct slu_cluster_view before, without, after;
	struct slu_members members = {0};

	(void)state;
	make(&members, 3, 0);
	mark_all(&members, 3, 7, 7);
	slu_members_view(&members, &before);
	for (int i = 0; i < 5; i++) {
		assert_true(slu_members_mark(&members, id_of(1), false, true));
		assert_false(slu_members_mark(&members, id_of(1), false, false));
		slu_members_view(&members, &without);
		assert_int_equal(without.member_count, 2);
		assert_int_equal(without.prefix[1].home, id_of(1));
		assert_int_equal(without.prefix[1].owner, id_of(2));
		/* Back, but without its sessions yet: it owns nothing. */
		assert_true(slu_members_mark(&members, id_of(1), true, false));
		assert_int_equal(slu_members_owner(&members, id_of(1)), id_of(2));
		assert_true(slu_members_mark(&members, id_of(1), true, true));
		slu_members_view(&members, &after);
		assert_memory_equal(&before, &after, sizeof(before));
	}
}

static void this_node__cannot_be_marked_dead_and_strangers_are_ignored(void **state)
{
	struct slu_members members = {0};

	(void)state;
	make(&members, 2, 0);
	assert_true(slu_members_find(&members, id_of(0))->alive);
	assert_false(slu_members_mark(&members, id_of(0), false, false));
	assert_true(slu_members_find(&members, id_of(0))->alive);
	assert_false(slu_members_mark(&members, 77, true, true));
	assert_null(slu_members_find(&members, 77));
	assert_int_equal(slu_members_owner(&members, 77), 0);
}

static void new_list__keeps_what_is_known_of_those_who_stay(void **state)
{
	struct slu_members members = {0};

	(void)state;
	make(&members, 3, 0);
	mark_all(&members, 3, 7, 7);
	make(&members, 2, 0);
	assert_int_equal(members.count, 2);
	assert_true(slu_members_find(&members, id_of(1))->alive);
	assert_true(slu_members_find(&members, id_of(1))->announces);
	make(&members, 3, 0);
	assert_false(slu_members_find(&members, id_of(2))->alive);
	assert_int_equal(slu_members_owner(&members, id_of(2)), id_of(0));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(owner__is_the_next_in_the_ring_that_lives_and_announces),
		cmocka_unit_test(every_living_node__sees_the_same_owners),
		cmocka_unit_test(prefix_of_a_member__has_exactly_one_other_node_as_backup),
		cmocka_unit_test(member_that_flaps__changes_the_view_each_time_and_back_to_the_same),
		cmocka_unit_test(this_node__cannot_be_marked_dead_and_strangers_are_ignored),
		cmocka_unit_test(new_list__keeps_what_is_known_of_those_who_stay),
	};

	return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
