#include "driver_fake_card.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BASE 0x100u
#define FLOW_BASE 0x200u
#define VALID 0x80000000u

static int fake_read(void *context, uint32_t offset, uint32_t *values, unsigned count)
{
	struct fake_card *c = context;

	for (unsigned i = 0; i < count; i++)
		values[i] = __atomic_load_n(&c->registers[offset / 4 + i], __ATOMIC_SEQ_CST);
	return 0;
}

static int fake_write(void *context, uint32_t offset, uint32_t value)
{
	struct fake_card *c = context;

	__atomic_store_n(&c->registers[offset / 4], value, __ATOMIC_SEQ_CST);
	return 0;
}

static int fake_doorbell(void *context, uint32_t offset, uint32_t value)
{
	struct fake_card *c = context;

	atomic_store(&c->doorbells[offset / 4], value);
	return 0;
}

static const struct slu_hw_ops fake_ops = {.read = fake_read, .write = fake_write, .doorbell = fake_doorbell};

static void *fake_alloc(size_t bytes, size_t alignment)
{
	void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);

	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

const struct slu_memory fake_card_memory = {.alloc = fake_alloc, .free = free};

static void check(struct fake_card *c, bool fine)
{
	if (!fine)
		atomic_fetch_add(&c->violations, 1);
}

static void dump(struct fake_card *c, const struct slu_nic_command *command)
{
	uint32_t *to = (uint32_t *)(uintptr_t)command->addr, bank = c->slots / 2;

	for (uint32_t b = 0; b < command->arg; b++) {
		memcpy(to + 8 * b, &c->tags[4 * (command->slot + b)], 16);
		memcpy(to + 8 * b + 4, &c->tags[bank + 4 * (command->slot + b)], 16);
	}
}

static void flow_reset(struct fake_card *c)
{
	memset(c->tags, 0, c->slots * sizeof(*c->tags));
	memset(c->next_hops, 0, c->hops * sizeof(*c->next_hops));
	memset(c->stats, 0, c->flows * sizeof(*c->stats));
	memset(c->dirty_slot, 0, c->slots);
}

static void execute(struct fake_card *c, const struct slu_nic_command *command, const struct slu_nic_command *payload)
{
	void *to = (void *)(uintptr_t)command->addr;

	switch (command->opcode) {
	case SLU_NIC_OPCODE_WRITE_RECORD:
		/* In place, the slot stays valid: an update. A slot cleared in this epoch may be in a packet's hands.
		 */
		check(c, !c->dirty_slot[command->slot]);
		memcpy(c->records[command->slot], payload, (command->units - 1u) * 64);
		break;
	case SLU_NIC_OPCODE_SET_TAG:
		check(c, !(c->tags[command->slot] & VALID));
		c->tags[command->slot] = VALID | command->arg;
		break;
	case SLU_NIC_OPCODE_CLEAR_TAG:
		check(c, c->tags[command->slot] & VALID);
		c->tags[command->slot] = 0;
		c->dirty_slot[command->slot] = true;
		break;
	case SLU_NIC_OPCODE_FENCE:
		memset(c->dirty_slot, 0, c->slots);
		break;
	case SLU_NIC_OPCODE_COPY_RECORD:
		check(c, !c->dirty_slot[command->arg] && !(c->tags[command->arg] & VALID) &&
				 (c->tags[command->slot] & VALID));
		memcpy(c->records[command->arg], c->records[command->slot], SLU_NIC_RECORD_BYTES);
		break;
	case SLU_NIC_OPCODE_READ_RECORD:
		memcpy(to, c->records[command->slot], SLU_NIC_RECORD_BYTES);
		break;
	case SLU_NIC_OPCODE_DUMP_TAGS:
		dump(c, command);
		break;
	case SLU_NIC_OPCODE_READ_STATS:
		memcpy(to, &c->stats[command->slot], command->arg * sizeof(*c->stats));
		break;
	case SLU_NIC_OPCODE_CLEAR_STATS:
		memset(&c->stats[command->slot], 0, command->arg * sizeof(*c->stats));
		break;
	case SLU_NIC_OPCODE_WRITE_NEXTHOP:
		memcpy(&c->next_hops[command->slot], command->next_hop, sizeof(*c->next_hops));
		break;
	case SLU_NIC_OPCODE_READ_NEXTHOP:
		memcpy(to, &c->next_hops[command->slot], command->arg * sizeof(*c->next_hops));
		break;
	case SLU_NIC_OPCODE_FLOW_RESET:
		flow_reset(c);
		break;
	default:
		break;
	}
}

