#define _GNU_SOURCE
#include "host/ports/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "host/eal.h"
#include "host/log.h"
#include "host/ports/isolate.h"

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024
#define BURST 32
#define CACHE_PER_WORKER 512
#define IN_FLIGHT_PER_WORKER 2048 /* held packets, rings, arrays */

static void device_name(const char *device, char *name, size_t room)
{
	snprintf(name, room, "%.*s", (int)strcspn(device, ","), device);
}

bool slu_port_is_sluice(const struct slu_port *port)
{
	return strncmp(port->config->device, "net_sluice", 10) == 0;
}

bool slu_port_is_shareable(const struct slu_config_port *config)
{
	char interface[IFNAMSIZ];

	/* Every packet socket on an interface gets every frame. */
	return slu_isolate_find(config->device, interface) == 0;
}

/* The index-th ethdev of the device, in the order of port ids. */
static int find_ethdev(const char *name, uint32_t index, uint16_t *id)
{
	struct rte_eth_dev_info info;
	uint16_t port;

	RTE_ETH_FOREACH_DEV (port) {
		if (rte_eth_dev_info_get(port, &info) != 0 || !info.device ||
			strcmp(rte_dev_name(info.device), name) != 0)
			continue;
		if (index-- == 0) {
			*id = port;
			return 0;
		}
	}
	return -ENODEV;
}

static int probe_device(const struct slu_config_port *config, const char *name)
{
	bool warm = strncmp(name, "net_sluice", 10) == 0 && !strstr(config->device, ",warm=");
	char interface[IFNAMSIZ];
	char *arguments;
	int error;

	if (slu_isolate_find(config->device, interface) == 0) {
		error = slu_isolate_interface(interface);
		if (error) {
			slu_error("port %s: the kernel cannot be kept off %s: %s", config->name, interface,
				strerror(-error));
			return error;
		}
	}
	if (asprintf(&arguments, "%s%s", config->device, warm ? ",warm=1" : "") < 0)
		return -ENOMEM;
	error = rte_dev_probe(arguments);
	if (error)
		slu_error("port %s: device %s: %s", config->name, arguments, rte_strerror(-error));
	free(arguments);
	return error;
}

int slu_port_probe(struct slu_port *port, const struct slu_config_port *config)
{
	char name[RTE_DEV_NAME_MAX_LEN];

	memset(port, 0, sizeof(*port));
	port->config = config;
	port->tap.fd = -1;
	device_name(config->device, name, sizeof(name));
	if (slu_eal_is_pci(config->device) && strchr(name, ':') == strrchr(name, ':')) {
		char whole[RTE_DEV_NAME_MAX_LEN + 8];

		snprintf(whole, sizeof(whole), "0000:%s", name);
		snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, whole);
	}
	if (find_ethdev(name, 0, &port->id) != 0) {
		int error = probe_device(config, name);

		if (error)
			return error;
	}
	if (find_ethdev(name, config->index, &port->id) != 0) {
		slu_error("port %s: device %s has no port with index %u", config->name, name, config->index);
		return -ENODEV;
	}
	if (port->id >= SLU_PORTS_MAX) {
		slu_error("port %s: more than %d ports", config->name, SLU_PORTS_MAX);
		return -E2BIG;
	}
	return 0;
}

uint32_t slu_port_buffers(const struct slu_port *ports, uint32_t count, uint32_t workers)
{
	uint32_t buffers = (workers + 1) * (CACHE_PER_WORKER + IN_FLIGHT_PER_WORKER);

	for (uint32_t i = 0; i < count; i++)
		buffers += ports[i].config->queues * RX_DESCRIPTORS + workers * TX_DESCRIPTORS;
	return buffers;
}

static int on_event(uint16_t id, enum rte_eth_event_type type, void *context, void *result)
{
	struct slu_port *port = context;

	(void)result;
	if (type == RTE_ETH_EVENT_INTR_RMV) {
		atomic_store_explicit(&port->gone, true, memory_order_release);
		slu_error(
			"port %s: device lost; its sessions go on in software on the other ports", port->config->name);
	} else if (type == RTE_ETH_EVENT_INTR_LSC) {
		struct rte_eth_link link = {0};

		rte_eth_link_get_nowait(id, &link);
		slu_info("port %s: link %s", port->config->name, link.link_status ? "up" : "down");
	}
	return 0;
}

static int check_queues(struct slu_port *port, uint32_t workers, const struct rte_eth_dev_info *info)
{
	port->rx_queues = (uint16_t)port->config->queues;
	port->tx_queues = (uint16_t)workers;
	if (port->rx_queues <= info->max_rx_queues && port->tx_queues <= info->max_tx_queues)
		return 0;
	slu_error("port %s: needs %u receive and %u transmit queues (one a worker), the device has %u and %u",
		port->config->name, port->rx_queues, port->tx_queues, info->max_rx_queues, info->max_tx_queues);
	return -EINVAL;
}

