#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"
#include "host/config/reader.h"
#include "host/config/rules.h"
#include "host/config/rules_parts.h"
#include "host/config/schema.h"
#include "host/control/ip.h"

#define SUGGEST_MAX 1000u /* names compared for "did you mean" */

/* The deepest node that `path` ("groups[0].backends[1].port") names. */
static const struct slu_node *locate(const struct slu_node *node, const char *path)
{
	while (*path != '\0') {
		const struct slu_node *next = NULL;
		char key[64];

		if (*path == '[') {
			size_t index = strtoul(path + 1, NULL, 10);

			if (slu_node_kind(node) == SLU_NODE_SEQUENCE && index < slu_node_count(node))
				next = slu_node_item(node, index);
			path = strchr(path, ']') + 1;
		} else {
			size_t bytes = strcspn(path, ".[");

			snprintf(key, sizeof(key), "%.*s", (int)bytes, path);
			next = slu_node_find(node, key);
			path += bytes;
		}
		if (next == NULL)
			break;
		node = next;
		path += *path == '.';
	}
	return node;
}

void slu_rules_refuse(struct slu_rules *rules, const char *path, const char *format, ...)
{
	va_list arguments;
	char *rule;

	va_start(arguments, format);
	rule = slu_memory_vformat(format, arguments);
	va_end(arguments);
	slu_errors_add(rules->errors, slu_node_place(locate(rules->root, path)), path, "%s", rule);
	free(rule);
}

/* Names. */

struct named {
	const char *name;
	uint32_t index;
};

static int compare_named(const void *left, const void *right)
{
	const struct named *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	return order ? order : (a->index > b->index) - (a->index < b->index);
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(((const struct named *)left)->name, ((const struct named *)right)->name);
}

/* Sorts by name and refuses the second of two; `key` is where the name stands in a member of `list`. */
static void check_unique(struct slu_rules *rules, struct named *named, size_t count, const char *list, const char *key)
{
	char path[128];

	qsort(named, count, sizeof(*named), compare_named);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (strcmp(named[i].name, named[first].name) != 0)
			first = i;
		else if (named[i].name[0] != '\0')
			slu_rules_refuse(rules, PATH(path, "%s[%u].%s", list, named[i].index, key),
				"\"%s\" is taken by %s[%u] already", named[i].name, list, named[first].index);
	}
}

/* An array of {name, index} of members; freed by the caller. */
#define NAMED(members, count, member)                                                                                  \
	({                                                                                                             \
		struct named *named_ = slu_memory_zeroed(count, sizeof(*named_));                                      \
		for (uint32_t i_ = 0; i_ < (count); i_++)                                                              \
			named_[i_] = (struct named){(members)[i_].member, i_};                                         \
		named_;                                                                                                \
	})

/* Ports. */

static void check_devices(struct slu_rules *rules)
{
	const struct slu_config *config = rules->config;
	char path[64];

	for (uint32_t i = 1; i < config->port_count; i++) {
		const struct slu_config_port *port = &config->ports[i];

		for (uint32_t j = 0; j < i && port->device != NULL; j++) {
			const struct slu_config_port *other = &config->ports[j];
			size_t bytes = strcspn(port->device, ",");

			if (other->device == NULL || bytes != strcspn(other->device, ",") ||
				memcmp(port->device, other->device, bytes) != 0)
				continue;
			if (strcmp(port->device, other->device) != 0)
				slu_rules_refuse(rules, PATH(path, "ports[%u].device", i),
					"ports[%u] names the same device with other arguments", j);
			else if (port->index == other->index)
				slu_rules_refuse(rules, PATH(path, "ports[%u].index", i),
					"index %u of this device is ports[%u] already", port->index, j);
			else
				continue;
			break;
		}
	}
}

/* Whether an IPv4 address is the first or last of its network, which no host may have. */
static const char *edge_of_network(const struct slu_ip *ip, const struct slu_config_prefix *prefix)
{
	uint32_t address, hosts;

	if (ip->family != 4 || prefix->bits == 0 || prefix->bits > 30 || !slu_ip_within(ip, &prefix->ip, prefix->bits))
		return NULL;
	memcpy(&address, ip->bytes, 4);
	hosts = UINT32_MAX >> prefix->bits;
	if ((ntohl(address) & hosts) == 0)
		return "network address";
	return (ntohl(address) & hosts) == hosts ? "broadcast address" : NULL;
}

