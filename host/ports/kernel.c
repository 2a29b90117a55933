#define _GNU_SOURCE
#include "host/ports/kernel.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/control/ip.h"
#include "host/log.h"
#include "host/ports/addresses.h"
#include "host/ports/neighbours.h"

#define SETTLE_MS 10 /* changes within it make one view */
#define REFRESH_MS 1000
#define REFRESH_BATCH 1024 /* neighbours looked at in one turn */
#define ASK_BATCH 256

struct slu_kernel {
	struct slu_kernel_settings settings;
	struct slu_netlink netlink;
	struct slu_mirror mirror;
	struct slu_neigh_view *view;
	struct event *readable, *settle, *refresh;
	bool settle_pending;
	char *neighbour_file;
	const struct slu_generation *generation;
	uint32_t next_group, next_backend; /* where the refresh of backends goes on */
	struct slu_kernel_counters counters;
};

static void take_dumped(void *context, const struct nlmsghdr *message)
{
	slu_mirror_message(&((struct slu_kernel *)context)->mirror, message, true);
}

static void take_event(void *context, const struct nlmsghdr *message)
{
	slu_mirror_message(&((struct slu_kernel *)context)->mirror, message, false);
}

static void restart_routes(void *context)
{
	slu_mirror_clear_routes(&((struct slu_kernel *)context)->mirror);
}

static void restart_neighbours(void *context)
{
	slu_mirror_clear_neighbours(&((struct slu_kernel *)context)->mirror);
}

static int dump_routes(struct slu_kernel *kernel)
{
	int error = 0;

	slu_mirror_clear_routes(&kernel->mirror);
	error = slu_netlink_dump(&kernel->netlink, RTM_GETROUTE, AF_UNSPEC, take_dumped, restart_routes, kernel);
	slu_mirror_settle(&kernel->mirror);
	return error;
}

static int dump_all(struct slu_kernel *kernel)
{
	int error = slu_netlink_dump(&kernel->netlink, RTM_GETLINK, AF_UNSPEC, take_dumped, NULL, kernel);

	slu_mirror_clear_neighbours(&kernel->mirror);
	if (!error)
		error = slu_netlink_dump(
			&kernel->netlink, RTM_GETNEIGH, AF_UNSPEC, take_dumped, restart_neighbours, kernel);
	if (!error)
		error = dump_routes(kernel);
	return error;
}

static bool same_prefix(const struct slu_mirror_route *a, const struct slu_mirror_route *b)
{
	return a->prefix_bits == b->prefix_bits && slu_ip_compare(&a->prefix, &b->prefix) == 0;
}

static bool link_up(const struct slu_kernel *kernel, uint16_t port)
{
	return port != SLU_MIRROR_NO_PORT && kernel->mirror.links[port].up &&
	       !atomic_load_explicit(&kernel->settings.ports[port].gone, memory_order_acquire);
}

/* Of the next hops of equal metric at routes[at..] the first that answers, else the first at all, else NULL. */
static const struct slu_mirror_route *choose(const struct slu_kernel *kernel, const struct slu_mirror_route *route)
{
	const struct slu_mirror_route *end = kernel->mirror.routes + kernel->mirror.route_count;
	const struct slu_mirror_route *fallback = NULL;

	for (const struct slu_mirror_route *at = route; at < end && same_prefix(at, route); at++) {
		const struct slu_mirror_neighbour *neighbour;

		if (!link_up(kernel, at->port) || (fallback && at->metric != fallback->metric))
			continue;
		if (at->gateway.family == 0)
			return at;
		neighbour = slu_mirror_find_neighbour(&kernel->mirror, at->port, &at->gateway);
		if (neighbour && slu_mirror_neighbour_usable(neighbour))
			return at;
		if (!fallback)
			fallback = at;
	}
	return fallback;
}

static void fill_routes(const struct slu_kernel *kernel, struct slu_neigh_view *view)
{
	const struct slu_mirror_route *routes = kernel->mirror.routes, *chosen;

	for (uint32_t i = 0; i < kernel->mirror.route_count; i++) {
		if (i > 0 && same_prefix(&routes[i], &routes[i - 1]))
			continue;
		chosen = choose(kernel, &routes[i]);
		if (!chosen)
			continue;
		slu_neigh_view_add_route(view, &chosen->prefix, chosen->prefix_bits,
			kernel->settings.ports[chosen->port].id, chosen->gateway.family ? &chosen->gateway : NULL);
	}
}

static void fill_hop(
	const struct slu_kernel *kernel, const struct slu_mirror_neighbour *neighbour, struct slu_nexthop *hop)
{
	const struct slu_port *port = &kernel->settings.ports[neighbour->port];

	memset(hop, 0, sizeof(*hop));
	hop->port = port->id;
	hop->mtu = port->mtu;
	memcpy(hop->dst_mac, neighbour->mac, sizeof(hop->dst_mac));
	memcpy(hop->src_mac, port->mac, sizeof(hop->src_mac));
}

