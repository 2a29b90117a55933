/*
 * Inside of the cluster: what its files know of each other.
 */
#ifndef SLU_HOST_CLUSTER_STATE_H
#define SLU_HOST_CLUSTER_STATE_H

#include "host/cluster/busy.h"
#include "host/cluster/cluster.h"
#include "host/cluster/key_file.h"
#include "host/cluster/node_status.h"
#include "host/cluster/routes.h"
#include "host/cluster/shared.h"
#include "host/cluster/usage.h"
#include "host/sync/sync.h"

/* What is known of a member beside struct slu_member; by the same index. */
struct slu_cluster_peer {
	uint8_t id;
	bool told; /* status is its */
	struct slu_node_status status;
};

struct slu_cluster {
	struct slu_cluster_settings settings;
	const struct slu_config_cluster *config;
	struct slu_members members;
	struct slu_cluster_peer peers[SLU_CLUSTER_MEMBERS_MAX];
	const struct slu_cluster_view *view; /* published */
	struct slu_sync *sync;
	struct slu_routes *routes;
	struct event *tick;
	struct slu_shared *shared; /* NULL: members stand in the document */
	struct event *begin;       /* of sync, when etcd does not answer in time */
	uint8_t key[SLU_KEY_FILE_BYTES];
	uint32_t key_bytes;
	uint64_t epoch;
	bool joined;
	uint64_t joined_sessions;
	uint32_t joined_ms;
	bool drained;
	uint64_t drained_us; /* when */
	struct slu_ip *vips;
	uint32_t vip_count;
	bool gateway[2];               /* IPv4, IPv6: of inside hosts */
	struct slu_node_status status; /* our own, as told last */
	struct slu_usage *usage;
	uint32_t next_count; /* of what does not fit one status */
	uint64_t documents;
	struct slu_busy busy; /* while drained */
};

/* cluster_members.c: who the members are, what is heard of them, and what follows from it. */

/* Takes a list of members, of the document or of the registrations. Returns whether it is another one. */
bool slu_cluster_members_take(struct slu_cluster *cluster, const struct slu_config_member *list, uint32_t count);

/* Tells sync where the others are. */
void slu_cluster_members_tell(struct slu_cluster *cluster);

/* Reads the statuses of the living. Returns whether that changes who owns what. */
bool slu_cluster_members_hear(struct slu_cluster *cluster);

/* Of sync (struct slu_sync_events): a member is heard, or not heard any more. */
void slu_cluster_members_on_change(void *context, uint8_t id, bool alive);

/* Puts the view of owners in force for the data path. */
void slu_cluster_members_publish(struct slu_cluster *cluster);

/* Who lives or announces has changed: view, silence and routes follow. */
void slu_cluster_members_changed(struct slu_cluster *cluster);

/* cluster_self.c: this node among them; slu_cluster_drain() is there too. */

/* Notes among the members whether this node owns its part. Returns whether that changes anything. */
bool slu_cluster_self_mark(struct slu_cluster *cluster);

/* Makes the routes what they should be. */
void slu_cluster_self_announce(struct slu_cluster *cluster);

/* Puts this node's status into the heartbeats. */
void slu_cluster_self_tell(struct slu_cluster *cluster);

/* Of sync: this node has the sessions of the others. */
void slu_cluster_self_on_joined(void *context, uint64_t sessions, uint32_t ms);

#endif
