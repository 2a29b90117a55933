/*
 * The flow engine as a whole against the model: random flows and frames, back-pressure, answers out of order, moves and
 * removals under traffic, overload; and the rates that the issue asks for.
 */
#include "engine_bench.h"
#include "flow_traffic.h"

using bench::Bytes;
using model::Flow;
using traffic::Shape;

enum { SET_TAG, CLEAR_TAG, DUMP, WRITE_NEXTHOP, READ_NEXTHOP, FENCE, FLOW_RESET, READ_RECORD };

static bench::Tap tap;

static struct slu_nic_next_hop hop(uint8_t port, uint8_t flags, uint16_t tci = 0, uint16_t mtu = 0)
{
	struct slu_nic_next_hop nh = {};

	for (int i = 0; i < 6; i++) {
		nh.dmac[i] = (uint8_t)(0x10 * port + i);
		nh.smac[i] = (uint8_t)(0xA0 + 0x10 * port + i);
	}
	nh.vlan_tci = (uint16_t)(tci >> 8 | tci << 8);
	nh.flags = flags;
	nh.port = port;
	nh.mtu = mtu;
	return nh;
}

/* 0..7: both wires, the three kinds of tagging, an MTU; 8 invalid, 9 a port that does not exist. */
static void hops(EngineBench &b)
{
	b.next_hop(0, hop(0, SLU_NIC_NH_VALID));
	b.next_hop(1, hop(1, SLU_NIC_NH_VALID));
	b.next_hop(2, hop(0, SLU_NIC_NH_VALID | SLU_NIC_NH_VLAN_SET, 0x6123));
	b.next_hop(3, hop(1, SLU_NIC_NH_VALID | SLU_NIC_NH_VLAN_SET, 0x0FFE));
	b.next_hop(4, hop(0, SLU_NIC_NH_VALID | SLU_NIC_NH_VLAN_KEEP));
	b.next_hop(5, hop(1, SLU_NIC_NH_VALID | SLU_NIC_NH_VLAN_KEEP));
	b.next_hop(6, hop(0, SLU_NIC_NH_VALID, 0, 400));
	b.next_hop(7, hop(1, SLU_NIC_NH_VALID | SLU_NIC_NH_VLAN_KEEP, 0, 400));
	b.next_hop(8, hop(1, 0));
	b.next_hop(9, hop(5, SLU_NIC_NH_VALID));
}

/* Flows that forward, and some of every other kind. */
static std::vector<Flow> table(EngineBench &b, unsigned count, bool odd)
{
	std::vector<Flow> flows;

	hops(b);
	while (flows.size() < count) {
		Flow f = traffic::flow(b.random, (uint16_t)b.random.below(odd ? 10 : 8));

		if (odd) {
			if (b.random.percent(5))
				f.actions |= SLU_NIC_ACT_DROP;
			if (b.random.percent(5))
				f.actions |= SLU_NIC_ACT_TO_HOST;
			if (b.random.percent(5))
				f.actions &= ~SLU_NIC_ACT_FORWARD;
			if (b.random.percent(10))
				f.port_mask = (uint8_t)(1u << b.random.below(2));
			if (b.random.percent(20))
				f.vlan = (uint16_t)(b.random.below(4) << 14 | b.random.below(3));
			if (b.random.percent(10))
				f.match_port_mac = true;
			if (b.random.percent(10))
				f.tcp_zero = (uint8_t)b.random.next();
			if (f.ipv6 && b.random.percent(5))
				f.torn = true;
			if (b.random.percent(5))
				f.next_hop = (uint16_t)(f.next_hop | 1u << b.random.between(12, 15));
			f.queue = (uint16_t)b.random.below(4);
		}
		if (b.add(f))
			flows.push_back(f);
	}
	return flows;
}

static Bytes random_frame(EngineBench &b, const std::vector<Flow> &flows, bool odd, unsigned broken)
{
	Flow f = flows[b.random.below((uint32_t)flows.size())];
	Shape s;

	s.payload = b.random.percent(50)   ? b.random.below(12)
		    : b.random.percent(80) ? b.random.below(300)
					   : b.random.below(1500);
	if (b.random.percent(2))
		s.payload = 9216 - 14 - 4 - 60;
	if (b.random.percent(30))
		s.vlan = (int)(b.random.below(8) << 13 | b.random.below(3));
	if (odd) {
		if (b.random.percent(10))
			s.tcp_flags = (uint8_t)b.random.next();
		if (b.random.percent(10))
			s.ttl = (uint8_t)b.random.below(3);
		if (b.random.percent(10))
			f.sport[0] ^= 1; /* a miss */
	}
	s.bad_l4 = b.random.percent(10);
	s.no_udp_checksum = b.random.percent(10);
	s.dst_mac[5] = (uint8_t)b.random.between(1, 2);

	Bytes frame = traffic::frame(b.random, f, s);

	if (b.random.percent(broken))
		traffic::damage(b.random, frame);
	return frame;
}

