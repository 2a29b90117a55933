/*
 * Memory behind an AXI4 master of the RTL under test: random latency, back-pressure, answers that overtake each other
 * between ids (never within one), errors outside of what is mapped. Writes reach the memory when their response is
 * given, so whoever looks earlier sees that it was too early. Breaks of the protocol are counted.
 */
#ifndef SLU_TESTS_RTL_AXI_MEMORY_H
#define SLU_TESTS_RTL_AXI_MEMORY_H

#include <deque>
#include <functional>
#include <unordered_map>

#include "bench.h"

namespace bench
{

/* Sparse bytes; only mapped pages exist. */
struct Pages {
	static const uint64_t SIZE = 4096;
	std::unordered_map<uint64_t, Bytes> pages;

	void map(uint64_t addr, uint64_t size)
	{
		for (uint64_t p = addr / SIZE; p <= (addr + size - 1) / SIZE; p++)
			pages.emplace(p, Bytes(SIZE));
	}
	void unmap(uint64_t addr, uint64_t size)
	{
		for (uint64_t p = addr / SIZE; p <= (addr + size - 1) / SIZE; p++)
			pages.erase(p);
	}
	uint8_t *at(uint64_t addr)
	{
		auto found = pages.find(addr / SIZE);

		return found == pages.end() ? nullptr : &found->second[addr % SIZE];
	}
	bool read(uint64_t addr, void *to, size_t count)
	{
		for (size_t i = 0; i < count; i++) {
			uint8_t *from = at(addr + i);

			if (!from)
				return false;
			((uint8_t *)to)[i] = *from;
		}
		return true;
	}
	bool write(uint64_t addr, const void *from, size_t count)
	{
		for (size_t i = 0; i < count; i++)
			if (!at(addr + i))
				return false;
		for (size_t i = 0; i < count; i++)
			*at(addr + i) = ((const uint8_t *)from)[i];
		return true;
	}
	uint64_t number(uint64_t addr, size_t count)
	{
		uint64_t value = 0;

		read(addr, &value, count);
		return value;
	}
	void put(uint64_t addr, uint64_t value, size_t count)
	{
		if (!write(addr, &value, count))
			abort();
	}
};

/* Ports of the master; NULL where it has none (a burst length of one beat is then meant). */
struct AxiPorts {
	unsigned beat_bytes, addr_bytes, id_bytes;
	uint8_t *arvalid, *arready, *arlen, *rvalid, *rready, *rresp, *rlast;
	uint8_t *awvalid, *awready, *awlen, *wvalid, *wready, *wlast, *bvalid, *bready, *bresp;
	void *araddr, *arid, *rdata, *rid, *awaddr, *awid, *wdata, *wstrb, *bid;
};

struct AxiMemory {
	AxiPorts io;
	Pages *pages;
	Random random;
	unsigned latency_min = 1, latency_max = 1;
	unsigned stall_percent = 0;               /* chance that a ready is withheld in a clock */
	uint64_t fail_reads = 0, fail_writes = 0; /* so many of the next bursts are answered with an error */
	uint64_t reads = 0, writes = 0, protocol_errors = 0, errors = 0;

	struct Burst {
		uint64_t addr, due;
		uint32_t id, beats;
		bool fail;
		Bytes data, strobe;
	};
	std::deque<Burst> read_queue, write_open, write_done;
	Burst reading = {};
	uint32_t read_beat = 0;
	bool read_active = false, write_active = false;
	uint64_t now = 0;

	AxiMemory(const AxiPorts &ports, Pages *memory, uint64_t seed) : io(ports), pages(memory), random(seed)
	{
	}

	static uint64_t value(const void *port, unsigned bytes)
	{
		uint64_t v = 0;

		if (port)
			memcpy(&v, port, bytes);
		return v;
	}
	uint64_t due()
	{
		return now + random.between(latency_min, latency_max);
	}
	bool idle() const
	{
		return read_queue.empty() && write_open.empty() && write_done.empty() && !read_active && !write_active;
	}
	void check_burst(uint64_t addr, uint32_t beats)
	{
		uint64_t first = addr / io.beat_bytes * io.beat_bytes;

		if (first / 4096 != (first + (uint64_t)beats * io.beat_bytes - 1) / 4096)
			protocol_errors++;
	}
	/* One that is due and that none of its id stands before; any of those. */
	bool take(std::deque<Burst> &queue, Burst *out)
	{
		size_t start = queue.empty() ? 0 : random.below((uint32_t)queue.size());

		for (size_t k = 0; k < queue.size(); k++) {
			size_t i = (start + k) % queue.size();
			bool first = queue[i].due <= now;

			for (size_t j = 0; j < i && first; j++)
				first = queue[j].id != queue[i].id;
			if (first) {
				*out = queue[i];
				queue.erase(queue.begin() + (long)i);
				return true;
			}
		}
		return false;
	}

