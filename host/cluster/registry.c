#include "host/cluster/registry.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "host/config/memory.h"
#include "host/control/ip.h"

#define PREFIXES_MAX 16u
#define NODES_MAX 256u /* ids 1..255 */

struct node {
	struct slu_config_member member; /* its locals point to prefixes */
	struct slu_config_prefix prefixes[PREFIXES_MAX];
	bool known, registered, seen;
	uint64_t gone_ms;
};

struct slu_registry {
	uint8_t self;
	struct node nodes[NODES_MAX]; /* by id */
	struct slu_config_member members[SLU_CONFIG_MAX_MEMBERS];
};

static void set_node(struct node *node, const struct slu_config_member *member)
{
	node->member = *member;
	for (uint32_t i = 0; i < member->local_count; i++)
		node->prefixes[i] = member->locals[i];
	node->member.locals = node->prefixes;
	node->known = true;
}

struct slu_registry *slu_registry_create(const struct slu_config_member *self)
{
	struct slu_registry *registry = slu_memory_zeroed(1, sizeof(*registry));

	registry->self = self->id;
	set_node(&registry->nodes[self->id], self);
	return registry;
}

void slu_registry_free(struct slu_registry *registry)
{
	free(registry);
}

/* ---------------------------------------------------------------------- text */

static json_t *node_object(const struct slu_config_member *member)
{
	json_t *prefixes = json_array();
	char ip[SLU_IP_TEXT_BYTES];

	for (uint32_t i = 0; i < member->local_count; i++)
		json_array_append_new(prefixes,
			json_sprintf("%s/%u", slu_ip_format(&member->locals[i].ip, ip), member->locals[i].bits));
	return json_pack("{s:i,s:s,s:s,s:o}", "id", member->id, "name", member->name, "address",
		slu_ip_format(&member->address, ip), "local_prefixes", prefixes);
}

char *slu_registry_text(const struct slu_config_member *member)
{
	json_t *object = node_object(member);
	char *text = json_dumps(object, JSON_COMPACT);

	json_decref(object);
	return text;
}

static bool read_prefix(const char *text, struct slu_config_prefix *prefix)
{
	char address[SLU_IP_TEXT_BYTES];
	const char *slash = text ? strchr(text, '/') : NULL;
	struct slu_ip network;
	unsigned int bits;
	int end = 0;

	if (!slash || (size_t)(slash - text) >= sizeof(address) || slash[1] < '1' || slash[1] > '9')
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (slu_ip_parse(address, &prefix->ip) != 0 || sscanf(slash, "/%3u%n", &bits, &end) != 1 ||
		slash[end] != '\0' || bits > (prefix->ip.family == 4 ? 32 : 128))
		return false;
	prefix->bits = (uint8_t)bits;
	network = slu_ip_network(&prefix->ip, bits);
	return slu_ip_compare(&network, &prefix->ip) == 0;
}

/* As the configuration takes it: it comes up in logs and documents. */
static bool is_name(const char *text)
{
	if (!text || strlen(text) >= SLU_NAME_BYTES || !isalnum((unsigned char)text[0]))
		return false;
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && !strchr("._-", *text))
			return false;
	return true;
}

static bool read_node(const json_t *object, struct slu_config_member *member, struct slu_config_prefix *prefixes)
{
	const json_t *list = json_object_get(object, "local_prefixes"), *prefix;
	json_int_t id = json_integer_value(json_object_get(object, "id"));
	const char *name = json_string_value(json_object_get(object, "name"));
	const char *address = json_string_value(json_object_get(object, "address"));
	size_t i;

	*member = (struct slu_config_member){.id = (uint8_t)id, .locals = prefixes};
	if (id < 1 || id > 255 || !is_name(name) || !address || slu_ip_parse(address, &member->address) != 0 ||
		member->address.family != 4 || json_array_size(list) > PREFIXES_MAX)
		return false;
	strcpy(member->name, name);
	json_array_foreach(list, i, prefix)
	{
		if (!read_prefix(json_string_value(prefix), &prefixes[member->local_count++]))
			return false;
	}
	return true;
}

/* -------------------------------------------------------------------- events */

