#include "rx.h"

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#define REFILL_BATCH 32
#define BUFFER_ALIGN 64

/* Indexed by the IPV4, IPV6, TCP, UDP and FRAGMENT bits of the flags, in that order from bit 0. */
#define PTYPE_SHIFT 4
static const uint32_t ptypes[32] = {
	[0] = RTE_PTYPE_L2_ETHER,
	[1] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN,
	[2] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT_UNKNOWN,
	[1 | 4] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_L4_TCP,
	[2 | 4] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT_UNKNOWN | RTE_PTYPE_L4_TCP,
	[1 | 8] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_L4_UDP,
	[2 | 8] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT_UNKNOWN | RTE_PTYPE_L4_UDP,
	[1 | 16] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_L4_FRAG,
	[2 | 16] = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT_UNKNOWN | RTE_PTYPE_L4_FRAG,
};

/* The card wants buffers on its own word; mbufs of a pool with odd private size do not stand on one. */
static void give(struct slu_rx_queue *q, uint32_t index, struct rte_mbuf *m)
{
	uint64_t address = RTE_ALIGN_CEIL(m->buf_iova + RTE_PKTMBUF_HEADROOM, BUFFER_ALIGN);
	uint32_t slot = index & q->mask;

	m->data_off = (uint16_t)(address - m->buf_iova);
	q->mbufs[slot] = m;
	q->descs[slot].addr = address;
	q->descs[slot].len = (uint32_t)m->buf_len - m->data_off;
}

static void refill(struct slu_rx_queue *q)
{
	struct rte_mbuf *fresh[REFILL_BATCH];
	uint32_t told = q->tail;

	while (q->head + q->mask + 1 - q->tail >= REFILL_BATCH) {
		if (rte_pktmbuf_alloc_bulk(q->pool, fresh, REFILL_BATCH)) {
			q->no_mbuf += REFILL_BATCH;
			break;
		}
		for (uint32_t i = 0; i < REFILL_BATCH; i++)
			give(q, q->tail + i, fresh[i]);
		q->tail += REFILL_BATCH;
	}
	if (q->tail != told)
		slu_hw_doorbell(q->hw, q->doorbell + SLU_NIC_DB_RX_TAIL, q->tail);
}

static void fill_mbuf(const struct slu_rx_queue *q, const struct slu_nic_rx_completion *c, struct rte_mbuf *m)
{
	uint64_t flags = 0;

	m->port = q->port_id;
	m->nb_segs = 1;
	m->next = NULL;
	m->pkt_len = c->len;
	m->data_len = c->len;
	m->packet_type = ptypes[c->flags >> PTYPE_SHIFT & 31];
	if (c->flags & SLU_NIC_RXF_RSS) {
		m->hash.rss = c->rss_hash;
		flags |= RTE_MBUF_F_RX_RSS_HASH;
	}
	if (c->flags & SLU_NIC_RXF_L3_GOOD)
		flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	if (c->flags & SLU_NIC_RXF_L3_BAD)
		flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD;
	if (c->flags & SLU_NIC_RXF_VLAN) {
		m->vlan_tci = c->vlan_tci;
		flags |= RTE_MBUF_F_RX_VLAN;
		if (c->flags & SLU_NIC_RXF_VLAN_STRIPPED)
			flags |= RTE_MBUF_F_RX_VLAN_STRIPPED;
	}
	if (c->flags & SLU_NIC_RXF_MARK) {
		m->hash.fdir.hi = c->mark;
		flags |= RTE_MBUF_F_RX_FDIR | RTE_MBUF_F_RX_FDIR_ID;
	}
	m->ol_flags = flags;
}

uint16_t slu_rx_burst(void *queue, struct rte_mbuf **packets, uint16_t count)
{
	struct slu_rx_queue *q = queue;
	uint32_t head = q->head;
	uint16_t n = 0;
	uint64_t bytes = 0;

	/* Bounded by what the card was given: words of garbage cannot make it run for ever. */
	while (n < count && head != q->tail) {
		struct slu_nic_rx_completion *c = &q->completions[head & q->mask];

		if (__atomic_load_n(&c->pass, __ATOMIC_ACQUIRE) != 1 + (head >> q->log2))
			break;
		struct rte_mbuf *m = q->mbufs[head & q->mask];
		rte_prefetch0(q->mbufs[(head + 2) & q->mask]);
		rte_prefetch0(&q->completions[(head + 8) & q->mask]);
		head++;
		if (unlikely(c->len == 0 || c->len > q->descs[(head - 1) & q->mask].len)) {
			q->bad_completions++;
			rte_pktmbuf_free(m);
			continue;
		}
		fill_mbuf(q, c, m);
		rte_prefetch0(rte_pktmbuf_mtod(m, void *));
		bytes += c->len;
		packets[n++] = m;
	}
	q->head = head;
	q->packets += n;
	q->bytes += bytes;
	/* Also with nothing received: the pool may have been empty before. */
	if (head + q->mask + 1 - q->tail >= REFILL_BATCH)
		refill(q);
	return n;
}

