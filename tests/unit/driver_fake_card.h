/*
 * Enough of a card to run the driver's command ring and flow table against: a thread carries out
 * commands on plain arrays. It checks what a real card could not tell: that a slot
 * or next hop which was valid is not written again before a FENCE.
 */
#ifndef DRIVER_FAKE_CARD_H
#define DRIVER_FAKE_CARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "driver/base/card.h"
#include "driver/base/command.h"

struct fake_card {
	struct slu_hw hw;
	struct slu_card card;
	uint32_t registers[SLU_NIC_BAR0_BYTES / 4];
	_Atomic uint32_t doorbells[SLU_NIC_DOORBELL_BYTES / 4];
	int eventfd;
	pthread_t thread;
	atomic_bool stop, hang, garbage;
	/* Flow domain */
	uint32_t slots, flows, hops;
	uint8_t (*records)[SLU_NIC_RECORD_BYTES];
	uint32_t *tags;   /* valid in bit 31 */
	bool *dirty_slot; /* cleared since the last FENCE */
	struct slu_nic_next_hop *next_hops;
	struct slu_nic_flow_stats *stats;
	/* Host domain */
	uint32_t head, completions;
	atomic_uint fail_opcode; /* the next command with this opcode fails; 0: none */
	atomic_uint violations;  /* see above */
	atomic_uint counts[16];  /* commands by opcode */
};

struct fake_card *fake_card_create(unsigned bucket_bits);
void fake_card_destroy(struct fake_card *c);
/* As a new host finds it: rings at 0, flows untouched. */
void fake_card_reset_host(struct fake_card *c);

extern const struct slu_memory fake_card_memory;

#endif