/* Sends `count` frames, keeping so few under way that nothing may be dropped. */
static void pour(EngineBench &b, const std::vector<Flow> &flows, unsigned count, bool odd, unsigned broken)
{
	while (count--) {
		unsigned port = b.random.below(2);

		b.send(port, random_frame(b, flows, odd, broken), b.random.percent(1));
		while (b.error.empty() && b.pending() > 40)
			b.clock();
	}
}

static void test_random(uint64_t seed, const char *what, unsigned stall, unsigned latency_min, unsigned latency_max)
{
	EngineBench b(seed);

	b.rx_gap = b.tx_stall = b.hrx_stall = b.fst_stall = b.ar_stall = stall;
	b.latency_min = latency_min;
	b.latency_max = latency_max;
	std::vector<Flow> flows = table(b, 150, true);

	b.model.vlan_strip[1] = true;
	b.top->vlan_strip_i = 2;
	pour(b, flows, 6000, true, 25);
	for (int i = 0; i < 200; i++) {
		Bytes frame(b.random.between(60, 1500));

		for (uint8_t &byte : frame)
			byte = (uint8_t)b.random.next();
		b.host_send(b.random.below(2), frame);
		b.send(b.random.below(2), random_frame(b, flows, false, 0));
		b.run(10);
	}
	b.drain();
	if (!b.error.empty())
		fprintf(stderr, "# %s\n", b.error.c_str());
	unsigned missing = 0;
	for (unsigned r = SLU_NIC_REASON_MISS; r <= SLU_NIC_REASON_MTU; r++)
		missing += r != SLU_NIC_REASON_LOOKUP_OFF && b.reasons[r] == 0;
	tap.ok(b.error.empty() && b.forwarded > 1500 && b.to_host > 1000 && missing == 0,
		std::string("random frames and flows come out as the model says, every reason seen, ") + what);
}

static void test_lookup_off()
{
	EngineBench b(7);
	std::vector<Flow> flows = table(b, 20, false);

	b.top->lookup_enable_i = 0;
	b.model.lookup = false;
	pour(b, flows, 300, true, 20);
	b.drain();
	tap.ok(b.error.empty() && b.reasons[SLU_NIC_REASON_LOOKUP_OFF] > 250,
		"with lookup disabled every frame goes to the host and says so");
	if (!b.error.empty())
		fprintf(stderr, "# %s\n", b.error.c_str());
}

static void test_statistics()
{
	EngineBench b(8);
	std::vector<Flow> flows = table(b, 60, true);

	b.latency_min = 20;
	b.latency_max = 90;
	pour(b, flows, 3000, true, 20);
	b.drain();

	uint64_t in = 0, to_host = 0, reasons = 0, hits = 0, drops = 0, out = 0, out_bytes = 0, rule = 0, full = 0;

	for (unsigned p = 0; p < 2; p++) {
		in += b.statistic(p, SLU_NIC_STAT_RX_FRAMES);
		to_host += b.statistic(p, SLU_NIC_STAT_TO_HOST);
		reasons += b.statistic(p, SLU_NIC_STAT_REASON_MISS) + b.statistic(p, SLU_NIC_STAT_REASON_TCP_FLAGS) +
			   b.statistic(p, SLU_NIC_STAT_REASON_EXCEPTION);
		hits += b.statistic(p, SLU_NIC_STAT_HIT_FRAMES);
		rule += b.statistic(p, SLU_NIC_STAT_RULE_DROP);
		drops += b.statistic(p, SLU_NIC_STAT_RX_RUNT) + b.statistic(p, SLU_NIC_STAT_RX_GIANT) +
			 b.statistic(p, SLU_NIC_STAT_RX_WIRE_ERROR);
		full += b.statistic(p, SLU_NIC_STAT_RX_FIFO_DROP) + b.statistic(p, SLU_NIC_STAT_HOST_FIFO_DROP);
		out += b.statistic(p, SLU_NIC_STAT_TX_FRAMES);
		out_bytes += b.statistic(p, SLU_NIC_STAT_TX_BYTES);
	}
	tap.ok(b.error.empty() && in == 3000 && to_host == b.to_host && reasons == to_host && hits == b.forwarded &&
			out == hits && out_bytes > 60 * out && drops + rule == b.dropped && full == 0 &&
			in == hits + to_host + drops + rule,
		"port statistics add up: every frame is a hit, went to the host, or was dropped for a counted reason");
}

