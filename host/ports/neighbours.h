/*
 * Requests about neighbours to the kernel, and their memory across restarts.
 * Control thread only.
 */
#ifndef SLU_HOST_NEIGHBOURS_H
#define SLU_HOST_NEIGHBOURS_H

#include "host/ports/mirror.h"
#include "host/ports/netlink.h"
#include "host/ports/port.h"

/*
 * Tells the kernel that the neighbour is used: it resolves a missing or failed
 * entry and probes a stale one, as if it had sent a packet there itself.
 */
int slu_neighbours_use(struct slu_netlink *netlink, unsigned int ifindex, const struct slu_ip *address);

/* Adds a stale entry unless there is one: usable at once, verified when used. */
int slu_neighbours_restore(
	struct slu_netlink *netlink, unsigned int ifindex, const struct slu_ip *address, const uint8_t mac[6]);

/* Writes the usable neighbours of the mirror to `path`, whole or not at all. Returns 0 or -errno. */
int slu_neighbours_save(const char *path, const struct slu_mirror *mirror, const struct slu_port *ports);

/*
 * Restores the neighbours of a saved file; lines that make no sense or name no
 * port are skipped. Returns how many were restored, or -errno.
 */
int slu_neighbours_load(
	const char *path, struct slu_netlink *netlink, const struct slu_port *ports, uint32_t port_count);

#endif
