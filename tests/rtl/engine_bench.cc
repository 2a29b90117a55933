#include "engine_bench.h"

#include <algorithm>

using bench::Bytes;
using model::Flow;
using model::Verdict;

enum { SET_TAG, CLEAR_TAG, DUMP, WRITE_NEXTHOP, READ_NEXTHOP, FENCE, FLOW_RESET, READ_RECORD };

EngineBench::EngineBench(uint64_t seed) : top(new Vslu_flow_engine), random(seed), memory(SLOTS * 128)
{
	memset(&top->rx_data_i, 0, sizeof(top->rx_data_i));
	top->clk_i = 0;
	top->rst_ni = 0;
	top->rx_valid_i = 0;
	top->htx_valid_i = 0;
	top->tx_ready_i = 3;
	top->hrx_ready_i = 3;
	top->tbl_valid_i = 0;
	top->flow_rst_i = 0;
	top->lookup_enable_i = 1;
	top->port_enable_i = 3;
	top->vlan_strip_i = 0;
	top->m_rec_rvalid_i = 0;
	top->m_rec_arready_i = 1;
	top->fst_ready_i = 1;
	top->pstat_port_i = 0;
	top->pstat_idx_i = 0;
	for (int i = 0; i < 14; i++) {
		hash_key[i] = (uint32_t)random.next() | 1;
		bench::put(&top->hash_key_i, 32u * i, &hash_key[i], 4);
	}
	for (unsigned p = 0; p < PORTS; p++) {
		const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(p + 1)};

		memcpy(model.mac[p], mac, 6);
		for (int i = 0; i < 6; i++)
			bench::put_bits(&top->port_mac_i, 48 * p + 8u * i, 8, mac[i]);
	}
	for (uint8_t &byte : memory)
		byte = (uint8_t)random.next();
	for (int i = 0; i < 4; i++) {
		top->eval();
		top->clk_i = !top->clk_i;
	}
	top->clk_i = 0;
	top->rst_ni = 1;
	do {
		clock();
	} while (top->busy_o || !top->idle_o);
}

EngineBench::~EngineBench()
{
	top->final();
}

void EngineBench::fail(const std::string &what)
{
	if (error.empty())
		error = what + " (clock " + std::to_string(now) + ")";
}

void EngineBench::send(unsigned port, const Bytes &frame, bool wire_error, bool judge)
{
	rx_[port].push_back({frame, wire_error});
	if (!judge)
		return;

	Verdict v = model.judge(frame, port, wire_error);

	switch (v.kind) {
	case model::FORWARD:
		expect_tx_[v.port][port].push_back(v.frame);
		break;
	case model::HOST:
		expect_host_[port].push_back(v);
		break;
	default:
		dropped++;
	}
	if (v.update) {
		expect_updates_[{v.flow_id, v.bytes, v.count}]++;
		expected_updates_++;
	}
}

void EngineBench::host_send(unsigned port, const Bytes &frame)
{
	htx_[port].push_back(frame);
	expect_tx_[port][PORTS].push_back(frame);
}

void EngineBench::drive_rx(unsigned port)
{
	uint32_t mask = 1u << port;

	if (rx_[port].empty() || (rx_gap && random.percent(rx_gap))) {
		top->rx_valid_i &= ~mask;
		return;
	}

	const Sent &sent = rx_[port].front();
	size_t left = sent.frame.size() - rx_at_[port], count = std::min<size_t>(left, 64);
	bool last = left <= 64;
	uint64_t keep = count == 64 ? ~0ull : (1ull << count) - 1;

	if (!first_rx)
		first_rx = now;
	bench::put(&top->rx_data_i, 512 * port, &sent.frame[rx_at_[port]], count);
	bench::put(&top->rx_keep_i, 64 * port, &keep, 8);
	top->rx_valid_i |= mask;
	top->rx_last_i = (top->rx_last_i & ~mask) | (last ? mask : 0);
	top->rx_err_i = (top->rx_err_i & ~mask) | (last && sent.error ? mask : 0);
	rx_at_[port] += count;
	if (last) {
		rx_[port].pop_front();
		rx_at_[port] = 0;
	}
}

void EngineBench::drive_htx(unsigned port)
{
	uint32_t mask = 1u << port;

	if (htx_[port].empty()) {
		top->htx_valid_i &= ~mask;
		return;
	}

	const Bytes &frame = htx_[port].front();
	size_t left = frame.size() - htx_at_[port], count = std::min<size_t>(left, 64);

	bench::put(&top->htx_data_i, 512 * port, &frame[htx_at_[port]], count);
	bench::put_bits(&top->htx_bytes_i, 7 * port, 7, count);
	top->htx_valid_i |= mask;
	top->htx_last_i = (top->htx_last_i & ~mask) | (left <= 64 ? mask : 0);
}

