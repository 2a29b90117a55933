/*
 * One direction of a session as an rte_flow rule, in either of two spellings:
 * MODIFY_FIELD with REPRESENTED_PORT, or the older SET_* with PORT_ID. Pure:
 * it fills a struct and calls no driver.
 */
#ifndef SLU_HOST_FLOW_RULE_H
#define SLU_HOST_FLOW_RULE_H

#include <rte_flow.h>

#include "host/dataplane/dataplane.h"

enum slu_flow_spelling { SLU_FLOW_MODERN, SLU_FLOW_LEGACY };

/* How a port wants its rules; found out once a port by slu_flow_port_open(). */
struct slu_flow_dialect {
	enum slu_flow_spelling spelling;
	bool transfer; /* the rule belongs to the switch, not to one ingress port */
};

#define SLU_FLOW_ITEMS 4
#define SLU_FLOW_ACTIONS 12

/* Self-referential: never copied. */
struct slu_flow_rule {
	struct rte_flow_attr attr;
	struct rte_flow_item items[SLU_FLOW_ITEMS];
	struct rte_flow_action actions[SLU_FLOW_ACTIONS];
	uint32_t action_count; /* END included */
	uint32_t count_action; /* index of COUNT */
	uint32_t mac_action;   /* index of the action that sets the destination MAC */
	union {
		struct rte_flow_item_ipv4 ipv4;
		struct rte_flow_item_ipv6 ipv6;
	} ip_spec, ip_mask;
	union {
		struct rte_flow_item_tcp tcp;
		struct rte_flow_item_udp udp;
	} l4_spec, l4_mask;
	union {
		struct rte_flow_action_modify_field modify;
		struct rte_flow_action_set_ipv4 ipv4;
		struct rte_flow_action_set_ipv6 ipv6;
		struct rte_flow_action_set_tp tp;
		struct rte_flow_action_set_mac mac;
		struct rte_flow_action_count count;
		struct rte_flow_action_port_id port_id;
		struct rte_flow_action_ethdev ethdev;
	} confs[SLU_FLOW_ACTIONS];
};

/*
 * Fills *rule from an INSTALL request. The pattern asks for an unfragmented
 * packet and, for TCP, for SYN, FIN and RST to be zero, in every spelling, so
 * that one session means the same on every card. The set of actions depends
 * on family and protocol alone, so that a template fits all sessions.
 *
 * Returns 0; -ENOTSUP for a tenant network, a VLAN next hop, or a protocol
 * other than TCP and UDP.
 */
int slu_flow_rule_build(
	struct slu_flow_rule *rule, const struct slu_flow_dialect *dialect, const struct slu_offload_request *request);

/* Replaces COUNT, or the MAC action, by an indirect handle. */
void slu_flow_rule_set_count(struct slu_flow_rule *rule, struct rte_flow_action_handle *handle);
void slu_flow_rule_set_mac(struct slu_flow_rule *rule, struct rte_flow_action_handle *handle);

#endif
