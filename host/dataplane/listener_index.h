/*
 * What the data path asks a generation: whose address is this, which listener
 * has this port, which local addresses are there. Built once per generation,
 * immutable afterwards.
 */
#ifndef SLU_HOST_LISTENER_INDEX_H
#define SLU_HOST_LISTENER_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "host/control/generation.h"
#include "host/dataplane/prefix_set.h"

enum slu_address_kind {
	SLU_ADDRESS_VIP = 1,    /* of a listener */
	SLU_ADDRESS_LOCAL = 2,  /* source address of FULLNAT; belongs to every tenant network */
	SLU_ADDRESS_PUBLIC = 4, /* of an outbound service */
};

/* Listeners of one address and tenant network: runs of the sorted array below. */
struct slu_address_entry {
	uint8_t address[16];
	uint32_t vpc;
	uint8_t family; /* 0: free place */
	uint8_t kinds;
	uint32_t first[2], count[2];         /* TCP, UDP */
	const struct slu_outbound *outbound; /* whose public address it is, NULL: of no outbound service */
};

struct slu_listener_index {
	uint32_t mask; /* places - 1 */
	struct slu_address_entry *places;
	const struct slu_listener **sorted; /* by vpc, address, protocol, port */
	struct slu_ip *locals[2];           /* by family: IPv4, IPv6 */
	uint32_t local_count[2];
	bool has_nat;
	struct slu_prefix_set internal; /* scope of meters; of network 0, whatever the tenant */
	struct slu_prefix_set inside;   /* struct slu_outbound by the inside hosts' addresses */
};

/* The entry of an address (4 or 16 bytes) in a tenant network, or NULL. */
const struct slu_address_entry *slu_listener_index_address(
	const struct slu_listener_index *index, uint32_t vpc, uint8_t family, const void *address);

/* The listener of a port (host order), or NULL. */
const struct slu_listener *slu_listener_index_find(
	const struct slu_listener_index *index, const struct slu_address_entry *entry, uint8_t protocol, uint16_t port);

#endif
