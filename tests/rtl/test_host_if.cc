/*
 * slu_host_if, the host half of the card, against a driver in C++ and a stand-in for the flow engine: what a driver can
 * do right, what it can do wrong, and resets in the middle of it.
 */
#include <map>

#include "Vslu_host_if.h"
#include "host_driver.h"

using namespace bench;

enum { PORTS = 2, BUCKET_BITS = 6, FLOW_BITS = 12, HOP_BITS = 4, SLOTS = 8 << BUCKET_BITS };

/* slu_pkg::rx_meta_t, lowest bits first. */
struct __attribute__((packed)) Meta {
	uint16_t len;
	uint8_t reason, port;
	uint16_t flags, vlan_tci;
	uint8_t l3_off, l4_off, tcp_flags, proto;
	uint32_t flow_id, mark;
	uint16_t queue;
	uint8_t src[16], dst[16];
	uint8_t sport[2], dport[2];
	uint32_t time_us;
};
static_assert(sizeof(Meta) == 62, "rx_meta_t");

struct Frame {
	Meta meta;
	Bytes data;
};

struct Dut {
	Vslu_host_if top;
	HostDriver<Vslu_host_if> host;
	AxiMemory dma, counters;
	Pages counter_pages;
	Random random;
	uint64_t clocks = 0;
	/* Stand-in of the flow engine. */
	std::deque<Frame> up[PORTS];
	size_t up_at[PORTS] = {};
	uint64_t up_done = 0; /* frames the host interface took */
	std::vector<Bytes> down[PORTS];
	Bytes down_part[PORTS];
	unsigned gap_percent = 0, wire_stall_percent = 0;
	uint64_t broken_streams = 0;
	std::map<uint32_t, uint32_t> tags;
	Bytes hops = Bytes(32 << HOP_BITS);
	std::vector<unsigned> table_ops;
	uint32_t table_due = 0;
	bool table_busy = false, table_err_next = false;
	Bytes records = Bytes(SLOTS * 128);
	struct {
		bool open, pay;
		uint32_t addr, beat, beats, due;
	} rec = {};
	bool rec_fail_next = false;

	explicit Dut(uint64_t seed)
	    : host(top), dma(dma_ports(top), &host.pages, seed), counters(counter_ports(top), &counter_pages, seed + 1),
	      random(seed + 2)
	{
		host.tick = [this] { tick(); };
		counter_pages.map(0, 16 << FLOW_BITS);
		top.link_i = 2;
		top.rst_ni = 0;
		for (int i = 0; i < 3; i++)
			tick();
		top.rst_ni = 1;
		host.wait_idle();
	}
	void slow()
	{
		dma.latency_min = 5;
		dma.latency_max = 80;
		dma.stall_percent = 25;
		counters.latency_max = 40;
		counters.stall_percent = 10;
		gap_percent = 20;
		wire_stall_percent = 30;
	}
	void tick()
	{
		top.clk_i = 0;
		top.eval();
		dma.sample();
		counters.sample();
		host.sample();
		bool hrx[PORTS], htx[PORTS], tbl = top.tbl_valid_o && top.tbl_ready_i;
		bool aw = top.m_rec_awvalid_o && top.m_rec_awready_i, w = top.m_rec_wvalid_o && top.m_rec_wready_i;
		bool b = top.m_rec_bvalid_i && top.m_rec_bready_o;

		for (unsigned p = 0; p < PORTS; p++) {
			hrx[p] = (top.hrx_valid_i & top.hrx_ready_o) >> p & 1;
			htx[p] = (top.htx_valid_o & top.htx_ready_i) >> p & 1;
			if (htx[p])
				take_down(p);
		}
		if (aw)
			rec = {true, false, top.m_rec_awaddr_o, 0, top.m_rec_awlen_o + 1u, 0};
		if (w) {
			if (rec.addr + 64 * rec.beat + 64 <= records.size())
				get(&top.m_rec_wdata_o, 0, &records[rec.addr + 64 * rec.beat], 64);
			else
				broken_streams++;
			broken_streams += (top.m_rec_wlast_o != 0) != (++rec.beat == rec.beats);
			if (rec.beat == rec.beats)
				rec.open = false, rec.pay = true, rec.due = 7;
		}
		top.clk_i = 1;
		top.eval();
		dma.drive();
		counters.drive();
		for (unsigned p = 0; p < PORTS; p++)
			drive_up(p, hrx[p]);
		top.htx_ready_i = 0;
		for (unsigned p = 0; p < PORTS; p++)
			top.htx_ready_i |= (uint8_t)(!random.percent(wire_stall_percent) << p);
		top.m_rec_awready_i = !rec.open && !rec.pay && !aw && random.percent(70);
		top.m_rec_wready_i = rec.open && random.percent(70);
		if (b)
			top.m_rec_bvalid_i = 0;
		if (rec.pay && !rec.due--) {
			top.m_rec_bvalid_i = 1;
			top.m_rec_bresp_i = rec_fail_next ? 2 : 0;
			rec_fail_next = false;
			rec.pay = false;
		}
		drive_table(tbl);
		clocks++;
	}
	/* One operation at a time, some clocks each. */
	void drive_table(bool taken)
	{
		top.tbl_done_i = 0;
		if (taken) {
			table_busy = true;
			table_due = random.between(1, 9);
		} else if (table_busy && !table_due--) {
			table_busy = false;
			top.tbl_done_i = 1;
			answer_table();
		}
		top.tbl_ready_i = !table_busy && random.percent(80);
	}
	void answer_table()
	{
		uint32_t slot = top.tbl_slot_o;
		uint8_t data[128] = {};

		table_ops.push_back(top.tbl_op_o);
		top.tbl_err_i = table_err_next;
		table_err_next = false;
		switch (top.tbl_op_o) {
		case 0:
			tags[slot] = top.tbl_tag_o;
			break;
		case 1:
			tags.erase(slot);
			break;
		case 2:
			for (uint32_t i = 0; i < 8; i++) {
				uint32_t s = (i / 4) << (BUCKET_BITS + 2) | slot << 2 | i % 4;
				uint32_t word = tags.count(s) ? 0x80000000u | tags[s] : 0;

				memcpy(data + 4 * i, &word, 4);
			}
			break;
		case 3:
			get(&top.tbl_nh_o, 0, &hops[slot * 32], 32);
			break;
		case 4:
			memcpy(data, &hops[slot * 32], 32);
			break;
		case 6:
			tags.clear();
			hops.assign(hops.size(), 0);
			break;
		case 7:
			memcpy(data, &records[slot * 128], 128);
			break;
		}
		put(&top.tbl_rdata_i, 0, data, 128);
	}
	void drive_up(unsigned p, bool taken)
	{
		uint8_t bit = (uint8_t)(1u << p);

		if (taken) {
			up_at[p] += 64;
			if (up_at[p] >= up[p].front().data.size()) {
				up[p].pop_front();
				up_at[p] = 0;
				up_done++;
			}
		}
		if (taken || !(top.hrx_valid_i & bit)) {
			bool valid = !up[p].empty() && !random.percent(gap_percent);

			top.hrx_valid_i = (uint8_t)((top.hrx_valid_i & ~bit) | (valid ? bit : 0));
			if (valid) {
				const Frame &f = up[p].front();
				uint8_t beat[64] = {};
				size_t left = f.data.size() - up_at[p];

				memcpy(beat, &f.data[up_at[p]], left < 64 ? left : 64);
				put(&top.hrx_data_i, 512 * p, beat, 64);
				put(&top.hrx_meta_i, 496 * p, &f.meta, 62);
				top.hrx_last_i = (uint8_t)((top.hrx_last_i & ~bit) | (left <= 64 ? bit : 0));
			}
		}
	}
	void take_down(unsigned p)
	{
		uint8_t beat[64];
		unsigned bytes = (unsigned)get_bits(&top.htx_bytes_o, 7 * p, 7);

		get(&top.htx_data_o, 512 * p, beat, 64);
		bool last = top.htx_last_o >> p & 1;

		broken_streams += bytes < 1 || bytes > 64 || (!last && bytes != 64);
		down_part[p].insert(down_part[p].end(), beat, beat + bytes);
		if (last) {
			down[p].push_back(down_part[p]);
			down_part[p].clear();
		}
	}
	void run(unsigned clocks_more)
	{
		while (clocks_more--)
			tick();
	}
	/* Until everything given to the card is done. */
	bool settle()
	{
		for (int i = 0; i < 400000; i++) {
			tick();
			top.eval();
			if (top.idle_o && up[0].empty() && up[1].empty() && dma.idle() && counters.idle())
				return true;
		}
		return false;
	}
	bool sound() const
	{
		return !broken_streams && !dma.protocol_errors && !counters.protocol_errors && !host.timed_out;
	}
};

