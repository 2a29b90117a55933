/*
 * A card and a minimal host in one process, for co-simulation and benches: the
 * model, host memory, command ring, RX rings. Everything goes the way a driver
 * goes: through registers, doorbells and DMA. A failure of the card ends the
 * program with a message: nothing could be measured or compared after it.
 */
#ifndef SLU_TEST_CARD_H
#define SLU_TEST_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/nic_regs.h>

#include "driver/base/rule.h"
#include "hw/sim/nic_model.h"

struct card;

struct card_config {
	struct slu_nic_latency record;
	struct slu_nic_latency counter;
	struct slu_nic_latency dma;
	uint64_t seed;
	bool rx; /* set up RX rings and deliver misses to the host */
	void *ctx;
	void (*wire_tx)(void *ctx, unsigned int port, const uint8_t *frame, size_t len);
	/* With rx: a frame for the host, as soon as its completion is there and card_poll() looks. */
	void (*host_rx)(void *ctx, const struct slu_nic_rx_completion *completion, const uint8_t *frame);
};

struct card *card_create(const struct card_config *config);
void card_destroy(struct card *c);

struct slu_nic_model *card_model(struct card *c);

uint32_t card_read(struct card *c, uint32_t reg);
void card_write(struct card *c, uint32_t reg, uint32_t value);
uint64_t card_port_stat(struct card *c, unsigned int port, enum slu_nic_port_stats index);
void card_set_mac(struct card *c, unsigned int port, const uint8_t mac[6]);

/* Executes one command of `units` units and waits for it. Returns its CMD_STATUS. */
uint8_t card_command(struct card *c, const void *units, unsigned int count);

/* Writes record and tag of a rule. Returns 0, or -EEXIST or -ENOSPC of the placement. */
int card_insert(struct card *c, const struct slu_rule *rule, uint32_t flow_id, uint16_t next_hop);
void card_write_next_hop(struct card *c, uint16_t index, const struct slu_nic_next_hop *next_hop);
void card_fence(struct card *c);
/* Statistics of one flow. */
void card_flow_stats(struct card *c, uint32_t flow_id, uint64_t *packets, uint64_t *bytes);

/* Takes RX completions, gives the buffers back. */
void card_poll(struct card *c);
/* Runs until nothing moves, polling; at most `clocks`. Returns whether it got there. */
bool card_settle(struct card *c, uint32_t clocks);

#endif
