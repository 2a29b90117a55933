#include "tests/bench/l4/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>
#include <rte_kvargs.h>
#include <rte_malloc.h>

#define IPV4_FRAME 60
#define IPV6_FRAME 80
#define PAYLOAD 6

enum { NET_VIP = 1, NET_BACKEND, NET_LOCAL, NET_CLIENT };

/* A frame without addresses and ports, and the sums of what it has. */
struct template
{
	uint8_t frame[IPV6_FRAME];
	uint32_t ip_sum, tcp_sum;
};

struct queue {
	struct source *source;
	struct rte_mempool *pool;
	uint64_t received, bytes;
	uint16_t port;
	struct template template[3]; /* by TCP flags: ACK, SYN, SYN|ACK */
};

enum { TEMPLATE_ACK, TEMPLATE_SYN, TEMPLATE_SYN_ACK };

/* Both endpoints of a packet, as in the packet. */
struct endpoints {
	uint32_t src, dst; /* last four bytes of the addresses */
	uint16_t sport, dport;
	uint8_t src_net, dst_net;
};

static uint16_t be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

/* ---------------------------------------------------------------- addresses */

#define CLIENT_PORTS 32768u /* a power of two */

/* Addresses differ in their last four bytes only. */
static inline uint32_t client_tail(uint32_t flow)
{
	return __builtin_bswap32(0x0A000000 + flow / CLIENT_PORTS);
}

static inline uint16_t client_port(uint32_t flow)
{
	return be16((uint16_t)(1024 + flow % CLIENT_PORTS));
}

/* 198.18.net.last, or fd00:0:0:net::198.18.net.last */
static inline uint32_t tail(uint8_t net, uint32_t last)
{
	return 198 | 18 << 8 | (uint32_t)net << 16 | last << 24;
}

static inline void fill_address(const struct source *s, uint8_t *address, uint8_t net, uint32_t last4)
{
	if (s->family == 4) {
		memcpy(address, &last4, 4);
	} else {
		const uint32_t words[4] = {0xFD, (uint32_t)net << 24, 0, last4};

		memcpy(address, words, 16);
	}
}

void source_client(const struct source *s, uint32_t flow, uint8_t *address, uint16_t *port)
{
	fill_address(s, address, NET_CLIENT, client_tail(flow));
	*port = client_port(flow);
}

void source_vip(const struct source *s, uint8_t *address)
{
	fill_address(s, address, NET_VIP, tail(NET_VIP, 100));
}

void source_backend(const struct source *s, uint32_t index, uint8_t *address)
{
	fill_address(s, address, NET_BACKEND, tail(NET_BACKEND, 10 + index));
}

void source_local(const struct source *s, uint32_t index, uint8_t *address)
{
	fill_address(s, address, NET_LOCAL, tail(NET_LOCAL, 1 + index));
}

void source_open(struct source *s, enum source_mode mode, uint32_t from, uint32_t to)
{
	s->mode = mode;
	s->next = from;
	s->next_position = (uint32_t)((uint64_t)from * s->inverse % s->flows);
	s->limit = to;
	s->learn = mode == SOURCE_SYN;
}

static inline void request_endpoints(uint32_t flow, struct endpoints *e)
{
	*e = (struct endpoints){.src = client_tail(flow),
		.dst = tail(NET_VIP, 100),
		.sport = client_port(flow),
		.dport = be16(SOURCE_VIP_PORT),
		.src_net = NET_CLIENT,
		.dst_net = NET_VIP};
}

static inline void reply_endpoints(const struct source *s, uint32_t position, struct endpoints *e)
{
	const struct source_reply *r = &s->replies[position];

	*e = (struct endpoints){.src = tail(NET_BACKEND, 10u + r->backend),
		.dst = tail(NET_LOCAL, 1u + r->local),
		.sport = be16(SOURCE_BACKEND_PORT),
		.dport = r->port,
		.src_net = NET_BACKEND,
		.dst_net = NET_LOCAL};
}

