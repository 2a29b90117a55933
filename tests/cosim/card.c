#include "card.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow_hash.h"
#include "flow_place.h"

#define MEMORY_BASE 0x7E0000000000ULL
#define MEMORY_BYTES (16u << 20)
#define CMD_LOG2 8u
#define CPL_LOG2 8u
#define CMD_OFFSET 0x0u      /* 16 KiB */
#define CPL_OFFSET 0x8000u   /* 4 KiB */
#define DATA_OFFSET 0x10000u /* what commands read back */
#define RX_LOG2 8u
#define RX_COUNT (1u << RX_LOG2)
#define RX_OFFSET 0x100000u /* a port's: descriptors, completions, buffers */
#define RX_STRIDE 0x400000u
#define RX_CPL_OFFSET 0x2000u
#define RX_BUFFERS_OFFSET 0x10000u
#define RX_BUFFER_BYTES 9728u
#define COMMAND_CLOCKS 100000u
#define QUEUES_PER_PORT (SLU_NIC_MODEL_QUEUES / SLU_NIC_MODEL_PORTS)

struct card {
	struct card_config config;
	struct slu_nic_model *model;
	struct slu_flow_place *place;
	uint8_t *memory;
	uint32_t secret[SLU_NIC_HASH_KEYS];
	unsigned int bucket_bits;
	uint32_t cmd_tail, cpl_head, cookie;
	uint32_t rx_head[SLU_NIC_MODEL_PORTS];
};

static _Noreturn void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("Bail out! card: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
	abort();
}

static int dma_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	struct card *c = ctx;

	if (addr < MEMORY_BASE || addr - MEMORY_BASE > MEMORY_BYTES || len > MEMORY_BYTES - (addr - MEMORY_BASE))
		return -EFAULT;
	memcpy(buf, c->memory + (addr - MEMORY_BASE), len);
	return 0;
}

static int dma_write(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	struct card *c = ctx;

	if (addr < MEMORY_BASE || addr - MEMORY_BASE > MEMORY_BYTES || len > MEMORY_BYTES - (addr - MEMORY_BASE))
		return -EFAULT;
	memcpy(c->memory + (addr - MEMORY_BASE), buf, len);
	return 0;
}

static void wire_tx(void *ctx, unsigned int port, const uint8_t *frame, size_t len)
{
	struct card *c = ctx;

	c->config.wire_tx(c->config.ctx, port, frame, len);
}

uint32_t card_read(struct card *c, uint32_t reg)
{
	uint32_t value;
	int err = slu_nic_model_reg_read(c->model, reg, &value);

	if (err)
		fail("register 0x%x does not read: %s", reg, strerror(-err));
	return value;
}

void card_write(struct card *c, uint32_t reg, uint32_t value)
{
	int err = slu_nic_model_reg_write(c->model, reg, value);

	if (err)
		fail("register 0x%x does not take 0x%x: %s", reg, value, strerror(-err));
}

static void write64(struct card *c, uint32_t reg, uint64_t value)
{
	card_write(c, reg, (uint32_t)value);
	card_write(c, reg + 4, (uint32_t)(value >> 32));
}

static void doorbell(struct card *c, uint32_t offset, uint32_t value)
{
	card_write(c, SLU_NIC_BAR0_BYTES + offset, value);
}

uint64_t card_port_stat(struct card *c, unsigned int port, enum slu_nic_port_stats index)
{
	uint32_t reg = SLU_NIC_PORT_BASE + port * SLU_NIC_PORT_STRIDE + SLU_NIC_PORT_STATS0 + 8 * index;
	uint64_t low = card_read(c, reg);

	return low | (uint64_t)card_read(c, reg + 4) << 32;
}

void card_set_mac(struct card *c, unsigned int port, const uint8_t mac[6])
{
	uint32_t base = SLU_NIC_PORT_BASE + port * SLU_NIC_PORT_STRIDE;
	uint32_t low, high = mac[4] | (uint32_t)mac[5] << 8;

	memcpy(&low, mac, 4);
	card_write(c, base + SLU_NIC_PORT_MAC_LO, low);
	card_write(c, base + SLU_NIC_PORT_MAC_HI, high);
}

/* Waits for the completion of the last command; all before it were waited for. */
static const struct slu_nic_cmd_completion *wait_completion(struct card *c)
{
	const struct slu_nic_cmd_completion *cpl = (const struct slu_nic_cmd_completion *)(c->memory + CPL_OFFSET) +
						   (c->cpl_head & ((1u << CPL_LOG2) - 1));
	uint32_t pass = 1 + (c->cpl_head >> CPL_LOG2);

	for (uint32_t i = 0; cpl->pass != pass; i++) {
		if (i == COMMAND_CLOCKS)
			fail("no completion of command %u after %u clocks", c->cookie, i);
		slu_nic_model_run(c->model, 1);
	}
	if (cpl->cookie != c->cookie)
		fail("completion of command %u where %u was due", cpl->cookie, c->cookie);
	c->cpl_head++;
	return cpl;
}

