/*
 * The card's command ring and its completions. Commands are executed in order;
 * an operation is a run of commands that ends with one completion.
 *
 * Not thread-safe: the caller's lock covers a ring and everything queued on it.
 */
#ifndef SLU_DRIVER_COMMAND_H
#define SLU_DRIVER_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "card.h"
#include "hw_ops.h"
#include "memory.h"

/* Units that one operation may use at most. */
#define SLU_COMMAND_OP_UNITS_MAX 128

/* The owner keeps it in place until done. */
struct slu_command_op {
	struct slu_command_op *next;
	uint32_t end; /* ring index one past its last unit */
	bool done;
	int error; /* 0; -EIO: the card refused a command, see status; -ENODEV: the card is gone */
	uint8_t status;
	/* May be NULL. Called once, from poll or wait, after done is set; may start new operations. */
	void (*complete)(struct slu_command_op *op);
};

struct slu_command_ring {
	const struct slu_hw *hw;
	const struct slu_memory *memory;
	uint32_t base; /* of its registers */
	uint32_t log2;
	int eventfd;
	struct slu_nic_command *units;
	struct slu_nic_cmd_completion *completions;
	uint32_t tail;                /* one past the last unit written */
	uint32_t told;                /* tail that the card knows */
	uint32_t head;                /* units that the card has executed, as far as completions tell */
	uint32_t completed;           /* completions read */
	struct slu_nic_command *last; /* last command added; QUIET until committed */
	struct slu_command_op *first_op, **last_op;
	uint64_t failed;          /* commands that the card refused */
	uint64_t bad_completions; /* completions that belong to no command in flight */
	bool timed_out;
	bool armed;        /* ever */
	uint32_t armed_at; /* last index given to DB_CMD_ARM */
};

/*
 * Sets a ring up and enables it. eventfd is the command vector's and stays the
 * caller's. Returns 0, -ENOMEM or -errno of a register write.
 */
int slu_command_init(struct slu_command_ring *ring, const struct slu_hw *hw, const struct slu_card *card,
	const struct slu_memory *memory, int eventfd);
/* Stops the ring; operations that are not done fail with -ENODEV. */
void slu_command_fini(struct slu_command_ring *ring);

/* Waits until an operation of SLU_COMMAND_OP_UNITS_MAX units fits. Returns 0 or -ENODEV. */
int slu_command_reserve(struct slu_command_ring *ring);

/* Adds a command of one unit. Fields that its opcode has besides these may be filled in until the next call. */
struct slu_nic_command *slu_command_add(
	struct slu_command_ring *ring, enum slu_nic_opcode opcode, uint32_t slot, uint32_t argument);
/* Adds WRITE_RECORD with 64 or 128 bytes of record. */
void slu_command_add_record(struct slu_command_ring *ring, uint32_t slot, const void *record, unsigned bytes);

/* Ends an operation of at least one command. The card begins when kicked. */
void slu_command_commit(struct slu_command_ring *ring, struct slu_command_op *op);
void slu_command_kick(struct slu_command_ring *ring);

/* Takes the completions that are there. Returns how many operations ended. */
unsigned slu_command_poll(struct slu_command_ring *ring);
/* Kicks, and sleeps until op is done. Returns op->error; -ENODEV when the card does not answer. */
int slu_command_wait(struct slu_command_ring *ring, struct slu_command_op *op);

#endif
