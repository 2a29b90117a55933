#include "host/cluster/shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "host/clock.h"
#include "host/cluster/etcd_value.h"
#include "host/cluster/registration.h"
#include "host/cluster/registry.h"
#include "host/config/memory.h"
#include "host/control/store.h"
#include "host/log.h"

#define PAGE_KEYS 500
#define RETRY_MS 500         /* after a listing that failed, or a generation that lacks parts */
#define MEMBERS_BYTES 262144 /* of the file of members, at most */

struct slu_shared {
	struct slu_shared_settings settings;
	const struct slu_config_cluster *config;
	struct slu_etcd *etcd;
	struct slu_registration *registration;
	struct slu_registry *registry;
	struct slu_catalog *catalog;
	struct event *retry;
	bool listing, watching;
	int64_t revision; /* that the listing began at */
	uint64_t tried;   /* slu_catalog_changes() of what was given away last */
	uint64_t applied; /* and was put in force */
	char *members;    /* as in the file */
	uint64_t listings, compacted, malformed;
};

static json_t *key_of(const struct slu_shared *shared, const char *tail)
{
	char *key = slu_memory_format("%s/%s", shared->config->etcd_prefix, tail);
	json_t *value = slu_etcd_value_text(key);

	free(key);
	return value;
}

static json_t *end_of(const struct slu_shared *shared, const char *tail)
{
	char *key = slu_memory_format("%s/%s", shared->config->etcd_prefix, tail);
	json_t *value = slu_etcd_value_range_end(key);

	free(key);
	return value;
}

static void retry_soon(struct slu_shared *shared)
{
	const struct timeval soon = {.tv_usec = RETRY_MS * 1000};

	if (!event_pending(shared->retry, EV_TIMEOUT, NULL))
		event_add(shared->retry, &soon);
}

/* ------------------------------------------------------------------- members */

static char *members_path(const struct slu_shared *shared)
{
	return slu_memory_format("%s/members.json", shared->settings.config->state_dir);
}

/* Kept on disk, so that a node that starts without etcd knows whose prefixes there are. */
static void save_members(struct slu_shared *shared)
{
	char *text = slu_registry_dump(shared->registry), *path;
	int error;

	if (!text || (shared->members && strcmp(text, shared->members) == 0)) {
		free(text);
		return;
	}
	path = members_path(shared);
	error = slu_store_write(path, text, strlen(text));
	if (error)
		slu_error("%s: %s", path, strerror(-error));
	free(path);
	free(shared->members);
	shared->members = text;
}

static void load_members(struct slu_shared *shared)
{
	char *path = members_path(shared), *text = slu_memory_zeroed(MEMBERS_BYTES, 1);
	FILE *file = fopen(path, "re");

	if (file)
		slu_registry_load(shared->registry, text, fread(text, 1, MEMBERS_BYTES, file), slu_clock_ms());
	if (file)
		fclose(file);
	free(text);
	free(path);
}

static void tell_members(struct slu_shared *shared)
{
	const struct slu_config_member *members;
	uint32_t count = slu_registry_members(shared->registry, slu_clock_ms(), &members);

	shared->settings.members(shared->settings.context, members, count);
}

static void members_changed(struct slu_shared *shared)
{
	save_members(shared);
	tell_members(shared);
}

/* ---------------------------------------------------------------------- keys */

static void complain(struct slu_shared *shared, const char *key, const char *what)
{
	shared->malformed++;
	slu_warning("etcd: %s %s; it is passed over", key, what);
}

/* Takes the value that stands at a key, NULL if it was removed. */
static void take(struct slu_shared *shared, const char *key, const char *value, size_t bytes)
{
	const char *tail = key + strlen(shared->config->etcd_prefix) + 1;

	if (strcmp(tail, "generation") == 0) {
		if (!value)
			slu_warning("etcd: the generation was removed; what it had goes on");
		else if (slu_catalog_want(shared->catalog, value, bytes) != 0)
			complain(shared, key, "is no list of a generation");
	} else if (strncmp(tail, "config/", 7) == 0) {
		int error = value ? slu_catalog_add(shared->catalog, tail + 7, value, bytes) : 0;

		if (error)
			complain(shared, key, error == -EBADMSG ? "has another hash than its name" : "names no part");
	} else if (strncmp(tail, "nodes/", 6) == 0) {
		bool own = strtoul(tail + 6, NULL, 10) == shared->config->id;

		if (!value)
			slu_registry_remove(shared->registry, tail + 6, slu_clock_ms());
		else if (slu_registry_put(shared->registry, tail + 6, value, bytes) != 0)
			complain(shared, key, "is no registration");
		if (own && !value && slu_registration_stands(shared->registration))
			slu_registration_renew(shared->registration);
	}
}

