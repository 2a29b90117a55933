#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/sluicectl/show.h"
#include "tools/sluicectl/table.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "-";
}

static void add_text(struct slu_table *table, const json_t *object, const char *key)
{
	slu_table_add(table, "%s", text_of(object, key));
}

static void add_number(struct slu_table *table, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_integer(value))
		slu_table_add(table, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		slu_table_add(table, "-");
}

static void add_traffic(struct slu_table *table, const json_t *object)
{
	add_number(table, object, "sessions");
	add_number(table, object, "sessions_total");
	add_number(table, object, "request_packets");
	add_number(table, object, "request_bytes");
	add_number(table, object, "reply_packets");
	add_number(table, object, "reply_bytes");
}

#define TRAFFIC ">SESSIONS", ">TOTAL", ">REQ-PKTS", ">REQ-BYTES", ">REPLY-PKTS", ">REPLY-BYTES"

void slu_show_listeners(const json_t *answer)
{
	static const char *const headings[] = {
		"NAME", "PROTO", "ADDRESS", "PORTS", "MODE", "GROUP", "OFFLOAD", TRAFFIC, NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *listener;
	size_t i;

	json_array_foreach(json_object_get(answer, "listeners"), i, listener)
	{
		json_int_t first = json_integer_value(json_object_get(listener, "port_first"));
		json_int_t last = json_integer_value(json_object_get(listener, "port_last"));
		const json_t *offload = json_object_get(listener, "offload");

		add_text(table, listener, "name");
		add_text(table, listener, "protocol");
		add_text(table, listener, "address");
		if (first == last)
			slu_table_add(table, "%" JSON_INTEGER_FORMAT, first);
		else
			slu_table_add(table, "%" JSON_INTEGER_FORMAT "-%" JSON_INTEGER_FORMAT, first, last);
		add_text(table, listener, "mode");
		add_text(table, listener, "group");
		slu_table_add(table, "%s", json_is_true(json_object_get(offload, "enabled")) ? "yes" : "no");
		add_traffic(table, listener);
	}
	slu_table_finish(table, stdout);
}

void slu_show_groups(const json_t *answer)
{
	static const char *const headings[] = {"NAME", "SCHEDULER", "CHECK", ">SERVING", ">BACKENDS", ">WEIGHT", NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *group;
	size_t i;

	json_array_foreach(json_object_get(answer, "groups"), i, group)
	{
		add_text(table, group, "name");
		add_text(table, group, "scheduler");
		add_text(table, group, "check");
		add_number(table, group, "serving");
		add_number(table, group, "backends");
		add_number(table, group, "weight_sum");
	}
	slu_table_finish(table, stdout);
}

void slu_show_backends(const json_t *answer)
{
	static const char *const headings[] = {
		"GROUP", "NAME", "ADDRESS", ">PORT", ">WEIGHT", ">EFFECTIVE", "HEALTH", TRAFFIC, "LAST FAILURE", NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *backend;
	size_t i;

	json_array_foreach(json_object_get(answer, "backends"), i, backend)
	{
		const char *reason = text_of(backend, "reason");

		add_text(table, backend, "group");
		add_text(table, backend, "name");
		add_text(table, backend, "address");
		add_number(table, backend, "port");
		add_number(table, backend, "weight");
		add_number(table, backend, "effective_weight");
		add_text(table, backend, "health");
		add_traffic(table, backend);
		slu_table_add(table, "%s", reason[0] != '\0' ? reason : "-");
	}
	slu_table_finish(table, stdout);
}

/* The members that announce a service's addresses, "1,3"; a "-" among them stands for one that nobody does. */
static void add_owners(struct slu_table *table, const json_t *addresses)
{
	char text[64] = "";
	bool seen[256] = {false};
	size_t i, at = 0;
	const json_t *address;

	json_array_foreach(addresses, i, address)
	{
		uint8_t owner = (uint8_t)json_integer_value(json_object_get(address, "owner"));

		if (seen[owner] || at + 5 > sizeof(text))
			continue;
		seen[owner] = true;
		at += (size_t)snprintf(text + at, sizeof(text) - at, owner ? "%s%u" : "%s-", at ? "," : "", owner);
	}
	slu_table_add(table, "%s", text);
}

void slu_show_outbound(const json_t *answer)
{
	static const char *const headings[] = {"NAME", "MODE", "ADDRESSES", "ANNOUNCED", "OFFLOAD", TRAFFIC, NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *service;
	size_t i;

	json_array_foreach(json_object_get(answer, "outbound"), i, service)
	{
		const json_t *addresses = json_object_get(service, "addresses");
		const json_t *offload = json_object_get(service, "offload");
		size_t count = json_array_size(addresses);

		add_text(table, service, "name");
		add_text(table, service, "mode");
		if (count > 1)
			slu_table_add(
				table, "%s and %zu more", text_of(json_array_get(addresses, 0), "address"), count - 1);
		else
			add_text(table, json_array_get(addresses, 0), "address");
		add_owners(table, addresses);
		slu_table_add(table, "%s", json_is_true(json_object_get(offload, "enabled")) ? "yes" : "no");
		add_traffic(table, service);
	}
	slu_table_finish(table, stdout);
}

/* A row for each scope that has seen anything, and for every name at least one. */
static void add_metered(struct slu_table *table, const json_t *total)
{
	static const char *const scopes[] = {"internet", "internal"};
	bool shown = false;

	for (size_t s = 0; s < 2; s++) {
		const json_t *scope = json_object_get(total, scopes[s]);
		const json_t *in = json_object_get(scope, "in"), *out = json_object_get(scope, "out");

		if (json_integer_value(json_object_get(in, "packets")) == 0 &&
			json_integer_value(json_object_get(out, "packets")) == 0 && (s == 0 || shown))
			continue;
		shown = true;
		add_text(table, total, "name");
		slu_table_add(table, "%s%s", text_of(total, "kind"),
			json_is_true(json_object_get(total, "removed")) ? ", removed" : "");
		slu_table_add(table, "%s", scopes[s]);
		add_number(table, in, "packets");
		add_number(table, in, "bytes");
		add_number(table, out, "packets");
		add_number(table, out, "bytes");
	}
}

void slu_show_metering(const json_t *answer)
{
	static const char *const headings[] = {
		"NAME", "KIND", "SCOPE", ">IN-PKTS", ">IN-BYTES", ">OUT-PKTS", ">OUT-BYTES", NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *total;
	size_t i;

	json_array_foreach(json_object_get(answer, "metering"), i, total)
	{
		add_metered(table, total);
	}
	slu_table_finish(table, stdout);
}

static void add_endpoint(struct slu_table *table, const json_t *session, const char *key)
{
	const json_t *endpoint = json_object_get(session, key);
	const char *address = text_of(endpoint, "address");

	if (!json_is_object(endpoint))
		slu_table_add(table, "-");
	else
		slu_table_add(table,
			strchr(address, ':') != NULL ? "[%s]:%" JSON_INTEGER_FORMAT : "%s:%" JSON_INTEGER_FORMAT,
			address, json_integer_value(json_object_get(endpoint, "port")));
}

static void add_direction(struct slu_table *table, const json_t *session, const char *key)
{
	const json_t *direction = json_object_get(session, key);

	add_text(table, direction, "owner");
	add_number(table, direction, "packets");
	add_number(table, direction, "bytes");
}

/* The node that owns a session, if it is not this one. */
static void add_node(struct slu_table *table, const json_t *session)
{
	if (json_is_true(json_object_get(session, "passive")))
		add_number(table, session, "node");
	else
		slu_table_add(table, "%s", json_is_integer(json_object_get(session, "node")) ? "own" : "-");
}

void slu_show_sessions(const json_t *list)
{
	static const char *const headings[] = {"PROTO", "CLIENT", "VIP", "LOCAL", "SERVER", "BACKEND", "STATE",
		">EXPIRES", "NODE", "REQUEST", ">PKTS", ">BYTES", "REPLY", ">PKTS", ">BYTES", NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *session;
	size_t i;

	json_array_foreach(list, i, session)
	{
		add_text(table, session, "protocol");
		add_endpoint(table, session, "client");
		add_endpoint(table, session, "vip");
		add_endpoint(table, session, "local");
		add_endpoint(table, session, "server");
		add_text(table, session, "backend");
		add_text(table, session, "state");
		add_number(table, session, "expires_s");
		add_node(table, session);
		add_direction(table, session, "request");
		add_direction(table, session, "reply");
	}
	slu_table_finish(table, stdout);
}

static void add_flag(struct slu_table *table, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	slu_table_add(table, "%s", json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "-");
}

static void show_members(const json_t *members)
{
	static const char *const headings[] = {">ID", "NAME", "ADDRESS", "ALIVE", "JOINED", "ANNOUNCES", "DRAINED",
		">REVISION", ">LAG-MS", ">RECORDS", ">LOST", ">SESSIONS", ">GENERATION", "CONFIG", NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *member;
	size_t i;

	json_array_foreach(members, i, member)
	{
		bool self = json_is_true(json_object_get(member, "self"));

		add_number(table, member, "id");
		add_text(table, member, "name");
		add_text(table, member, "address");
		if (self)
			slu_table_add(table, "self");
		else
			add_flag(table, member, "alive");
		add_flag(table, member, "joined");
		add_flag(table, member, "announces");
		add_flag(table, member, "drained");
		add_number(table, member, "revision");
		add_number(table, member, "lag_ms");
		add_number(table, member, "records");
		add_number(table, member, "lost");
		add_number(table, member, "sessions");
		add_number(table, member, "generation");
		add_text(table, member, "config_hash");
	}
	slu_table_finish(table, stdout);
}

static void show_prefixes(const json_t *prefixes)
{
	static const char *const headings[] = {"PREFIX", ">HOME", ">OWNER", NULL};
	struct slu_table *table = slu_table_create(headings);
	const json_t *prefix;
	size_t i;

	json_array_foreach(prefixes, i, prefix)
	{
		add_text(table, prefix, "prefix");
		add_number(table, prefix, "home");
		add_number(table, prefix, "owner");
	}
	slu_table_finish(table, stdout);
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

void slu_show_cluster(const json_t *answer)
{
	const json_t *routes = json_object_get(answer, "routes"), *sync = json_object_get(answer, "sync");

	show_members(json_object_get(answer, "members"));
	putchar('\n');
	show_prefixes(json_object_get(answer, "prefixes"));
	putchar('\n');
	if (json_is_true(json_object_get(answer, "joined")))
		printf("joined with %" JSON_INTEGER_FORMAT " sessions of the others, in %" JSON_INTEGER_FORMAT " ms\n",
			number_of(answer, "joined_sessions"), number_of(answer, "joined_ms"));
	else
		printf("not joined yet: the sessions of the others are still coming\n");
	printf("session sync speaks revision %" JSON_INTEGER_FORMAT ", this node reads up to %" JSON_INTEGER_FORMAT
	       "\n",
		number_of(sync, "revision"), number_of(sync, "revision_max"));
	printf("routes in table %" JSON_INTEGER_FORMAT ": %" JSON_INTEGER_FORMAT " of virtual addresses, "
	       "%" JSON_INTEGER_FORMAT " own, %" JSON_INTEGER_FORMAT " as backup, %" JSON_INTEGER_FORMAT " default\n",
		number_of(routes, "table"), number_of(routes, "vips"), number_of(routes, "own"),
		number_of(routes, "backup"), number_of(routes, "gateways"));
}

void slu_show_version(const json_t *answer)
{
	printf("sluiced %s\n", text_of(answer, "version"));
}

void slu_show_node(const json_t *answer)
{
	bool drained = json_is_true(json_object_get(answer, "drained"));

	printf("%s %s", text_of(answer, "node"),
		!json_is_true(json_object_get(answer, "cluster")) ? "is alone"
		: drained                                         ? "is drained"
		: json_is_true(json_object_get(answer, "joined")) ? "announces itself"
								  : "has not joined yet");
	printf(", %" JSON_INTEGER_FORMAT " sessions", number_of(answer, "sessions"));
	if (drained && json_is_true(json_object_get(answer, "busy_known")))
		printf(", %" JSON_INTEGER_FORMAT " of them still see traffic here", number_of(answer, "busy_sessions"));
	putchar('\n');
}

/* Adds "path value" rows of a value and all within it. */
static void add_fields(struct slu_table *table, const char *path, const json_t *value)
{
	const json_t *member;
	const char *key;
	char below[256];
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)value, key, member)
		{
			snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? "." : "", key);
			add_fields(table, below, member);
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, member)
		{
			const char *name = json_string_value(json_object_get(member, "name"));

			if (name != NULL)
				snprintf(below, sizeof(below), "%s[%s]", path, name);
			else
				snprintf(below, sizeof(below), "%s[%zu]", path, i);
			add_fields(table, below, member);
		}
	} else {
		char *text = json_dumps(value, JSON_ENCODE_ANY);

		slu_table_add(table, "%s", path);
		slu_table_add(table, "%s",
			json_is_string(value) ? json_string_value(value)
			: text != NULL        ? text
					      : "-");
		free(text);
	}
}

void slu_show_fields(const json_t *answer)
{
	static const char *const headings[] = {"NAME", "VALUE", NULL};
	struct slu_table *table = slu_table_create(headings);

	add_fields(table, "", answer);
	slu_table_finish(table, stdout);
}

void slu_show_changes(const json_t *answer)
{
	const json_t *changes = json_object_get(answer, "changes"), *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		printf("%s\n", json_string_value(change));
	}
	if (json_array_size(changes) == 0)
		printf("nothing changes\n");
	if (json_is_true(json_object_get(answer, "dry_run")))
		printf("the document is good; nothing was applied\n");
	else
		printf("generation %" JSON_INTEGER_FORMAT "\n",
			json_integer_value(json_object_get(answer, "generation")));
}
