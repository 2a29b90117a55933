/*
 * What the API shows of the data path. Everything is read on the control
 * thread; nothing here waits for a worker.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "host/agent.h"

#define WALK_BATCH 64
#define PRESENT_AGE_MS 1000
#define PRESENT_AGE_LARGE_MS 10000 /* a walk of so many sessions takes its time */
#define PRESENT_LARGE 200000

/* Packets and bytes of present sessions by live index, as of the last walk. */
struct totals {
	uint64_t packets[2], bytes[2];
};

struct slu_presence {
	struct totals *backends, *listeners;
	uint32_t backend_room, listener_room;
	uint64_t taken_ms;
	bool valid;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Ids start at 0, keys of the map at 1. */
static uint32_t live_of(const struct slu_flow_map *map, uint32_t id)
{
	return slu_flow_map_get(map, (uint64_t)id + 1);
}

void slu_providers_set_generation(struct slu_agent *agent, const struct slu_generation *generation)
{
	slu_flow_map_free(&agent->listener_live);
	slu_flow_map_free(&agent->backend_live);
	for (uint32_t i = 0; i < generation->listener_count; i++)
		slu_flow_map_put(&agent->listener_live, (uint64_t)generation->listeners[i].id + 1,
			generation->listeners[i].live);
	for (uint32_t g = 0; g < generation->group_count; g++) {
		const struct slu_group *group = generation->groups[g];

		for (uint32_t b = 0; b < group->backend_count; b++)
			slu_flow_map_put(
				&agent->backend_live, (uint64_t)group->backends[b].id + 1, group->backends[b].live);
	}
	if (agent->presence)
		agent->presence->valid = false;
}

void slu_providers_free(struct slu_agent *agent)
{
	slu_flow_map_free(&agent->listener_live);
	slu_flow_map_free(&agent->backend_live);
	if (agent->presence) {
		free(agent->presence->backends);
		free(agent->presence->listeners);
	}
	free(agent->presence);
	agent->presence = NULL;
}

/* ------------------------------------------------------------- sessions */

static void fill_session(const struct slu_session_snapshot *from, struct slu_api_session *to)
{
	memset(to, 0, sizeof(*to));
	to->listener_id = from->listener_id;
	to->backend_id = from->backend_id;
	to->vpc = from->vpc;
	to->protocol = from->protocol;
	to->mode = from->mode;
	to->client = from->client;
	to->vip = from->virtual_ip;
	if (from->mode != SLU_MODE_NAT)
		to->local = from->local;
	to->backend = from->backend;
	to->client_port = from->client_port;
	to->vip_port = from->virtual_port;
	to->local_port = from->mode != SLU_MODE_NAT ? from->local_port : 0;
	to->backend_port = from->backend_port;
	to->state = slu_session_state_name(from->protocol, from->state);
	to->node = from->owner_node;
	to->passive = from->passive;
	to->worker = from->worker;
	to->age_s = from->age_ms / 1000;
	to->idle_s = from->idle_ms / 1000;
	to->expires_s = from->expires_ms / 1000;
	to->request = (struct slu_api_direction){.card = from->owner[SLU_DIR_REQUEST] == SLU_OWNER_CARD,
		.packets = from->packets[SLU_DIR_REQUEST],
		.bytes = from->bytes[SLU_DIR_REQUEST]};
	to->reply = (struct slu_api_direction){.card = from->owner[SLU_DIR_REPLY] == SLU_OWNER_CARD,
		.packets = from->packets[SLU_DIR_REPLY],
		.bytes = from->bytes[SLU_DIR_REPLY]};
}

static bool provide_sessions(void *context, uint64_t *cursor, uint32_t budget, slu_api_session_fn *show, void *arg)
{
	struct slu_agent *agent = context;
	struct slu_session_snapshot snapshot;
	struct slu_api_session session;

	/* One at a time: the caller may stop behind any of them, and the cursor must then stand there. */
	while (budget-- > 0) {
		if (slu_dataplane_sessions(agent->dp, cursor, &snapshot, 1) == 0)
			return false;
		fill_session(&snapshot, &session);
		if (!show(arg, &session))
			return true;
	}
	return true;
}

/* -------------------------------------------------------- live counters */

static struct totals *totals_of(struct totals **array, uint32_t *room, uint32_t live)
{
	if (live >= *room) {
		uint32_t wanted = live + 1 < 64 ? 64 : (live + 1) * 2;
		struct totals *grown = realloc(*array, wanted * sizeof(*grown));

		if (!grown)
			return NULL;
		memset(grown + *room, 0, (wanted - *room) * sizeof(*grown));
		*array = grown;
		*room = wanted;
	}
	return *array + live;
}

static void add_session(struct totals *totals, const struct slu_session_snapshot *session)
{
	for (int dir = 0; totals && dir < 2; dir++) {
		totals->packets[dir] += session->packets[dir];
		totals->bytes[dir] += session->bytes[dir];
	}
}

static void walk_present(struct slu_agent *agent, struct slu_presence *presence)
{
	struct slu_session_snapshot batch[WALK_BATCH];
	uint64_t cursor = 0;
	uint32_t count;

	if (presence->backends)
		memset(presence->backends, 0, presence->backend_room * sizeof(*presence->backends));
	if (presence->listeners)
		memset(presence->listeners, 0, presence->listener_room * sizeof(*presence->listeners));
	while ((count = slu_dataplane_sessions(agent->dp, &cursor, batch, WALK_BATCH)) > 0) {
		for (uint32_t i = 0; i < count; i++) {
			uint32_t backend = live_of(&agent->backend_live, batch[i].backend_id);
			uint32_t listener = live_of(&agent->listener_live, batch[i].listener_id);

			if (backend != SLU_FLOW_MAP_NONE)
				add_session(
					totals_of(&presence->backends, &presence->backend_room, backend), &batch[i]);
			if (listener != SLU_FLOW_MAP_NONE)
				add_session(
					totals_of(&presence->listeners, &presence->listener_room, listener), &batch[i]);
		}
	}
}

static const struct slu_presence *present(struct slu_agent *agent)
{
	bool large = slu_dataplane_session_count(agent->dp) > PRESENT_LARGE;
	uint64_t now = now_ms();

	if (!agent->presence)
		agent->presence = calloc(1, sizeof(*agent->presence));
	if (!agent->presence)
		return NULL;
	if (!agent->presence->valid ||
		now - agent->presence->taken_ms > (large ? PRESENT_AGE_LARGE_MS : PRESENT_AGE_MS)) {
		walk_present(agent, agent->presence);
		agent->presence->taken_ms = now;
		agent->presence->valid = true;
	}
	return agent->presence;
}

static void fill_live(struct slu_api_live *value, const struct slu_live_counters *live, const struct totals *totals)
{
	static const struct totals none;

	totals = totals ? totals : &none;
	value->sessions = live->active + live->inactive;
	value->sessions_total = live->connections;
	value->request_packets = live->ended_packets[SLU_DIR_REQUEST] + totals->packets[SLU_DIR_REQUEST];
	value->request_bytes = live->ended_bytes[SLU_DIR_REQUEST] + totals->bytes[SLU_DIR_REQUEST];
	value->reply_packets = live->ended_packets[SLU_DIR_REPLY] + totals->packets[SLU_DIR_REPLY];
	value->reply_bytes = live->ended_bytes[SLU_DIR_REPLY] + totals->bytes[SLU_DIR_REPLY];
}

static void provide_backend(void *context, uint32_t live, struct slu_api_live *value)
{
	struct slu_agent *agent = context;
	const struct slu_presence *presence = present(agent);
	struct slu_live_counters counters;

	slu_dataplane_backend_counters(agent->dp, live, &counters);
	fill_live(value, &counters, presence && live < presence->backend_room ? &presence->backends[live] : NULL);
}

static void provide_listener(void *context, uint32_t live, struct slu_api_live *value)
{
	struct slu_agent *agent = context;
	const struct slu_presence *presence = present(agent);
	struct slu_live_counters counters;

	slu_dataplane_listener_counters(agent->dp, live, &counters);
	fill_live(value, &counters, presence && live < presence->listener_room ? &presence->listeners[live] : NULL);
}

/* ---------------------------------------------------------------- ports */

static void show_port_counters(struct slu_api_out *out, const struct slu_port *port)
{
	const struct slu_port_counters *c = &port->counters;

	slu_api_out_number(out, "tx_dropped", atomic_load(&c->tx_dropped));
	slu_api_out_number(out, "tx_gone", atomic_load(&c->tx_gone));
	slu_api_out_number(out, "other_mac", atomic_load(&c->other_mac));
	slu_api_out_number(out, "to_kernel", atomic_load(&c->to_kernel));
	slu_api_out_number(out, "to_kernel_dropped", atomic_load(&c->to_kernel_dropped));
	slu_api_out_number(out, "from_kernel", atomic_load(&c->from_kernel));
	slu_api_out_number(out, "from_kernel_dropped", atomic_load(&c->from_kernel_dropped));
}

static void show_xstats(struct slu_api_out *out, const struct slu_port *port)
{
	int count = rte_eth_xstats_get_names(port->id, NULL, 0);
	struct rte_eth_xstat_name *names;
	struct rte_eth_xstat *values;

	slu_api_out_open_object(out, "xstats");
	names = calloc(count > 0 ? (size_t)count : 1, sizeof(*names));
	values = calloc(count > 0 ? (size_t)count : 1, sizeof(*values));
	if (count > 0 && names && values && rte_eth_xstats_get_names(port->id, names, (unsigned int)count) == count &&
		rte_eth_xstats_get(port->id, values, (unsigned int)count) == count) {
		for (int i = 0; i < count; i++) {
			if (values[i].id < (uint64_t)count)
				slu_api_out_number(out, names[values[i].id].name, values[i].value);
		}
	}
	free(names);
	free(values);
	slu_api_out_close(out);
}

static void show_stats(struct slu_api_out *out, const struct slu_port *port)
{
	struct rte_eth_stats stats = {0};

	rte_eth_stats_get(port->id, &stats);
	slu_api_out_open_object(out, "counters");
	slu_api_out_number(out, "rx_packets", stats.ipackets);
	slu_api_out_number(out, "rx_bytes", stats.ibytes);
	slu_api_out_number(out, "rx_missed", stats.imissed);
	slu_api_out_number(out, "rx_errors", stats.ierrors);
	slu_api_out_number(out, "rx_no_buffer", stats.rx_nombuf);
	slu_api_out_number(out, "tx_packets", stats.opackets);
	slu_api_out_number(out, "tx_bytes", stats.obytes);
	slu_api_out_number(out, "tx_errors", stats.oerrors);
	show_port_counters(out, port);
	slu_api_out_close(out);
	show_xstats(out, port);
}

static void show_port(struct slu_api_out *out, const struct slu_port *port)
{
	struct rte_eth_dev_info info = {0};
	struct rte_eth_link link = {0};
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", port->mac[0], port->mac[1], port->mac[2],
		port->mac[3], port->mac[4], port->mac[5]);
	rte_eth_dev_info_get(port->id, &info);
	rte_eth_link_get_nowait(port->id, &link);
	slu_api_out_open_object(out, NULL);
	slu_api_out_text(out, "name", port->config->name);
	slu_api_out_text(out, "device", port->config->device);
	slu_api_out_text(out, "driver", info.driver_name);
	slu_api_out_number(out, "ethdev", port->id);
	slu_api_out_text(out, "link", atomic_load(&port->gone) ? "gone" : link.link_status ? "up" : "down");
	slu_api_out_text(out, "mac", mac);
	slu_api_out_number(out, "mtu", port->mtu);
	slu_api_out_text(out, "tap", port->tap.name);
	slu_api_out_number(out, "queues", port->rx_queues);
	slu_api_out_bool(out, "interrupts", port->interrupts);
	show_stats(out, port);
	slu_api_out_close(out);
}

