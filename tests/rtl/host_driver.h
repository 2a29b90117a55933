/*
 * The host's side of the card for benches: registers over AXI4-Lite, rings in host memory, as a driver would do it.
 * V is a Verilated model with the ports of slu_host_if or sluice_nic; `tick` of the bench runs one clock.
 */
#ifndef SLU_TESTS_RTL_HOST_DRIVER_H
#define SLU_TESTS_RTL_HOST_DRIVER_H

#include <sluice/nic_regs.h>

#include "axi_memory.h"

namespace bench
{

template <class V> AxiPorts dma_ports(V &top)
{
	AxiPorts p = {};

	p.beat_bytes = 64;
	p.addr_bytes = 8;
	p.id_bytes = 1;
	p.arvalid = &top.m_dma_arvalid_o;
	p.arready = &top.m_dma_arready_i;
	p.arlen = &top.m_dma_arlen_o;
	p.araddr = &top.m_dma_araddr_o;
	p.arid = &top.m_dma_arid_o;
	p.rvalid = &top.m_dma_rvalid_i;
	p.rready = &top.m_dma_rready_o;
	p.rdata = &top.m_dma_rdata_i;
	p.rid = &top.m_dma_rid_i;
	p.rresp = &top.m_dma_rresp_i;
	p.rlast = &top.m_dma_rlast_i;
	p.awvalid = &top.m_dma_awvalid_o;
	p.awready = &top.m_dma_awready_i;
	p.awlen = &top.m_dma_awlen_o;
	p.awaddr = &top.m_dma_awaddr_o;
	p.awid = &top.m_dma_awid_o;
	p.wvalid = &top.m_dma_wvalid_o;
	p.wready = &top.m_dma_wready_i;
	p.wlast = &top.m_dma_wlast_o;
	p.wdata = &top.m_dma_wdata_o;
	p.wstrb = &top.m_dma_wstrb_o;
	p.bvalid = &top.m_dma_bvalid_i;
	p.bready = &top.m_dma_bready_o;
	p.bid = &top.m_dma_bid_i;
	p.bresp = &top.m_dma_bresp_i;
	return p;
}

template <class V> AxiPorts counter_ports(V &top)
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

/* Where things stand in host memory. Ring bases are not aligned to the ring's size on purpose. */
enum : uint64_t {
	CMD_RING = 0x7F0000100040ull,
	CMD_CPL = 0x7F0000200080ull,
	QUEUE_AREA = 0x7F0001000000ull,
	QUEUE_STEP = 0x100000ull,
	RX_RING = 0x00C0ull,
	RX_CPL = 0x10140ull,
	TX_RING = 0x30040ull,
	TX_WB = 0x50008ull,
	DATA = 0x7F0010000000ull,
	DATA_BYTES = 0x800000ull,
};

template <class V> struct HostDriver {
	static const unsigned QUEUES = 4, VECTORS = 5;
	V &top;
	std::function<void()> tick;
	Pages pages;
	bool timed_out = false;
	unsigned cmd_log2 = 5, cpl_log2 = 5;
	uint32_t cmd_tail = 0, cpl_head = 0, cookie = 100;
	struct Queue {
		unsigned rx_log2 = 5, tx_log2 = 5;
		uint32_t rx_tail = 0, rx_head = 0, tx_tail = 0;
	} queue[QUEUES];
	uint64_t irqs[VECTORS] = {};

	HostDriver(V &model) : top(model)
	{
		pages.map(CMD_RING, 0x40000);
		pages.map(CMD_CPL, 0x40000);
		for (unsigned q = 0; q < QUEUES; q++)
			pages.map(QUEUE_AREA + q * QUEUE_STEP, 0x60000);
		pages.map(DATA, DATA_BYTES);
	}
	uint64_t at(unsigned q, uint64_t what) const
	{
		return QUEUE_AREA + q * QUEUE_STEP + what;
	}
	/* To be called by the bench's tick, before the rising edge. */
	void sample()
	{
		for (unsigned v = 0; v < VECTORS; v++)
			irqs[v] += top.irq_o >> v & 1;
	}

	void write(uint32_t addr, uint32_t value, unsigned strobe = 15)
	{
		top.s_axil_awvalid_i = top.s_axil_wvalid_i = 1;
		top.s_axil_awaddr_i = addr;
		top.s_axil_wdata_i = value;
		top.s_axil_wstrb_i = (uint8_t)strobe;
		top.s_axil_bready_i = 1;
		bool taken = false, answered = false;

		for (int i = 0; i < 2000 && !answered; i++) {
			top.eval();
			answered = top.s_axil_bvalid_o;
			bool accept = top.s_axil_awready_o && top.s_axil_wready_o;

			tick();
			if (accept && !taken) {
				taken = true;
				top.s_axil_awvalid_i = top.s_axil_wvalid_i = 0;
			}
		}
		timed_out |= !answered;
	}
	uint32_t read(uint32_t addr)
	{
		uint32_t value = 0;
		bool answered = false;

		top.s_axil_arvalid_i = 1;
		top.s_axil_araddr_i = addr;
		top.s_axil_rready_i = 1;
		for (int i = 0; i < 2000 && !answered; i++) {
			top.eval();
			answered = top.s_axil_rvalid_o;
			value = top.s_axil_rdata_o;
			bool accept = top.s_axil_arready_o;

			tick();
			if (accept)
				top.s_axil_arvalid_i = 0;
		}
		timed_out |= !answered;
		return value;
	}
	uint32_t id(uint32_t reg)
	{
		return read(SLU_NIC_ID_BASE + reg);
	}
	static uint32_t port_reg(unsigned port, uint32_t reg)
	{
		return SLU_NIC_PORT_BASE + port * SLU_NIC_PORT_STRIDE + reg;
	}
	static uint32_t queue_reg(unsigned q, uint32_t reg)
	{
		return SLU_NIC_QUEUE_BASE + q * SLU_NIC_QUEUE_STRIDE + reg;
	}
	static uint32_t bell(unsigned q, uint32_t which)
	{
		return SLU_NIC_BAR0_BYTES + q * SLU_NIC_DB_QUEUE_STRIDE + which;
	}
	uint64_t stat(unsigned port, unsigned index)
	{
		uint32_t low = read(port_reg(port, SLU_NIC_PORT_STATS0 + 8 * index));

		return (uint64_t)read(port_reg(port, SLU_NIC_PORT_STATS0 + 8 * index + 4)) << 32 | low;
	}
	bool wait_idle(unsigned clocks = 100000)
	{
		for (unsigned i = 0; i < clocks; i++) {
			tick();
			top.eval();
			if (top.idle_o)
				return true;
		}
		return false;
	}

	void start_commands()
	{
		write(SLU_NIC_CMD_BASE + SLU_NIC_CMD_RING_LO, (uint32_t)CMD_RING);
		write(SLU_NIC_CMD_BASE + SLU_NIC_CMD_RING_HI, (uint32_t)(CMD_RING >> 32));
		write(SLU_NIC_CMD_BASE + SLU_NIC_CMD_RING_LOG2, cmd_log2);
		write(SLU_NIC_CMD_BASE + SLU_NIC_CMD_CPL_LO, (uint32_t)CMD_CPL);
		write(SLU_NIC_CMD_BASE + SLU_NIC_CMD_CPL_HI, (uint32_t)(CMD_CPL >> 32));
		write(SLU_NIC_CMD_BASE + SLU_NIC_CMD_CPL_LOG2, cpl_log2);
		for (uint64_t i = 0; i < 16u << cpl_log2; i += 4)
			pages.put(CMD_CPL + i, 0, 4);
		write(SLU_NIC_CMD_BASE + SLU_NIC_CMD_CONTROL, 1u << 0);
		cmd_tail = cpl_head = 0;
	}
	/* Puts units into the ring; the doorbell is rung by ring_commands(). */
	void push(const void *units, unsigned count)
	{
		for (unsigned i = 0; i < count; i++, cmd_tail++)
			pages.write(CMD_RING + (cmd_tail & ((1u << cmd_log2) - 1)) * 64,
				(const uint8_t *)units + 64 * i, 64);
	}
	void ring_commands()
	{
		write(SLU_NIC_BAR0_BYTES + SLU_NIC_DB_CMD_TAIL, cmd_tail);
	}
	slu_nic_command command(unsigned opcode, uint32_t slot = 0, uint32_t arg = 0, uint64_t addr = 0)
	{
		slu_nic_command c = {};

		c.opcode = (uint8_t)opcode;
		c.units = 1;
		c.cookie = ++cookie;
		c.slot = slot;
		c.arg = arg;
		c.addr = addr;
		return c;
	}
	/* The next completion, if it comes in time. */
	bool completion(slu_nic_cmd_completion *out, unsigned clocks = 60000)
	{
		uint64_t entry = CMD_CPL + (cpl_head & ((1u << cpl_log2) - 1)) * 16;

		for (unsigned i = 0; i <= clocks; i++) {
			if (pages.number(entry + 12, 4) == 1 + (cpl_head >> cpl_log2)) {
				pages.read(entry, out, 16);
				cpl_head++;
				return true;
			}
			tick();
		}
		return false;
	}
	/* One command by itself. Returns its status, or -1 if nothing came. */
	int run(const slu_nic_command &c, const void *more = nullptr, unsigned units = 0, unsigned clocks = 60000)
	{
		slu_nic_cmd_completion done;

		push(&c, 1);
		push(more, units);
		ring_commands();
		if (!completion(&done, clocks))
			return -1;
		if (done.cookie != c.cookie || done.opcode != c.opcode || done.result || done.rsvd)
			return -2;
		return done.status;
	}

	void start_queue(unsigned q, bool rx = true, bool tx = true)
	{
		Queue &s = queue[q];
		uint32_t control = read(queue_reg(q, SLU_NIC_QUEUE_CONTROL)) & 3;

		if (rx) {
			write(queue_reg(q, SLU_NIC_QUEUE_RX_RING_LO), (uint32_t)at(q, RX_RING));
			write(queue_reg(q, SLU_NIC_QUEUE_RX_RING_HI), (uint32_t)(at(q, RX_RING) >> 32));
			write(queue_reg(q, SLU_NIC_QUEUE_RX_CPL_LO), (uint32_t)at(q, RX_CPL));
			write(queue_reg(q, SLU_NIC_QUEUE_RX_CPL_HI), (uint32_t)(at(q, RX_CPL) >> 32));
			write(queue_reg(q, SLU_NIC_QUEUE_RX_LOG2), s.rx_log2);
			for (uint64_t i = 0; i < 32u << s.rx_log2; i += 4)
				pages.put(at(q, RX_CPL) + i, 0, 4);
			s.rx_tail = s.rx_head = 0;
			control |= SLU_NIC_Q_CTL_RX_ENABLE;
		}
		if (tx) {
			write(queue_reg(q, SLU_NIC_QUEUE_TX_RING_LO), (uint32_t)at(q, TX_RING));
			write(queue_reg(q, SLU_NIC_QUEUE_TX_RING_HI), (uint32_t)(at(q, TX_RING) >> 32));
			write(queue_reg(q, SLU_NIC_QUEUE_TX_WB_LO), (uint32_t)at(q, TX_WB));
			write(queue_reg(q, SLU_NIC_QUEUE_TX_WB_HI), (uint32_t)(at(q, TX_WB) >> 32));
			write(queue_reg(q, SLU_NIC_QUEUE_TX_LOG2), s.tx_log2);
			pages.put(at(q, TX_WB), 0, 8);
			s.tx_tail = 0;
			control |= SLU_NIC_Q_CTL_TX_ENABLE;
		}
		write(queue_reg(q, SLU_NIC_QUEUE_CONTROL), control);
	}
	void give_rx(unsigned q, uint64_t addr, uint32_t len, bool ring = true)
	{
		Queue &s = queue[q];
		uint64_t desc = at(q, RX_RING) + (s.rx_tail++ & ((1u << s.rx_log2) - 1)) * 16;

		pages.put(desc, addr, 8);
		pages.put(desc + 8, len, 8);
		if (ring)
			write(bell(q, SLU_NIC_DB_RX_TAIL), s.rx_tail);
	}
	bool rx_completion(unsigned q, slu_nic_rx_completion *out)
	{
		Queue &s = queue[q];
		uint64_t entry = at(q, RX_CPL) + (s.rx_head & ((1u << s.rx_log2) - 1)) * 32;

		if (pages.number(entry + 28, 4) != 1 + (s.rx_head >> s.rx_log2))
			return false;
		pages.read(entry, out, 32);
		s.rx_head++;
		return true;
	}
	void give_tx(unsigned q, uint64_t addr, uint32_t len, bool ring = true)
	{
		Queue &s = queue[q];
		uint64_t desc = at(q, TX_RING) + (s.tx_tail++ & ((1u << s.tx_log2) - 1)) * 16;

		pages.put(desc, addr, 8);
		pages.put(desc + 8, len, 8);
		if (ring)
			write(bell(q, SLU_NIC_DB_TX_TAIL), s.tx_tail);
	}
	uint32_t tx_done(unsigned q)
	{
		return (uint32_t)pages.number(at(q, TX_WB), 4);
	}
};

/* Toeplitz hash, bit by bit. */
inline uint32_t toeplitz(const uint8_t *key, const uint8_t *data, size_t count)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < count * 8; i++) {
		if (!(data[i / 8] >> (7 - i % 8) & 1))
			continue;
		for (size_t b = 0; b < 32; b++)
			hash ^= (uint32_t)(key[(i + b) / 8] >> (7 - (i + b) % 8) & 1) << (31 - b);
	}
	return hash;
}

} // namespace bench

#endif
