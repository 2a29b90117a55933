/*
 * slu_flow_stats against a model that just counts: random updates, reads and clears with conflicts in the cache, memory
 * of random latency that reorders, and the throughput that the flow engine needs.
 */
#include <map>

#include "Vstats_full.h"
#include "Vstats_small.h"
#include "axi_memory.h"

using namespace bench;

struct Stats {
	uint64_t bytes = 0, packets = 0, last = 0;
};

static Stats decode(const uint8_t *p)
{
	Stats s;

	memcpy(&s.bytes, p, 6);
	memcpy(&s.packets, p + 6, 5);
	memcpy(&s.last, p + 11, 5);
	return s;
}

template <class V> struct Dut {
	V top;
	Pages pages;
	AxiMemory memory;
	uint64_t clocks = 0, errors = 0;
	/* What happened in the last clock. */
	bool updated = false, op_taken = false, result = false, result_err = false;
	unsigned result_tag = 0;
	Stats result_value;

	explicit Dut(uint64_t seed, unsigned flow_bits) : memory(ports(), &pages, seed)
	{
		pages.map(0, 16ull << flow_bits);
		top.rst_ni = 0;
		tick();
		tick();
		top.rst_ni = 1;
		while (!top.idle_o)
			tick();
	}
	AxiPorts ports()
	{
		AxiPorts p = {};

		p.beat_bytes = 16;
		p.addr_bytes = 4;
		p.id_bytes = 1;
		p.arvalid = &top.m_cnt_arvalid_o;
		p.arready = &top.m_cnt_arready_i;
		p.araddr = &top.m_cnt_araddr_o;
		p.arid = &top.m_cnt_arid_o;
		p.rvalid = &top.m_cnt_rvalid_i;
		p.rready = &top.m_cnt_rready_o;
		p.rdata = &top.m_cnt_rdata_i;
		p.rid = &top.m_cnt_rid_i;
		p.rresp = &top.m_cnt_rresp_i;
		p.awvalid = &top.m_cnt_awvalid_o;
		p.awready = &top.m_cnt_awready_i;
		p.awaddr = &top.m_cnt_awaddr_o;
		p.awid = &top.m_cnt_awid_o;
		p.wvalid = &top.m_cnt_wvalid_o;
		p.wready = &top.m_cnt_wready_i;
		p.wdata = &top.m_cnt_wdata_o;
		p.wstrb = &top.m_cnt_wstrb_o;
		p.bvalid = &top.m_cnt_bvalid_i;
		p.bready = &top.m_cnt_bready_o;
		p.bid = &top.m_cnt_bid_i;
		p.bresp = &top.m_cnt_bresp_i;
		return p;
	}
	void tick()
	{
		top.clk_i = 0;
		top.eval();
		memory.sample();
		updated = top.fst_valid_i && top.fst_ready_o;
		op_taken = top.op_valid_i && top.op_ready_o;
		result = top.res_valid_o;
		result_err = top.res_err_o;
		result_tag = top.res_tag_o;
		result_value = decode((const uint8_t *)&top.res_data_o);
		errors += top.error_o;
		top.clk_i = 1;
		top.eval();
		memory.drive();
		clocks++;
	}
	void update(uint32_t flow, uint32_t bytes, bool count)
	{
		top.fst_valid_i = 1;
		top.fst_flow_id_i = flow;
		top.fst_bytes_i = (uint16_t)bytes;
		top.fst_count_i = count;
	}
	bool drain()
	{
		top.fst_valid_i = 0;
		top.op_valid_i = 0;
		for (int i = 0; i < 100000; i++) {
			tick();
			top.eval();
			if (top.idle_o && memory.idle())
				return true;
		}
		return false;
	}
	Stats stored(uint32_t flow)
	{
		uint8_t raw[16];

		pages.read((uint64_t)flow * 16, raw, 16);
		return decode(raw);
	}
};

static bool same(const Stats &a, const Stats &b)
{
	return a.bytes == b.bytes && a.packets == b.packets && a.last == b.last;
}

