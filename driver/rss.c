#include "rss.h"

/* The key of Microsoft's RSS verification suite: what most drivers begin with. */
static const uint8_t default_key[SLU_RSS_KEY_BYTES] = {0x6D, 0x5A, 0x56, 0xDA, 0x25, 0x5B, 0x0E, 0xC2, 0x41, 0x67, 0x25,
	0x3D, 0x43, 0xA3, 0x8F, 0xB0, 0xD0, 0xCA, 0x2B, 0xCB, 0xAE, 0x7B, 0x30, 0xB4, 0x77, 0xCB, 0x2D, 0xA3, 0x80,
	0x30, 0xF2, 0x0C, 0x6A, 0x42, 0xB7, 0x3B, 0xBE, 0xAC, 0x01, 0xFA};

static int write_key(struct slu_port *port)
{
	int error = 0;

	for (unsigned i = 0; i < SLU_RSS_KEY_BYTES && !error; i += 4) {
		uint32_t word;

		memcpy(&word, port->rss_key + i, 4);
		error = slu_port_write(port, SLU_NIC_PORT_RSS_KEY0 + i, word);
	}
	return error;
}

static int write_reta(struct slu_port *port)
{
	int error = 0;

	for (unsigned i = 0; i < SLU_NIC_RETA_ENTRIES && !error; i += 4) {
		uint32_t word;

		memcpy(&word, port->reta + i, 4);
		error = slu_port_write(port, SLU_NIC_PORT_RETA0 + i, word);
	}
	return error;
}

void slu_rss_configure(struct slu_port *port)
{
	const struct rte_eth_dev_data *data = port->eth_dev->data;
	const struct rte_eth_rss_conf *conf = &data->dev_conf.rx_adv_conf.rss_conf;
	bool spread = data->dev_conf.rxmode.mq_mode & RTE_ETH_MQ_RX_RSS_FLAG;

	memcpy(port->rss_key, conf->rss_key && conf->rss_key_len == SLU_RSS_KEY_BYTES ? conf->rss_key : default_key,
		SLU_RSS_KEY_BYTES);
	for (unsigned i = 0; i < SLU_NIC_RETA_ENTRIES; i++)
		port->reta[i] = (uint8_t)(spread && data->nb_rx_queues ? i % data->nb_rx_queues : 0);
}

int slu_rss_start(struct slu_port *port)
{
	int error = write_key(port);

	return error ? error : write_reta(port);
}

int slu_rss_hash_update(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	struct slu_port *port = slu_port_of(dev);

	if (!conf->rss_key)
		return 0; /* the card always hashes all that it can */
	if (conf->rss_key_len != SLU_RSS_KEY_BYTES)
		return -EINVAL;
	memcpy(port->rss_key, conf->rss_key, SLU_RSS_KEY_BYTES);
	return write_key(port);
}

int slu_rss_hash_get(struct rte_eth_dev *dev, struct rte_eth_rss_conf *conf)
{
	if (conf->rss_key && conf->rss_key_len >= SLU_RSS_KEY_BYTES)
		memcpy(conf->rss_key, slu_port_of(dev)->rss_key, SLU_RSS_KEY_BYTES);
	conf->rss_key_len = SLU_RSS_KEY_BYTES;
	conf->rss_hf = SLU_RSS_TYPES;
	return 0;
}

int slu_rss_reta_update(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t count)
{
	struct slu_port *port = slu_port_of(dev);

	if (count != SLU_NIC_RETA_ENTRIES)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		bool wanted = reta[i / 64].mask >> (i % 64) & 1;

		if (wanted && reta[i / 64].reta[i % 64] >= dev->data->nb_rx_queues)
			return -EINVAL;
	}
	for (unsigned i = 0; i < count; i++) {
		if (reta[i / 64].mask >> (i % 64) & 1)
			port->reta[i] = (uint8_t)reta[i / 64].reta[i % 64];
	}
	return write_reta(port);
}

int slu_rss_reta_query(struct rte_eth_dev *dev, struct rte_eth_rss_reta_entry64 *reta, uint16_t count)
{
	const struct slu_port *port = slu_port_of(dev);

	if (count != SLU_NIC_RETA_ENTRIES)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		if (reta[i / 64].mask >> (i % 64) & 1)
			reta[i / 64].reta[i % 64] = port->reta[i];
	}
	return 0;
}
