#include <stdio.h>
#include <string.h>

#include "host/config/rules_parts.h"
#include "host/control/ip.h"

static bool overlap(const struct slu_config_prefix *a, const struct slu_config_prefix *b)
{
	uint8_t bits = a->bits < b->bits ? a->bits : b->bits;

	return a->bits != 0 && b->bits != 0 && slu_ip_within(&a->ip, &b->ip, bits);
}

/* Refuses members[index].local_prefixes[at] if an earlier prefix of any member has addresses of it. */
static void check_prefix(struct slu_rules *rules, uint32_t index, uint32_t at)
{
	const struct slu_config_cluster *cluster = rules->config->cluster;
	const struct slu_config_prefix *prefix = &cluster->members[index].locals[at];
	char path[96];

	for (uint32_t i = 0; i <= index; i++) {
		const struct slu_config_member *other = &cluster->members[i];

		for (uint32_t j = 0; j < (i < index ? other->local_count : at); j++) {
			if (!overlap(prefix, &other->locals[j]))
				continue;
			slu_rules_refuse(rules, PATH(path, "cluster.members[%u].local_prefixes[%u]", index, at),
				"overlaps with local_prefixes[%u] of member %u", j, other->id);
			return;
		}
	}
}

static void check_member(struct slu_rules *rules, uint32_t index)
{
	const struct slu_config_cluster *cluster = rules->config->cluster;
	const struct slu_config_member *member = &cluster->members[index];
	char path[96], text[SLU_IP_TEXT_BYTES];

	for (uint32_t i = 0; i < index; i++) {
		const struct slu_config_member *other = &cluster->members[i];

		if (member->id != 0 && member->id == other->id)
			slu_rules_refuse(rules, PATH(path, "cluster.members[%u].id", index),
				"%u is taken by members[%u] already", member->id, i);
		if (member->name[0] != '\0' && strcmp(member->name, other->name) == 0)
			slu_rules_refuse(rules, PATH(path, "cluster.members[%u].name", index),
				"\"%s\" is taken by members[%u] already", member->name, i);
		if (member->address.family != 0 && slu_ip_compare(&member->address, &other->address) == 0)
			slu_rules_refuse(rules, PATH(path, "cluster.members[%u].address", index),
				"%s is members[%u]'s already", slu_ip_format(&member->address, text), i);
	}
	for (uint32_t i = 0; i < member->local_count; i++)
		check_prefix(rules, index, i);
}

static bool has_prefix(const struct slu_config_prefix *list, uint32_t count, const struct slu_config_prefix *prefix)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i].bits == prefix->bits && slu_ip_compare(&list[i].ip, &prefix->ip) == 0)
			return true;
	return false;
}

/* What the list says of this node must be what the node says of itself. */
static void check_self(struct slu_rules *rules, uint32_t index)
{
	const struct slu_config_cluster *cluster = rules->config->cluster;
	const struct slu_config_member *self = &cluster->members[index];
	bool same = self->local_count == cluster->local_count;
	char path[96];

	if (self->address.family != 0 && cluster->address.family != 0 &&
		slu_ip_compare(&self->address, &cluster->address) != 0)
		slu_rules_refuse(rules, PATH(path, "cluster.members[%u].address", index),
			"is not cluster.address, and this member is this node");
	for (uint32_t i = 0; i < self->local_count && same; i++)
		same = has_prefix(cluster->locals, cluster->local_count, &self->locals[i]);
	if (!same)
		slu_rules_refuse(rules, PATH(path, "cluster.members[%u]", index),
			"local_prefixes are not those of cluster.local_prefixes, and this member is this node");
}

static void check_members(struct slu_rules *rules)
{
	const struct slu_config_cluster *cluster = rules->config->cluster;
	bool found = false;

	for (uint32_t i = 0; i < cluster->member_count; i++) {
		check_member(rules, i);
		if (cluster->members[i].id != cluster->id || cluster->id == 0 || found)
			continue;
		found = true;
		check_self(rules, i);
	}
	if (!found && cluster->id != 0)
		slu_rules_refuse(rules, "cluster.members", "this node, id %u, is not among the members", cluster->id);
}