/* Which flow the next update is for. */
static uint32_t choose(Random &random, unsigned pattern, uint32_t flows, uint64_t i)
{
	switch (pattern) {
	case 0: /* all flows */
		return random.below(flows);
	case 1: /* one hot flow, now and then another */
		return random.percent(90) ? 5 : random.below(flows);
	case 2: /* six flows of one set: more than its ways */
		return random.below(6) * 16 + random.below(6);
	default: /* ping-pong of flows that share a set, in bursts */
		return (i / 3 % 5) << 8 | 3;
	}
}

static void random_updates(Tap &tap, unsigned pattern, const char *what, unsigned latency, unsigned stall)
{
	const uint32_t flows = 4096;
	Dut<Vstats_small> dut(100 + pattern * 7 + latency, 12);
	Random random(9000 + pattern + latency);
	std::map<uint32_t, Stats> model;
	struct Ask {
		uint32_t flow;
		bool clear;
		Stats at_least;
	};
	std::map<unsigned, Ask> asked;
	uint64_t wrong_reads = 0, reads = 0, clears = 0, wrong = 0, sent = 0;
	uint64_t time = 5000;

	dut.memory.latency_min = 1;
	dut.memory.latency_max = latency;
	dut.memory.stall_percent = stall;
	for (uint64_t i = 0; i < 60000; i++) {
		if (!dut.top.fst_valid_i || dut.updated) {
			dut.top.fst_valid_i = 0;
			if (random.percent(85))
				dut.update(choose(random, pattern, flows, sent), random.between(60, 9216),
					!random.percent(10));
		}
		if (!dut.top.op_valid_i || dut.op_taken) {
			dut.top.op_valid_i = 0;
			if (asked.size() < 8 && random.percent(8)) {
				unsigned tag = 0;
				uint32_t flow = choose(random, pattern, flows, random.below(1000));
				bool twice = false;

				while (asked.count(tag))
					tag++;
				for (auto &a : asked)
					twice |= a.second.flow == flow;
				if (!twice) {
					dut.top.op_valid_i = 1;
					dut.top.op_flow_id_i = flow;
					dut.top.op_tag_i = (uint8_t)tag;
					dut.top.op_clear_i = random.percent(30);
				}
			}
		}
		/* The card looks at its clock a clock before. */
		uint64_t seen = time;

		dut.top.time_us_i = time += random.below(900);
		dut.tick();
		if (dut.updated) {
			Stats &s = model[dut.top.fst_flow_id_i];

			s.bytes += dut.top.fst_count_i ? dut.top.fst_bytes_i : 0;
			s.packets += dut.top.fst_count_i;
			s.last = seen >> 10;
			sent++;
		}
		if (dut.op_taken) {
			if (dut.top.op_clear_i)
				model[dut.top.op_flow_id_i] = Stats();
			asked[dut.top.op_tag_i] = {
				dut.top.op_flow_id_i, dut.top.op_clear_i != 0, model[dut.top.op_flow_id_i]};
		}
		if (dut.result) {
			Ask a = asked[dut.result_tag];
			Stats now = model[a.flow];

			asked.erase(dut.result_tag);
			reads++;
			clears += a.clear;
			wrong_reads += dut.result_err || dut.result_value.packets < a.at_least.packets ||
				       dut.result_value.packets > now.packets ||
				       dut.result_value.bytes < a.at_least.bytes ||
				       dut.result_value.bytes > now.bytes || dut.result_value.last < a.at_least.last ||
				       dut.result_value.last > now.last;
		}
	}
	bool drained = dut.drain();

	for (uint32_t flow = 0; flow < flows; flow++)
		wrong += !same(dut.stored(flow), model[flow]);
	tap.ok(drained && !wrong && sent > 1000, std::string("flow_stats__") + what +
							 "__memory_holds_exactly_what_was_counted (" +
							 std::to_string(sent) + " updates)");
	tap.ok(reads > 200 && clears > 20 && !wrong_reads,
		std::string("flow_stats__") + what +
			"__reads_between_updates_lie_between_what_was_accepted_before_and_since");
	tap.ok(!dut.memory.protocol_errors && !dut.errors, std::string("flow_stats__") + what + "__keeps_to_the_bus");
}