/* ---------------------------------------------------------------- checksums */

static uint32_t sum_bytes(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < n; i += 2) {
		memcpy(&word, p + i, 2);
		sum += word;
	}
	return sum;
}

static inline uint16_t fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (sum & 0xFFFF);
	sum = (sum >> 16) + (sum & 0xFFFF);
	sum = (sum >> 16) + (sum & 0xFFFF);
	return (uint16_t)sum;
}

static void make_template(struct template *t, uint8_t family, uint8_t flags)
{
	unsigned int header = family == 4 ? 20 : 40, tcp_bytes = 20 + PAYLOAD;
	uint8_t *ip = t->frame + 14, *tcp = ip + header;

	memset(t, 0, sizeof(*t));
	memset(t->frame, 0x02, 12);
	t->frame[12] = family == 4 ? 0x08 : 0x86;
	t->frame[13] = family == 4 ? 0x00 : 0xDD;
	if (family == 4) {
		ip[0] = 0x45;
		ip[3] = (uint8_t)(header + tcp_bytes);
		ip[6] = 0x40;
		ip[8] = 64;
		ip[9] = 6;
		t->ip_sum = sum_bytes(ip, header);
	} else {
		ip[0] = 0x60;
		ip[5] = (uint8_t)tcp_bytes;
		ip[6] = 6;
		ip[7] = 64;
	}
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	tcp[14] = 16;
	t->tcp_sum = sum_bytes(tcp, tcp_bytes) + be16(6) + be16((uint16_t)tcp_bytes);
}

/* The payload names the position and the direction, so that the packet is recognised when it comes out. */
static inline uint16_t write_frame(const struct source *s, const struct template *t, uint8_t *frame,
	const struct endpoints *e, uint32_t position, uint16_t direction)
{
	uint32_t ports = e->sport | (uint32_t)e->dport << 16;
	uint64_t addresses = (uint64_t)e->src + e->dst;
	uint16_t checksum;
	uint8_t *tcp;

	if (s->family == 4) {
		memcpy(frame, t->frame, IPV4_FRAME);
		checksum = (uint16_t)~fold(t->ip_sum + addresses);
		memcpy(frame + 24, &checksum, 2);
		memcpy(frame + 26, &e->src, 4);
		memcpy(frame + 30, &e->dst, 4);
		tcp = frame + 34;
	} else {
		memcpy(frame, t->frame, IPV6_FRAME);
		addresses += 2 * 0xFDu + ((uint32_t)e->src_net << 8) + ((uint32_t)e->dst_net << 8);
		fill_address(s, frame + 22, e->src_net, e->src);
		fill_address(s, frame + 38, e->dst_net, e->dst);
		tcp = frame + 54;
	}
	checksum = (uint16_t)~fold(t->tcp_sum + addresses + ports + position + direction);
	memcpy(tcp, &ports, 4);
	memcpy(tcp + 16, &checksum, 2);
	memcpy(tcp + 20, &position, 4);
	memcpy(tcp + 24, &direction, 2);
	return s->family == 4 ? IPV4_FRAME : IPV6_FRAME;
}

/* ------------------------------------------------------------------ receive */

static inline void advance(const struct source *s, uint32_t *position, uint32_t *flow)
{
	*flow += s->stride;
	if (*flow >= s->flows)
		*flow -= s->flows;
	if (++*position == s->flows) {
		*position = 0;
		*flow = 0;
	}
}

static inline uint16_t next_traffic(struct queue *q, uint8_t *frame, bool reply)
{
	struct source *s = q->source;
	struct endpoints e;
	uint16_t bytes;

	if (reply) {
		reply_endpoints(s, s->reply, &e);
		bytes = write_frame(s, &q->template[TEMPLATE_ACK], frame, &e, s -> reply, 1);
		advance(s, &s->reply, &s->reply_flow);
	} else {
		request_endpoints(s->request_flow, &e);
		bytes = write_frame(s, &q->template[TEMPLATE_ACK], frame, &e, s -> request, 0);
		advance(s, &s->request, &s->request_flow);
	}
	return bytes;
}

