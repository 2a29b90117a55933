#include "host/cluster/shared_write.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/cluster/catalog.h"
#include "host/cluster/etcd_value.h"
#include "host/config/memory.h"
#include "host/log.h"

/* etcd's own limits are 128 operations and 1.5 MiB a transaction. */
#define BATCH_PARTS 100
#define BATCH_BYTES (512 * 1024)
#define PAGE_KEYS 60
#define PAGE_TRIES 4

struct write {
	struct slu_etcd *etcd;
	char *prefix;
	slu_shared_written *done;
	void *context;
	struct slu_catalog *before; /* the generation that stands */
	int64_t revision;           /* at which it was written; 0: there is none */
	json_t *list, *parts;       /* ours; parts that are still to be put */
	json_t *names;              /* of all our parts */
	char *from, *after; /* the page that is cleaned begins behind one part, the next behind the other; or NULL */
	uint32_t tries;     /* of this page */
};

static void finish(struct write *write)
{
	slu_catalog_free(write->before);
	json_decref(write->list);
	json_decref(write->parts);
	json_decref(write->names);
	free(write->prefix);
	free(write->from);
	free(write->after);
	free(write);
}

static void answer(struct write *write, int error, uint64_t number, const char *message)
{
	slu_shared_written *done = write->done;

	write->done = NULL;
	if (done)
		done(write->context, error, number, message);
}

/* Ends it after a call that failed. */
static void give_up(struct write *write, int error, const json_t *body)
{
	answer(write, error ? error : -EPROTO, 0, json_string_value(json_object_get(body, "message")));
	finish(write);
}

static json_t *key_of(const struct write *write, const char *folder, const char *tail)
{
	char *key = slu_memory_format("%s/%s%s", write->prefix, folder, tail);
	json_t *value = slu_etcd_value_text(key);

	free(key);
	return value;
}

/* ---------------------------------------------------- what nobody needs more */

static void clean(struct write *write);

/* The key behind PREFIX/config/; NULL if it is another. */
static char *part_name(const struct write *write, const json_t *kv)
{
	size_t bytes, length = strlen(write->prefix);
	char *key = slu_etcd_value_read_bytes(json_object_get(kv, "key"), &bytes), *name = NULL;

	if (key && strlen(key) == bytes && strncmp(key, write->prefix, length) == 0 &&
		strncmp(key + length, "/config/", 8) == 0)
		name = slu_memory_copy(key + length + 8);
	free(key);
	return name;
}

/* Nothing depends on it: a part that stays is removed after the next generation. */
static void on_cleaned(void *context, int error, const json_t *body)
{
	struct write *write = context;
	/* Another writer was at the same page: what it left is looked at again. */
	bool again = !json_is_true(json_object_get(body, "succeeded")) && ++write->tries < PAGE_TRIES;

	if (error || (!again && !write->after)) {
		finish(write);
		return;
	}
	if (!again) {
		free(write->from);
		write->from = write->after;
		write->after = NULL;
		write->tries = 0;
	}
	clean(write);
}

/*
 * Removes those that were not written again since they were listed: a writer that
 * needs one puts it again unless the generation that stands names it.
 */
static void remove_parts(struct write *write, const json_t *kvs)
{
	json_t *compare = json_array(), *requests = json_array();
	const json_t *kv;
	size_t i;

	json_array_foreach(kvs, i, kv)
	{
		char *name = part_name(write, kv);
		json_t *revision = json_object_get(kv, "mod_revision");

		if (name && !json_object_get(write->names, name) && !slu_catalog_wants(write->before, name)) {
			json_array_append_new(
				compare, json_pack("{s:s,s:s,s:o,s:O}", "target", "MOD", "result", "EQUAL", "key",
						 key_of(write, "config/", name), "mod_revision", revision));
			json_array_append_new(requests,
				json_pack("{s:{s:o}}", "request_delete_range", "key", key_of(write, "config/", name)));
		}
		free(name);
	}
	slu_etcd_call(write->etcd, "/v3/kv/txn", json_pack("{s:o,s:o}", "compare", compare, "success", requests),
		on_cleaned, write);
}

static void on_page(void *context, int error, const json_t *body)
{
	const json_t *kvs = json_object_get(body, "kvs");
	struct write *write = context;
	size_t count = json_array_size(kvs);

	free(write->after);
	write->after = NULL;
	if (error || count == 0) {
		finish(write);
		return;
	}
	if (json_is_true(json_object_get(body, "more")))
		write->after = part_name(write, json_array_get(kvs, count - 1));
	remove_parts(write, kvs);
}

/* Looks at a page of all parts, behind those that were seen. */
static void clean(struct write *write)
{
	char *key = slu_memory_format("%s/config/%s", write->prefix, write->from ? write->from : "");
	char *folder = slu_memory_format("%s/config/", write->prefix);

	slu_etcd_call(write->etcd, "/v3/kv/range",
		json_pack("{s:o,s:o,s:o,s:b}", "key", slu_etcd_value_bytes(key, strlen(key) + (write->from ? 1 : 0)),
			"range_end", slu_etcd_value_range_end(folder), "limit", slu_etcd_value_number(PAGE_KEYS),
			"keys_only", 1),
		on_page, write);
	free(key);
	free(folder);
}

/* --------------------------------------------------------------- the list itself */