	/* Between eval() with all inputs set and the rising edge: looks at the handshakes. */
	bool got_ar, got_r, got_aw, got_w, got_b;
	void sample()
	{
		got_ar = *io.arvalid && *io.arready;
		got_r = *io.rvalid && *io.rready;
		got_aw = *io.awvalid && *io.awready;
		got_w = *io.wvalid && *io.wready;
		got_b = *io.bvalid && *io.bready;
		if (got_ar) {
			Burst b = {};

			b.addr = value(io.araddr, io.addr_bytes);
			b.id = (uint32_t)value(io.arid, io.id_bytes);
			b.beats = (uint32_t)value(io.arlen, 1) + 1;
			b.due = due();
			b.fail = fail_reads && fail_reads--;
			check_burst(b.addr, b.beats);
			read_queue.push_back(b);
			reads++;
		}
		if (got_w) {
			Burst &b = write_open.front();
			size_t at = b.data.size();

			if (write_open.empty()) {
				protocol_errors++;
				return;
			}
			b.data.resize(at + io.beat_bytes);
			memcpy(&b.data[at], io.wdata, io.beat_bytes);
			for (unsigned i = 0; i < io.beat_bytes; i++)
				b.strobe.push_back((uint8_t)(!io.wstrb || (((uint8_t *)io.wstrb)[i / 8] >> i % 8 & 1)));
			bool last = b.data.size() == (size_t)b.beats * io.beat_bytes;

			if (io.wlast && (*io.wlast != 0) != last)
				protocol_errors++;
			if (last) {
				b.due = due();
				write_done.push_back(b);
				write_open.pop_front();
			}
		}
		if (got_aw) {
			Burst b = {};

			b.addr = value(io.awaddr, io.addr_bytes);
			b.id = (uint32_t)value(io.awid, io.id_bytes);
			b.beats = (uint32_t)value(io.awlen, 1) + 1;
			b.fail = fail_writes && fail_writes--;
			check_burst(b.addr, b.beats);
			write_open.push_back(b);
			writes++;
		}
	}

	bool commit(const Burst &b)
	{
		uint64_t base = b.addr / io.beat_bytes * io.beat_bytes;
		bool good = !b.fail;

		for (size_t i = 0; i < b.data.size() && good; i++)
			good = !b.strobe[i] || pages->at(base + i);
		for (size_t i = 0; i < b.data.size() && good; i++)
			if (b.strobe[i])
				*pages->at(base + i) = b.data[i];
		return good;
	}
	/* After the rising edge: what the master sees in the next clock. */
	void drive()
	{
		now++;
		if (got_r && ++read_beat == reading.beats)
			read_active = false;
		if (!read_active && take(read_queue, &reading)) {
			read_active = true;
			read_beat = 0;
		}
		/* Valid stays until it is taken; a gap may stand before each beat. */
		if (got_r || !*io.rvalid)
			*io.rvalid = read_active && !random.percent(stall_percent);
		if (*io.rvalid) {
			uint64_t at =
				reading.addr / io.beat_bytes * io.beat_bytes + (uint64_t)read_beat * io.beat_bytes;
			/* Bytes before an unaligned address are not asked for. */
			unsigned skip = read_beat ? 0 : (unsigned)(reading.addr % io.beat_bytes);
			Bytes beat(io.beat_bytes, 0xEE);
			bool good = !reading.fail && pages->read(at + skip, &beat[skip], io.beat_bytes - skip);

			errors += !good;
			memcpy(io.rdata, beat.data(), io.beat_bytes);
			if (io.rid)
				memcpy(io.rid, &reading.id, io.id_bytes);
			*io.rresp = good ? 0 : 3;
			if (io.rlast)
				*io.rlast = read_beat + 1 == reading.beats;
		}
		if (got_b)
			write_active = false;
		Burst b;

		if (!write_active && take(write_done, &b)) {
			bool good = commit(b);

			errors += !good;
			write_active = true;
			if (io.bid)
				memcpy(io.bid, &b.id, io.id_bytes);
			*io.bresp = good ? 0 : 3;
		}
		if (got_b || !*io.bvalid)
			*io.bvalid = write_active;
		*io.arready = !random.percent(stall_percent);
		*io.awready = !random.percent(stall_percent);
		*io.wready = !write_open.empty() && !random.percent(stall_percent);
	}
};

} // namespace bench

#endif
