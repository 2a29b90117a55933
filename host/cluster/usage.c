#include "host/cluster/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"

#define MEMBERS 256u /* by id */
#define BEAT_MS 100u /* between heartbeats */
#define OLD_BEATS 5u /* what was not told again for so long, beyond its turn, holds no more */

/* One thing that is counted. */
struct item {
	uint64_t key;
	uint32_t live;
	uint32_t limit; /* of a listener; 0: this is a backend */
};

/* What a member told of an item. */
struct told {
	uint32_t count;
	uint64_t until_ms;
};

struct slu_usage {
	struct slu_usage_hooks hooks;
	struct item *items; /* in the order of keys */
	uint32_t count;
	struct told *told[MEMBERS]; /* [count]; NULL: nothing */
	struct slu_node_count *counts;
};

/* FNV-1a: names are equal on every node, ids and live indexes are not. */
static uint64_t hash(uint64_t key, const char *text)
{
	do
		key = (key ^ (uint8_t)*text) * 0x100000001b3ull;
	while (*text++ != '\0');
	return key;
}

static int by_key(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	return (a->key > b->key) - (a->key < b->key);
}

struct slu_usage *slu_usage_create(const struct slu_usage_hooks *hooks)
{
	struct slu_usage *usage = slu_memory_zeroed(1, sizeof(*usage));

	usage->hooks = *hooks;
	return usage;
}

static void forget_all(struct slu_usage *usage)
{
	for (uint32_t i = 0; i < MEMBERS; i++) {
		free(usage->told[i]);
		usage->told[i] = NULL;
	}
}

void slu_usage_free(struct slu_usage *usage)
{
	if (!usage)
		return;
	forget_all(usage);
	free(usage->items);
	free(usage->counts);
	free(usage);
}

/* What is not counted any more, or may not be, has nothing elsewhere and no ceiling. */
static void withdraw(struct slu_usage *usage)
{
	for (uint32_t i = 0; i < usage->count; i++) {
		if (usage->items[i].limit)
			usage->hooks.ceiling(usage->hooks.context, usage->items[i].live, UINT32_MAX);
		else
			usage->hooks.elsewhere(usage->hooks.context, usage->items[i].live, 0);
	}
}

static uint32_t room_of(const struct slu_generation *generation)
{
	uint32_t room = 0;

	for (uint32_t i = 0; i < generation->listener_count; i++)
		room += generation->listeners[i].max_sessions != 0;
	for (uint32_t i = 0; i < generation->group_count; i++)
		if (generation->groups[i]->scheduler == SLU_SCHED_WLC)
			room += generation->groups[i]->backend_count;
	return room;
}

void slu_usage_set_generation(struct slu_usage *usage, const struct slu_generation *generation)
{
	uint32_t room = room_of(generation);

	withdraw(usage);
	forget_all(usage);
	usage->items = slu_memory_resize(usage->items, room, sizeof(*usage->items));
	usage->counts = slu_memory_resize(usage->counts, room, sizeof(*usage->counts));
	usage->count = 0;
	for (uint32_t i = 0; i < generation->listener_count; i++) {
		const struct slu_listener *listener = &generation->listeners[i];

		if (listener->max_sessions)
			usage->items[usage->count++] =
				(struct item){hash(1, listener->name), listener->live, listener->max_sessions};
	}
	for (uint32_t i = 0; i < generation->group_count; i++) {
		const struct slu_group *group = generation->groups[i];
		uint64_t key = hash(2, group->name);

		for (uint32_t j = 0; j < group->backend_count && group->scheduler == SLU_SCHED_WLC; j++)
			usage->items[usage->count++] =
				(struct item){hash(key, group->backends[j].name), group->backends[j].live, 0};
	}
	qsort(usage->items, usage->count, sizeof(*usage->items), by_key);
}

void slu_usage_hear(struct slu_usage *usage, uint8_t member, const struct slu_node_count *counts, uint32_t count,
	uint16_t turn, uint64_t now_ms)
{
	struct told **told = &usage->told[member];

	if (usage->count == 0)
		return;
	if (!*told)
		*told = slu_memory_zeroed(usage->count, sizeof(**told));
	for (uint32_t i = 0; i < count; i++) {
		const struct item wanted = {.key = counts[i].key};
		const struct item *item = bsearch(&wanted, usage->items, usage->count, sizeof(*usage->items), by_key);

		/* Its configuration may be another one for a moment. */
		if (item)
			(*told)[item - usage->items] =
				(struct told){counts[i].count, now_ms + (uint64_t)(turn + OLD_BEATS) * BEAT_MS};
	}
}

void slu_usage_forget(struct slu_usage *usage, uint8_t member)
{
	free(usage->told[member]);
	usage->told[member] = NULL;
}

/* The sum of what others told of an item, and how many did. */
static uint64_t told_by_others(const struct slu_usage *usage, uint32_t index, uint64_t now_ms, uint32_t *members)
{
	uint64_t sum = 0;

	*members = 0;
	for (uint32_t i = 0; i < MEMBERS; i++) {
		if (!usage->told[i] || usage->told[i][index].until_ms <= now_ms)
			continue;
		sum += usage->told[i][index].count;
		++*members;
	}
	return sum;
}

uint64_t slu_usage_share(uint64_t limit, uint64_t present, uint64_t others, uint32_t members)
{
	uint64_t free_here = limit > present ? limit - present : 0;
	uint64_t free_at_all = limit > present + others ? limit - present - others : 0;
	/* Rounded up: else of a small limit nobody could use the last ones. */
	uint64_t fair = (free_here + members - 1) / members;

	return fair < free_at_all ? fair : free_at_all;
}

static uint32_t clamp(uint64_t value)
{
	/* UINT32_MAX has a meaning of its own. */
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX - 1;
}

/* Tells the data path of one item; returns what the others are to be told. */
static uint64_t update(struct slu_usage *usage, uint32_t index, uint32_t members, uint64_t now_ms)
{
	const struct item *item = &usage->items[index];
	uint32_t heard;
	uint64_t present, untold, others = told_by_others(usage, index, now_ms, &heard), share;

	usage->hooks.read(usage->hooks.context, item->limit == 0, item->live, &present, &untold);
	if (item->limit == 0) {
		usage->hooks.elsewhere(usage->hooks.context, item->live, clamp(others));
		return untold;
	}
	/* Of whom nothing is known yet may have all that it can have at the beginning. */
	if (members > heard + 1)
		others += (uint64_t)(members - 1 - heard) * slu_usage_share(item->limit, 0, 0, members);
	share = slu_usage_share(item->limit, present, others, members ? members : 1);
	usage->hooks.ceiling(usage->hooks.context, item->live, clamp(present + share));
	return untold + share;
}

uint32_t slu_usage_update(
	struct slu_usage *usage, uint32_t members, uint64_t now_ms, const struct slu_node_count **counts)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < usage->count; i++) {
		uint64_t tell = update(usage, i, members, now_ms);

		/* Of a limit 0 is told too: silence is not known to be that. */
		if (tell || usage->items[i].limit)
			usage->counts[count++] = (struct slu_node_count){usage->items[i].key, clamp(tell)};
	}
	*counts = usage->counts;
	return count;
}
