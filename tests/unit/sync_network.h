/*
 * A sync network for several nodes in one process: each in a network namespace of its
 * own at one bridge. Nothing outlives the process.
 */
#ifndef SLU_TESTS_SYNC_NETWORK_H
#define SLU_TESTS_SYNC_NETWORK_H

#include <stdbool.h>

#define SYNC_NETWORK_NODES_MAX 4

/*
 * A bridge and nodes 1..count at it, 198.18.9.ID on `sync0`; the caller stands at the bridge then, 198.18.9.250. Needs
 * root. Returns false, with a line for TAP printed, if it cannot.
 */
bool sync_network_make(unsigned int count);
void sync_network_join(unsigned int node);  /* its interface and cable anew: `ip link delete hN` takes them */
void sync_network_enter(unsigned int node); /* 0: the bridge; the calling thread, and those that it starts */
/* Runs a command at a node; fails the program if that fails. */
void sync_network_run(unsigned int node, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
