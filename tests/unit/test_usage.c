/*
 * Counts and limits across a cluster: several nodes that tell each other of their usage late, and admit sessions as
 * greedily as they may.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cluster/usage.h"

#define NODES 8
#define LIMIT 1000
#define BEAT_MS 100
#define LATE 3 /* heartbeats until what a node tells is read */

/* A node: its listener has live index 7 + its number, its backend 9. */
struct node {
	struct slu_usage *usage;
	uint32_t number;
	uint64_t present, untold; /* sessions known here */
	uint32_t ceiling, elsewhere;
	struct slu_node_count said[LATE][4]; /* what it told in the last beats */
	uint32_t said_count[LATE];
};

static struct node nodes[NODES];
static struct slu_listener listener = {.max_sessions = LIMIT, .name = "web"};
static struct slu_backend backend = {.live = 9, .name = "b1"};
static struct slu_group group = {.scheduler = SLU_SCHED_WLC, .backend_count = 1, .backends = &backend, .name = "g"};
static struct slu_group *groups[] = {&group};

static void read_counts(void *context, bool is_backend, uint32_t live, uint64_t *present, uint64_t *untold)
{
	const struct node *node = context;

	assert_int_equal(live, is_backend ? 9 : 7 + node->number);
	*present = node->present;
	*untold = node->untold;
}

static void set_elsewhere(void *context, uint32_t live, uint32_t sessions)
{
	struct node *node = context;

	assert_int_equal(live, 9);
	node->elsewhere = sessions;
}

static void set_ceiling(void *context, uint32_t live, uint32_t sessions)
{
	struct node *node = context;

	assert_int_equal(live, 7 + node->number);
	node->ceiling = sessions;
}

static void publish(struct node *node, bool limited)
{
	struct slu_generation generation = {
		.listener_count = 1, .listeners = &listener, .group_count = 1, .groups = groups};

	listener.live = 7 + node->number;
	listener.max_sessions = limited ? LIMIT : 0;
	slu_usage_set_generation(node->usage, &generation);
	listener.max_sessions = LIMIT;
}

static int start(void **state)
{
	(void)state;
	memset(nodes, 0, sizeof(nodes));
	for (uint32_t i = 0; i < NODES; i++) {
		const struct slu_usage_hooks hooks = {&nodes[i], read_counts, set_elsewhere, set_ceiling};

		nodes[i].number = i;
		nodes[i].usage = slu_usage_create(&hooks);
		publish(&nodes[i], true);
	}
	return 0;
}

static int stop(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < NODES; i++)
		slu_usage_free(nodes[i].usage);
	return 0;
}

/* One heartbeat of node i at a time of its own: reads what others said `late` beats ago, says, remembers. */
static void beat(uint32_t i, uint32_t count, uint32_t late, uint64_t now_ms)
{
	const struct slu_node_count *counts;
	struct node *node = &nodes[i];

	for (uint32_t j = 0; j < count; j++)
		if (j != i)
			slu_usage_hear(node->usage, (uint8_t)(j + 1), nodes[j].said[late], nodes[j].said_count[late], 1,
				now_ms);
	memmove(&node->said[1], &node->said[0], sizeof(node->said) - sizeof(node->said[0]));
	memmove(&node->said_count[1], &node->said_count[0], sizeof(node->said_count) - sizeof(node->said_count[0]));
	node->said_count[0] = slu_usage_update(node->usage, count, now_ms, &counts);
	memcpy(node->said[0], counts, node->said_count[0] * sizeof(*counts));
}

/* A client of node i comes; returns whether it was let in. */
static bool admit(uint32_t i)
{
	if (nodes[i].present >= nodes[i].ceiling)
		return false;
	nodes[i].present++;
	nodes[i].untold++;
	return true;
}

/* Node i tells one of its sessions: all others know it from now on. */
static void tell_one(uint32_t i, uint32_t count)
{
	nodes[i].untold--;
	for (uint32_t j = 0; j < count; j++)
		nodes[j].present += j != i;
}

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % bound;
}

/*
 * Beats of `count` nodes while node i wants wishes[i] sessions a beat; sessions are told one beat later, half of them
 * never. Returns the sessions in the cluster at the end; *most is the largest number on the way.
 */
static uint64_t run(uint32_t count, const uint32_t *wishes, uint32_t beats, uint64_t *most)
{
	uint64_t total = 0;

	*most = 0;
	for (uint32_t b = 0; b < beats; b++) {
		for (uint32_t i = 0; i < count; i++) {
			uint64_t tellable = nodes[i].untold / 2;

			beat(i, count, random_below(LATE), (uint64_t)b * BEAT_MS);
			for (uint64_t k = 0; k < tellable; k++)
				tell_one(i, count);
			for (uint32_t k = 0; k < wishes[i]; k++)
				total += admit(i);
		}
		*most = total > *most ? total : *most;
	}
	return total;
}

