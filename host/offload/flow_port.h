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
	struct slu_flow_dialect dialect;
	char reason[128]; /* why it is not usable */
};

struct slu_flow_counts {
	uint64_t packets, bytes;
};

/* A rule in a card. */
struct slu_flow_handle {
	struct rte_flow *rule;
	struct rte_flow_action_handle *count; /* NULL: counted by the rule itself */
};

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