static Bytes random_bytes(Random &random, size_t count)
{
	Bytes b(count);

	for (auto &x : b)
		x = (uint8_t)random.next();
	return b;
}

static Frame random_frame(Random &random, unsigned port, size_t len)
{
	Frame f = {};
	bool v6 = random.percent(30), ip = random.percent(90);

	f.data = random_bytes(random, len);
	f.meta.len = (uint16_t)len;
	f.meta.reason = (uint8_t)random.between(1, 17);
	f.meta.port = (uint8_t)port;
	f.meta.flags = (uint16_t)(ip ? 1u << (v6 ? 5 : 4) : 0);
	f.meta.vlan_tci = (uint16_t)random.next();
	f.meta.l3_off = 14;
	f.meta.l4_off = 34;
	f.meta.tcp_flags = (uint8_t)random.next();
	f.meta.proto = 6;
	f.meta.flow_id = (uint32_t)random.next();
	f.meta.mark = (uint32_t)random.next();
	f.meta.queue = 0xFFFF;
	f.meta.time_us = (uint32_t)random.next();
	if (ip) {
		for (unsigned i = 0; i < (v6 ? 16u : 4u); i++) {
			f.meta.src[i] = (uint8_t)random.next();
			f.meta.dst[i] = (uint8_t)random.next();
		}
		if (random.percent(80)) {
			f.meta.sport[0] = (uint8_t)random.next();
			f.meta.sport[1] = (uint8_t)random.next();
			f.meta.dport[1] = (uint8_t)random.next();
		}
	}
	return f;
}

