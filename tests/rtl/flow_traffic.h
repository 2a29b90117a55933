/*
 * Random flows and frames, well formed and not.
 */
#ifndef SLU_TESTS_RTL_FLOW_TRAFFIC_H
#define SLU_TESTS_RTL_FLOW_TRAFFIC_H

#include "flow_model.h"

namespace traffic
{

/* A flow with random key and rewrite that forwards to next hop `next_hop`. */
model::Flow flow(bench::Random &random, uint16_t next_hop);

struct Shape {
	int vlan = -1;      /* tag control information; -1: untagged */
	size_t payload = 0; /* bytes behind the L4 header */
	uint8_t tcp_flags = 0x10;
	uint8_t ttl = 64;
	bool bad_l4 = false; /* L4 checksum off by a random amount */
	bool no_udp_checksum = false;
	uint8_t dst_mac[6] = {2, 0, 0, 0, 0, 1};
};

/* A frame of the flow, padded to the minimum, checksums right unless asked otherwise. */
bench::Bytes frame(bench::Random &random, const model::Flow &flow, const Shape &shape);

/* Breaks it in one of the ways a network or an attacker does. */
void damage(bench::Random &random, bench::Bytes &frame);

} // namespace traffic

#endif
