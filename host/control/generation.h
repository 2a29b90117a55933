/*
 * A generation: one complete, immutable configuration in the form the data
 * path reads. Control compiles a validated document and the backends' health
 * into a new generation and swaps a pointer; workers see the old one or the
 * new one, never a mixture.
 *
 * Groups that did not change are shared between generations by reference.
 * Everything here is written by the control thread before publication and only
 * read afterwards; live counts stand elsewhere, indexed by the live index.
 */
#ifndef SLU_HOST_GENERATION_H
#define SLU_HOST_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#define SLU_NAME_BYTES 64
#define SLU_VPC_MAX 0xFFFFFFu

/* An IPv4 address stands in the first four bytes, the rest is zero. */
struct slu_ip {
	uint8_t family; /* 4 or 6 */
	uint8_t bytes[16];
};

/* An address block: the bits behind the prefix are zero. */
struct slu_prefix {
	struct slu_ip ip;
	uint8_t bits;
};

/*
 * FULLNAT and NAT are of listeners, SNAT and EIP of outbound services. Sync records carry the numbers; DR and TUN are
 * known only there: peers that run Linux IPVS tell such sessions.
 */
enum slu_mode { SLU_MODE_FULLNAT, SLU_MODE_NAT, SLU_MODE_SNAT, SLU_MODE_EIP, SLU_MODE_DR, SLU_MODE_TUN };
/* How backends that see a local address learn the client's (docs/client-address.md). */
enum slu_client_address { SLU_CLIENT_ADDRESS_NONE, SLU_CLIENT_ADDRESS_TOA, SLU_CLIENT_ADDRESS_PROXY_V2 };
enum slu_scheduler { SLU_SCHED_RR, SLU_SCHED_WRR, SLU_SCHED_WLC, SLU_SCHED_MAGLEV };

struct slu_backend {
	uint32_t id;   /* stable across generations and restarts; sessions store it */
	uint32_t live; /* index of its live counters; stable while any session refers to it */
	struct slu_ip address;
	uint16_t port;       /* host order; 0: the listener's destination port */
	uint16_t configured; /* weight as configured */
	uint16_t weight;     /* effective: 0 while down, checking or draining; no new sessions */
	uint64_t seed;       /* of the Maglev permutation; from the name, so equal on every node */
	char name[SLU_NAME_BYTES];
};

/* Immutable; reference-counted by the control thread. */
struct slu_group {
	uint32_t id;
	enum slu_scheduler scheduler;
	uint32_t backend_count;
	uint32_t weight_sum;          /* of effective weights */
	struct slu_backend *backends; /* [backend_count] */
	uint16_t *maglev;             /* [SLU_MAGLEV_SLOTS] backend index, NULL unless MAGLEV; 0xFFFF: none */
	uint16_t *wrr;                /* interleaved order of backend indexes for RR and WRR, NULL otherwise */
	uint32_t wrr_count;
	uint32_t references; /* control thread only */
	char name[SLU_NAME_BYTES];
};

/* Seconds. Names and defaults follow Linux IPVS (TCP state time-outs, UDP). */
struct slu_timeouts {
	uint32_t syn_recv, syn_sent, established, fin_wait, time_wait, close, close_wait, last_ack;
	uint32_t udp;
};

struct slu_listener {
	uint32_t id;   /* stable across generations and restarts */
	uint32_t live; /* index of its live counters */
	uint32_t vpc;  /* tenant network, 24 bits */
	struct slu_ip address;
	uint8_t protocol;               /* 6 or 17 */
	uint16_t port_first, port_last; /* host order, inclusive */
	enum slu_mode mode;
	enum slu_client_address client_address; /* only in mode FULLNAT; TOA only of TCP */
	uint32_t group;                         /* index into slu_generation.groups */
	bool offload;
	uint32_t offload_threshold_packets; /* from the client */
	uint32_t max_sessions;              /* at a time, in the whole cluster; 0: no limit */
	struct slu_timeouts timeouts;
	char name[SLU_NAME_BYTES];
};

/*
 * A service of inside hosts: SNAT (NAT gateway: many of them behind few public addresses) or EIP (one host, one public
 * address). Its sessions name it where those of a listener name the listener.
 */
struct slu_outbound {
	/* Id, live index, network, mode, offload, time-outs and name; address: EIP's public one. The rest is unused. */
	struct slu_listener service;
	struct slu_ip private_ip;   /* EIP */
	struct slu_prefix *sources; /* SNAT: the inside hosts */
	uint32_t source_count;
	/*
	 * Public addresses by family (IPv4, IPv6), of EIP one. The first own_count are this node's: it announces them,
	 * and gives those of SNAT to new sessions.
	 */
	struct slu_ip *addresses[2];
	uint32_t address_count[2], own_count[2];
	uint16_t port_first, port_last; /* SNAT: of the public addresses */
};

struct slu_generation {
	uint64_t number; /* strictly increasing */
	uint32_t listener_count, group_count, local_count, backend_count;
	/* Sorted by (family, address, protocol, vpc, port_first); ranges of one key do not overlap. */
	struct slu_listener *listeners;
	struct slu_group **groups;
	struct slu_ip *locals;         /* FULLNAT source addresses, both families */
	struct slu_outbound *outbound; /* [outbound_count] */
	uint32_t outbound_count;
	struct slu_prefix *node; /* [node_count]: addresses of the node's ports, host bits kept */
	uint32_t node_count;
	struct slu_prefix *internal; /* [internal_count]: whose traffic is metered as internal */
	uint32_t internal_count;
	const struct slu_backend **by_live; /* [live_limit]: backend of a live index, NULL if gone */
	uint32_t live_limit;
	const struct slu_listener **listener_by_live; /* [listener_live_limit]; outbound services too */
	uint32_t listener_live_limit;
	void *index; /* built by slu_listener_index_build() of the data plane; freed with the generation */
};

#endif