static uint16_t next_opening(struct queue *q, uint8_t *frame)
{
	struct source *s = q->source;
	uint32_t position = s->next_position;
	const struct template *t;
	struct endpoints e;

	if (s->mode == SOURCE_SYN_ACK) {
		reply_endpoints(s, position, &e);
		t = &q->template[TEMPLATE_SYN_ACK];
	} else {
		request_endpoints(s->next, &e);
		t = &q->template[s->mode == SOURCE_SYN ? TEMPLATE_SYN : TEMPLATE_ACK];
	}
	s->next++;
	s->next_position += s->inverse;
	if (s->next_position >= s->flows)
		s->next_position -= s->flows;
	return write_frame(s, t, frame, &e, position, s->mode == SOURCE_SYN_ACK);
}

static uint16_t receive(void *queue, struct rte_mbuf **packets, uint16_t count)
{
	struct queue *q = queue;
	struct source *s = q->source;

	if (s->mode != SOURCE_TRAFFIC && count > s->limit - s->next)
		count = (uint16_t)(s->limit - s->next);
	if (count == 0 || rte_pktmbuf_alloc_bulk(q->pool, packets, count))
		return 0;
	for (uint16_t i = 0; i < count; i++) {
		struct rte_mbuf *m = packets[i];
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

		m->data_len = s->mode == SOURCE_TRAFFIC ? next_traffic(q, frame, i & 1) : next_opening(q, frame);
		m->pkt_len = m->data_len;
		m->port = q->port;
		q->bytes += m->data_len;
	}
	q->received += count;
	return count;
}

/* --------------------------------------------------------------------- send */

static void complain(struct source *s, const char *what, uint32_t position, uint16_t direction)
{
	if (!s->wrong++)
		snprintf(s->first_wrong, sizeof(s->first_wrong), "%s, position %u, direction %u", what, position,
			direction);
}

/* Every byte that matters of a translated packet. */
static void check(struct source *s, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *ip = frame + 14;
	unsigned int n = s->family == 4 ? 4 : 16, header = s->family == 4 ? 20 : 40;
	const uint8_t *src = ip + (n == 4 ? 12 : 8), *tcp = ip + header;
	uint32_t position, pseudo;
	uint8_t expected[32];
	struct endpoints e;
	uint16_t direction;

	s->checked++;
	memcpy(&position, tcp + 20, 4);
	memcpy(&direction, tcp + 24, 2);
	if (m->pkt_len != (n == 4 ? IPV4_FRAME : IPV6_FRAME) || position >= s->flows) {
		complain(s, "not a packet of ours", position, direction);
		return;
	}
	if (direction)
		request_endpoints((uint32_t)((uint64_t)position * s->stride % s->flows), &e);
	else
		reply_endpoints(s, position, &e);
	/* It leaves with the other direction's endpoints turned around. */
	fill_address(s, expected, e.dst_net, e.dst);
	fill_address(s, expected + n, e.src_net, e.src);
	pseudo = sum_bytes(src, 2 * n) + be16(6) + be16(20 + PAYLOAD);
	if (memcmp(src, expected, 2 * n) || memcmp(tcp, &e.dport, 2) || memcmp(tcp + 2, &e.sport, 2))
		complain(s, "wrong tuple", position, direction);
	else if (n == 4 && fold(sum_bytes(ip, header)) != 0xFFFF)
		complain(s, "wrong IP checksum", position, direction);
	else if (fold(pseudo + sum_bytes(tcp, 20 + PAYLOAD)) != 0xFFFF)
		complain(s, "wrong TCP checksum", position, direction);
	else if (ip[n == 4 ? 8 : 7] != 63)
		complain(s, "TTL not decremented", position, direction);
	else if (frame[5] == 0x02)
		complain(s, "MAC address not set", position, direction);
}