void EngineBench::drive_record_memory()
{
	top->m_rec_arready_i = !ar_stall || !random.percent(ar_stall);
	top->m_rec_rvalid_i = 0;
	if (reading_ < 0) {
		/* Any that is due may answer next. */
		size_t count = reads_.size();

		if (latency_min == latency_max) {
			if (count && reads_[0].due <= now)
				reading_ = 0;
		} else if (count) {
			size_t start = random.below((uint32_t)count);

			/* The most overdue first, so that no answer is later than asked for; otherwise any. */
			for (size_t i = 0; i < count && reading_ < 0; i++)
				if (reads_[i].due + 1 <= now)
					reading_ = (int)i;
			for (size_t i = 0; i < count && reading_ < 0; i++)
				if (reads_[(start + i) % count].due <= now)
					reading_ = (int)((start + i) % count);
		}
		read_beat_ = 0;
	}
	if (reading_ < 0)
		return;

	const Read &read = reads_[(size_t)reading_];

	top->m_rec_rvalid_i = 1;
	top->m_rec_rid_i = read.id;
	top->m_rec_rresp_i = record_errors ? 2 : 0;
	top->m_rec_rlast_i = read_beat_ + 1 == read.beats;
	bench::put(&top->m_rec_rdata_i, 0, &memory[read.address + 64 * read_beat_], 64);
	if (++read_beat_ == read.beats) {
		reads_.erase(reads_.begin() + reading_);
		reading_ = -1;
	}
}

void EngineBench::match_tx(unsigned port, const Bytes &frame)
{
	for (unsigned source = 0; source <= PORTS; source++) {
		std::deque<Bytes> &queue = expect_tx_[port][source];

		if (quiet_sink && !queue.empty()) {
			queue.pop_front();
			return;
		}
		if (!queue.empty() && queue.front() == frame) {
			queue.pop_front();
			return;
		}
	}
	if (store_may_drop) {
		/* Frames before this one may have been dropped at the wire. */
		for (unsigned source = 0; source <= PORTS; source++) {
			std::deque<Bytes> &queue = expect_tx_[port][source];
			auto found = std::find(queue.begin(), queue.end(), frame);

			if (found != queue.end()) {
				queue.erase(queue.begin(), found + 1);
				return;
			}
		}
	}
	char text[512];
	int at = snprintf(text, sizeof(text), "wire %u: unexpected frame of %zu bytes", port, frame.size());
	for (unsigned source = 0; source <= PORTS; source++) {
		std::deque<Bytes> &queue = expect_tx_[port][source];

		if (queue.empty())
			continue;
		at += snprintf(text + at, sizeof(text) - (size_t)at, "; source %u expects %zu bytes", source,
			queue.front().size());
		for (size_t i = 0, shown = 0; i < frame.size() && i < queue.front().size() && shown < 8; i++) {
			if (frame[i] != queue.front()[i]) {
				at += snprintf(text + at, sizeof(text) - (size_t)at, " [%zu] %02x!=%02x", i, frame[i],
					queue.front()[i]);
				shown++;
			}
		}
	}
	fail(text);
}

void EngineBench::take_tx(unsigned port)
{
	if (!(top->tx_valid_o >> port & 1) || !(top->tx_ready_i >> port & 1))
		return;

	uint64_t keep;
	uint8_t data[64];

	bench::get(&top->tx_keep_o, 64 * port, &keep, 8);
	bench::get(&top->tx_data_o, 512 * port, data, 64);
	if (keep & (keep + 1))
		fail("wire: keep has holes");
	tx_[port].insert(tx_[port].end(), data, data + __builtin_popcountll(keep));
	if (!(top->tx_last_o >> port & 1)) {
		if (keep != ~0ull)
			fail("wire: short beat within a frame");
		return;
	}
	match_tx(port, tx_[port]);
	tx_[port].clear();
	forwarded++;
	last_tx = now;
}

