#define _GNU_SOURCE
#include "host/offload/engine.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include "host/clock.h"
#include "host/control/ip.h"
#include "host/log.h"
#include "host/offload/flow_map.h"

#define TURN_REQUESTS 256
#define IN_FLIGHT_REQUESTS 256 /* no new requests are taken above it */
#define IN_FLIGHT_MAX (SLU_FLOW_QUEUE - 64)
#define PULL_BATCH 64
#define DRAIN_US 1000000
#define QUERY_CYCLE_MS 500
#define QUERIES_MAX 512
#define QUERIES_US 4000 /* a card may take its time; the control thread has other work */
#define SWEEP_FLOWS 1024
#define FRESHEN_MS 1000
#define FRESHEN_HOPS 256
#define NONE UINT32_MAX

/* A neighbour that rules send to. Rules share its indirect MAC action where the port has such. */
struct hop {
	uint32_t next; /* of the same hash; or of the free list */
	uint32_t references;
	uint64_t hash;
	uint16_t flow_port;
	uint16_t port; /* agent's index, of the neighbour */
	struct slu_ip address;
	uint8_t mac[6];
	struct rte_flow_action_handle *handle;
};

/* A rule of `refused` is one that the card did not take: it goes without a report. */
enum flow_state { FLOW_FREE, FLOW_CREATING, FLOW_ACTIVE, FLOW_DESTROYING };

struct flow {
	slu_session_ref session;
	struct slu_flow_handle handle;
	struct slu_flow_counts counts;
	uint64_t told_packets; /* of counts, what the session was told */
	uint64_t last_seen_us;
	uint32_t hop; /* or next of the free list */
	uint16_t flow_port;
	uint8_t dir;
	uint8_t state;  /* enum flow_state */
	bool take_back; /* as soon as it is there */
	bool refused;
};

struct slu_engine {
	struct slu_engine_settings settings;
	struct slu_flow_port *flow_ports; /* [port_count] */
	struct flow *flows;
	uint32_t flow_room, flow_end, flow_free;
	struct slu_flow_map flow_of[2]; /* by direction: session -> flow */
	struct hop *hops;
	uint32_t hop_room, hop_end, hop_free;
	struct slu_flow_map hop_of; /* hash -> first hop */
	uint32_t query_next, sweep_next, freshen_next;
	uint64_t freshen_at_us;
	bool sweeping;
	bool quiet_refusals; /* the log has been told once */
	struct slu_engine_counters counters;
};

static uint16_t find_port(const struct slu_engine *engine, uint16_t ethdev)
{
	for (uint32_t i = 0; i < engine->settings.port_count; i++) {
		if (engine->settings.ports[i].id == ethdev)
			return (uint16_t)i;
	}
	return UINT16_MAX;
}

static bool port_works(const struct slu_engine *engine, uint16_t port)
{
	return port != UINT16_MAX && engine->flow_ports[port].usable &&
	       !atomic_load_explicit(&engine->settings.ports[port].gone, memory_order_acquire);
}

/* ------------------------------------------------------------ next hops */

static uint64_t hash_hop(uint16_t flow_port, uint16_t port, const struct slu_ip *address)
{
	uint64_t hash = 0xcbf29ce484222325u ^ ((uint64_t)flow_port << 32 | (uint64_t)port << 8 | address->family);

	for (uint32_t i = 0; i < sizeof(address->bytes); i++)
		hash = (hash ^ address->bytes[i]) * 0x100000001b3u;
	return hash ? hash : 1;
}

static uint32_t find_hop(
	const struct slu_engine *engine, uint64_t hash, uint16_t flow_port, uint16_t port, const struct slu_ip *address)
{
	uint32_t at = slu_flow_map_get(&engine->hop_of, hash);

	for (; at != NONE; at = engine->hops[at].next) {
		const struct hop *hop = &engine->hops[at];

		if (hop->flow_port == flow_port && hop->port == port && slu_ip_compare(&hop->address, address) == 0)
			return at;
	}
	return NONE;
}

/* An unused element of a growing array with a free list; NONE when memory is out. */
static uint32_t take_hop(struct slu_engine *engine)
{
	uint32_t at = engine->hop_free;

	if (at != NONE) {
		engine->hop_free = engine->hops[at].next;
		return at;
	}
	if (engine->hop_end == engine->hop_room) {
		uint32_t room = engine->hop_room ? engine->hop_room * 2 : 256;
		struct hop *hops = realloc(engine->hops, room * sizeof(*hops));

		if (!hops)
			return NONE;
		engine->hops = hops;
		engine->hop_room = room;
	}
	return engine->hop_end++;
}

