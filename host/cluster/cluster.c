#include "host/cluster/cluster.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "host/cluster/cluster_state.h"
#include "host/cluster/config_hash.h"
#include "host/cluster/epoch.h"
#include "host/cluster/key_file.h"
#include "host/cluster/usage_dataplane.h"
#include "host/config/memory.h"
#include "host/log.h"

#define TICK_MS 100
#define BEGIN_S 2 /* so long sync waits for etcd at start */
#define FLUSH_MS 10
#define OUTBOX_RECORDS 16384u
#define INBOX_RECORDS 16384u

/* ------------------------------------------------------------ configuration */

/* Those of mode nat are addresses of listeners too. */
static void take_vips(struct slu_cluster *cluster, const struct slu_generation *generation)
{
	free(cluster->vips);
	cluster->vips = slu_memory_zeroed(generation->listener_count, sizeof(*cluster->vips));
	cluster->vip_count = generation->listener_count;
	for (uint32_t i = 0; i < generation->listener_count; i++)
		cluster->vips[i] = generation->listeners[i].address;
}

/* Inside hosts send what goes out to a node that lends addresses of their family. */
static void take_gateways(struct slu_cluster *cluster, const struct slu_generation *generation)
{
	for (unsigned int family = 0; family < 2; family++) {
		cluster->gateway[family] = false;
		for (uint32_t i = 0; i < generation->outbound_count; i++)
			cluster->gateway[family] |= generation->outbound[i].address_count[family] > 0;
	}
}

void slu_cluster_set_generation(struct slu_cluster *cluster, const struct slu_generation *generation,
	const struct slu_config *config, uint64_t documents)
{
	if (!cluster->shared)
		cluster->status.generation = generation->number;
	if (documents == cluster->documents)
		return;
	cluster->documents = documents;
	cluster->status.hash = slu_config_hash_make(config);
	take_vips(cluster, generation);
	take_gateways(cluster, generation);
	slu_usage_set_generation(cluster->usage, generation);
	if (config->cluster && config->cluster->member_count > 0)
		slu_cluster_members_take(cluster, config->cluster->members, config->cluster->member_count);
	slu_cluster_members_changed(cluster);
}

/* ------------------------------------------------------------------- create */

static int prepare_sync(struct slu_cluster *cluster)
{
	const struct slu_config_cluster *config = cluster->config;
	const struct slu_sync_settings settings = {
		.trigger = config->trigger_data ? SLU_SYNC_AFTER_DATA : SLU_SYNC_AFTER_PACKETS,
		.threshold = config->threshold,
		.period = config->period,
		.outbox = OUTBOX_RECORDS,
		.inbox = INBOX_RECORDS};
	int error = slu_dataplane_set_sync(cluster->settings.dp, &settings);

	if (error)
		slu_error("cluster: rings between sync and workers: %s", strerror(-error));
	return error;
}

/* As long as nobody else is known. */
static void take_self(struct slu_cluster *cluster)
{
	const struct slu_config_cluster *config = cluster->config;
	struct slu_config_member self = {.id = config->id,
		.address = config->address,
		.locals = config->locals,
		.local_count = config->local_count};

	memcpy(self.name, cluster->settings.config->node, sizeof(self.name));
	slu_cluster_members_take(cluster, &self, 1);
}

/* What can fail before there is sync. Returns 0 or -errno, said. */
static int prepare(struct slu_cluster *cluster)
{
	const struct slu_routes_settings routes = {.table = cluster->config->route_table};
	const char *state_dir = cluster->settings.config->state_dir;
	int error = slu_key_file_read(cluster->config->key_file, cluster->key, &cluster->key_bytes);

	if (error)
		return error;
	error = slu_epoch_raise(state_dir, 0, &cluster->epoch);
	if (error) {
		slu_error("cluster: epoch of this start in %s: %s", state_dir, strerror(-error));
		return error;
	}
	error = prepare_sync(cluster);
	if (error)
		return error;
	error = slu_routes_create(&routes, &cluster->routes);
	if (error)
		slu_error("cluster: routes of table %u: %s", routes.table, strerror(-error));
	return error;
}

int slu_cluster_create(const struct slu_cluster_settings *settings, struct slu_cluster **result)
{
	struct slu_cluster *cluster = slu_memory_zeroed(1, sizeof(*cluster));
	const struct slu_config_cluster *config = settings->config->cluster;
	int error;

	*result = cluster;
	cluster->settings = *settings;
	cluster->config = config;
	cluster->usage = slu_usage_dataplane_create(settings->dp);
	error = prepare(cluster);
	if (error)
		return error;
	if (config->etcd_count > 0)
		take_self(cluster);
	else
		slu_cluster_members_take(cluster, config->members, config->member_count);
	slu_cluster_members_publish(cluster);
	return 0;
}

/* -------------------------------------------------------------------- start */

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	struct slu_cluster *cluster = context;
	bool changed = slu_cluster_members_hear(cluster);

	(void)fd;
	(void)what;
	changed |= slu_cluster_self_mark(cluster);
	if (changed)
		slu_cluster_members_changed(cluster);
	if (cluster->drained)
		slu_busy_look(&cluster->busy, cluster->settings.dp);
	slu_cluster_self_tell(cluster);
}

