#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "host/cluster/cluster_state.h"
#include "host/config/memory.h"
#include "host/log.h"

#define QUIET_US 3000000u /* after a change of membership nobody answers unknown segments with RST */

static void release_view(void *context, void *view)
{
	(void)context;
	free(view);
}

void slu_cluster_members_publish(struct slu_cluster *cluster)
{
	struct slu_cluster_view *view = slu_memory_zeroed(1, sizeof(*view));
	const struct slu_cluster_view *previous;

	slu_members_view(&cluster->members, view);
	previous = slu_dataplane_publish_cluster(cluster->settings.dp, view);
	cluster->view = view;
	slu_retire_add(cluster->settings.retirement, (void *)(uintptr_t)previous, release_view, NULL);
}

void slu_cluster_members_changed(struct slu_cluster *cluster)
{
	slu_cluster_members_publish(cluster);
	slu_dataplane_quiet_until(cluster->settings.dp, slu_clock_us() + QUIET_US);
	slu_cluster_self_announce(cluster);
}

/* ------------------------------------------------------------ who they are */

void slu_cluster_members_tell(struct slu_cluster *cluster)
{
	struct slu_sync_peer_address peers[SLU_CLUSTER_MEMBERS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < cluster->members.count; i++) {
		const struct slu_member *member = &cluster->members.list[i];

		if (member->id != cluster->members.self)
			peers[count++] = (struct slu_sync_peer_address){.id = member->id, .address = member->address};
	}
	slu_sync_set_peers(cluster->sync, peers, count);
}

bool slu_cluster_members_take(struct slu_cluster *cluster, const struct slu_config_member *list, uint32_t count)
{
	struct slu_cluster_peer before[SLU_CLUSTER_MEMBERS_MAX];
	struct slu_members members = cluster->members;

	slu_members_set(&members, cluster->config->id, list, count);
	if (memcmp(&members, &cluster->members, sizeof(members)) == 0)
		return false;
	cluster->members = members;
	memcpy(before, cluster->peers, sizeof(before));
	memset(cluster->peers, 0, sizeof(cluster->peers));
	for (uint32_t i = 0; i < cluster->members.count; i++) {
		const struct slu_member *member = &cluster->members.list[i];

		for (uint32_t j = 0; j < SLU_CLUSTER_MEMBERS_MAX; j++)
			if (before[j].id == member->id)
				cluster->peers[i] = before[j];
		cluster->peers[i].id = member->id;
	}
	if (cluster->sync)
		slu_cluster_members_tell(cluster);
	return true;
}

/* ----------------------------------------------------------- what is heard */

static struct slu_cluster_peer *find_peer(struct slu_cluster *cluster, uint8_t id)
{
	for (uint32_t i = 0; i < SLU_CLUSTER_MEMBERS_MAX; i++)
		if (cluster->peers[i].id == id && id != 0)
			return &cluster->peers[i];
	return NULL;
}

/* Reads a living member's status; returns whether that changes who owns what. */
static bool hear(struct slu_cluster *cluster, struct slu_cluster_peer *peer)
{
	struct slu_node_count counts[SLU_NODE_STATUS_COUNTS];
	uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES];
	uint32_t size = slu_sync_blob(cluster->sync, peer->id, bytes, sizeof(bytes));
	int count;

	count = size ? slu_node_status_decode(bytes, size, &peer->status, counts) : -ENODATA;
	if (count < 0)
		return false;
	peer->told = true;
	slu_usage_hear(cluster->usage, peer->id, counts, (uint32_t)count, peer->status.turn, slu_clock_ms());
	return slu_members_mark(&cluster->members, peer->id, true, peer->status.announces);
}

bool slu_cluster_members_hear(struct slu_cluster *cluster)
{
	bool changed = false;

	for (uint32_t i = 0; i < cluster->members.count; i++) {
		const struct slu_member *member = &cluster->members.list[i];

		if (member->alive && member->id != cluster->members.self)
			changed |= hear(cluster, find_peer(cluster, member->id));
	}
	return changed;
}

void slu_cluster_members_on_change(void *context, uint8_t id, bool alive)
{
	struct slu_cluster *cluster = context;
	struct slu_cluster_peer *peer = find_peer(cluster, id);
	const struct slu_member *member = slu_members_find(&cluster->members, id);
	bool changed;

	if (!peer || !member)
		return;
	slu_info("cluster: member %u (%s) %s", id, member->name, alive ? "lives" : "is not heard any more");
	peer->told = false;
	if (!alive)
		slu_usage_forget(cluster->usage, id);
	changed = slu_members_mark(&cluster->members, id, alive, false);
	if (alive)
		changed |= hear(cluster, peer);
	if (changed)
		slu_cluster_members_changed(cluster);
}
