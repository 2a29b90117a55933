/*
 * A rule in the card's own terms, between rte_flow above and the bytes of a
 * record below. Addresses, ports and tags are as on the wire.
 */
#ifndef SLU_DRIVER_RULE_H
#define SLU_DRIVER_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/nic_regs.h>

#include "flow_hash.h"

struct slu_rule {
	/* Match */
	bool ipv6;
	uint8_t proto;
	uint8_t port_mask;
	uint8_t tcp_zero;
	bool match_port_mac;
	enum slu_nic_vlan_match vlan_match;
	uint16_t vid; /* host order */
	uint32_t vni;
	uint8_t src[16], dst[16]; /* IPv4 in the first four bytes */
	slu_be16 sport, dport;
	/* Actions */
	uint32_t actions; /* SLU_NIC_ACT_* */
	uint8_t new_src[16], new_dst[16];
	slu_be16 new_sport, new_dport;
	uint16_t queue; /* with TO_HOST */
	uint32_t mark;
	struct slu_nic_next_hop next_hop; /* with FORWARD; flags contain VALID */
};

union slu_rule_record {
	struct slu_nic_record4 v4;
	struct slu_nic_record6 v6;
	uint8_t bytes[SLU_NIC_RECORD_BYTES];
};

/* All functions here are pure. */

void slu_rule_key(const struct slu_rule *rule, struct slu_flow_key *key);

/* Writes the record of a rule; gen goes into both halves of IPv6. Returns its bytes: 64 or 128. */
unsigned slu_rule_encode(
	const struct slu_rule *rule, uint32_t flow_id, uint16_t next_hop, uint8_t gen, union slu_rule_record *record);

/*
 * The key of a record read back from a card. Returns 0; -EBADMSG for a record
 * that no driver writes: torn, unknown protocol or flags.
 */
int slu_rule_decode_key(const union slu_rule_record *record, struct slu_flow_key *key);

/* Equal but for the generation bytes. */
bool slu_rule_same_record(const union slu_rule_record *a, const union slu_rule_record *b);

#endif