static uint32_t add_hop(struct slu_engine *engine, uint64_t hash, uint16_t flow_port, uint16_t port,
	const struct slu_ip *address, const uint8_t mac[6])
{
	uint32_t at = take_hop(engine);
	struct hop *hop;

	if (at == NONE)
		return NONE;
	hop = &engine->hops[at];
	*hop = (struct hop){.next = slu_flow_map_get(&engine->hop_of, hash),
		.hash = hash,
		.flow_port = flow_port,
		.port = port,
		.address = *address};
	memcpy(hop->mac, mac, sizeof(hop->mac));
	if (slu_flow_map_put(&engine->hop_of, hash, at) != 0) {
		hop->next = engine->hop_free;
		engine->hop_free = at;
		return NONE;
	}
	hop->handle = slu_flow_port_mac_create(&engine->flow_ports[flow_port], mac);
	engine->counters.hops++;
	return at;
}

static void unlink_hop(struct slu_engine *engine, uint32_t at)
{
	struct hop *hop = &engine->hops[at];
	uint32_t first = slu_flow_map_get(&engine->hop_of, hop->hash);

	if (first == at) {
		if (hop->next == NONE)
			slu_flow_map_remove(&engine->hop_of, hop->hash);
		else
			slu_flow_map_put(&engine->hop_of, hop->hash, hop->next);
		return;
	}
	while (engine->hops[first].next != at)
		first = engine->hops[first].next;
	engine->hops[first].next = hop->next;
}

static void drop_hop(struct slu_engine *engine, uint32_t at)
{
	struct hop *hop = &engine->hops[at];

	if (--hop->references > 0)
		return;
	slu_flow_port_mac_destroy(&engine->flow_ports[hop->flow_port], hop->handle);
	unlink_hop(engine, at);
	hop->handle = NULL;
	hop->next = engine->hop_free;
	engine->hop_free = at;
	engine->counters.hops--;
}

/*
 * The hop for a destination, referenced once more. *wire is how frames leave:
 * as the worker knew it, or newer. A neighbour that is being probed at this
 * moment is still good; if its answer brings another MAC the hop follows.
 */
static int get_hop(struct slu_engine *engine, uint16_t flow_port, const struct slu_ip *destination,
	struct slu_nexthop *wire, uint32_t *result)
{
	struct slu_ip neighbour;
	uint64_t hash;
	uint16_t port;

	if (slu_kernel_next_hop(engine->settings.kernel, destination, &port, &neighbour) != 0)
		return -EAGAIN;
	if (slu_kernel_neighbour(engine->settings.kernel, port, &neighbour, wire) != 0 &&
		wire->port != engine->settings.ports[port].id)
		return -EAGAIN;
	hash = hash_hop(flow_port, port, &neighbour);
	*result = find_hop(engine, hash, flow_port, port, &neighbour);
	if (*result == NONE)
		*result = add_hop(engine, hash, flow_port, port, &neighbour, wire->dst_mac);
	if (*result == NONE)
		return -ENOMEM;
	engine->hops[*result].references++;
	return 0;
}

/* ---------------------------------------------------------------- flows */

static uint32_t take_flow(struct slu_engine *engine)
{
	uint32_t at = engine->flow_free;

	if (at != NONE) {
		engine->flow_free = engine->flows[at].hop;
		return at;
	}
	if (engine->flow_end == engine->flow_room) {
		uint32_t room = engine->flow_room ? engine->flow_room * 2 : 1024;
		struct flow *flows = realloc(engine->flows, room * sizeof(*flows));

		if (!flows)
			return NONE;
		engine->flows = flows;
		engine->flow_room = room;
	}
	return engine->flow_end++;
}

static void free_flow(struct slu_engine *engine, uint32_t at)
{
	engine->flows[at].state = FLOW_FREE;
	engine->flows[at].hop = engine->flow_free;
	engine->flow_free = at;
}

