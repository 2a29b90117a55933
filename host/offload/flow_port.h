/*
 * rte_flow of one ethdev port: which spelling it takes, and rules with exact
 * counters. Control thread only; nothing here knows of sessions.
 */
#ifndef SLU_HOST_FLOW_PORT_H
#define SLU_HOST_FLOW_PORT_H

#include "host/offload/flow_rule.h"

struct slu_flow_port {
	uint16_t id;    /* ethdev where packets come in */
	uint16_t proxy; /* ethdev that takes the rules: the switch's manager for transfer rules */
	bool usable;
	bool indirect_count; /* counters outlive their rule, so that no byte between query and destroy is lost */
	bool indirect_mac;   /* one update rewrites the MAC of all rules of a next hop */
	bool async;          /* rules are queued by templates and their results pulled */
	uint32_t in_flight;  /* queued and not pulled */
	struct slu_flow_dialect dialect;
	struct rte_flow_template_table *tables[2][2]; /* [IPv6][UDP] */
	char reason[128];                             /* why it is not usable */
};

#define SLU_FLOW_QUEUE 1024 /* operations in flight on one port */

struct slu_flow_counts {
	uint64_t packets, bytes;
};

/* A rule in a card. */
struct slu_flow_handle {
	struct rte_flow *rule;
	struct rte_flow_action_handle *count; /* NULL: counted by the rule itself */
	bool async;                           /* it was queued, so its destruction is */
};

/* An operation that was queued is done. */
struct slu_flow_result {
	void *user;
	bool ok;
};

/* Gives the port a queue of rules if its driver has such. Between rte_eth_dev_configure() and rte_eth_dev_start(). */
void slu_flow_port_prepare(uint16_t id);

/*
 * Finds out, by rte_flow_validate() and by making indirect actions, what the
 * port can do: the modern spelling before the legacy one, transfer before
 * ingress. The port is started. Never fails: usable says the result.
 */
void slu_flow_port_open(struct slu_flow_port *port, uint16_t id);

/*
 * Creates the rule. `mac` may be NULL. Returns 0; -ENOSPC: no room; -EEXIST:
 * refused because of a clash; other -errno; *error tells the driver's reason.
 */
int slu_flow_port_create(struct slu_flow_port *port, struct slu_flow_rule *rule, struct rte_flow_action_handle *mac,
	struct slu_flow_handle *handle, struct rte_flow_error *error);

/*
 * The same, queued, on a port with `async`: -EINPROGRESS, and slu_flow_port_pull() brings `user` back. A rule that the
 * card refused then is destroyed by the caller as any other. -EAGAIN: the queue is full. Nothing moves before
 * slu_flow_port_push().
 */
int slu_flow_port_queue_create(struct slu_flow_port *port, struct slu_flow_rule *rule,
	struct rte_flow_action_handle *mac, struct slu_flow_handle *handle, void *user, struct rte_flow_error *error);
int slu_flow_port_queue_destroy(struct slu_flow_port *port, struct slu_flow_handle *handle, void *user);
void slu_flow_port_push(struct slu_flow_port *port);
/* Returns how many results it brought, at most `count`. */
uint32_t slu_flow_port_pull(struct slu_flow_port *port, struct slu_flow_result *results, uint32_t count);

/* After the queued destruction: the final counters, left as they are if the port cannot be asked; frees the counter. */
void slu_flow_port_finish(struct slu_flow_port *port, struct slu_flow_handle *handle, struct slu_flow_counts *counts);

/* Counters since creation. Returns 0 or -errno. */
int slu_flow_port_query(
	struct slu_flow_port *port, const struct slu_flow_handle *handle, struct slu_flow_counts *counts);

/*
 * Destroys the rule; *counts are its final counters, to the byte with
 * indirect_count. When the port cannot be asked they are left as they are.
 * Returns 0 or -errno of the destruction; the handle is gone either way.
 */
int slu_flow_port_destroy(struct slu_flow_port *port, struct slu_flow_handle *handle, struct slu_flow_counts *counts);

/* Indirect action that sets the destination MAC. NULL if the port has none or no room. */
struct rte_flow_action_handle *slu_flow_port_mac_create(struct slu_flow_port *port, const uint8_t mac[6]);
int slu_flow_port_mac_update(struct slu_flow_port *port, struct rte_flow_action_handle *handle, const uint8_t mac[6]);
void slu_flow_port_mac_destroy(struct slu_flow_port *port, struct rte_flow_action_handle *handle);

#endif
