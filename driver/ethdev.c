/* The ethdevs: one a wire port, several to a device, and how they come and go. */
#include <errno.h>

#include <bus_vdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_interrupts.h>
#include <rte_kvargs.h>
#include <rte_malloc.h>

#include "device.h"
#include "dma.h"
#include "flow.h"
#include "rss.h"
#include "rte_pmd_sluice.h"
#include "rx.h"
#include "stats.h"
#include "tx.h"

#define ARG_SOCKET "sock"
#define ARG_WARM "warm"
#define ARG_MAC "mac"
#define RING_MIN 64
#define BUSY_POLLS 10000
#define FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)

/* Devices of this process. Probe, remove and close run on the application's control thread. */
static LIST_HEAD(, slu_device) devices = LIST_HEAD_INITIALIZER(devices);

/* --- Queues of a port --- */

static uint32_t queue_base(const struct slu_port *port, unsigned queue)
{
	const struct slu_card *card = &port->device->card;

	return card->queue_base + (port->card->first_queue + queue) * card->queue_stride;
}

static int set_queue(const struct slu_port *port, unsigned queue, uint32_t control)
{
	const struct slu_hw *hw = &port->device->hw;

	return hw->ops->write(hw->context, queue_base(port, queue) + SLU_NIC_QUEUE_CONTROL, control);
}

/* Returns when the card has let go of the queue's memory; also when it is gone. */
static void stop_queue(const struct slu_port *port, unsigned queue)
{
	const struct slu_hw *hw = &port->device->hw;
	uint32_t control = SLU_NIC_Q_CTL_RX_BUSY;

	if (set_queue(port, queue, 0))
		return;
	for (int i = 0; i < BUSY_POLLS; i++) {
		if (hw->ops->read(hw->context, queue_base(port, queue) + SLU_NIC_QUEUE_CONTROL, &control, 1) ||
			!(control & (SLU_NIC_Q_CTL_RX_BUSY | SLU_NIC_Q_CTL_TX_BUSY)))
			return;
	}
	SLU_LOG(ERR, "%s: queue %u does not stop", port->eth_dev->data->name, queue);
}

static void stop_queues(struct slu_port *port)
{
	struct rte_eth_dev_data *data = port->eth_dev->data;

	for (unsigned i = 0; i < port->card->queues; i++)
		stop_queue(port, i);
	for (unsigned i = 0; i < data->nb_rx_queues; i++) {
		if (data->rx_queues[i])
			slu_rx_drain(data->rx_queues[i]);
		data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	}
	for (unsigned i = 0; i < data->nb_tx_queues; i++) {
		if (data->tx_queues[i])
			slu_tx_drain(data->tx_queues[i]);
		data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	}
}

static int start_queue(struct slu_port *port, unsigned queue)
{
	struct rte_eth_dev_data *data = port->eth_dev->data;
	bool rx = queue < data->nb_rx_queues, tx = queue < data->nb_tx_queues;
	int error = 0;

	if (rx)
		error = slu_rx_start(data->rx_queues[queue]);
	if (tx && !error)
		error = slu_tx_start(data->tx_queues[queue]);
	if (!error)
		error = set_queue(port, queue, (rx ? SLU_NIC_Q_CTL_RX_ENABLE : 0) | (tx ? SLU_NIC_Q_CTL_TX_ENABLE : 0));
	if (rx && !error)
		error = slu_rx_go(data->rx_queues[queue]);
	if (tx && !error)
		error = slu_tx_go(data->tx_queues[queue]);
	if (rx)
		data->rx_queue_state[queue] = RTE_ETH_QUEUE_STATE_STARTED;
	if (tx)
		data->tx_queue_state[queue] = RTE_ETH_QUEUE_STATE_STARTED;
	return error;
}

/* --- ethdev operations --- */

static int set_vlan_strip(struct slu_port *port)
{
	uint32_t control = port->control & ~SLU_NIC_PORT_CTL_VLAN_STRIP;

	if (port->eth_dev->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP)
		control |= SLU_NIC_PORT_CTL_VLAN_STRIP;
	port->control = control;
	return slu_port_write(port, SLU_NIC_PORT_CONTROL, control);
}

static int ethdev_configure(struct rte_eth_dev *dev)
{
	slu_rss_configure(slu_port_of(dev));
	return 0;
}

static int ethdev_link_update(struct rte_eth_dev *dev, int wait)
{
	struct rte_eth_link link = {.link_speed = RTE_ETH_SPEED_NUM_100G,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED};
	uint32_t up = 0;

	(void)wait;
	if (slu_port_read(slu_port_of(dev), SLU_NIC_PORT_LINK, &up, 1))
		up = 0;
	link.link_status = up & 1 ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
	return rte_eth_linkstatus_set(dev, &link);
}