static void share__never_gives_more_than_is_free(void **state)
{
	static const struct {
		uint64_t limit, present, others;
		uint32_t members;
		uint64_t share;
	} rows[] = {{1000, 0, 0, 1, 1000}, {1000, 0, 0, 4, 250}, {1000, 999, 0, 4, 1}, {1000, 1000, 0, 4, 0},
		{1000, 2000, 0, 4, 0}, {1000, 500, 500, 2, 0}, {1000, 500, 400, 2, 100}, {1000, 500, 100, 2, 250},
		{1, 0, 0, 8, 1}, {1000, 0, UINT32_MAX, 2, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(slu_usage_share(rows[i].limit, rows[i].present, rows[i].others, rows[i].members),
			rows[i].share);
}

static void limit_of_one_node_alone__is_exact(void **state)
{
	const uint32_t wishes[] = {5000};
	uint64_t most;

	(void)state;
	assert_int_equal(run(1, wishes, 3, &most), LIMIT);
}

static void limit__holds_within_a_tenth_whoever_gets_the_traffic(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 200; seed++) {
		uint32_t wishes[NODES], count = 2 + seed % (NODES - 1), wanting = 0;
		uint64_t most, total;

		stop(state);
		start(state);
		random_state = seed;
		for (uint32_t i = 0; i < count; i++) {
			/* Nothing, some, or a flood. */
			wishes[i] = (uint32_t[]){0, 20, 5000}[random_below(3)];
			wanting += wishes[i] > 0;
		}
		if (wanting == 0)
			wishes[0] = 5000;
		total = run(count, wishes, 80, &most);
		if (most > LIMIT + LIMIT / 10 || total < LIMIT - LIMIT / 10)
			print_error("seed %u, %u nodes: %lu at most, %lu at the end\n", seed, count, most, total);
		assert_in_range(most, 0, LIMIT + LIMIT / 10);
		assert_in_range(total, LIMIT - LIMIT / 10, LIMIT + LIMIT / 10);
	}
}

static void node_that_gets_all_traffic__has_most_of_the_limit_within_two_seconds(void **state)
{
	const uint32_t wishes[3] = {5000};
	uint64_t most;

	(void)state;
	assert_in_range(run(3, wishes, 20, &most), LIMIT * 9 / 10, LIMIT);
}

static void dead_node__leaves_its_share_to_the_others(void **state)
{
	const uint32_t nobody[2] = {0}, first[2] = {5000};
	uint64_t most;

	(void)state;
	run(2, nobody, 5, &most);
	slu_usage_forget(nodes[0].usage, 2);
	assert_int_equal(run(1, first, 3, &most), LIMIT);
}

static void what_is_not_told_again__holds_no_more(void **state)
{
	struct slu_node_count counts[2];
	const struct slu_node_count *said;

	(void)state;
	nodes[1].untold = nodes[1].present = 50;
	assert_int_equal(slu_usage_update(nodes[1].usage, 2, 0, &said), 2);
	memcpy(counts, said, sizeof(counts));
	slu_usage_hear(nodes[0].usage, 2, counts, 2, 3, 1000);
	slu_usage_update(nodes[0].usage, 2, 1000, &said);
	assert_int_equal(nodes[0].elsewhere, 50);
	slu_usage_update(nodes[0].usage, 2, 1000 + 7 * BEAT_MS, &said);
	assert_int_equal(nodes[0].elsewhere, 50);
	slu_usage_update(nodes[0].usage, 2, 1000 + 8 * BEAT_MS, &said);
	assert_int_equal(nodes[0].elsewhere, 0);
}

static void keys_that_nobody_counts__are_passed_over(void **state)
{
	const struct slu_node_count strange[2] = {{12345, 7}, {UINT64_MAX, 7}};
	const struct slu_node_count *said;

	(void)state;
	slu_usage_hear(nodes[0].usage, 2, strange, 2, 1, 0);
	slu_usage_update(nodes[0].usage, 2, 0, &said);
	assert_int_equal(nodes[0].elsewhere, 0);
	assert_int_equal(nodes[0].ceiling, LIMIT / 2);
}

static void limit_that_is_taken_away__frees_the_listener(void **state)
{
	const struct slu_node_count *said;

	(void)state;
	nodes[0].present = LIMIT;
	slu_usage_update(nodes[0].usage, 2, 0, &said);
	assert_int_equal(nodes[0].ceiling, LIMIT);
	publish(&nodes[0], false);
	assert_int_equal(nodes[0].ceiling, UINT32_MAX);
	nodes[0].ceiling = 5;
	slu_usage_update(nodes[0].usage, 2, 0, &said);
	assert_int_equal(nodes[0].ceiling, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(share__never_gives_more_than_is_free),
		TEST(limit_of_one_node_alone__is_exact),
		TEST(limit__holds_within_a_tenth_whoever_gets_the_traffic),
		TEST(node_that_gets_all_traffic__has_most_of_the_limit_within_two_seconds),
		TEST(dead_node__leaves_its_share_to_the_others),
		TEST(what_is_not_told_again__holds_no_more),
		TEST(keys_that_nobody_counts__are_passed_over),
		TEST(limit_that_is_taken_away__frees_the_listener),
	};

	return cmocka_run_group_tests_name("usage", tests, NULL, NULL);
}