uint8_t card_command(struct card *c, const void *units, unsigned int count)
{
	struct slu_nic_command head;

	memcpy(&head, units, sizeof(head));
	head.units = (uint8_t)count;
	head.cookie = ++c->cookie;
	for (unsigned int i = 0; i < count; i++)
		memcpy(c->memory + CMD_OFFSET + ((c->cmd_tail + i) & ((1u << CMD_LOG2) - 1)) * 64,
			i ? (const uint8_t *)units + i * 64 : (const uint8_t *)&head, 64);
	c->cmd_tail += count;
	doorbell(c, SLU_NIC_DB_CMD_TAIL, c->cmd_tail);
	return wait_completion(c)->status;
}

/* A command of one unit that must succeed. */
static void command(struct card *c, uint8_t opcode, uint32_t slot, uint32_t arg)
{
	struct slu_nic_command cmd = {.opcode = opcode, .slot = slot, .arg = arg, .addr = MEMORY_BASE + DATA_OFFSET};
	uint8_t status = card_command(c, &cmd, 1);

	if (status)
		fail("command %u slot %u arg %u: status %u", opcode, slot, arg, status);
}

void card_fence(struct card *c)
{
	command(c, SLU_NIC_OPCODE_FENCE, 0, 0);
}

void card_write_next_hop(struct card *c, uint16_t index, const struct slu_nic_next_hop *next_hop)
{
	struct slu_nic_command cmd = {.opcode = SLU_NIC_OPCODE_WRITE_NEXTHOP, .slot = index};

	memcpy(cmd.next_hop, next_hop, sizeof(cmd.next_hop));
	if (card_command(c, &cmd, 1))
		fail("WRITE_NEXTHOP %u", index);
}

int card_insert(struct card *c, const struct slu_rule *rule, uint32_t flow_id, uint16_t next_hop)
{
	struct {
		struct slu_nic_command cmd;
		union slu_rule_record record;
	} units = {.cmd.opcode = SLU_NIC_OPCODE_WRITE_RECORD};
	struct slu_flow_place_plan plan;
	struct slu_flow_hash hash;
	struct slu_flow_key key;
	unsigned int bytes;
	int err;

	slu_rule_key(rule, &key);
	hash = slu_flow_hash_compute(&key, c->secret, c->bucket_bits);
	err = slu_flow_place_insert(c->place, hash.bucket, hash.tag, &plan);
	if (err)
		return err;
	/* Moves are the driver's; tests stay below the load at which they begin to matter. */
	for (uint32_t i = 0; i < plan.count; i++) {
		command(c, SLU_NIC_OPCODE_COPY_RECORD, plan.moves[i].from, plan.moves[i].to);
		fail("placement wants moves: too many flows");
	}
	bytes = slu_rule_encode(rule, flow_id, next_hop, (uint8_t)flow_id, &units.record);
	units.cmd.slot = plan.slot;
	if (card_command(c, &units, 1 + bytes / 64))
		fail("WRITE_RECORD");
	command(c, SLU_NIC_OPCODE_SET_TAG, plan.slot, hash.tag);
	return 0;
}

static uint64_t get_bytes(const uint8_t *p, unsigned int count)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < count; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

void card_flow_stats(struct card *c, uint32_t flow_id, uint64_t *packets, uint64_t *bytes)
{
	const struct slu_nic_flow_stats *s = (const struct slu_nic_flow_stats *)(c->memory + DATA_OFFSET);

	command(c, SLU_NIC_OPCODE_READ_STATS, flow_id, 1);
	*bytes = get_bytes(s->bytes, sizeof(s->bytes));
	*packets = get_bytes(s->packets, sizeof(s->packets));
}

/* ---- RX ---- */

static uint8_t *rx_memory(struct card *c, unsigned int port)
{
	return c->memory + RX_OFFSET + port * RX_STRIDE;
}

static uint64_t rx_address(unsigned int port)
{
	return MEMORY_BASE + RX_OFFSET + (uint64_t)port * RX_STRIDE;
}

static void set_up_rx(struct card *c, unsigned int port)
{
	uint32_t queue = port * QUEUES_PER_PORT;
	uint32_t reg = SLU_NIC_QUEUE_BASE + queue * SLU_NIC_QUEUE_STRIDE;
	struct slu_nic_rx_desc *descs = (struct slu_nic_rx_desc *)rx_memory(c, port);

	for (uint32_t i = 0; i < RX_COUNT; i++) {
		descs[i].addr = rx_address(port) + RX_BUFFERS_OFFSET + i * RX_BUFFER_BYTES;
		descs[i].len = RX_BUFFER_BYTES;
	}
	write64(c, reg + SLU_NIC_QUEUE_RX_RING_LO, rx_address(port));
	write64(c, reg + SLU_NIC_QUEUE_RX_CPL_LO, rx_address(port) + RX_CPL_OFFSET);
	card_write(c, reg + SLU_NIC_QUEUE_RX_LOG2, RX_LOG2);
	card_write(c, reg + SLU_NIC_QUEUE_CONTROL, SLU_NIC_Q_CTL_RX_ENABLE);
	doorbell(c, queue * SLU_NIC_DB_QUEUE_STRIDE + SLU_NIC_DB_RX_TAIL, RX_COUNT);
	for (uint32_t i = 0; i < SLU_NIC_RETA_ENTRIES / 4; i++)
		card_write(c, SLU_NIC_PORT_BASE + port * SLU_NIC_PORT_STRIDE + SLU_NIC_PORT_RETA0 + 4 * i, 0);
	card_write(c, SLU_NIC_PORT_BASE + port * SLU_NIC_PORT_STRIDE + SLU_NIC_PORT_CONTROL, SLU_NIC_PORT_CTL_ENABLE);
}

