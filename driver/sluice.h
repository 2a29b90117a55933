/*
 * What the driver's DPDK files share: one device (a card), its ports (ethdevs)
 * and their queues. A device lives until its last port is closed.
 */
#ifndef SLU_DRIVER_SLUICE_H
#define SLU_DRIVER_SLUICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <ethdev_driver.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

#include "base/card.h"
#include "base/command.h"
#include "base/flow_table.h"
#include "base/hw_ops.h"
#include "log.h"

struct slu_port;

struct slu_rx_queue {
	/* Fast path, owner: the polling lcore */
	struct slu_nic_rx_completion *completions;
	struct slu_nic_rx_desc *descs;
	struct rte_mbuf **mbufs; /* [1 << log2] at the card */
	const struct slu_hw *hw;
	struct rte_mempool *pool;
	uint32_t doorbell; /* offset of its first doorbell */
	uint32_t head;     /* next completion to read */
	uint32_t tail;     /* one past the last descriptor given to the card */
	uint32_t mask;
	uint16_t port_id;
	uint8_t log2;
	uint64_t packets, bytes, bad_completions, no_mbuf;
	/* Control */
	struct slu_port *port;
	uint32_t index; /* global, of the card */
	bool armed;
	uint32_t armed_at;
} __rte_cache_aligned;

struct slu_tx_queue {
	struct slu_nic_tx_desc *descs;
	struct rte_mbuf **mbufs;
	struct slu_nic_tx_writeback *writeback;
	const struct slu_hw *hw;
	uint32_t doorbell;
	uint32_t tail;  /* one past the last descriptor written */
	uint32_t clean; /* one past the last mbuf freed */
	uint32_t mask;
	uint32_t free_threshold;
	uint8_t log2;
	uint64_t packets, bytes, dropped, bad_writebacks;
	struct slu_port *port;
	uint32_t index;
} __rte_cache_aligned;

#define SLU_PORT_STATS (SLU_NIC_STAT_TAG_FALSE + 1)
#define SLU_RSS_KEY_BYTES 40

struct slu_device;
struct slu_flow_queues;

struct slu_port {
	struct slu_device *device;
	struct rte_eth_dev *eth_dev;
	unsigned index;                   /* wire port */
	const struct slu_card_port *card; /* its part of the device tree */
	uint32_t control;                 /* shadow of PORT.CONTROL */
	uint8_t rss_key[SLU_RSS_KEY_BYTES];
	uint8_t reta[SLU_NIC_RETA_ENTRIES];
	uint64_t stats_base[SLU_PORT_STATS];
	struct rte_intr_handle *interrupts;
	/* Flow objects created through this port; the device's lock guards them. */
	LIST_HEAD(, rte_flow) flows;
	LIST_HEAD(, rte_flow_action_handle) handles;
	LIST_HEAD(, rte_flow_pattern_template) pattern_templates;
	LIST_HEAD(, rte_flow_actions_template) actions_templates;
	LIST_HEAD(, rte_flow_template_table) tables;
	struct slu_flow_queues *flow_queues; /* of the asynchronous calls; NULL until configured */
};

struct slu_device {
	LIST_ENTRY(slu_device) next;
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_device *rte_device;
	struct slu_hw hw;
	struct slu_card card;
	int eventfds[SLU_CARD_QUEUES_MAX + 1]; /* a vector each: queues, then commands */
	uint16_t domain;
	bool warm;
	atomic_bool removal_wanted;
	unsigned open_ports;
	struct slu_port *ports[SLU_CARD_PORTS_MAX];
	struct rte_intr_handle *hangup;
	pthread_mutex_t lock; /* guards all below, and the flow objects of the ports */
	struct slu_command_ring ring;
	struct slu_flow_table *table; /* NULL until slu_device_table() */
	bool table_failed;
	struct slu_flow_ager *ager;
	LIST_HEAD(, rte_flow) orphans; /* rules of closed ports that stay in the card */
};

static inline struct slu_port *slu_port_of(const struct rte_eth_dev *dev)
{
	return dev->data->dev_private;
}

/* Port of the device whose ethdev has this id; NULL: of another device. */
struct slu_port *slu_device_port_by_id(const struct slu_device *device, uint32_t ethdev_id);

/* Register access of a port's block. Return 0 or -errno. */
static inline int slu_port_write(const struct slu_port *port, uint32_t offset, uint32_t value)
{
	return port->device->hw.ops->write(port->device->hw.context, port->card->base + offset, value);
}

static inline int slu_port_read(const struct slu_port *port, uint32_t offset, uint32_t *values, unsigned count)
{
	return port->device->hw.ops->read(port->device->hw.context, port->card->base + offset, values, count);
}

#endif