/* Refuses `ip` if it is the edge of a network that a port is in. */
static void check_edge(struct slu_rules *rules, const struct slu_ip *ip, const char *path)
{
	const struct slu_config *config = rules->config;

	for (uint32_t i = 0; i < config->port_count; i++) {
		for (uint32_t j = 0; j < config->ports[i].address_count; j++) {
			const char *edge = edge_of_network(ip, &config->ports[i].addresses[j]);

			if (edge != NULL) {
				slu_rules_refuse(rules, path, "is the %s of the network of port %s", edge,
					config->ports[i].name);
				return;
			}
		}
	}
}

static void check_ports(struct slu_rules *rules)
{
	const struct slu_config *config = rules->config;
	struct named *names = NAMED(config->ports, config->port_count, name);
	struct named *taps = NAMED(config->ports, config->port_count, tap);
	char path[64];

	check_unique(rules, names, config->port_count, "ports", "name");
	check_unique(rules, taps, config->port_count, "ports", "tap");
	free(names);
	free(taps);
	check_devices(rules);
	for (uint32_t i = 0; i < config->port_count; i++)
		for (uint32_t j = 0; j < config->ports[i].address_count; j++)
			check_edge(
				rules, &config->ports[i].addresses[j].ip, PATH(path, "ports[%u].addresses[%u]", i, j));
}

/* Groups. */

/* What the listeners of a group need to know of its backends. */
struct traits {
	const struct slu_config_backend *by_family[7]; /* [4], [6]: the first one */
	const struct slu_config_backend *fixed_port;
	bool used;
	uint32_t vpc; /* of the first listener */
};

static int compare_endpoints(const void *left, const void *right)
{
	const struct slu_config_backend *a = *(const struct slu_config_backend *const *)left;
	const struct slu_config_backend *b = *(const struct slu_config_backend *const *)right;
	int order = slu_ip_compare(&a->address, &b->address);

	if (order != 0)
		return order;
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return (a > b) - (a < b);
}

static void check_endpoints(struct slu_rules *rules, uint32_t index)
{
	const struct slu_config_group *group = &rules->config->groups[index];
	const struct slu_config_backend **sorted = slu_memory_zeroed(group->backend_count, sizeof(*sorted));
	char path[96];

	for (uint32_t i = 0; i < group->backend_count; i++)
		sorted[i] = &group->backends[i];
	qsort(sorted, group->backend_count, sizeof(*sorted), compare_endpoints);
	for (uint32_t i = 1, first = 0; i < group->backend_count; i++) {
		if (sorted[i]->address.family == 0 || sorted[i]->port != sorted[first]->port ||
			slu_ip_compare(&sorted[i]->address, &sorted[first]->address) != 0)
			first = i;
		else
			slu_rules_refuse(rules,
				PATH(path, "groups[%u].backends[%zu].address", index, sorted[i] - group->backends),
				"backends[%zu] has the same address and port", sorted[first] - group->backends);
	}
	free(sorted);
}

static void check_group(struct slu_rules *rules, uint32_t index, struct traits *traits)
{
	const struct slu_config_group *group = &rules->config->groups[index];
	struct named *names = NAMED(group->backends, group->backend_count, name);
	char path[96];

	check_unique(rules, names, group->backend_count, PATH(path, "groups[%u].backends", index), "name");
	free(names);
	check_endpoints(rules, index);
	for (uint32_t i = 0; i < group->backend_count; i++) {
		const struct slu_config_backend *backend = &group->backends[i];

		if (traits->by_family[backend->address.family] == NULL)
			traits->by_family[backend->address.family] = backend;
		if (backend->port != 0 && traits->fixed_port == NULL)
			traits->fixed_port = backend;
		if (backend->port == 0 && backend->address.family != 0 && group->check.type != SLU_CHECK_NONE &&
			group->check.port == 0)
			slu_rules_refuse(rules, PATH(path, "groups[%u].backends[%u]", index, i),
				"has port 0 (the listener's), so the group's check needs a port of its own");
	}
}

/* Listeners. */