static void provide_ports(void *context, struct slu_api_out *list)
{
	struct slu_agent *agent = context;

	for (uint32_t i = 0; i < agent->config->port_count; i++)
		show_port(list, &agent->ports[i]);
}

/* ----------------------------------------------------------------- card */

static void show_engine(struct slu_api_out *out, const struct slu_agent *agent)
{
	struct slu_engine_counters c;

	slu_engine_read_counters(agent->engine, &c);
	slu_api_out_number(out, "rules", c.flows);
	slu_api_out_number(out, "next_hops", c.hops);
	slu_api_out_number(out, "installed", c.installed);
	slu_api_out_number(out, "adopted", c.adopted);
	slu_api_out_number(out, "removed", c.removed);
	slu_api_out_number(out, "refused_full", c.refused_full);
	slu_api_out_number(out, "refused_clash", c.refused_clash);
	slu_api_out_number(out, "refused_rule", c.refused_rule);
	slu_api_out_number(out, "refused_neighbour", c.refused_neighbour);
	slu_api_out_number(out, "refused_port", c.refused_port);
	slu_api_out_number(out, "refused_memory", c.refused_memory);
	slu_api_out_number(out, "session_gone", c.session_gone);
	slu_api_out_number(out, "next_hops_rewritten", c.rewritten);
	slu_api_out_number(out, "moved", c.moved);
	slu_api_out_number(out, "lost", c.lost);
	slu_api_out_number(out, "queries", c.queries);
	slu_api_out_number(out, "query_errors", c.query_errors);
	slu_api_out_number(out, "destroy_errors", c.destroy_errors);
}

