/* slu_parser: a table of frames, a sentence a row, and the reason or the fields that must come out. */
#include "Vslu_parser.h"
#include "bench.h"
#include "sluice/nic_regs.h"

using bench::be16;
using bench::Bytes;
using bench::put_be16;

struct Parsed {
	uint8_t reason, proto, ttl, tcp_flags;
	bool is4, is6, tcp, udp, frag, l3_good, l3_bad, mac_own;
	uint16_t ip_len, l4_csum, l3_csum;
	uint8_t key[40];
};

static Vslu_parser top;

/* Fields of slu_pkg::frame_meta_t, low bits first. */
static Parsed parse(const Bytes &frame)
{
	Parsed p = {};

	for (size_t at = 0; at < frame.size(); at += 64) {
		uint8_t data[64];

		for (uint8_t &byte : data)
			byte = 0xA5; /* behind the end */
		memcpy(data, &frame[at], frame.size() - at < 64 ? frame.size() - at : 64);
		bench::put(&top.data_i, 0, data, 60);
		memcpy(&top.tail_i, data + 60, 4);
		top.valid_i = 1;
		top.first_i = at == 0;
		top.last_i = at + 64 >= frame.size();
		top.commit_i = 0;
		top.clk_i = 0;
		top.eval();
		top.clk_i = 1;
		top.eval();
	}
	top.valid_i = 0;
	top.commit_i = 1;
	top.len_i = (uint16_t)frame.size();
	top.clk_i = 0;
	top.eval();
	bench::get(&top.key_o, 0, p.key, 40);
	for (int i = 0; i < 2; i++) {
		top.clk_i = 1;
		top.eval();
		top.clk_i = 0;
		top.commit_i = 0;
		top.eval();
	}
	if (!top.meta_valid_o) {
		p.reason = 0xFF;
		return p;
	}
	auto field = [](unsigned bit, unsigned count) { return bench::get_bits(&top.meta_o, bit, count); };

	p.is4 = field(14, 1);
	p.is6 = field(15, 1);
	p.tcp = field(16, 1);
	p.udp = field(17, 1);
	p.frag = field(18, 1);
	p.l3_good = field(19, 1);
	p.l3_bad = field(20, 1);
	p.mac_own = field(21, 1);
	p.reason = (uint8_t)field(23, 8);
	p.tcp_flags = (uint8_t)field(144, 8);
	p.proto = (uint8_t)field(32, 8);
	p.ttl = (uint8_t)field(40, 8);
	p.l3_csum = (uint16_t)field(48, 16);
	p.l4_csum = (uint16_t)field(64, 16);
	p.ip_len = (uint16_t)field(80, 16);
	return p;
}

static void fix_csum(Bytes &f)
{
	put_be16(&f[24], 0);
	put_be16(&f[24], (65535 - bench::sum16(&f[14], 20)) % 65535);
}

static Bytes ethernet(uint16_t type)
{
	Bytes f = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0, 0};

	put_be16(&f[12], type);
	return f;
}

static Bytes ipv4(uint8_t proto, size_t payload)
{
	Bytes f = ethernet(0x0800);

	f.resize(34 + payload, 0x11);
	f[14] = 0x45;
	f[15] = 0;
	put_be16(&f[16], (uint32_t)(20 + payload));
	put_be16(&f[18], 0x1234);
	put_be16(&f[20], 0x4000);
	f[22] = 61;
	f[23] = proto;
	for (int i = 26; i < 34; i++)
		f[(size_t)i] = (uint8_t)i;
	fix_csum(f);
	if (proto == 6 && payload >= 14) {
		f[46] = 0x50;
		f[47] = 0x18;
	}
	if (proto == 17 && payload >= 8)
		put_be16(&f[38], (uint32_t)payload);
	if (f.size() < 60)
		f.resize(60, 0xEE);
	return f;
}