static void find_group(
	struct slu_rules *rules, uint32_t index, const struct named *groups, uint32_t group_count, bool *found)
{
	struct slu_config_listener *listener = &rules->config->listeners[index];
	const struct named wanted = {listener->group, 0};
	const char *nearest = NULL;
	uint32_t low = 0, high = group_count;
	char path[64];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strcmp(groups[middle].name, wanted.name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < group_count && strcmp(groups[low].name, wanted.name) == 0;
	if (*found) {
		listener->group_index = groups[low].index;
		return;
	}
	if (group_count <= SUGGEST_MAX) {
		const char *names[SUGGEST_MAX];

		for (uint32_t i = 0; i < group_count; i++)
			names[i] = groups[i].name;
		nearest = slu_reader_nearest(listener->group, names, group_count);
	}
	slu_rules_refuse(rules, PATH(path, "listeners[%u].group", index), "there is no group \"%s\"%s%s%s",
		listener->group, nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

/* Who sees the client's address needs no other way to learn it, and datagrams have no options. */
static void check_client_address(struct slu_rules *rules, uint32_t index)
{
	const struct slu_config_listener *listener = &rules->config->listeners[index];
	const char *word = slu_schema_client_addresses[listener->client_address];
	char path[64];

	if (listener->client_address == SLU_CLIENT_ADDRESS_NONE)
		return;
	if (listener->mode != SLU_MODE_FULLNAT)
		slu_rules_refuse(rules, PATH(path, "listeners[%u].client_address", index),
			"%s is of mode fullnat: in mode nat backends see the client itself", word);
	if (listener->client_address == SLU_CLIENT_ADDRESS_TOA && listener->protocol == IPPROTO_UDP)
		slu_rules_refuse(rules, PATH(path, "listeners[%u].client_address", index),
			"toa is an option of TCP; of udp it is proxy_v2");
}

static void check_use_of_group(struct slu_rules *rules, uint32_t index, struct traits *traits)
{
	const struct slu_config_listener *listener = &rules->config->listeners[index];
	const struct slu_config_backend *foreign = traits->by_family[listener->address.family == 4 ? 6 : 4];
	char path[64];

	if (!traits->used)
		traits->vpc = listener->vpc;
	traits->used = true;
	if (listener->address.family != 0 && foreign != NULL)
		slu_rules_refuse(rules, PATH(path, "listeners[%u].group", index),
			"the listener is IPv%u but backend \"%s\" of group \"%s\" is IPv%u: addresses are not "
			"translated between "
			"families",
			listener->address.family, foreign->name, listener->group, foreign->address.family);
	if (listener->mode == SLU_MODE_NAT && listener->port_first != listener->port_last && traits->fixed_port != NULL)
		slu_rules_refuse(rules, PATH(path, "listeners[%u].ports", index),
			"a range of ports in mode nat needs backends with port 0, but backend \"%s\" of group \"%s\" "
			"has port %u: "
			"replies could not be told apart",
			traits->fixed_port->name, listener->group, traits->fixed_port->port);
}

static int compare_listeners(const void *left, const void *right)
{
	const struct slu_config_listener *a = *(const struct slu_config_listener *const *)left;
	const struct slu_config_listener *b = *(const struct slu_config_listener *const *)right;
	int order = slu_ip_compare(&a->address, &b->address);

	if (a->vpc != b->vpc)
		return a->vpc < b->vpc ? -1 : 1;
	if (order != 0)
		return order;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->port_first != b->port_first)
		return a->port_first < b->port_first ? -1 : 1;
	return (a > b) - (a < b);
}

static bool same_service(const struct slu_config_listener *a, const struct slu_config_listener *b)
{
	return a->vpc == b->vpc && a->protocol == b->protocol && slu_ip_compare(&a->address, &b->address) == 0;
}

static void check_overlap(struct slu_rules *rules)
{
	const struct slu_config *config = rules->config;
	const struct slu_config_listener **sorted = slu_memory_zeroed(config->listener_count, sizeof(*sorted));
	const struct slu_config_listener *reach = NULL; /* of those before, the one that ends last */
	uint32_t count = 0;
	char path[64];

	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct slu_config_listener *listener = &config->listeners[i];

		if (listener->address.family != 0 && listener->protocol != 0 && listener->port_last != 0)
			sorted[count++] = listener;
	}
	qsort(sorted, count, sizeof(*sorted), compare_listeners);
	for (uint32_t i = 0; i < count; i++) {
		const struct slu_config_listener *listener = sorted[i];

		if (reach == NULL || !same_service(reach, listener)) {
			reach = listener;
			continue;
		}
		if (listener->port_first <= reach->port_last) {
			const struct slu_config_listener *later = listener > reach ? listener : reach;
			const struct slu_config_listener *earlier = listener > reach ? reach : listener;

			slu_rules_refuse(rules, PATH(path, "listeners[%zu].ports", later - config->listeners),
				"ports %u-%u overlap with ports %u-%u of listener \"%s\" (listeners[%zu]) at the same "
				"address",
				later->port_first, later->port_last, earlier->port_first, earlier->port_last,
				earlier->name, earlier - config->listeners);
		}
		if (listener->port_last > reach->port_last)
			reach = listener;
	}
	free(sorted);
}

/* Sessions and meters name listeners and outbound services alike. `listeners` is sorted. */
static void check_outbound_names(struct slu_rules *rules, const struct named *listeners)
{
	const struct slu_config *config = rules->config;
	struct named *snats = NAMED(config->snats, config->snat_count, name);
	struct named *eips = NAMED(config->eips, config->eip_count, name), *found;
	char path[64];

	check_unique(rules, snats, config->snat_count, "snat", "name");
	check_unique(rules, eips, config->eip_count, "eip", "name");
	for (uint32_t i = 0; i < config->snat_count + config->eip_count; i++) {
		bool snat = i < config->snat_count;
		const struct named *named = snat ? &snats[i] : &eips[i - config->snat_count];
		const char *list = snat ? "snat" : "eip";

		if (named->name[0] == '\0')
			continue;
		found = bsearch(named, listeners, config->listener_count, sizeof(*named), compare_names);
		if (found != NULL)
			slu_rules_refuse(rules, PATH(path, "%s[%u].name", list, named->index),
				"\"%s\" is taken by listeners[%u] already", named->name, found->index);
		found = snat ? NULL : bsearch(named, snats, config->snat_count, sizeof(*named), compare_names);
		if (found != NULL)
			slu_rules_refuse(rules, PATH(path, "%s[%u].name", list, named->index),
				"\"%s\" is taken by snat[%u] already", named->name, found->index);
	}
	free(snats);
	free(eips);
}

static void check_listeners(struct slu_rules *rules, struct traits *traits)
{
	const struct slu_config *config = rules->config;
	struct named *names = NAMED(config->listeners, config->listener_count, name);
	struct named *groups = NAMED(config->groups, config->group_count, name);
	bool locals[7] = {false};
	char path[64];

	check_unique(rules, names, config->listener_count, "listeners", "name");
	check_outbound_names(rules, names);
	check_unique(rules, groups, config->group_count, "groups", "name");
	for (uint32_t i = 0; i < config->local_count; i++)
		locals[config->locals[i].family] = true;
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct slu_config_listener *listener = &config->listeners[i];
		bool found = false;

		check_client_address(rules, i);
		if (listener->group[0] != '\0')
			find_group(rules, i, groups, config->group_count, &found);
		if (found)
			check_use_of_group(rules, i, &traits[listener->group_index]);
		if (listener->address.family == 0)
			continue;
		if (listener->mode == SLU_MODE_FULLNAT && !locals[listener->address.family])
			slu_rules_refuse(rules, PATH(path, "listeners[%u].mode", i),
				"mode fullnat needs an IPv%u address in local_addresses", listener->address.family);
		if (listener->vpc == 0)
			check_edge(rules, &listener->address, PATH(path, "listeners[%u].address", i));
	}
	free(names);
	free(groups);
	check_overlap(rules);
}

