/*
 * Keeps the kernel's own IP stack away from an interface that an AF_PACKET
 * port reads. The kernel sees a copy of every such frame; without this it
 * would answer a client's SYN to a VIP (an address of the TAP, so a local one)
 * with RST, and ARP a second time.
 */
#ifndef SLU_HOST_ISOLATE_H
#define SLU_HOST_ISOLATE_H

/*
 * Drops everything that arrives on `interface` behind the packet sockets (an
 * nftables netdev chain without rules and policy drop, table sluice_INTERFACE)
 * and disables IPv6 on it. May be called again. It stays when the agent ends:
 * the addresses on the TAPs stay too.
 *
 * Control thread. Returns 0 or -errno.
 */
int slu_isolate_interface(const char *interface);

/* The interface of an AF_PACKET vdev's arguments, copied to name[IFNAMSIZ]; -ENOENT for any other device. */
int slu_isolate_find(const char *device, char *name);

#endif
