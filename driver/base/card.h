/*
 * What this build of the card has, as its device tree says. The tree comes from
 * the card and is not trusted: everything is checked against what the driver
 * can handle.
 */
#ifndef SLU_DRIVER_CARD_H
#define SLU_DRIVER_CARD_H

#include <stddef.h>
#include <stdint.h>

#include <sluice/nic_regs.h>

#define SLU_CARD_PORTS_MAX SLU_NIC_PORT_COPIES
#define SLU_CARD_QUEUES_MAX SLU_NIC_QUEUE_COPIES
#define SLU_CARD_TREE_BYTES_MAX (SLU_NIC_BAR0_BYTES - SLU_NIC_DT_ROM_OFFSET)

struct slu_card_port {
	uint32_t base; /* of its registers in BAR0 */
	uint32_t first_queue;
	uint32_t queues;
	uint32_t frame_max_bytes;
	uint8_t mac[6];
};

struct slu_card {
	char model[64];
	uint32_t clock_hz;
	uint32_t command_base, flow_base, queue_base, queue_stride, queues;
	uint32_t bucket_bits, flow_id_bits, next_hop_bits;
	uint32_t ring_log2_max; /* of RX and TX descriptors */
	uint32_t command_log2_max;
	uint32_t ports;
	struct slu_card_port port[SLU_CARD_PORTS_MAX];
};

/*
 * Reads a flattened device tree of exactly tree_bytes.
 *
 * Returns 0; -EBADMSG for what is no tree, or a truncated one; -ENOTSUP for a
 * tree of something else, or with values that the driver cannot handle. why
 * then names the node and the property. card is unchanged on failure.
 */
int slu_card_parse(const void *tree, size_t tree_bytes, struct slu_card *card, char *why, size_t why_bytes);

#endif