static Bytes ipv6(uint8_t proto, size_t payload)
{
	Bytes f = ethernet(0x86DD);

	f.resize(54 + payload, 0x22);
	f[14] = 0x60;
	put_be16(&f[18], (uint32_t)payload);
	f[20] = proto;
	f[21] = 62;
	for (int i = 22; i < 54; i++)
		f[(size_t)i] = (uint8_t)i;
	if (proto == 6 && payload >= 14) {
		f[66] = 0x50;
		f[67] = 0x12;
	}
	if (proto == 17 && payload >= 8)
		put_be16(&f[58], (uint32_t)payload);
	if (f.size() < 60)
		f.resize(60, 0xEE);
	return f;
}

template <class Change> static Bytes with(Bytes f, Change change)
{
	change(f);
	return f;
}

struct Row {
	const char *sentence;
	Bytes frame;
	uint8_t reason;
};

int main()
{
	bench::Tap tap;
	auto csum = [](size_t at, uint8_t value) {
		return [at, value](Bytes &f) {
			f[at] = value;
			fix_csum(f);
		};
	};
	auto set = [](size_t at, uint8_t value) { return [at, value](Bytes &f) { f[at] = value; }; };
	auto set16 = [](size_t at, uint32_t value) { return [at, value](Bytes &f) { put_be16(&f[at], value); }; };
	const std::vector<Row> rows = {
		{"IPv4 TCP with data is looked up", ipv4(6, 40), SLU_NIC_REASON_NONE},
		{"IPv4 TCP of 54 bytes in a padded frame is looked up", ipv4(6, 20), SLU_NIC_REASON_NONE},
		{"IPv4 UDP without data is looked up", ipv4(17, 8), SLU_NIC_REASON_NONE},
		{"IPv4 TCP of the longest frame is looked up", ipv4(6, 9216 - 34), SLU_NIC_REASON_NONE},
		{"IPv6 TCP, whose flags are in the second beat, is looked up", ipv6(6, 20), SLU_NIC_REASON_NONE},
		{"IPv6 UDP of two bytes, which is one beat, is looked up", ipv6(17, 10), SLU_NIC_REASON_NONE},
		{"IPv6 UDP of two beats is looked up", ipv6(17, 200), SLU_NIC_REASON_NONE},
		{"ARP is not IP", with(ipv4(6, 20), set16(12, 0x0806)), SLU_NIC_REASON_NOT_IP},
		{"an 802.3 length is not IP", with(ipv4(6, 20), set16(12, 46)), SLU_NIC_REASON_NOT_IP},
		{"a second 802.1Q tag is a stack", with(ipv4(6, 20), set16(12, 0x8100)), SLU_NIC_REASON_VLAN_STACK},
		{"a service tag is a stack", with(ipv4(6, 20), set16(12, 0x88A8)), SLU_NIC_REASON_VLAN_STACK},
		{"version 5 under EtherType IPv4 is bad", with(ipv4(6, 40), csum(14, 0x55)), SLU_NIC_REASON_BAD_IP},
		{"version 6 under EtherType IPv4 is bad", with(ipv4(6, 40), csum(14, 0x65)), SLU_NIC_REASON_BAD_IP},
		{"version 4 under EtherType IPv6 is bad", with(ipv6(6, 40), set(14, 0x45)), SLU_NIC_REASON_BAD_IP},
		{"a header of 16 bytes is bad", with(ipv4(6, 40), csum(14, 0x44)), SLU_NIC_REASON_BAD_IP},
		{"a header of 0 bytes is bad", with(ipv4(6, 40), csum(14, 0x40)), SLU_NIC_REASON_BAD_IP},
		{"a total length beyond the frame is bad",
			with(ipv4(6, 40),
				[](Bytes &f) {
					put_be16(&f[16], 61);
					fix_csum(f);
				}),
			SLU_NIC_REASON_BAD_IP},
		{"a total length of 0 is bad",
			with(ipv4(6, 40),
				[](Bytes &f) {
					put_be16(&f[16], 0);
					fix_csum(f);
				}),
			SLU_NIC_REASON_BAD_IP},
		{"a total length of 65535 is bad",
			with(ipv4(6, 40),
				[](Bytes &f) {
					put_be16(&f[16], 65535);
					fix_csum(f);
				}),
			SLU_NIC_REASON_BAD_IP},
		{"a total length shorter than the header is bad",
			with(ipv4(6, 40),
				[](Bytes &f) {
					f[14] = 0x4F;
					put_be16(&f[16], 59);
					fix_csum(f);
				}),
			SLU_NIC_REASON_BAD_IP},
		{"an IPv6 payload beyond the frame is bad", with(ipv6(6, 40), set16(18, 41)), SLU_NIC_REASON_BAD_IP},
		{"an IPv6 payload of 65535 is bad", with(ipv6(6, 40), set16(18, 65535)), SLU_NIC_REASON_BAD_IP},
		{"IPv4 options go to the host", with(ipv4(6, 60), csum(14, 0x46)), SLU_NIC_REASON_IP_OPTION},
		{"the longest IPv4 header goes to the host", with(ipv4(6, 60), csum(14, 0x4F)),
			SLU_NIC_REASON_IP_OPTION},
		{"a hop-by-hop header goes to the host", with(ipv6(6, 40), set(20, 0)), SLU_NIC_REASON_IP_OPTION},
		{"a routing header goes to the host", with(ipv6(6, 40), set(20, 43)), SLU_NIC_REASON_IP_OPTION},
		{"destination options go to the host", with(ipv6(6, 40), set(20, 60)), SLU_NIC_REASON_IP_OPTION},
		{"a wrong IPv4 checksum goes to the host", with(ipv4(6, 40), set(24, 0x77)),
			SLU_NIC_REASON_BAD_L3_CSUM},
		{"one flipped bit of an address is seen by the checksum", with(ipv4(6, 40), set(33, 32)),
			SLU_NIC_REASON_BAD_L3_CSUM},
		{"a first fragment goes to the host", with(ipv4(6, 40), csum(20, 0x20)), SLU_NIC_REASON_FRAGMENT},
		{"a last fragment goes to the host", with(ipv4(6, 40), csum(21, 0x01)), SLU_NIC_REASON_FRAGMENT},
		{"the highest bit of the fragment offset counts", with(ipv4(6, 40), csum(20, 0x10)),
			SLU_NIC_REASON_FRAGMENT},
		{"don't fragment is no fragment", with(ipv4(6, 40), csum(20, 0x40)), SLU_NIC_REASON_NONE},
		{"an IPv6 fragment goes to the host", with(ipv6(6, 40), set(20, 44)), SLU_NIC_REASON_FRAGMENT},
		{"ICMP is neither TCP nor UDP", ipv4(1, 40), SLU_NIC_REASON_L4_OTHER},
		{"ICMPv6 is neither TCP nor UDP", ipv6(58, 40), SLU_NIC_REASON_L4_OTHER},
		{"SCTP is neither TCP nor UDP", ipv4(132, 40), SLU_NIC_REASON_L4_OTHER},
		{"19 bytes of TCP are cut short", ipv4(6, 19), SLU_NIC_REASON_L4_SHORT},
		{"19 bytes of TCP over IPv6 are cut short", ipv6(6, 19), SLU_NIC_REASON_L4_SHORT},
		{"no TCP at all is cut short", ipv4(6, 0), SLU_NIC_REASON_L4_SHORT},
		{"a TCP data offset of 4 is too small", with(ipv4(6, 40), set(46, 0x40)), SLU_NIC_REASON_L4_SHORT},
		{"a TCP data offset beyond the packet is cut short", with(ipv4(6, 40), set(46, 0xB0)),
			SLU_NIC_REASON_L4_SHORT},
		{"a TCP data offset up to the end is right", with(ipv4(6, 40), set(46, 0xA0)), SLU_NIC_REASON_NONE},
		{"the padding of a short frame is no TCP option", with(ipv4(6, 20), set(46, 0x60)),
			SLU_NIC_REASON_L4_SHORT},
		{"a TCP data offset beyond the packet is cut short over IPv6", with(ipv6(6, 40), set(66, 0xB0)),
			SLU_NIC_REASON_L4_SHORT},
		{"7 bytes of UDP are cut short", ipv4(17, 7), SLU_NIC_REASON_L4_SHORT},
		{"a UDP length longer than the packet contradicts it", with(ipv4(17, 20), set16(38, 21)),
			SLU_NIC_REASON_L4_SHORT},
		{"a UDP length shorter than the packet contradicts it", with(ipv4(17, 20), set16(38, 19)),
			SLU_NIC_REASON_L4_SHORT},
		{"a UDP length of 0 contradicts it", with(ipv6(17, 20), set16(58, 0)), SLU_NIC_REASON_L4_SHORT},
	};

	top.rst_ni = 0;
	top.valid_i = 0;
	top.commit_i = 0;
	for (int i = 0; i < 4; i++) {
		top.clk_i = !top.clk_i;
		top.eval();
	}
	top.rst_ni = 1;
	bench::put_bits(&top.port_mac_i, 0, 48, 0x010000000002ull);

	for (const Row &row : rows) {
		Parsed p = parse(row.frame);

		if (!tap.ok(p.reason == row.reason, row.sentence))
			fprintf(stderr, "# reason %u, not %u\n", p.reason, row.reason);
	}

	Bytes f = ipv4(6, 40);
	Parsed p = parse(f);
	tap.ok(p.is4 && p.tcp && !p.udp && p.l3_good && !p.l3_bad && p.ttl == 61 && p.proto == 6 &&
			p.tcp_flags == 0x18 && p.ip_len == 60 && p.mac_own && !memcmp(&p.l3_csum, &f[24], 2) &&
			!memcmp(&p.l4_csum, &f[50], 2),
		"the fields of IPv4 TCP are those of the frame");
	uint8_t key[40] = {};
	memcpy(key, &f[26], 4);
	memcpy(key + 16, &f[30], 4);
	memcpy(key + 32, &f[34], 4);
	key[36] = 6;
	tap.ok(!memcmp(p.key, key, 40), "the key of IPv4 has zeros behind its addresses");

	f = ipv6(6, 30);
	f[5] = 7;
	p = parse(f);
	memcpy(key, &f[22], 32);
	memcpy(key + 32, &f[54], 4);
	tap.ok(p.is6 && p.tcp && !p.l3_good && !p.l3_bad && p.ttl == 62 && p.tcp_flags == 0x12 && p.ip_len == 70 &&
			!p.mac_own && !memcmp(&p.l4_csum, &f[70], 2) && !memcmp(p.key, key, 40),
		"the fields and the key of IPv6 TCP are those of the frame, of both its beats");
	f = ipv6(17, 10);
	p = parse(f);
	tap.ok(p.is6 && p.udp && p.tcp_flags == 0 && !memcmp(&p.l4_csum, &f[60], 2),
		"the checksum of a one-beat IPv6 UDP frame is found");

	/* Every wrong checksum is seen, and both forms of a right one are taken. */
	unsigned wrong = 0;
	f = ipv4(6, 40);
	uint16_t right = be16(&f[24]);
	for (uint32_t value = 0; value < 65536; value++) {
		put_be16(&f[24], value);
		p = parse(f);
		bool good = value % 65535 == right % 65535u;

		wrong += p.l3_good != good || p.l3_bad == good;
	}
	tap.ok(wrong == 0, "of 65,536 IPv4 header checksums only the right one passes");
	return tap.end();
}
