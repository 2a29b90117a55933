/*
 * Finds a number by a 64-bit key: open addressing, linear probing, deletion by
 * shifting back, so that it never fills with tombstones. Control thread only.
 */
#ifndef SLU_HOST_FLOW_MAP_H
#define SLU_HOST_FLOW_MAP_H

#include <stdint.h>

#define SLU_FLOW_MAP_NONE UINT32_MAX

struct slu_flow_map_entry {
	uint64_t key; /* 0: empty */
	uint32_t value;
};

struct slu_flow_map {
	struct slu_flow_map_entry *entries;
	uint32_t bits, count;
};

/* Zeroed memory is an empty map. */
void slu_flow_map_free(struct slu_flow_map *map);

/* Returns the value, or SLU_FLOW_MAP_NONE. */
uint32_t slu_flow_map_get(const struct slu_flow_map *map, uint64_t key);

/* Adds or replaces; key is not 0. Returns 0 or -ENOMEM, the map unchanged. */
int slu_flow_map_put(struct slu_flow_map *map, uint64_t key, uint32_t value);

/* Removes if present. */
void slu_flow_map_remove(struct slu_flow_map *map, uint64_t key);

#endif
