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
#include "host/clock.h"
#include "host/session_view.h"
#include "host/version.h"

#define METERED_AGE_MS 20 /* one request asks for many listeners */

/* ------------------------------------------------------------- sessions */

static bool provide_sessions(void *context, uint64_t *cursor, uint32_t budget, slu_api_session_fn *show, void *arg)
{
	const struct slu_agent *agent = context;

	return slu_session_view_walk(agent->dp, cursor, budget, show, arg);
}

/* -------------------------------------------------------- live counters */

/* What was metered, not older than a moment. */
static struct slu_metering *metered(struct slu_agent *agent)
{
	uint64_t now = slu_clock_ms();

	if (now - agent->metered_ms > METERED_AGE_MS)
		slu_metering_refresh(agent->metering);
	agent->metered_ms = now;
	return agent->metering;
}

static void fill_live(
	struct slu_api_live *value, const struct slu_live_counters *live, const struct slu_meter_count dir[2])
{
	value->sessions = live->active + live->inactive;
	value->sessions_total = live->connections;
	value->request_packets = dir[SLU_DIR_REQUEST].packets;
	value->request_bytes = dir[SLU_DIR_REQUEST].bytes;
	value->reply_packets = dir[SLU_DIR_REPLY].packets;
	value->reply_bytes = dir[SLU_DIR_REPLY].bytes;
}

static void provide_backend(void *context, uint32_t id, uint32_t live, struct slu_api_live *value)
{
	struct slu_agent *agent = context;
	struct slu_live_counters counters;
	struct slu_meter_count dir[2];

	slu_metering_backend(metered(agent), id, dir);
	slu_dataplane_backend_counters(agent->dp, live, &counters);
	fill_live(value, &counters, dir);
}

static void provide_listener(void *context, uint32_t id, uint32_t live, struct slu_api_live *value)
{
	static const struct slu_meter_count none[2];
	struct slu_agent *agent = context;
	const struct slu_metering_total *total = slu_metering_find(metered(agent), id);
	struct slu_live_counters counters;

	slu_dataplane_listener_counters(agent->dp, live, &counters);
	fill_live(value, &counters, total ? total->dir : none);
}

/* ------------------------------------------------------------- metering */

static void show_count(struct slu_api_out *out, const char *name, const struct slu_meter_count *count)
{
	slu_api_out_open_object(out, name);
	slu_api_out_number(out, "packets", count->packets);
	slu_api_out_number(out, "bytes", count->bytes);
	slu_api_out_close(out);
}

static void show_total(struct slu_api_out *out, const struct slu_metering_total *total)
{
	static const char *const scopes[] = {
		[SLU_METERING_INTERNET] = "internet", [SLU_METERING_INTERNAL] = "internal"};

	slu_api_out_open_object(out, NULL);
	slu_api_out_text(out, "name", total->id ? total->name : NULL);
	slu_api_out_number(out, "id", total->id);
	slu_api_out_text(out, "kind",
		total->mode == SLU_MODE_SNAT  ? "snat"
		: total->mode == SLU_MODE_EIP ? "eip"
					      : "listener");
	slu_api_out_bool(out, "removed", total->removed);
	slu_api_out_number(out, "since_ms", total->since_ms);
	for (unsigned int scope = 0; scope < 2; scope++) {
		slu_api_out_open_object(out, scopes[scope]);
		show_count(out, "in", &total->count[SLU_METERING_IN][scope]);
		show_count(out, "out", &total->count[SLU_METERING_OUT][scope]);
		slu_api_out_close(out);
	}
	slu_api_out_close(out);
}

static void provide_metering(void *context, struct slu_api_out *list)
{
	struct slu_agent *agent = context;
	const struct slu_metering_total *totals;
	uint32_t count;

	slu_metering_refresh(agent->metering);
	totals = slu_metering_totals(agent->metering, &count);
	for (uint32_t i = 0; i < count; i++)
		show_total(list, &totals[i]);
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

	slu_api_out_text(object, "version", slu_version_text());
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

static bool provide_address_owner(void *context, const struct slu_ip *ip, uint8_t *home, uint8_t *owner)
{
	struct slu_agent *agent = context;

	if (agent->cluster)
		slu_cluster_address(agent->cluster, ip, home, owner);
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
		.metering = provide_metering,
		.card = provide_card,
		.ports = provide_ports,
		.stats = provide_stats,
		.node = provide_node,
		.cluster = provide_cluster,
		.address_owner = provide_address_owner,
		.write_shared = write_shared,
		.drain = provide_drain};
}
