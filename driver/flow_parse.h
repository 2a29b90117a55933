/*
 * From rte_flow's words to a rule of the card. Both spellings of the actions
 * give the same rule. Everything that the card cannot do is refused with the
 * item or action at fault. Pure: no card is asked.
 */
#ifndef SLU_DRIVER_FLOW_PARSE_H
#define SLU_DRIVER_FLOW_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_flow.h>

#include "base/card.h"
#include "base/rule.h"

/* What the parser needs to know of the card's ports. */
struct slu_flow_scope {
	unsigned ports;
	unsigned port;   /* the one that the application called */
	uint16_t queues; /* RX queues of that port */
	uint16_t ethdev_ids[SLU_CARD_PORTS_MAX];
	uint8_t macs[SLU_CARD_PORTS_MAX][6];
};

/* An indirect action of this driver. */
struct slu_flow_indirect {
	enum rte_flow_action_type type; /* COUNT or SET_MAC_DST */
	uint8_t mac[6];
};

struct slu_flow_request {
	struct slu_rule rule;
	bool count, age;
	uint32_t age_timeout_s;
	void *age_context;
	struct slu_flow_indirect *count_handle; /* NULL: a counter of its own */
	struct slu_flow_indirect *mac_handle;   /* NULL: a next hop to share */
};

/* Returns 0 and fills request; or -rte_errno with error set, as the calls of rte_flow.h do. Any thread. */
int slu_flow_parse(const struct slu_flow_scope *scope, const struct rte_flow_attr *attr,
	const struct rte_flow_item *pattern, const struct rte_flow_action *actions, struct slu_flow_request *request,
	struct rte_flow_error *error);

/* Checks the layers and masks of a pattern template; its specs are not looked at. */
int slu_flow_parse_pattern_template(
	const struct slu_flow_scope *scope, const struct rte_flow_item *pattern, struct rte_flow_error *error);

#endif