/* Takes one key and value of etcd's; `removed`: only the key counts. Returns the key for a while, or NULL. */
static char *take_kv(struct slu_shared *shared, const json_t *kv, bool removed)
{
	const char *prefix = shared->config->etcd_prefix;
	size_t key_bytes, bytes = 0;
	char *key = slu_etcd_value_read_bytes(json_object_get(kv, "key"), &key_bytes);
	char *value = removed ? NULL : slu_etcd_value_read_bytes(json_object_get(kv, "value"), &bytes);

	if (!key || strlen(key) != key_bytes || strncmp(key, prefix, strlen(prefix)) != 0 ||
		key[strlen(prefix)] != '/' || (!removed && !value)) {
		shared->malformed++;
		free(key);
		key = NULL;
	} else {
		take(shared, key, value, bytes);
	}
	free(value);
	return key;
}

/* Gives the wanted generation away if it is whole and new; else looks for what is missing. */
static void offer_generation(struct slu_shared *shared)
{
	uint64_t number = slu_catalog_number(shared->catalog);
	char *text;

	if (number == 0 || slu_catalog_changes(shared->catalog) == shared->tried)
		return;
	if (slu_catalog_missing(shared->catalog) > 0) {
		retry_soon(shared);
		return;
	}
	text = slu_catalog_document(shared->catalog);
	shared->tried = slu_catalog_changes(shared->catalog);
	if (shared->settings.generation(shared->settings.context, number, text))
		shared->applied = number;
	free(text);
}

/* --------------------------------------------------------------------- watch */

static void list(struct slu_shared *shared);

static void on_watch_end(void *context)
{
	struct slu_shared *shared = context;

	shared->watching = false;
	retry_soon(shared);
}

static void on_watch_result(void *context, const json_t *result)
{
	const json_t *events = json_object_get(result, "events"), *event;
	struct slu_shared *shared = context;
	size_t i;

	if (json_is_true(json_object_get(result, "canceled"))) {
		shared->watching = false;
		if (json_object_get(result, "compact_revision")) {
			shared->compacted++;
			list(shared);
		} else {
			retry_soon(shared); /* it may cancel the next one too */
		}
		return;
	}
	json_array_foreach(events, i, event)
	{
		const char *type = json_string_value(json_object_get(event, "type"));

		free(take_kv(shared, json_object_get(event, "kv"), type && strcmp(type, "DELETE") == 0));
	}
	if (json_array_size(events) == 0)
		return;
	members_changed(shared);
	offer_generation(shared);
}

static void watch(struct slu_shared *shared)
{
	const struct slu_etcd_watch_events events = {.context = shared, .result = on_watch_result, .end = on_watch_end};
	char *prefix = slu_memory_format("%s/", shared->config->etcd_prefix);

	shared->listing = false;
	shared->watching = true;
	slu_etcd_watch(shared->etcd, prefix, shared->revision + 1, &events);
	free(prefix);
	offer_generation(shared);
}

/* ------------------------------------------------------------------- listing */

static void fail_listing(struct slu_shared *shared)
{
	shared->listing = false;
	retry_soon(shared);
}

/* Takes all of an answer to a range; *last is the last key, freed by the caller. False if this is none. */
static bool take_range(struct slu_shared *shared, int error, const json_t *body, char **last)
{
	const json_t *kvs = json_object_get(body, "kvs"), *kv;
	size_t i;

	*last = NULL;
	if (error || !json_is_object(json_object_get(body, "header")) || (kvs && !json_is_array(kvs)))
		return false;
	json_array_foreach(kvs, i, kv)
	{
		char *key = take_kv(shared, kv, false);

		if (key) {
			free(*last);
			*last = key;
		}
	}
	return true;
}

static void list_parts(struct slu_shared *shared, const char *after);

static void on_parts(void *context, int error, const json_t *body)
{
	struct slu_shared *shared = context;
	char *last;

	if (!take_range(shared, error, body, &last))
		fail_listing(shared);
	else if (last && json_is_true(json_object_get(body, "more")))
		list_parts(shared, last);
	else
		watch(shared);
	free(last);
}

/* A page of parts behind a key; NULL: from the first. */
static void list_parts(struct slu_shared *shared, const char *after)
{
	/* The next possible key is this one with a NUL behind it. */
	json_t *start = after ? slu_etcd_value_bytes(after, strlen(after) + 1) : key_of(shared, "config/");

	slu_etcd_call(shared->etcd, "/v3/kv/range",
		json_pack("{s:o,s:o,s:o}", "key", start, "range_end", end_of(shared, "config/"), "limit",
			slu_etcd_value_number(PAGE_KEYS)),
		on_parts, shared);
}

