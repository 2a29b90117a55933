/*
 * The card as a C library: the Verilated RTL with models of what surrounds it
 * on a board: record and counter memory, host memory behind DMA, wires, time.
 *
 * One model belongs to one thread. Nothing here blocks or makes a system call
 * per clock. Callbacks run inside slu_nic_model_run() and the register
 * accesses; they must not call back into the model, except wire_rx().
 */
#ifndef SLU_NIC_MODEL_H
#define SLU_NIC_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLU_NIC_MODEL_PORTS 2u
#define SLU_NIC_MODEL_QUEUES 4u
#define SLU_NIC_MODEL_VECTORS (SLU_NIC_MODEL_QUEUES + 1u)
/* Longer than any frame of the card, so that giants reach its parser. */
#define SLU_NIC_MODEL_FRAME_BYTES 16384u

struct slu_nic_model;

/* Clocks from an accepted request to its first beat or response; max > min draws it anew for each request. */
struct slu_nic_latency {
	uint32_t min_clocks;
	uint32_t max_clocks;
};

struct slu_nic_model_config {
	/* Requests of different ids overtake each other when max_clocks > min_clocks. */
	struct slu_nic_latency record;
	struct slu_nic_latency counter;
	struct slu_nic_latency dma;
	uint64_t seed;
	/*
	 * All wires together bring at most one beat a clock, as if one
	 * multiplexer fed them: an ingress that the shared lookup always keeps
	 * up with. Off, each wire brings a beat a clock by itself.
	 */
	bool share_ingress;

	void *ctx;
	/* Host memory. 0, or -errno, which the card sees as an error response. A read is one burst, at most 4 KiB. */
	int (*dma_read)(void *ctx, uint64_t addr, void *buf, size_t len);
	/*
	 * Consecutive bytes of one burst. The callee writes the last aligned
	 * word of them last with release order: it may be a completion's pass.
	 */
	int (*dma_write)(void *ctx, uint64_t addr, const void *buf, size_t len);
	/* A frame leaves; `frame` is valid during the call only. */
	void (*wire_tx)(void *ctx, unsigned int port, const uint8_t *frame, size_t len);
	/* The card raises an interrupt vector. NULL: ignored. */
	void (*irq)(void *ctx, unsigned int vector);
};

struct slu_nic_model_stats {
	uint64_t clocks;
	uint64_t record_reads;
	uint64_t record_writes;
	uint64_t counter_reads;
	uint64_t counter_writes;
	uint64_t dma_reads;
	uint64_t dma_writes;
	uint64_t dma_errors;
	/* Largest number of record reads in flight at once. */
	uint64_t record_reads_high;
	/* The RTL broke a rule of a bus (a defect): beats with holes, a burst over 4 KiB, an address outside the
	 * memory. */
	uint64_t protocol_errors;
};

/*
 * Builds a card out of reset, time 0, links down.
 *
 * Returns 0 and the model, which the caller destroys; -EINVAL for a
 * configuration without callbacks or with min > max or a latency above 65535;
 * -ENOMEM.
 */
int slu_nic_model_create(const struct slu_nic_model_config *config, struct slu_nic_model **model);
void slu_nic_model_destroy(struct slu_nic_model *m);

/* Runs `clocks` clocks. */
void slu_nic_model_run(struct slu_nic_model *m, uint32_t clocks);

/* Runs until idle, at most `clocks` clocks. Returns the clocks run. */
uint32_t slu_nic_model_run_to_idle(struct slu_nic_model *m, uint32_t clocks);

/* Nothing moves in the card, on its buses or on its wires: no clock would change anything. */
bool slu_nic_model_idle(const struct slu_nic_model *m);

/*
 * Register accesses over AXI4-Lite: BAR0 at 0, doorbells at
 * SLU_NIC_BAR0_BYTES. They run as many clocks as the bus needs.
 *
 * Return 0; -EIO if the card answers with an error (`*value` is what came with
 * it); -ETIMEDOUT if it does not answer, a defect of the RTL.
 */
int slu_nic_model_reg_read(struct slu_nic_model *m, uint32_t addr, uint32_t *value);
int slu_nic_model_reg_write(struct slu_nic_model *m, uint32_t addr, uint32_t value);

/* A write that later clocks carry out, in order. Returns 0; -EAGAIN if 64 are waiting. */
int slu_nic_model_reg_post(struct slu_nic_model *m, uint32_t addr, uint32_t value);

/*
 * Queues a frame for the card's wire input; it is copied. `bad` marks it as
 * the MAC would mark a frame with a wrong FCS. Any length from 1 to
 * SLU_NIC_MODEL_FRAME_BYTES is carried as it is.
 *
 * Returns 0; -ENOSPC if the queue is full; -EINVAL for another length or port.
 */
int slu_nic_model_wire_rx(struct slu_nic_model *m, unsigned int port, const void *frame, size_t len, bool bad);

/* Bytes of frames that wire_rx() still takes on this port. */
size_t slu_nic_model_wire_space(const struct slu_nic_model *m, unsigned int port);

/* Holds the transmit side of a wire: false stops it between two beats. */
void slu_nic_model_wire_ready(struct slu_nic_model *m, unsigned int port, bool ready);

void slu_nic_model_set_link(struct slu_nic_model *m, unsigned int port, bool up);
void slu_nic_model_set_time_us(struct slu_nic_model *m, uint64_t time_us);

/*
 * Resets the host domain (FLR, DEVICE_RESET, disconnect) and runs until no DMA
 * is in flight: after it, no callback for host memory comes before the host
 * has set the card up again.
 *
 * Returns 0; -ETIMEDOUT if DMA does not end, a defect of the RTL.
 */
int slu_nic_model_host_reset(struct slu_nic_model *m);

/* Runs until every DMA transaction in flight now has ended. Returns 0, or -ETIMEDOUT: a defect of the RTL. */
int slu_nic_model_dma_drain(struct slu_nic_model *m);

/*
 * Record and counter memory as the card sees it, for tests that look behind
 * its back. NULL if addr + len is outside.
 */
void *slu_nic_model_record_memory(struct slu_nic_model *m, uint64_t addr, size_t len);
void *slu_nic_model_counter_memory(struct slu_nic_model *m, uint64_t addr, size_t len);

/* Answers the next `count` record reads with an error response. */
void slu_nic_model_fail_record_reads(struct slu_nic_model *m, uint32_t count);

void slu_nic_model_get_stats(const struct slu_nic_model *m, struct slu_nic_model_stats *stats);

/* Whether this build of the library has the code for waves, which makes it slower. */
bool slu_nic_model_can_trace(void);

/*
 * Writes FST waves of everything to `path` from now on; NULL ends it.
 *
 * Returns 0; -ENOTSUP if the library was built without tracing; -EBUSY if it
 * already traces.
 */
int slu_nic_model_trace(struct slu_nic_model *m, const char *path);

#ifdef __cplusplus
}
#endif
#endif