static void count_refusal(struct slu_engine *engine, int error, const struct rte_flow_error *reason)
{
	if (error == -ENOSPC)
		engine->counters.refused_full++;
	else if (error == -EEXIST)
		engine->counters.refused_clash++;
	else if (error == -ENOMEM)
		engine->counters.refused_memory++;
	else
		engine->counters.refused_rule++;
	if (engine->quiet_refusals)
		return;
	engine->quiet_refusals = true;
	slu_warning("the card refuses a rule: %s (%s); the flow stays in software, later refusals are only counted",
		reason->message ? reason->message : "no reason given", strerror(-error));
}

static struct slu_ip destination_of(const struct slu_offload_request *request)
{
	struct slu_ip ip = {.family = request->family};

	memcpy(ip.bytes, request->new_dst, request->family == 4 ? 4 : 16);
	return ip;
}

/* A flow without a rule yet. Returns its number, NONE when memory is out. */
static uint32_t add_flow(
	struct slu_engine *engine, uint16_t flow_port, const struct slu_offload_request *request, uint32_t hop)
{
	uint32_t at = take_flow(engine);

	if (at == NONE)
		return NONE;
	engine->flows[at] = (struct flow){.session = request->session,
		.flow_port = flow_port,
		.dir = request->dir,
		.hop = hop,
		.state = FLOW_CREATING};
	if (slu_flow_map_put(&engine->flow_of[request->dir], request->session, at) != 0) {
		free_flow(engine, at);
		return NONE;
	}
	engine->counters.flows++;
	return at;
}

/* Forgets a flow whose rule is gone. */
static void drop_flow(struct slu_engine *engine, uint32_t at)
{
	struct flow *flow = &engine->flows[at];
	uint32_t hop = flow->hop;

	slu_flow_map_remove(&engine->flow_of[flow->dir], flow->session);
	free_flow(engine, at);
	drop_hop(engine, hop);
	engine->counters.flows--;
}

/* The number of a flow as an operation's user data; 0 is nobody's. */
static void *user_of(uint32_t at)
{
	return (void *)(uintptr_t)(at + 1);
}

static int create_rule(struct slu_engine *engine, uint32_t at, const struct slu_offload_request *request, bool wait)
{
	struct flow *flow = &engine->flows[at];
	struct slu_flow_port *port = &engine->flow_ports[flow->flow_port];
	struct rte_flow_action_handle *mac = engine->hops[flow->hop].handle;
	struct rte_flow_error reason = {0};
	struct slu_flow_rule rule;
	int error = slu_flow_rule_build(&rule, &port->dialect, request);

	if (!error && port->async && !wait)
		error = slu_flow_port_queue_create(port, &rule, mac, &flow->handle, user_of(at), &reason);
	else if (!error)
		error = slu_flow_port_create(port, &rule, mac, &flow->handle, &reason);
	if (error && error != -EINPROGRESS)
		count_refusal(engine, error, &reason);
	return error;
}

/* The rule is gone; these are its counters. */
static void finish_removal(struct slu_engine *engine, uint32_t at)
{
	struct flow *flow = &engine->flows[at];

	/* Packets since the last look at the counters: a session that seemed idle was not. */
	if (!flow->refused && flow->counts.packets != flow->told_packets)
		slu_offload_counters(engine->settings.dp, flow->session, (enum slu_dir)flow->dir, flow->counts.packets,
			flow->counts.bytes, slu_clock_us());
	if (!flow->refused) {
		slu_offload_removed(engine->settings.dp, flow->session, (enum slu_dir)flow->dir, flow->counts.packets,
			flow->counts.bytes);
		engine->counters.removed++;
	}
	drop_flow(engine, at);
}

static void drain(struct slu_engine *engine, struct slu_flow_port *port);

static void destroy_rule(struct slu_engine *engine, uint32_t at)
{
	struct flow *flow = &engine->flows[at];
	struct slu_flow_port *port = &engine->flow_ports[flow->flow_port];
	int error;

	flow->state = FLOW_DESTROYING;
	if (!flow->handle.async) {
		error = slu_flow_port_destroy(port, &flow->handle, &flow->counts);
	} else {
		if (port->in_flight >= IN_FLIGHT_MAX)
			drain(engine, port);
		error = slu_flow_port_queue_destroy(port, &flow->handle, user_of(at));
		if (error == -EINPROGRESS)
			return;
		slu_flow_port_finish(port, &flow->handle, &flow->counts);
	}
	engine->counters.destroy_errors += error != 0;
	finish_removal(engine, at);
}

