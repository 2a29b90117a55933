#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"
#include "host/control/ids.h"
#include "host/control/store.h"

#define HEADING "sluice-ids 1"
#define NOBODY UINT32_MAX

struct entry {
	enum slu_ids_kind kind;
	uint32_t id, live;
	char *key;
	bool tombstone;
	bool taken;    /* in the open transaction */
	bool fresh;    /* made by the open transaction */
	uint32_t next; /* in the hash chain */
};

struct slu_ids {
	char *path;
	uint32_t next_id;
	struct entry *entries; /* ascending ids */
	uint32_t count, room;
	uint32_t *chains;
	uint32_t chain_count; /* a power of two */
	uint64_t used[SLU_IDS_KINDS][(SLU_IDS_LIVE_MAX + 63) / 64];
	bool open; /* a transaction is */
};

static const char *const kind_names[SLU_IDS_KINDS] = {"listener", "group", "backend"};

static uint32_t hash_of(enum slu_ids_kind kind, const char *key)
{
	uint32_t hash = 2166136261u ^ (uint32_t)kind; /* FNV-1a */

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 16777619u;
	return hash ^ hash >> 15;
}

static void rehash(struct slu_ids *ids)
{
	uint32_t wanted = 64;

	while (wanted < ids->count)
		wanted *= 2;
	if (wanted != ids->chain_count)
		ids->chains = slu_memory_resize(ids->chains, wanted, sizeof(*ids->chains));
	ids->chain_count = wanted;
	for (uint32_t i = 0; i < wanted; i++)
		ids->chains[i] = NOBODY;
	for (uint32_t i = 0; i < ids->count; i++) {
		uint32_t *chain = &ids->chains[hash_of(ids->entries[i].kind, ids->entries[i].key) & (wanted - 1)];

		ids->entries[i].next = *chain;
		*chain = i;
	}
}

static struct entry *find(struct slu_ids *ids, enum slu_ids_kind kind, const char *key)
{
	uint32_t at = ids->chains[hash_of(kind, key) & (ids->chain_count - 1)];

	while (at != NOBODY && (ids->entries[at].kind != kind || strcmp(ids->entries[at].key, key) != 0))
		at = ids->entries[at].next;
	return at == NOBODY ? NULL : &ids->entries[at];
}

static bool live_used(const struct slu_ids *ids, enum slu_ids_kind kind, uint32_t live)
{
	return ids->used[kind][live / 64] >> (live % 64) & 1;
}

static void live_set(struct slu_ids *ids, enum slu_ids_kind kind, uint32_t live, bool used)
{
	uint64_t bit = 1ull << (live % 64);

	if (used)
		ids->used[kind][live / 64] |= bit;
	else
		ids->used[kind][live / 64] &= ~bit;
}

static int live_find(const struct slu_ids *ids, enum slu_ids_kind kind, uint32_t *live)
{
	for (uint32_t word = 0; word < (SLU_IDS_LIVE_MAX + 63) / 64; word++) {
		if (ids->used[kind][word] == UINT64_MAX)
			continue;
		*live = 64 * word + (uint32_t)__builtin_ctzll(~ids->used[kind][word]);
		return *live < SLU_IDS_LIVE_MAX ? 0 : -ENOSPC;
	}
	return -ENOSPC;
}

static struct entry *append(struct slu_ids *ids, enum slu_ids_kind kind, uint32_t id, uint32_t live, const char *key)
{
	struct entry *entry;
	uint32_t *chain;

	if (ids->count == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 64;
		ids->entries = slu_memory_resize(ids->entries, ids->room, sizeof(*ids->entries));
	}
	entry = &ids->entries[ids->count++];
	*entry = (struct entry){.kind = kind, .id = id, .live = live, .key = slu_memory_copy(key)};
	live_set(ids, kind, live, true);
	if (ids->count > ids->chain_count) {
		rehash(ids);
		return entry;
	}
	chain = &ids->chains[hash_of(kind, key) & (ids->chain_count - 1)];
	entry->next = *chain;
	*chain = ids->count - 1;
	return entry;
}

