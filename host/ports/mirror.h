/*
 * A copy of what the kernel knows about the exception TAPs: links, routes and
 * neighbours. It is fed with rtnetlink messages and holds no socket, so that a
 * test can feed it any bytes. Control thread only.
 */
#ifndef SLU_HOST_MIRROR_H
#define SLU_HOST_MIRROR_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/control/generation.h"

#define SLU_MIRROR_NO_PORT UINT16_MAX

struct slu_mirror_link {
	unsigned int ifindex;
	uint16_t port; /* index in the agent's array of ports */
	bool up;
};

/* A unicast route through a TAP, or a reject route (port SLU_MIRROR_NO_PORT). */
struct slu_mirror_route {
	struct slu_ip prefix;
	uint8_t prefix_bits;
	uint32_t metric;
	uint16_t port;
	struct slu_ip gateway; /* family 0: the destination is on the link */
};

struct slu_mirror_neighbour {
	struct slu_ip address;
	uint16_t port;
	uint16_t state; /* NUD_* */
	uint8_t mac[6];
};

struct slu_mirror {
	struct slu_mirror_link *links;
	uint32_t link_count;
	/* Sorted: family, then longest prefix first, then prefix, then metric. */
	struct slu_mirror_route *routes;
	uint32_t route_count, route_room;
	uint32_t length_first[2][130]; /* [family 4, 6][128 - prefix bits]: where the prefixes of a length begin */
	/* Sorted by port and address. */
	struct slu_mirror_neighbour *neighbours;
	uint32_t neighbour_count, neighbour_room;
	bool changed;      /* a view built from the mirror is out of date */
	bool routes_stale; /* routes must be dumped again: the kernel does not report every change of them */
	uint64_t malformed, no_memory;
};

/* Returns 0 or -ENOMEM. */
int slu_mirror_init(struct slu_mirror *mirror, uint32_t link_count);
void slu_mirror_fini(struct slu_mirror *mirror);

/* Names the TAP of port `port`; `link` is below link_count. */
void slu_mirror_set_link(struct slu_mirror *mirror, uint32_t link, unsigned int ifindex, uint16_t port);

/*
 * Takes one message of an event socket or a dump. Messages of other
 * interfaces, tables and types are ignored; malformed ones are counted.
 * A route event only marks the routes stale unless `dump` is set.
 */
void slu_mirror_message(struct slu_mirror *mirror, const struct nlmsghdr *message, bool dump);

/* Forgets all routes, or all neighbours, before a dump brings them again. */
void slu_mirror_clear_routes(struct slu_mirror *mirror);
void slu_mirror_clear_neighbours(struct slu_mirror *mirror);

/* Sorts what a dump brought; call after it and before the lookups. */
void slu_mirror_settle(struct slu_mirror *mirror);

/* Longest-prefix match, least metric; NULL if there is no route. Next hops of a multipath route follow each other. */
const struct slu_mirror_route *slu_mirror_find_route(const struct slu_mirror *mirror, const struct slu_ip *address);

/* NULL if the kernel has no entry. */
const struct slu_mirror_neighbour *slu_mirror_find_neighbour(
	const struct slu_mirror *mirror, uint16_t port, const struct slu_ip *address);

/* True when frames may be sent to the neighbour's MAC. */
bool slu_mirror_neighbour_usable(const struct slu_mirror_neighbour *neighbour);

#endif