static void take_back(struct slu_engine *engine, uint32_t at)
{
	struct flow *flow = &engine->flows[at];

	if (flow->state == FLOW_CREATING)
		flow->take_back = true;
	else if (flow->state == FLOW_ACTIVE)
		destroy_rule(engine, at);
}

/* The rule is in the card. */
static void finish_install(struct slu_engine *engine, uint32_t at)
{
	struct flow *flow = &engine->flows[at];
	bool wanted;

	flow->state = FLOW_ACTIVE;
	engine->counters.installed++;
	wanted = slu_offload_done(engine->settings.dp, flow->session, (enum slu_dir)flow->dir, true);
	engine->counters.session_gone += !wanted;
	if (!wanted || flow->take_back)
		take_back(engine, at);
}

/* The card refused what the driver had accepted. */
static void refuse_install(struct slu_engine *engine, uint32_t at)
{
	struct flow *flow = &engine->flows[at];

	engine->counters.refused_rule++;
	slu_offload_done(engine->settings.dp, flow->session, (enum slu_dir)flow->dir, false);
	flow->refused = true;
	destroy_rule(engine, at);
}

static void finish_operation(struct slu_engine *engine, const struct slu_flow_result *result)
{
	uint32_t at = (uint32_t)(uintptr_t)result->user - 1;
	struct flow *flow = &engine->flows[at];

	if (flow->state == FLOW_CREATING && result->ok) {
		finish_install(engine, at);
	} else if (flow->state == FLOW_CREATING) {
		refuse_install(engine, at);
	} else {
		engine->counters.destroy_errors += !result->ok;
		slu_flow_port_finish(&engine->flow_ports[flow->flow_port], &flow->handle, &flow->counts);
		finish_removal(engine, at);
	}
}

/* Takes what is done; returns how many. */
static uint32_t pull(struct slu_engine *engine, struct slu_flow_port *port)
{
	struct slu_flow_result results[PULL_BATCH];
	uint32_t count = slu_flow_port_pull(port, results, PULL_BATCH);

	for (uint32_t i = 0; i < count; i++)
		finish_operation(engine, &results[i]);
	return count;
}

/* Waits, for a second at most, until half of what is in flight is done. */
static void drain(struct slu_engine *engine, struct slu_flow_port *port)
{
	struct slu_flow_result results[PULL_BATCH];
	uint64_t until = slu_clock_us() + DRAIN_US;

	slu_flow_port_push(port);
	while (port->in_flight > IN_FLIGHT_MAX / 2 && slu_clock_us() < until) {
		uint32_t count = slu_flow_port_pull(port, results, 1);

		if (count)
			finish_operation(engine, &results[0]);
	}
}

/*
 * The port whose rte_flow takes the rule. After a restart the way back may not
 * be resolved yet, so that the ingress port is unknown; any port of the switch
 * takes a transfer rule.
 */
static uint16_t choose_port(const struct slu_engine *engine, const struct slu_offload_request *request)
{
	uint16_t port = find_port(engine, request->in_port);

	for (uint16_t p = 0; port == UINT16_MAX && p < engine->settings.port_count; p++) {
		if (port_works(engine, p) && engine->flow_ports[p].dialect.transfer)
			port = p;
	}
	return port;
}

/* Returns 0: there; -EINPROGRESS: on its way; any other: refused and counted. */
static int install(struct slu_engine *engine, struct slu_offload_request *request, bool wait)
{
	uint16_t flow_port = choose_port(engine, request);
	struct slu_ip destination = destination_of(request);
	uint32_t hop, at;
	int error;

	if (!port_works(engine, flow_port)) {
		engine->counters.refused_port++;
		return -ENODEV;
	}
	error = get_hop(engine, flow_port, &destination, &request->hop, &hop);
	if (error) {
		engine->counters.refused_neighbour += error == -EAGAIN;
		engine->counters.refused_memory += error == -ENOMEM;
		return error;
	}
	at = add_flow(engine, flow_port, request, hop);
	if (at == NONE) {
		drop_hop(engine, hop);
		engine->counters.refused_memory++;
		return -ENOMEM;
	}
	error = create_rule(engine, at, request, wait);
	if (error == 0)
		finish_install(engine, at);
	else if (error != -EINPROGRESS)
		drop_flow(engine, at);
	return error;
}