static void test_runts_giants()
{
	EngineBench b(9);
	Bytes runt(59, 1), giant(9217, 2), longest(9216, 3), shortest(60, 4), endless(40000, 5), tiny(1, 6);

	for (int i = 0; i < 3; i++) {
		b.send(0, runt);
		b.send(0, giant);
		b.send(0, longest);
		b.send(0, endless);
		b.send(0, shortest);
		b.send(0, tiny);
		b.send(0, shortest, true);
	}
	b.drain();
	tap.ok(b.error.empty() && b.to_host == 6 && b.statistic(0, SLU_NIC_STAT_RX_RUNT) == 6 &&
			b.statistic(0, SLU_NIC_STAT_RX_GIANT) == 6 && b.statistic(0, SLU_NIC_STAT_RX_WIRE_ERROR) == 3 &&
			b.statistic(0, SLU_NIC_STAT_RX_FRAMES) == 21 &&
			b.statistic(0, SLU_NIC_STAT_RX_BYTES) == 3u * (59 + 9217 + 9216 + 40000 + 60 + 1 + 60),
		"runts, giants and wire errors are dropped and counted; 60 and 9216 bytes pass");
	if (!b.error.empty())
		fprintf(stderr, "# %s\n", b.error.c_str());
}

/* Moves, removals and additions under traffic: flows that stay must hit all the time. */
static void test_moves(uint64_t seed, unsigned latency_min, unsigned latency_max)
{
	EngineBench b(seed);

	b.latency_min = latency_min;
	b.latency_max = latency_max;
	b.fst_stall = 30;
	std::vector<Flow> stay = table(b, 100, false);
	std::vector<Flow> come_and_go;
	unsigned moves = 0;

	for (Flow &f : stay)
		f.tcp_zero = 0;
	for (int round = 0; round < 400; round++) {
		/* Keep both wires busy with short frames while the table changes underneath. */
		for (int i = 0; i < 30; i++) {
			Shape s;

			s.payload = b.random.below(30);
			b.send(b.random.below(2), traffic::frame(b.random, stay[b.random.below(100)], s));
		}
		moves += b.move(stay[b.random.below(100)].key());
		if (b.random.percent(50)) {
			Flow f = traffic::flow(b.random, 1);

			if (b.add(f))
				come_and_go.push_back(f);
		} else if (!come_and_go.empty()) {
			b.remove(come_and_go.back().key());
			come_and_go.pop_back();
		}
		while (b.error.empty() && b.pending() > 600)
			b.clock();
		if (!b.error.empty())
			break;
	}
	b.drain();
	if (!b.error.empty())
		fprintf(stderr, "# %s\n", b.error.c_str());
	uint64_t false_tags = b.statistic(0, SLU_NIC_STAT_TAG_FALSE) + b.statistic(1, SLU_NIC_STAT_TAG_FALSE);
	tap.ok(b.error.empty() && b.forwarded >= 11900 && b.to_host == 0 && false_tags == 0 && moves > 100,
		std::string("no lookup misses or reads a stale record while flows move, come and go, record latency ") +
			std::to_string(latency_min) + ".." + std::to_string(latency_max));
}

