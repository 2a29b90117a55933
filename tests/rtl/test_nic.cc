/*
 * The whole card, sluice_nic: a driver in the bench programs flows through the command ring; frames that hit leave
 * rewritten, misses reach host rings, the host's frames reach the wires, statistics add up, and a reset of the host
 * domain disturbs none of what is offloaded. The flow engine's reference model judges every frame.
 */
#include <set>

#include "Vsluice_nic.h"
#include "flow_traffic.h"
#include "host_driver.h"

using namespace bench;

enum { PORTS = 2, BUCKET_BITS = 8, FLOW_BITS = 12 };

struct Nic {
	Vsluice_nic top;
	HostDriver<Vsluice_nic> host;
	Pages record_pages, counter_pages;
	AxiMemory dma, records, counters;
	Random random;
	model::Engine engine;
	uint32_t hash_key[14];
	std::deque<Bytes> in[PORTS];
	size_t in_at[PORTS] = {};
	std::deque<Bytes> out[PORTS];
	Bytes part[PORTS];
	unsigned gap_percent = 0;
	uint64_t clocks = 0, stopped = 0;
	bool follows_input = false;
	std::map<uint32_t, uint64_t> packets, bytes;
	std::set<uint32_t> used;

	explicit Nic(uint64_t seed)
	    : host(top), dma(dma_ports(top), &host.pages, seed), records(record_ports(), &record_pages, seed + 1),
	      counters(counter_ports(top), &counter_pages, seed + 2), random(seed + 3)
	{
		host.tick = [this] { tick(); };
		record_pages.map(0, (8u << BUCKET_BITS) * 128);
		counter_pages.map(0, 16 << FLOW_BITS);
		for (auto &k : hash_key)
			k = (uint32_t)random.next();
		top.link_i = 3;
		top.tx_ready_i = 3;
		top.time_us_i = 5000000;
		top.rst_ni = 0;
		for (int i = 0; i < 3; i++)
			tick();
		top.rst_ni = 1;
		host.wait_idle();
	}
	AxiPorts record_ports()
	{
		AxiPorts p = {};

		p.beat_bytes = 64;
		p.addr_bytes = 4;
		p.id_bytes = 2;
		p.arvalid = &top.m_rec_arvalid_o;
		p.arready = &top.m_rec_arready_i;
		p.arlen = &top.m_rec_arlen_o;
		p.araddr = &top.m_rec_araddr_o;
		p.arid = &top.m_rec_arid_o;
		p.rvalid = &top.m_rec_rvalid_i;
		p.rready = &top.m_rec_rready_o;
		p.rdata = &top.m_rec_rdata_i;
		p.rid = &top.m_rec_rid_i;
		p.rresp = &top.m_rec_rresp_i;
		p.rlast = &top.m_rec_rlast_i;
		p.awvalid = &top.m_rec_awvalid_o;
		p.awready = &top.m_rec_awready_i;
		p.awlen = &top.m_rec_awlen_o;
		p.awaddr = &top.m_rec_awaddr_o;
		p.awid = &top.m_rec_awid_o;
		p.wvalid = &top.m_rec_wvalid_o;
		p.wready = &top.m_rec_wready_i;
		p.wlast = &top.m_rec_wlast_o;
		p.wdata = &top.m_rec_wdata_o;
		p.wstrb = &top.m_rec_wstrb_o;
		p.bvalid = &top.m_rec_bvalid_i;
		p.bready = &top.m_rec_bready_o;
		p.bid = &top.m_rec_bid_i;
		p.bresp = &top.m_rec_bresp_i;
		return p;
	}
	/* What the simulator samples without settling it first: every output but AXI4-Lite's and idle_o. */
	std::string watched() const
	{
		std::string s;
		auto add = [&s](const auto &...output) {
			(s.append(reinterpret_cast<const char *>(&output), sizeof(output)), ...);
		};

		add(top.irq_o, top.tx_valid_o, top.tx_data_o, top.tx_keep_o, top.tx_last_o);
		add(top.m_dma_arvalid_o, top.m_dma_araddr_o, top.m_dma_arid_o, top.m_dma_arlen_o, top.m_dma_rready_o,
			top.m_dma_awvalid_o, top.m_dma_awaddr_o, top.m_dma_awid_o, top.m_dma_awlen_o,
			top.m_dma_wvalid_o, top.m_dma_wdata_o, top.m_dma_wstrb_o, top.m_dma_wlast_o,
			top.m_dma_bready_o);
		add(top.m_rec_arvalid_o, top.m_rec_araddr_o, top.m_rec_arid_o, top.m_rec_arlen_o, top.m_rec_rready_o,
			top.m_rec_awvalid_o, top.m_rec_awaddr_o, top.m_rec_awid_o, top.m_rec_awlen_o,
			top.m_rec_wvalid_o, top.m_rec_wdata_o, top.m_rec_wstrb_o, top.m_rec_wlast_o,
			top.m_rec_bready_o);
		add(top.m_cnt_arvalid_o, top.m_cnt_araddr_o, top.m_cnt_arid_o, top.m_cnt_rready_o, top.m_cnt_awvalid_o,
			top.m_cnt_awaddr_o, top.m_cnt_awid_o, top.m_cnt_wvalid_o, top.m_cnt_wdata_o, top.m_cnt_wstrb_o,
			top.m_cnt_wlast_o, top.m_cnt_bready_o);
		return s;
	}
	void tick()
	{
		std::string before = watched();
		top.eval();
		follows_input |= clocks && before != watched();
		dma.sample();
		records.sample();
		counters.sample();
		host.sample();
		for (unsigned p = 0; p < PORTS; p++)
			take(p);
		top.clk_i = !top.clk_i;
		top.eval();
		dma.drive();
		records.drive();
		counters.drive();
		for (unsigned p = 0; p < PORTS; p++)
			give(p);
		clocks++;
	}
	void take(unsigned p)
	{
		uint8_t beat[64];
		uint64_t keep = get_bits(&top.tx_keep_o, 64 * p, 64);

		if (!((top.tx_valid_o & top.tx_ready_i) >> p & 1))
			return;
		get(&top.tx_data_o, 512 * p, beat, 64);
		part[p].insert(part[p].end(), beat, beat + __builtin_popcountll(keep));
		if (top.tx_last_o >> p & 1) {
			out[p].push_back(part[p]);
			part[p].clear();
		}
	}
	void give(unsigned p)
	{
		uint8_t bit = (uint8_t)(1u << p), beat[64] = {};

		top.rx_valid_i &= (uint8_t)~bit;
		top.rx_last_i &= (uint8_t)~bit;
		if (in[p].empty() || random.percent(gap_percent))
			return;
		const Bytes &f = in[p].front();
		size_t left = f.size() - in_at[p], n = left < 64 ? left : 64;

		memcpy(beat, &f[in_at[p]], n);
		put(&top.rx_data_i, 512 * p, beat, 64);
		put_bits(&top.rx_keep_i, 64 * p, 64, n == 64 ? ~0ull : (1ull << n) - 1);
		top.rx_valid_i |= bit;
		in_at[p] += 64;
		if (left <= 64) {
			top.rx_last_i |= bit;
			in[p].pop_front();
			in_at[p] = 0;
		}
	}
	bool settle()
	{
		for (int i = 0; i < 200000; i++) {
			tick();
			top.eval();
			if (in[0].empty() && in[1].empty() && !top.rx_valid_i && top.idle_o && dma.idle() &&
				records.idle() && counters.idle())
				return true;
		}
		return false;
	}
	/* Attaches as a driver does. */
	void attach()
	{
		host.write(SLU_NIC_ID_CONTROL, SLU_NIC_CONTROL_DMA_ENABLE);
		host.start_commands();
		for (unsigned p = 0; p < PORTS; p++)
			host.write(host.port_reg(p, SLU_NIC_PORT_CONTROL), SLU_NIC_PORT_CTL_ENABLE);
		for (unsigned q = 0; q < 4; q++)
			host.start_queue(q);
	}
	void flow_domain()
	{
		for (unsigned i = 0; i < 14; i++)
			host.write(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_HASH_KEY0 + 4 * i, hash_key[i]);
		for (unsigned p = 0; p < PORTS; p++) {
			static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

			memcpy(engine.mac[p], mac, 6);
			host.write(host.port_reg(p, SLU_NIC_PORT_MAC_LO), 0x00000002);
			host.write(host.port_reg(p, SLU_NIC_PORT_MAC_HI), 0x0100);
		}
		host.write(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_CONTROL, SLU_NIC_FLOW_CTL_LOOKUP_ENABLE);
	}
	bool add_next_hop(uint16_t index, unsigned port)
	{
		slu_nic_next_hop hop = {};
		slu_nic_command c = host.command(SLU_NIC_OPCODE_WRITE_NEXTHOP, index);

		for (unsigned i = 0; i < 6; i++) {
			hop.dmac[i] = (uint8_t)(random.next() & 0xFE);
			hop.smac[i] = (uint8_t)(random.next() & 0xFE);
		}
		hop.flags = SLU_NIC_NH_VALID;
		hop.port = (uint8_t)port;
		engine.next_hops[index] = hop;
		memcpy(c.next_hop, &hop, 32);
		return host.run(c) == 0;
	}
	/* `first`: which of the flow's eight slots to try first. */
	bool add_flow(const model::Flow &flow, unsigned first)
	{
		model::Place at = model::place(flow.key(), hash_key, BUCKET_BITS);
		uint32_t slot = 0;

		for (unsigned i = 0; i < 8; i++) {
			unsigned bank = (first + i) / 4 % 2;

			slot = bank << (BUCKET_BITS + 2) | at.bucket[bank] << 2 | (first + i) % 4;
			if (!used.count(slot))
				break;
		}
		if (!used.insert(slot).second)
			return false;
		uint8_t record[128] = {};
		slu_nic_command c = host.command(SLU_NIC_OPCODE_WRITE_RECORD, slot);

		flow.record(record, 1);
		c.units = flow.ipv6 ? 3 : 2;
		if (host.run(c, record, c.units - 1u) != 0 ||
			host.run(host.command(SLU_NIC_OPCODE_SET_TAG, slot, at.tag)) != 0)
			return false;
		engine.flows[flow.key()] = flow;
		return true;
	}
	/* What the model expects of it is left in `verdict`. */
	model::Verdict send(const Bytes &frame, unsigned port)
	{
		model::Verdict v = engine.judge(frame, port, false);

		if (v.update && v.count) {
			packets[v.flow_id]++;
			bytes[v.flow_id] += v.bytes;
		}
		in[port].push_back(frame);
		return v;
	}
	bool sound() const
	{
		return !dma.protocol_errors && !records.protocol_errors && !counters.protocol_errors && !host.timed_out;
	}
	/* Statistics of all flows through READ_STATS against the model. */
	bool statistics_match()
	{
		if (host.run(host.command(SLU_NIC_OPCODE_FENCE)) != 0 ||
			host.run(host.command(SLU_NIC_OPCODE_READ_STATS, 0, 256, DATA)) != 0)
			return false;
		for (uint32_t id = 0; id < 256; id++) {
			if (host.pages.number(DATA + 16 * id, 6) != bytes[id] ||
				host.pages.number(DATA + 16 * id + 6, 5) != packets[id] ||
				(packets[id] && host.pages.number(DATA + 16 * id + 11, 5) != 5000000 >> 10))
				return false;
		}
		return true;
	}
};