/* RX interrupts: each queue's eventfd, through EAL's epoll. */
static int install_interrupts(struct slu_port *port)
{
	struct rte_eth_dev *dev = port->eth_dev;
	struct rte_intr_handle *handle = port->interrupts;
	unsigned count = dev->data->nb_rx_queues;

	if (!dev->data->dev_conf.intr_conf.rxq)
		return 0;
	if (rte_intr_vec_list_alloc(handle, NULL, (int)count))
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		int fd = port->device->eventfds[port->card->first_queue + i];

		if (rte_intr_vec_list_index_set(handle, (int)i, (int)(RTE_INTR_VEC_RXTX_OFFSET + i)) ||
			rte_intr_efds_index_set(handle, (int)i, fd))
			return -EINVAL;
	}
	return rte_intr_nb_efd_set(handle, (int)count) || rte_intr_max_intr_set(handle, (int)count + 1) ? -EINVAL : 0;
}

static void remove_interrupts(struct slu_port *port)
{
	rte_intr_free_epoll_fd(port->interrupts);
	rte_intr_vec_list_free(port->interrupts);
	rte_intr_nb_efd_set(port->interrupts, 0);
}

static int ethdev_stop(struct rte_eth_dev *dev)
{
	struct slu_port *port = slu_port_of(dev);

	port->control &= ~SLU_NIC_PORT_CTL_ENABLE;
	slu_port_write(port, SLU_NIC_PORT_CONTROL, port->control);
	stop_queues(port);
	remove_interrupts(port);
	dev->data->dev_started = 0;
	dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
	return 0;
}

static int ethdev_start(struct rte_eth_dev *dev)
{
	struct slu_port *port = slu_port_of(dev);
	unsigned queues = RTE_MAX(dev->data->nb_rx_queues, dev->data->nb_tx_queues);
	int error = slu_rss_start(port);

	if (!error)
		error = install_interrupts(port);
	for (unsigned i = 0; i < queues && !error; i++)
		error = start_queue(port, i);
	if (!error) {
		port->control |= SLU_NIC_PORT_CTL_ENABLE;
		error = set_vlan_strip(port);
	}
	if (error) {
		ethdev_stop(dev);
		return error;
	}
	ethdev_link_update(dev, 0);
	return 0;
}

static int ethdev_infos(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	const struct slu_port *port = slu_port_of(dev);
	const struct rte_eth_desc_lim rings = {.nb_max = (uint16_t)(1u << port->device->card.ring_log2_max),
		.nb_min = RING_MIN,
		.nb_align = RING_MIN,
		.nb_seg_max = 1,
		.nb_mtu_seg_max = 1};

	info->max_rx_queues = info->max_tx_queues = (uint16_t)port->card->queues;
	info->max_rx_pktlen = port->card->frame_max_bytes;
	info->max_mtu = (uint16_t)(port->card->frame_max_bytes - FRAME_OVERHEAD);
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->min_rx_bufsize = RTE_ETHER_MIN_LEN;
	info->max_mac_addrs = 1;
	info->rx_offload_capa =
		RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_RSS_HASH;
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS; /* copied together, where it must be */
	info->flow_type_rss_offloads = SLU_RSS_TYPES;
	info->hash_key_size = SLU_RSS_KEY_BYTES;
	info->reta_size = SLU_NIC_RETA_ENTRIES;
	info->rx_desc_lim = info->tx_desc_lim = rings;
	info->default_rxportconf = (struct rte_eth_dev_portconf){.burst_size = 32, .ring_size = 1024, .nb_queues = 1};
	info->default_txportconf = info->default_rxportconf;
	info->speed_capa = RTE_ETH_LINK_SPEED_100G | RTE_ETH_LINK_SPEED_FIXED;
	info->dev_capa = RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP | RTE_ETH_DEV_CAPA_FLOW_SHARED_OBJECT_KEEP;
	info->switch_info.name = port->device->name;
	info->switch_info.domain_id = port->device->domain;
	info->switch_info.port_id = (uint16_t)port->index;
	return 0;
}

/* The card takes every frame that a wire brings: there is nothing to switch. */
static int ethdev_promiscuous(struct rte_eth_dev *dev)
{
	(void)dev;
	return 0;
}

static int ethdev_not_promiscuous(struct rte_eth_dev *dev)
{
	(void)dev;
	return -ENOTSUP;
}

