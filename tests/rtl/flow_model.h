/*
 * What the flow engine must do with a frame, written from docs/registers.md and the design, not from the RTL.
 * Checksums of forwarded frames come from sums over the whole packet, never from deltas.
 */
#ifndef SLU_TESTS_RTL_FLOW_MODEL_H
#define SLU_TESTS_RTL_FLOW_MODEL_H

#include <map>
#include <string>

#include "bench.h"
#include "sluice/nic_regs.h"

namespace model
{

using bench::Bytes;

struct Flow {
	bool ipv6 = false;
	uint8_t proto = 6;
	uint8_t src[16] = {}, dst[16] = {};
	uint8_t sport[2] = {}, dport[2] = {};
	uint8_t new_src[16] = {}, new_dst[16] = {};
	uint8_t new_sport[2] = {}, new_dport[2] = {};
	uint32_t actions = 0;
	uint32_t flow_id = 0, mark = 0;
	uint16_t next_hop = 0, queue = 0xFFFF;
	uint8_t port_mask = 0xFF;
	uint16_t vlan = 0;
	uint8_t tcp_zero = 7;
	bool match_port_mac = false;
	bool torn = false;

	/* Ten words of the flow key as 40 bytes. */
	std::string key() const;
	/* The record, as a driver would write it. */
	void record(uint8_t out[128], uint8_t generation) const;
};

struct Place {
	uint32_t bucket[2];
	uint32_t tag;
};
Place place(const std::string &key, const uint32_t hash_key[14], unsigned bucket_bits);

enum Kind { RUNT, GIANT, WIRE_ERROR, FORWARD, DROP, HOST };

struct Verdict {
	Kind kind = HOST;
	uint8_t reason = 0;
	uint8_t port = 0; /* FORWARD: wire */
	Bytes frame;      /* as it leaves, or as the host gets it */
	bool update = false, count = false;
	uint32_t flow_id = 0;
	uint16_t bytes = 0; /* of the update */
	/* HOST */
	uint16_t flags = 0, vlan_tci = 0, queue = 0xFFFF;
	uint8_t l3_off = 0, l4_off = 0, tcp_flags = 0, proto = 0;
	uint32_t mark = 0, meta_flow_id = 0;
	uint8_t src[16] = {}, dst[16] = {}, sport[2] = {}, dport[2] = {};
};

struct Engine {
	unsigned ports = 2;
	bool lookup = true;
	uint8_t mac[8][6] = {};
	bool vlan_strip[8] = {};
	std::map<std::string, Flow> flows;
	std::map<uint16_t, struct slu_nic_next_hop> next_hops;

	Verdict judge(const Bytes &frame, unsigned port, bool wire_error) const;
};

} // namespace model

#endif
