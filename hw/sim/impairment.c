#include "impairment.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_MAX 32768u
/* A reordered frame waits so much longer than others, at least one and at most twenty times. */
#define REORDER_STEP_US 50u
#define REORDER_STEPS 20u

struct waiting {
	uint64_t due_us;
	uint64_t order; /* frames due together keep their order */
	size_t len;
	uint8_t frame[];
};

struct slu_impairment {
	struct slu_impairment_config config;
	slu_impairment_deliver deliver;
	void *ctx;
	uint64_t random;
	uint64_t order;
	struct waiting *heap[WAITING_MAX]; /* binary, earliest first */
	uint32_t count;
	struct slu_impairment_stats stats;
};

struct slu_impairment *slu_impairment_create(
	const struct slu_impairment_config *config, uint64_t seed, slu_impairment_deliver deliver, void *ctx)
{
	struct slu_impairment *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->config = *config;
	i->deliver = deliver;
	i->ctx = ctx;
	i->random = seed * 0x9E3779B97F4A7C15ULL | 1;
	return i;
}

void slu_impairment_destroy(struct slu_impairment *i)
{
	if (!i)
		return;
	for (uint32_t n = 0; n < i->count; n++)
		free(i->heap[n]);
	free(i);
}

static uint64_t draw(struct slu_impairment *i)
{
	i->random ^= i->random >> 12;
	i->random ^= i->random << 25;
	i->random ^= i->random >> 27;
	return i->random * 0x2545F4914F6CDD1DULL;
}

static bool happens(struct slu_impairment *i, double probability)
{
	return probability > 0 && (double)(draw(i) >> 11) * 0x1p-53 < probability;
}

static bool before(const struct waiting *a, const struct waiting *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void push(struct slu_impairment *i, struct waiting *w)
{
	uint32_t at = i->count++;

	while (at && before(w, i->heap[(at - 1) / 2])) {
		i->heap[at] = i->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	i->heap[at] = w;
}

static struct waiting *pop(struct slu_impairment *i)
{
	struct waiting *first = i->heap[0];
	struct waiting *w = i->heap[--i->count];
	uint32_t at = 0;

	for (;;) {
		uint32_t child = at * 2 + 1;

		if (child >= i->count)
			break;
		if (child + 1 < i->count && before(i->heap[child + 1], i->heap[child]))
			child++;
		if (!before(i->heap[child], w))
			break;
		i->heap[at] = i->heap[child];
		at = child;
	}
	i->heap[at] = w;
	return first;
}

void slu_impairment_pass(struct slu_impairment *i, uint64_t now_us, const uint8_t *frame, size_t len)
{
	uint64_t delay_us = i->config.delay_us;
	struct waiting *w;

	if (happens(i, i->config.loss)) {
		i->stats.lost++;
		return;
	}
	if (happens(i, i->config.reorder))
		delay_us += (1 + draw(i) % REORDER_STEPS) * REORDER_STEP_US;
	if (!delay_us) {
		i->deliver(i->ctx, frame, len);
		return;
	}
	w = i->count < WAITING_MAX ? malloc(sizeof(*w) + len) : NULL;
	if (!w) {
		i->stats.overflow++;
		return;
	}
	w->due_us = now_us + delay_us;
	w->order = i->order++;
	w->len = len;
	memcpy(w->frame, frame, len);
	push(i, w);
	i->stats.delayed++;
}

void slu_impairment_advance(struct slu_impairment *i, uint64_t now_us)
{
	while (i->count && i->heap[0]->due_us <= now_us) {
		struct waiting *w = pop(i);

		i->deliver(i->ctx, w->frame, w->len);
		free(w);
	}
}

uint64_t slu_impairment_next_us(const struct slu_impairment *i)
{
	return i->count ? i->heap[0]->due_us : UINT64_MAX;
}

void slu_impairment_get_stats(const struct slu_impairment *i, struct slu_impairment_stats *stats)
{
	*stats = i->stats;
}
