/*
 * Keeps the addresses on the exception TAPs in line with the configuration.
 * What the agent adds is marked (IFA_PROTO), so that a restarted agent removes
 * what the configuration no longer names and never touches an operator's own.
 * Control thread only.
 */
#ifndef SLU_HOST_ADDRESSES_H
#define SLU_HOST_ADDRESSES_H

#include <stdbool.h>

#include "host/control/generation.h"
#include "host/ports/netlink.h"

/* Value of IFA_PROTO on the agent's addresses; the kernel gives 1..3 a meaning. */
#define SLU_ADDRESS_PROTOCOL 0x53

struct slu_address {
	struct slu_ip ip;
	uint8_t bits;
	bool prefix_route; /* false: the kernel makes no route of the prefix */
	unsigned int ifindex;
};

/*
 * Adds the wanted addresses that are missing and removes marked ones that are
 * not wanted, on the given interfaces. Goes on after an error. Sorts `wanted`.
 *
 * Returns 0 or the first -errno; *changed counts additions and removals.
 */
int slu_addresses_apply(struct slu_netlink *netlink, struct slu_address *wanted, uint32_t wanted_count,
	const unsigned int *ifindexes, uint32_t ifindex_count, uint32_t *changed);

#endif
