/* Statistics of a port: of its queues in memory, of its wire and of the card's flow table. */
#ifndef SLU_DRIVER_STATS_H
#define SLU_DRIVER_STATS_H

#include "sluice.h"

/* ethdev operations; see rte_ethdev.h for their contracts. */
int slu_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats);
int slu_stats_reset(struct rte_eth_dev *dev);
int slu_stats_xget(struct rte_eth_dev *dev, struct rte_eth_xstat *stats, unsigned count);
int slu_stats_xnames(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names, unsigned count);
int slu_stats_xreset(struct rte_eth_dev *dev);

#endif