/* Clocks an update, in thousandths, with the full-size cache. */
static uint64_t rate(unsigned latency_min, unsigned latency_max, unsigned pattern)
{
	Dut<Vstats_full> dut(77, 20);
	Random random(4242);
	const uint64_t count = 100000;
	uint64_t sent = 0, start;

	dut.memory.latency_min = latency_min;
	dut.memory.latency_max = latency_max;
	dut.top.time_us_i = 1 << 20;
	start = dut.clocks;
	while (sent < count) {
		uint32_t flow = pattern == 0 ? 7 : pattern == 1 ? (uint32_t)sent & 0xFFFFF : random.below(1 << 20);

		dut.update(flow, 64, true);
		do
			dut.tick();
		while (!dut.updated);
		sent++;
	}
	uint64_t clocks = dut.clocks - start;

	if (!dut.drain() || dut.memory.protocol_errors)
		return UINT64_MAX;
	if (pattern == 0 && dut.stored(7).packets != count)
		return UINT64_MAX;
	return clocks * 1000 / count;
}

static void throughput(Tap &tap)
{
	static const struct {
		unsigned min, max, pattern;
		uint64_t most;
		const char *what;
	} rows[] = {
		{200, 200, 0, 1010, "one_hot_flow_at_200_clocks"},
		{100, 100, 1, 1000, "all_different_in_turn_at_100_clocks"},
		{200, 200, 1, 1000, "all_different_in_turn_at_200_clocks"},
		{100, 100, 2, 1010, "all_different_at_random_at_100_clocks"},
	};

	for (auto &row : rows) {
		uint64_t milli = rate(row.min, row.max, row.pattern);

		tap.ok(milli <= row.most, std::string("flow_stats__") + row.what + "__takes_an_update_a_clock (" +
						  std::to_string(milli) + " milliclocks each)");
	}
}

static void errors(Tap &tap)
{
	Dut<Vstats_small> dut(5, 12);
	bool got = false, err = false;

	dut.top.time_us_i = 1 << 20;
	dut.pages.put(9 * 16, 1000, 6);
	dut.memory.fail_reads = 1;
	dut.update(9, 100, true);
	while (!dut.updated)
		dut.tick();
	dut.drain();
	tap.ok(dut.errors == 1 && dut.stored(9).bytes == 1000,
		"flow_stats__memory_cannot_be_read__counts_an_error_and_leaves_the_old_value");
	dut.memory.fail_reads = 1;
	dut.top.op_valid_i = 1;
	dut.top.op_flow_id_i = 9;
	dut.top.op_clear_i = 0;
	for (int i = 0; i < 100 && !got; i++) {
		dut.tick();
		if (dut.op_taken)
			dut.top.op_valid_i = 0;
		got = dut.result;
		err = dut.result_err;
	}
	tap.ok(got && err, "flow_stats__read_of_a_bad_word__answers_with_an_error");
	dut.drain();
	uint64_t before = dut.memory.reads;

	dut.update(4096 + 9, 100, true);
	while (!dut.updated)
		dut.tick();
	tap.ok(dut.drain() && dut.memory.reads == before && dut.stored(9).bytes == 1000,
		"flow_stats__flow_id_beyond_the_table__is_dropped_without_touching_another");
}

int main()
{
	Tap tap;

	random_updates(tap, 0, "random_flows", 60, 20);
	random_updates(tap, 1, "a_hot_flow", 60, 20);
	random_updates(tap, 2, "more_flows_than_ways", 40, 10);
	random_updates(tap, 3, "ping_pong_in_one_set", 30, 0);
	random_updates(tap, 0, "memory_of_one_clock", 1, 0);
	random_updates(tap, 1, "a_hot_flow_at_one_clock", 1, 0);
	throughput(tap);
	errors(tap);
	return tap.end();
}
