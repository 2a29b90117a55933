/*
 * One clock of the model is: sample every handshake, evaluate the edge (each
 * change of clk_i is one: hw/rtl/slu_sim_clock.sv), drive the inputs for the
 * next. The outputs that are sampled follow no input within a clock, but those
 * of AXI4-Lite: while it is in use, they are settled first. tests/rtl/test_nic
 * watches over that.
 */
#include "nic_model.h"

#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <sys/mman.h>

#include "Vsluice_nic.h"
#include "Vsluice_nic___024root.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

#include "sluice/nic_regs.h"

static_assert(SLU_NIC_MODEL_PORTS == SLU_NIC_PORT_COPIES, "ports");
static_assert(SLU_NIC_MODEL_QUEUES == SLU_NIC_QUEUE_COPIES, "queues");

namespace
{

/* The signals themselves: those of Vsluice_nic are references, a load more each. */
using card = Vsluice_nic___024root;

constexpr uint32_t NIL = UINT32_MAX;
constexpr uint32_t MAX_LATENCY = 65535;
constexpr uint32_t BEAT_BYTES = 64;
constexpr uint32_t COUNTER_BYTES = 16;
constexpr uint64_t RECORD_MEMORY_BYTES = (uint64_t)SLU_NIC_RECORD_BYTES * SLU_NIC_BANKS * SLU_NIC_WAYS
					 << SLU_NIC_MODEL_BUCKET_BITS;
constexpr uint64_t COUNTER_MEMORY_BYTES = (uint64_t)COUNTER_BYTES << SLU_NIC_MODEL_FLOW_ID_BITS;
constexpr unsigned int OKAY = 0, SLVERR = 2, DECERR = 3;
/* Clocks of quiet after which the card counts as idle: idle_o may lag behind its inputs. */
constexpr unsigned int IDLE_CLOCKS = 4;
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1: what is touched already, too */
#endif
constexpr uintptr_t LARGE_PAGE = 2u << 20;
constexpr uint32_t BUS_TIMEOUT_CLOCKS = 1u << 20;
[[maybe_unused]] constexpr uint64_t PERIOD_PS = 3103; /* 322.265625 MHz */

/* xorshift64*: the only randomness here, so that a seed repeats a run. */
struct random_source {
	uint64_t state;
	uint32_t below(uint32_t n)
	{
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		return (uint32_t)(((state * 0x2545F4914F6CDD1DULL >> 32) * n) >> 32);
	}
};

/* A request that waits for its latency. */
struct request {
	uint64_t addr;
	uint64_t due;
	uint32_t next;
	uint16_t id;
	uint16_t beats;
	uint8_t resp;
	uint8_t epoch; /* of DMA, see slu_nic_model_dma_drain() */
};

/*
 * Requests of one channel, ordered by the clock in which they become due.
 * Requests of one id keep their order, as AXI wants. With one latency for all
 * the order is that of the requests, and the pool is a ring.
 */
template <unsigned int IDS, unsigned int DEPTH> struct delay_line {
	static_assert(DEPTH > 0 && (DEPTH & (DEPTH - 1)) == 0, "depth");
	struct slot {
		uint32_t head, tail;
	};
	request pool[DEPTH];
	bool fixed;
	uint32_t min_clocks, span_clocks;
	uint32_t head, tail; /* of the ring; tail - head are in flight either way */
	uint32_t in_flight_high;
	/* Latency that varies: a list of requests for each clock to come. */
	random_source *random;
	std::unique_ptr<slot[]> wheel;
	uint64_t mask;
	uint64_t last_due[IDS];
	uint32_t free_head;
	slot ready; /* due, in order */

	void init(slu_nic_latency range, random_source *source)
	{
		uint64_t size = 2;
		if (range.min_clocks == 0)
			range.min_clocks = 1;
		if (range.max_clocks < range.min_clocks)
			range.max_clocks = range.min_clocks;
		while (size <= range.max_clocks)
			size *= 2;
		min_clocks = range.min_clocks;
		span_clocks = range.max_clocks - range.min_clocks;
		fixed = !span_clocks;
		mask = size - 1;
		random = source;
		wheel.reset(new slot[size]);
		for (uint64_t i = 0; i < size; i++)
			wheel[i] = {NIL, NIL};
		for (uint32_t i = 0; i < DEPTH; i++)
			pool[i].next = i + 1 < DEPTH ? i + 1 : NIL;
		memset(last_due, 0, sizeof(last_due));
		free_head = 0;
		head = tail = in_flight_high = 0;
		ready = {NIL, NIL};
	}
	uint32_t in_flight() const
	{
		return tail - head;
	}
	bool room() const
	{
		return tail - head < DEPTH;
	}
	void push(uint64_t now, uint32_t id, uint64_t addr, uint32_t beats, uint32_t resp, uint32_t epoch = 0)
	{
		uint64_t due = now + min_clocks;
		uint32_t index = tail & (DEPTH - 1);
		if (!fixed) {
			index = free_head;
			free_head = pool[index].next;
			due += random->below(span_clocks + 1);
			if (due < last_due[id])
				due = last_due[id];
			last_due[id] = due;
			append(wheel[due & mask], index, index);
		}
		pool[index] = {addr, due, NIL, (uint16_t)id, (uint16_t)beats, (uint8_t)resp, (uint8_t)epoch};
		if (++tail - head > in_flight_high)
			in_flight_high = tail - head;
	}
	/* The oldest request that is due at clock `now`, or null; call it at every clock while any is in flight. */
	const request *due(uint64_t now)
	{
		if (fixed) {
			const request &r = pool[head & (DEPTH - 1)];
			return head != tail && r.due <= now ? &r : nullptr;
		}
		slot &s = wheel[now & mask];
		if (s.head != NIL) {
			append(ready, s.head, s.tail);
			s = {NIL, NIL};
		}
		return ready.head == NIL ? nullptr : &pool[ready.head];
	}
	/* The request that due() gave and pop() has not taken. */
	const request &front() const
	{
		return pool[fixed ? head & (DEPTH - 1) : ready.head];
	}
	void pop()
	{
		head++;
		if (fixed)
			return;
		uint32_t index = ready.head;
		ready.head = pool[index].next;
		if (ready.head == NIL)
			ready.tail = NIL;
		pool[index].next = free_head;
		free_head = index;
	}
	void append(slot &s, uint32_t first, uint32_t last)
	{
		if (s.head == NIL)
			s.head = first;
		else
			pool[s.tail].next = first;
		s.tail = last;
	}
};

/* Large pages: random accesses all over it would otherwise miss the TLB each time. Advice: failure costs speed only. */
void use_large_pages(void *base, size_t size)
{
	uintptr_t from = ((uintptr_t)base + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
	uintptr_t end = ((uintptr_t)base + size) & ~(LARGE_PAGE - 1);

	if (from < end && !madvise((void *)from, end - from, MADV_HUGEPAGE))
		(void)madvise((void *)from, end - from, MADV_COLLAPSE);
}

/* A memory mapped sparsely: untouched pages cost nothing. */
struct memory {
	uint8_t *base;
	uint64_t size;
	int init(uint64_t bytes)
	{
		void *p = mmap(
			nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return -ENOMEM;
		base = (uint8_t *)p;
		size = bytes;
		(void)madvise(base, size, MADV_HUGEPAGE);
		return 0;
	}
	bool holds(uint64_t addr, uint64_t len) const
	{
		return len <= size && addr <= size - len;
	}
};

void store_strobed(uint8_t *to, const uint8_t *from, uint64_t strobe, unsigned int bytes)
{
	uint64_t all = bytes == 64 ? ~0ULL : (1ULL << bytes) - 1;
	if ((strobe & all) == all) {
		memcpy(to, from, bytes);
		return;
	}
	for (unsigned int i = 0; i < bytes; i++)
		if (strobe >> i & 1)
			to[i] = from[i];
}

/* A write burst whose address came and whose data is still arriving. */
struct write_burst {
	uint64_t addr;
	uint32_t id;
	uint32_t beats;
	uint32_t resp;
	uint32_t epoch;
};

template <unsigned int DEPTH> struct burst_fifo {
	static_assert((DEPTH & (DEPTH - 1)) == 0, "depth");
	write_burst entry[DEPTH];
	uint32_t head, tail;
	bool empty() const
	{
		return head == tail;
	}
	bool room() const
	{
		return tail - head < DEPTH - 2;
	}
	write_burst &front()
	{
		return entry[head & (DEPTH - 1)];
	}
	void push(const write_burst &b)
	{
		entry[tail++ & (DEPTH - 1)] = b;
	}
};

struct wire_in {
	static constexpr uint32_t BEATS = 32768;  /* 2 MiB */
	static constexpr uint32_t FRAMES = 32768; /* as many frames of one beat */
	std::unique_ptr<uint8_t[]> data;
	std::unique_ptr<uint32_t[]> frame; /* length, bad in bit 31 */
	uint32_t beat_head, beat_tail, frame_head, frame_tail;
	uint32_t left; /* bytes of the frame being sent; 0 between frames */
	bool bad;
	bool driving;

	void init()
	{
		data.reset(new uint8_t[BEATS * BEAT_BYTES]());
		frame.reset(new uint32_t[FRAMES]());
	}
	uint32_t free_beats() const
	{
		return BEATS - (beat_tail - beat_head);
	}
	bool empty() const
	{
		return frame_head == frame_tail && !left;
	}
};

struct wire_out {
	uint8_t frame[SLU_NIC_MODEL_FRAME_BYTES];
	uint32_t len;
	bool overrun;
};

struct posted_write {
	uint32_t addr, value;
};

enum axil_state { AXIL_IDLE, AXIL_WRITE, AXIL_READ };

} // namespace

struct slu_nic_model {
	slu_nic_model_config config;
	std::unique_ptr<VerilatedContext> context;
	std::unique_ptr<Vsluice_nic> top;
#if VM_TRACE
	std::unique_ptr<VerilatedFstC> trace;
#endif
	uint64_t now;
	random_source random;
	memory record, counter;

	delay_line<1024, 2048> rec_reads;
	delay_line<1024, 256> rec_acks;
	burst_fifo<64> rec_writes;
	delay_line<64, 256> cnt_reads;
	delay_line<64, 256> cnt_acks;
	burst_fifo<64> cnt_writes;
	delay_line<64, 256> dma_reads;
	delay_line<64, 256> dma_acks;
	burst_fifo<64> dma_writes;

	uint32_t rec_beat, dma_beat; /* next beat of the response being sent */
	uint32_t dma_resp;
	uint32_t dma_epoch;
	uint32_t dma_open[2]; /* transactions of an epoch that have not ended */
	bool dma_awake;       /* the card asks for something or waits for something */
	uint32_t fail_record_reads;
	alignas(64) uint8_t dma_stage[4096 + BEAT_BYTES];
	uint64_t run_addr; /* DMA write bytes collected so far */
	uint32_t run_len;
	uint8_t run[4096 + BEAT_BYTES];

	wire_in rx[SLU_NIC_MODEL_PORTS];
	wire_out tx[SLU_NIC_MODEL_PORTS];
	unsigned int rx_turn;

	posted_write post[64];
	uint32_t post_head, post_tail;
	axil_state axil;
	uint32_t axil_resp, axil_value;

	unsigned int quiet_clocks;
	bool fired; /* a handshake or a beat in this clock */
	slu_nic_model_stats stats;
};

namespace
{

/* Handshakes of the clock being sampled that drive() must know of. */
struct sampled {
	bool axil_aw, axil_w, axil_b, axil_ar, axil_r;
	bool rec_r, rec_b, cnt_r, cnt_b, dma_r, dma_b;
};

const uint8_t *bytes_of(const WData *words)
{
	return (const uint8_t *)words;
}

/* ---- host memory ---- */

void dma_flush(slu_nic_model *m, write_burst &burst)
{
	if (m->run_len && m->config.dma_write(m->config.ctx, m->run_addr, m->run, m->run_len)) {
		burst.resp = SLVERR;
		m->stats.dma_errors++;
	}
	m->run_len = 0;
}

void dma_collect(slu_nic_model *m, write_burst &burst, const uint8_t *data, uint64_t strobe)
{
	uint64_t line = burst.addr & ~63ULL;
	while (strobe) {
		unsigned int first = (unsigned int)__builtin_ctzll(strobe);
		uint64_t from_first = strobe >> first;
		unsigned int count = ~from_first ? (unsigned int)__builtin_ctzll(~from_first) : 64;
		if (m->run_len && line + first != m->run_addr + m->run_len)
			dma_flush(m, burst);
		if (!m->run_len)
			m->run_addr = line + first;
		memcpy(m->run + m->run_len, data + first, count);
		m->run_len += count;
		if (first + count >= 64)
			break;
		strobe &= ~0ULL << (first + count);
	}
}

void dma_read_now(slu_nic_model *m, const request &r)
{
	uint64_t end = (r.addr & ~63ULL) + (uint64_t)r.beats * BEAT_BYTES;
	m->dma_resp = r.resp;
	if (r.resp == OKAY && m->config.dma_read(m->config.ctx, r.addr, m->dma_stage + (r.addr & 63), end - r.addr)) {
		m->dma_resp = SLVERR;
		m->stats.dma_errors++;
		memset(m->dma_stage, 0, r.beats * BEAT_BYTES);
	}
}

bool crosses_4k(uint64_t addr, uint32_t beats)
{
	return (addr & 4095 & ~63ULL) + (uint64_t)beats * BEAT_BYTES > 4096;
}

/* ---- sampling: before the edge ---- */

void sample_record(slu_nic_model *m, card *t, sampled &s)
{
	if (t->m_rec_arvalid_o && t->m_rec_arready_i) {
		uint32_t beats = t->m_rec_arlen_o + 1u;
		bool inside = m->record.holds(t->m_rec_araddr_o, (uint64_t)beats * BEAT_BYTES) && beats <= 2 &&
			      !(t->m_rec_araddr_o & 63);
		unsigned int resp = OKAY;
		if (!inside) {
			m->stats.protocol_errors++;
			resp = DECERR;
		} else if (m->fail_record_reads) {
			m->fail_record_reads--;
			resp = SLVERR;
		}
		if (inside)
			__builtin_prefetch(m->record.base + t->m_rec_araddr_o);
		m->rec_reads.push(m->now, t->m_rec_arid_o, t->m_rec_araddr_o, beats, resp);
		m->stats.record_reads++;
		m->fired = true;
	}
	s.rec_r = t->m_rec_rvalid_i && t->m_rec_rready_o;
	s.rec_b = t->m_rec_bvalid_i && t->m_rec_bready_o;
	if (t->m_rec_wvalid_o && t->m_rec_wready_i) {
		write_burst &b = m->rec_writes.front();
		if (b.resp == OKAY)
			store_strobed(
				m->record.base + b.addr, bytes_of(t->m_rec_wdata_o), t->m_rec_wstrb_o, BEAT_BYTES);
		b.addr += BEAT_BYTES;
		if (--b.beats == 0 || t->m_rec_wlast_o) {
			if (b.beats || !t->m_rec_wlast_o)
				m->stats.protocol_errors++;
			m->rec_acks.push(m->now, b.id, 0, 0, b.resp);
			m->rec_writes.head++;
			m->stats.record_writes++;
		}
		m->fired = true;
	}
	if (t->m_rec_awvalid_o && t->m_rec_awready_i) {
		uint32_t beats = t->m_rec_awlen_o + 1u;
		bool inside = m->record.holds(t->m_rec_awaddr_o, (uint64_t)beats * BEAT_BYTES) && beats <= 2 &&
			      !(t->m_rec_awaddr_o & 63);
		m->stats.protocol_errors += !inside;
		m->rec_writes.push({t->m_rec_awaddr_o, t->m_rec_awid_o, beats, inside ? OKAY : DECERR, 0});
		m->fired = true;
	}
}

void sample_counter(slu_nic_model *m, card *t, sampled &s)
{
	if (t->m_cnt_arvalid_o && t->m_cnt_arready_i) {
		bool inside = m->counter.holds(t->m_cnt_araddr_o, COUNTER_BYTES) && !(t->m_cnt_araddr_o & 15);
		m->stats.protocol_errors += !inside;
		if (inside)
			__builtin_prefetch(m->counter.base + t->m_cnt_araddr_o, 1);
		m->cnt_reads.push(m->now, t->m_cnt_arid_o, t->m_cnt_araddr_o, 1, inside ? OKAY : DECERR);
		m->stats.counter_reads++;
		m->fired = true;
	}
	s.cnt_r = t->m_cnt_rvalid_i && t->m_cnt_rready_o;
	s.cnt_b = t->m_cnt_bvalid_i && t->m_cnt_bready_o;
	if (t->m_cnt_wvalid_o && t->m_cnt_wready_i) {
		write_burst &b = m->cnt_writes.front();
		if (b.resp == OKAY)
			store_strobed(
				m->counter.base + b.addr, bytes_of(t->m_cnt_wdata_o), t->m_cnt_wstrb_o, COUNTER_BYTES);
		m->cnt_acks.push(m->now, b.id, 0, 0, b.resp);
		m->cnt_writes.head++;
		m->stats.counter_writes++;
		m->fired = true;
	}
	if (t->m_cnt_awvalid_o && t->m_cnt_awready_i) {
		bool inside = m->counter.holds(t->m_cnt_awaddr_o, COUNTER_BYTES) && !(t->m_cnt_awaddr_o & 15);
		m->stats.protocol_errors += !inside;
		m->cnt_writes.push({t->m_cnt_awaddr_o, t->m_cnt_awid_o, 1, inside ? OKAY : DECERR, 0});
		m->fired = true;
	}
}

void sample_dma(slu_nic_model *m, card *t, sampled &s)
{
	if (t->m_dma_arvalid_o && t->m_dma_arready_i) {
		uint32_t beats = t->m_dma_arlen_o + 1u;
		bool good = !crosses_4k(t->m_dma_araddr_o, beats);
		m->stats.protocol_errors += !good;
		m->dma_reads.push(
			m->now, t->m_dma_arid_o, t->m_dma_araddr_o, beats, good ? OKAY : DECERR, m->dma_epoch);
		m->dma_open[m->dma_epoch]++;
		m->stats.dma_reads++;
		m->fired = true;
	}
	s.dma_r = t->m_dma_rvalid_i && t->m_dma_rready_o;
	s.dma_b = t->m_dma_bvalid_i && t->m_dma_bready_o;
	if (t->m_dma_wvalid_o && t->m_dma_wready_i) {
		write_burst &b = m->dma_writes.front();
		if (b.resp != DECERR)
			dma_collect(m, b, bytes_of(t->m_dma_wdata_o), t->m_dma_wstrb_o);
		b.addr = (b.addr & ~63ULL) + BEAT_BYTES;
		if (--b.beats == 0 || t->m_dma_wlast_o) {
			if (b.beats || !t->m_dma_wlast_o)
				m->stats.protocol_errors++;
			dma_flush(m, b);
			m->dma_acks.push(m->now, b.id, 0, 0, b.resp, b.epoch);
			m->dma_writes.head++;
			m->stats.dma_writes++;
		}
		m->fired = true;
	}
	if (t->m_dma_awvalid_o && t->m_dma_awready_i) {
		uint32_t beats = t->m_dma_awlen_o + 1u;
		bool good = !crosses_4k(t->m_dma_awaddr_o, beats);
		m->stats.protocol_errors += !good;
		m->dma_writes.push({t->m_dma_awaddr_o, t->m_dma_awid_o, beats, good ? OKAY : DECERR, m->dma_epoch});
		m->dma_open[m->dma_epoch]++;
		m->fired = true;
	}
}

void sample_wire(slu_nic_model *m, card *t, unsigned int port)
{
	wire_out &o = m->tx[port];
	const uint8_t *data = bytes_of(t->tx_data_o) + port * BEAT_BYTES;
	bool last = t->tx_last_o >> port & 1;
	uint64_t keep;
	unsigned int count;

	memcpy(&keep, bytes_of(t->tx_keep_o) + port * 8, 8);
	count = (unsigned int)__builtin_popcountll(keep);
	if ((keep & (keep + 1)) != 0 || !keep || (!last && count != BEAT_BYTES))
		m->stats.protocol_errors++;
	m->fired = true;
	if (last && !o.len && !o.overrun) {
		m->config.wire_tx(m->config.ctx, port, data, count);
		return;
	}
	if (o.len + BEAT_BYTES > sizeof(o.frame)) {
		o.overrun = true;
	} else {
		memcpy(o.frame + o.len, data, BEAT_BYTES);
		o.len += count;
	}
	if (!last)
		return;
	if (o.overrun)
		m->stats.protocol_errors++;
	else
		m->config.wire_tx(m->config.ctx, port, o.frame, o.len);
	o.len = 0;
	o.overrun = false;
}

void sample_axil(slu_nic_model *m, card *t, sampled &s)
{
	s.axil_aw = t->s_axil_awvalid_i && t->s_axil_awready_o;
	s.axil_w = t->s_axil_wvalid_i && t->s_axil_wready_o;
	s.axil_b = t->s_axil_bvalid_o && t->s_axil_bready_i;
	s.axil_ar = t->s_axil_arvalid_i && t->s_axil_arready_o;
	s.axil_r = t->s_axil_rvalid_o && t->s_axil_rready_i;
	if (s.axil_b)
		m->axil_resp = t->s_axil_bresp_o;
	if (s.axil_r) {
		m->axil_resp = t->s_axil_rresp_o;
		m->axil_value = t->s_axil_rdata_o;
	}
}

void sample(slu_nic_model *m, card *t, sampled &s)
{
	unsigned int sending = t->tx_valid_o & t->tx_ready_i;
	unsigned int irqs = t->irq_o;

	if (m->axil != AXIL_IDLE)
		sample_axil(m, t, s);
	sample_record(m, t, s);
	sample_counter(m, t, s);
	if (m->dma_awake)
		sample_dma(m, t, s);
	for (; sending; sending &= sending - 1)
		sample_wire(m, t, (unsigned int)__builtin_ctz(sending));
	if (irqs && m->config.irq)
		for (; irqs; irqs &= irqs - 1)
			m->config.irq(m->config.ctx, (unsigned int)__builtin_ctz(irqs));
}

/* ---- driving: after the edge ---- */

void drive_record(slu_nic_model *m, card *t, const sampled &s)
{
	const request *r;

	if (s.rec_r && ++m->rec_beat == m->rec_reads.front().beats) {
		m->rec_reads.pop();
		m->rec_beat = 0;
	}
	r = m->rec_reads.due(m->now);
	if (r && (!t->m_rec_rvalid_i || s.rec_r)) {
		if (r->resp == OKAY)
			memcpy(t->m_rec_rdata_i, m->record.base + r->addr + m->rec_beat * BEAT_BYTES, BEAT_BYTES);
		else
			memset(t->m_rec_rdata_i, 0, BEAT_BYTES);
		t->m_rec_rid_i = r->id;
		t->m_rec_rresp_i = r->resp;
		t->m_rec_rlast_i = m->rec_beat + 1 == r->beats;
	}
	t->m_rec_rvalid_i = r != nullptr;
	if (m->rec_acks.in_flight()) {
		if (s.rec_b)
			m->rec_acks.pop();
		r = m->rec_acks.due(m->now);
		t->m_rec_bvalid_i = r != nullptr;
		if (r) {
			t->m_rec_bid_i = r->id;
			t->m_rec_bresp_i = r->resp;
		}
	}
	t->m_rec_arready_i = m->rec_reads.room();
	t->m_rec_awready_i = m->rec_writes.room();
	t->m_rec_wready_i = !m->rec_writes.empty() && m->rec_acks.room();
}

void drive_counter(slu_nic_model *m, card *t, const sampled &s)
{
	const request *r;

	if (s.cnt_r)
		m->cnt_reads.pop();
	r = m->cnt_reads.due(m->now);
	if (r && (!t->m_cnt_rvalid_i || s.cnt_r)) {
		if (r->resp == OKAY)
			memcpy(t->m_cnt_rdata_i, m->counter.base + r->addr, COUNTER_BYTES);
		else
			memset(t->m_cnt_rdata_i, 0, COUNTER_BYTES);
		t->m_cnt_rid_i = r->id;
		t->m_cnt_rresp_i = r->resp;
		t->m_cnt_rlast_i = 1;
	}
	t->m_cnt_rvalid_i = r != nullptr;
	if (s.cnt_b)
		m->cnt_acks.pop();
	r = m->cnt_acks.due(m->now);
	t->m_cnt_bvalid_i = r != nullptr;
	if (r) {
		t->m_cnt_bid_i = r->id;
		t->m_cnt_bresp_i = r->resp;
	}
	t->m_cnt_arready_i = m->cnt_reads.room();
	t->m_cnt_awready_i = m->cnt_writes.room();
	t->m_cnt_wready_i = !m->cnt_writes.empty() && m->cnt_acks.room();
}

void drive_dma(slu_nic_model *m, card *t, const sampled &s)
{
	const request *r;

	if (s.dma_r && ++m->dma_beat == m->dma_reads.front().beats) {
		m->dma_open[m->dma_reads.front().epoch]--;
		m->dma_reads.pop();
		m->dma_beat = 0;
	}
	r = m->dma_reads.due(m->now);
	if (r && (!t->m_dma_rvalid_i || s.dma_r)) {
		if (m->dma_beat == 0)
			dma_read_now(m, *r);
		memcpy(t->m_dma_rdata_i, m->dma_stage + m->dma_beat * BEAT_BYTES, BEAT_BYTES);
		t->m_dma_rid_i = r->id;
		t->m_dma_rresp_i = m->dma_resp;
		t->m_dma_rlast_i = m->dma_beat + 1 == r->beats;
	}
	t->m_dma_rvalid_i = r != nullptr;
	if (s.dma_b) {
		m->dma_open[m->dma_acks.front().epoch]--;
		m->dma_acks.pop();
	}
	r = m->dma_acks.due(m->now);
	t->m_dma_bvalid_i = r != nullptr;
	if (r) {
		t->m_dma_bid_i = r->id;
		t->m_dma_bresp_i = r->resp;
	}
	t->m_dma_arready_i = m->dma_reads.room();
	t->m_dma_awready_i = m->dma_writes.room();
	t->m_dma_wready_i = !m->dma_writes.empty() && m->dma_acks.room();
}

/* Puts the next beat of a port on its wire. */
void drive_beat(slu_nic_model *m, card *t, unsigned int port)
{
	wire_in &w = m->rx[port];
	unsigned int bit = 1u << port;
	uint64_t keep = ~0ULL;
	bool last;

	if (!w.left) {
		uint32_t frame = w.frame[w.frame_head++ & (wire_in::FRAMES - 1)];
		w.left = frame & 0x7FFFFFFF;
		w.bad = frame >> 31;
	}
	last = w.left <= BEAT_BYTES;
	if (last && w.left < BEAT_BYTES)
		keep = (1ULL << w.left) - 1;
	memcpy((uint8_t *)&t->rx_data_i[0] + port * BEAT_BYTES,
		&w.data[(size_t)(w.beat_head++ & (wire_in::BEATS - 1)) * BEAT_BYTES], BEAT_BYTES);
	memcpy((uint8_t *)&t->rx_keep_i[0] + port * 8, &keep, 8);
	w.left = last ? 0 : w.left - BEAT_BYTES;
	t->rx_valid_i |= bit;
	t->rx_last_i = last ? t->rx_last_i | bit : t->rx_last_i & ~bit;
	t->rx_err_i = last && w.bad ? t->rx_err_i | bit : t->rx_err_i & ~bit;
	m->fired = true;
}

void drive_wires(slu_nic_model *m, card *t)
{
	t->rx_valid_i = 0;
	if (!m->config.share_ingress) {
		for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS; port++)
			if (!m->rx[port].empty())
				drive_beat(m, t, port);
		return;
	}
	if (m->rx[m->rx_turn].left) {
		drive_beat(m, t, m->rx_turn);
		return;
	}
	for (unsigned int i = 0; i < SLU_NIC_MODEL_PORTS; i++) {
		m->rx_turn = m->rx_turn + 1 == SLU_NIC_MODEL_PORTS ? 0 : m->rx_turn + 1;
		if (!m->rx[m->rx_turn].empty()) {
			drive_beat(m, t, m->rx_turn);
			return;
		}
	}
}

void drive_axil(slu_nic_model *m, card *t, const sampled &s)
{
	if (m->axil != AXIL_IDLE) {
		if (s.axil_aw)
			t->s_axil_awvalid_i = 0;
		if (s.axil_w)
			t->s_axil_wvalid_i = 0;
		if (s.axil_ar)
			t->s_axil_arvalid_i = 0;
		if (!s.axil_b && !s.axil_r) {
			m->fired = true;
			return;
		}
		m->axil = AXIL_IDLE;
	}
	if (m->post_head == m->post_tail)
		return;
	const posted_write &w = m->post[m->post_head++ & 63];
	t->s_axil_awaddr_i = w.addr;
	t->s_axil_wdata_i = w.value;
	t->s_axil_wstrb_i = 0xF;
	t->s_axil_awvalid_i = 1;
	t->s_axil_wvalid_i = 1;
	m->axil = AXIL_WRITE;
	m->fired = true;
}

void dump(slu_nic_model *m)
{
#if VM_TRACE
	m->context->timeInc(PERIOD_PS);
	if (__builtin_expect(m->trace != nullptr, 0))
		m->trace->dump(m->context->time());
#else
	(void)m;
#endif
}

void tick(slu_nic_model *m)
{
	card *t = m->top->rootp;
	sampled s = {};

	m->fired = false;
	if (m->axil != AXIL_IDLE)
		m->top->eval();
	m->dma_awake = t->m_dma_arvalid_o | t->m_dma_awvalid_o | t->m_dma_wvalid_o | m->dma_open[0] | m->dma_open[1];
	sample(m, t, s);
	t->clk_i = !t->clk_i;
	m->top->eval();
	dump(m);
	m->now++;
	drive_record(m, t, s);
	drive_counter(m, t, s);
	if (m->dma_awake)
		drive_dma(m, t, s);
	drive_wires(m, t);
	drive_axil(m, t, s);
	m->quiet_clocks = m->fired || !t->idle_o ? 0 : m->quiet_clocks + 1;
}

bool buses_quiet(const slu_nic_model *m)
{
	if (m->rec_reads.in_flight() || m->rec_acks.in_flight() || m->cnt_reads.in_flight() || m->cnt_acks.in_flight())
		return false;
	if (m->dma_reads.in_flight() || m->dma_acks.in_flight())
		return false;
	if (!m->rec_writes.empty() || !m->cnt_writes.empty() || !m->dma_writes.empty())
		return false;
	return m->post_head == m->post_tail && m->axil == AXIL_IDLE;
}

void reset(slu_nic_model *m)
{
	m->top->rst_ni = 0;
	drive_dma(m, m->top->rootp, {}); /* ready for the first request */
	for (unsigned int i = 0; i < 16; i++)
		tick(m);
	m->top->rst_ni = 1;
	/* The card clears its tags by itself; nothing depends on waiting for it here. */
	slu_nic_model_run_to_idle(m, BUS_TIMEOUT_CLOCKS);
	m->stats = {};
}

int wait_axil(slu_nic_model *m)
{
	for (uint32_t i = 0; m->axil != AXIL_IDLE || m->post_head != m->post_tail; i++) {
		if (i == BUS_TIMEOUT_CLOCKS)
			return -ETIMEDOUT;
		tick(m);
	}
	return 0;
}

bool dma_quiet(const slu_nic_model *m)
{
	return !m->dma_open[0] && !m->dma_open[1] && !m->top->m_dma_arvalid_o && !m->top->m_dma_awvalid_o;
}

bool range_ok(slu_nic_latency l)
{
	return l.max_clocks <= MAX_LATENCY && l.min_clocks <= MAX_LATENCY &&
	       (!l.max_clocks || l.min_clocks <= l.max_clocks);
}

} // namespace

int slu_nic_model_create(const slu_nic_model_config *config, slu_nic_model **model)
{
	if (!config->dma_read || !config->dma_write || !config->wire_tx)
		return -EINVAL;
	if (!range_ok(config->record) || !range_ok(config->counter) || !range_ok(config->dma))
		return -EINVAL;
	slu_nic_model *m = new (std::nothrow) slu_nic_model();
	if (!m)
		return -ENOMEM;
	m->config = *config;
	m->random.state = config->seed * 0x9E3779B97F4A7C15ULL | 1;
	if (m->record.init(RECORD_MEMORY_BYTES) || m->counter.init(COUNTER_MEMORY_BYTES)) {
		slu_nic_model_destroy(m);
		return -ENOMEM;
	}
	m->rec_reads.init(config->record, &m->random);
	m->rec_acks.init(config->record, &m->random);
	m->cnt_reads.init(config->counter, &m->random);
	m->cnt_acks.init(config->counter, &m->random);
	m->dma_reads.init(config->dma, &m->random);
	m->dma_acks.init(config->dma, &m->random);
	for (wire_in &w : m->rx)
		w.init();
	m->context.reset(new VerilatedContext);
#if VM_TRACE
	m->context->traceEverOn(true);
#endif
	m->top.reset(new Vsluice_nic(m->context.get(), "sluice_nic"));
	use_large_pages(m->top->rootp, sizeof(*m->top->rootp)); /* tags and other memories stand in it */
	m->top->tx_ready_i = (1u << SLU_NIC_MODEL_PORTS) - 1;
	m->top->s_axil_bready_i = 1;
	m->top->s_axil_rready_i = 1;
	reset(m);
	*model = m;
	return 0;
}

void slu_nic_model_destroy(slu_nic_model *m)
{
	if (!m)
		return;
#if VM_TRACE
	if (m->trace)
		m->trace->close();
#endif
	if (m->top)
		m->top->final();
	if (m->record.base)
		munmap(m->record.base, m->record.size);
	if (m->counter.base)
		munmap(m->counter.base, m->counter.size);
	delete m;
}

void slu_nic_model_run(slu_nic_model *m, uint32_t clocks)
{
	while (clocks--)
		tick(m);
}

uint32_t slu_nic_model_run_to_idle(slu_nic_model *m, uint32_t clocks)
{
	uint32_t done = 0;

	while (done < clocks && !slu_nic_model_idle(m)) {
		tick(m);
		done++;
	}
	return done;
}

bool slu_nic_model_idle(const slu_nic_model *m)
{
	if (m->quiet_clocks < IDLE_CLOCKS || !buses_quiet(m))
		return false;
	for (const wire_in &w : m->rx)
		if (!w.empty())
			return false;
	return true;
}

int slu_nic_model_reg_read(slu_nic_model *m, uint32_t addr, uint32_t *value)
{
	int err = wait_axil(m);

	if (err)
		return err;
	m->top->s_axil_araddr_i = addr;
	m->top->s_axil_arvalid_i = 1;
	m->axil = AXIL_READ;
	err = wait_axil(m);
	*value = m->axil_value;
	return err ? err : m->axil_resp == OKAY ? 0 : -EIO;
}

int slu_nic_model_reg_write(slu_nic_model *m, uint32_t addr, uint32_t value)
{
	int err = wait_axil(m);

	if (err)
		return err;
	err = slu_nic_model_reg_post(m, addr, value);
	if (!err)
		err = wait_axil(m);
	return err ? err : m->axil_resp == OKAY ? 0 : -EIO;
}

int slu_nic_model_reg_post(slu_nic_model *m, uint32_t addr, uint32_t value)
{
	if (m->post_tail - m->post_head == 64)
		return -EAGAIN;
	m->post[m->post_tail++ & 63] = {addr, value};
	m->quiet_clocks = 0;
	return 0;
}

int slu_nic_model_wire_rx(slu_nic_model *m, unsigned int port, const void *frame, size_t len, bool bad)
{
	const uint8_t *from = (const uint8_t *)frame;

	if (port >= SLU_NIC_MODEL_PORTS || !len || len > SLU_NIC_MODEL_FRAME_BYTES)
		return -EINVAL;
	wire_in &w = m->rx[port];
	if (w.free_beats() < (len + BEAT_BYTES - 1) / BEAT_BYTES || w.frame_tail - w.frame_head == wire_in::FRAMES)
		return -ENOSPC;
	/* From the start again: what was used last is still in the cache. */
	if (w.empty())
		w.frame_head = w.frame_tail = w.beat_head = w.beat_tail = 0;
	w.frame[w.frame_tail++ & (wire_in::FRAMES - 1)] = (uint32_t)len | (uint32_t)bad << 31;
	while (len) {
		size_t part = len < BEAT_BYTES ? len : BEAT_BYTES;
		memcpy(&w.data[(size_t)(w.beat_tail++ & (wire_in::BEATS - 1)) * BEAT_BYTES], from, part);
		from += part;
		len -= part;
	}
	m->quiet_clocks = 0;
	return 0;
}

size_t slu_nic_model_wire_space(const slu_nic_model *m, unsigned int port)
{
	if (port >= SLU_NIC_MODEL_PORTS)
		return 0;
	const wire_in &w = m->rx[port];
	return w.frame_tail - w.frame_head == wire_in::FRAMES ? 0 : (size_t)w.free_beats() * BEAT_BYTES;
}

void slu_nic_model_wire_ready(slu_nic_model *m, unsigned int port, bool ready)
{
	assert(port < SLU_NIC_MODEL_PORTS);
	if (ready)
		m->top->tx_ready_i |= 1u << port;
	else
		m->top->tx_ready_i &= ~(1u << port);
}

void slu_nic_model_set_link(slu_nic_model *m, unsigned int port, bool up)
{
	assert(port < SLU_NIC_MODEL_PORTS);
	if (up)
		m->top->link_i |= 1u << port;
	else
		m->top->link_i &= ~(1u << port);
}

void slu_nic_model_set_time_us(slu_nic_model *m, uint64_t time_us)
{
	m->top->time_us_i = time_us;
}

int slu_nic_model_host_reset(slu_nic_model *m)
{
	m->top->host_rst_i = 1;
	tick(m);
	m->top->host_rst_i = 0;
	/* Requests may still come out of a pipeline for a while: only a quiet spell counts. */
	for (uint32_t i = 0, quiet = 0; quiet < 256; i++) {
		if (i == BUS_TIMEOUT_CLOCKS)
			return -ETIMEDOUT;
		tick(m);
		quiet = dma_quiet(m) ? quiet + 1 : 0;
	}
	return 0;
}

int slu_nic_model_dma_drain(slu_nic_model *m)
{
	uint32_t old = m->dma_epoch;

	m->dma_epoch = !old;
	for (uint32_t i = 0; m->dma_open[old]; i++) {
		if (i == BUS_TIMEOUT_CLOCKS)
			return -ETIMEDOUT;
		tick(m);
	}
	return 0;
}

void *slu_nic_model_record_memory(slu_nic_model *m, uint64_t addr, size_t len)
{
	return m->record.holds(addr, len) ? m->record.base + addr : nullptr;
}

void *slu_nic_model_counter_memory(slu_nic_model *m, uint64_t addr, size_t len)
{
	return m->counter.holds(addr, len) ? m->counter.base + addr : nullptr;
}

void slu_nic_model_fail_record_reads(slu_nic_model *m, uint32_t count)
{
	m->fail_record_reads = count;
}

void slu_nic_model_get_stats(const slu_nic_model *m, slu_nic_model_stats *stats)
{
	*stats = m->stats;
	stats->clocks = m->now;
	stats->record_reads_high = m->rec_reads.in_flight_high;
}

bool slu_nic_model_can_trace(void)
{
	return VM_TRACE;
}

int slu_nic_model_trace(slu_nic_model *m, const char *path)
{
#if VM_TRACE
	if (!path) {
		if (m->trace)
			m->trace->close();
		m->trace.reset();
		return 0;
	}
	if (m->trace)
		return -EBUSY;
	m->trace.reset(new VerilatedFstC);
	m->top->trace(m->trace.get(), 99);
	m->trace->open(path);
	return 0;
#else
	(void)m;
	return path ? -ENOTSUP : 0;
#endif
}
