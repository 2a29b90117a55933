#include "l7/tls/name_map.h"

#include <stdlib.h>
#include <string.h>

/* RFC 1035, 2.3.4. */
#define NAME_MAX_BYTES 255

struct entry {
	const char *name; /* NULL: free */
	uint32_t value;
};

struct slu_name_map {
	size_t mask, room; /* slots are twice the room: open addressing ends soon */
	size_t used;
	struct entry entries[];
};

/* FNV-1a. Clients cannot add names, so that its being known does no harm. */
static uint64_t hash(const char *name, size_t bytes)
{
	uint64_t value = 0xcbf29ce484222325;

	for (size_t i = 0; i < bytes; i++)
		value = (value ^ (unsigned char)name[i]) * 0x100000001b3;
	return value;
}

struct slu_name_map *slu_name_map_create(size_t names)
{
	size_t slots = 2;
	struct slu_name_map *map;

	while (slots < 2 * names)
		slots *= 2;
	map = calloc(1, sizeof(*map) + slots * sizeof(map->entries[0]));
	if (map != NULL) {
		map->mask = slots - 1;
		map->room = names;
	}
	return map;
}

void slu_name_map_free(struct slu_name_map *map)
{
	free(map);
}

/* The slot of the name, or the free one where it would be. */
static size_t slot_of(const struct slu_name_map *map, const char *name, size_t bytes)
{
	size_t slot = hash(name, bytes) & map->mask;

	while (map->entries[slot].name != NULL &&
		(strncmp(map->entries[slot].name, name, bytes) != 0 || map->entries[slot].name[bytes] != '\0'))
		slot = (slot + 1) & map->mask;
	return slot;
}

uint32_t *slu_name_map_add(struct slu_name_map *map, const char *name)
{
	struct entry *entry = &map->entries[slot_of(map, name, strlen(name))];

	if (entry->name == NULL) {
		if (map->used == map->room)
			return NULL;
		map->used++;
		entry->name = name;
	}
	return &entry->value;
}

uint32_t slu_name_map_find(const struct slu_name_map *map, const char *name, size_t bytes, uint32_t absent)
{
	char lower[NAME_MAX_BYTES + 1];
	const struct entry *entry;
	const char *dot;

	if (bytes > 0 && name[bytes - 1] == '.')
		bytes--;
	/* "*" begins what is stored for a wildcard, and no name that can be asked for. */
	if (bytes == 0 || bytes > NAME_MAX_BYTES || name[0] == '*' || memchr(name, 0, bytes) != NULL)
		return absent;
	for (size_t i = 0; i < bytes; i++)
		lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
	entry = &map->entries[slot_of(map, lower, bytes)];
	if (entry->name != NULL)
		return entry->value;
	dot = memchr(lower, '.', bytes);
	if (dot == NULL || dot == lower)
		return absent;
	lower[dot - lower - 1] = '*';
	entry = &map->entries[slot_of(map, dot - 1, bytes - (size_t)(dot - 1 - lower))];
	return entry->name != NULL ? entry->value : absent;
}