/* Addresses: one use each. */

enum use_kind { USE_PORT, USE_SYNC, USE_LOCAL, USE_VIP, USE_SNAT, USE_EIP };

struct use {
	uint32_t vpc;
	struct slu_ip ip;
	enum use_kind kind;
	/* ports[index].addresses[sub]; local_addresses[index]; listeners[index]; snat[index].addresses[sub]; eip[index]
	 */
	uint32_t index, sub;
};

static int compare_addresses(const struct use *a, const struct use *b)
{
	if (a->vpc != b->vpc)
		return a->vpc < b->vpc ? -1 : 1;
	return slu_ip_compare(&a->ip, &b->ip);
}

static int compare_uses(const void *left, const void *right)
{
	const struct use *a = left, *b = right;
	int order = compare_addresses(a, b);

	if (order != 0)
		return order;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return (a->sub > b->sub) - (a->sub < b->sub);
}

/* Whether there is one beside those of ports: the sync network may be behind a port's TAP. */
static bool has_sync_address(const struct slu_config *config)
{
	const struct slu_config_cluster *cluster = config->cluster;

	if (cluster == NULL || cluster->address.family == 0)
		return false;
	for (uint32_t i = 0; i < config->port_count; i++) {
		const struct slu_config_port *port = &config->ports[i];

		for (uint32_t j = 0; j < port->address_count && strcmp(port->tap, cluster->interface) == 0; j++)
			if (slu_ip_compare(&port->addresses[j].ip, &cluster->address) == 0)
				return false;
	}
	return true;
}