static void release_view(void *context, void *view)
{
	(void)context;
	slu_neigh_view_free(view);
}

static int publish(struct slu_kernel *kernel)
{
	struct slu_neigh_view *view = slu_neigh_view_create(), *previous;

	if (!view)
		return -ENOMEM;
	fill_routes(kernel, view);
	for (uint32_t i = 0; i < kernel->mirror.neighbour_count; i++) {
		const struct slu_mirror_neighbour *neighbour = &kernel->mirror.neighbours[i];
		struct slu_nexthop hop;

		if (!slu_mirror_neighbour_usable(neighbour) || !link_up(kernel, neighbour->port))
			continue;
		fill_hop(kernel, neighbour, &hop);
		slu_neigh_view_add_neighbour(view, &neighbour->address, &hop);
	}
	previous = slu_dataplane_publish_neigh(kernel->settings.dp, view);
	slu_retire_add(kernel->settings.retirement, previous, release_view, NULL);
	kernel->view = view;
	kernel->mirror.changed = false;
	kernel->counters.views++;
	return 0;
}

static void save_neighbours(struct slu_kernel *kernel)
{
	int error = slu_neighbours_save(kernel->neighbour_file, &kernel->mirror, kernel->settings.ports);

	if (error)
		slu_warning("%s: %s", kernel->neighbour_file, strerror(-error));
}

static void on_settle(evutil_socket_t fd, short what, void *context)
{
	struct slu_kernel *kernel = context;

	(void)fd;
	(void)what;
	kernel->settle_pending = false;
	if (kernel->mirror.routes_stale && dump_routes(kernel) != 0)
		kernel->mirror.routes_stale = true; /* the refresh timer tries again */
	if (!kernel->mirror.changed || publish(kernel) != 0)
		return;
	save_neighbours(kernel);
	if (kernel->settings.changed)
		kernel->settings.changed(kernel->settings.context);
}

static void settle_soon(struct slu_kernel *kernel)
{
	const struct timeval delay = {.tv_usec = SETTLE_MS * 1000};

	if (kernel->settle_pending || (!kernel->mirror.changed && !kernel->mirror.routes_stale))
		return;
	kernel->settle_pending = true;
	event_add(kernel->settle, &delay);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct slu_kernel *kernel = context;
	int result = slu_netlink_read_events(&kernel->netlink, take_event, kernel);

	(void)fd;
	(void)what;
	if (result == -ENOBUFS) {
		kernel->counters.redumps++;
		if (dump_all(kernel) != 0)
			kernel->mirror.routes_stale = true;
	}
	settle_soon(kernel);
}

static void use(struct slu_kernel *kernel, uint16_t port, const struct slu_ip *address, uint64_t *counter)
{
	if (slu_neighbours_use(&kernel->netlink, kernel->settings.ports[port].tap.ifindex, address) == 0)
		(*counter)++;
}

void slu_kernel_freshen(struct slu_kernel *kernel, uint16_t port, const struct slu_ip *address)
{
	const struct slu_mirror_neighbour *neighbour = slu_mirror_find_neighbour(&kernel->mirror, port, address);

	if (!link_up(kernel, port))
		return;
	if (!neighbour || !(neighbour->state & (NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP | NUD_DELAY | NUD_PROBE)))
		use(kernel, port, address, &kernel->counters.refreshed);
}

int slu_kernel_next_hop(
	const struct slu_kernel *kernel, const struct slu_ip *destination, uint16_t *port, struct slu_ip *neighbour)
{
	const struct slu_mirror_route *route = slu_mirror_find_route(&kernel->mirror, destination);

	if (route)
		route = choose(kernel, route);
	if (!route)
		return -EHOSTUNREACH;
	*port = route->port;
	*neighbour = route->gateway.family ? route->gateway : *destination;
	return 0;
}

int slu_kernel_neighbour(
	const struct slu_kernel *kernel, uint16_t port, const struct slu_ip *address, struct slu_nexthop *hop)
{
	const struct slu_mirror_neighbour *neighbour = slu_mirror_find_neighbour(&kernel->mirror, port, address);

	if (!neighbour || !slu_mirror_neighbour_usable(neighbour) || !link_up(kernel, port))
		return -EAGAIN;
	fill_hop(kernel, neighbour, hop);
	return 0;
}

static void freshen_gateways(struct slu_kernel *kernel)
{
	for (uint32_t i = 0; i < kernel->mirror.route_count && i < REFRESH_BATCH; i++) {
		const struct slu_mirror_route *route = &kernel->mirror.routes[i];

		if (route->gateway.family && route->port != SLU_MIRROR_NO_PORT)
			slu_kernel_freshen(kernel, route->port, &route->gateway);
	}
}