static model::Flow make_flow(Nic &nic, uint32_t id, uint16_t hop, bool ipv6)
{
	model::Flow f;

	do
		f = traffic::flow(nic.random, hop);
	while (f.ipv6 != ipv6);
	f.flow_id = id;
	f.port_mask = 0xFF;
	f.vlan = 0;
	f.queue = 0xFFFF;
	f.match_port_mac = false;
	f.torn = false;
	return f;
}

static void life(Tap &tap)
{
	Nic nic(7);
	auto &h = nic.host;
	traffic::Shape shape;
	slu_nic_rx_completion c;

	nic.records.latency_min = 50;
	nic.records.latency_max = 120;
	nic.counters.latency_max = 60;
	nic.dma.latency_min = 10;
	nic.dma.latency_max = 40;
	nic.attach();
	bool good = h.run(h.command(SLU_NIC_OPCODE_FLOW_RESET), nullptr, 0, 300000) == 0;

	nic.flow_domain();
	good &= nic.add_next_hop(1, 1) && nic.add_next_hop(2, 0);
	model::Flow f4 = make_flow(nic, 5, 1, false), f6 = make_flow(nic, 6, 2, true);

	good &= nic.add_flow(f4, 2) && nic.add_flow(f6, 4);
	tap.ok(good && h.read(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_TAGS_VALID) == 2,
		"nic__command_ring__programs_two_flows");

	for (auto *f : {&f4, &f6}) {
		shape.payload = f == &f4 ? 0 : 333;
		Bytes frame = traffic::frame(nic.random, *f, shape);
		model::Verdict v = nic.send(frame, 0);

		nic.settle();
		bool left =
			v.kind == model::FORWARD && nic.out[v.port].size() == 1 && nic.out[v.port].front() == v.frame;

		tap.ok(left, std::string("nic__frame_of_an_offloaded_flow_") + (f->ipv6 ? "ipv6" : "ipv4") +
				     "__leaves_the_other_wire_rewritten");
		nic.out[0].clear();
		nic.out[1].clear();
	}
	tap.ok(nic.statistics_match(), "nic__statistics__count_both_flows");

	h.give_rx(0, DATA + 0x1000, 2048);
	h.give_rx(1, DATA + 0x2000, 2048);
	model::Flow unknown = make_flow(nic, 9, 1, false);
	Bytes frame = traffic::frame(nic.random, unknown, shape);
	model::Verdict v = nic.send(frame, 0);

	nic.settle();
	/* The table is all zero after a reset: queue 0. */
	Bytes got(frame.size());

	h.pages.read(DATA + 0x1000, got.data(), got.size());
	tap.ok(h.rx_completion(0, &c) && c.reason == SLU_NIC_REASON_MISS && c.len == frame.size() && got == v.frame &&
			c.port == 0 && c.flags == (v.flags | SLU_NIC_RXF_RSS) && c.l3_off == v.l3_off &&
			c.l4_off == v.l4_off,
		"nic__frame_of_an_unknown_flow__reaches_the_host_with_its_reason");
	h.pages.write(DATA + 0x3005, frame.data(), frame.size());
	h.give_tx(2, DATA + 0x3005, (uint32_t)frame.size());
	nic.settle();
	tap.ok(nic.out[1].size() == 1 && nic.out[1].front() == frame && h.tx_done(2) == 1,
		"nic__frame_of_the_host__leaves_its_wire");
	nic.out[1].clear();
	tap.ok(h.stat(0, SLU_NIC_STAT_RX_FRAMES) == 3 && h.stat(0, SLU_NIC_STAT_HIT_FRAMES) == 2 &&
			h.stat(0, SLU_NIC_STAT_REASON_MISS) == 1 && h.stat(1, SLU_NIC_STAT_TX_HOST_FRAMES) == 1,
		"nic__port_statistics__tell_hits_misses_and_host_frames");

	/* The host dies; the flows do not. */
	nic.top.host_rst_i = 1;
	nic.tick();
	nic.top.host_rst_i = 0;
	nic.settle();
	uint64_t reads = nic.dma.reads, writes = nic.dma.writes;

	frame = traffic::frame(nic.random, f4, shape);
	v = nic.send(frame, 1);
	nic.send(traffic::frame(nic.random, unknown, shape), 0);
	nic.settle();
	tap.ok(nic.out[1].size() == 1 && nic.out[1].front() == v.frame && h.id(SLU_NIC_ID_GENERATION) == 1,
		"nic__after_a_reset_of_the_host_domain__hits_go_on");
	tap.ok(nic.dma.reads == reads && nic.dma.writes == writes && h.stat(0, SLU_NIC_STAT_HOST_OFF_DROP) == 1,
		"nic__after_a_reset_of_the_host_domain__misses_are_dropped_and_counted");
	nic.attach();
	tap.ok(nic.statistics_match(), "nic__a_new_host__finds_statistics_complete");
	tap.ok(nic.sound() && nic.settle(), "nic__after_all_that__the_card_is_idle");
}