/* The two ways to know the members exclude each other; one of them must be there. */
static void check_source(struct slu_rules *rules)
{
	const struct slu_node *cluster = slu_node_find(rules->root, "cluster");
	bool members = slu_node_find(cluster, "members") != NULL, etcd = slu_node_find(cluster, "etcd") != NULL;

	if (members && etcd)
		slu_rules_refuse(rules, "cluster.etcd", "members are listed already: either members or etcd");
	else if (!members && !etcd)
		slu_rules_refuse(rules, "cluster", "key members or etcd is missing");
	else if (members)
		check_members(rules);
}

/* Prefixes of the node itself; with a list of members that list was checked too, so errors would come twice. */
static void check_own_prefixes(struct slu_rules *rules)
{
	const struct slu_config_cluster *cluster = rules->config->cluster;
	char path[96];

	for (uint32_t i = 0; i < cluster->local_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (overlap(&cluster->locals[i], &cluster->locals[j]))
				slu_rules_refuse(rules, PATH(path, "cluster.local_prefixes[%u]", i),
					"overlaps with local_prefixes[%u]", j);
}

static void check_local_addresses(struct slu_rules *rules)
{
	const struct slu_config *config = rules->config;
	const struct slu_config_cluster *cluster = config->cluster;
	uint32_t refused = UINT32_MAX;
	char path[96], text[SLU_IP_TEXT_BYTES];

	for (uint32_t i = 0; i < config->local_count; i++) {
		bool inside = false;

		for (uint32_t j = 0; j < cluster->local_count; j++)
			inside |= cluster->locals[j].bits != 0 &&
				  slu_ip_within(&config->locals[i], &cluster->locals[j].ip, cluster->locals[j].bits);
		/* One error for a range is enough. */
		if (inside || config->local_items[i] == refused)
			continue;
		refused = config->local_items[i];
		slu_rules_refuse(rules, PATH(path, "local_addresses[%u]", refused),
			"%s is in none of cluster.local_prefixes: the cluster would not know whose it is",
			slu_ip_format(&config->locals[i], text));
	}
}

static bool is_home_of_any(const struct slu_config_cluster *cluster, const struct slu_ip *ip)
{
	for (uint32_t i = 0; i < cluster->member_count; i++)
		for (uint32_t j = 0; j < cluster->members[i].local_count; j++) {
			const struct slu_config_prefix *home = &cluster->members[i].locals[j];

			if (home->bits != 0 && slu_ip_within(ip, &home->ip, home->bits))
				return true;
		}
	return false;
}

/* Members that etcd tells of are not known yet. */
static void check_public_addresses(struct slu_rules *rules)
{
	static const char rule[] = "%s is in no member's local_prefixes: nobody would announce it";
	const struct slu_config *config = rules->config;
	const struct slu_config_cluster *cluster = config->cluster;
	char path[96], text[SLU_IP_TEXT_BYTES];

	for (uint32_t i = 0; i < config->snat_count && cluster->member_count; i++) {
		const struct slu_config_addresses *list = &config->snats[i].addresses;

		for (uint32_t j = 0; j < list->count; j++)
			if (!is_home_of_any(cluster, &list->ips[j]))
				slu_rules_refuse(rules, PATH(path, "snat[%u].addresses[%u]", i, list->items[j]), rule,
					slu_ip_format(&list->ips[j], text));
	}
	for (uint32_t i = 0; i < config->eip_count && cluster->member_count; i++)
		if (config->eips[i].public_ip.family != 0 && !is_home_of_any(cluster, &config->eips[i].public_ip))
			slu_rules_refuse(rules, PATH(path, "eip[%u].public", i), rule,
				slu_ip_format(&config->eips[i].public_ip, text));
}

void slu_rules_cluster(struct slu_rules *rules)
{
	const struct slu_node *cluster = slu_node_find(rules->root, "cluster");

	/* In a document of the whole cluster it is not there, and was checked with the node's own. */
	if (rules->config->cluster == NULL || cluster == NULL || slu_node_kind(cluster) != SLU_NODE_MAPPING)
		return;
	check_own_prefixes(rules);
	check_source(rules);
	check_local_addresses(rules);
	check_public_addresses(rules);
}
