#include "host/cluster/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cluster/etcd_value.h"
#include "host/config/memory.h"

#define NAME_BYTES 96

struct slu_catalog {
	json_t *parts;  /* texts by name */
	json_t *wanted; /* true by name: of the generation */
	json_t *list;   /* the generation itself; NULL: none */
	uint64_t number, changes;
};

struct slu_catalog *slu_catalog_create(void)
{
	struct slu_catalog *catalog = slu_memory_zeroed(1, sizeof(*catalog));

	catalog->parts = json_object();
	catalog->wanted = json_object();
	return catalog;
}

void slu_catalog_free(struct slu_catalog *catalog)
{
	if (!catalog)
		return;
	json_decref(catalog->parts);
	json_decref(catalog->wanted);
	json_decref(catalog->list);
	free(catalog);
}

static bool is_hash(const char *text)
{
	return text && strlen(text) == SLU_ETCD_HASH_BYTES - 1 &&
	       strspn(text, "0123456789abcdef") == SLU_ETCD_HASH_BYTES - 1;
}

/* The hash in "kind/hash", or NULL. */
static const char *hash_in(const char *name)
{
	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++) {
		size_t bytes = strlen(slu_config_kinds[kind]);

		if (strncmp(name, slu_config_kinds[kind], bytes) == 0 && name[bytes] == '/')
			return is_hash(name + bytes + 1) ? name + bytes + 1 : NULL;
	}
	return NULL;
}

int slu_catalog_add(struct slu_catalog *catalog, const char *name, const char *text, size_t bytes)
{
	const char *wanted = hash_in(name);
	char hash[SLU_ETCD_HASH_BYTES];
	json_t *value;

	if (!wanted)
		return -EINVAL;
	slu_etcd_value_hash(text, bytes, hash);
	value = strcmp(hash, wanted) == 0 ? json_stringn(text, bytes) : NULL;
	return value && json_object_set_new(catalog->parts, name, value) == 0 ? 0 : -EBADMSG;
}

/*
 * Adds the names of one kind to `wanted`. Kinds that came later are missing in a generation of an earlier version.
 * Returns false if this is no list of hashes.
 */
static bool read_kind(const json_t *list, enum slu_config_kind kind, json_t *wanted)
{
	const json_t *hashes = json_object_get(list, slu_config_kinds[kind]), *hash;
	char name[NAME_BYTES];
	size_t i;

	if (!hashes)
		return kind > SLU_CONFIG_LISTENERS;
	if (!json_is_array(hashes) || (kind == SLU_CONFIG_METERING && json_array_size(hashes) > 1))
		return false;
	json_array_foreach(hashes, i, hash)
	{
		if (!is_hash(json_string_value(hash)))
			return false;
		snprintf(name, sizeof(name), "%s/%s", slu_config_kinds[kind], json_string_value(hash));
		json_object_set_new(wanted, name, json_true());
	}
	return true;
}

static bool read_kinds(const json_t *list, json_t *wanted)
{
	bool ok = true;

	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS && ok; kind++)
		ok = read_kind(list, kind, wanted);
	return ok;
}

int slu_catalog_want(struct slu_catalog *catalog, const char *text, size_t bytes)
{
	json_t *list = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL), *wanted = json_object();
	json_int_t number = json_integer_value(json_object_get(list, "number"));

	if (number < 1 || !read_kinds(list, wanted) || json_object_size(wanted) > SLU_CATALOG_MAX_PARTS) {
		json_decref(list);
		json_decref(wanted);
		return -EINVAL;
	}
	catalog->changes += !json_equal(list, catalog->list);
	json_decref(catalog->list);
	json_decref(catalog->wanted);
	catalog->list = list;
	catalog->wanted = wanted;
	catalog->number = (uint64_t)number;
	return 0;
}

uint64_t slu_catalog_number(const struct slu_catalog *catalog)
{
	return catalog->number;
}

uint64_t slu_catalog_changes(const struct slu_catalog *catalog)
{
	return catalog->changes;
}

