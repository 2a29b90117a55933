/*
 * Routes and neighbours as the data path reads them: a hash of addresses, a hash
 * of prefixes for each length, and an array of next hops that sessions point into
 * for as long as the view is the current one.
 */
#ifndef SLU_HOST_NEIGH_H
#define SLU_HOST_NEIGH_H

#include "host/dataplane/dataplane.h"

struct slu_neigh_view {
	struct slu_nexthop *hops;
	uint32_t hop_count, hop_room;
	struct neigh_place *neighbours;
	uint32_t neighbour_mask, neighbour_count;
	struct route_place *routes;
	uint32_t route_mask, route_count;
	uint64_t lengths[2][3]; /* by family: bit n of the set of prefix lengths in use */
	uint16_t epoch;         /* set when published; never 0 */
};

#endif
