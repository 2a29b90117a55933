#include "flow_place.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS SLU_NIC_WAYS
#define VALID 0x80000000u
#define SEARCH_NODES 1024
#define NO_PARENT UINT16_MAX
#define NO_WAY WAYS

/* A bucket index here counts through both banks: bank << bucket_bits | bucket. */
struct slu_flow_place {
	unsigned bucket_bits;
	uint32_t used;
	uint32_t (*tags)[WAYS]; /* [2 << bucket_bits]; VALID | tag, or 0 */
};

/* One bucket reached by the search: by moving `way` of the parent's bucket here. */
struct node {
	uint32_t bucket;
	uint16_t parent;
	uint8_t way;
	uint8_t depth;
};

struct search {
	uint32_t count;
	struct node nodes[SEARCH_NODES];
};

static uint32_t bank_bit(const struct slu_flow_place *table)
{
	return 1u << table->bucket_bits;
}

static uint32_t other_bucket(const struct slu_flow_place *table, uint32_t bucket, uint32_t tag)
{
	return bucket ^ slu_flow_hash_alternate(tag, table->bucket_bits) ^ bank_bit(table);
}

static unsigned free_way(const uint32_t ways[WAYS], unsigned *free_count)
{
	unsigned first = NO_WAY, count = 0;

	for (unsigned w = WAYS; w-- > 0;) {
		if (!(ways[w] & VALID)) {
			first = w;
			count++;
		}
	}
	*free_count = count;
	return first;
}

static unsigned tag_way(const uint32_t ways[WAYS], uint32_t tag)
{
	for (unsigned w = 0; w < WAYS; w++) {
		if (ways[w] == (VALID | tag))
			return w;
	}
	return NO_WAY;
}

int slu_flow_place_create(unsigned bucket_bits, struct slu_flow_place **table)
{
	if (bucket_bits < SLU_FLOW_PLACE_BUCKET_BITS_MIN || bucket_bits > SLU_FLOW_PLACE_BUCKET_BITS_MAX)
		return -EINVAL;

	struct slu_flow_place *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->bucket_bits = bucket_bits;
	t->tags = calloc((size_t)SLU_NIC_BANKS << bucket_bits, sizeof(*t->tags));
	if (!t->tags) {
		free(t);
		return -ENOMEM;
	}
	*table = t;
	return 0;
}

void slu_flow_place_destroy(struct slu_flow_place *table)
{
	if (!table)
		return;
	free(table->tags);
	free(table);
}

/* A path must not visit a bucket twice: its moves would then not be independent. */
static bool on_path(const struct search *search, uint32_t index, uint32_t bucket)
{
	for (;;) {
		const struct node *n = &search->nodes[index];

		if (n->bucket == bucket)
			return true;
		if (n->parent == NO_PARENT)
			return false;
		index = n->parent;
	}
}

/* Breadth first, so the shortest sequence of moves is found. Returns the node with a free way, or -ENOSPC. */
static int search_free(const struct slu_flow_place *table, struct search *search)
{
	for (uint32_t head = 0; head < search->count; head++) {
		const struct node *n = &search->nodes[head];

		if (n->depth == SLU_FLOW_PLACE_MOVES_MAX)
			continue;
		for (unsigned w = 0; w < WAYS; w++) {
			uint32_t next = other_bucket(table, n->bucket, table->tags[n->bucket][w] & ~VALID);
			unsigned free_count;

			if (search->count == SEARCH_NODES || on_path(search, head, next))
				continue;
			search->nodes[search->count] = (struct node){next, (uint16_t)head, (uint8_t)w, n->depth + 1};
			if (free_way(table->tags[next], &free_count) != NO_WAY)
				return (int)search->count;
			search->count++;
		}
	}
	return -ENOSPC;
}

/* Empties a way of the path's first bucket by moving every entry on the path one step on; last step first. */
static void apply_path(
	struct slu_flow_place *table, const struct search *search, uint32_t index, struct slu_flow_place_plan *plan)
{
	unsigned free_count;
	uint32_t bucket = search->nodes[index].bucket;
	uint32_t to = bucket * WAYS + free_way(table->tags[bucket], &free_count);