static void test_table_port()
{
	EngineBench b(11);
	std::vector<Flow> flows = table(b, 120, false);
	bool dump = true, valid = true, record = true, nh = true;

	tap.ok(b.top->tags_valid_o == 120, "the count of valid tags follows SET_TAG");
	b.table(SET_TAG, b.slot_of(flows[0].key()), model::place(flows[0].key(), b.hash_key, b.BUCKET_BITS).tag);
	valid = b.top->tags_valid_o == 120;
	for (const Flow &f : flows) {
		uint32_t slot = b.slot_of(f.key()), word;

		b.table(DUMP, slot >> 2 & ((1u << b.BUCKET_BITS) - 1));
		memcpy(&word, b.table_data + 4 * ((slot >> (b.BUCKET_BITS + 2)) * 4 + slot % 4), 4);
		dump &= word == (0x80000000u | model::place(f.key(), b.hash_key, b.BUCKET_BITS).tag);
		b.table(READ_RECORD, slot);
		record &= !b.table_error() && !memcmp(b.table_data, &b.memory[slot * 128], 128);
	}
	unsigned all = 0;
	for (uint32_t bucket = 0; bucket < 1u << b.BUCKET_BITS; bucket++) {
		b.table(DUMP, bucket);
		for (int i = 0; i < 8; i++)
			all += b.table_data[4 * i + 3] >> 7;
	}
	dump &= all == 120;
	for (uint16_t i = 0; i < 10; i++) {
		b.table(READ_NEXTHOP, i);
		nh &= !memcmp(b.table_data, &b.model.next_hops[i], 32);
	}
	b.record_errors = true;
	b.table(READ_RECORD, 3);
	record &= b.table_error();
	b.record_errors = false;
	b.table(FENCE);
	record &= !b.table_error();
	tap.ok(valid, "setting a valid tag again does not count twice");
	tap.ok(dump, "DUMP shows every tag in its slot, and no other");
	tap.ok(record, "READ_RECORD gives the 128 bytes of a slot, or the memory's error");
	tap.ok(nh, "READ_NEXTHOP gives what WRITE_NEXTHOP wrote");

	pour(b, flows, 500, false, 0);
	b.drain();
	uint64_t before = b.forwarded;
	b.table(FLOW_RESET);
	b.model.flows.clear();
	valid = b.top->tags_valid_o == 0;
	b.table(READ_NEXTHOP, 1);
	for (int i = 0; i < 32; i++)
		valid &= b.table_data[i] == 0;
	pour(b, flows, 200, false, 0);
	b.drain();
	tap.ok(b.error.empty() && valid && before > 400 && b.forwarded == before &&
			b.reasons[SLU_NIC_REASON_MISS] >= 190,
		"FLOW_RESET clears tags and next hops, and every frame misses");
	if (!b.error.empty())
		fprintf(stderr, "# %s\n", b.error.c_str());
}

static void test_flow_reset_pulse()
{
	EngineBench b(19);
	std::vector<Flow> flows = table(b, 60, false);

	b.latency_min = 50;
	b.latency_max = 100;
	/* Lookups are under way: they end, the ones after them do not hit. */
	for (int i = 0; i < 100; i++)
		b.send(0, traffic::frame(b.random, flows[b.random.below(60)], Shape()), false, false);
	b.run(150);
	b.top->flow_rst_i = 1;
	b.clock();
	b.top->flow_rst_i = 0;
	b.run(20);
	bool busy = b.top->busy_o;
	for (unsigned limit = 20000; limit && (b.top->busy_o || !b.top->idle_o); limit--)
		b.clock();
	uint64_t hits = b.statistic(0, SLU_NIC_STAT_HIT_FRAMES), off = b.statistic(0, SLU_NIC_STAT_REASON_EXCEPTION);
	tap.ok(busy && b.top->idle_o && b.top->tags_valid_o == 0 && hits > 0 &&
			hits + off + b.statistic(0, SLU_NIC_STAT_REASON_MISS) == 100,
		"a reset of the flow domain clears the table while lookups are in flight, and loses no frame");
}

static void test_record_errors()
{
	EngineBench b(12);
	std::vector<Flow> flows = table(b, 20, false);
	Shape s;

	b.record_errors = true;
	for (int i = 0; i < 50; i++)
		b.send(0, traffic::frame(b.random, flows[b.random.below(20)], s), false, false);
	for (int i = 0; i < 2000; i++) {
		/* Misses come from the model with an empty table. */
		b.clock();
	}
	tap.ok(b.statistic(0, SLU_NIC_STAT_REASON_MISS) == 50 && b.statistic(0, SLU_NIC_STAT_HIT_FRAMES) == 0,
		"a record that the memory could not read is a miss, never a hit");
}

