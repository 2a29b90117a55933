/* Receive queues: from the card's RX completions to mbufs. */
#ifndef SLU_DRIVER_RX_H
#define SLU_DRIVER_RX_H

#include "sluice.h"

/* ethdev operations; see rte_ethdev.h for their contracts. */
int slu_rx_setup(struct rte_eth_dev *dev, uint16_t queue, uint16_t descs, unsigned socket,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool);
void slu_rx_release(struct rte_eth_dev *dev, uint16_t queue);
int slu_rx_interrupt_enable(struct rte_eth_dev *dev, uint16_t queue);
int slu_rx_interrupt_disable(struct rte_eth_dev *dev, uint16_t queue);
uint16_t slu_rx_burst(void *queue, struct rte_mbuf **packets, uint16_t count);

/* Fills the ring and writes its registers; the card begins with slu_rx_go, after the queue is enabled. Return 0 or
 * -errno. */
int slu_rx_start(struct slu_rx_queue *q);
int slu_rx_go(struct slu_rx_queue *q);
/* After the card has let go of the queue: frees its buffers. */
void slu_rx_drain(struct slu_rx_queue *q);

#endif