static const uint8_t RSS_KEY[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
	0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static uint32_t expected_hash(const Meta &m)
{
	uint8_t data[36];
	size_t n = m.flags & SLU_NIC_RXF_IPV6 ? 16 : 4;

	if (!(m.flags & (SLU_NIC_RXF_IPV4 | SLU_NIC_RXF_IPV6)))
		return 0;
	memcpy(data, m.src, n);
	memcpy(data + n, m.dst, n);
	memcpy(data + 2 * n, m.sport, 2);
	memcpy(data + 2 * n + 2, m.dport, 2);
	/* Without ports the hash is the one over addresses alone. */
	bool ports = m.sport[0] || m.sport[1] || m.dport[0] || m.dport[1];

	return toeplitz(RSS_KEY, data, 2 * n + (ports ? 4 : 0));
}

/* Card enabled, RSS key set on both ports, RETA alternating. */
static void start(Dut &dut)
{
	auto &h = dut.host;

	h.write(SLU_NIC_ID_CONTROL, SLU_NIC_CONTROL_DMA_ENABLE);
	for (unsigned p = 0; p < PORTS; p++) {
		for (unsigned i = 0; i < 10; i++) {
			uint32_t word;

			memcpy(&word, RSS_KEY + 4 * i, 4);
			h.write(h.port_reg(p, SLU_NIC_PORT_RSS_KEY0 + 4 * i), word);
		}
		for (unsigned i = 0; i < 32; i++)
			h.write(h.port_reg(p, SLU_NIC_PORT_RETA0 + 4 * i), 0x01000100);
		h.write(h.port_reg(p, SLU_NIC_PORT_CONTROL), SLU_NIC_PORT_CTL_ENABLE);
	}
}

static void registers(Tap &tap)
{
	Dut dut(1);
	auto &h = dut.host;
	uint32_t bad = 0;

	tap.ok(h.id(SLU_NIC_ID_MAGIC) == SLU_NIC_MAGIC && h.id(SLU_NIC_ID_VERSION) == SLU_NIC_VERSION,
		"registers__identification__reads_magic_and_version");
	uint32_t at = h.id(SLU_NIC_ID_DT_OFFSET), size = h.id(SLU_NIC_ID_DT_BYTES), first = h.read(at),
		 second = h.read(at + 4);

	tap.ok(at == SLU_NIC_DT_ROM_OFFSET && first == 0xEDFE0DD0 && __builtin_bswap32(second) == size,
		"registers__device_tree__starts_with_its_magic_and_size");
	tap.ok(h.read(at + 0x7FFC) == 0, "registers__device_tree__reads_0_beyond_its_end");
	tap.ok(h.read(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_BUCKET_BITS) == BUCKET_BITS &&
			h.read(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_FLOW_ID_BITS) == FLOW_BITS &&
			h.read(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_NEXT_HOP_BITS) == HOP_BITS,
		"registers__table_sizes__are_those_of_the_build");
	tap.ok(h.read(h.port_reg(0, SLU_NIC_PORT_LINK)) == 0 && h.read(h.port_reg(1, SLU_NIC_PORT_LINK)) == 1,
		"registers__link__is_told_by_port");
	tap.ok(h.id(SLU_NIC_ID_BAD_ACCESS) == 0, "registers__good_accesses__count_no_bad_one");

	dut.top.time_us_i = 0x11FFFFFFFFull;
	uint32_t low = h.id(SLU_NIC_ID_TIME_US_LO);

	dut.top.time_us_i = 0x1200000000ull;
	tap.ok(low == 0xFFFFFFFF && h.id(SLU_NIC_ID_TIME_US_HI) == 0x11,
		"registers__time__high_half_is_the_one_of_the_low_half");
	dut.top.pstat_value_i = 0x500000007ull;
	tap.ok(h.stat(1, SLU_NIC_STAT_HIT_FRAMES) == 0x500000007ull, "registers__port_statistics__are_64_bits");
	dut.top.pstat_value_i = 0;

	static const uint32_t bad_writes[][2] = {
		{SLU_NIC_ID_MAGIC, 1},
		{SLU_NIC_ID_STATUS, 1},
		{0x3C, 0},
		{SLU_NIC_CMD_BASE + SLU_NIC_CMD_HEAD, 0},
		{SLU_NIC_CMD_BASE + SLU_NIC_CMD_RING_LOG2, 3},
		{SLU_NIC_CMD_BASE + SLU_NIC_CMD_CPL_LOG2, 17},
		{SLU_NIC_CMD_BASE + SLU_NIC_CMD_CONTROL, 1},
		{SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_TAGS_VALID, 1},
		{SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_HASH_KEY0 + 4 * 14, 1},
		{SLU_NIC_PORT_BASE + SLU_NIC_PORT_LINK, 1},
		{SLU_NIC_PORT_BASE + SLU_NIC_PORT_STATS0, 0},
		{SLU_NIC_PORT_BASE + SLU_NIC_PORT_RETA0, 0x00020000},
		{SLU_NIC_QUEUE_BASE + SLU_NIC_QUEUE_RX_HEAD, 0},
		{SLU_NIC_QUEUE_BASE + SLU_NIC_QUEUE_RX_LOG2, 16},
		{SLU_NIC_QUEUE_BASE + SLU_NIC_QUEUE_TX_LOG2, 0},
		{SLU_NIC_QUEUE_BASE + SLU_NIC_QUEUE_CONTROL, 1},
		{SLU_NIC_QUEUE_BASE + SLU_NIC_QUEUE_CONTROL, 2},
		{SLU_NIC_QUEUE_BASE + 4 * SLU_NIC_QUEUE_STRIDE, 0},
		{0x2000, 0},
		{SLU_NIC_DT_ROM_OFFSET, 0},
		{SLU_NIC_BAR0_BYTES + SLU_NIC_DB_RX_TAIL, 1},
		{SLU_NIC_BAR0_BYTES + SLU_NIC_DB_TX_TAIL, 1},
		{SLU_NIC_BAR0_BYTES + SLU_NIC_DB_RX_ARM, 1},
		{SLU_NIC_BAR0_BYTES + SLU_NIC_DB_CMD_TAIL, 1},
		{SLU_NIC_BAR0_BYTES + SLU_NIC_DB_CMD_ARM, 1},
		{SLU_NIC_BAR0_BYTES + 4 * SLU_NIC_DB_QUEUE_STRIDE, 1},
		{SLU_NIC_BAR0_BYTES + 0xC, 1},
		{SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_SCRATCH0 + 1, 1},
	};
	bool all = true;

	for (auto &w : bad_writes) {
		h.write(w[0], w[1]);
		if (h.id(SLU_NIC_ID_BAD_ACCESS) != ++bad) {
			printf("# write of %x to %x was not counted\n", w[1], w[0]);
			all = false;
			bad = h.id(SLU_NIC_ID_BAD_ACCESS);
		}
	}
	tap.ok(all, "registers__every_bad_write__is_counted");
	h.write(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_SCRATCH0, 5, 3);
	tap.ok(h.id(SLU_NIC_ID_BAD_ACCESS) == bad + 1 && h.read(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_SCRATCH0) == 0,
		"registers__half_a_word__is_refused_and_counted");
	h.read(0x3000);
	h.read(SLU_NIC_ID_BASE + 0x3C);
	h.read(SLU_NIC_BAR0_BYTES + 0x1000);
	tap.ok(h.id(SLU_NIC_ID_BAD_ACCESS) == bad + 4, "registers__reads_of_nothing__are_counted");
	h.write(h.queue_reg(0, SLU_NIC_QUEUE_RX_LOG2), 5);
	h.write(h.queue_reg(0, SLU_NIC_QUEUE_RX_RING_LO), 0x1004);
	h.write(h.queue_reg(0, SLU_NIC_QUEUE_CONTROL), 1);
	tap.ok(h.read(h.queue_reg(0, SLU_NIC_QUEUE_CONTROL)) == 0, "registers__ring_not_aligned__cannot_be_enabled");
	h.start_queue(0);
	h.write(h.queue_reg(0, SLU_NIC_QUEUE_RX_RING_LO), 0x40);
	tap.ok(h.read(h.queue_reg(0, SLU_NIC_QUEUE_CONTROL)) == 3 &&
			h.read(h.queue_reg(0, SLU_NIC_QUEUE_RX_RING_LO)) == (uint32_t)h.at(0, RX_RING),
		"registers__address_of_an_enabled_ring__cannot_be_changed");
	uint32_t before = h.id(SLU_NIC_ID_BAD_ACCESS);

	h.write(h.bell(0, SLU_NIC_DB_RX_TAIL), 33);
	h.write(h.bell(0, SLU_NIC_DB_TX_TAIL), 0xFFFFFFFF);
	tap.ok(h.id(SLU_NIC_ID_BAD_ACCESS) == before + 2,
		"registers__doorbell_beyond_the_ring__is_refused_and_counted");
	tap.ok(dut.sound() && dut.settle(), "registers__after_all_that__the_card_is_idle");
}

static void rss_vectors(Tap &tap)
{
	/* Microsoft, "Verifying the RSS hash calculation". */
	static const struct {
		const char *sentence;
		uint8_t dst[4], src[4];
		uint16_t dport, sport;
		uint32_t with_ports, without;
	} rows[] = {
		{"66.9.149.187", {161, 142, 100, 80}, {66, 9, 149, 187}, 1766, 2794, 0x51ccc178, 0x323e8fc2},
		{"199.92.111.2", {65, 69, 140, 83}, {199, 92, 111, 2}, 4739, 14230, 0xc626b0ea, 0xd718262a},
		{"24.19.198.95", {12, 22, 207, 184}, {24, 19, 198, 95}, 38024, 12898, 0x5c2b394a, 0xd2d0a5de},
		{"38.27.205.30", {209, 142, 163, 6}, {38, 27, 205, 30}, 2217, 48228, 0xafc7327f, 0x82989176},
		{"153.39.163.191", {202, 188, 127, 2}, {153, 39, 163, 191}, 1303, 44251, 0x10e828a2, 0x5d1809c5},
	};
	Dut dut(2);
	auto &h = dut.host;

	start(dut);
	h.start_queue(0);
	h.start_queue(1);
	for (auto &row : rows) {
		uint32_t got[2] = {};

		for (int ports = 0; ports < 2; ports++) {
			Frame f = random_frame(dut.random, 0, 64);
			slu_nic_rx_completion c = {};
			uint32_t want = ports ? row.with_ports : row.without;
			unsigned q = want & 1 ? 0 : 1; /* the table alternates 0, 1 from its lowest entry */

			q = (0x01000100u >> (want & 3) * 8) & 0xFF;
			memset(&f.meta.src, 0, 36);
			f.meta.flags = SLU_NIC_RXF_IPV4;
			memcpy(f.meta.src, row.src, 4);
			memcpy(f.meta.dst, row.dst, 4);
			if (ports) {
				put_be16(f.meta.sport, row.sport);
				put_be16(f.meta.dport, row.dport);
			}
			h.give_rx(q, DATA, 2048);
			dut.up[0].push_back(f);
			dut.settle();
			if (h.rx_completion(q, &c))
				got[ports] = c.rss_hash;
		}
		tap.ok(got[0] == row.without && got[1] == row.with_ports,
			std::string("rss__published_vector_") + row.sentence + "__gives_its_hashes_and_queue");
	}
}

static void receive(Tap &tap, bool slow)
{
	Dut dut(slow ? 10 : 11);
	auto &h = dut.host;
	const unsigned frames = 600;
	std::deque<Frame> expected[4];
	std::deque<uint64_t> buffers[4];
	uint64_t given[4] = {};
	unsigned done = 0, wrong = 0, sent = 0;

	if (slow)
		dut.slow();
	start(dut);
	for (unsigned q = 0; q < 4; q++) {
		h.queue[q].rx_log2 = 4 + q;
		h.start_queue(q);
	}
	for (unsigned round = 0; done < frames && round < 400000; round++) {
		for (unsigned q = 0; q < 4; q++) {
			/* Odd numbers of descriptors: lines are fetched in parts. */
			unsigned room = (1u << h.queue[q].rx_log2) - (h.queue[q].rx_tail - h.queue[q].rx_head);

			if (room >= 5 && dut.random.percent(20)) {
				unsigned n = dut.random.between(1, room < 9 ? room : 9);

				while (n--) {
					/* Buffers end where they like in their page; some cross several. */
					uint64_t addr = DATA + q * 0x190000 + given[q]++ % 130 * 0x3040;

					buffers[q].push_back(addr);
					h.give_rx(q, addr, 9216, n == 0);
				}
			}
			slu_nic_rx_completion c;

			while (h.rx_completion(q, &c)) {
				Frame f = expected[q].front();
				Bytes got(f.data.size());

				expected[q].pop_front();
				h.pages.read(buffers[q].front(), got.data(), got.size());
				buffers[q].pop_front();
				wrong += got != f.data || c.len != f.meta.len || c.reason != f.meta.reason ||
					 c.port != f.meta.port || c.rss_hash != expected_hash(f.meta) ||
					 c.flow_id != f.meta.flow_id || c.mark != f.meta.mark ||
					 c.vlan_tci != f.meta.vlan_tci || c.l3_off != f.meta.l3_off ||
					 c.l4_off != f.meta.l4_off || c.tcp_flags != f.meta.tcp_flags ||
					 c.proto != f.meta.proto || c.time_us != f.meta.time_us ||
					 c.flags != (f.meta.flags | (f.meta.flags & 0x30 ? SLU_NIC_RXF_RSS : 0));
				done++;
			}
		}
		/* Only what has a descriptor: no drop is meant here. */
		unsigned p = dut.random.below(2);

		if (sent < frames && dut.random.percent(30)) {
			Frame f = random_frame(dut.random, p,
				dut.random.percent(20) ? dut.random.between(60, 9216) : dut.random.between(60, 300));
			uint32_t hash = expected_hash(f.meta);
			unsigned q = p * 2 + ((0x01000100u >> (hash & 3) * 8) & 0xFF);

			if (dut.random.percent(20)) {
				f.meta.queue = (uint16_t)dut.random.below(2);
				q = p * 2 + f.meta.queue;
			}
			if (expected[q].size() < buffers[q].size()) {
				expected[q].push_back(f);
				dut.up[p].push_back(f);
				sent++;
			}
		}
		dut.tick();
	}
	std::string what = slow ? "slow_memory" : "fast_memory";

	tap.ok(done == frames && !wrong, "rx__" + what + "__every_frame_and_completion_is_right_when_its_pass_word_is");
	tap.ok(dut.sound() && dut.settle(), "rx__" + what + "__card_is_idle_afterwards");
	uint64_t drops = 0;

	for (unsigned p = 0; p < 2; p++)
		drops += h.stat(p, SLU_NIC_STAT_RX_NO_DESC) + h.stat(p, SLU_NIC_STAT_RX_TOO_LONG) +
			 h.stat(p, SLU_NIC_STAT_HOST_OFF_DROP);
	uint32_t heads = 0;

	for (unsigned q = 0; q < 4; q++)
		heads += h.read(h.queue_reg(q, SLU_NIC_QUEUE_RX_HEAD));
	tap.ok(!drops && heads == frames, "rx__" + what + "__nothing_is_counted_as_dropped");
}

static void receive_drops(Tap &tap)
{
	Dut dut(12);
	auto &h = dut.host;
	slu_nic_rx_completion c;

	start(dut);
	auto frame = [&](unsigned len, unsigned queue) {
		Frame f = random_frame(dut.random, 1, len);

		f.meta.queue = (uint16_t)queue;
		dut.up[1].push_back(f);
		dut.settle();
		return f;
	};
	frame(64, 0);
	frame(64, 2);
	frame(64, 0x8000);
	tap.ok(h.stat(1, SLU_NIC_STAT_HOST_OFF_DROP) == 3, "rx__queue_off_or_no_such_queue__drops_and_counts");
	h.start_queue(2);
	frame(64, 0);
	tap.ok(h.stat(1, SLU_NIC_STAT_RX_NO_DESC) == 1, "rx__no_descriptor__drops_and_counts");
	h.give_rx(2, DATA, 100);
	frame(101, 0);
	Frame f = frame(100, 0);
	Bytes got(100);

	h.pages.read(DATA, got.data(), 100);
	tap.ok(h.stat(1, SLU_NIC_STAT_RX_TOO_LONG) == 1 && h.rx_completion(2, &c) && c.len == 100 && got == f.data,
		"rx__frame_longer_than_its_buffer__is_dropped_and_the_buffer_takes_the_next");
	h.give_rx(2, 0x1000, 2048);
	h.give_rx(2, DATA + 0x4000, 2048);
	frame(200, 0);
	f = frame(200, 0);
	got.resize(200);
	h.pages.read(DATA + 0x4000, got.data(), 200);
	tap.ok(h.rx_completion(2, &c) && c.len == 0 && h.rx_completion(2, &c) && c.len == 200 && got == f.data &&
			h.id(SLU_NIC_ID_DMA_WRITE_ERRORS) == 1,
		"rx__buffer_outside_of_mapped_memory__completes_with_length_0_and_the_next_is_right");
	/* A buffer whose second page is missing. */
	h.pages.map(0x200000, 4096);
	h.give_rx(2, 0x200000 + 4096 - 64, 2048);
	frame(1000, 0);
	tap.ok(h.rx_completion(2, &c) && c.len == 0 && h.id(SLU_NIC_ID_DMA_WRITE_ERRORS) == 2,
		"rx__buffer_half_outside__completes_with_length_0");
	/* And one whose first page is missing: the last burst is good, the frame is not. */
	h.pages.map(0x301000, 4096);
	h.give_rx(2, 0x301000 - 64, 2048);
	frame(1000, 0);
	tap.ok(h.rx_completion(2, &c) && c.len == 0 && h.id(SLU_NIC_ID_DMA_WRITE_ERRORS) == 3,
		"rx__buffer_whose_first_page_is_missing__completes_with_length_0");
	h.give_rx(2, DATA + 4, 2048);
	frame(200, 0);
	tap.ok(h.stat(1, SLU_NIC_STAT_RX_TOO_LONG) == 2 && !h.rx_completion(2, &c),
		"rx__buffer_not_aligned__takes_no_frame");
	h.write(h.queue_reg(2, SLU_NIC_QUEUE_CONTROL), 0);
	h.pages.unmap(h.at(2, RX_RING), 4096);
	h.pages.map(h.at(2, RX_CPL), 4096);
	dut.settle();
	h.write(h.queue_reg(2, SLU_NIC_QUEUE_CONTROL), 1);
	h.write(h.bell(2, SLU_NIC_DB_RX_TAIL), 8);
	frame(100, 0);
	tap.ok(h.read(h.queue_reg(2, SLU_NIC_QUEUE_CONTROL)) == 0 && h.id(SLU_NIC_ID_DMA_READ_ERRORS) == 1,
		"rx__ring_outside_of_mapped_memory__switches_the_queue_off");
	tap.ok(dut.sound() && dut.settle(), "rx__after_all_that__the_card_is_idle");
}

static void transmit(Tap &tap, bool slow)
{
	Dut dut(slow ? 20 : 21);
	auto &h = dut.host;
	std::deque<Bytes> expected[4]; /* by queue */
	unsigned sent = 0, wrong = 0, got = 0;
	const unsigned frames = 64 * 12;
	uint64_t where = 0;

	if (slow)
		dut.slow();
	start(dut);
	for (unsigned q = 0; q < 4; q++) {
		h.queue[q].tx_log2 = 4 + q % 2;
		h.start_queue(q);
	}
	auto collect = [&] {
		for (unsigned p = 0; p < 2; p++) {
			for (auto &f : dut.down[p]) {
				bool match = false;

				for (unsigned q = 2 * p; q < 2 * p + 2 && !match; q++) {
					if (expected[q].empty() || expected[q].front() != f)
						continue;
					expected[q].pop_front();
					match = true;
				}
				wrong += !match;
				got++;
			}
			dut.down[p].clear();
		}
	};
	for (unsigned round = 0; got < frames && round < 300000; round++) {
		unsigned q = dut.random.below(4);

		if (sent < frames && h.queue[q].tx_tail - h.tx_done(q) < 1u << h.queue[q].tx_log2) {
			/* Every alignment twelve times; ends of pages fall anywhere. */
			uint64_t align = sent % 64;
			size_t len = sent % 12 == 0   ? 60
				     : sent % 12 == 1 ? 64
				     : sent % 12 == 2 ? 9216
				     : sent % 12 < 8  ? dut.random.between(60, 200)
						      : dut.random.between(60, 9216);
			Bytes f = random_bytes(dut.random, len);
			uint64_t addr = DATA + where + align;

			where = (where + 0x2F80) % 0x3E0000 / 64 * 64;
			h.pages.write(addr, f.data(), len);
			expected[q].push_back(f);
			h.give_tx(q, addr, (uint32_t)len);
			sent++;
		}
		dut.tick();
		collect();
	}
	dut.settle();
	collect();
	std::string what = slow ? "slow_memory" : "fast_memory";
	bool heads = true;

	for (unsigned q = 0; q < 4; q++)
		heads &= h.tx_done(q) == h.queue[q].tx_tail &&
			 h.read(h.queue_reg(q, SLU_NIC_QUEUE_TX_HEAD)) == h.queue[q].tx_tail;
	tap.ok(got == frames && !wrong, "tx__" + what + "__frames_of_every_alignment_leave_unchanged_and_in_order");
	tap.ok(heads, "tx__" + what + "__what_is_consumed_is_written_back");
	tap.ok(dut.sound() && dut.settle(), "tx__" + what + "__card_is_idle_afterwards");
}

static void transmit_bad(Tap &tap)
{
	Dut dut(22);
	auto &h = dut.host;
	Bytes good = random_bytes(dut.random, 100);
	static const uint32_t lengths[] = {0, 1, 59, 9217, 65535};

	start(dut);
	h.start_queue(1);
	h.pages.write(DATA + 3, good.data(), 100);
	for (uint32_t len : lengths)
		h.give_tx(1, DATA, len);
	h.give_tx(1, DATA + 3, 100);
	h.give_tx(1, 0x1000, 100);
	h.give_tx(1, DATA + 3, 100);
	/* The second page of this one is missing. */
	h.pages.map(0x400000, 4096);
	h.give_tx(1, 0x400000 + 4000, 3000);
	/* The first page of this one. */
	h.give_tx(1, 0x400000 - 100, 3000);
	h.give_tx(1, DATA + 3, 100);
	dut.settle();
	tap.ok(dut.down[0].size() == 3 && dut.down[0][0] == good && dut.down[0][1] == good && dut.down[0][2] == good,
		"tx__bad_lengths_and_unmapped_buffers__are_skipped_and_the_good_ones_leave");
	tap.ok(h.stat(0, SLU_NIC_STAT_TX_BAD_DESC) == 8 && h.tx_done(1) == 11,
		"tx__bad_descriptors__are_counted_and_consumed");
	tap.ok(h.id(SLU_NIC_ID_DMA_READ_ERRORS) == 3, "tx__failed_reads__are_counted");
	h.pages.unmap(h.at(1, TX_RING), 4096);
	h.write(h.bell(1, SLU_NIC_DB_TX_TAIL), 13);
	dut.settle();
	tap.ok((h.read(h.queue_reg(1, SLU_NIC_QUEUE_CONTROL)) & 0xA) == 0,
		"tx__ring_outside_of_mapped_memory__switches_the_queue_off");
	tap.ok(dut.sound() && dut.settle(), "tx__after_all_that__the_card_is_idle");
}

static void commands(Tap &tap)
{
	Dut dut(30);
	auto &h = dut.host;
	Bytes record6 = random_bytes(dut.random, 128), record4 = random_bytes(dut.random, 64), got(4096);
	slu_nic_command c;

	dut.slow();
	start(dut);
	h.start_commands();
	tap.ok(h.run(h.command(SLU_NIC_OPCODE_NOP)) == 0 && h.id(SLU_NIC_ID_HEARTBEAT) == 1,
		"cmd__nop__completes_and_beats");
	record4[1] &= (uint8_t)~1u;
	record6[1] |= 1;
	c = h.command(SLU_NIC_OPCODE_WRITE_RECORD, 17);
	c.units = 2;
	bool good = h.run(c, record4.data(), 1) == 0;
	c = h.command(SLU_NIC_OPCODE_WRITE_RECORD, SLOTS - 1);
	c.units = 3;
	good &= h.run(c, record6.data(), 2) == 0;
	tap.ok(good && !memcmp(&dut.records[17 * 128], record4.data(), 64) &&
			!memcmp(&dut.records[(SLOTS - 1) * 128], record6.data(), 128),
		"cmd__write_record__reaches_record_memory_in_both_sizes");
	tap.ok(h.run(h.command(SLU_NIC_OPCODE_COPY_RECORD, SLOTS - 1, 3)) == 0 &&
			!memcmp(&dut.records[3 * 128], record6.data(), 128),
		"cmd__copy_record__copies_128_bytes");
	good = h.run(h.command(SLU_NIC_OPCODE_READ_RECORD, 3, 0, DATA + 64)) == 0;
	h.pages.read(DATA + 64, got.data(), 128);
	tap.ok(good && !memcmp(got.data(), record6.data(), 128),
		"cmd__read_record__writes_it_to_the_host_before_it_completes");
	good = h.run(h.command(SLU_NIC_OPCODE_SET_TAG, 5, 0x1ABCD)) == 0 &&
	       h.run(h.command(SLU_NIC_OPCODE_SET_TAG, 6, 7)) == 0 &&
	       h.run(h.command(SLU_NIC_OPCODE_SET_TAG, (4 << BUCKET_BITS) + 7, 9)) == 0 &&
	       h.run(h.command(SLU_NIC_OPCODE_CLEAR_TAG, 6)) == 0;
	tap.ok(good && dut.tags.size() == 2 && dut.tags[5] == 0x1ABCD, "cmd__set_and_clear_tag__reach_the_table");
	for (unsigned n : {1u, 2u, 3u, 64u}) {
		Bytes want;

		h.pages.write(DATA, Bytes(4096, 0xAA).data(), 4096);
		good = h.run(h.command(SLU_NIC_OPCODE_DUMP_TAGS, n == 64 ? 0 : 1, n, DATA)) == 0;
		for (uint32_t b = 0; b < n; b++) {
			for (uint32_t i = 0; i < 8; i++) {
				uint32_t s = (i / 4) << (BUCKET_BITS + 2) | (b + (n != 64)) << 2 | i % 4;
				uint32_t word = dut.tags.count(s) ? 0x80000000u | dut.tags[s] : 0;

				for (int k = 0; k < 4; k++)
					want.push_back((uint8_t)(word >> 8 * k));
			}
		}
		want.push_back(0xAA);
		got.assign(want.size(), 0);
		h.pages.read(DATA, got.data(), got.size());
		tap.ok(good && got == want,
			"cmd__dump_of_" + std::to_string(n) + "_buckets__is_exact_and_goes_not_further");
	}
	Bytes hops = random_bytes(dut.random, 5 * 32);

	for (uint32_t i = 0; i < 5; i++) {
		c = h.command(SLU_NIC_OPCODE_WRITE_NEXTHOP, 11 + i);
		memcpy(c.next_hop, &hops[32 * i], 32);
		good &= h.run(c) == 0;
	}
	good &= h.run(h.command(SLU_NIC_OPCODE_READ_NEXTHOP, 11, 5, DATA)) == 0;
	got.assign(5 * 32, 0);
	h.pages.read(DATA, got.data(), got.size());
	tap.ok(good && got == hops, "cmd__next_hops__are_written_and_read_back");
	dut.table_ops.clear();
	tap.ok(h.run(h.command(SLU_NIC_OPCODE_FENCE)) == 0 && dut.table_ops.size() == 1 && dut.table_ops[0] == 5,
		"cmd__fence__waits_for_the_flow_engine");

	/* Statistics. */
	Bytes stats = random_bytes(dut.random, 70 * 16);

	dut.counter_pages.write(100 * 16, stats.data(), stats.size());
	for (unsigned n : {1u, 5u, 16u, 17u, 70u}) {
		h.pages.write(DATA + 0xF80, Bytes(4096, 0xAA).data(), 4096);
		good = h.run(h.command(SLU_NIC_OPCODE_READ_STATS, 100, n, DATA + 0xF80)) == 0;
		got.assign(n * 16 + 1, 0);
		h.pages.read(DATA + 0xF80, got.data(), got.size());
		tap.ok(good && !memcmp(got.data(), stats.data(), n * 16) && got.back() == 0xAA,
			"cmd__read_stats_of_" + std::to_string(n) + "_flows__is_exact_and_goes_not_further");
	}
	good = h.run(h.command(SLU_NIC_OPCODE_CLEAR_STATS, 101, 60)) == 0;
	for (unsigned i = 1; i < 61; i++)
		memset(&stats[i * 16], 0, 16);
	good &= h.run(h.command(SLU_NIC_OPCODE_READ_STATS, 100, 70, DATA)) == 0;
	got.assign(70 * 16, 0);
	h.pages.read(DATA, got.data(), got.size());
	tap.ok(good && got == stats, "cmd__clear_stats__zeroes_exactly_the_range");

	/* What must be refused. */
	static const struct {
		unsigned opcode;
		uint32_t slot, arg;
		uint64_t addr;
		unsigned units;
		int status;
		const char *sentence;
	} bad[] = {
		{13, 0, 0, 0, 1, SLU_NIC_CMD_STATUS_BAD_OPCODE, "unknown_opcode"},
		{255, 0, 0, 0, 1, SLU_NIC_CMD_STATUS_BAD_OPCODE, "opcode_255"},
		{SLU_NIC_OPCODE_NOP, 0, 0, 0, 0, SLU_NIC_CMD_STATUS_BAD_UNITS, "no_units"},
		{SLU_NIC_OPCODE_NOP, 0, 0, 0, 2, SLU_NIC_CMD_STATUS_BAD_UNITS, "nop_of_two_units"},
		{SLU_NIC_OPCODE_WRITE_RECORD, 0, 0, 0, 1, SLU_NIC_CMD_STATUS_BAD_UNITS, "record_without_record"},
		{SLU_NIC_OPCODE_WRITE_RECORD, 0, 0, 0, 4, SLU_NIC_CMD_STATUS_BAD_UNITS, "record_of_four_units"},
		{SLU_NIC_OPCODE_WRITE_RECORD, SLOTS, 0, 0, 2, SLU_NIC_CMD_STATUS_RANGE, "record_beyond_the_table"},
		{SLU_NIC_OPCODE_SET_TAG, SLOTS, 0, 0, 1, SLU_NIC_CMD_STATUS_RANGE, "tag_beyond_the_table"},
		{SLU_NIC_OPCODE_SET_TAG, 0, 0x20000, 0, 1, SLU_NIC_CMD_STATUS_RANGE, "tag_too_wide"},
		{SLU_NIC_OPCODE_CLEAR_TAG, 0xFFFFFFFF, 0, 0, 1, SLU_NIC_CMD_STATUS_RANGE, "clear_beyond_the_table"},
		{SLU_NIC_OPCODE_COPY_RECORD, 0, SLOTS, 0, 1, SLU_NIC_CMD_STATUS_RANGE, "copy_to_beyond_the_table"},
		{SLU_NIC_OPCODE_COPY_RECORD, SLOTS, 0, 0, 1, SLU_NIC_CMD_STATUS_RANGE, "copy_from_beyond_the_table"},
		{SLU_NIC_OPCODE_READ_RECORD, SLOTS, 0, DATA, 1, SLU_NIC_CMD_STATUS_RANGE, "read_beyond_the_table"},
		{SLU_NIC_OPCODE_READ_RECORD, 0, 0, DATA + 32, 1, SLU_NIC_CMD_STATUS_RANGE, "host_address_not_aligned"},
		{SLU_NIC_OPCODE_DUMP_TAGS, 60, 5, DATA, 1, SLU_NIC_CMD_STATUS_RANGE, "dump_beyond_the_table"},
		{SLU_NIC_OPCODE_DUMP_TAGS, 1, 0xFFFFFFFF, DATA, 1, SLU_NIC_CMD_STATUS_RANGE, "dump_that_wraps"},
		{SLU_NIC_OPCODE_READ_STATS, 4090, 7, DATA, 1, SLU_NIC_CMD_STATUS_RANGE, "stats_beyond_the_table"},
		{SLU_NIC_OPCODE_CLEAR_STATS, 4096, 1, 0, 1, SLU_NIC_CMD_STATUS_RANGE, "clear_stats_beyond_the_table"},
		{SLU_NIC_OPCODE_WRITE_NEXTHOP, 16, 0, 0, 1, SLU_NIC_CMD_STATUS_RANGE, "next_hop_beyond_the_table"},
		{SLU_NIC_OPCODE_READ_NEXTHOP, 15, 2, DATA, 1, SLU_NIC_CMD_STATUS_RANGE, "next_hops_beyond_the_table"},
		{SLU_NIC_OPCODE_READ_RECORD, 0, 0, 0x1000, 1, SLU_NIC_CMD_STATUS_DMA, "read_record_to_unmapped_memory"},
		{SLU_NIC_OPCODE_DUMP_TAGS, 0, 64, 0x1000, 1, SLU_NIC_CMD_STATUS_DMA, "dump_to_unmapped_memory"},
		{SLU_NIC_OPCODE_READ_STATS, 0, 20, 0x1000, 1, SLU_NIC_CMD_STATUS_DMA, "stats_to_unmapped_memory"},
	};
	uint32_t failed = 0;
	Bytes before = dut.records;
	auto tags = dut.tags;
	Bytes filler(64 * 3, 0xFF);

	for (auto &b : bad) {
		c = h.command(b.opcode, b.slot, b.arg, b.addr);
		c.units = (uint8_t)b.units;
		int status = h.run(c, filler.data(), b.units > 1 ? b.units - 1 : 0);

		tap.ok(status == b.status && h.run(h.command(SLU_NIC_OPCODE_NOP)) == 0,
			std::string("cmd__") + b.sentence + "__gets_its_status_and_the_next_command_is_served");
		failed++;
	}
	c = h.command(SLU_NIC_OPCODE_WRITE_RECORD, 20);
	c.units = 2;
	tap.ok(h.run(c, record6.data(), 1) == SLU_NIC_CMD_STATUS_BAD_UNITS, "cmd__ipv6_record_of_one_unit__is_refused");
	failed++;
	tap.ok(dut.records == before && dut.tags == tags && h.read(SLU_NIC_CMD_BASE + SLU_NIC_CMD_ERRORS) == failed,
		"cmd__refused_commands__changed_nothing_and_are_counted");
	dut.rec_fail_next = true;
	c = h.command(SLU_NIC_OPCODE_WRITE_RECORD, 20);
	c.units = 2;
	good = h.run(c, record4.data(), 1) == SLU_NIC_CMD_STATUS_MEMORY;
	dut.table_err_next = true;
	good &= h.run(h.command(SLU_NIC_OPCODE_READ_RECORD, 20, 0, DATA)) == SLU_NIC_CMD_STATUS_MEMORY;
	dut.table_err_next = true;
	good &= h.run(h.command(SLU_NIC_OPCODE_COPY_RECORD, 20, 21)) == SLU_NIC_CMD_STATUS_MEMORY;
	dut.counters.fail_reads = 1;
	good &= h.run(h.command(SLU_NIC_OPCODE_READ_STATS, 20, 3, DATA)) == SLU_NIC_CMD_STATUS_MEMORY;
	tap.ok(good && h.id(SLU_NIC_ID_MEMORY_ERRORS) == 2,
		"cmd__memory_that_fails__gives_status_memory_and_is_counted");

	/* Many at once, quiet ones among them, around the rings. */
	unsigned loud = 0, right = 0;
	std::deque<uint32_t> cookies;

	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 23; i++) {
			c = h.command(i % 5 == 4 ? 200 : SLU_NIC_OPCODE_SET_TAG, dut.random.below(SLOTS), i);
			if (i % 3)
				c.flags = SLU_NIC_CMD_FLAG_QUIET;
			if (i % 3 == 0 || i % 5 == 4) {
				cookies.push_back(c.cookie);
				loud++;
			}
			h.push(&c, 1);
		}
		h.ring_commands();
		slu_nic_cmd_completion done;

		while (!cookies.empty() && h.completion(&done)) {
			right += done.cookie == cookies.front();
			cookies.pop_front();
		}
		dut.settle();
	}
	slu_nic_cmd_completion none;

	tap.ok(right == loud && !h.completion(&none, 500),
		"cmd__quiet_commands__complete_only_when_they_fail_and_order_is_kept");

	h.write(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_SCRATCH1, 77);
	h.write(h.port_reg(0, SLU_NIC_PORT_MAC_LO), 0x11223344);
	dut.table_ops.clear();
	good = h.run(h.command(SLU_NIC_OPCODE_FLOW_RESET), nullptr, 0, 400000) == 0;
	h.run(h.command(SLU_NIC_OPCODE_READ_STATS, 100, 70, DATA));
	got.assign(70 * 16, 1);
	h.pages.read(DATA, got.data(), got.size());
	tap.ok(good && got == Bytes(70 * 16) && dut.tags.empty() &&
			h.read(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_SCRATCH1) == 0 &&
			h.read(h.port_reg(0, SLU_NIC_PORT_MAC_LO)) == 0,
		"cmd__flow_reset__clears_tags_statistics_and_registers");
	/* A command whose units are not there yet is no work, and no trap. */
	c = h.command(SLU_NIC_OPCODE_WRITE_RECORD, 30);
	c.units = 3;
	h.push(&c, 1);
	h.ring_commands();
	good = dut.settle();
	h.push(record6.data(), 2);
	h.ring_commands();
	tap.ok(good && h.completion(&none) && none.status == 0 && !memcmp(&dut.records[30 * 128], record6.data(), 128),
		"cmd__units_that_come_later__are_waited_for_while_idle");
	h.pages.unmap(CMD_RING, 0x1000);
	h.push(&c, 0);
	h.write(SLU_NIC_BAR0_BYTES + SLU_NIC_DB_CMD_TAIL, h.cmd_tail + 1);
	dut.settle();
	tap.ok((h.read(SLU_NIC_CMD_BASE + SLU_NIC_CMD_CONTROL) & 1) == 0,
		"cmd__ring_outside_of_mapped_memory__is_switched_off");
	tap.ok(dut.sound() && dut.settle(), "cmd__after_all_that__the_card_is_idle");
}