static uint64_t our_number(const struct write *write)
{
	return (uint64_t)json_integer_value(json_object_get(write->list, "number"));
}

/* The number of the list that stands there instead; ours if an earlier try of this call put it. */
static uint64_t standing(const struct write *write, const json_t *body, bool *ours)
{
	const json_t *response = json_array_get(json_object_get(body, "responses"), 0);
	const json_t *kv = json_array_get(json_object_get(json_object_get(response, "response_range"), "kvs"), 0);
	size_t bytes;
	char *text = slu_etcd_value_read_bytes(json_object_get(kv, "value"), &bytes);
	json_t *list = text ? json_loadb(text, bytes, 0, NULL) : NULL;
	uint64_t number = (uint64_t)json_integer_value(json_object_get(list, "number"));

	*ours = json_equal(list, write->list);
	json_decref(list);
	free(text);
	return number;
}

static void on_listed(void *context, int error, const json_t *body)
{
	struct write *write = context;
	bool ours = true;
	uint64_t number = our_number(write);

	if (error || !json_is_object(json_object_get(body, "header"))) {
		give_up(write, error, body);
		return;
	}
	if (!json_is_true(json_object_get(body, "succeeded")))
		number = standing(write, body, &ours);
	answer(write, ours ? 0 : -EEXIST, number, NULL);
	if (ours)
		clean(write);
	else
		finish(write);
}

static void put_list(struct write *write)
{
	char *text = json_dumps(write->list, JSON_COMPACT);
	json_t *compare = json_pack("[{s:s,s:s,s:o,s:o}]", "target", "MOD", "result", "EQUAL", "key",
		key_of(write, "", "generation"), "mod_revision", slu_etcd_value_number(write->revision));
	json_t *success = json_pack("[{s:{s:o,s:o}}]", "request_put", "key", key_of(write, "", "generation"), "value",
		slu_etcd_value_text(text));
	json_t *failure = json_pack("[{s:{s:o}}]", "request_range", "key", key_of(write, "", "generation"));

	free(text);
	slu_etcd_call(write->etcd, "/v3/kv/txn",
		json_pack("{s:o,s:o,s:o}", "compare", compare, "success", success, "failure", failure), on_listed,
		write);
}

/* ----------------------------------------------------------------------- parts */

static void put_parts(struct write *write);

static void on_parts(void *context, int error, const json_t *body)
{
	struct write *write = context;

	if (error || !json_is_true(json_object_get(body, "succeeded")))
		give_up(write, error, body);
	else
		put_parts(write);
}

/* A batch of those that are left, or the list when none are. */
static void put_parts(struct write *write)
{
	json_t *requests = json_array(), *text;
	size_t bytes = 0;
	const char *name;
	void *next;

	json_object_foreach_safe(write->parts, next, name, text)
	{
		if (json_array_size(requests) == BATCH_PARTS || bytes > BATCH_BYTES)
			break;
		bytes += json_string_length(text);
		json_array_append_new(
			requests, json_pack("{s:{s:o,s:o}}", "request_put", "key", key_of(write, "config/", name),
					  "value", slu_etcd_value_text(json_string_value(text))));
		json_object_del(write->parts, name);
	}
	if (json_array_size(requests) > 0) {
		slu_etcd_call(write->etcd, "/v3/kv/txn", json_pack("{s:o}", "success", requests), on_parts, write);
		return;
	}
	json_decref(requests);
	put_list(write);
}

/* --------------------------------------------------------------- what stands now */

/* What the standing generation names need not be put again, because nobody removes it. */
static void build_upon(struct write *write)
{
	const char *name;
	json_t *text;
	void *next;

	json_object_set_new(write->list, "number", json_integer((json_int_t)slu_catalog_number(write->before) + 1));
	json_object_foreach_safe(write->parts, next, name, text)
	{
		if (slu_catalog_wants(write->before, name))
			json_object_del(write->parts, name);
	}
}

static void on_generation(void *context, int error, const json_t *body)
{
	const json_t *kv = json_array_get(json_object_get(body, "kvs"), 0);
	struct write *write = context;
	size_t bytes;
	char *text = slu_etcd_value_read_bytes(json_object_get(kv, "value"), &bytes);

	if (error || !text || !json_is_object(json_object_get(body, "header")) ||
		!slu_etcd_value_read_number(json_object_get(kv, "mod_revision"), &write->revision)) {
		give_up(write, error, body);
	} else {
		if (kv && slu_catalog_want(write->before, text, bytes) != 0)
			slu_warning("etcd: the generation that stands there is none; it is replaced");
		build_upon(write);
		put_parts(write);
	}
	free(text);
}

int slu_shared_write(struct slu_etcd *etcd, const char *prefix, const struct slu_config *config,
	slu_shared_written *done, void *context)
{
	struct write *write;
	json_t *list, *parts;
	int error = slu_catalog_split(config, 1, &list, &parts);

	if (error)
		return error;
	write = slu_memory_zeroed(1, sizeof(*write));
	*write = (struct write){.etcd = etcd,
		.prefix = slu_memory_copy(prefix),
		.done = done,
		.context = context,
		.before = slu_catalog_create(),
		.list = list,
		.parts = parts,
		.names = json_copy(parts)};
	slu_etcd_call(
		etcd, "/v3/kv/range", json_pack("{s:o}", "key", key_of(write, "", "generation")), on_generation, write);
	return 0;
}
