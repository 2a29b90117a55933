#include <string.h>

#include "host/clock.h"
#include "host/cluster/cluster_state.h"
#include "host/log.h"

#define DRAIN_PASS_US 2000000 /* by then packets have followed the withdrawn routes to the next owner */

static bool may_announce(const struct slu_cluster *cluster)
{
	return cluster->joined && !cluster->drained;
}

/* Ownership stays here until the packets have gone elsewhere. */
static bool owns(const struct slu_cluster *cluster)
{
	return cluster->joined && (!cluster->drained || slu_clock_us() - cluster->drained_us < DRAIN_PASS_US);
}

void slu_cluster_self_announce(struct slu_cluster *cluster)
{
	struct slu_config_prefix backup[SLU_CLUSTER_PREFIXES_MAX];
	const struct slu_routes_wanted wanted = {.announce = may_announce(cluster),
		.vips = cluster->vips,
		.vip_count = cluster->vip_count,
		.own = cluster->config->locals,
		.own_count = cluster->config->local_count,
		.backup = backup,
		.backup_count = slu_members_backup(&cluster->members, backup),
		.gateway = {cluster->gateway[0], cluster->gateway[1]}};
	int error = slu_routes_set(cluster->routes, &wanted);

	if (error)
		slu_error("cluster: routes of table %u: %s", cluster->config->route_table, strerror(-error));
}

bool slu_cluster_self_mark(struct slu_cluster *cluster)
{
	return slu_members_mark(&cluster->members, cluster->members.self, true, owns(cluster));
}

/* Draws the consequences of how this node is now. */
static void update(struct slu_cluster *cluster)
{
	if (slu_cluster_self_mark(cluster))
		slu_cluster_members_changed(cluster);
	else
		slu_cluster_self_announce(cluster);
}

/* Members that take new sessions, this node among them. */
static uint32_t sharing(const struct slu_cluster *cluster)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < cluster->members.count; i++) {
		const struct slu_member *member = &cluster->members.list[i];

		count += member->id == cluster->members.self || (member->alive && member->announces);
	}
	return count;
}

void slu_cluster_self_tell(struct slu_cluster *cluster)
{
	const struct slu_node_count *counts;
	uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES];
	uint32_t count, size;

	if (!cluster->sync)
		return;
	count = slu_usage_update(cluster->usage, sharing(cluster), slu_clock_ms(), &counts);
	cluster->status.joined = cluster->joined;
	cluster->status.announces = owns(cluster);
	cluster->status.drained = cluster->drained;
	cluster->status.sessions = slu_dataplane_session_count(cluster->settings.dp);
	size = slu_node_status_encode(&cluster->status, counts, count, &cluster->next_count, bytes);
	slu_sync_set_blob(cluster->sync, bytes, size);
}

void slu_cluster_self_on_joined(void *context, uint64_t sessions, uint32_t ms)
{
	struct slu_cluster *cluster = context;

	slu_info("cluster: joined, %llu sessions of the others in %u ms", (unsigned long long)sessions, ms);
	cluster->joined_sessions = sessions;
	cluster->joined_ms = ms;
	if (cluster->joined)
		return;
	cluster->joined = true;
	update(cluster);
	slu_cluster_self_tell(cluster);
}

void slu_cluster_drain(struct slu_cluster *cluster, bool drain)
{
	if (cluster->drained == drain)
		return;
	slu_info("cluster: this node %s", drain ? "is drained: its routes are withdrawn" : "announces itself again");
	cluster->drained = drain;
	cluster->drained_us = slu_clock_us();
	memset(&cluster->busy, 0, sizeof(cluster->busy));
	update(cluster);
	slu_cluster_self_tell(cluster);
}