static void provide_card(void *context, struct slu_api_out *object)
{
	struct slu_agent *agent = context;
	const char *name = NULL;
	bool usable = false;

	slu_api_out_open_list(object, "ports");
	for (uint32_t i = 0; i < agent->config->port_count; i++) {
		const struct slu_flow_port *port = slu_engine_port(agent->engine, i);

		slu_api_out_open_object(object, NULL);
		slu_api_out_text(object, "name", agent->config->ports[i].name);
		slu_api_out_bool(object, "offload", port->usable);
		slu_api_out_text(object, "reason", port->usable ? NULL : port->reason);
		if (port->usable) {
			name = agent->config->ports[i].device;
			usable = true;
			slu_api_out_text(
				object, "spelling", port->dialect.spelling == SLU_FLOW_MODERN ? "modify_field" : "set");
			slu_api_out_bool(object, "transfer", port->dialect.transfer);
			slu_api_out_bool(object, "exact_counters", port->indirect_count);
			slu_api_out_bool(object, "shared_next_hops", port->indirect_mac);
		}
		slu_api_out_close(object);
	}
	slu_api_out_close(object);
	slu_api_out_text(object, "device", name);
	slu_api_out_bool(object, "offload", usable);
	show_engine(object, agent);
}

/* ---------------------------------------------------------------- stats */