void EngineBench::match_host(unsigned port, const Bytes &frame, const uint8_t *meta)
{
	/* Offsets of slu_pkg::rx_meta_t, low bits first. */
	auto field = [&](unsigned bit, unsigned count) { return bench::get_bits(meta, bit, count); };

	if (host_may_drop || store_may_drop) {
		while (!expect_host_[port].empty() && expect_host_[port].front().frame != frame) {
			expect_host_[port].pop_front();
			hosts_lost++;
		}
	}
	if (expect_host_[port].empty()) {
		fail("host got a frame that should not come to it, reason " + std::to_string(field(16, 8)));
		return;
	}

	const Verdict v = expect_host_[port].front();

	expect_host_[port].pop_front();
	reasons[v.reason]++;

	auto same = [&](const char *name, uint64_t got, uint64_t want) {
		if (got != want)
			fail(std::string("host: ") + name + " is " + std::to_string(got) + ", not " +
				std::to_string(want) + ", reason " + std::to_string(v.reason));
	};
	if (frame != v.frame)
		fail("host: frame of " + std::to_string(frame.size()) + " bytes differs, reason " +
			std::to_string(v.reason) + " got reason " + std::to_string(field(16, 8)));
	same("len", field(0, 16), v.frame.size());
	same("reason", field(16, 8), v.reason);
	same("port", field(24, 8), port);
	same("flags", field(32, 16), v.flags);
	same("vlan_tci", field(48, 16), v.vlan_tci);
	same("l3_off", field(64, 8), v.l3_off);
	same("l4_off", field(72, 8), v.l4_off);
	same("tcp_flags", field(80, 8), v.tcp_flags);
	same("proto", field(88, 8), v.proto);
	same("flow_id", field(96, 32), v.meta_flow_id);
	same("mark", field(128, 32), v.mark);
	same("queue", field(160, 16), v.queue);
	if (memcmp(meta + 22, v.src, 16) || memcmp(meta + 38, v.dst, 16))
		fail("host: addresses of the RSS tuple differ");
	if (memcmp(meta + 54, v.sport, 2) || memcmp(meta + 56, v.dport, 2))
		fail("host: ports of the RSS tuple differ");
}

void EngineBench::take_host(unsigned port)
{
	if (!(top->hrx_valid_o >> port & 1) || !(top->hrx_ready_i >> port & 1))
		return;

	uint8_t data[64], meta[META_BITS / 8];
	size_t count = bench::get_bits(&top->hrx_bytes_o, 7 * port, 7);

	bench::get(&top->hrx_data_o, 512 * port, data, 64);
	if (count == 0 || count > 64)
		fail("host: beat of " + std::to_string(count) + " bytes");
	hrx_[port].insert(hrx_[port].end(), data, data + std::min<size_t>(count, 64));
	if (!(top->hrx_last_o >> port & 1))
		return;
	bench::get(&top->hrx_meta_o, META_BITS * port, meta, sizeof(meta));
	match_host(port, hrx_[port], meta);
	hrx_[port].clear();
	to_host++;
	last_host = now;
}

void EngineBench::clock()
{
	for (unsigned p = 0; p < PORTS; p++) {
		drive_rx(p);
		drive_htx(p);
	}
	drive_record_memory();
	top->tx_ready_i = (random.percent(tx_stall) ? 0u : 1u) | (random.percent(tx_stall) ? 0u : 2u);
	top->hrx_ready_i = (random.percent(hrx_stall) ? 0u : 1u) | (random.percent(hrx_stall) ? 0u : 2u);
	top->fst_ready_i = !random.percent(fst_stall);
	top->time_us_i = now;
	top->eval();

	/* Handshakes of this clock. */
	for (unsigned p = 0; p < PORTS; p++) {
		take_tx(p);
		take_host(p);
		if ((top->htx_valid_i & top->htx_ready_o) >> p & 1) {
			htx_at_[p] += 64;
			if (htx_at_[p] >= htx_[p].front().size()) {
				htx_[p].pop_front();
				htx_at_[p] = 0;
				host_sent++;
			}
		}
	}
	if (top->m_rec_arvalid_o && top->m_rec_arready_i) {
		uint32_t address = top->m_rec_araddr_o;

		if (address % 128 || address + 128 > memory.size())
			fail("record memory: address out of range");
		for (const Read &read : reads_)
			if (read.id == top->m_rec_arid_o)
				fail("record memory: id used twice");
		reads_.push_back({now + random.between(latency_min, latency_max), address % (uint32_t)memory.size(),
			top->m_rec_arid_o, top->m_rec_arlen_o + 1u});
		max_in_flight = std::max<uint64_t>(max_in_flight, reads_.size());
	}
	if (top->fst_valid_o && top->fst_ready_i) {
		auto found = expect_updates_.find({top->fst_flow_id_o, top->fst_bytes_o, (bool)top->fst_count_o});

		updates++;
		if (!store_may_drop && (found == expect_updates_.end() || found->second == 0))
			fail("statistics: unexpected update of flow " + std::to_string(top->fst_flow_id_o));
		else if (found != expect_updates_.end())
			found->second--;
	}
	if (top->tbl_valid_i && top->tbl_ready_o)
		table_taken_ = true;
	if (top->tbl_done_o) {
		if (!table_busy_)
			fail("table port: done without request");
		table_busy_ = false;
		table_error_ = top->tbl_err_o;
		bench::get(&top->tbl_rdata_o, 0, table_data, 128);
	}

	top->clk_i = 1;
	top->eval();
	top->clk_i = 0;
	if (table_taken_) {
		top->tbl_valid_i = 0;
		table_taken_ = false;
	}
	now++;
}

void EngineBench::run(unsigned clocks)
{
	while (clocks--)
		clock();
}

