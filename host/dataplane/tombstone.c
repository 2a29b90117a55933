#include "host/dataplane/tombstone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WAYS 8u
#define COUNT_MIN 64u
#define LINE 64u
#define HUGE_PAGE (2u << 20)

int slu_tombstone_init(struct slu_tombstone_table *t, uint32_t count)
{
	uint32_t places = COUNT_MIN;
	size_t bytes;

	while (places < count && places < 1u << 24)
		places *= 2;
	bytes = places * sizeof(*t->places);
	t->places = aligned_alloc(bytes < HUGE_PAGE ? LINE : HUGE_PAGE, (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1ul));
	t->mask = places - 1;
	if (!t->places)
		return -ENOMEM;
	(void)madvise(t->places, bytes, MADV_HUGEPAGE);
	memset(t->places, 0, bytes);
	return 0;
}

void slu_tombstone_fini(struct slu_tombstone_table *t)
{
	free(t->places);
	t->places = NULL;
}

static struct slu_tombstone *first_of(const struct slu_tombstone_table *t, uint64_t key)
{
	return &t->places[(uint32_t)(key >> 32) & t->mask & ~(WAYS - 1)];
}

static bool stands(const struct slu_tombstone *stone, uint32_t now_tick)
{
	return stone->key && (int32_t)(stone->until_tick - now_tick) > 0;
}

bool slu_tombstone_add(struct slu_tombstone_table *t, const struct slu_tombstone *stone, uint32_t now_tick)
{
	struct slu_tombstone *first = first_of(t, stone->key), *best = first;
	bool room;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (first[i].key == stone->key) {
			first[i] = *stone;
			return true;
		}
		if (stands(best, now_tick) &&
			(!stands(&first[i], now_tick) || (int32_t)(first[i].until_tick - best->until_tick) < 0))
			best = &first[i];
	}
	room = !stands(best, now_tick);
	*best = *stone;
	return room;
}

void slu_tombstone_prefetch(const struct slu_tombstone_table *t, uint64_t key)
{
	const uint8_t *first = (const uint8_t *)first_of(t, key);

	for (uint32_t at = 0; at < WAYS * sizeof(struct slu_tombstone); at += LINE)
		__builtin_prefetch(first + at);
}

const struct slu_tombstone *slu_tombstone_find(const struct slu_tombstone_table *t, uint64_t key, uint32_t now_tick)
{
	const struct slu_tombstone *first = first_of(t, key);

	for (uint32_t i = 0; i < WAYS; i++)
		if (first[i].key == key && stands(&first[i], now_tick))
			return &first[i];
	return NULL;
}