static int ethdev_mac_set(struct rte_eth_dev *dev, struct rte_ether_addr *mac)
{
	uint32_t words[2] = {0};

	memcpy(words, mac, sizeof(*mac));
	int error = slu_port_write(slu_port_of(dev), SLU_NIC_PORT_MAC_LO, words[0]);
	return error ? error : slu_port_write(slu_port_of(dev), SLU_NIC_PORT_MAC_HI, words[1]);
}

/* The card has no limit of its own on this side; buffers have. */
static int ethdev_mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
	for (unsigned i = 0; i < dev->data->nb_rx_queues; i++) {
		const struct slu_rx_queue *q = dev->data->rx_queues[i];

		if (q && mtu + FRAME_OVERHEAD + RTE_PKTMBUF_HEADROOM > rte_pktmbuf_data_room_size(q->pool))
			return -EINVAL;
	}
	return 0;
}

static int ethdev_vlan_offload(struct rte_eth_dev *dev, int mask)
{
	return mask & RTE_ETH_VLAN_STRIP_MASK ? set_vlan_strip(slu_port_of(dev)) : 0;
}

static const uint32_t *ethdev_ptypes(struct rte_eth_dev *dev)
{
	static const uint32_t ptypes[] = {RTE_PTYPE_L2_ETHER, RTE_PTYPE_L3_IPV4_EXT_UNKNOWN,
		RTE_PTYPE_L3_IPV6_EXT_UNKNOWN, RTE_PTYPE_L4_TCP, RTE_PTYPE_L4_UDP, RTE_PTYPE_L4_FRAG,
		RTE_PTYPE_UNKNOWN};

	(void)dev;
	return ptypes;
}

static int ethdev_is_removed(struct rte_eth_dev *dev)
{
	return slu_hw_gone(&slu_port_of(dev)->device->hw);
}

static int ethdev_flow_ops(struct rte_eth_dev *dev, const struct rte_flow_ops **ops)
{
	(void)dev;
	*ops = &slu_flow_ops;
	return 0;
}

static void close_device_if_last(struct slu_device *device)
{
	if (--device->open_ports)
		return;
	LIST_REMOVE(device, next);
	slu_device_close(device);
}

static int ethdev_close(struct rte_eth_dev *dev)
{
	struct slu_port *port = slu_port_of(dev);
	struct slu_device *device = port->device;

	if (dev->data->dev_started)
		ethdev_stop(dev);
	slu_flow_port_close(port);
	for (unsigned i = 0; i < dev->data->nb_rx_queues; i++)
		slu_rx_release(dev, (uint16_t)i);
	for (unsigned i = 0; i < dev->data->nb_tx_queues; i++)
		slu_tx_release(dev, (uint16_t)i);
	rte_intr_instance_free(port->interrupts);
	device->ports[port->index] = NULL;
	close_device_if_last(device);
	return 0;
}

static const struct eth_dev_ops ops = {
	.dev_configure = ethdev_configure,
	.dev_start = ethdev_start,
	.dev_stop = ethdev_stop,
	.dev_close = ethdev_close,
	.link_update = ethdev_link_update,
	.is_removed = ethdev_is_removed,
	.promiscuous_enable = ethdev_promiscuous,
	.promiscuous_disable = ethdev_not_promiscuous,
	.allmulticast_enable = ethdev_promiscuous,
	.allmulticast_disable = ethdev_not_promiscuous,
	.mac_addr_set = ethdev_mac_set,
	.mtu_set = ethdev_mtu_set,
	.stats_get = slu_stats_get,
	.stats_reset = slu_stats_reset,
	.xstats_get = slu_stats_xget,
	.xstats_reset = slu_stats_xreset,
	.xstats_get_names = slu_stats_xnames,
	.dev_infos_get = ethdev_infos,
	.dev_supported_ptypes_get = ethdev_ptypes,
	.vlan_offload_set = ethdev_vlan_offload,
	.rx_queue_setup = slu_rx_setup,
	.rx_queue_release = slu_rx_release,
	.rx_queue_intr_enable = slu_rx_interrupt_enable,
	.rx_queue_intr_disable = slu_rx_interrupt_disable,
	.tx_queue_setup = slu_tx_setup,
	.tx_queue_release = slu_tx_release,
	.tx_done_cleanup = slu_tx_done_cleanup,
	.rss_hash_update = slu_rss_hash_update,
	.rss_hash_conf_get = slu_rss_hash_get,
	.reta_update = slu_rss_reta_update,
	.reta_query = slu_rss_reta_query,
	.flow_ops_get = ethdev_flow_ops,
};

