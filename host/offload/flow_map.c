#include "host/offload/flow_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BITS 10

static uint32_t home(const struct slu_flow_map *map, uint64_t key)
{
	return (uint32_t)((key * 0x9E3779B97F4A7C15u) >> (64 - map->bits));
}

/* Where the key stands, or the empty entry where it would; the map has entries and one of them is empty. */
static uint32_t find(const struct slu_flow_map *map, uint64_t key)
{
	uint32_t mask = (1u << map->bits) - 1, at = home(map, key);

	while (map->entries[at].key != 0 && map->entries[at].key != key)
		at = (at + 1) & mask;
	return at;
}

void slu_flow_map_free(struct slu_flow_map *map)
{
	free(map->entries);
	memset(map, 0, sizeof(*map));
}

uint32_t slu_flow_map_get(const struct slu_flow_map *map, uint64_t key)
{
	uint32_t at;

	if (!map->entries)
		return SLU_FLOW_MAP_NONE;
	at = find(map, key);
	return map->entries[at].key == key ? map->entries[at].value : SLU_FLOW_MAP_NONE;
}

static int grow(struct slu_flow_map *map)
{
	struct slu_flow_map bigger = {.bits = map->entries ? map->bits + 1 : FIRST_BITS, .count = map->count};

	bigger.entries = calloc((size_t)1 << bigger.bits, sizeof(*bigger.entries));
	if (!bigger.entries)
		return -ENOMEM;
	for (uint32_t i = 0; map->entries && i < 1u << map->bits; i++) {
		if (map->entries[i].key)
			bigger.entries[find(&bigger, map->entries[i].key)] = map->entries[i];
	}
	free(map->entries);
	*map = bigger;
	return 0;
}

int slu_flow_map_put(struct slu_flow_map *map, uint64_t key, uint32_t value)
{
	uint32_t at;

	if ((!map->entries || map->count >= (1u << map->bits) / 4 * 3) && grow(map) != 0)
		return -ENOMEM;
	at = find(map, key);
	map->count += map->entries[at].key == 0;
	map->entries[at] = (struct slu_flow_map_entry){.key = key, .value = value};
	return 0;
}

void slu_flow_map_remove(struct slu_flow_map *map, uint64_t key)
{
	uint32_t mask, hole, at;

	if (!map->entries)
		return;
	mask = (1u << map->bits) - 1;
	hole = find(map, key);
	if (map->entries[hole].key != key)
		return;
	/* An entry behind the hole moves into it unless its home lies cyclically in (hole, at]. */
	for (at = (hole + 1) & mask; map->entries[at].key != 0; at = (at + 1) & mask) {
		if (((at - home(map, map->entries[at].key)) & mask) >= ((at - hole) & mask)) {
			map->entries[hole] = map->entries[at];
			hole = at;
		}
	}
	map->entries[hole].key = 0;
	map->count--;
}