static int configure(struct slu_port *port, const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = {0};
	uint64_t hash = info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	int error;

	if (port->rx_queues > 1 && hash) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = hash;
	}
	conf.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	conf.intr_conf.lsc = (*info->dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	conf.intr_conf.rmv = (*info->dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
	conf.intr_conf.rxq = 1;
	error = rte_eth_dev_configure(port->id, port->rx_queues, port->tx_queues, &conf);
	if (error == 0)
		return 0;
	conf.intr_conf.rxq = 0;
	return rte_eth_dev_configure(port->id, port->rx_queues, port->tx_queues, &conf);
}

static int setup_queues(struct slu_port *port, struct rte_mempool *pool)
{
	int socket = rte_eth_dev_socket_id(port->id);
	uint16_t rx = RX_DESCRIPTORS, tx = TX_DESCRIPTORS;
	int error = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);

	if (socket < 0)
		socket = SOCKET_ID_ANY;
	for (uint16_t q = 0; q < port->rx_queues && !error; q++)
		error = rte_eth_rx_queue_setup(port->id, q, rx, (unsigned int)socket, NULL, pool);
	for (uint16_t q = 0; q < port->tx_queues && !error; q++)
		error = rte_eth_tx_queue_setup(port->id, q, tx, (unsigned int)socket, NULL);
	return error;
}

/* ND needs multicast; a device that cannot filter it in gets everything. */
static int open_filters(struct slu_port *port)
{
	int error = rte_eth_allmulticast_enable(port->id);

	if (error == 0)
		return 0;
	error = rte_eth_promiscuous_enable(port->id);
	port->promiscuous = error == 0;
	return error == -ENOTSUP ? 0 : error;
}

/* The enable call comes first: without the feature it fails silently, the other one with a line in the log. */
static bool has_interrupts(const struct slu_port *port)
{
	for (uint16_t q = 0; q < port->rx_queues; q++) {
		if (rte_eth_dev_rx_intr_enable(port->id, q) != 0)
			return false;
		rte_eth_dev_rx_intr_disable(port->id, q);
		if (rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, q) < 0)
			return false;
	}
	return true;
}

int slu_port_configure(struct slu_port *port, uint32_t workers, struct rte_mempool *pool)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int error = rte_eth_dev_info_get(port->id, &info);

	if (!error)
		error = check_queues(port, workers, &info);
	if (!error)
		error = configure(port, &info);
	if (!error)
		error = setup_queues(port, pool);
	if (!error)
		error = rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_RMV, on_event, port);
	if (!error)
		error = rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_LSC, on_event, port);
	if (!error)
		error = rte_eth_macaddr_get(port->id, &mac);
	if (!error)
		error = rte_eth_dev_get_mtu(port->id, &port->mtu);
	if (error) {
		slu_error("port %s: %s", port->config->name, rte_strerror(-error));
		return error;
	}
	memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
	return 0;
}

int slu_port_start(struct slu_port *port)
{
	struct rte_eth_dev_info info = {0};
	int error = rte_eth_dev_start(port->id);

	if (!error)
		error = open_filters(port);
	if (error) {
		slu_error("port %s does not start: %s", port->config->name, rte_strerror(-error));
		return error;
	}
	port->started = true;
	port->interrupts = has_interrupts(port);
	rte_eth_dev_info_get(port->id, &info);
	slu_info("port %s: %s, ethdev %u, driver %s, MTU %u, %s", port->config->name, port->config->device, port->id,
		info.driver_name, port->mtu, port->interrupts ? "receive interrupts" : "polled");
	return 0;
}

void slu_port_discard(struct slu_port *port)
{
	struct rte_mbuf *packets[BURST];

	for (uint16_t q = 0; q < port->rx_queues; q++)
		for (uint32_t left = RX_DESCRIPTORS, got = BURST; left >= BURST && got > 0; left -= BURST) {
			got = rte_eth_rx_burst(port->id, q, packets, BURST);
			rte_pktmbuf_free_bulk(packets, got);
		}
}

void slu_port_stop(struct slu_port *port)
{
	port->started = false;
	rte_eth_dev_callback_unregister(port->id, RTE_ETH_EVENT_INTR_RMV, on_event, port);
	rte_eth_dev_callback_unregister(port->id, RTE_ETH_EVENT_INTR_LSC, on_event, port);
	if (!atomic_load(&port->gone))
		rte_eth_dev_stop(port->id);
	rte_eth_dev_close(port->id);
}

void slu_port_read_rss(const struct slu_port *port, uint32_t workers, struct slu_rss *rss)
{
	struct rte_eth_rss_conf conf = {.rss_key = rss->key, .rss_key_len = sizeof(rss->key)};
	struct rte_eth_rss_reta_entry64 reta[sizeof(rss->reta) / sizeof(rss->reta[0]) / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_dev_info info;

	memset(rss, 0, sizeof(*rss));
	if (port->rx_queues < 2 || rte_eth_dev_info_get(port->id, &info) != 0 || info.reta_size == 0 ||
		info.reta_size > sizeof(rss->reta) / sizeof(rss->reta[0]) || info.hash_key_size > sizeof(rss->key))
		return;
	conf.rss_key_len = info.hash_key_size ? info.hash_key_size : 40;
	memset(reta, 0xff, sizeof(reta)); /* the masks: all entries */
	if (rte_eth_dev_rss_hash_conf_get(port->id, &conf) != 0 ||
		rte_eth_dev_rss_reta_query(port->id, reta, info.reta_size) != 0)
		return;
	for (uint16_t i = 0; i < info.reta_size; i++)
		rss->reta[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	for (uint16_t q = 0; q < port->rx_queues && q < sizeof(rss->worker_of_queue); q++)
		rss->worker_of_queue[q] = (uint8_t)(q % workers);
	rss->key_bytes = conf.rss_key_len;
	rss->reta_size = info.reta_size;
	rss->ports = (conf.rss_hf & (RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)) != 0;
	rss->valid = true;
}
