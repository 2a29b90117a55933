#include "host/cluster/cluster.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/cluster/cluster_state.h"
#include "host/cluster/epoch.h"
#include "host/config/memory.h"
#include "host/log.h"

#define TICK_MS 100
#define BEGIN_S 2 /* so long sync waits for etcd at start */
#define KEY_BYTES_MIN 16
#define FLUSH_MS 10
#define OUTBOX_RECORDS 16384u
#define INBOX_RECORDS 16384u
#define QUIET_US 3000000u     /* after a change of membership nobody answers unknown segments with RST */
#define DRAIN_PASS_US 2000000 /* by then packets have followed the withdrawn routes to the next owner */
#define BUSY_IDLE_MS 1000u    /* a session that saw a packet within this is busy */
#define BUSY_LOOKS 20000u     /* sessions looked at in a tick */

uint64_t slu_cluster_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct slu_cluster_peer *find_peer(struct slu_cluster *cluster, uint8_t id)
{
	for (uint32_t i = 0; i < SLU_CLUSTER_MEMBERS_MAX; i++)
		if (cluster->peers[i].id == id && id != 0)
			return &cluster->peers[i];
	return NULL;
}

/* ---------------------------------------------------- what follows from it */

static bool may_announce(const struct slu_cluster *cluster)
{
	return cluster->joined && !cluster->drained;
}

/* Ownership stays here until the packets have gone elsewhere. */
static bool owns(const struct slu_cluster *cluster)
{
	return cluster->joined && (!cluster->drained || slu_cluster_now_us() - cluster->drained_us < DRAIN_PASS_US);
}

static void release_view(void *context, void *view)
{
	(void)context;
	free(view);
}

static void publish_view(struct slu_cluster *cluster)
{
	struct slu_cluster_view *view = slu_memory_zeroed(1, sizeof(*view));
	const struct slu_cluster_view *previous;

	slu_members_view(&cluster->members, view);
	previous = slu_dataplane_publish_cluster(cluster->settings.dp, view);
	cluster->view = view;
	slu_retire_add(cluster->settings.retirement, (void *)(uintptr_t)previous, release_view, NULL);
}

static void set_routes(struct slu_cluster *cluster)
{
	struct slu_config_prefix backup[SLU_CLUSTER_PREFIXES_MAX];
	const struct slu_routes_wanted wanted = {.announce = may_announce(cluster),
		.vips = cluster->vips,
		.vip_count = cluster->vip_count,
		.own = cluster->config->locals,
		.own_count = cluster->config->local_count,
		.backup = backup,
		.backup_count = slu_members_backup(&cluster->members, backup)};
	int error = slu_routes_set(cluster->routes, &wanted);

	if (error)
		slu_error("cluster: routes of table %u: %s", cluster->config->route_table, strerror(-error));
}

/* Who lives or announces has changed. */
static void members_changed(struct slu_cluster *cluster)
{
	publish_view(cluster);
	slu_dataplane_quiet_until(cluster->settings.dp, slu_cluster_now_us() + QUIET_US);
	set_routes(cluster);
}

/* Tells everybody how this node is, and draws the consequences here. */
static void update_self(struct slu_cluster *cluster)
{
	if (slu_members_mark(&cluster->members, cluster->members.self, true, owns(cluster)))
		members_changed(cluster);
	else
		set_routes(cluster);
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

static void tell_status(struct slu_cluster *cluster)
{
	const struct slu_node_count *counts;
	uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES];
	uint32_t count, size;

	if (!cluster->sync)
		return;
	count = slu_usage_update(cluster->usage, sharing(cluster), slu_cluster_now_us() / 1000, &counts);
	cluster->status.joined = cluster->joined;
	cluster->status.announces = owns(cluster);
	cluster->status.drained = cluster->drained;
	cluster->status.sessions = slu_dataplane_session_count(cluster->settings.dp);
	size = slu_node_status_encode(&cluster->status, counts, count, &cluster->next_count, bytes);
	slu_sync_set_blob(cluster->sync, bytes, size);
}