static void show_loop(struct slu_api_out *out, const struct slu_loop *loop)
{
	const struct slu_loop_counters *c = &loop->counters;

	slu_api_out_open_object(out, NULL);
	slu_api_out_number(out, "worker", loop->index);
	slu_api_out_number(out, "packets", atomic_load(&c->packets));
	slu_api_out_number(out, "turns", atomic_load(&c->turns));
	slu_api_out_number(out, "empty_turns", atomic_load(&c->empty_turns));
	slu_api_out_number(out, "sleeps", atomic_load(&c->sleeps));
	slu_api_out_number(out, "slept_us", atomic_load(&c->slept_us));
	slu_api_out_number(out, "woken", atomic_load(&c->interrupts));
	slu_api_out_number(out, "cpu_us", slu_loop_cpu_ns(loop) / 1000);
	slu_api_out_bool(out, "interrupts", loop->interrupts);
	slu_api_out_close(out);
}

static void show_kernel(struct slu_api_out *out, const struct slu_agent *agent)
{
	struct slu_kernel_counters c;

	slu_kernel_read_counters(agent->kernel, &c);
	slu_api_out_open_object(out, "kernel");
	slu_api_out_number(out, "views", c.views);
	slu_api_out_number(out, "redumps", c.redumps);
	slu_api_out_number(out, "asked", c.asked);
	slu_api_out_number(out, "refreshed", c.refreshed);
	slu_api_out_number(out, "malformed", c.malformed);
	slu_api_out_number(out, "address_errors", c.address_errors);
	slu_api_out_number(out, "routes", c.routes);
	slu_api_out_number(out, "neighbours", c.neighbours);
	slu_api_out_close(out);
}

