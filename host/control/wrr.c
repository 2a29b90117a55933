#include <stdbool.h>
#include <stdlib.h>

#include "host/config/memory.h"
#include "host/control/wrr.h"

/* A backend's next turn, at place/weight of the round; place counts half turns. */
struct turn {
	uint32_t place, weight;
	uint16_t index;
};

static bool before(const struct turn *a, const struct turn *b)
{
	uint64_t left = (uint64_t)a->place * b->weight, right = (uint64_t)b->place * a->weight;

	return left != right ? left < right : a->index < b->index;
}

static void sift_down(struct turn *heap, uint32_t count, uint32_t at)
{
	for (;;) {
		uint32_t child = 2 * at + 1;
		struct turn moved = heap[at];

		if (child >= count)
			return;
		if (child + 1 < count && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &heap[at]))
			return;
		heap[at] = heap[child];
		heap[child] = moved;
		at = child;
	}
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* One entry for each positive weight; returns how many, and the sum of turns. */
static uint32_t heap_fill(struct turn *heap, const uint16_t *weights, uint32_t count, uint32_t *turns)
{
	uint32_t divisor = 0, used = 0;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		divisor = common_divisor(divisor, weights[i]);
	for (uint32_t i = 0; i < count; i++)
		sum += divisor ? weights[i] / divisor : 0;
	*turns = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t weight = divisor ? weights[i] / divisor : 0;

		if (weight == 0)
			continue;
		if (sum > SLU_WRR_MAX)
			weight = (uint32_t)((uint64_t)weight * SLU_WRR_MAX / sum);
		weight = weight ? weight : 1;
		heap[used++] = (struct turn){1, weight, (uint16_t)i};
		*turns += weight;
	}
	return used;
}

uint16_t *slu_wrr_build(const uint16_t *weights, uint32_t count, uint32_t *turns)
{
	struct turn *heap = slu_memory_zeroed(count, sizeof(*heap));
	uint32_t used = heap_fill(heap, weights, count, turns);
	uint16_t *order = *turns ? slu_memory_zeroed(*turns, sizeof(*order)) : NULL;

	for (uint32_t i = used / 2; i-- > 0;)
		sift_down(heap, used, i);
	for (uint32_t turn = 0; turn < *turns; turn++) {
		order[turn] = heap[0].index;
		heap[0].place += 2; /* behind the round's end (2 * weight) it never comes first again */
		sift_down(heap, used, 0);
	}
	free(heap);
	return order;
}