static void test_overload()
{
	EngineBench b(13);
	std::vector<Flow> flows = table(b, 50, false);
	Shape s;

	/* Host side stands still: misses fill its FIFO and are dropped whole; hits go on. */
	b.hrx_stall = 100;
	b.host_may_drop = true;
	for (int i = 0; i < 6000; i++) {
		Flow f = flows[b.random.below(50)];

		s.payload = b.random.below(100);
		if (i % 2)
			f.dport[1] ^= 0x55;
		b.send(0, traffic::frame(b.random, f, s));
		while (b.top->rx_valid_i && i % 200 == 199)
			b.clock();
	}
	for (unsigned limit = 200000; limit && b.forwarded < 2990; limit--)
		b.clock();
	uint64_t hits = b.forwarded;
	bool blocked = b.to_host == 0;
	b.hrx_stall = 0;
	b.drain();
	if (!b.error.empty())
		fprintf(stderr, "# %s\n", b.error.c_str());
	tap.ok(b.error.empty() && blocked && hits >= 2990 && b.hosts_lost > 500 &&
			b.statistic(0, SLU_NIC_STAT_HOST_FIFO_DROP) == b.hosts_lost &&
			b.to_host == b.statistic(0, SLU_NIC_STAT_TO_HOST),
		"a host that stands still loses whole frames, counted, and never blocks hits");

	/* Egress stands still: the packet store fills, frames are dropped whole at the wire and counted. */
	EngineBench c(14);

	flows = table(c, 50, false);
	c.store_may_drop = true;
	c.tx_stall = 100;
	for (int i = 0; i < 3000; i++) {
		s.payload = c.random.below(300);
		c.send(0, traffic::frame(c.random, flows[c.random.below(50)], s));
	}
	c.run(20000);
	c.tx_stall = 10;
	c.drain();
	if (!c.error.empty())
		fprintf(stderr, "# %s\n", c.error.c_str());
	tap.ok(c.error.empty() && c.statistic(0, SLU_NIC_STAT_RX_FIFO_DROP) > 500 &&
			c.statistic(0, SLU_NIC_STAT_RX_FIFO_DROP) + c.forwarded + c.to_host == 3000,
		"a full packet store drops whole frames, counted, and what comes out is intact");

	/* Ports that deliver nothing to the host. */
	EngineBench d(15);

	flows = table(d, 50, false);
	d.top->port_enable_i = 0;
	d.host_may_drop = true;
	for (int i = 0; i < 500; i++) {
		d.send(d.random.below(2), random_frame(d, flows, true, 20));
		d.run(40);
	}
	d.drain();
	tap.ok(d.error.empty() && d.forwarded > 200 && d.to_host == 0 &&
			d.statistic(0, SLU_NIC_STAT_HOST_OFF_DROP) + d.statistic(1, SLU_NIC_STAT_HOST_OFF_DROP) ==
				d.hosts_lost,
		"a disabled port forwards hits and drops the rest, counted");
}

static void test_rate(const char *what, unsigned latency_min, unsigned latency_max, unsigned frames)
{
	EngineBench b(20);
	std::vector<Flow> flows;
	std::vector<Bytes> burst;
	Shape s;

	hops(b);
	while (flows.size() < 200) {
		Flow f = traffic::flow(b.random, 1);

		f.ipv6 = false;
		f.proto = 6;
		if (b.add(f))
			flows.push_back(f);
	}
	b.latency_min = latency_min;
	b.latency_max = latency_max;
	/* One frame alone: the latency. */
	s.payload = 10;
	b.send(0, traffic::frame(b.random, flows[0], s));
	b.first_rx = 0;
	b.drain();
	uint64_t latency = b.last_tx - b.first_rx;

	uint64_t before = b.forwarded;
	for (unsigned i = 0; i < frames; i++)
		b.send(0, traffic::frame(b.random, flows[i % 200], s));
	b.quiet_sink = true;
	b.first_rx = 0;
	double cpu = bench::cpu_seconds();
	uint64_t clocks = b.now;
	b.drain(2 * frames + 10000);
	cpu = bench::cpu_seconds() - cpu;
	clocks = b.now - clocks;

	double per_frame = (double)(b.last_tx - b.first_rx - latency) / frames;
	printf("# %s: %.4f clocks a frame, latency %llu, reads in flight %llu, %.2f M clocks per CPU second\n", what,
		per_frame, (unsigned long long)latency, (unsigned long long)b.max_in_flight, clocks / cpu * 1e-6);
	if (!b.error.empty())
		fprintf(stderr, "# %s\n", b.error.c_str());
	tap.ok(b.error.empty() && b.forwarded - before == frames && b.statistic(0, SLU_NIC_STAT_RX_FIFO_DROP) == 0 &&
			per_frame < 1.01 + 450.0 / frames,
		std::string("one-beat frames that hit leave at one a clock, record latency ") + what);
	tap.ok(latency <= latency_max + 64,
		std::string("a hit takes at most the record latency and 64 clocks, record latency ") + what);
}

int main(int argc, char **argv)
{
	unsigned frames = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;

	test_random(1, "all at full speed", 0, 5, 5);
	test_random(2, "stalls everywhere, records reordered", 40, 10, 300);
	test_random(3, "records slow and reordered", 0, 100, 400);
	test_lookup_off();
	test_statistics();
	test_runts_giants();
	test_table_port();
	test_flow_reset_pulse();
	test_record_errors();
	test_overload();
	test_moves(16, 1, 8);
	test_moves(17, 20, 200);
	test_moves(18, 1, 400);
	test_rate("200", 200, 200, frames);
	test_rate("100..400 reordered", 100, 400, frames);
	return tap.end();
}
