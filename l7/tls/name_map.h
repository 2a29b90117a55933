/*
 * Which entry a server name (SNI) belongs to: exact names first, then a wildcard for
 * its first label (RFC 9525, 6.3). Entries are numbers of the owner.
 */
#ifndef SLU_L7_NAME_MAP_H
#define SLU_L7_NAME_MAP_H

#include <stddef.h>
#include <stdint.h>

struct slu_name_map;

/* Room for `names` names. NULL: no memory. */
struct slu_name_map *slu_name_map_create(size_t names);
void slu_name_map_free(struct slu_name_map *map);

/*
 * Where the value of `name` (lower case, without the last dot) stands; a new one is 0.
 * `name` is not copied and outlives the map. NULL: more names than there is room for.
 */
uint32_t *slu_name_map_add(struct slu_name_map *map, const char *name);

/* The value for a name that a client sent, in whatever case; `absent` if none fits. Any bytes may be given. */
uint32_t slu_name_map_find(const struct slu_name_map *map, const char *name, size_t bytes, uint32_t absent);

#endif