static void interrupts(Tap &tap)
{
	Dut dut(40);
	auto &h = dut.host;
	unsigned lost = 0, early = 0, woken = 0;
	slu_nic_rx_completion c;

	dut.slow();
	start(dut);
	h.start_queue(0);
	h.start_commands();
	/* A host that sleeps: looks at its ring, arms, sleeps until the interrupt. Frames come whenever. */
	for (unsigned i = 0; i < 150; i++) {
		h.give_rx(0, DATA, 2048);
		Frame f = random_frame(dut.random, 0, 60 + dut.random.below(200));

		f.meta.queue = 0;
		dut.up[0].push_back(f);
		dut.run(dut.random.below(300));
		uint64_t before = h.irqs[0];

		h.write(h.bell(0, SLU_NIC_DB_RX_ARM), h.queue[0].rx_head);
		unsigned slept = 0;

		while (h.irqs[0] == before && slept++ < 3000)
			dut.tick();
		lost += h.irqs[0] == before;
		early += !h.rx_completion(0, &c);
		woken++;
		/* Without arming there is no second one. */
		before = h.irqs[0];
		h.give_rx(0, DATA, 2048);
		dut.up[0].push_back(f);
		dut.settle();
		early += h.irqs[0] != before || !h.rx_completion(0, &c);
	}
	tap.ok(woken == 150 && !lost, "irq__frames_around_the_arming__always_wake_the_host");
	tap.ok(!early, "irq__once_for_each_arming__and_only_with_a_completion_to_read");
	uint64_t before = h.irqs[0];

	h.write(h.bell(0, SLU_NIC_DB_RX_ARM), h.queue[0].rx_head + 2);
	h.write(SLU_NIC_ID_IRQ_MASK, 1);
	for (int i = 0; i < 2; i++) {
		h.give_rx(0, DATA, 2048);
		dut.up[0].push_back(random_frame(dut.random, 0, 64));
		dut.up[0].back().meta.queue = 0;
	}
	dut.settle();
	bool none = h.irqs[0] == before;

	h.give_rx(0, DATA, 2048);
	dut.up[0].push_back(random_frame(dut.random, 0, 64));
	dut.up[0].back().meta.queue = 0;
	dut.settle();
	none &= h.irqs[0] == before;
	h.write(SLU_NIC_ID_IRQ_MASK, 0);
	dut.settle();
	tap.ok(none && h.irqs[0] == before + 1, "irq__masked__waits_for_its_index_and_comes_when_unmasked");
	before = h.irqs[4];
	h.write(SLU_NIC_BAR0_BYTES + SLU_NIC_DB_CMD_ARM, 0);
	dut.run(50);
	none = h.irqs[4] == before;
	h.run(h.command(SLU_NIC_OPCODE_NOP));
	dut.settle();
	tap.ok(none && h.irqs[4] == before + 1, "irq__commands__have_the_last_vector");
	tap.ok(dut.sound(), "irq__after_all_that__the_card_is_sound");
}

