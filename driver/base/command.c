#include "command.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define RING_LOG2 12
#define UNIT sizeof(struct slu_nic_command)
#define SPIN_NS 30000
#define SLEEP_MS 100
#define PATIENCE_NS (10ull * 1000000000)       /* without a completion */
#define RESET_PATIENCE_NS (90ull * 1000000000) /* the same while the card says that it clears its tables */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint32_t mask(const struct slu_command_ring *ring)
{
	return (1u << ring->log2) - 1;
}

static int set_registers(struct slu_command_ring *ring)
{
	uint64_t units = (uintptr_t)ring->units, completions = (uintptr_t)ring->completions;
	const uint32_t writes[][2] = {
		{SLU_NIC_CMD_CONTROL, 0},
		{SLU_NIC_CMD_RING_LO, (uint32_t)units},
		{SLU_NIC_CMD_RING_HI, (uint32_t)(units >> 32)},
		{SLU_NIC_CMD_RING_LOG2, ring->log2},
		{SLU_NIC_CMD_CPL_LO, (uint32_t)completions},
		{SLU_NIC_CMD_CPL_HI, (uint32_t)(completions >> 32)},
		{SLU_NIC_CMD_CPL_LOG2, ring->log2},
		{SLU_NIC_CMD_CONTROL, SLU_NIC_CMD_CTL_ENABLE},
	};

	for (unsigned i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		int error = ring->hw->ops->write(ring->hw->context, ring->base + writes[i][0], writes[i][1]);

		if (error)
			return error;
	}
	return 0;
}

int slu_command_init(struct slu_command_ring *ring, const struct slu_hw *hw, const struct slu_card *card,
	const struct slu_memory *memory, int eventfd)
{
	memset(ring, 0, sizeof(*ring));
	ring->hw = hw;
	ring->memory = memory;
	ring->base = card->command_base;
	ring->log2 = card->command_log2_max < RING_LOG2 ? card->command_log2_max : RING_LOG2;
	ring->eventfd = eventfd;
	ring->last_op = &ring->first_op;
	ring->units = memory->alloc(UNIT << ring->log2, UNIT);
	/* As many completions as units: however many commands fail, none is overwritten unread. */
	ring->completions = memory->alloc(sizeof(*ring->completions) << ring->log2, UNIT);
	int error = ring->units && ring->completions ? set_registers(ring) : -ENOMEM;
	if (error)
		slu_command_fini(ring);
	return error;
}

static void finish(struct slu_command_ring *ring)
{
	struct slu_command_op *op = ring->first_op;

	ring->first_op = op->next;
	if (!ring->first_op)
		ring->last_op = &ring->first_op;
	op->done = true;
	if (op->complete)
		op->complete(op);
}

static void fail_all(struct slu_command_ring *ring)
{
	while (ring->first_op) {
		ring->first_op->error = -ENODEV;
		finish(ring);
	}
}

void slu_command_fini(struct slu_command_ring *ring)
{
	if (!ring->memory)
		return;
	ring->hw->ops->write(ring->hw->context, ring->base + SLU_NIC_CMD_CONTROL, 0);
	for (int i = 0; i < 1000; i++) {
		uint32_t control;

		if (ring->hw->ops->read(ring->hw->context, ring->base + SLU_NIC_CMD_CONTROL, &control, 1) ||
			!(control & SLU_NIC_CMD_CTL_BUSY))
			break;
	}
	fail_all(ring);
	if (ring->units)
		ring->memory->free(ring->units);
	if (ring->completions)
		ring->memory->free(ring->completions);
	memset(ring, 0, sizeof(*ring));
}

static bool dead(const struct slu_command_ring *ring)
{
	return ring->timed_out || slu_hw_gone(ring->hw);
}

struct slu_nic_command *slu_command_add(
	struct slu_command_ring *ring, enum slu_nic_opcode opcode, uint32_t slot, uint32_t argument)
{
	struct slu_nic_command *c = &ring->units[ring->tail & mask(ring)];

	assert(ring->tail - ring->head <= mask(ring));
	memset(c, 0, sizeof(*c));
	c->opcode = (uint8_t)opcode;
	c->units = 1;
	c->flags = SLU_NIC_CMD_FLAG_QUIET;
	c->slot = slot;
	c->arg = argument;
	c->cookie = ++ring->tail; /* says in the completion how far the card has come */
	ring->last = c;
	return c;
}

void slu_command_add_record(struct slu_command_ring *ring, uint32_t slot, const void *record, unsigned bytes)
{
	unsigned payload = bytes / (unsigned)UNIT;

	/* A command stays in one piece: the ring's end is filled up. */
	while ((ring->tail & mask(ring)) + payload > mask(ring))
		slu_command_add(ring, SLU_NIC_OPCODE_NOP, 0, 0);
	struct slu_nic_command *c = slu_command_add(ring, SLU_NIC_OPCODE_WRITE_RECORD, slot, 0);
	memcpy(c + 1, record, bytes);
	c->units = (uint8_t)(1 + payload);
	ring->tail += payload;
	c->cookie = ring->tail;
}