static void poll_port(struct card *c, unsigned int port)
{
	const struct slu_nic_rx_completion *cpls =
		(const struct slu_nic_rx_completion *)(rx_memory(c, port) + RX_CPL_OFFSET);
	uint32_t before = c->rx_head[port];

	for (;;) {
		uint32_t at = c->rx_head[port] & (RX_COUNT - 1);

		if (cpls[at].pass != 1 + (c->rx_head[port] >> RX_LOG2))
			break;
		c->config.host_rx(
			c->config.ctx, &cpls[at], rx_memory(c, port) + RX_BUFFERS_OFFSET + at * RX_BUFFER_BYTES);
		c->rx_head[port]++;
	}
	if (c->rx_head[port] != before)
		doorbell(c, port * QUEUES_PER_PORT * SLU_NIC_DB_QUEUE_STRIDE + SLU_NIC_DB_RX_TAIL,
			c->rx_head[port] + RX_COUNT);
}

void card_poll(struct card *c)
{
	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS && c->config.rx; port++)
		poll_port(c, port);
}

bool card_settle(struct card *c, uint32_t clocks)
{
	while (clocks) {
		uint32_t ran = slu_nic_model_run_to_idle(c->model, clocks < 256 ? clocks : 256);

		clocks -= ran;
		card_poll(c);
		if (slu_nic_model_idle(c->model))
			return true;
	}
	return false;
}

/* ---- building ---- */

static void set_up(struct card *c)
{
	uint64_t random = c->config.seed * 2 + 1;

	card_write(c, SLU_NIC_ID_BASE + SLU_NIC_ID_CONTROL, SLU_NIC_CONTROL_DMA_ENABLE);
	write64(c, SLU_NIC_CMD_BASE + SLU_NIC_CMD_RING_LO, MEMORY_BASE + CMD_OFFSET);
	card_write(c, SLU_NIC_CMD_BASE + SLU_NIC_CMD_RING_LOG2, CMD_LOG2);
	write64(c, SLU_NIC_CMD_BASE + SLU_NIC_CMD_CPL_LO, MEMORY_BASE + CPL_OFFSET);
	card_write(c, SLU_NIC_CMD_BASE + SLU_NIC_CMD_CPL_LOG2, CPL_LOG2);
	card_write(c, SLU_NIC_CMD_BASE + SLU_NIC_CMD_CONTROL, SLU_NIC_CMD_CTL_ENABLE);
	for (unsigned int i = 0; i < SLU_NIC_HASH_KEYS; i++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		c->secret[i] = (uint32_t)(random >> 32);
	}
	slu_flow_hash_condition(c->secret);
	for (unsigned int i = 0; i < SLU_NIC_HASH_KEYS; i++)
		card_write(c, SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_HASH_KEY0 + 4 * i, c->secret[i]);
	card_write(c, SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_CONTROL, SLU_NIC_FLOW_CTL_LOOKUP_ENABLE);
	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS && c->config.rx; port++)
		set_up_rx(c, port);
}

struct card *card_create(const struct card_config *config)
{
	struct card *c = calloc(1, sizeof(*c));
	struct slu_nic_model_config model = {
		.record = config->record,
		.counter = config->counter,
		.dma = config->dma,
		.seed = config->seed,
		.ctx = c,
		.dma_read = dma_read,
		.dma_write = dma_write,
		.wire_tx = wire_tx,
	};
	int err;

	c->config = *config;
	c->memory = aligned_alloc(4096, MEMORY_BYTES);
	memset(c->memory, 0, MEMORY_BYTES);
	err = slu_nic_model_create(&model, &c->model);
	if (err)
		fail("%s", strerror(-err));
	c->bucket_bits = card_read(c, SLU_NIC_FLOW_BASE + SLU_NIC_FLOW_BUCKET_BITS);
	err = slu_flow_place_create(c->bucket_bits, &c->place);
	if (err)
		fail("%s", strerror(-err));
	set_up(c);
	return c;
}

void card_destroy(struct card *c)
{
	slu_nic_model_destroy(c->model);
	slu_flow_place_destroy(c->place);
	free(c->memory);
	free(c);
}

struct slu_nic_model *card_model(struct card *c)
{
	return c->model;
}