static void on_nodes(void *context, int error, const json_t *body)
{
	struct slu_shared *shared = context;
	char *last;

	slu_registry_begin(shared->registry);
	if (!take_range(shared, error, body, &last)) {
		fail_listing(shared);
		return;
	}
	free(last);
	slu_registry_end(shared->registry, slu_clock_ms());
	members_changed(shared);
	if (slu_catalog_missing(shared->catalog) > 0)
		list_parts(shared, NULL);
	else
		watch(shared);
}

static void on_generation(void *context, int error, const json_t *body)
{
	const json_t *header = json_object_get(body, "header");
	struct slu_shared *shared = context;
	char *last;

	if (!take_range(shared, error, body, &last) ||
		!slu_etcd_value_read_number(json_object_get(header, "revision"), &shared->revision)) {
		fail_listing(shared);
		return;
	}
	free(last);
	slu_etcd_call(shared->etcd, "/v3/kv/range",
		json_pack("{s:o,s:o}", "key", key_of(shared, "nodes/"), "range_end", end_of(shared, "nodes/")),
		on_nodes, shared);
}

/* The generation first: parts are there before the list that names them. */
static void list(struct slu_shared *shared)
{
	if (shared->listing)
		return;
	shared->listing = true;
	shared->listings++;
	slu_etcd_call(shared->etcd, "/v3/kv/range", json_pack("{s:o}", "key", key_of(shared, "generation")),
		on_generation, shared);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	list(context);
}

/* ---------------------------------------------------------------------- life */

static void on_registered(void *context, uint64_t revision)
{
	struct slu_shared *shared = context;

	shared->settings.registered(shared->settings.context, revision);
}

static int register_node(struct slu_shared *shared, const struct slu_config_member *self)
{
	char *key = slu_memory_format("%s/nodes/%u", shared->config->etcd_prefix, self->id);
	char *text = slu_registry_text(self);
	const struct slu_registration_settings settings = {.base = shared->settings.base,
		.etcd = shared->etcd,
		.key = key,
		.text = text,
		.ttl_s = shared->config->lease_ttl_s,
		.registered = on_registered,
		.context = shared};
	int error = text ? slu_registration_create(&settings, &shared->registration) : -ENOMEM;

	free(key);
	free(text);
	return error;
}

int slu_shared_create(const struct slu_shared_settings *settings, struct slu_shared **result)
{
	struct slu_shared *shared = slu_memory_zeroed(1, sizeof(*shared));
	const struct slu_config_cluster *config = settings->config->cluster;
	struct slu_config_member self = {.id = config->id,
		.address = config->address,
		.locals = config->locals,
		.local_count = config->local_count};
	int error;

	*result = shared;
	memcpy(self.name, settings->config->node, sizeof(self.name));
	shared->settings = *settings;
	shared->config = config;
	shared->catalog = slu_catalog_create();
	shared->registry = slu_registry_create(&self);
	shared->retry = event_new(settings->base, -1, 0, on_retry, shared);
	error = shared->retry ? slu_etcd_create(settings->base, config->etcd, config->etcd_count, &shared->etcd)
			      : -ENOMEM;
	if (!error)
		error = register_node(shared, &self);
	if (error)
		return error;
	load_members(shared);
	tell_members(shared);
	list(shared);
	return 0;
}

void slu_shared_destroy(struct slu_shared *shared)
{
	if (!shared)
		return;
	/* Calls that are under way know of the others. */
	slu_etcd_destroy(shared->etcd);
	slu_registration_destroy(shared->registration);
	slu_registry_free(shared->registry);
	slu_catalog_free(shared->catalog);
	if (shared->retry)
		event_free(shared->retry);
	free(shared->members);
	free(shared);
}

void slu_shared_state(const struct slu_shared *shared, struct slu_shared_state *state)
{
	*state = (struct slu_shared_state){.watching = shared->watching,
		.registered = slu_registration_stands(shared->registration),
		.endpoint = shared->config->etcd[slu_etcd_endpoint(shared->etcd)],
		.failures = slu_etcd_failures(shared->etcd),
		.listings = shared->listings,
		.compacted = shared->compacted,
		.malformed = shared->malformed,
		.number = slu_catalog_number(shared->catalog),
		.applied = shared->applied,
		.missing = slu_catalog_missing(shared->catalog)};
}

struct slu_etcd *slu_shared_etcd(struct slu_shared *shared)
{
	return shared->etcd;
}