void slu_command_commit(struct slu_command_ring *ring, struct slu_command_op *op)
{
	ring->last->flags = 0;
	op->next = NULL;
	op->end = ring->tail;
	op->done = false;
	op->error = 0;
	op->status = SLU_NIC_CMD_STATUS_OK;
	*ring->last_op = op;
	ring->last_op = &op->next;
}

void slu_command_kick(struct slu_command_ring *ring)
{
	if (ring->told == ring->tail)
		return;
	ring->told = ring->tail;
	slu_hw_doorbell(ring->hw, SLU_NIC_DB_CMD_TAIL, ring->tail);
}

/* A refused command spoils the operation that it belongs to: the first one that does not end before it. */
static void spoil(struct slu_command_ring *ring, uint32_t cookie, uint8_t status)
{
	ring->failed++;
	for (struct slu_command_op *op = ring->first_op; op; op = op->next) {
		if ((int32_t)(op->end - cookie) >= 0) {
			op->error = -EIO;
			op->status = status;
			return;
		}
	}
}

unsigned slu_command_poll(struct slu_command_ring *ring)
{
	unsigned ended = 0;

	for (;;) {
		struct slu_nic_cmd_completion *slot = &ring->completions[ring->completed & mask(ring)];
		uint32_t pass = __atomic_load_n(&slot->pass, __ATOMIC_ACQUIRE);

		if (pass != 1 + (ring->completed >> ring->log2))
			break;
		struct slu_nic_cmd_completion c = *slot;
		ring->completed++;
		if (c.cookie - ring->head - 1 >= ring->told - ring->head) {
			ring->bad_completions++;
			continue;
		}
		ring->head = c.cookie;
		if (c.status != SLU_NIC_CMD_STATUS_OK)
			spoil(ring, c.cookie, c.status);
		while (ring->first_op && (int32_t)(ring->head - ring->first_op->end) >= 0) {
			finish(ring);
			ended++;
		}
	}
	if (dead(ring))
		fail_all(ring);
	return ended;
}

/* Sleeps until the card has written another completion, or a short while. */
static void sleep_for_completion(struct slu_command_ring *ring)
{
	struct pollfd p[2] = {{.fd = ring->eventfd, .events = POLLIN}, {.fd = ring->hw->hangup_fd, .events = POLLIN}};
	uint64_t count;

	/* The card fires once an arming: the same index again needs the sure way. */
	if (ring->armed && ring->armed_at == ring->completed)
		ring->hw->ops->doorbell(ring->hw->context, SLU_NIC_DB_CMD_ARM, ring->completed);
	else
		slu_hw_doorbell(ring->hw, SLU_NIC_DB_CMD_ARM, ring->completed);
	ring->armed = true;
	ring->armed_at = ring->completed;
	if (poll(p, 2, SLEEP_MS) > 0 && (p[0].revents & POLLIN)) {
		ssize_t got = read(ring->eventfd, &count, sizeof(count));

		(void)got; /* only empties it */
	}
}

/* A card that clears a million flows may take its time, a simulated one on a busy machine above all. */
static bool out_of_patience(const struct slu_command_ring *ring, uint64_t waited_ns)
{
	uint32_t status;

	if (waited_ns <= PATIENCE_NS)
		return false;
	if (waited_ns > RESET_PATIENCE_NS ||
		ring->hw->ops->read(ring->hw->context, SLU_NIC_ID_BASE + SLU_NIC_ID_STATUS, &status, 1))
		return true;
	return !(status & SLU_NIC_STATUS_FLOW_BUSY);
}

/* Polls, spins, then sleeps, until the predicate on the ring holds. */
static int wait_until(struct slu_command_ring *ring, bool (*reached)(const struct slu_command_ring *, const void *),
	const void *argument)
{
	uint64_t begin = 0;
	uint32_t completed = ring->completed;

	slu_command_kick(ring);
	for (unsigned turn = 0;; turn++) {
		slu_command_poll(ring);
		if (reached(ring, argument))
			return 0;
		if (dead(ring))
			return -ENODEV;
		if (turn % 32) {
			__builtin_ia32_pause();
			continue;
		}
		uint64_t now = now_ns();
		if (!begin || completed != ring->completed)
			begin = now;
		completed = ring->completed;
		if (out_of_patience(ring, now - begin)) {
			ring->timed_out = true;
			continue;
		}
		if (now - begin > SPIN_NS) {
			sleep_for_completion(ring);
			turn = UINT32_MAX; /* look at the ring, then at the clock */
		}
	}
}

static bool has_room(const struct slu_command_ring *ring, const void *argument)
{
	(void)argument;
	return ring->tail - ring->head + SLU_COMMAND_OP_UNITS_MAX <= mask(ring) + 1;
}

int slu_command_reserve(struct slu_command_ring *ring)
{
	if (dead(ring))
		return -ENODEV;
	return has_room(ring, NULL) ? 0 : wait_until(ring, has_room, NULL);
}

static bool is_done(const struct slu_command_ring *ring, const void *argument)
{
	(void)ring;
	return ((const struct slu_command_op *)argument)->done;
}

int slu_command_wait(struct slu_command_ring *ring, struct slu_command_op *op)
{
	int error = wait_until(ring, is_done, op);

	return error ? error : op->error;
}
