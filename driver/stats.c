#include "stats.h"

static const char *const port_names[SLU_PORT_STATS] = {
	[SLU_NIC_STAT_RX_FRAMES] = "wire_rx_frames",
	[SLU_NIC_STAT_RX_BYTES] = "wire_rx_bytes",
	[SLU_NIC_STAT_RX_RUNT] = "wire_rx_runts",
	[SLU_NIC_STAT_RX_GIANT] = "wire_rx_giants",
	[SLU_NIC_STAT_RX_WIRE_ERROR] = "wire_rx_errors",
	[SLU_NIC_STAT_RX_FIFO_DROP] = "wire_rx_fifo_drops",
	[SLU_NIC_STAT_HIT_FRAMES] = "flow_hit_frames",
	[SLU_NIC_STAT_HIT_BYTES] = "flow_hit_bytes",
	[SLU_NIC_STAT_RULE_DROP] = "flow_rule_drops",
	[SLU_NIC_STAT_TO_HOST] = "host_frames",
	[SLU_NIC_STAT_HOST_FIFO_DROP] = "host_fifo_drops",
	[SLU_NIC_STAT_HOST_OFF_DROP] = "host_off_drops",
	[SLU_NIC_STAT_RX_NO_DESC] = "host_no_desc_drops",
	[SLU_NIC_STAT_RX_TOO_LONG] = "host_too_long_drops",
	[SLU_NIC_STAT_TX_FRAMES] = "wire_tx_frames",
	[SLU_NIC_STAT_TX_BYTES] = "wire_tx_bytes",
	[SLU_NIC_STAT_TX_HOST_FRAMES] = "host_tx_frames",
	[SLU_NIC_STAT_TX_BAD_DESC] = "host_tx_bad_descs",
	[SLU_NIC_STAT_REASON_MISS] = "host_reason_miss",
	[SLU_NIC_STAT_REASON_TCP_FLAGS] = "host_reason_tcp_flags",
	[SLU_NIC_STAT_REASON_EXCEPTION] = "host_reason_exception",
	[SLU_NIC_STAT_TAG_FALSE] = "flow_tag_false",
};

enum device_stat {
	DEVICE_FLOWS,
	DEVICE_INSERTS,
	DEVICE_REMOVES,
	DEVICE_MOVES,
	DEVICE_FENCES,
	DEVICE_ADOPTED,
	DEVICE_UPDATED,
	DEVICE_SWEPT,
	DEVICE_DUPLICATES,
	DEVICE_TAG_CLASHES,
	DEVICE_FULL,
	DEVICE_CARD_ERRORS,
	DEVICE_COMMANDS_FAILED,
	DEVICE_BAD_COMPLETIONS,
	DEVICE_DMA_READ_ERRORS,
	DEVICE_DMA_WRITE_ERRORS,
	DEVICE_MEMORY_ERRORS,
	DEVICE_BAD_RX_COMPLETIONS, /* of the port's queues, as those below */
	DEVICE_BAD_TX_WRITEBACKS,
	DEVICE_TX_DROPPED,
	DEVICE_STATS
};

static const char *const device_names[DEVICE_STATS] = {
	[DEVICE_FLOWS] = "table_flows",
	[DEVICE_INSERTS] = "table_inserts",
	[DEVICE_REMOVES] = "table_removes",
	[DEVICE_MOVES] = "table_moves",
	[DEVICE_FENCES] = "table_fences",
	[DEVICE_ADOPTED] = "table_adopted",
	[DEVICE_UPDATED] = "table_updated",
	[DEVICE_SWEPT] = "table_swept",
	[DEVICE_DUPLICATES] = "table_refused_duplicates",
	[DEVICE_TAG_CLASHES] = "table_refused_tag_clashes",
	[DEVICE_FULL] = "table_refused_full",
	[DEVICE_CARD_ERRORS] = "table_card_errors",
	[DEVICE_COMMANDS_FAILED] = "command_failures",
	[DEVICE_BAD_COMPLETIONS] = "command_bad_completions",
	[DEVICE_DMA_READ_ERRORS] = "card_dma_read_errors",
	[DEVICE_DMA_WRITE_ERRORS] = "card_dma_write_errors",
	[DEVICE_MEMORY_ERRORS] = "card_memory_errors",
	[DEVICE_BAD_RX_COMPLETIONS] = "rx_bad_completions",
	[DEVICE_BAD_TX_WRITEBACKS] = "tx_bad_writebacks",
	[DEVICE_TX_DROPPED] = "tx_unsendable_drops",
};