int slu_registry_put(struct slu_registry *registry, const char *id, const char *text, size_t bytes)
{
	json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	struct slu_config_prefix prefixes[PREFIXES_MAX];
	struct slu_config_member member;
	char key[8] = "";
	bool good = read_node(object, &member, prefixes);

	json_decref(object);
	if (good)
		snprintf(key, sizeof(key), "%u", member.id);
	if (!good || strcmp(key, id) != 0)
		return -EINVAL;
	/* Of itself this node knows better. */
	if (member.id != registry->self)
		set_node(&registry->nodes[member.id], &member);
	registry->nodes[member.id].registered = true;
	registry->nodes[member.id].seen = true;
	return 0;
}

static void leave(struct node *node, uint64_t now_ms)
{
	if (!node->registered)
		return;
	node->registered = false;
	node->gone_ms = now_ms;
}

void slu_registry_remove(struct slu_registry *registry, const char *id, uint64_t now_ms)
{
	unsigned long number = strtoul(id, NULL, 10);

	if (number > 0 && number < NODES_MAX)
		leave(&registry->nodes[number], now_ms);
}

void slu_registry_begin(struct slu_registry *registry)
{
	for (uint32_t i = 0; i < NODES_MAX; i++)
		registry->nodes[i].seen = false;
}

void slu_registry_end(struct slu_registry *registry, uint64_t now_ms)
{
	for (uint32_t i = 0; i < NODES_MAX; i++)
		if (!registry->nodes[i].seen)
			leave(&registry->nodes[i], now_ms);
}

/* ------------------------------------------------------------------- members */

static bool overlap(const struct slu_config_prefix *a, const struct slu_config_prefix *b)
{
	return slu_ip_within(&a->ip, &b->ip, a->bits < b->bits ? a->bits : b->bits);
}

static bool exclude(const struct slu_config_member *a, const struct slu_config_member *b)
{
	if (slu_ip_compare(&a->address, &b->address) == 0)
		return true;
	for (uint32_t i = 0; i < a->local_count; i++)
		for (uint32_t j = 0; j < b->local_count; j++)
			if (overlap(&a->locals[i], &b->locals[j]))
				return true;
	return false;
}

static uint32_t add_member(struct slu_registry *registry, uint32_t count, const struct slu_config_member *member)
{
	if (count == SLU_CONFIG_MAX_MEMBERS)
		return count;
	for (uint32_t i = 0; i < count; i++)
		if (exclude(&registry->members[i], member))
			return count;
	registry->members[count] = *member;
	return count + 1;
}

/* Of those who are gone and not listed yet the one that left last; NULL if there is none. */
static struct node *last_to_leave(struct slu_registry *registry, const bool *listed)
{
	struct node *last = NULL;

	for (uint32_t i = 1; i < NODES_MAX; i++) {
		struct node *node = &registry->nodes[i];

		if (node->known && !node->registered && !listed[i] && (!last || node->gone_ms > last->gone_ms))
			last = node;
	}
	return last;
}

uint32_t slu_registry_members(struct slu_registry *registry, uint64_t now_ms, const struct slu_config_member **members)
{
	bool listed[NODES_MAX] = {false};
	uint32_t count = add_member(registry, 0, &registry->nodes[registry->self].member);
	struct node *node;

	listed[registry->self] = true;
	for (uint32_t i = 1; i < NODES_MAX; i++) {
		if (!registry->nodes[i].registered || listed[i])
			continue;
		listed[i] = true;
		count = add_member(registry, count, &registry->nodes[i].member);
	}
	while ((node = last_to_leave(registry, listed)) != NULL) {
		listed[node->member.id] = true;
		if (now_ms - node->gone_ms < SLU_REGISTRY_KEEP_MS)
			count = add_member(registry, count, &node->member);
		else
			node->known = false;
	}
	*members = registry->members;
	return count;
}

/* ---------------------------------------------------------------------- file */

char *slu_registry_dump(const struct slu_registry *registry)
{
	json_t *list = json_array();
	char *text;

	for (uint32_t i = 1; i < NODES_MAX; i++)
		if (registry->nodes[i].known && i != registry->self)
			json_array_append_new(list, node_object(&registry->nodes[i].member));
	text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}

void slu_registry_load(struct slu_registry *registry, const char *text, size_t bytes, uint64_t now_ms)
{
	json_t *list = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL), *object;
	struct slu_config_prefix prefixes[PREFIXES_MAX];
	struct slu_config_member member;
	size_t i;

	json_array_foreach(list, i, object)
	{
		if (!read_node(object, &member, prefixes) || member.id == registry->self)
			continue;
		set_node(&registry->nodes[member.id], &member);
		registry->nodes[member.id].gone_ms = now_ms;
	}
	json_decref(list);
}
