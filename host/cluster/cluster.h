/*
 * This node among the others of its cluster: brings session sync (host/sync), the
 * members, the published view and the announced routes together. Control thread only.
 *
 * A node announces itself only once it has every session that the cluster had
 * (joined), and while its operator did not drain it. Who is alive comes from the
 * heartbeats of sync; whether he announces, from the status that they carry.
 */
#ifndef SLU_HOST_CLUSTER_H
#define SLU_HOST_CLUSTER_H

#include "host/cluster/members.h"
#include "host/cluster/shared_write.h"
#include "host/config/config.h"
#include "host/control/generation.h"
#include "host/dataplane/dataplane.h"
#include "host/retire.h"

struct event_base;
struct slu_api_out;
struct slu_cluster;

struct slu_cluster_settings {
	struct event_base *base;
	struct slu_dataplane *dp;
	struct slu_retirement *retirement;
	const struct slu_config *config; /* of the start; outlives the cluster; config->cluster is not NULL */
	/* With etcd: puts a document of the whole cluster in force. Returns whether it is. */
	bool (*apply)(void *context, const char *text);
	void *context;
};

/*
 * Before the workers start: reads the key, raises the epoch, prepares the data
 * plane, publishes the first view (nobody else is known to live).
 *
 * Returns 0, or -errno after saying why in the log.
 */
int slu_cluster_create(const struct slu_cluster_settings *settings, struct slu_cluster **cluster);

/*
 * When the workers run, and with etcd when documents can be applied: begins to speak
 * and to listen, and asks for the sessions of the others. With etcd that waits for this
 * node's registration, whose revision goes into the epoch, but not for long.
 */
int slu_cluster_start(struct slu_cluster *cluster);

/* Withdraws the routes, then falls silent. While the workers still run. NULL is allowed. */
void slu_cluster_stop(struct slu_cluster *cluster);

/* After the workers have stopped, before the data plane is destroyed. NULL is allowed. */
void slu_cluster_destroy(struct slu_cluster *cluster);

/*
 * With every generation that is published; `config` is the document it was made of
 * and `documents` counts those (slu_control_status): members, virtual addresses and
 * hash are taken anew with each. All is copied.
 */
void slu_cluster_set_generation(struct slu_cluster *cluster, const struct slu_generation *generation,
	const struct slu_config *config, uint64_t documents);

/* For maintenance: withdraws this node's routes, and puts them out again. */
void slu_cluster_drain(struct slu_cluster *cluster, bool drain);

/*
 * Puts what is shared of a configuration into etcd, for all nodes and so for
 * this one too. Returns 0, and `done` is called later; -ENOTSUP without etcd; -E2BIG.
 */
int slu_cluster_write(
	struct slu_cluster *cluster, const struct slu_config *config, slu_shared_written *done, void *context);

/* The home of an address and who announces it now, by the members that are known; 0: it is in nobody's home prefix. */
void slu_cluster_address(const struct slu_cluster *cluster, const struct slu_ip *ip, uint8_t *home, uint8_t *owner);

/* What the API shows of the cluster, and of this node in it. */
void slu_cluster_show(const struct slu_cluster *cluster, struct slu_api_out *object);
void slu_cluster_show_node(const struct slu_cluster *cluster, struct slu_api_out *object);

#endif