/* Hits on both wires, misses, host frames, commands and resets at the same time. */
static void storm(Tap &tap)
{
	Nic nic(8);
	auto &h = nic.host;
	std::vector<model::Flow> flows;
	std::deque<Bytes> expected[PORTS];
	uint64_t wrong = 0, forwarded = 0, host_frames = 0, lost = 0, resets = 0;
	bool good = true;

	nic.records.latency_min = 30;
	nic.records.latency_max = 200;
	nic.records.stall_percent = 5;
	nic.counters.latency_max = 150;
	nic.dma.latency_min = 10;
	nic.dma.latency_max = 60;
	nic.dma.stall_percent = 10;
	nic.gap_percent = 10;
	nic.attach();
	nic.flow_domain();
	good &= nic.add_next_hop(1, 1) && nic.add_next_hop(2, 0);
	for (uint32_t i = 0; i < 60; i++) {
		flows.push_back(make_flow(nic, i, (uint16_t)(1 + i % 2), i % 3 == 0));
		good &= nic.add_flow(flows.back(), i);
	}
	tap.ok(good, "nic__sixty_flows__are_programmed");
	for (unsigned round = 0; round < 400; round++) {
		for (unsigned i = 0; i < 12; i++) {
			traffic::Shape shape;
			bool miss = nic.random.percent(25);
			model::Flow f = miss ? make_flow(nic, 0, 1, false) : flows[nic.random.below(60)];

			shape.payload = nic.random.percent(70) ? nic.random.below(20) : nic.random.below(3000);
			/* What wire 0 brings leaves by wire 1, so that order can be told for each wire. */
			unsigned port = f.next_hop == 1 ? 0 : 1;
			model::Verdict v = nic.send(traffic::frame(nic.random, f, shape), port);

			if (v.kind == model::FORWARD)
				expected[v.port].push_back(v.frame);
		}
		for (unsigned q = 0; q < 4; q++) {
			slu_nic_rx_completion c;

			while (h.rx_completion(q, &c))
				host_frames++;
			if (h.queue[q].rx_tail - h.queue[q].rx_head < 20)
				for (int i = 0; i < 8; i++)
					h.give_rx(q, DATA + 0x10000 * (i + 8 * q), 9216, i == 7);
		}
		if (round % 10 == 3) {
			slu_nic_command c = h.command(SLU_NIC_OPCODE_READ_STATS, 0, 60, DATA + 0x700000);

			h.run(c);
		}
		if (round % 40 == 39) {
			nic.top.host_rst_i = 1;
			nic.tick();
			nic.top.host_rst_i = 0;
			while (h.id(SLU_NIC_ID_CONTROL) & SLU_NIC_CONTROL_HOST_RESET)
				;
			nic.attach();
			resets++;
		}
		for (int i = 0; i < 100; i++)
			nic.tick();
		for (unsigned p = 0; p < PORTS; p++) {
			while (!nic.out[p].empty()) {
				/* A frame that the wire FIFO had to drop is counted; none is expected here. */
				wrong += expected[p].empty() || expected[p].front() != nic.out[p].front();
				if (!expected[p].empty())
					expected[p].pop_front();
				nic.out[p].pop_front();
				forwarded++;
			}
		}
	}
	nic.settle();
	for (unsigned p = 0; p < PORTS; p++) {
		while (!nic.out[p].empty() && !expected[p].empty()) {
			wrong += expected[p].front() != nic.out[p].front();
			expected[p].pop_front();
			nic.out[p].pop_front();
			forwarded++;
		}
		lost += expected[p].size() + nic.out[p].size();
	}
	tap.ok(forwarded > 3000 && !wrong && !lost,
		"nic__hits_among_misses_commands_and_resets__all_leave_right_and_in_order (" +
			std::to_string(forwarded) + " frames)");
	tap.ok(host_frames > 300 && resets == 10,
		"nic__misses__keep_reaching_the_host_between_resets (" + std::to_string(host_frames) + " frames)");
	tap.ok(nic.statistics_match(), "nic__statistics_of_every_flow__are_exact_after_ten_resets");
	tap.ok(!nic.follows_input, "nic__outputs_to_memories_and_wires__follow_no_input_within_a_clock");
	tap.ok(nic.sound() && nic.settle() && !h.id(SLU_NIC_ID_MEMORY_ERRORS),
		"nic__after_the_storm__the_card_is_idle");
}

int main()
{
	Tap tap;

	life(tap);
	storm(tap);
	return tap.end();
}