static size_t collect_uses(const struct slu_config *config, struct use *uses)
{
	size_t count = 0;

	for (uint32_t i = 0; i < config->port_count; i++)
		for (uint32_t j = 0; j < config->ports[i].address_count; j++)
			if (config->ports[i].addresses[j].ip.family != 0)
				uses[count++] = (struct use){0, config->ports[i].addresses[j].ip, USE_PORT, i, j};
	if (has_sync_address(config))
		uses[count++] = (struct use){0, config->cluster->address, USE_SYNC, 0, 0};
	for (uint32_t i = 0; i < config->local_count; i++)
		uses[count++] = (struct use){0, config->locals[i], USE_LOCAL, config->local_items[i], 0};
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].address.family != 0)
			uses[count++] =
				(struct use){config->listeners[i].vpc, config->listeners[i].address, USE_VIP, i, 0};
	for (uint32_t i = 0; i < config->snat_count; i++)
		for (uint32_t j = 0; j < config->snats[i].addresses.count; j++)
			uses[count++] = (struct use){config->snats[i].vpc, config->snats[i].addresses.ips[j], USE_SNAT,
				i, config->snats[i].addresses.items[j]};
	for (uint32_t i = 0; i < config->eip_count; i++)
		if (config->eips[i].public_ip.family != 0)
			uses[count++] = (struct use){config->eips[i].vpc, config->eips[i].public_ip, USE_EIP, i, 0};
	return count;
}

static const char *use_format(const struct slu_config *config, const struct use *use, char text[160])
{
	if (use->kind == USE_PORT)
		snprintf(text, 160, "an address of port \"%s\"", config->ports[use->index].name);
	else if (use->kind == USE_SYNC)
		snprintf(text, 160, "this node's on the sync network");
	else if (use->kind == USE_LOCAL)
		snprintf(text, 160, "in local_addresses[%u]", use->index);
	else if (use->kind == USE_VIP)
		snprintf(text, 160, "the address of listener \"%s\"", config->listeners[use->index].name);
	else if (use->kind == USE_SNAT)
		snprintf(text, 160, "an address of snat \"%s\"", config->snats[use->index].name);
	else
		snprintf(text, 160, "the public address of eip \"%s\"", config->eips[use->index].name);
	return text;
}

static void refuse_second_use(struct slu_rules *rules, const struct use *use, const struct use *first)
{
	char path[64], text[SLU_IP_TEXT_BYTES], taken[160];

	if (use->kind == USE_PORT)
		PATH(path, "ports[%u].addresses[%u]", use->index, use->sub);
	else if (use->kind == USE_SYNC)
		PATH(path, "cluster.address");
	else if (use->kind == USE_LOCAL)
		PATH(path, "local_addresses[%u]", use->index);
	else if (use->kind == USE_VIP)
		PATH(path, "listeners[%u].address", use->index);
	else if (use->kind == USE_SNAT)
		PATH(path, "snat[%u].addresses[%u]", use->index, use->sub);
	else
		PATH(path, "eip[%u].public", use->index);
	slu_rules_refuse(rules, path, "%s is %s already", slu_ip_format(&use->ip, text),
		use_format(rules->config, first, taken));
}

