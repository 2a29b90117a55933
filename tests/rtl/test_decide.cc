/*
 * slu_decide: the arithmetic of the verdict at its edges. Both checksums for every value they can have, against sums
 * over the whole packet; TTL; MTU; every condition alone.
 */
#include "Vslu_decide.h"
#include "bench.h"
#include "sluice/nic_regs.h"

using bench::put_be16;

/* Fields of slu_pkg, low bits first. */
enum { INFO_IS6 = 1, INFO_FETCHED = 2, INFO_OFF = 4 };
enum {
	META_IS4 = 14,
	META_IS6 = 15,
	META_TCP = 16,
	META_UDP = 17,
	META_OWN = 21,
	META_TAG = 22,
	META_REASON = 23,
	META_TCI = 128,
	META_FLAGS = 144,
	META_PROTO = 32,
	META_TTL = 40,
	META_L3 = 48,
	META_L4 = 64,
	META_IP_LEN = 80
};
enum { V_L4 = 384, V_L3 = 400, V_TTL = 512 };

static Vslu_decide top;
static uint8_t record[128];
static struct slu_nic_next_hop hop;

static void tick()
{
	top.clk_i = 0;
	top.eval();
	top.clk_i = 1;
	top.eval();
	top.clk_i = 0;
	top.eval();
}

static void meta(unsigned bit, unsigned count, uint64_t value)
{
	bench::put_bits(&top.meta_i, bit, count, value);
}

/* One frame through the pipeline: pop at once, the rest two clocks later. */
static void judge(unsigned info)
{
	bench::put(&top.lo_i, 0, record, 64);
	bench::put(&top.hi_i, 0, record + 64, 64);
	bench::put(&top.nh_i, 0, &hop, 18);
	top.head_info_i = info;
	top.head_valid_i = 1;
	tick();
	top.head_valid_i = 0;
	for (int i = 0; i < 3; i++)
		tick();
}

static uint64_t verdict(unsigned bit, unsigned count)
{
	return bench::get_bits(&top.verdict_o, bit, count);
}

/* fwd and host are the highest bits, reason stands on word 16. */
static const unsigned TOP = 547;
static bool fwd()
{
	return verdict(TOP - 1, 1);
}
static bool host()
{
	return verdict(TOP - 2, 1);
}
static uint8_t reason()
{
	return (uint8_t)verdict(TOP - 19, 8);
}

static void reset_frame(bool ipv6, bool udp)
{
	memset(record, 0, sizeof(record));
	memset(&hop, 0, sizeof(hop));
	hop.flags = SLU_NIC_NH_VALID;
	hop.port = 1;
	record[1] = ipv6 ? SLU_NIC_REC_IPV6 : 0;
	record[2] = udp ? 17 : 6;
	record[3] = 0xFF;
	uint32_t actions = SLU_NIC_ACT_FORWARD;
	memcpy(record + 20, &actions, 4);
	memset(&top.meta_i, 0, sizeof(top.meta_i));
	memset(&top.key_i, 0, sizeof(top.key_i));
	bench::put_bits(&top.key_i, 288, 8, udp ? 17 : 6);
	meta(0, 14, 60);
	meta(ipv6 ? META_IS6 : META_IS4, 1, 1);
	meta(udp ? META_UDP : META_TCP, 1, 1);
	meta(META_PROTO, 8, udp ? 17 : 6);
	meta(META_TTL, 8, 64);
	meta(META_IP_LEN, 16, 46);
}

static void set_actions(uint32_t actions)
{
	memcpy(record + 20, &actions, 4);
}

static uint16_t swap(uint64_t value)
{
	return (uint16_t)((value & 0xFF) << 8 | (value >> 8 & 0xFF));
}