uint64_t EngineBench::pending() const
{
	uint64_t count = 0;

	for (unsigned p = 0; p < PORTS; p++) {
		count += rx_[p].size() + htx_[p].size() + expect_host_[p].size();
		for (unsigned s = 0; s <= PORTS; s++)
			count += expect_tx_[p][s].size();
	}
	return count;
}

bool EngineBench::drain(unsigned limit)
{
	while (limit--) {
		clock();
		if (top->idle_o && rx_[0].empty() && rx_[1].empty() && htx_[0].empty() && htx_[1].empty())
			break;
	}
	if (!top->idle_o) {
		fail("the engine does not come to rest");
		return false;
	}
	if (store_may_drop || host_may_drop) {
		for (unsigned p = 0; p < PORTS; p++) {
			hosts_lost += expect_host_[p].size();
			expect_host_[p].clear();
			for (unsigned s = 0; store_may_drop && s <= PORTS; s++)
				expect_tx_[p][s].clear();
		}
	}
	if (pending()) {
		fail("frames are missing: " + std::to_string(pending()));
		return false;
	}
	if (!store_may_drop && updates != expected_updates_) {
		fail("statistics: " + std::to_string(updates) + " updates, not " + std::to_string(expected_updates_));
		return false;
	}
	return true;
}

void EngineBench::table_start(unsigned op, uint32_t slot, uint32_t tag, const void *next_hop)
{
	top->tbl_valid_i = 1;
	top->tbl_op_i = op;
	top->tbl_slot_i = slot;
	top->tbl_tag_i = tag;
	if (next_hop)
		bench::put(&top->tbl_nh_i, 0, next_hop, 32);
	table_busy_ = true;
}

void EngineBench::table(unsigned op, uint32_t slot, uint32_t tag, const void *next_hop)
{
	table_start(op, slot, tag, next_hop);
	for (unsigned limit = 100000; table_busy_; clock()) {
		if (!limit--) {
			fail("table port: operation " + std::to_string(op) + " does not end");
			return;
		}
	}
}

bool EngineBench::find_slot(const std::string &key, uint32_t *slot, uint32_t *tag)
{
	model::Place place = model::place(key, hash_key, BUCKET_BITS);
	uint32_t start = random.below(8);

	*tag = place.tag;
	/* Two keys of one tag in one pair of buckets clash: a driver refuses the second. */
	for (const auto &other : slots_) {
		model::Place q = model::place(other.first, hash_key, BUCKET_BITS);

		if (other.first != key && q.tag == place.tag &&
			(q.bucket[0] == place.bucket[0] || q.bucket[1] == place.bucket[1]))
			return false;
	}
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t way = (start + i) % 8, bank = way / 4;

		*slot = bank << (BUCKET_BITS + 2) | place.bucket[bank] << 2 | way % 4;
		if (!owner_.count(*slot))
			return true;
	}
	return false;
}

bool EngineBench::add(const Flow &flow)
{
	uint32_t slot, tag;
	std::string key = flow.key();

	if (slots_.count(key) || !find_slot(key, &slot, &tag))
		return false;
	flow.record(&memory[slot * 128], generation_++);
	table(SET_TAG, slot, tag);
	slots_[key] = slot;
	owner_[slot] = key;
	model.flows[key] = flow;
	return true;
}

bool EngineBench::move(const std::string &key)
{
	uint32_t slot, tag, from = slots_.at(key);

	if (!find_slot(key, &slot, &tag))
		return false;
	/* COPY_RECORD reads through the engine too. */
	table(READ_RECORD, from);
	if (memcmp(table_data, &memory[from * 128], 128))
		fail("READ_RECORD: wrong data");
	memcpy(&memory[slot * 128], table_data, 128);
	table(SET_TAG, slot, tag);
	table(CLEAR_TAG, from);
	table(FENCE);
	for (int i = 0; i < 128; i++)
		memory[from * 128 + i] = (uint8_t)random.next();
	owner_.erase(from);
	owner_[slot] = key;
	slots_[key] = slot;
	return true;
}

void EngineBench::remove(const std::string &key)
{
	uint32_t slot = slots_.at(key);

	table(CLEAR_TAG, slot);
	table(FENCE);
	for (int i = 0; i < 128; i++)
		memory[slot * 128 + i] = (uint8_t)random.next();
	slots_.erase(key);
	owner_.erase(slot);
	model.flows.erase(key);
}

void EngineBench::next_hop(uint16_t index, const struct slu_nic_next_hop &nh)
{
	table(WRITE_NEXTHOP, index, 0, &nh);
	model.next_hops[index] = nh;
}

uint64_t EngineBench::statistic(unsigned port, unsigned index)
{
	top->pstat_port_i = port;
	top->pstat_idx_i = index;
	clock();
	return top->pstat_value_o;
}
