/* Transmit queues: from mbufs to the card's TX descriptors. */
#ifndef SLU_DRIVER_TX_H
#define SLU_DRIVER_TX_H

#include "sluice.h"

/* ethdev operations; see rte_ethdev.h for their contracts. */
int slu_tx_setup(
	struct rte_eth_dev *dev, uint16_t queue, uint16_t descs, unsigned socket, const struct rte_eth_txconf *conf);
void slu_tx_release(struct rte_eth_dev *dev, uint16_t queue);
int slu_tx_done_cleanup(void *queue, uint32_t free_count);
uint16_t slu_tx_burst(void *queue, struct rte_mbuf **packets, uint16_t count);

/* Writes the registers of the ring. Returns 0 or -errno. */
int slu_tx_start(struct slu_tx_queue *q);
/* After the queue is enabled: clears what the doorbell page holds from before. Returns 0 or -errno. */
int slu_tx_go(struct slu_tx_queue *q);
/* After the card has let go of the queue: frees what was not sent. */
void slu_tx_drain(struct slu_tx_queue *q);

#endif
