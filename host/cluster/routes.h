/*
 * The routes that tell the routing daemon beside the agent (BIRD) what to announce:
 * kernel routes in a table of their own, which it learns. This project speaks no
 * routing protocol. Control thread only; it does not block.
 */
#ifndef SLU_HOST_ROUTES_H
#define SLU_HOST_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "host/config/config.h"

struct slu_routes;

struct slu_routes_settings {
	uint32_t table; /* of the kernel; 0: nothing is written, every call succeeds */
};

/* Removes what an earlier agent left in the table. Returns 0 or -errno. */
int slu_routes_create(const struct slu_routes_settings *settings, struct slu_routes **routes);

/* Leaves the table empty, so that a neighbour hears it from the daemon and not from a time-out. NULL is allowed. */
void slu_routes_destroy(struct slu_routes *routes);

/* Metrics (priorities) of the routes: the daemon's filter tells the kinds apart by them. */
enum slu_route_kind {
	SLU_ROUTE_VIP = 100,    /* addresses of listeners; equal on every node: upstream ECMP */
	SLU_ROUTE_OWN = 200,    /* home prefixes of this node's local and public addresses */
	SLU_ROUTE_BACKUP = 300, /* those of the ring's predecessors, at a worse preference, permanently: when a node
				   dies BFD alone moves its prefix */
	SLU_ROUTE_GATEWAY = 400 /* the default route of inside hosts, to whom this node lends public addresses; equal on
				   every node */
};

/* Everything that should be announced; arrays are only read during the call, duplicates are allowed. */
struct slu_routes_wanted {
	bool announce; /* false: nothing at all (not joined yet, or drained) */
	const struct slu_ip *vips;
	uint32_t vip_count;
	const struct slu_config_prefix *own, *backup;
	uint32_t own_count, backup_count;
	bool gateway[2]; /* IPv4, IPv6: there is a SNAT or EIP of that family */
};

/*
 * Makes the table hold exactly that: additions before removals. Returns 0 or the
 * first -errno; it goes on after an error, and the next call tries again.
 */
int slu_routes_set(struct slu_routes *routes, const struct slu_routes_wanted *wanted);

struct slu_routes_state {
	bool announces;
	uint32_t vips, own, backup, gateways; /* routes in the table now */
	uint64_t added, removed, errors;
};
void slu_routes_state(const struct slu_routes *routes, struct slu_routes_state *state);

#endif