/* What the balancer chose for a flow: from the SYN that goes to the backend. */
static void learn(struct source *s, const struct rte_mbuf *m)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *) + 14;
	unsigned int n = s->family == 4 ? 4 : 16, header = s->family == 4 ? 20 : 40;
	const uint8_t *src = ip + (n == 4 ? 12 : 8), *tcp = ip + header;
	struct source_reply *r;
	uint32_t position;

	memcpy(&position, tcp + 20, 4);
	if (position >= s->flows) {
		complain(s, "SYN of no flow", position, 0);
		return;
	}
	r = &s->replies[position];
	r->local = (uint8_t)(src[n - 1] - 1);
	r->backend = (uint8_t)(src[2 * n - 1] - 10);
	memcpy(&r->port, tcp, 2);
}

static uint16_t transmit(void *queue, struct rte_mbuf **packets, uint16_t count)
{
	struct queue *q = queue;
	struct source *s = q->source;

	if (s->learn)
		for (uint16_t i = 0; i < count; i++)
			learn(s, packets[i]);
	else if ((s->sent & (SOURCE_SAMPLE - 1)) + count >= SOURCE_SAMPLE)
		check(s, packets[s->sent % count]);
	s->sent += count;
	rte_pktmbuf_free_bulk(packets, count);
	return count;
}

/* ------------------------------------------------------------------- ethdev */

struct device {
	struct source source;
	struct queue rx, tx;
};

static int configure(struct rte_eth_dev *dev)
{
	(void)dev;
	return 0;
}

static int start(struct rte_eth_dev *dev)
{
	dev->data->dev_link.link_status = RTE_ETH_LINK_UP;
	return 0;
}

static int stop(struct rte_eth_dev *dev)
{
	dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
	return 0;
}

static int close_device(struct rte_eth_dev *dev)
{
	struct device *d = dev->data->dev_private;

	free(d->source.replies);
	d->source.replies = NULL;
	dev->data->mac_addrs = NULL;
	return 0;
}

static int info(struct rte_eth_dev *dev, struct rte_eth_dev_info *i)
{
	(void)dev;
	i->max_mac_addrs = 1;
	i->max_rx_pktlen = 9216;
	i->max_rx_queues = 1;
	i->max_tx_queues = 1;
	return 0;
}

static int link_update(struct rte_eth_dev *dev, int wait)
{
	(void)dev;
	(void)wait;
	return 0;
}

static int rx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t descriptors, unsigned int socket,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct device *d = dev->data->dev_private;

	(void)id, (void)descriptors, (void)socket, (void)conf;
	d->rx.pool = pool;
	dev->data->rx_queues[0] = &d->rx;
	return 0;
}

static int tx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t descriptors, unsigned int socket,
	const struct rte_eth_txconf *conf)
{
	struct device *d = dev->data->dev_private;

	(void)id, (void)descriptors, (void)socket, (void)conf;
	dev->data->tx_queues[0] = &d->tx;
	return 0;
}

static int stats(struct rte_eth_dev *dev, struct rte_eth_stats *out)
{
	const struct device *d = dev->data->dev_private;

	out->ipackets = d->rx.received;
	out->ibytes = d->rx.bytes;
	out->opackets = d->source.sent;
	return 0;
}

static const struct eth_dev_ops operations = {
	.dev_configure = configure,
	.dev_start = start,
	.dev_stop = stop,
	.dev_close = close_device,
	.dev_infos_get = info,
	.link_update = link_update,
	.rx_queue_setup = rx_setup,
	.tx_queue_setup = tx_setup,
	.stats_get = stats,
};

