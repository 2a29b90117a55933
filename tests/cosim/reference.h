/*
 * What the card must do with a frame, in software, written from
 * docs/registers.md and edited with the agent's own lib/packet_edit.h. Knows
 * nothing of the RTL but its contract.
 */
#ifndef SLU_TEST_REFERENCE_H
#define SLU_TEST_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/base/rule.h"

#define REFERENCE_FRAME_BYTES 9300u

struct reference {
	const struct slu_rule *rules;
	const uint16_t *next_hop_of; /* of each rule */
	unsigned int rule_count;
	const struct slu_nic_next_hop *next_hops;
	unsigned int next_hop_count;
	uint8_t mac[2][6];
};

enum reference_fate { FATE_RUNT, FATE_GIANT, FATE_WIRE_ERROR, FATE_RULE_DROP, FATE_HOST, FATE_WIRE };

struct reference_outcome {
	enum reference_fate fate;
	int rule; /* that the frame met; -1: none */
	/* WIRE */
	unsigned int port;
	uint8_t frame[REFERENCE_FRAME_BYTES + 4];
	size_t len;
	/* HOST: the frame as it came, and the completion's fields */
	uint8_t reason;
	uint16_t flags; /* without RXF_RSS */
	uint16_t vlan_tci;
	uint8_t l3_off, l4_off, tcp_flags, proto;
	uint32_t mark;
};

/* Pure. `bad` is the MAC's verdict. */
void reference_run(const struct reference *r, unsigned int port, const uint8_t *frame, size_t len, bool bad,
	struct reference_outcome *out);

#endif