static void show_counters(struct slu_api_out *out, const struct slu_agent *agent)
{
	uint64_t counters[SLU_COUNT_MAX];

	slu_dataplane_counters(agent->dp, counters);
	for (int drops = 0; drops < 2; drops++) {
		slu_api_out_open_object(out, drops ? "drops" : "packets");
		for (int i = 0; i < SLU_COUNT_MAX; i++) {
			if (slu_counter_info[i].is_drop == (drops == 1))
				slu_api_out_number(out, slu_counter_info[i].name, counters[i]);
		}
		slu_api_out_close(out);
	}
}

static void provide_stats(void *context, struct slu_api_out *object)
{
	struct slu_agent *agent = context;
	struct timespec used;

	show_counters(object, agent);
	slu_api_out_open_object(object, "sessions");
	slu_api_out_number(object, "present", slu_dataplane_session_count(agent->dp));
	slu_api_out_number(object, "capacity", slu_dataplane_session_capacity(agent->dp));
	slu_api_out_number(object, "memory_bytes", slu_dataplane_memory_bytes(agent->dp));
	slu_api_out_close(object);
	slu_api_out_open_list(object, "workers");
	for (uint32_t w = 0; w < agent->config->workers; w++)
		show_loop(object, &agent->loops[w]);
	slu_api_out_close(object);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	slu_api_out_open_object(object, "control");
	slu_api_out_number(object, "cpu_us", (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000);
	slu_api_out_number(object, "buffers_free", rte_mempool_avail_count(agent->pool));
	slu_api_out_close(object);
	show_kernel(object, agent);
	slu_api_out_open_object(object, "offload");
	show_engine(object, agent);
	slu_api_out_close(object);
}

/* -------------------------------------------------------------- cluster */

static void provide_node(void *context, struct slu_api_out *object)
{
	struct slu_agent *agent = context;

	slu_api_out_number(object, "sessions", slu_dataplane_session_count(agent->dp));
	slu_api_out_bool(object, "cluster", agent->cluster != NULL);
	if (agent->cluster)
		slu_cluster_show_node(agent->cluster, object);
}

static bool provide_cluster(void *context, struct slu_api_out *object)
{
	struct slu_agent *agent = context;

	if (agent->cluster)
		slu_cluster_show(agent->cluster, object);
	return agent->cluster != NULL;
}

static int write_shared(void *context, const struct slu_config *config, slu_api_written_fn *done, void *arg)
{
	struct slu_agent *agent = context;

	return agent->cluster ? slu_cluster_write(agent->cluster, config, done, arg) : -ENOTSUP;
}

static bool provide_drain(void *context, bool drain)
{
	struct slu_agent *agent = context;

	if (agent->cluster)
		slu_cluster_drain(agent->cluster, drain);
	return agent->cluster != NULL;
}

void slu_providers_fill(struct slu_agent *agent, struct slu_api_providers *providers)
{
	*providers = (struct slu_api_providers){.ctx = agent,
		.sessions = provide_sessions,
		.backend_live = provide_backend,
		.listener_live = provide_listener,
		.card = provide_card,
		.ports = provide_ports,
		.stats = provide_stats,
		.node = provide_node,
		.cluster = provide_cluster,
		.write_shared = write_shared,
		.drain = provide_drain};
}
