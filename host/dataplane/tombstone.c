#include "host/dataplane/tombstone.h"

#include <errno.h>
#include <stdlib.h>

#define WAYS 8u
#define COUNT_MIN 64u

int slu_tombstone_init(struct slu_tombstone_table *t, uint32_t count)
{
	uint32_t places = COUNT_MIN;

	while (places < count && places < 1u << 24)
		places *= 2;
	t->places = calloc(places, sizeof(*t->places));
	t->mask = places - 1;
	return t->places ? 0 : -ENOMEM;
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

const struct slu_tombstone *slu_tombstone_find(const struct slu_tombstone_table *t, uint64_t key, uint32_t now_tick)
{
	const struct slu_tombstone *first = first_of(t, key);

	for (uint32_t i = 0; i < WAYS; i++)
		if (first[i].key == key && stands(&first[i], now_tick))
			return &first[i];
	return NULL;
}