/* A backend's neighbour is resolved before its first session needs it. */
static void freshen_backends(struct slu_kernel *kernel)
{
	const struct slu_generation *generation = kernel->generation;

	for (uint32_t looked = 0; generation && looked < REFRESH_BATCH; looked++) {
		const struct slu_group *group;
		struct slu_ip neighbour;
		uint16_t port;

		if (kernel->next_group >= generation->group_count) {
			kernel->next_group = 0;
			kernel->next_backend = 0;
			return;
		}
		group = generation->groups[kernel->next_group];
		if (kernel->next_backend >= group->backend_count) {
			kernel->next_group++;
			kernel->next_backend = 0;
			continue;
		}
		if (slu_kernel_next_hop(kernel, &group->backends[kernel->next_backend++].address, &port, &neighbour) ==
			0)
			slu_kernel_freshen(kernel, port, &neighbour);
	}
}

static void on_refresh(evutil_socket_t fd, short what, void *context)
{
	struct slu_kernel *kernel = context;

	(void)fd;
	(void)what;
	freshen_gateways(kernel);
	freshen_backends(kernel);
	settle_soon(kernel);
}

static uint16_t agent_port(const struct slu_kernel *kernel, uint16_t ethdev)
{
	for (uint32_t i = 0; i < kernel->settings.port_count; i++) {
		if (kernel->settings.ports[i].id == ethdev)
			return (uint16_t)i;
	}
	return SLU_MIRROR_NO_PORT;
}

void slu_kernel_poll(struct slu_kernel *kernel)
{
	struct slu_ip address;
	uint16_t ethdev;

	for (uint32_t asked = 0; asked < ASK_BATCH; asked++) {
		uint16_t port;

		if (!slu_dataplane_next_unresolved(kernel->settings.dp, &ethdev, &address))
			return;
		port = agent_port(kernel, ethdev);
		if (port != SLU_MIRROR_NO_PORT)
			use(kernel, port, &address, &kernel->counters.asked);
	}
}

int slu_kernel_resync(struct slu_kernel *kernel)
{
	int error = dump_all(kernel);

	return error ? error : publish(kernel);
}

static int add_events(struct slu_kernel *kernel)
{
	const struct timeval period = {.tv_sec = REFRESH_MS / 1000, .tv_usec = REFRESH_MS % 1000 * 1000};

	kernel->readable = event_new(kernel->settings.base, slu_netlink_event_fd(&kernel->netlink),
		EV_READ | EV_PERSIST, on_readable, kernel);
	kernel->settle = event_new(kernel->settings.base, -1, 0, on_settle, kernel);
	kernel->refresh = event_new(kernel->settings.base, -1, EV_PERSIST, on_refresh, kernel);
	if (!kernel->readable || !kernel->settle || !kernel->refresh)
		return -ENOMEM;
	event_add(kernel->readable, NULL);
	event_add(kernel->refresh, &period);
	return 0;
}

static int start(struct slu_kernel *kernel)
{
	int error = slu_mirror_init(&kernel->mirror, kernel->settings.port_count);
	int restored;

	if (error)
		return error;
	for (uint32_t i = 0; i < kernel->settings.port_count; i++)
		slu_mirror_set_link(&kernel->mirror, i, kernel->settings.ports[i].tap.ifindex, (uint16_t)i);
	error = slu_netlink_open(&kernel->netlink);
	if (error)
		return error;
	restored = slu_neighbours_load(
		kernel->neighbour_file, &kernel->netlink, kernel->settings.ports, kernel->settings.port_count);
	if (restored > 0)
		slu_info("%d neighbours restored", restored);
	error = dump_all(kernel);
	if (!error)
		error = publish(kernel);
	return error ? error : add_events(kernel);
}

int slu_kernel_create(const struct slu_kernel_settings *settings, struct slu_kernel **result)
{
	struct slu_kernel *kernel = calloc(1, sizeof(*kernel));
	int error = -ENOMEM;

	*result = NULL;
	if (!kernel)
		return error;
	kernel->settings = *settings;
	if (asprintf(&kernel->neighbour_file, "%s/neighbours", settings->state_dir) < 0)
		kernel->neighbour_file = NULL;
	else
		error = start(kernel);
	if (error) {
		slu_kernel_destroy(kernel);
		return error;
	}
	*result = kernel;
	return 0;
}

void slu_kernel_destroy(struct slu_kernel *kernel)
{
	if (!kernel)
		return;
	if (kernel->readable)
		event_free(kernel->readable);
	if (kernel->settle)
		event_free(kernel->settle);
	if (kernel->refresh)
		event_free(kernel->refresh);
	slu_netlink_close(&kernel->netlink);
	slu_mirror_fini(&kernel->mirror);
	slu_neigh_view_free(kernel->view);
	free(kernel->neighbour_file);
	free(kernel);
}