/* Removes the entries whose id was set to 0; those behind move up. */
static void compact(struct slu_ids *ids)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < ids->count; i++) {
		struct entry *entry = &ids->entries[i];

		if (entry->id != 0) {
			ids->entries[kept++] = *entry;
			continue;
		}
		live_set(ids, entry->kind, entry->live, false);
		free(entry->key);
	}
	ids->count = kept;
	rehash(ids);
}

/* One line of the file: "backend 12 3 web/b1/198.18.2.11/80". Returns why not, or NULL. */
static const char *read_entry(struct slu_ids *ids, const char *line)
{
	char kind_name[16], key[512];
	uint32_t id, live;
	int end = 0;
	enum slu_ids_kind kind = 0;

	if (sscanf(line, "%15s %" SCNu32 " %" SCNu32 " %511s%n", kind_name, &id, &live, key, &end) != 4 ||
		line[end] != '\0')
		return "cannot be read";
	while (kind < SLU_IDS_KINDS && strcmp(kind_names[kind], kind_name) != 0)
		kind++;
	if (kind == SLU_IDS_KINDS)
		return "is of an unknown kind";
	if (id == 0 || id >= ids->next_id || (ids->count > 0 && id <= ids->entries[ids->count - 1].id))
		return "has an id out of order";
	if (live >= SLU_IDS_LIVE_MAX || live_used(ids, kind, live))
		return "has a live index that is taken";
	if (find(ids, kind, key) != NULL)
		return "is there twice";
	append(ids, kind, id, live, key)->tombstone = true; /* until the first transaction takes it */
	return NULL;
}

static const char *read_lines(struct slu_ids *ids, FILE *file, unsigned *line_number)
{
	const char *why = NULL;
	char line[640];
	uint32_t expected;
	bool ended = false;

	while (why == NULL && fgets(line, sizeof(line), file) != NULL) {
		int end = 0;

		line[strcspn(line, "\n")] = '\0';
		++*line_number;
		if (ended)
			why = "stands behind the end";
		else if (*line_number == 1)
			why = strcmp(line, HEADING) == 0 ? NULL : "is no heading of this version";
		else if (*line_number == 2)
			why = sscanf(line, "next %" SCNu32 "%n", &ids->next_id, &end) == 1 && line[end] == '\0' &&
					      ids->next_id > 0
				      ? NULL
				      : "does not tell the next id";
		else if (sscanf(line, "end %" SCNu32 "%n", &expected, &end) == 1 && line[end] == '\0') {
			ended = true;
			why = expected == ids->count ? NULL : "counts other entries than there are";
		} else
			why = read_entry(ids, line);
	}
	return why == NULL && !ended ? "is missing: the file has no end" : why;
}

int slu_ids_load(const char *path, struct slu_ids **ids, char **why)
{
	unsigned line_number = 0;
	const char *wrong = NULL;
	FILE *file = fopen(path, "re");

	*why = NULL;
	*ids = NULL;
	if (file == NULL && errno != ENOENT) {
		*why = slu_memory_format("%s: %s", path, strerror(errno));
		return -EINVAL;
	}
	*ids = slu_memory_zeroed(1, sizeof(**ids));
	(*ids)->path = slu_memory_copy(path);
	(*ids)->next_id = 1;
	rehash(*ids);
	if (file == NULL)
		return 0;
	wrong = read_lines(*ids, file, &line_number);
	fclose(file);
	if (wrong == NULL)
		return 0;
	*why = slu_memory_format("%s:%u: the table of ids is damaged: this line %s", path, line_number, wrong);
	slu_ids_free(*ids);
	*ids = NULL;
	return -EINVAL;
}