static void serve_install(struct slu_engine *engine, struct slu_offload_request *request, bool wait)
{
	enum slu_dir dir = (enum slu_dir)request->dir;
	int error = -ECANCELED;

	if (!slu_offload_wanted(engine->settings.dp, request->session, dir))
		engine->counters.session_gone++;
	else if (slu_flow_map_get(&engine->flow_of[dir], request->session) != SLU_FLOW_MAP_NONE)
		engine->counters.refused_rule++; /* its old rule is still on the way out */
	else
		error = install(engine, request, wait);
	if (error && error != -EINPROGRESS)
		slu_offload_done(engine->settings.dp, request->session, dir, false);
}

static void serve_remove(struct slu_engine *engine, const struct slu_offload_request *request)
{
	uint32_t at = slu_flow_map_get(&engine->flow_of[request->dir], request->session);

	if (at != SLU_FLOW_MAP_NONE)
		take_back(engine, at);
}

static uint32_t in_flight(const struct slu_engine *engine)
{
	uint32_t most = 0;

	for (uint32_t p = 0; p < engine->settings.port_count; p++) {
		if (engine->flow_ports[p].in_flight > most)
			most = engine->flow_ports[p].in_flight;
	}
	return most;
}

enum slu_engine_state slu_engine_turn(struct slu_engine *engine)
{
	struct slu_offload_request request;
	uint32_t served = 0, done = 0;

	for (uint32_t p = 0; p < engine->settings.port_count; p++)
		done += pull(engine, &engine->flow_ports[p]);
	while (served < TURN_REQUESTS && in_flight(engine) < IN_FLIGHT_REQUESTS) {
		if (!slu_offload_next(engine->settings.dp, &request))
			break;
		served++;
		if (request.dir > SLU_DIR_REPLY)
			continue;
		if (request.op == SLU_OFFLOAD_INSTALL)
			serve_install(engine, &request, false);
		else
			serve_remove(engine, &request);
	}
	for (uint32_t p = 0; p < engine->settings.port_count; p++)
		slu_flow_port_push(&engine->flow_ports[p]);
	if (served == TURN_REQUESTS || done >= PULL_BATCH)
		return SLU_ENGINE_MORE;
	return in_flight(engine) ? SLU_ENGINE_WAITS : SLU_ENGINE_IDLE;
}

/* -------------------------------------------------------------- counters */

static void query_flow(struct slu_engine *engine, struct flow *flow, uint64_t now)
{
	struct slu_flow_counts counts;

	engine->counters.queries++;
	if (slu_flow_port_query(&engine->flow_ports[flow->flow_port], &flow->handle, &counts) != 0) {
		engine->counters.query_errors++;
		return;
	}
	if (counts.packets != flow->counts.packets)
		flow->last_seen_us = now;
	else if (flow->last_seen_us != 0 && counts.bytes == flow->counts.bytes)
		return;
	flow->counts = counts;
	flow->told_packets = counts.packets;
	slu_offload_counters(engine->settings.dp, flow->session, (enum slu_dir)flow->dir, counts.packets, counts.bytes,
		flow->last_seen_us);
}

static void query_some(struct slu_engine *engine, uint64_t now)
{
	uint32_t budget = engine->counters.flows / (QUERY_CYCLE_MS / SLU_ENGINE_POLL_MS) + 1;
	uint32_t looked = 0;

	if (budget > QUERIES_MAX)
		budget = QUERIES_MAX;
	for (; budget > 0 && looked < engine->flow_end && looked < SWEEP_FLOWS; looked++) {
		struct flow *flow;

		if (engine->query_next >= engine->flow_end)
			engine->query_next = 0;
		flow = &engine->flows[engine->query_next++];
		if (flow->state != FLOW_ACTIVE)
			continue;
		query_flow(engine, flow, now);
		budget--;
		if (slu_clock_us() - now > QUERIES_US)
			return;
	}
}

/* -------------------------------------------------- changes of next hops */

/* True when the flow's packets should go somewhere else than its hop says. */
static bool misrouted(struct slu_engine *engine, const struct flow *flow)
{
	const struct hop *hop = &engine->hops[flow->hop];
	struct slu_session_snapshot snapshot;
	struct slu_ip neighbour;
	struct slu_nexthop wire;
	uint16_t port;

	if (!slu_dataplane_session(engine->settings.dp, flow->session, &snapshot))
		return false; /* ended: its removal is on the way */
	if (slu_kernel_next_hop(engine->settings.kernel,
		    flow->dir == SLU_DIR_REQUEST ? &snapshot.backend : &snapshot.client, &port, &neighbour) != 0)
		return true;
	if (port != hop->port || slu_ip_compare(&neighbour, &hop->address) != 0)
		return true;
	/* Without a shared MAC action, a new MAC takes a new rule. */
	return !hop->handle && slu_kernel_neighbour(engine->settings.kernel, port, &neighbour, &wire) == 0 &&
	       memcmp(wire.dst_mac, hop->mac, sizeof(hop->mac)) != 0;
}

