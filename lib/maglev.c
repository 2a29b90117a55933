#include "maglev.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct taker {
	uint64_t seed;
	uint64_t credit; /* turns it may take, in units of 1 / the largest weight */
	uint32_t next;   /* next slot of its permutation */
	uint32_t skip;
	uint16_t id;
	uint16_t weight;
};

/* splitmix64's finaliser */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
	return x ^ (x >> 31);
}

static int by_seed(const void *a, const void *b)
{
	const struct taker *x = a, *y = b;

	return (x->seed > y->seed) - (x->seed < y->seed);
}

/* Takers in an order of their own, so that the caller's order does not matter. Returns their number or -EINVAL. */
static int collect(const struct slu_maglev_backend *backends, uint32_t count, struct taker *takers)
{
	int n = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t seed = backends[i].seed;

		takers[i] = (struct taker){
			.seed = seed,
			.id = backends[i].id,
			.weight = backends[i].weight,
			.next = mix(seed + 0x9E3779B97F4A7C15u) % SLU_MAGLEV_SLOTS,
			.skip = mix(seed + 2 * 0x9E3779B97F4A7C15u) % (SLU_MAGLEV_SLOTS - 1) + 1,
		};
	}
	qsort(takers, count, sizeof(*takers), by_seed);
	for (uint32_t i = 0; i + 1 < count; i++)
		if (takers[i].seed == takers[i + 1].seed)
			return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		if (takers[i].weight)
			takers[n++] = takers[i];
	return n ? n : -EINVAL;
}

static void take(struct taker *taker, uint16_t *slots)
{
	while (slots[taker->next] != SLU_MAGLEV_NONE)
		taker->next = (taker->next + taker->skip) % SLU_MAGLEV_SLOTS;
	slots[taker->next] = taker->id;
}

/* Rounds in which each takes as many slots as its weight has earned it. */
static void fill(struct taker *takers, int count, uint16_t *slots)
{
	uint32_t filled = 0;
	uint16_t heaviest = 0;

	for (int i = 0; i < count; i++)
		if (takers[i].weight > heaviest)
			heaviest = takers[i].weight;
	memset(slots, 0xFF, SLU_MAGLEV_SLOTS * sizeof(*slots));
	while (filled < SLU_MAGLEV_SLOTS) {
		for (int i = 0; i < count && filled < SLU_MAGLEV_SLOTS; i++) {
			takers[i].credit += takers[i].weight;
			if (takers[i].credit < heaviest)
				continue;
			takers[i].credit -= heaviest;
			take(&takers[i], slots);
			filled++;
		}
	}
}

int slu_maglev_build(const struct slu_maglev_backend *backends, uint32_t count, uint16_t *slots)
{
	struct taker *takers;
	int n;

	if (count == 0 || count >= SLU_MAGLEV_NONE)
		return -EINVAL;
	takers = calloc(count, sizeof(*takers));
	if (!takers)
		return -ENOMEM;
	n = collect(backends, count, takers);
	if (n > 0)
		fill(takers, n, slots);
	free(takers);
	return n > 0 ? 0 : n;
}