void slu_rx_release(struct rte_eth_dev *dev, uint16_t queue)
{
	struct slu_rx_queue *q = dev->data->rx_queues[queue];

	if (!q)
		return;
	rte_free(q->completions);
	rte_free(q->descs);
	rte_free(q->mbufs);
	rte_free(q);
	dev->data->rx_queues[queue] = NULL;
}

int slu_rx_setup(struct rte_eth_dev *dev, uint16_t queue, uint16_t descs, unsigned socket,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct slu_port *port = slu_port_of(dev);
	uint16_t room = rte_pktmbuf_data_room_size(pool);

	if (!rte_is_power_of_2(descs) || conf->rx_deferred_start)
		return -EINVAL;
	if (room < RTE_PKTMBUF_HEADROOM + RTE_ETHER_MIN_LEN + BUFFER_ALIGN) {
		SLU_LOG(ERR, "%s: buffers of %u bytes are too small", dev->data->name, room);
		return -EINVAL;
	}
	slu_rx_release(dev, queue);
	struct slu_rx_queue *q = rte_zmalloc_socket("sluice-rxq", sizeof(*q), RTE_CACHE_LINE_SIZE, (int)socket);
	if (!q)
		return -ENOMEM;
	dev->data->rx_queues[queue] = q;
	q->port = port;
	q->port_id = dev->data->port_id;
	q->hw = &port->device->hw;
	q->pool = pool;
	q->index = port->card->first_queue + queue;
	q->doorbell = q->index * SLU_NIC_DB_QUEUE_STRIDE;
	q->log2 = (uint8_t)rte_log2_u32(descs);
	q->mask = descs - 1u;
	q->completions = rte_zmalloc_socket("sluice-rxc", descs * sizeof(*q->completions), 64, (int)socket);
	q->descs = rte_zmalloc_socket("sluice-rxd", descs * sizeof(*q->descs), 64, (int)socket);
	q->mbufs = rte_zmalloc_socket("sluice-rxm", descs * sizeof(*q->mbufs), 64, (int)socket);
	if (!q->completions || !q->descs || !q->mbufs) {
		slu_rx_release(dev, queue);
		return -ENOMEM;
	}
	return 0;
}

static int fill_ring(struct slu_rx_queue *q)
{
	for (q->tail = 0; q->tail <= q->mask; q->tail++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(q->pool);

		if (!m) {
			SLU_LOG(ERR, "queue %u: the mbuf pool has no %u buffers", q->index, q->mask + 1);
			slu_rx_drain(q);
			return -ENOMEM;
		}
		give(q, q->tail, m);
	}
	return 0;
}

int slu_rx_start(struct slu_rx_queue *q)
{
	struct slu_device *d = q->port->device;
	uint32_t base = d->card.queue_base + q->index * d->card.queue_stride;
	uint64_t ring = (uintptr_t)q->descs, completions = (uintptr_t)q->completions;
	const uint32_t writes[][2] = {
		{SLU_NIC_QUEUE_RX_RING_LO, (uint32_t)ring},
		{SLU_NIC_QUEUE_RX_RING_HI, (uint32_t)(ring >> 32)},
		{SLU_NIC_QUEUE_RX_CPL_LO, (uint32_t)completions},
		{SLU_NIC_QUEUE_RX_CPL_HI, (uint32_t)(completions >> 32)},
		{SLU_NIC_QUEUE_RX_LOG2, q->log2},
	};

	memset(q->completions, 0, (q->mask + 1) * sizeof(*q->completions));
	q->head = 0;
	q->armed = false;
	int error = fill_ring(q);
	for (unsigned i = 0; i < RTE_DIM(writes) && !error; i++)
		error = d->hw.ops->write(d->hw.context, base + writes[i][0], writes[i][1]);
	return error;
}

int slu_rx_go(struct slu_rx_queue *q)
{
	/* The page may hold this very number from before a restart. */
	return q->hw->ops->doorbell(q->hw->context, q->doorbell + SLU_NIC_DB_RX_TAIL, q->tail);
}

void slu_rx_drain(struct slu_rx_queue *q)
{
	for (; q->head != q->tail; q->head++) {
		rte_pktmbuf_free(q->mbufs[q->head & q->mask]);
		q->mbufs[q->head & q->mask] = NULL;
	}
	q->head = q->tail = 0;
}

int slu_rx_interrupt_enable(struct rte_eth_dev *dev, uint16_t queue)
{
	struct slu_rx_queue *q = dev->data->rx_queues[queue];
	uint32_t offset = q->doorbell + SLU_NIC_DB_RX_ARM;

	if (slu_hw_gone(q->hw))
		return -EIO;
	/* Arming at the same index again: the page would not change, and after a restart may hold it from before. */
	if (!q->armed || q->armed_at == q->head) {
		int error = q->hw->ops->doorbell(q->hw->context, offset, q->head);
		if (error)
			return -EIO;
	} else {
		slu_hw_doorbell(q->hw, offset, q->head);
	}
	q->armed = true;
	q->armed_at = q->head;
	return 0;
}

int slu_rx_interrupt_disable(struct rte_eth_dev *dev, uint16_t queue)
{
	(void)dev;
	(void)queue;
	return 0; /* an arming fires once: there is nothing to take back */
}
