#include "tx.h"

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#define FREE_BATCH 64

/* Frees what the card has read, up to its write-back. */
static uint32_t clean(struct slu_tx_queue *q)
{
	uint32_t head = __atomic_load_n(&q->writeback->head, __ATOMIC_ACQUIRE);
	uint32_t done = head - q->clean;

	if (unlikely(done > q->tail - q->clean)) {
		q->bad_writebacks++;
		return 0;
	}
	for (uint32_t left = done; left;) {
		uint32_t first = q->clean & q->mask;
		uint32_t run = RTE_MIN(left, RTE_MIN(q->mask + 1 - first, (uint32_t)FREE_BATCH));

		rte_pktmbuf_free_bulk(&q->mbufs[first], run);
		q->clean += run;
		left -= run;
	}
	return done;
}

/* A frame as the card takes it: one segment, padded. NULL: it cannot be made so; m is freed. */
static struct rte_mbuf *prepare(struct rte_mbuf *m)
{
	if (m->nb_segs > 1 ||
		(m->data_len < SLU_NIC_FRAME_MIN_BYTES && (rte_mbuf_refcnt_read(m) > 1 || !RTE_MBUF_DIRECT(m)))) {
		/* Others hold its bytes too, or they are in pieces. */
		if (rte_mbuf_refcnt_read(m) > 1 || !RTE_MBUF_DIRECT(m) || rte_pktmbuf_linearize(m)) {
			struct rte_mbuf *copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);

			rte_pktmbuf_free(m);
			m = copy;
		}
	}
	if (m && m->nb_segs == 1 && m->data_len && m->data_len <= SLU_NIC_FRAME_MAX_BYTES) {
		if (m->data_len >= SLU_NIC_FRAME_MIN_BYTES)
			return m;
		uint16_t missing = (uint16_t)(SLU_NIC_FRAME_MIN_BYTES - m->data_len);
		char *end = rte_pktmbuf_append(m, missing);
		if (end) {
			memset(end, 0, missing);
			return m;
		}
	}
	rte_pktmbuf_free(m);
	return NULL;
}

uint16_t slu_tx_burst(void *queue, struct rte_mbuf **packets, uint16_t count)
{
	struct slu_tx_queue *q = queue;
	uint32_t room = q->mask + 1 - (q->tail - q->clean);
	uint16_t n = 0;
	uint64_t bytes = 0, sent = 0;

	if (room < q->free_threshold || room < count)
		room += clean(q);
	for (; n < count && sent < room; n++) {
		struct rte_mbuf *m = packets[n];

		if (n + 4 < count)
			rte_prefetch0(packets[n + 4]);
		if (unlikely(m->nb_segs != 1 || m->data_len < SLU_NIC_FRAME_MIN_BYTES ||
			     m->data_len > SLU_NIC_FRAME_MAX_BYTES)) {
			m = prepare(m);
			if (!m) {
				q->dropped++;
				continue;
			}
		}
		uint32_t slot = (q->tail + (uint32_t)sent) & q->mask;
		q->mbufs[slot] = m;
		q->descs[slot] = (struct slu_nic_tx_desc){.addr = rte_mbuf_data_iova(m), .len = m->data_len};
		bytes += m->data_len;
		sent++;
	}
	if (sent) {
		q->tail += (uint32_t)sent;
		q->packets += sent;
		q->bytes += bytes;
		slu_hw_doorbell(q->hw, q->doorbell + SLU_NIC_DB_TX_TAIL, q->tail);
	}
	return n;
}

int slu_tx_done_cleanup(void *queue, uint32_t free_count)
{
	(void)free_count;
	return (int)clean(queue);
}

void slu_tx_release(struct rte_eth_dev *dev, uint16_t queue)
{
	struct slu_tx_queue *q = dev->data->tx_queues[queue];

	if (!q)
		return;
	rte_free(q->descs);
	rte_free(q->mbufs);
	rte_free(q->writeback);
	rte_free(q);
	dev->data->tx_queues[queue] = NULL;
}

int slu_tx_setup(
	struct rte_eth_dev *dev, uint16_t queue, uint16_t descs, unsigned socket, const struct rte_eth_txconf *conf)
{
	struct slu_port *port = slu_port_of(dev);

	if (!rte_is_power_of_2(descs) || conf->tx_deferred_start)
		return -EINVAL;
	slu_tx_release(dev, queue);
	struct slu_tx_queue *q = rte_zmalloc_socket("sluice-txq", sizeof(*q), RTE_CACHE_LINE_SIZE, (int)socket);
	if (!q)
		return -ENOMEM;
	dev->data->tx_queues[queue] = q;
	q->port = port;
	q->hw = &port->device->hw;
	q->index = port->card->first_queue + queue;
	q->doorbell = q->index * SLU_NIC_DB_QUEUE_STRIDE;
	q->log2 = (uint8_t)rte_log2_u32(descs);
	q->mask = descs - 1u;
	q->free_threshold = conf->tx_free_thresh ? RTE_MIN(conf->tx_free_thresh, descs) : descs / 2u;
	q->descs = rte_zmalloc_socket("sluice-txd", descs * sizeof(*q->descs), 64, (int)socket);
	q->mbufs = rte_zmalloc_socket("sluice-txm", descs * sizeof(*q->mbufs), 64, (int)socket);
	q->writeback = rte_zmalloc_socket("sluice-txw", sizeof(*q->writeback), 64, (int)socket);
	if (!q->descs || !q->mbufs || !q->writeback) {
		slu_tx_release(dev, queue);
		return -ENOMEM;
	}
	return 0;
}

int slu_tx_start(struct slu_tx_queue *q)
{
	struct slu_device *d = q->port->device;
	uint32_t base = d->card.queue_base + q->index * d->card.queue_stride;
	uint64_t ring = (uintptr_t)q->descs, writeback = (uintptr_t)q->writeback;
	const uint32_t writes[][2] = {
		{SLU_NIC_QUEUE_TX_RING_LO, (uint32_t)ring},
		{SLU_NIC_QUEUE_TX_RING_HI, (uint32_t)(ring >> 32)},
		{SLU_NIC_QUEUE_TX_WB_LO, (uint32_t)writeback},
		{SLU_NIC_QUEUE_TX_WB_HI, (uint32_t)(writeback >> 32)},
		{SLU_NIC_QUEUE_TX_LOG2, q->log2},
	};
	int error = 0;

	q->writeback->head = 0;
	q->tail = q->clean = 0;
	for (unsigned i = 0; i < RTE_DIM(writes) && !error; i++)
		error = d->hw.ops->write(d->hw.context, base + writes[i][0], writes[i][1]);
	return error;
}

int slu_tx_go(struct slu_tx_queue *q)
{
	return q->hw->ops->doorbell(q->hw->context, q->doorbell + SLU_NIC_DB_TX_TAIL, 0);
}

void slu_tx_drain(struct slu_tx_queue *q)
{
	for (; q->clean != q->tail; q->clean++)
		rte_pktmbuf_free(q->mbufs[q->clean & q->mask]);
	q->tail = q->clean = 0;
}