/* As the card counts: since its own reset, whatever the application has reset. */
static int read_raw(const struct slu_port *port, uint64_t values[SLU_PORT_STATS])
{
	uint32_t words[2 * SLU_PORT_STATS];
	int error = slu_port_read(port, SLU_NIC_PORT_STATS0, words, 2 * SLU_PORT_STATS);

	for (unsigned i = 0; i < SLU_PORT_STATS && !error; i++)
		values[i] = (uint64_t)words[2 * i + 1] << 32 | words[2 * i];
	return error;
}

static int read_port(const struct slu_port *port, uint64_t values[SLU_PORT_STATS])
{
	int error = read_raw(port, values);

	for (unsigned i = 0; i < SLU_PORT_STATS && !error; i++)
		values[i] -= port->stats_base[i];
	return error;
}

static void add_rx(const struct rte_eth_dev_data *data, struct rte_eth_stats *stats)
{
	for (unsigned i = 0; i < data->nb_rx_queues; i++) {
		const struct slu_rx_queue *q = data->rx_queues[i];

		if (!q)
			continue;
		stats->ipackets += q->packets;
		stats->ibytes += q->bytes;
		stats->ierrors += q->bad_completions;
		stats->rx_nombuf += q->no_mbuf;
		if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
			stats->q_ipackets[i] = q->packets;
			stats->q_ibytes[i] = q->bytes;
			stats->q_errors[i] = q->bad_completions;
		}
	}
}

static void add_tx(const struct rte_eth_dev_data *data, struct rte_eth_stats *stats)
{
	for (unsigned i = 0; i < data->nb_tx_queues; i++) {
		const struct slu_tx_queue *q = data->tx_queues[i];

		if (!q)
			continue;
		stats->opackets += q->packets;
		stats->obytes += q->bytes;
		stats->oerrors += q->dropped;
		if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
			stats->q_opackets[i] = q->packets;
			stats->q_obytes[i] = q->bytes;
		}
	}
}

int slu_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats)
{
	uint64_t card[SLU_PORT_STATS];

	add_rx(dev->data, stats);
	add_tx(dev->data, stats);
	int error = read_port(slu_port_of(dev), card);
	if (error)
		return -EIO;
	stats->imissed =
		card[SLU_NIC_STAT_RX_FIFO_DROP] + card[SLU_NIC_STAT_HOST_FIFO_DROP] + card[SLU_NIC_STAT_RX_NO_DESC];
	stats->ierrors += card[SLU_NIC_STAT_RX_RUNT] + card[SLU_NIC_STAT_RX_GIANT] + card[SLU_NIC_STAT_RX_WIRE_ERROR] +
			  card[SLU_NIC_STAT_RX_TOO_LONG];
	stats->oerrors += card[SLU_NIC_STAT_TX_BAD_DESC];
	return 0;
}

int slu_stats_reset(struct rte_eth_dev *dev)
{
	struct slu_port *port = slu_port_of(dev);

	for (unsigned i = 0; i < dev->data->nb_rx_queues; i++) {
		struct slu_rx_queue *q = dev->data->rx_queues[i];

		if (q)
			q->packets = q->bytes = q->bad_completions = q->no_mbuf = 0;
	}
	for (unsigned i = 0; i < dev->data->nb_tx_queues; i++) {
		struct slu_tx_queue *q = dev->data->tx_queues[i];

		if (q)
			q->packets = q->bytes = q->dropped = q->bad_writebacks = 0;
	}
	return read_raw(port, port->stats_base) ? -EIO : 0;
}

int slu_stats_xreset(struct rte_eth_dev *dev)
{
	return slu_stats_reset(dev);
}

