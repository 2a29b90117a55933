/*
 * The agent's side of the kernel's tables: it mirrors routes and neighbours of
 * the exception TAPs, publishes them to the data plane, has the kernel resolve
 * what workers miss, and keeps neighbours in use fresh, because the kernel does
 * not see the traffic that would confirm them. Control thread only.
 */
#ifndef SLU_HOST_KERNEL_H
#define SLU_HOST_KERNEL_H

#include "host/ports/mirror.h"
#include "host/ports/port.h"
#include "host/retire.h"

struct event_base;
struct slu_kernel;

struct slu_kernel_settings {
	struct event_base *base;
	struct slu_dataplane *dp;
	struct slu_retirement *retirement;
	struct slu_port *ports;
	uint32_t port_count;
	const char *state_dir; /* neighbours survive a restart here: the TAP forgets them when its process dies */
	/* Called after a changed view was published. */
	void (*changed)(void *context);
	void *context;
};

struct slu_kernel_counters {
	uint64_t views;     /* published */
	uint64_t redumps;   /* after lost events */
	uint64_t asked;     /* resolutions asked of the kernel */
	uint64_t refreshed; /* neighbours in use confirmed again */
	uint64_t malformed; /* netlink messages */
	uint64_t address_errors;
	uint32_t routes, neighbours;
};

/* Reads the kernel's tables and publishes the first view. Returns 0 or -errno. */
int slu_kernel_create(const struct slu_kernel_settings *settings, struct slu_kernel **kernel);
void slu_kernel_destroy(struct slu_kernel *kernel);

/* Gives the TAPs the addresses of the configuration, the listeners and the local addresses. */
void slu_kernel_set_generation(struct slu_kernel *kernel, const struct slu_generation *generation);

/* Reads the kernel's tables anew and publishes them; for the start, before events are served. Returns 0 or -errno. */
int slu_kernel_resync(struct slu_kernel *kernel);

/* Serves the workers' requests for unresolved neighbours; call often while they are busy. */
void slu_kernel_poll(struct slu_kernel *kernel);

/* Where a destination's frames go: the neighbour's address and port. Returns 0; -EHOSTUNREACH without a route. */
int slu_kernel_next_hop(
	const struct slu_kernel *kernel, const struct slu_ip *destination, uint16_t *port, struct slu_ip *neighbour);

/* The neighbour as a next hop for the wire. Returns 0; -EAGAIN while it is not resolved. `port` is the agent's index.
 */
int slu_kernel_neighbour(
	const struct slu_kernel *kernel, uint16_t port, const struct slu_ip *neighbour, struct slu_nexthop *hop);

/*
 * Has the kernel confirm the neighbour unless it is known to be well. Call about once a second for neighbours that only
 * the card talks to; gateways and backends are looked after here.
 */
void slu_kernel_freshen(struct slu_kernel *kernel, uint16_t port, const struct slu_ip *neighbour);

void slu_kernel_read_counters(const struct slu_kernel *kernel, struct slu_kernel_counters *counters);

#endif