	while (search->nodes[index].parent != NO_PARENT) {
		const struct node *n = &search->nodes[index];
		uint32_t from = search->nodes[n->parent].bucket * WAYS + n->way;

		plan->moves[plan->count++] = (struct slu_flow_place_move){from, to};
		table->tags[to / WAYS][to % WAYS] = table->tags[from / WAYS][from % WAYS];
		table->tags[from / WAYS][from % WAYS] = 0;
		to = from;
		index = n->parent;
	}
	plan->slot = to;
}

int slu_flow_place_insert(struct slu_flow_place *table, uint32_t bucket, uint32_t tag, struct slu_flow_place_plan *plan)
{
	assert(bucket < bank_bit(table) && tag <= SLU_FLOW_HASH_TAG_MASK);
	uint32_t b = other_bucket(table, bucket, tag);

	if (tag_way(table->tags[bucket], tag) != NO_WAY || tag_way(table->tags[b], tag) != NO_WAY)
		return -EEXIST;

	unsigned free_a, free_b;
	unsigned way_a = free_way(table->tags[bucket], &free_a);
	unsigned way_b = free_way(table->tags[b], &free_b);

	plan->count = 0;
	if (free_a || free_b) {
		/* The emptier bucket: two choices keep the table even, and moves rare until it is nearly full. */
		plan->slot = free_a >= free_b ? bucket * WAYS + way_a : b * WAYS + way_b;
	} else {
		struct search search = {.count = 2};

		search.nodes[0] = (struct node){bucket, NO_PARENT, 0, 0};
		search.nodes[1] = (struct node){b, NO_PARENT, 0, 0};
		int found = search_free(table, &search);
		if (found < 0)
			return found;
		apply_path(table, &search, (uint32_t)found, plan);
	}
	table->tags[plan->slot / WAYS][plan->slot % WAYS] = VALID | tag;
	table->used++;
	return 0;
}

int slu_flow_place_find(const struct slu_flow_place *table, uint32_t bucket, uint32_t tag, uint32_t *slot)
{
	uint32_t b = other_bucket(table, bucket, tag);
	unsigned way = tag_way(table->tags[bucket], tag);

	if (way != NO_WAY) {
		*slot = bucket * WAYS + way;
		return 0;
	}
	way = tag_way(table->tags[b], tag);
	if (way == NO_WAY)
		return -ENOENT;
	*slot = b * WAYS + way;
	return 0;
}

void slu_flow_place_remove(struct slu_flow_place *table, uint32_t slot)
{
	assert(slot < slu_flow_place_slots(table) && (table->tags[slot / WAYS][slot % WAYS] & VALID));
	table->tags[slot / WAYS][slot % WAYS] = 0;
	table->used--;
}

int slu_flow_place_restore(struct slu_flow_place *table, uint32_t slot, uint32_t tag)
{
	assert(slot < slu_flow_place_slots(table) && tag <= SLU_FLOW_HASH_TAG_MASK);
	uint32_t bucket = slot / WAYS;

	if ((table->tags[bucket][slot % WAYS] & VALID) || tag_way(table->tags[bucket], tag) != NO_WAY ||
		tag_way(table->tags[other_bucket(table, bucket, tag)], tag) != NO_WAY)
		return -EEXIST;
	table->tags[bucket][slot % WAYS] = VALID | tag;
	table->used++;
	return 0;
}

uint32_t slu_flow_place_slots(const struct slu_flow_place *table)
{
	return (SLU_NIC_BANKS * WAYS) << table->bucket_bits;
}

uint32_t slu_flow_place_used(const struct slu_flow_place *table)
{
	return table->used;
}

bool slu_flow_place_next(const struct slu_flow_place *table, uint32_t *slot, uint32_t *tag)
{
	for (uint32_t s = *slot; s < slu_flow_place_slots(table); s++) {
		uint32_t entry = table->tags[s / WAYS][s % WAYS];

		if (entry & VALID) {
			*slot = s;
			*tag = entry & ~VALID;
			return true;
		}
	}
	return false;
}

uint32_t slu_flow_place_home(const struct slu_flow_place *table, uint32_t slot)
{
	uint32_t bucket = slot / WAYS;

	if (bucket & bank_bit(table))
		bucket = other_bucket(table, bucket, table->tags[bucket][slot % WAYS] & ~VALID);
	return bucket;
}
