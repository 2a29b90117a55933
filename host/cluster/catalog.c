#include "host/cluster/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cluster/etcd_value.h"
#include "host/config/memory.h"

#define NAME_BYTES 96

static const char *const kinds[] = {"groups", "listeners"};

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

int slu_catalog_add(struct slu_catalog *catalog, const char *name, const char *text, size_t bytes)
{
	const char *slash = strchr(name, '/');
	char hash[SLU_ETCD_HASH_BYTES];
	json_t *value;

	if (!slash || !is_hash(slash + 1) || (strncmp(name, "groups/", 7) != 0 && strncmp(name, "listeners/", 10) != 0))
		return -EINVAL;
	slu_etcd_value_hash(text, bytes, hash);
	value = strcmp(hash, slash + 1) == 0 ? json_stringn(text, bytes) : NULL;
	return value && json_object_set_new(catalog->parts, name, value) == 0 ? 0 : -EBADMSG;
}

/* Adds the names of one kind to `wanted`. Returns false if this is no list of hashes. */
static bool read_kind(const json_t *list, const char *kind, json_t *wanted)
{
	const json_t *hashes = json_object_get(list, kind), *hash;
	char name[NAME_BYTES];
	size_t i;

	if (!json_is_array(hashes))
		return false;
	json_array_foreach(hashes, i, hash)
	{
		if (!is_hash(json_string_value(hash)))
			return false;
		snprintf(name, sizeof(name), "%s/%s", kind, json_string_value(hash));
		json_object_set_new(wanted, name, json_true());
	}
	return true;
}

int slu_catalog_want(struct slu_catalog *catalog, const char *text, size_t bytes)
{
	json_t *list = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL), *wanted = json_object();
	json_int_t number = json_integer_value(json_object_get(list, "number"));

	if (number < 1 || !read_kind(list, kinds[0], wanted) || !read_kind(list, kinds[1], wanted) ||
		json_object_size(wanted) > SLU_CATALOG_MAX_PARTS) {
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

/*
 * Parts stand in the document as they are, each on a line of its own: who wrote them
 * wrote JSON, and what is none is found when the document is read.
 */
char *slu_catalog_document(struct slu_catalog *catalog)
{
	struct text text = {0};

	append(&text, "{\"version\":1");
	for (int k = 0; k < 2; k++) {
		const json_t *hash;
		char name[NAME_BYTES];
		size_t i;

		append(&text, ",\n\"");
		append(&text, kinds[k]);
		append(&text, "\":[");
		json_array_foreach(json_object_get(catalog->list, kinds[k]), i, hash)
		{
			snprintf(name, sizeof(name), "%s/%s", kinds[k], json_string_value(hash));
			append(&text, i ? ",\n" : "\n");
			append(&text, json_string_value(json_object_get(catalog->parts, name)));
		}
		append(&text, "]");
	}
	append(&text, "}\n");
	forget_others(catalog);
	return text.bytes;
}

/* Takes `text`. */
static void put_part(json_t *list, json_t *parts, int kind, char *text)
{
	char hash[SLU_ETCD_HASH_BYTES], name[NAME_BYTES];

	if (!text)
		abort();
	slu_etcd_value_hash(text, strlen(text), hash);
	snprintf(name, sizeof(name), "%s/%s", kinds[kind], hash);
	json_array_append_new(json_object_get(list, kinds[kind]), json_string(hash));
	json_object_set_new(parts, name, json_string(text));
	free(text);
}

int slu_catalog_split(const struct slu_config *config, uint64_t number, json_t **list, json_t **parts)
{
	*list = *parts = NULL;
	if ((uint64_t)config->group_count + config->listener_count > SLU_CATALOG_MAX_PARTS)
		return -E2BIG;
	*list = json_pack("{s:I,s:[],s:[]}", "number", (json_int_t)number, kinds[0], kinds[1]);
	*parts = json_object();
	for (uint32_t i = 0; i < config->group_count; i++)
		put_part(*list, *parts, 0, slu_config_dump_group(&config->groups[i]));
	for (uint32_t i = 0; i < config->listener_count; i++)
		put_part(*list, *parts, 1, slu_config_dump_listener(&config->listeners[i]));
	return 0;
}