/* ------------------------------------------------------------ what is heard */

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
	slu_usage_hear(
		cluster->usage, peer->id, counts, (uint32_t)count, peer->status.turn, slu_cluster_now_us() / 1000);
	if (peer->missed) {
		peer->missed = false;
		/* One that is only joining itself has nothing that we lack. */
		if (peer->status.joined && cluster->joined)
			slu_sync_join(cluster->sync, peer->id);
	}
	return slu_members_mark(&cluster->members, peer->id, true, peer->status.announces);
}

static void on_member(void *context, uint8_t id, bool alive)
{
	struct slu_cluster *cluster = context;
	struct slu_cluster_peer *peer = find_peer(cluster, id);
	const struct slu_member *member = slu_members_find(&cluster->members, id);
	bool changed;

	if (!peer || !member)
		return;
	slu_info("cluster: member %u (%s) %s", id, member->name, alive ? "lives" : "is not heard any more");
	peer->told = false;
	peer->missed = alive;
	if (!alive)
		slu_usage_forget(cluster->usage, id);
	changed = slu_members_mark(&cluster->members, id, alive, false);
	if (alive)
		changed |= hear(cluster, peer);
	if (changed)
		members_changed(cluster);
}

static void on_joined(void *context, uint64_t sessions, uint32_t ms)
{
	struct slu_cluster *cluster = context;

	slu_info("cluster: joined, %llu sessions of the others in %u ms", (unsigned long long)sessions, ms);
	cluster->joined_sessions = sessions;
	cluster->joined_ms = ms;
	if (cluster->joined)
		return;
	cluster->joined = true;
	update_self(cluster);
	tell_status(cluster);
}

/* ---------------------------------------------------------------- each tick */

/* Counts the sessions that still see packets here, a part of the table at a time. */
static void look_for_busy(struct slu_cluster *cluster)
{
	struct slu_session_snapshot snapshots[64];
	uint32_t looked = 0, count;

	while (looked < BUSY_LOOKS) {
		count = slu_dataplane_sessions(cluster->settings.dp, &cluster->busy.cursor, snapshots, 64);
		if (count == 0) {
			cluster->busy.last = cluster->busy.found;
			cluster->busy.known = true;
			cluster->busy.found = 0;
			cluster->busy.cursor = 0;
			return;
		}
		for (uint32_t i = 0; i < count; i++)
			cluster->busy.found += snapshots[i].idle_ms < BUSY_IDLE_MS && !snapshots[i].heard;
		looked += count;
	}
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	struct slu_cluster *cluster = context;
	bool changed = false;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < cluster->members.count; i++) {
		const struct slu_member *member = &cluster->members.list[i];

		if (member->alive && member->id != cluster->members.self)
			changed |= hear(cluster, find_peer(cluster, member->id));
	}
	changed |= slu_members_mark(&cluster->members, cluster->members.self, true, owns(cluster));
	if (changed)
		members_changed(cluster);
	if (cluster->drained)
		look_for_busy(cluster);
	tell_status(cluster);
}

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

static uint64_t hash_text(uint64_t hash, char *text)
{
	/* FNV-1a; the end of a part counts too. */
	for (const char *at = text; text; at++) {
		hash = (hash ^ (uint8_t)*at) * 0x100000001b3ull;
		if (*at == '\0')
			break;
	}
	free(text);
	return hash;
}

static uint64_t hash_of(const struct slu_config *config)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (uint32_t i = 0; i < config->group_count; i++)
		hash = hash_text(hash, slu_config_dump_group(&config->groups[i]));
	for (uint32_t i = 0; i < config->listener_count; i++)
		hash = hash_text(hash, slu_config_dump_listener(&config->listeners[i]));
	return hash;
}

static void tell_peers(struct slu_cluster *cluster)
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

/* Takes a list of members, of the document or of the registrations. Returns whether it is another one. */
static bool take_members(struct slu_cluster *cluster, const struct slu_config_member *list, uint32_t count)
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
		tell_peers(cluster);
	return true;
}

void slu_cluster_set_generation(struct slu_cluster *cluster, const struct slu_generation *generation,
	const struct slu_config *config, uint64_t documents)
{
	if (!cluster->shared)
		cluster->status.generation = generation->number;
	if (documents == cluster->documents)
		return;
	cluster->documents = documents;
	cluster->status.hash = hash_of(config);
	take_vips(cluster, generation);
	slu_usage_set_generation(cluster->usage, generation);
	if (config->cluster && config->cluster->member_count > 0)
		take_members(cluster, config->cluster->members, config->cluster->member_count);
	members_changed(cluster);
}