static void sweep_some(struct slu_engine *engine)
{
	for (uint32_t looked = 0; looked < SWEEP_FLOWS; looked++) {
		uint32_t at = engine->sweep_next++;

		if (at >= engine->flow_end) {
			engine->sweeping = false;
			return;
		}
		if (engine->flows[at].state == FLOW_ACTIVE && misrouted(engine, &engine->flows[at])) {
			engine->counters.moved++;
			take_back(engine, at);
		}
	}
}

static void rewrite_hop(struct slu_engine *engine, struct hop *hop)
{
	struct slu_nexthop wire;

	if (slu_kernel_neighbour(engine->settings.kernel, hop->port, &hop->address, &wire) != 0 ||
		memcmp(wire.dst_mac, hop->mac, sizeof(hop->mac)) == 0)
		return;
	if (!hop->handle)
		return; /* the sweep takes its rules back */
	if (slu_flow_port_mac_update(&engine->flow_ports[hop->flow_port], hop->handle, wire.dst_mac) == 0) {
		memcpy(hop->mac, wire.dst_mac, sizeof(hop->mac));
		engine->counters.rewritten++;
	}
}

void slu_engine_hops_changed(struct slu_engine *engine)
{
	for (uint32_t i = 0; i < engine->hop_end; i++) {
		if (engine->hops[i].references > 0)
			rewrite_hop(engine, &engine->hops[i]);
	}
	engine->sweeping = true;
	engine->sweep_next = 0;
}

/* The card talks to these neighbours without the kernel seeing it. */
static void freshen_some(struct slu_engine *engine, uint64_t now)
{
	if (engine->freshen_next == 0 && now < engine->freshen_at_us)
		return;
	if (engine->freshen_next == 0)
		engine->freshen_at_us = now + FRESHEN_MS * 1000;
	for (uint32_t looked = 0; looked < FRESHEN_HOPS; looked++) {
		const struct hop *hop = &engine->hops[engine->freshen_next];

		if (engine->freshen_next >= engine->hop_end) {
			engine->freshen_next = 0;
			return;
		}
		if (hop->references > 0)
			slu_kernel_freshen(engine->settings.kernel, hop->port, &hop->address);
		engine->freshen_next++;
	}
}

/* A dead card is asked nothing more: the last known counters are the final ones, and the session goes on in software.
 */
static void bury_flow(struct slu_engine *engine, uint32_t at)
{
	struct flow *flow = &engine->flows[at];

	engine->counters.lost++;
	if (flow->state == FLOW_CREATING) {
		slu_offload_done(engine->settings.dp, flow->session, (enum slu_dir)flow->dir, false);
		flow->refused = true;
	}
	finish_removal(engine, at);
}

static void bury_port(struct slu_engine *engine, uint16_t port)
{
	bool any = false;

	engine->flow_ports[port].usable = false;
	engine->flow_ports[port].async = false;
	engine->flow_ports[port].in_flight = 0;
	for (uint32_t at = 0; at < engine->flow_end; at++) {
		if (engine->flows[at].state != FLOW_FREE && engine->flows[at].flow_port == port)
			bury_flow(engine, at);
	}
	for (uint32_t p = 0; p < engine->settings.port_count; p++)
		any |= engine->flow_ports[p].usable;
	slu_offload_enable(engine->settings.dp, any);
}

void slu_engine_poll(struct slu_engine *engine)
{
	uint64_t now = slu_clock_us();

	for (uint32_t p = 0; p < engine->settings.port_count; p++) {
		if (engine->flow_ports[p].usable && !port_works(engine, (uint16_t)p))
			bury_port(engine, (uint16_t)p);
	}
	if (engine->sweeping)
		sweep_some(engine);
	query_some(engine, now);
	if (engine->hop_end > 0)
		freshen_some(engine, now);
}

/* ------------------------------------------------------------------ life */