bool slu_catalog_wants(const struct slu_catalog *catalog, const char *name)
{
	return json_object_get(catalog->wanted, name) != NULL;
}

uint32_t slu_catalog_missing(const struct slu_catalog *catalog)
{
	uint32_t missing = 0;
	const char *name;
	json_t *yes;

	json_object_foreach(catalog->wanted, name, yes)
	{
		missing += json_object_get(catalog->parts, name) == NULL;
	}
	return missing;
}

static void forget_others(struct slu_catalog *catalog)
{
	const char *name;
	json_t *text;
	void *next;

	json_object_foreach_safe(catalog->parts, next, name, text)
	{
		if (!slu_catalog_wants(catalog, name))
			json_object_del(catalog->parts, name);
	}
}

/* A growing text. */
struct text {
	char *bytes;
	size_t used, room;
};

static void append(struct text *text, const char *more)
{
	size_t bytes = strlen(more);

	if (text->used + bytes + 1 > text->room) {
		text->room = 2 * (text->used + bytes + 1);
		text->bytes = slu_memory_resize(text->bytes, text->room, 1);
	}
	memcpy(text->bytes + text->used, more, bytes + 1);
	text->used += bytes;
}

/* The parts of one kind, each on a line of its own. */
static void append_parts(const struct slu_catalog *catalog, enum slu_config_kind kind, struct text *text)
{
	const json_t *hash;
	char name[NAME_BYTES];
	size_t i;

	json_array_foreach(json_object_get(catalog->list, slu_config_kinds[kind]), i, hash)
	{
		snprintf(name, sizeof(name), "%s/%s", slu_config_kinds[kind], json_string_value(hash));
		append(text, i ? ",\n" : "\n");
		append(text, json_string_value(json_object_get(catalog->parts, name)));
	}
}

/*
 * Parts stand in the document as they are: who wrote them wrote JSON, and what is none
 * is found when the document is read.
 */
char *slu_catalog_document(struct slu_catalog *catalog)
{
	struct text text = {0};

	append(&text, "{\"version\":1");
	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++) {
		size_t count = json_array_size(json_object_get(catalog->list, slu_config_kinds[kind]));
		bool is_list = kind != SLU_CONFIG_METERING;

		if (count == 0 && kind > SLU_CONFIG_LISTENERS)
			continue;
		append(&text, ",\n\"");
		append(&text, slu_config_kinds[kind]);
		append(&text, is_list ? "\":[" : "\":");
		append_parts(catalog, kind, &text);
		append(&text, is_list ? "]" : "");
	}
	append(&text, "}\n");
	forget_others(catalog);
	return text.bytes;
}

/* Takes `text`. */
static void put_part(json_t *hashes, json_t *parts, enum slu_config_kind kind, char *text)
{
	char hash[SLU_ETCD_HASH_BYTES], name[NAME_BYTES];

	if (!text)
		abort();
	slu_etcd_value_hash(text, strlen(text), hash);
	snprintf(name, sizeof(name), "%s/%s", slu_config_kinds[kind], hash);
	json_array_append_new(hashes, json_string(hash));
	json_object_set_new(parts, name, json_string(text));
	free(text);
}

int slu_catalog_split(const struct slu_config *config, uint64_t number, json_t **list, json_t **parts)
{
	uint64_t count = 0;

	*list = *parts = NULL;
	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++)
		count += slu_config_part_count(config, kind);
	if (count > SLU_CATALOG_MAX_PARTS)
		return -E2BIG;
	*list = json_pack("{s:I}", "number", (json_int_t)number);
	*parts = json_object();
	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++) {
		json_t *hashes = json_array();

		for (uint32_t i = 0; i < slu_config_part_count(config, kind); i++)
			put_part(hashes, *parts, kind, slu_config_dump_part(config, kind, i));
		json_object_set_new(*list, slu_config_kinds[kind], hashes);
	}
	return 0;
}
