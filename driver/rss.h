/* Which queue a frame for the host goes to: Toeplitz key and indirection table of a port. */
#ifndef SLU_DRIVER_RSS_H
#define SLU_DRIVER_RSS_H

#include "sluice.h"

#define SLU_RSS_TYPES                                                                                                  \
	(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_FRAG_IPV6 |                         \
		RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_TCP |           \
		RTE_ETH_RSS_NONFRAG_IPV6_UDP | RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_NONFRAG_IPV6_OTHER)

/* Takes the key of the port's configuration, or a default, and spreads over its queues. */
void slu_rss_configure(struct slu_port *port);
/* Writes key and table to the card. Returns 0 or -errno. */
int slu_rss_start(struct slu_port *port);

/* ethdev operations; see rte_ethdev.h for their contracts. */
int slu_rss_hash_update(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf);
int slu_rss_hash_get(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf);
int slu_rss_reta_update(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t count);
int slu_rss_reta_query(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t count);

#endif