/* --------------------------------------------------------------------- life */

/* Returns 0 or -errno, said. */
static int read_key(struct slu_cluster *cluster)
{
	const char *path = cluster->config->key_file;
	struct stat status = {0};
	ssize_t got = -1;
	int fd;

	if (!path) {
		slu_warning("cluster: no key_file: whoever reaches the sync network can make and end sessions");
		return 0;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &status) == 0)
		got = read(fd, cluster->key, sizeof(cluster->key));
	if (got < 0) {
		int error = -errno;

		slu_error("cluster.key_file %s: %s", path, strerror(-error));
		if (fd >= 0)
			close(fd);
		return error;
	}
	close(fd);
	if (got < KEY_BYTES_MIN) {
		slu_error("cluster.key_file %s: has %zd bytes, at least %d are needed", path, got, KEY_BYTES_MIN);
		return -EINVAL;
	}
	if (status.st_mode & 077)
		slu_warning("cluster.key_file %s can be read by others than its owner", path);
	cluster->key_bytes = (uint32_t)got;
	return 0;
}

static void read_counts(void *context, bool backend, uint32_t live, uint64_t *present, uint64_t *untold)
{
	struct slu_cluster *cluster = context;
	struct slu_live_counters counters;

	if (backend)
		slu_dataplane_backend_counters(cluster->settings.dp, live, &counters);
	else
		slu_dataplane_listener_counters(cluster->settings.dp, live, &counters);
	*present = counters.active + counters.inactive;
	*untold = counters.untold;
}

static void set_elsewhere(void *context, uint32_t live, uint32_t sessions)
{
	struct slu_cluster *cluster = context;

	slu_dataplane_set_elsewhere(cluster->settings.dp, live, sessions);
}

static void set_ceiling(void *context, uint32_t live, uint32_t sessions)
{
	struct slu_cluster *cluster = context;

	slu_dataplane_set_ceiling(cluster->settings.dp, live, sessions);
}

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
	take_members(cluster, &self, 1);
}

int slu_cluster_create(const struct slu_cluster_settings *settings, struct slu_cluster **result)
{
	struct slu_cluster *cluster = slu_memory_zeroed(1, sizeof(*cluster));
	const struct slu_config_cluster *config = settings->config->cluster;
	const struct slu_routes_settings routes = {.table = config->route_table};
	const struct slu_usage_hooks usage = {cluster, read_counts, set_elsewhere, set_ceiling};
	int error;

	*result = cluster;
	cluster->settings = *settings;
	cluster->config = config;
	cluster->usage = slu_usage_create(&usage);
	error = read_key(cluster);
	if (!error) {
		error = slu_epoch_raise(settings->config->state_dir, 0, &cluster->epoch);
		if (error)
			slu_error("cluster: epoch of this start in %s: %s", settings->config->state_dir,
				strerror(-error));
	}
	if (!error)
		error = prepare_sync(cluster);
	if (!error) {
		error = slu_routes_create(&routes, &cluster->routes);
		if (error)
			slu_error("cluster: routes of table %u: %s", config->route_table, strerror(-error));
	}
	if (error)
		return error;
	if (config->etcd_count > 0)
		take_self(cluster);
	else
		take_members(cluster, config->members, config->member_count);
	publish_view(cluster);
	return 0;
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
		.extensions = config->extensions,
		.flush_ms = FLUSH_MS};
	const struct slu_sync_events events = {.context = cluster, .member = on_member, .joined = on_joined};
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
	tell_status(cluster);
	tell_peers(cluster);
	slu_sync_join(cluster->sync, 0);
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

	if (take_members(cluster, members, count))
		members_changed(cluster);
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

void slu_cluster_drain(struct slu_cluster *cluster, bool drain)
{
	if (cluster->drained == drain)
		return;
	slu_info("cluster: this node %s", drain ? "is drained: its routes are withdrawn" : "announces itself again");
	cluster->drained = drain;
	cluster->drained_us = slu_cluster_now_us();
	memset(&cluster->busy, 0, sizeof(cluster->busy));
	update_self(cluster);
	tell_status(cluster);
}