/* --- Probe and remove --- */

struct arguments {
	char socket[PATH_MAX];
	bool warm;
	bool has_mac[SLU_CARD_PORTS_MAX];
	struct rte_ether_addr mac[SLU_CARD_PORTS_MAX];
};

static int parse_argument(const char *key, const char *value, void *context)
{
	struct arguments *a = context;

	if (strcmp(key, ARG_SOCKET) == 0) {
		int length = snprintf(a->socket, sizeof(a->socket), "%s", value);

		return length > 0 && (size_t)length < sizeof(a->socket) ? 0 : -EINVAL;
	}
	if (strcmp(key, ARG_WARM) == 0) {
		a->warm = strcmp(value, "1") == 0;
		return a->warm || strcmp(value, "0") == 0 ? 0 : -EINVAL;
	}
	unsigned port = (unsigned)(key[strlen(ARG_MAC)] - '0');
	if (port >= SLU_CARD_PORTS_MAX)
		return -EINVAL;
	a->has_mac[port] = true;
	return rte_ether_unformat_addr(value, &a->mac[port]);
}

static int parse_arguments(const char *text, struct arguments *a)
{
	static const char *const keys[] = {ARG_SOCKET, ARG_WARM, ARG_MAC "0", ARG_MAC "1", NULL};
	struct rte_kvargs *list = rte_kvargs_parse(text, keys);

	memset(a, 0, sizeof(*a));
	if (!list)
		return -EINVAL;
	int error = rte_kvargs_process(list, NULL, parse_argument, a);
	rte_kvargs_free(list);
	return error ? -EINVAL : *a->socket ? 0 : -EINVAL;
}

/* The application's choice, what the card keeps from a warm start, the device tree's, or a random one, in this order.
 */
static int choose_mac(struct slu_port *port, const struct arguments *a, struct rte_ether_addr *mac)
{
	uint32_t words[2];
	int error = slu_port_read(port, SLU_NIC_PORT_MAC_LO, words, 2);

	if (error)
		return error;
	memcpy(mac, words, sizeof(*mac));
	if (a->has_mac[port->index])
		*mac = a->mac[port->index];
	else if (!a->warm || rte_is_zero_ether_addr(mac))
		memcpy(mac, port->card->mac, sizeof(*mac));
	if (!rte_is_valid_assigned_ether_addr(mac))
		rte_eth_random_addr(mac->addr_bytes);
	return ethdev_mac_set(port->eth_dev, mac);
}

static int fill_port(struct slu_device *device, unsigned index, const struct arguments *a, struct rte_eth_dev *dev)
{
	struct slu_port *port = rte_zmalloc("sluice-port", sizeof(*port), RTE_CACHE_LINE_SIZE);

	dev->data->dev_private = port;
	dev->data->mac_addrs = rte_zmalloc("sluice-mac", sizeof(struct rte_ether_addr), 0);
	if (!port || !dev->data->mac_addrs)
		return -ENOMEM;
	port->device = device;
	port->eth_dev = dev;
	port->index = index;
	port->card = &device->card.port[index];
	LIST_INIT(&port->flows);
	LIST_INIT(&port->handles);
	LIST_INIT(&port->pattern_templates);
	LIST_INIT(&port->actions_templates);
	LIST_INIT(&port->tables);
	port->interrupts = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (!port->interrupts || rte_intr_type_set(port->interrupts, RTE_INTR_HANDLE_VDEV) ||
		rte_intr_efd_counter_size_set(port->interrupts, sizeof(uint64_t)))
		return -ENOMEM;
	dev->device = device->rte_device;
	dev->intr_handle = port->interrupts;
	dev->dev_ops = &ops;
	dev->rx_pkt_burst = slu_rx_burst;
	dev->tx_pkt_burst = slu_tx_burst;
	dev->data->numa_node = device->rte_device->numa_node;
	dev->data->dev_flags = RTE_ETH_DEV_FLOW_OPS_THREAD_SAFE | RTE_ETH_DEV_INTR_RMV;
	dev->data->promiscuous = 1;
	dev->data->all_multicast = 1;
	return choose_mac(port, a, dev->data->mac_addrs);
}

static int open_port(struct slu_device *device, unsigned index, const struct arguments *a)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	snprintf(name, sizeof(name), "%.48s_p%u", device->name, index);
	struct rte_eth_dev *dev = rte_eth_dev_allocate(name);
	if (!dev)
		return -ENOMEM;
	int error = fill_port(device, index, a, dev);
	if (error) {
		struct slu_port *port = dev->data->dev_private;

		if (port)
			rte_intr_instance_free(port->interrupts);
		rte_eth_dev_release_port(dev);
		return error;
	}
	device->ports[index] = dev->data->dev_private;
	device->open_ports++;
	return 0;
}