/* The port whose network holds the address, else the first: the kernel answers ARP for it there. */
static const struct slu_port *home_port(const struct slu_kernel *kernel, const struct slu_ip *ip)
{
	for (uint32_t p = 0; p < kernel->settings.port_count; p++) {
		const struct slu_config_port *config = kernel->settings.ports[p].config;

		for (uint32_t a = 0; a < config->address_count; a++) {
			if (slu_ip_within(ip, &config->addresses[a].ip, config->addresses[a].bits))
				return &kernel->settings.ports[p];
		}
	}
	return &kernel->settings.ports[0];
}

static void add_wanted(struct slu_address *wanted, uint32_t *count, const struct slu_ip *ip, uint8_t bits,
	bool prefix_route, unsigned int ifindex)
{
	wanted[(*count)++] =
		(struct slu_address){.ip = *ip, .bits = bits, .prefix_route = prefix_route, .ifindex = ifindex};
}

/* The public addresses that this node gives out; the others are those of other nodes of the cluster. */
static void add_public(const struct slu_kernel *kernel, const struct slu_generation *generation,
	struct slu_address *wanted, uint32_t *count)
{
	for (uint32_t i = 0; i < generation->outbound_count; i++) {
		const struct slu_outbound *o = &generation->outbound[i];

		for (unsigned int family = 0; family < 2; family++)
			for (uint32_t a = 0; a < o->own_count[family]; a++) {
				const struct slu_ip *ip = &o->addresses[family][a];

				add_wanted(wanted, count, ip, family ? 128 : 32, false,
					home_port(kernel, ip)->tap.ifindex);
			}
	}
}

static uint32_t collect(
	const struct slu_kernel *kernel, const struct slu_generation *generation, struct slu_address *wanted)
{
	uint32_t count = 0;

	for (uint32_t p = 0; p < kernel->settings.port_count; p++) {
		const struct slu_port *port = &kernel->settings.ports[p];

		for (uint32_t a = 0; a < port->config->address_count; a++) {
			const struct slu_config_prefix *prefix = &port->config->addresses[a];

			add_wanted(wanted, &count, &prefix->ip, prefix->bits, true, port->tap.ifindex);
		}
	}
	for (uint32_t i = 0; i < generation->listener_count; i++) {
		const struct slu_ip *ip = &generation->listeners[i].address;

		/* Listeners are sorted by address: those of one address follow each other. */
		if (i > 0 && slu_ip_compare(ip, &generation->listeners[i - 1].address) == 0)
			continue;
		add_wanted(wanted, &count, ip, ip->family == 4 ? 32 : 128, false, home_port(kernel, ip)->tap.ifindex);
	}
	for (uint32_t i = 0; i < generation->local_count; i++) {
		const struct slu_ip *ip = &generation->locals[i];

		add_wanted(wanted, &count, ip, ip->family == 4 ? 32 : 128, false, home_port(kernel, ip)->tap.ifindex);
	}
	add_public(kernel, generation, wanted, &count);
	return count;
}

void slu_kernel_set_generation(struct slu_kernel *kernel, const struct slu_generation *generation)
{
	uint32_t room = generation->listener_count + generation->local_count, changed = 0, count;
	unsigned int *ifindexes = calloc(kernel->settings.port_count, sizeof(*ifindexes));
	struct slu_address *wanted;
	int error = -ENOMEM;

	kernel->generation = generation;
	kernel->next_group = kernel->next_backend = 0;
	for (uint32_t p = 0; p < kernel->settings.port_count; p++)
		room += kernel->settings.ports[p].config->address_count;
	for (uint32_t i = 0; i < generation->outbound_count; i++)
		room += generation->outbound[i].own_count[0] + generation->outbound[i].own_count[1];
	wanted = calloc(room + 1, sizeof(*wanted));
	if (wanted && ifindexes) {
		for (uint32_t p = 0; p < kernel->settings.port_count; p++)
			ifindexes[p] = kernel->settings.ports[p].tap.ifindex;
		count = collect(kernel, generation, wanted);
		error = slu_addresses_apply(
			&kernel->netlink, wanted, count, ifindexes, kernel->settings.port_count, &changed);
	}
	if (error) {
		kernel->counters.address_errors++;
		slu_warning("addresses on the TAPs are not all as configured: %s", strerror(-error));
	}
	if (changed)
		slu_info("%u addresses changed on the TAPs", changed);
	free(ifindexes);
	free(wanted);
}

void slu_kernel_read_counters(const struct slu_kernel *kernel, struct slu_kernel_counters *counters)
{
	*counters = kernel->counters;
	counters->malformed = kernel->mirror.malformed;
	counters->routes = kernel->mirror.route_count;
	counters->neighbours = kernel->mirror.neighbour_count;
}