void slu_ids_free(struct slu_ids *ids)
{
	if (ids == NULL)
		return;
	for (uint32_t i = 0; i < ids->count; i++)
		free(ids->entries[i].key);
	free(ids->entries);
	free(ids->chains);
	free(ids->path);
	free(ids);
}

void slu_ids_begin(struct slu_ids *ids)
{
	assert(!ids->open);
	ids->open = true;
	for (uint32_t i = 0; i < ids->count; i++)
		ids->entries[i].taken = false;
}

int slu_ids_take(struct slu_ids *ids, enum slu_ids_kind kind, const char *key, uint32_t *id, uint32_t *live)
{
	struct entry *entry = find(ids, kind, key);

	assert(ids->open);
	if (entry == NULL) {
		uint32_t free_live;

		if (ids->next_id == UINT32_MAX || live_find(ids, kind, &free_live) != 0)
			return -ENOSPC;
		entry = append(ids, kind, ids->next_id++, free_live, key);
		entry->fresh = true;
	}
	entry->taken = true;
	*id = entry->id;
	*live = entry->live;
	return 0;
}

static int write_table(const struct slu_ids *ids)
{
	size_t bytes;
	char *text;
	FILE *file = open_memstream(&text, &bytes);
	int ret;

	if (file == NULL)
		return -errno;
	fprintf(file, "%s\nnext %" PRIu32 "\n", HEADING, ids->next_id);
	for (uint32_t i = 0; i < ids->count; i++) {
		const struct entry *entry = &ids->entries[i];
		fprintf(file, "%s %" PRIu32 " %" PRIu32 " %s\n", kind_names[entry->kind], entry->id, entry->live,
			entry->key);
	}
	fprintf(file, "end %" PRIu32 "\n", ids->count);
	if (fclose(file) != 0)
		return -ENOMEM;
	ret = slu_store_write(ids->path, text, bytes);
	free(text);
	return ret;
}

int slu_ids_commit(struct slu_ids *ids)
{
	int ret;

	assert(ids->open);
	ret = write_table(ids);
	if (ret != 0)
		return ret;
	for (uint32_t i = 0; i < ids->count; i++) {
		ids->entries[i].tombstone = !ids->entries[i].taken;
		ids->entries[i].fresh = false;
	}
	ids->open = false;
	return 0;
}

void slu_ids_abort(struct slu_ids *ids)
{
	assert(ids->open);
	for (uint32_t i = 0; i < ids->count; i++)
		if (ids->entries[i].fresh)
			ids->entries[i].id = 0;
	compact(ids);
	ids->open = false;
}

uint32_t slu_ids_sweep(struct slu_ids *ids, slu_ids_in_use_fn *in_use, void *ctx)
{
	uint32_t left = 0, dropped = 0;

	assert(!ids->open);
	for (uint32_t i = 0; i < ids->count; i++) {
		struct entry *entry = &ids->entries[i];

		if (!entry->tombstone)
			continue;
		if (entry->kind != SLU_IDS_GROUP && in_use(ctx, entry->kind, entry->live)) {
			left++;
			continue;
		}
		entry->id = 0;
		dropped++;
	}
	if (dropped > 0)
		compact(ids);
	return left;
}

bool slu_ids_find(const struct slu_ids *ids, uint32_t id, struct slu_ids_entry *found)
{
	uint32_t low = 0, high = ids->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ids->entries[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == ids->count || ids->entries[low].id != id)
		return false;
	*found = (struct slu_ids_entry){ids->entries[low].kind, ids->entries[low].live, ids->entries[low].key};
	return true;
}

uint32_t slu_ids_live_limit(const struct slu_ids *ids, enum slu_ids_kind kind)
{
	for (uint32_t word = (SLU_IDS_LIVE_MAX + 63) / 64; word-- > 0;)
		if (ids->used[kind][word] != 0)
			return 64 * word + 64 - (uint32_t)__builtin_clzll(ids->used[kind][word]);
	return 0;
}