/* Everything at once, then a reset at a random clock. */
static void resets(Tap &tap)
{
	unsigned unclean = 0, late = 0, broken = 0, cut = 0;
	const unsigned rounds = 60;
	Dut dut(50);
	auto &h = dut.host;

	dut.slow();
	h.write(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_SCRATCH0, 0xC0FFEE);
	h.write(h.port_reg(1, SLU_NIC_PORT_MAC_LO), 0x01020304);
	for (unsigned round = 0; round < rounds; round++) {
		start(dut);
		h.start_commands();
		for (unsigned q = 0; q < 4; q++)
			h.start_queue(q);
		for (unsigned i = 0; i < 20; i++) {
			unsigned q = i % 4;
			slu_nic_command c =
				h.command(i % 3 ? SLU_NIC_OPCODE_READ_STATS : SLU_NIC_OPCODE_DUMP_TAGS, 0, 30, DATA);

			h.push(&c, 1);
			h.give_rx(q, DATA + i * 0x3000, 9216, false);
			h.give_tx(q, DATA + i * 0x3001, dut.random.between(60, 9216), false);
			dut.up[q / 2].push_back(random_frame(dut.random, q / 2, dut.random.between(60, 4000)));
		}
		h.ring_commands();
		for (unsigned q = 0; q < 4; q++) {
			h.write(h.bell(q, SLU_NIC_DB_RX_TAIL), h.queue[q].rx_tail);
			h.write(h.bell(q, SLU_NIC_DB_TX_TAIL), h.queue[q].tx_tail);
		}
		dut.run(dut.random.below(1500));
		uint32_t generation = h.id(SLU_NIC_ID_GENERATION);

		if (round % 2) {
			dut.top.host_rst_i = 1;
			dut.tick();
			dut.top.host_rst_i = 0;
		} else {
			h.write(SLU_NIC_ID_CONTROL, SLU_NIC_CONTROL_HOST_RESET | SLU_NIC_CONTROL_DMA_ENABLE);
		}
		unsigned polls = 0;

		while (h.id(SLU_NIC_ID_CONTROL) & SLU_NIC_CONTROL_HOST_RESET && polls++ < 2000)
			;
		uint64_t reads = dut.dma.reads, writes = dut.dma.writes;

		unclean += polls >= 2000 || !dut.dma.idle() || h.id(SLU_NIC_ID_GENERATION) != generation + 1 ||
			   h.id(SLU_NIC_ID_CONTROL) != 0 || h.read(h.queue_reg(1, SLU_NIC_QUEUE_CONTROL)) != 0 ||
			   h.read(h.queue_reg(1, SLU_NIC_QUEUE_RX_RING_LO)) != 0 ||
			   h.read(h.queue_reg(2, SLU_NIC_QUEUE_TX_HEAD)) ||
			   h.read(SLU_NIC_CMD_BASE + SLU_NIC_CMD_HEAD) != 0 ||
			   h.read(SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_SCRATCH0) != 0xC0FFEE ||
			   h.read(h.port_reg(1, SLU_NIC_PORT_MAC_LO)) != 0x01020304;
		dut.run(300);
		late += dut.dma.reads != reads || dut.dma.writes != writes;
		broken += !dut.settle() || !dut.sound();
		for (unsigned p = 0; p < 2; p++) {
			cut += !dut.down_part[p].empty();
			dut.down[p].clear();
		}
		/* And at once usable. */
		Frame f = random_frame(dut.random, 1, 300);
		slu_nic_rx_completion c;

		f.meta.queue = 1;
		start(dut);
		h.start_queue(3);
		h.give_rx(3, DATA, 2048);
		dut.up[1].push_back(f);
		h.pages.write(DATA + 0x5003, f.data.data(), 300);
		h.give_tx(3, DATA + 0x5003, 300);
		dut.settle();
		Bytes got(300);

		h.pages.read(DATA, got.data(), 300);
		broken += !h.rx_completion(3, &c) || c.len != 300 || got != f.data || dut.down[1].size() != 1 ||
			  dut.down[1][0] != f.data;
		dut.down[1].clear();
		dut.top.host_rst_i = 1;
		dut.tick();
		dut.top.host_rst_i = 0;
		dut.settle();
	}
	tap.ok(!unclean, "reset__in_the_middle_of_everything__host_domain_is_zeroed_and_flow_domain_kept");
	tap.ok(!late, "reset__afterwards__no_access_to_host_memory");
	tap.ok(!cut, "reset__frames_on_their_way_out__are_not_cut");
	tap.ok(!broken, "reset__afterwards__queues_work_at_once");
}

