#include "flow_traffic.h"

namespace traffic
{

using bench::be16;
using bench::Bytes;
using bench::put_be16;
using bench::Random;
using bench::sum16;

static void fill(Random &random, uint8_t *p, size_t count)
{
	while (count--)
		*p++ = (uint8_t)random.next();
}

model::Flow flow(Random &random, uint16_t next_hop)
{
	model::Flow f;
	size_t address;

	f.ipv6 = random.percent(40);
	address = f.ipv6 ? 16 : 4;
	f.proto = random.percent(60) ? 6 : 17;
	fill(random, f.src, address);
	fill(random, f.dst, address);
	fill(random, f.sport, 2);
	fill(random, f.dport, 2);
	fill(random, f.new_src, address);
	fill(random, f.new_dst, address);
	fill(random, f.new_sport, 2);
	fill(random, f.new_dport, 2);
	f.flow_id = random.below(1u << 20);
	f.mark = (uint32_t)random.next();
	f.next_hop = next_hop;
	f.actions = SLU_NIC_ACT_FORWARD |
		    (random.below(128) & (SLU_NIC_ACT_SET_SRC | SLU_NIC_ACT_SET_DST | SLU_NIC_ACT_SET_SPORT |
						 SLU_NIC_ACT_SET_DPORT | SLU_NIC_ACT_DEC_TTL)) |
		    (random.percent(80) ? SLU_NIC_ACT_COUNT : 0);
	if (random.percent(80))
		f.actions |= SLU_NIC_ACT_SET_DMAC | SLU_NIC_ACT_SET_SMAC;
	return f;
}

Bytes frame(Random &random, const model::Flow &f, const Shape &shape)
{
	size_t address = f.ipv6 ? 16 : 4, ip_header = f.ipv6 ? 40 : 20, l4_header = f.proto == 6 ? 20 : 8;
	size_t l4_bytes = l4_header + shape.payload;
	Bytes out(14 + ip_header + l4_bytes);
	uint8_t *ip = &out[14], *l4 = ip + ip_header;
	uint8_t *src = ip + (f.ipv6 ? 8 : 12);

	fill(random, &out[0], out.size());
	memcpy(&out[0], shape.dst_mac, 6);
	put_be16(&out[12], f.ipv6 ? 0x86DD : 0x0800);
	if (f.ipv6) {
		ip[0] = (uint8_t)(0x60 | (ip[0] & 15));
		put_be16(ip + 4, (uint32_t)l4_bytes);
		ip[6] = f.proto;
		ip[7] = shape.ttl;
	} else {
		ip[0] = 0x45;
		put_be16(ip + 2, (uint32_t)(20 + l4_bytes));
		put_be16(ip + 6, random.percent(50) ? 0x4000 : 0);
		ip[8] = shape.ttl;
		ip[9] = f.proto;
	}
	memcpy(src, f.src, address);
	memcpy(src + address, f.dst, address);
	memcpy(l4, f.sport, 2);
	memcpy(l4 + 2, f.dport, 2);
	if (!f.ipv6) {
		put_be16(ip + 10, 0);
		put_be16(ip + 10, (65535 - sum16(ip, 20)) % 65535);
	}

	uint8_t *csum = l4 + (f.proto == 6 ? 16 : 6);

	if (f.proto == 6) {
		l4[12] = (uint8_t)(0x50 | (l4[12] & 15));
		l4[13] = shape.tcp_flags;
	} else {
		put_be16(l4 + 4, (uint32_t)l4_bytes);
	}
	put_be16(csum, 0);
	uint32_t sum = sum16(l4, l4_bytes, sum16(src, 2 * address) + (uint32_t)l4_bytes + f.proto);
	uint32_t value = (65535 - sum) % 65535;
	if (f.proto == 17 && value == 0)
		value = 0xFFFF;
	if (shape.bad_l4)
		value = random.below(65536);
	if (f.proto == 17 && shape.no_udp_checksum)
		value = 0;
	put_be16(csum, value);

	if (shape.vlan >= 0) {
		const uint8_t tag[4] = {0x81, 0, (uint8_t)(shape.vlan >> 8), (uint8_t)shape.vlan};

		out.insert(out.begin() + 12, tag, tag + 4);
	}
	while (out.size() < 60)
		out.push_back((uint8_t)random.next());
	return out;
}

void damage(Random &random, Bytes &f)
{
	size_t at;

	switch (random.below(9)) {
	case 0: /* a bit anywhere in the headers */
		at = random.below(74);
		if (at < f.size())
			f[at] ^= (uint8_t)(1u << random.below(8));
		break;
	case 1: /* a byte of the IP and L4 headers */
		at = 12 + random.below(62);
		if (at < f.size())
			f[at] = (uint8_t)random.next();
		break;
	case 2: /* cut short */
		f.resize(random.between(14, (uint32_t)f.size()));
		break;
	case 3: /* padded */
		f.resize(f.size() + random.below(70), 0xEE);
		break;
	case 4: /* length fields */
		put_be16(&f[16], random.below(200));
		break;
	case 5:
		put_be16(&f[18], random.below(200));
		break;
	case 6: /* another EtherType */
	{
		static const uint16_t types[] = {0x0806, 0x8100, 0x88A8, 0x0800, 0x86DD, 0x0100, 0x0021};

		put_be16(&f[12], types[random.below(7)]);
		break;
	}
	case 7: /* a second tag */
	{
		const uint8_t tag[4] = {0x81, 0, 0x20, 0x05};

		f.insert(f.begin() + 12, tag, tag + 4);
		break;
	}
	case 8: /* next header, options */
		if (f[12] == 0x86) {
			static const uint8_t next[] = {0, 43, 44, 50, 51, 58, 60, 135, 139, 140, 6, 17};

			f[20] = next[random.below(12)];
		} else if (f[12] == 0x08) {
			f[14] = (uint8_t)(0x40 | random.below(16));
			if (random.percent(50))
				f[20] = (uint8_t)(1u << random.below(8));
			put_be16(&f[24], 0);
			put_be16(&f[24], (65535 - sum16(&f[14], 20)) % 65535);
		}
		break;
	}
}

} // namespace traffic
