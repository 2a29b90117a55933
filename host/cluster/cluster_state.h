/*
 * Inside of the cluster: what its files know of each other.
 */
#ifndef SLU_HOST_CLUSTER_STATE_H
#define SLU_HOST_CLUSTER_STATE_H

#include "host/cluster/cluster.h"
#include "host/cluster/node_status.h"
#include "host/cluster/routes.h"
#include "host/cluster/shared.h"
#include "host/cluster/usage.h"
#include "host/sync/sync.h"

#define SLU_CLUSTER_KEY_BYTES 4096u

/* What is known of a member beside struct slu_member; by the same index. */
struct slu_cluster_peer {
	uint8_t id;
	bool told;   /* status is its */
	bool missed; /* it was not heard for a while: its sessions are asked for when its status is known */
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
	uint8_t key[SLU_CLUSTER_KEY_BYTES];
	uint32_t key_bytes;
	uint64_t epoch;
	bool joined;
	uint64_t joined_sessions;
	uint32_t joined_ms;
	bool drained;
	uint64_t drained_us; /* when */
	struct slu_ip *vips;
	uint32_t vip_count;
	struct slu_node_status status; /* our own, as told last */
	struct slu_usage *usage;
	uint32_t next_count; /* of what does not fit one status */
	uint64_t documents;
	/* The look for sessions that still see traffic, while drained. */
	struct {
		uint64_t cursor;
		uint32_t found;
		uint32_t last; /* of the last whole walk */
		bool known;
	} busy;
};

uint64_t slu_cluster_now_us(void);

#endif