static void dma_switched_off(Tap &tap)
{
	unsigned late = 0, stuck = 0;
	Dut dut(60);
	auto &h = dut.host;

	dut.slow();
	for (unsigned round = 0; round < 40; round++) {
		start(dut);
		h.start_commands();
		for (unsigned q = 0; q < 4; q++)
			h.start_queue(q);
		for (unsigned i = 0; i < 16; i++) {
			slu_nic_command c = h.command(SLU_NIC_OPCODE_READ_STATS, 0, 64, DATA);

			h.push(&c, 1);
			h.give_rx(i % 4, DATA + i * 0x3000, 9216, false);
			h.give_tx(i % 4, DATA + i * 0x3001, dut.random.between(60, 9216), false);
			dut.up[i % 2].push_back(random_frame(dut.random, i % 2, dut.random.between(60, 4000)));
		}
		h.ring_commands();
		for (unsigned q = 0; q < 4; q++) {
			h.write(h.bell(q, SLU_NIC_DB_RX_TAIL), h.queue[q].rx_tail);
			h.write(h.bell(q, SLU_NIC_DB_TX_TAIL), h.queue[q].tx_tail);
		}
		dut.run(dut.random.below(900));
		h.write(SLU_NIC_ID_CONTROL, 0);
		unsigned polls = 0;

		while (!(h.id(SLU_NIC_ID_STATUS) & SLU_NIC_STATUS_DMA_IDLE) && polls++ < 2000)
			;
		uint64_t reads = dut.dma.reads, writes = dut.dma.writes;

		stuck += polls >= 2000 || !dut.settle();
		late += dut.dma.reads != reads || dut.dma.writes != writes;
		h.write(SLU_NIC_ID_CONTROL, SLU_NIC_CONTROL_HOST_RESET);
		dut.settle();
	}
	tap.ok(!late, "dma__switched_off__no_access_to_host_memory_once_idle");
	tap.ok(!stuck && dut.sound(), "dma__switched_off_in_the_middle__nothing_hangs");
}

int main()
{
	Tap tap;

	registers(tap);
	rss_vectors(tap);
	receive(tap, false);
	receive(tap, true);
	receive_drops(tap);
	transmit(tap, false);
	transmit(tap, true);
	transmit_bad(tap);
	commands(tap);
	interrupts(tap);
	resets(tap);
	dma_switched_off(tap);
	return tap.end();
}