int main()
{
	bench::Tap tap;
	bench::Random random(6);

	top.rst_ni = 0;
	top.head_valid_i = 0;
	top.room_i = 1;
	top.retire_room_i = 1;
	top.beats_i = 1;
	top.err_i = 0;
	tick();
	tick();
	top.rst_ni = 1;
	tick();

	/*
	 * HC' = ~(~HC + delta) for every HC and for deltas at the edges: equal modulo 65535 to what the packet's sum
	 * asks for, and 0xFFFF only where nothing changed.
	 */
	const uint16_t deltas[] = {0, 1, 2, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x00FF, 0xFF00, 0x1234, 0xEDCB};
	unsigned wrong_l3 = 0, wrong_tcp = 0, wrong_udp = 0, wrong_ttl = 0;
	for (uint16_t delta : deltas) {
		for (uint32_t csum = 0; csum < 65536;
			csum += delta == 0x1234 || delta == 0 || delta == 0xFFFF ? 1 : 1 + random.below(64)) {
			uint32_t want = (csum + 65535u - delta % 65535u) % 65535;
			bool same = csum == 65535 && delta == 0;

			reset_frame(false, csum & 1);
			put_be16(record + 52, delta);
			put_be16(record + 54, delta);
			meta(META_L3, 16, swap(csum));
			meta(META_L4, 16, swap(csum));
			judge(INFO_FETCHED);
			uint16_t l3 = swap(verdict(V_L3, 16)), l4 = swap(verdict(V_L4, 16));

			wrong_l3 += !fwd() || l3 != (same ? 65535 : want);
			if (csum & 1)
				wrong_udp += l4 != (want == 0 ? 65535 : want);
			else
				wrong_tcp += l4 != want;
			/* UDP 0 stays 0. */
			if (csum == 0) {
				reset_frame(delta & 1, true);
				put_be16(record + 54, delta);
				judge(INFO_FETCHED | (delta & 1 ? INFO_IS6 : 0));
				wrong_udp += !fwd() || verdict(V_L4, 16) != 0;
			}
		}
	}
	tap.ok(wrong_l3 == 0, "the IPv4 header checksum follows its delta, for every value");
	tap.ok(wrong_tcp == 0, "the TCP checksum follows its delta, and a bad one stays bad by as much");
	tap.ok(wrong_udp == 0, "a UDP checksum of 0 stays 0, a computed 0 is sent as 0xFFFF");

	for (uint32_t ttl = 0; ttl < 256; ttl++) {
		for (uint32_t csum = 0; csum < 65536; csum += 1 + random.below(500)) {
			reset_frame(false, false);
			set_actions(SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_DEC_TTL);
			meta(META_TTL, 8, ttl);
			meta(META_L3, 16, swap(csum));
			judge(INFO_FETCHED);
			if (ttl <= 1) {
				wrong_ttl += fwd() || !host() || reason() != SLU_NIC_REASON_TTL;
				continue;
			}
			wrong_ttl += !fwd() || verdict(V_TTL, 8) != ttl - 1 ||
				     swap(verdict(V_L3, 16)) != (csum + 0x100) % 65535;
		}
	}
	tap.ok(wrong_ttl == 0, "one TTL less adds 0x0100 to the header checksum; TTL 0 and 1 go to the host");

	reset_frame(true, false);
	set_actions(SLU_NIC_ACT_FORWARD | SLU_NIC_ACT_DEC_TTL);
	meta(META_TTL, 8, 1);
	judge(INFO_FETCHED | INFO_IS6);
	bool ok = reason() == SLU_NIC_REASON_TTL && host();
	set_actions(SLU_NIC_ACT_FORWARD);
	judge(INFO_FETCHED | INFO_IS6);
	tap.ok(ok && fwd() && verdict(V_TTL, 8) == 1,
		"a hop limit of 1 goes to the host only if the record would decrement it");

	/* The key, bit by bit: any difference is a miss with TAG_FALSE. */
	unsigned wrong = 0;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		for (unsigned bit = 0; bit < 320; bit++) {
			reset_frame(ipv6, false);
			bench::put_bits(&top.key_i, bit, 1, !bench::get_bits(&top.key_i, bit, 1));
			judge(INFO_FETCHED | (ipv6 ? INFO_IS6 : 0));
			/* An IPv4 key has no bits above 32 of its addresses. */
			if (!ipv6 && ((bit >= 32 && bit < 128) || (bit >= 160 && bit < 256)))
				continue;
			wrong += fwd() || reason() != SLU_NIC_REASON_MISS || !top.tag_false_o;
		}
		reset_frame(ipv6, false);
		record[1] ^= SLU_NIC_REC_IPV6;
		judge(INFO_FETCHED | (ipv6 ? INFO_IS6 : 0));
		wrong += fwd() || reason() != SLU_NIC_REASON_MISS;
	}
	tap.ok(wrong == 0, "a key that differs from the record's in any one bit is a miss and counts as a false tag");

	struct Condition {
		const char *sentence;
		unsigned vlan, tagged, tci, port_mask, mac_flag, own;
		bool hit;
	};
	const Condition conditions[] = {
		{"no VLAN condition takes a tagged frame", 0, 1, 5, 0xFF, 0, 0, true},
		{"an untagged frame is untagged", SLU_NIC_VLAN_MATCH_UNTAGGED << 14, 0, 0, 0xFF, 0, 0, true},
		{"a priority-tagged frame counts as untagged", SLU_NIC_VLAN_MATCH_UNTAGGED << 14, 1, 0xE000, 0xFF, 0, 0,
			true},
		{"a tagged frame is not untagged", SLU_NIC_VLAN_MATCH_UNTAGGED << 14, 1, 1, 0xFF, 0, 0, false},
		{"the VLAN id is compared without its priority", SLU_NIC_VLAN_MATCH_VID << 14 | 77, 1, 0xE000 | 77,
			0xFF, 0, 0, true},
		{"another VLAN id does not match", SLU_NIC_VLAN_MATCH_VID << 14 | 77, 1, 78, 0xFF, 0, 0, false},
		{"VLAN id 0 asks for a tag", SLU_NIC_VLAN_MATCH_VID << 14, 0, 0, 0xFF, 0, 0, false},
		{"an unknown VLAN condition never matches", 3u << 14, 0, 0, 0xFF, 0, 0, false},
		{"another ingress port does not match", 0, 0, 0, 0xFE, 0, 0, false},
		{"the port's own MAC matches if asked for", 0, 0, 0, 0xFF, 1, 1, true},
		{"a foreign MAC does not match if the port's own is asked for", 0, 0, 0, 0xFF, 1, 0, false},
	};
	for (const Condition &c : conditions) {
		reset_frame(false, false);
		uint16_t vlan = (uint16_t)c.vlan;
		memcpy(record + 4, &vlan, 2);
		record[3] = (uint8_t)c.port_mask;
		record[1] |= c.mac_flag ? SLU_NIC_REC_MATCH_PORT_MAC : 0;
		meta(META_TAG, 1, c.tagged);
		meta(META_TCI, 16, c.tci);
		meta(META_OWN, 1, c.own);
		judge(INFO_FETCHED);
		tap.ok(c.hit ? fwd() : !fwd() && reason() == SLU_NIC_REASON_CONDITION, c.sentence);
	}

	wrong = 0;
	for (unsigned zero = 0; zero < 256; zero++) {
		for (unsigned flags = 0; flags < 256; flags += 1 + zero % 7) {
			reset_frame(false, false);
			record[6] = (uint8_t)zero;
			meta(META_FLAGS, 8, flags);
			judge(INFO_FETCHED);
			wrong += fwd() != ((zero & flags) == 0) || (!fwd() && reason() != SLU_NIC_REASON_TCP_FLAGS);
		}
	}
	tap.ok(wrong == 0, "a TCP flag that the record wants zero sends the frame to the host");

	reset_frame(false, false);
	hop.mtu = 46;
	judge(INFO_FETCHED);
	ok = fwd();
	hop.mtu = 45;
	judge(INFO_FETCHED);
	tap.ok(ok && !fwd() && reason() == SLU_NIC_REASON_MTU,
		"a packet as long as the MTU passes, one byte longer goes to the host");

	reset_frame(false, false);
	top.err_i = 1;
	judge(INFO_FETCHED);
	ok = !fwd() && reason() == SLU_NIC_REASON_MISS && top.rec_error_o;
	top.err_i = 0;
	judge(INFO_OFF);
	tap.ok(ok && reason() == SLU_NIC_REASON_LOOKUP_OFF,
		"an unreadable record is a miss; a disabled lookup says so");
	return tap.end();
}