static void complete(struct fake_card *c, uint32_t cookie, uint8_t opcode, uint8_t status, uint32_t log2)
{
	struct slu_nic_cmd_completion *ring =
		(struct slu_nic_cmd_completion *)((uintptr_t)c->registers[(BASE + SLU_NIC_CMD_CPL_LO) / 4] |
						  (uintptr_t)c->registers[(BASE + SLU_NIC_CMD_CPL_HI) / 4] << 32);
	struct slu_nic_cmd_completion *to = &ring[c->completions & ((1u << log2) - 1)];
	const uint64_t one = 1;

	to->cookie = cookie;
	to->opcode = opcode;
	to->status = status;
	__atomic_store_n(&to->pass, 1 + (c->completions >> log2), __ATOMIC_RELEASE);
	c->completions++;
	uint32_t arm = atomic_load(&c->doorbells[SLU_NIC_DB_CMD_ARM / 4]);
	if (c->completions - arm == 1) /* the completion that the driver sleeps for */
		(void)!write(c->eventfd, &one, sizeof(one));
}

static void step(struct fake_card *c)
{
	uint32_t log2 = c->registers[(BASE + SLU_NIC_CMD_RING_LOG2) / 4];
	const struct slu_nic_command *ring =
		(const struct slu_nic_command *)((uintptr_t)c->registers[(BASE + SLU_NIC_CMD_RING_LO) / 4] |
						 (uintptr_t)c->registers[(BASE + SLU_NIC_CMD_RING_HI) / 4] << 32);
	const struct slu_nic_command *command = &ring[c->head & ((1u << log2) - 1)];
	uint8_t status = SLU_NIC_CMD_STATUS_OK;

	atomic_fetch_add(&c->counts[command->opcode & 15], 1);
	if (command->opcode && command->opcode == atomic_load(&c->fail_opcode)) {
		atomic_store(&c->fail_opcode, 0);
		status = SLU_NIC_CMD_STATUS_MEMORY;
	} else {
		execute(c, command, command + 1);
	}
	c->head += command->units;
	if (atomic_exchange(&c->garbage, false))
		complete(c, command->cookie + 100000, 0xEE, 0xFF, log2);
	if (status || !(command->flags & SLU_NIC_CMD_FLAG_QUIET))
		complete(c, command->cookie, command->opcode, status, log2);
}

static void *serve(void *argument)
{
	struct fake_card *c = argument;

	while (!atomic_load(&c->stop)) {
		bool enabled = __atomic_load_n(&c->registers[(BASE + SLU_NIC_CMD_CONTROL) / 4], __ATOMIC_SEQ_CST) &
			       SLU_NIC_CMD_CTL_ENABLE;
		uint32_t tail = atomic_load_explicit(&c->doorbells[SLU_NIC_DB_CMD_TAIL / 4], memory_order_acquire);

		if (enabled && c->head != tail && !atomic_load(&c->hang))
			step(c);
		else
			sched_yield();
	}
	return NULL;
}

struct fake_card *fake_card_create(unsigned bucket_bits)
{
	struct fake_card *c = calloc(1, sizeof(*c));

	c->slots = 8u << bucket_bits;
	c->flows = 8u << bucket_bits;
	c->hops = 64;
	c->records = calloc(c->slots, sizeof(*c->records));
	c->tags = calloc(c->slots, sizeof(*c->tags));
	c->dirty_slot = calloc(c->slots, sizeof(*c->dirty_slot));
	c->next_hops = calloc(c->hops, sizeof(*c->next_hops));
	c->stats = calloc(c->flows, sizeof(*c->stats));
	c->card = (struct slu_card){.command_base = BASE,
		.flow_base = FLOW_BASE,
		.bucket_bits = bucket_bits,
		.flow_id_bits = bucket_bits + 3,
		.next_hop_bits = 6,
		.command_log2_max = 16};
	c->eventfd = eventfd(0, EFD_NONBLOCK);
	c->hw = (struct slu_hw){.ops = &fake_ops,
		.context = c,
		.doorbells = (volatile uint8_t *)c->doorbells,
		.kick_fd = -1,
		.hangup_fd = -1};
	pthread_create(&c->thread, NULL, serve, c);
	return c;
}

static void join(struct fake_card *c)
{
	atomic_store(&c->stop, true);
	pthread_join(c->thread, NULL);
	atomic_store(&c->stop, false);
}

void fake_card_reset_host(struct fake_card *c)
{
	join(c);
	c->registers[(BASE + SLU_NIC_CMD_CONTROL) / 4] = 0;
	c->head = c->completions = 0;
	memset((void *)c->doorbells, 0, sizeof(c->doorbells));
	pthread_create(&c->thread, NULL, serve, c);
}

void fake_card_destroy(struct fake_card *c)
{
	join(c);
	close(c->eventfd);
	free(c->records);
	free(c->tags);
	free(c->dirty_slot);
	free(c->next_hops);
	free(c->stats);
	free(c);
}