/* Begins to speak and to listen. Returns 0 or -errno, said. */
static int begin_sync(struct slu_cluster *cluster)
{
	const struct slu_config_cluster *config = cluster->config;
	const struct slu_sync_options options = {.id = config->id,
		.group = config->group,
		.interface = config->interface,
		.address = config->address,
		.multicast = config->multicast,
		.port = config->port,
		.key = cluster->key_bytes ? cluster->key : NULL,
		.key_bytes = cluster->key_bytes,
		.epoch = cluster->epoch,
		.revision = config->revision,
		.extensions = config->extensions,
		.flush_ms = FLUSH_MS};
	const struct slu_sync_events events = {
		.context = cluster, .member = slu_cluster_members_on_change, .joined = slu_cluster_self_on_joined};
	const struct timeval period = {.tv_usec = TICK_MS * 1000};
	int error = slu_sync_create(cluster->settings.base, cluster->settings.dp, &options, &events, &cluster->sync);

	if (error) {
		slu_error("cluster: session sync at %s: %s", config->interface, strerror(-error));
		return error;
	}
	cluster->tick = event_new(cluster->settings.base, -1, EV_PERSIST, on_tick, cluster);
	if (!cluster->tick)
		return -ENOMEM;
	event_add(cluster->tick, &period);
	slu_cluster_self_tell(cluster);
	slu_cluster_members_tell(cluster);
	slu_sync_join(cluster->sync);
	return 0;
}

static bool on_shared_generation(void *context, uint64_t number, const char *text)
{
	struct slu_cluster *cluster = context;

	slu_info("cluster: generation %llu of etcd is put in force", (unsigned long long)number);
	if (!cluster->settings.apply(cluster->settings.context, text))
		return false;
	cluster->status.generation = number;
	return true;
}

static void on_shared_members(void *context, const struct slu_config_member *members, uint32_t count)
{
	struct slu_cluster *cluster = context;

	if (slu_cluster_members_take(cluster, members, count))
		slu_cluster_members_changed(cluster);
}

/* A folder that was lost would begin with epoch 1 again: the revision of etcd does not. */
static void on_registered(void *context, uint64_t revision)
{
	struct slu_cluster *cluster = context;
	int error = 0;

	if (cluster->sync)
		return;
	if (revision > cluster->epoch)
		error = slu_epoch_raise(cluster->settings.config->state_dir, revision, &cluster->epoch);
	if (error)
		slu_error("cluster: epoch of this start: %s", strerror(-error));
	else if (begin_sync(cluster) == 0)
		event_del(cluster->begin);
}

/* etcd does not answer: the members known from the last time are asked. */
static void on_begin(evutil_socket_t fd, short what, void *context)
{
	const struct timeval again = {.tv_sec = BEGIN_S};
	struct slu_cluster *cluster = context;

	(void)fd;
	(void)what;
	if (!cluster->sync && begin_sync(cluster) != 0)
		event_add(cluster->begin, &again);
}

static int start_shared(struct slu_cluster *cluster)
{
	const struct slu_shared_settings settings = {.base = cluster->settings.base,
		.config = cluster->settings.config,
		.context = cluster,
		.generation = on_shared_generation,
		.members = on_shared_members,
		.registered = on_registered};
	const struct timeval patience = {.tv_sec = BEGIN_S};
	int error;

	cluster->begin = event_new(cluster->settings.base, -1, 0, on_begin, cluster);
	if (!cluster->begin)
		return -ENOMEM;
	event_add(cluster->begin, &patience);
	error = slu_shared_create(&settings, &cluster->shared);
	if (error)
		slu_error("cluster: etcd: %s", strerror(-error));
	return error;
}

int slu_cluster_start(struct slu_cluster *cluster)
{
	return cluster->config->etcd_count > 0 ? start_shared(cluster) : begin_sync(cluster);
}

int slu_cluster_write(
	struct slu_cluster *cluster, const struct slu_config *config, slu_shared_written *done, void *context)
{
	if (!cluster->shared)
		return -ENOTSUP;
	return slu_shared_write(slu_shared_etcd(cluster->shared), cluster->config->etcd_prefix, config, done, context);
}

/* ---------------------------------------------------------------------- end */

void slu_cluster_stop(struct slu_cluster *cluster)
{
	if (!cluster)
		return;
	slu_shared_destroy(cluster->shared);
	cluster->shared = NULL;
	if (cluster->begin)
		event_free(cluster->begin);
	cluster->begin = NULL;
	if (cluster->tick)
		event_free(cluster->tick);
	slu_routes_destroy(cluster->routes);
	slu_sync_destroy(cluster->sync);
	cluster->tick = NULL;
	cluster->routes = NULL;
	cluster->sync = NULL;
}

void slu_cluster_destroy(struct slu_cluster *cluster)
{
	if (!cluster)
		return;
	slu_cluster_stop(cluster);
	free((void *)(uintptr_t)slu_dataplane_publish_cluster(cluster->settings.dp, NULL));
	slu_usage_free(cluster->usage);
	free(cluster->vips);
	explicit_bzero(cluster->key, sizeof(cluster->key));
	free(cluster);
}