/* The stride visits flows far apart; its inverse finds a flow's position. */
static void permute(struct source *s)
{
	int64_t a = 0, b = 1, r = s->flows, t;

	if (s->flows == 1) {
		s->stride = s->inverse = 0;
		return;
	}
	s->stride = (uint32_t)(s->flows * 0.6180339887);
	for (;; s->stride++) {
		int64_t u = s->flows, v = s->stride, x = 0, y = 1;

		while (v) {
			int64_t k = u / v;

			t = u - k * v;
			u = v;
			v = t;
			t = x - k * y;
			x = y;
			y = t;
		}
		a = u;
		b = x;
		if (a == 1)
			break;
	}
	s->inverse = (uint32_t)(b < 0 ? b + r : b);
}

static int set_up(struct device *d, uint16_t port, uint32_t flows, uint8_t family)
{
	struct source *s = &d->source;

	s->flows = flows;
	s->family = family;
	s->replies = calloc(flows, sizeof(*s->replies));
	if (!s->replies)
		return -ENOMEM;
	permute(s);
	s->reply = flows / 2;
	s->reply_flow = (uint32_t)((uint64_t)s->reply * s->stride % flows);
	for (uint32_t i = 0; i < flows; i++)
		s->replies[i] =
			(struct source_reply){i % SOURCE_LOCALS, i % SOURCE_BACKENDS, be16((uint16_t)(1024 + i / 512))};
	d->rx.source = d->tx.source = s;
	d->rx.port = d->tx.port = port;
	make_template(&d->rx.template[TEMPLATE_ACK], family, 0x10);
	make_template(&d->rx.template[TEMPLATE_SYN], family, 0x02);
	make_template(&d->rx.template[TEMPLATE_SYN_ACK], family, 0x12);
	return 0;
}

static int parse_number(const char *key, const char *value, void *out)
{
	(void)key;
	*(uint32_t *)out = (uint32_t)strtoul(value, NULL, 0);
	return *(uint32_t *)out ? 0 : -EINVAL;
}

static int probe(struct rte_vdev_device *vdev)
{
	static struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 1}};
	static struct rte_eth_link link = {.link_speed = RTE_ETH_SPEED_NUM_100G, .link_duplex = 1};
	const char *const keys[] = {"flows", "family", NULL};
	struct rte_kvargs *arguments = rte_kvargs_parse(rte_vdev_device_args(vdev), keys);
	uint32_t flows = 1000, family = 4;
	struct rte_eth_dev *dev;
	int result;

	if (!arguments)
		return -EINVAL;
	result = rte_kvargs_process(arguments, "flows", parse_number, &flows);
	if (!result)
		result = rte_kvargs_process(arguments, "family", parse_number, &family);
	rte_kvargs_free(arguments);
	if (result || (family != 4 && family != 6))
		return -EINVAL;
	dev = rte_eth_vdev_allocate(vdev, sizeof(struct device));
	if (!dev)
		return -ENOMEM;
	result = set_up(dev->data->dev_private, dev->data->port_id, flows, (uint8_t)family);
	if (result) {
		rte_eth_dev_release_port(dev);
		return result;
	}
	dev->data->nb_rx_queues = dev->data->nb_tx_queues = 1;
	dev->data->mac_addrs = &mac;
	dev->data->dev_link = link;
	dev->data->dev_flags |= RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
	dev->dev_ops = &operations;
	dev->rx_pkt_burst = receive;
	dev->tx_pkt_burst = transmit;
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int remove_device(struct rte_vdev_device *vdev)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));

	if (!dev)
		return 0;
	close_device(dev);
	return rte_eth_dev_release_port(dev);
}

struct source *source_of(uint16_t port)
{
	struct device *d = rte_eth_devices[port].data->dev_private;

	return &d->source;
}

static struct rte_vdev_driver driver = {.probe = probe, .remove = remove_device};
RTE_PMD_REGISTER_VDEV(net_l4source, driver);
RTE_PMD_REGISTER_PARAM_STRING(net_l4source, "flows=<n> family=4|6");
