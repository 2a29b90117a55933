/*
 * Who owns what in a cluster, as the data path reads it: immutable, published like
 * a view of neighbours. Without one every session is this node's own.
 *
 * The owner of a session is the node that announces its local address: the member
 * whose home prefix has it while that member is alive, else the next living member
 * after it in the ring of ids. Only the owner ages, refreshes and ends a session.
 */
#ifndef SLU_HOST_CLUSTER_VIEW_H
#define SLU_HOST_CLUSTER_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "host/control/generation.h"

#define SLU_CLUSTER_MEMBERS_MAX 8u    /* of a sync group */
#define SLU_CLUSTER_PREFIXES_MAX 128u /* of all members */

struct slu_cluster_prefix {
	struct slu_ip address; /* of the network: bits behind the prefix are zero */
	uint8_t bits;
	uint8_t home;  /* the member that allocates from it */
	uint8_t owner; /* the member that announces it now */
};

struct slu_cluster_view {
	uint8_t self;          /* this node's id, 1..255 */
	uint8_t nat_owner;     /* owner of sessions without a local address (NAT): the active node; 0: nobody known */
	uint32_t member_count; /* living ones, this node included */
	uint32_t prefix_count;
	struct slu_cluster_prefix prefix[SLU_CLUSTER_PREFIXES_MAX];
};

bool slu_cluster_prefix_has(const struct slu_cluster_prefix *prefix, const struct slu_ip *address);

/* The prefix that has an address (prefixes of members do not overlap), or NULL. */
const struct slu_cluster_prefix *slu_cluster_view_find(
	const struct slu_cluster_view *view, const struct slu_ip *address);

#endif
