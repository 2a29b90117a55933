/*
 * Fragments: the ports of a first fragment, kept for those that follow it.
 *
 * A small table of one worker with least-recently-used replacement in sets of
 * four; a fragment that finds nothing is dropped and counted.
 */
#ifndef SLU_HOST_FRAGMENT_H
#define SLU_HOST_FRAGMENT_H

#include "host/dataplane/packet.h"

#define SLU_FRAGMENT_SETS 256
#define SLU_FRAGMENT_WAYS 4
#define SLU_FRAGMENT_TIMEOUT_S 30 /* RFC 1122: 60 s at most; a datagram's pieces travel together */

struct slu_fragment {
	uint8_t address[32]; /* source, destination; IPv4 in the first 8 bytes */
	uint32_t identification;
	uint32_t proto_vpc;
	uint32_t ports; /* as in the packet */
	uint32_t seen;  /* session ticks */
	uint8_t family; /* 0: free */
};

struct slu_fragment_table {
	struct slu_fragment entry[SLU_FRAGMENT_SETS][SLU_FRAGMENT_WAYS];
	uint32_t salt;
};

/* Remembers the ports of a first fragment. */
void slu_fragment_note(struct slu_fragment_table *table, const struct slu_packet *p, uint32_t now_tick);

/* Adds the ports to the key of a later fragment. Returns false if its first fragment was not seen. */
bool slu_fragment_complete(struct slu_fragment_table *table, struct slu_packet *p, uint32_t now_tick);

#endif