static void close_ports(struct slu_device *device)
{
	const unsigned ports = device->card.ports;
	unsigned open = device->open_ports;

	/* The device goes with its last port. */
	for (unsigned p = 0; p < ports && open; p++) {
		if (device->ports[p]) {
			open--;
			rte_eth_dev_close(device->ports[p]->eth_dev->data->port_id);
		}
	}
}

static int open_ports(struct slu_device *device, const struct arguments *a)
{
	int error = 0;

	for (unsigned p = 0; p < device->card.ports && !error; p++)
		error = open_port(device, p, a);
	for (unsigned p = 0; p < device->card.ports && !error; p++)
		rte_eth_dev_probing_finish(device->ports[p]->eth_dev);
	return error;
}

static int probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct arguments arguments;
	struct slu_device *device;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		SLU_LOG(ERR, "%s: secondary processes are not supported: the card has one host", name);
		return -ENOTSUP;
	}
	if (rte_eal_iova_mode() != RTE_IOVA_VA) {
		SLU_LOG(ERR, "%s: needs virtual addresses for DMA; start EAL with --iova-mode=va", name);
		return -ENOTSUP;
	}
	int error = parse_arguments(rte_vdev_device_args(vdev), &arguments);
	if (error) {
		SLU_LOG(ERR, "%s: arguments are sock=PATH[,warm=0|1][,mac0=ADDRESS][,mac1=ADDRESS], not \"%s\"", name,
			rte_vdev_device_args(vdev));
		return error;
	}
	error = slu_device_open(name, arguments.socket, arguments.warm, &vdev->device, &device);
	if (error)
		return error;
	LIST_INSERT_HEAD(&devices, device, next);
	error = open_ports(device, &arguments);
	if (error) {
		SLU_LOG(ERR, "%s: cannot make its ports: %s", name, strerror(-error));
		if (device->open_ports) {
			close_ports(device);
		} else {
			LIST_REMOVE(device, next);
			slu_device_close(device);
		}
	}
	return error;
}

static struct slu_device *find_device(const struct rte_vdev_device *vdev)
{
	struct slu_device *device;

	LIST_FOREACH (device, &devices, next) {
		if (device->rte_device == &vdev->device)
			return device;
	}
	return NULL;
}

static int remove_device(struct rte_vdev_device *vdev)
{
	struct slu_device *device = find_device(vdev);

	if (device) /* none: its ports were closed one by one */
		close_ports(device);
	return 0;
}

static int vdev_dma_map(struct rte_vdev_device *vdev, void *address, uint64_t iova, size_t bytes)
{
	struct slu_device *device = find_device(vdev);

	if (!device || slu_hw_gone(&device->hw))
		return -ENODEV;
	return slu_dma_map(device, address, iova, bytes);
}

static int vdev_dma_unmap(struct rte_vdev_device *vdev, void *address, uint64_t iova, size_t bytes)
{
	struct slu_device *device = find_device(vdev);

	(void)address;
	if (!device || slu_hw_gone(&device->hw))
		return -ENODEV;
	return slu_dma_unmap(device, iova, bytes);
}

int rte_pmd_sluice_adopt_end(uint16_t port_id)
{
	if (!rte_eth_dev_is_valid_port(port_id) || rte_eth_devices[port_id].dev_ops != &ops)
		return -ENODEV;
	struct slu_device *d = slu_port_of(&rte_eth_devices[port_id])->device;
	pthread_mutex_lock(&d->lock);
	struct slu_flow_table *table = slu_device_table(d);
	uint32_t ghosts = table ? slu_flow_table_ghosts(table) : 0;
	int error = table ? slu_flow_table_sweep(table) : -EIO;
	slu_flow_check_card(d);
	pthread_mutex_unlock(&d->lock);
	return error ? error : (int)ghosts;
}

static struct rte_vdev_driver driver = {
	.probe = probe,
	.remove = remove_device,
	.dma_map = vdev_dma_map,
	.dma_unmap = vdev_dma_unmap,
	.drv_flags = RTE_VDEV_DRV_NEED_IOVA_AS_VA,
};

RTE_PMD_REGISTER_VDEV(net_sluice, driver);
RTE_PMD_REGISTER_PARAM_STRING(
	net_sluice, ARG_SOCKET "=<path> " ARG_WARM "=<0|1> " ARG_MAC "0=<mac> " ARG_MAC "1=<mac>");