static void log_port(const struct slu_engine *engine, uint32_t index)
{
	const struct slu_flow_port *port = &engine->flow_ports[index];
	const char *name = engine->settings.ports[index].config->name;

	if (!port->usable) {
		slu_info("port %s: no offload: %s", name, port->reason);
		return;
	}
	slu_info("port %s: offload by %s %s rules, %s counters, %s next hops", name,
		port->dialect.transfer ? "transfer" : "ingress",
		port->dialect.spelling == SLU_FLOW_MODERN ? "modify_field" : "set_*",
		port->indirect_count ? "exact" : "last-query", port->indirect_mac ? "shared" : "inline");
}

int slu_engine_create(const struct slu_engine_settings *settings, struct slu_engine **result)
{
	struct slu_engine *engine = calloc(1, sizeof(*engine));
	bool any = false;

	*result = NULL;
	if (!engine)
		return -ENOMEM;
	engine->settings = *settings;
	engine->flow_free = engine->hop_free = NONE;
	engine->flow_ports = calloc(settings->port_count, sizeof(*engine->flow_ports));
	if (!engine->flow_ports) {
		free(engine);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < settings->port_count; i++) {
		slu_flow_port_open(&engine->flow_ports[i], settings->ports[i].id);
		log_port(engine, i);
		any |= engine->flow_ports[i].usable;
	}
	slu_offload_enable(settings->dp, any);
	*result = engine;
	return 0;
}

void slu_engine_take_back_all(struct slu_engine *engine)
{
	for (uint32_t i = 0; i < engine->flow_end; i++) {
		if (engine->flows[i].state != FLOW_FREE)
			take_back(engine, i);
	}
}

void slu_engine_destroy(struct slu_engine *engine)
{
	if (!engine)
		return;
	slu_flow_map_free(&engine->flow_of[SLU_DIR_REQUEST]);
	slu_flow_map_free(&engine->flow_of[SLU_DIR_REPLY]);
	slu_flow_map_free(&engine->hop_of);
	free(engine->flows);
	free(engine->hops);
	free(engine->flow_ports);
	free(engine);
}

/* Looked up by name, so that the agent runs without our driver. */
static void end_adoption(struct slu_engine *engine)
{
	int (*adopt_end)(uint16_t port);
	*(void **)&adopt_end = dlsym(RTLD_DEFAULT, "rte_pmd_sluice_adopt_end");

	for (uint32_t i = 0; i < engine->settings.port_count; i++) {
		const struct slu_port *port = &engine->settings.ports[i];
		int result;

		if (!slu_port_is_sluice(port))
			continue;
		result = adopt_end ? adopt_end(port->id) : -ENOSYS;
		if (result < 0)
			slu_error("port %s: rules that no session claims stay in the card: %s", port->config->name,
				strerror(-result));
		else if (result > 0)
			slu_info("port %s: %d rules removed that no session claims", port->config->name, result);
	}
}

int slu_engine_recover(struct slu_dataplane *dp, struct slu_engine_recovered *recovered)
{
	struct slu_offload_request request, *more;
	uint32_t room = 0;
	uint64_t cursor = 0;

	*recovered = (struct slu_engine_recovered){0};
	while (slu_offload_next_recovered(dp, &cursor, &request)) {
		if (recovered->count == room) {
			room = room ? room + room / 2 : 1024;
			more = realloc(recovered->list, room * sizeof(*more));
			if (!more) {
				free(recovered->list);
				*recovered = (struct slu_engine_recovered){0};
				return -ENOMEM;
			}
			recovered->list = more;
		}
		recovered->list[recovered->count++] = request;
	}
	return 0;
}

uint32_t slu_engine_adopt(struct slu_engine *engine, struct slu_engine_recovered *recovered)
{
	uint64_t before = engine->counters.installed;

	for (uint32_t i = 0; i < recovered->count; i++)
		serve_install(engine, &recovered->list[i], true);
	engine->counters.adopted += engine->counters.installed - before;
	engine->counters.installed = before;
	free(recovered->list);
	*recovered = (struct slu_engine_recovered){0};
	end_adoption(engine);
	return (uint32_t)engine->counters.adopted;
}

void slu_engine_read_counters(const struct slu_engine *engine, struct slu_engine_counters *counters)
{
	*counters = engine->counters;
}

const struct slu_flow_port *slu_engine_port(const struct slu_engine *engine, uint32_t port)
{
	return &engine->flow_ports[port];
}