/* The first use of an address among the sorted ones, or NULL. */
static const struct use *find_use(const struct use *uses, size_t count, uint32_t vpc, const struct slu_ip *ip)
{
	const struct use wanted = {vpc, *ip, USE_PORT, 0, 0};
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_addresses(&uses[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return ip->family != 0 && low < count && compare_addresses(&uses[low], &wanted) == 0 ? &uses[low] : NULL;
}

static void check_backend_addresses(
	struct slu_rules *rules, const struct traits *traits, const struct use *uses, size_t count)
{
	const struct slu_config *config = rules->config;
	char path[96], text[SLU_IP_TEXT_BYTES], taken[160];

	for (uint32_t i = 0; i < config->group_count; i++) {
		for (uint32_t j = 0; j < config->groups[i].backend_count; j++) {
			const struct slu_ip *ip = &config->groups[i].backends[j].address;
			const struct use *use = find_use(uses, count, traits[i].vpc, ip);

			if (use != NULL)
				slu_rules_refuse(rules, PATH(path, "groups[%u].backends[%u].address", i, j),
					"%s is %s: packets would come back to this node", slu_ip_format(ip, text),
					use_format(config, use, taken));
		}
	}
}

/* A private address is a host's own, and has one public address. */
static void check_private_addresses(struct slu_rules *rules, const struct use *uses, size_t count)
{
	const struct slu_config *config = rules->config;
	struct use *private = slu_memory_zeroed(config->eip_count, sizeof(*private));
	char path[64], text[SLU_IP_TEXT_BYTES], taken[160];
	uint32_t known = 0;

	for (uint32_t i = 0; i < config->eip_count; i++) {
		const struct slu_config_outbound *eip = &config->eips[i];
		const struct use *use = find_use(uses, count, eip->vpc, &eip->private_ip);

		if (use != NULL)
			slu_rules_refuse(rules, PATH(path, "eip[%u].private", i),
				"%s is %s: packets would come back to this node", slu_ip_format(&eip->private_ip, text),
				use_format(config, use, taken));
		if (eip->private_ip.family != 0)
		private[known++] = (struct use){eip->vpc, eip->private_ip, USE_EIP, i, 0};
	}
	qsort(private, known, sizeof(*private), compare_uses);
	for (uint32_t i = 1, first = 0; i < known; i++) {
		if (compare_addresses(&private[i], &private[first]) != 0)
			first = i;
		else
			slu_rules_refuse(rules, PATH(path, "eip[%u].private", private[i].index),
				"%s is the private address of eip \"%s\" already", slu_ip_format(&private[i].ip, text),
				config->eips[private[first].index].name);
	}
	free(private);
}

/* Outbound services. */

struct source {
	uint32_t vpc;
	struct slu_config_prefix prefix;
	uint32_t snat, item;
};

static int compare_prefixes(const struct source *a, const struct source *b)
{
	if (a->vpc != b->vpc)
		return a->vpc < b->vpc ? -1 : 1;
	if (a->prefix.bits != b->prefix.bits)
		return a->prefix.bits < b->prefix.bits ? -1 : 1;
	return slu_ip_compare(&a->prefix.ip, &b->prefix.ip);
}

static int compare_sources(const void *left, const void *right)
{
	const struct source *a = left, *b = right;
	int order = compare_prefixes(a, b);

	if (order != 0)
		return order;
	if (a->snat != b->snat)
		return a->snat < b->snat ? -1 : 1;
	return (a->item > b->item) - (a->item < b->item);
}

/* Prefixes may lie within each other, the longest one rules; but none may be there twice. */
static void check_sources(struct slu_rules *rules)
{
	const struct slu_config *config = rules->config;
	struct source *sources;
	size_t room = 0, count = 0;
	char path[64];

	for (uint32_t i = 0; i < config->snat_count; i++)
		room += config->snats[i].source_count;
	sources = slu_memory_zeroed(room, sizeof(*sources));
	for (uint32_t i = 0; i < config->snat_count; i++)
		for (uint32_t j = 0; j < config->snats[i].source_count; j++)
			if (config->snats[i].sources[j].bits != 0)
				sources[count++] =
					(struct source){config->snats[i].vpc, config->snats[i].sources[j], i, j};
	qsort(sources, count, sizeof(*sources), compare_sources);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (compare_prefixes(&sources[i], &sources[first]) != 0)
			first = i;
		else
			slu_rules_refuse(rules, PATH(path, "snat[%u].sources[%u]", sources[i].snat, sources[i].item),
				"is snat[%u].sources[%u] already", sources[first].snat, sources[first].item);
	}
	free(sources);
}

static void check_snat_families(struct slu_rules *rules, uint32_t index)
{
	const struct slu_config_outbound *snat = &rules->config->snats[index];
	bool inside[7] = {false}, public[7] = {false};
	char path[64];

	for (uint32_t i = 0; i < snat->source_count; i++)
		inside[snat->sources[i].ip.family] = true;
	for (uint32_t i = 0; i < snat->addresses.count; i++)
	public[snat->addresses.ips[i].family] = true;
	if (inside[0])
		return; /* a source that could not be read */
	for (unsigned family = 4; family <= 6; family += 2) {
		if (inside[family] && !public[family] && snat->addresses.count > 0)
			slu_rules_refuse(rules, PATH(path, "snat[%u].addresses", index),
				"has IPv%u sources and needs an IPv%u address: addresses are not translated between "
				"families",
				family, family);
		if (public[family] && !inside[family] && snat->source_count > 0)
			slu_rules_refuse(rules, PATH(path, "snat[%u].sources", index),
				"has an IPv%u address but no IPv%u source", family, family);
	}
}

static void check_outbound(struct slu_rules *rules)
{
	const struct slu_config *config = rules->config;
	char path[64];

	check_sources(rules);
	for (uint32_t i = 0; i < config->snat_count; i++) {
		const struct slu_config_outbound *snat = &config->snats[i];

		check_snat_families(rules, i);
		if (snat->port_last - snat->port_first + 1u < config->workers)
			slu_rules_refuse(rules, PATH(path, "snat[%u].ports", i),
				"a range of %u ports is too small for %u workers",
				snat->port_last - snat->port_first + 1u, config->workers);
		for (uint32_t j = 0; snat->vpc == 0 && j < snat->addresses.count; j++)
			check_edge(rules, &snat->addresses.ips[j],
				PATH(path, "snat[%u].addresses[%u]", i, snat->addresses.items[j]));
	}
	for (uint32_t i = 0; i < config->eip_count; i++) {
		const struct slu_config_outbound *eip = &config->eips[i];

		if (eip->public_ip.family != 0 && eip->private_ip.family != 0 &&
			eip->public_ip.family != eip->private_ip.family)
			slu_rules_refuse(rules, PATH(path, "eip[%u].private", i),
				"is IPv%u but the public address is IPv%u: addresses are not translated between "
				"families",
				eip->private_ip.family, eip->public_ip.family);
		if (eip->vpc == 0)
			check_edge(rules, &eip->public_ip, PATH(path, "eip[%u].public", i));
	}
}

static void check_addresses(struct slu_rules *rules, const struct traits *traits)
{
	const struct slu_config *config = rules->config;
	size_t room = (size_t)config->local_count + config->listener_count + config->eip_count + 1, count;
	struct use *uses;

	for (uint32_t i = 0; i < config->port_count; i++)
		room += config->ports[i].address_count;
	for (uint32_t i = 0; i < config->snat_count; i++)
		room += config->snats[i].addresses.count;
	uses = slu_memory_zeroed(room, sizeof(*uses));
	count = collect_uses(config, uses);
	qsort(uses, count, sizeof(*uses), compare_uses);
	for (size_t i = 1, first = 0; i < count; i++) {
		if (compare_addresses(&uses[i], &uses[first]) != 0)
			first = i;
		else if (uses[first].kind != USE_VIP || uses[i].kind != USE_VIP)
			refuse_second_use(rules, &uses[i], &uses[first]);
	}
	check_backend_addresses(rules, traits, uses, count);
	check_private_addresses(rules, uses, count);
	free(uses);
}

void slu_rules_check(const struct slu_node *root, struct slu_config *config, struct slu_errors *errors)
{
	struct slu_rules rules = {root, config, errors};
	struct traits *traits = slu_memory_zeroed(config->group_count, sizeof(*traits));
	uint64_t backends = 0;

	check_ports(&rules);
	for (uint32_t i = 0; i < config->group_count; i++) {
		check_group(&rules, i, &traits[i]);
		backends += config->groups[i].backend_count;
	}
	if (backends > SLU_CONFIG_MAX_ALL_BACKENDS)
		slu_rules_refuse(&rules, "groups", "have %llu backends in all, at most %u are allowed",
			(unsigned long long)backends, SLU_CONFIG_MAX_ALL_BACKENDS);
	check_listeners(&rules, traits);
	check_addresses(&rules, traits);
	check_outbound(&rules);
	slu_rules_cluster(&rules);
	free(traits);
}