static int read_card_errors(struct slu_device *d, uint64_t values[DEVICE_STATS])
{
	uint32_t dma[2], memory;
	int error = d->hw.ops->read(d->hw.context, SLU_NIC_ID_BASE + SLU_NIC_ID_DMA_READ_ERRORS, dma, 2);

	if (!error)
		error = d->hw.ops->read(d->hw.context, SLU_NIC_ID_BASE + SLU_NIC_ID_MEMORY_ERRORS, &memory, 1);
	if (error)
		return error;
	values[DEVICE_DMA_READ_ERRORS] = dma[0];
	values[DEVICE_DMA_WRITE_ERRORS] = dma[1];
	values[DEVICE_MEMORY_ERRORS] = memory;
	return 0;
}

static void read_table(struct slu_device *d, uint64_t values[DEVICE_STATS])
{
	pthread_mutex_lock(&d->lock);
	static const struct slu_flow_table_counts none;
	const struct slu_flow_table_counts *c = d->table ? slu_flow_table_counts_get(d->table) : &none;
	values[DEVICE_FLOWS] = d->table ? slu_flow_table_used(d->table) : 0;
	values[DEVICE_INSERTS] = c->inserts;
	values[DEVICE_REMOVES] = c->removes;
	values[DEVICE_MOVES] = c->moves;
	values[DEVICE_FENCES] = c->fences;
	values[DEVICE_ADOPTED] = c->adopted;
	values[DEVICE_UPDATED] = c->updated;
	values[DEVICE_SWEPT] = c->swept;
	values[DEVICE_DUPLICATES] = c->duplicates;
	values[DEVICE_TAG_CLASHES] = c->tag_clashes;
	values[DEVICE_FULL] = c->full;
	values[DEVICE_CARD_ERRORS] = c->card_errors;
	values[DEVICE_COMMANDS_FAILED] = d->ring.failed;
	values[DEVICE_BAD_COMPLETIONS] = d->ring.bad_completions;
	pthread_mutex_unlock(&d->lock);
}

static void read_queues(const struct rte_eth_dev_data *data, uint64_t values[DEVICE_STATS])
{
	for (unsigned i = 0; i < data->nb_rx_queues; i++) {
		const struct slu_rx_queue *q = data->rx_queues[i];

		values[DEVICE_BAD_RX_COMPLETIONS] += q ? q->bad_completions : 0;
	}
	for (unsigned i = 0; i < data->nb_tx_queues; i++) {
		const struct slu_tx_queue *q = data->tx_queues[i];

		values[DEVICE_BAD_TX_WRITEBACKS] += q ? q->bad_writebacks : 0;
		values[DEVICE_TX_DROPPED] += q ? q->dropped : 0;
	}
}

int slu_stats_xget(struct rte_eth_dev *dev, struct rte_eth_xstat *stats, unsigned count)
{
	struct slu_port *port = slu_port_of(dev);
	uint64_t values[SLU_PORT_STATS + DEVICE_STATS] = {0};

	if (!stats || count < RTE_DIM(values))
		return RTE_DIM(values);
	if (read_port(port, values) || read_card_errors(port->device, values + SLU_PORT_STATS))
		return -EIO;
	read_table(port->device, values + SLU_PORT_STATS);
	read_queues(dev->data, values + SLU_PORT_STATS);
	for (unsigned i = 0; i < RTE_DIM(values); i++) {
		stats[i].id = i;
		stats[i].value = values[i];
	}
	return RTE_DIM(values);
}

int slu_stats_xnames(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names, unsigned count)
{
	(void)dev;
	if (!names || count < SLU_PORT_STATS + DEVICE_STATS)
		return SLU_PORT_STATS + DEVICE_STATS;
	for (unsigned i = 0; i < SLU_PORT_STATS; i++)
		snprintf(names[i].name, sizeof(names[i].name), "%s", port_names[i]);
	for (unsigned i = 0; i < DEVICE_STATS; i++)
		snprintf(names[SLU_PORT_STATS + i].name, sizeof(names[0].name), "%s", device_names[i]);
	return SLU_PORT_STATS + DEVICE_STATS;
}
