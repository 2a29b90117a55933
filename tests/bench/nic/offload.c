/*
 * Rules through rte_flow on the simulated card: how long a connection waits
 * between its third packet and the first one that the card forwards, and what a rule
 * costs the CPU.
 *
 *   offload EAL_OPTIONS... -- IN OUT
 *
 * Port 0 and 1 are the card's; interfaces IN and OUT are the far ends of its
 * wires, in this network namespace. Prints lines `name value unit`.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#define SAMPLES 500
#define RULES 20000u
#define FLOW_QUEUE 1024u
#define BURST 32
#define PATIENCE_NS 5000000000ull
#define FRAME_BYTES 64

static struct rte_mempool *pool;

static void die(const char *what)
{
	fprintf(stderr, "offload: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Of this process, all threads. */
static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static int open_wire(const char *interface)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
		.sll_protocol = rte_cpu_to_be_16(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface)};
	int s = socket(AF_PACKET, SOCK_RAW, 0);

	if (s < 0 || !at.sll_ifindex || bind(s, (struct sockaddr *)&at, sizeof(at)))
		die("cannot open an end of a wire");
	return s;
}

static void start_port(uint16_t port)
{
	const struct rte_flow_port_attr attr = {0};
	const struct rte_flow_queue_attr queue = {.size = FLOW_QUEUE};
	const struct rte_flow_queue_attr *queues[] = {&queue};
	const struct rte_eth_conf conf = {0};
	struct rte_flow_error error;

	if (rte_eth_dev_configure(port, 1, 1, &conf) || rte_eth_rx_queue_setup(port, 0, 256, 0, NULL, pool) ||
		rte_eth_tx_queue_setup(port, 0, 256, 0, NULL) ||
		(port == 0 && rte_flow_configure(port, &attr, 1, queues, &error)) || rte_eth_dev_start(port))
		die("cannot start a port of the card");
}

/* One TCP segment of the n-th connection, as it comes into the card. */
static void make_frame(uint8_t frame[FRAME_BYTES], uint32_t n)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)frame;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

	memset(frame, 0, FRAME_BYTES);
	eth->dst_addr.addr_bytes[0] = 2;
	eth->src_addr.addr_bytes[0] = 2;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = RTE_BE16(FRAME_BYTES - sizeof(*eth));
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_TCP;
	ip->src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 0) + n);
	ip->dst_addr = RTE_BE32(RTE_IPV4(198, 18, 1, 100));
	tcp->src_port = rte_cpu_to_be_16((uint16_t)(1024 + n % 60000));
	tcp->dst_port = RTE_BE16(80);
	tcp->data_off = 5 << 4;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
}

/* What a FULLNAT session asks of the card, both directions alike: addresses, ports, MACs, TTL, count. */
struct rule {
	struct rte_flow_item_ipv4 ip, ip_mask;
	struct rte_flow_item_tcp tcp, tcp_mask;
	struct rte_flow_action_set_ipv4 src, dst;
	struct rte_flow_action_set_tp sport, dport;
	struct rte_flow_action_set_mac smac, dmac;
	struct rte_flow_action_ethdev out;
	struct rte_flow_item pattern[5];
	struct rte_flow_action actions[10];
};

static const struct rte_flow_attr transfer = {.transfer = 1};
static const struct rte_flow_item_ethdev port_mask = {.port_id = UINT16_MAX};
static const struct rte_flow_item_ethdev ports[2] = {{.port_id = 0}, {.port_id = 1}};

static void make_rule(struct rule *r, uint32_t n, bool reply)
{
	const rte_be32_t client = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 0) + n),
			 vip = RTE_BE32(RTE_IPV4(198, 18, 1, 100));
	const rte_be32_t local = RTE_BE32(RTE_IPV4(198, 18, 2, 100)), backend = RTE_BE32(RTE_IPV4(198, 18, 2, 11));
	const rte_be16_t port = rte_cpu_to_be_16((uint16_t)(1024 + n % 60000)), http = RTE_BE16(80);

	memset(r, 0, sizeof(*r));
	r->ip_mask.hdr.src_addr = r->ip_mask.hdr.dst_addr = UINT32_MAX;
	r->tcp_mask.hdr.src_port = r->tcp_mask.hdr.dst_port = UINT16_MAX;
	r->tcp_mask.hdr.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG;
	r->ip.hdr.src_addr = reply ? backend : client;
	r->ip.hdr.dst_addr = reply ? local + rte_cpu_to_be_32(n / 60000) : vip;
	r->tcp.hdr.src_port = reply ? http : port;
	r->tcp.hdr.dst_port = reply ? port : http;
	r->src.ipv4_addr = reply ? vip : local;
	r->dst.ipv4_addr = reply ? client : backend;
	r->sport.port = reply ? http : port;
	r->dport.port = reply ? port : http;
	r->smac.mac_addr[0] = r->dmac.mac_addr[0] = 2;
	r->dmac.mac_addr[5] = reply ? 1 : 2;
	r->out.port_id = reply ? 0 : 1;
	r->pattern[0] = (struct rte_flow_item){
		.type = RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT, .spec = &ports[reply], .mask = &port_mask};
	r->pattern[1] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_ETH};
	r->pattern[2] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &r->ip, .mask = &r->ip_mask};
	r->pattern[3] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &r->tcp, .mask = &r->tcp_mask};
	struct rte_flow_action *a = r->actions;
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC, &r->src};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_IPV4_DST, &r->dst};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_TP_SRC, &r->sport};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_TP_DST, &r->dport};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_MAC_SRC, &r->smac};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_SET_MAC_DST, &r->dmac};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_DEC_TTL, NULL};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_COUNT, NULL};
	*a++ = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, &r->out};
	a->type = RTE_FLOW_ACTION_TYPE_END;
}

static void send_frame(int wire, const uint8_t *frame)
{
	if (send(wire, frame, FRAME_BYTES, 0) != FRAME_BYTES)
		die("cannot send into a wire");
}

/* Takes one packet off the card's port 0. */
static void take_packet(void)
{
	struct rte_mbuf *packets[BURST];
	uint64_t begin = now_ns();

	for (;;) {
		uint16_t n = rte_eth_rx_burst(0, 0, packets, BURST);

		rte_pktmbuf_free_bulk(packets, n);
		if (n)
			return;
		if (now_ns() - begin > PATIENCE_NS)
			die("a packet did not reach the host");
		rte_pause();
	}
}

/* Waits for our frame, rewritten by the card, at the far end of wire 1. */
static void await_hit(int wire)
{
	struct pollfd p = {.fd = wire, .events = POLLIN};
	uint8_t frame[2048];

	for (;;) {
		if (poll(&p, 1, (int)(PATIENCE_NS / 1000000)) <= 0)
			die("the card did not forward a packet");
		ssize_t bytes = recv(wire, frame, sizeof(frame), 0);
		const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(frame + sizeof(struct rte_ether_hdr));

		if (bytes >= FRAME_BYTES && ip->dst_addr == RTE_BE32(RTE_IPV4(198, 18, 2, 11)))
			return;
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/*
 * From the moment the third packet is put on the wire to the moment the fourth, sent when both rules are in, has come
 * out of the other wire, forwarded by the card: a hit seen with one's own eyes, both wires included.
 */
static void bench_latency(int in, int out)
{
	static uint64_t took_ns[SAMPLES];
	struct rte_flow_error error;

	for (uint32_t n = 0; n < SAMPLES; n++) {
		uint8_t frame[FRAME_BYTES];
		struct rte_flow *flows[2];
		struct rule rule;

		make_frame(frame, n);
		for (int i = 0; i < 2; i++) {
			send_frame(in, frame);
			take_packet();
		}
		uint64_t begin = now_ns();
		send_frame(in, frame);
		take_packet();
		for (int reply = 1; reply >= 0; reply--) {
			make_rule(&rule, n, reply);
			flows[reply] = rte_flow_create(0, &transfer, rule.pattern, rule.actions, &error);
			if (!flows[reply])
				die(error.message ? error.message : "a rule was refused");
		}
		send_frame(in, frame);
		await_hit(out);
		took_ns[n] = now_ns() - begin;
		for (int i = 0; i < 2; i++)
			rte_flow_destroy(0, flows[i], &error);
	}
	qsort(took_ns, SAMPLES, sizeof(took_ns[0]), by_value);
	printf("offload.third_packet_to_hit_us_p50 %.1f us\n", (double)took_ns[SAMPLES / 2] / 1000);
	printf("offload.third_packet_to_hit_us_p99 %.1f us\n", (double)took_ns[SAMPLES * 99 / 100] / 1000);
}

static struct rte_flow_template_table *make_table(const struct rule *rule)
{
	const struct rte_flow_pattern_template_attr pattern_attr = {.transfer = 1};
	const struct rte_flow_actions_template_attr actions_attr = {.transfer = 1};
	const struct rte_flow_template_table_attr attr = {.flow_attr = transfer, .nb_flows = RULES};
	struct rte_flow_action masks[RTE_DIM(rule->actions)];
	struct rte_flow_error error;

	/* Every value comes with the rule. */
	for (unsigned i = 0; i < RTE_DIM(masks); i++)
		masks[i] = (struct rte_flow_action){.type = rule->actions[i].type};
	struct rte_flow_pattern_template *pattern =
		rte_flow_pattern_template_create(0, &pattern_attr, rule->pattern, &error);
	struct rte_flow_actions_template *actions =
		pattern ? rte_flow_actions_template_create(0, &actions_attr, rule->actions, masks, &error) : NULL;
	struct rte_flow_template_table *table =
		actions ? rte_flow_template_table_create(0, &attr, &pattern, 1, &actions, 1, &error) : NULL;
	if (!table)
		die(error.message ? error.message : "templates are refused");
	return table;
}

static unsigned pull(void)
{
	struct rte_flow_op_result results[BURST];
	struct rte_flow_error error;
	int n = rte_flow_pull(0, 0, results, BURST, &error);

	if (n < 0)
		die("pull failed");
	for (int i = 0; i < n; i++) {
		if (results[i].status != RTE_FLOW_OP_SUCCESS)
			die("the card refused a rule");
	}
	return (unsigned)n;
}

/* The process sleeps while the card works, so that only its own work counts. */
static void bench_rules(void)
{
	const struct rte_flow_op_attr postpone = {.postpone = 1};
	static struct rte_flow *flows[RULES];
	struct rte_flow_error error;
	struct rule rule;

	make_rule(&rule, 0, false);
	struct rte_flow_template_table *table = make_table(&rule);
	unsigned asked = 0, done = 0;
	double begin = cpu_s();
	uint64_t progress = now_ns();
	while (done < RULES) {
		for (; asked < RULES && asked - done < FLOW_QUEUE; asked++) {
			make_rule(&rule, asked / 2, !(asked & 1));
			flows[asked] = rte_flow_async_create(
				0, 0, &postpone, table, rule.pattern, 0, rule.actions, 0, NULL, &error);
			if (!flows[asked])
				die(error.message ? error.message : "a rule was refused");
		}
		rte_flow_push(0, 0, &error);
		unsigned n = pull();
		done += n;
		if (n) {
			progress = now_ns();
		} else {
			if (now_ns() - progress > PATIENCE_NS)
				die("the card does not complete rules");
			usleep(1000);
		}
	}
	double cpu = cpu_s() - begin;
	printf("offload.rules_per_cpu_s %.0f 1/s\n", RULES / cpu);
}

int main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);

	if (used < 0 || argc - used != 3 || rte_eth_dev_count_avail() != 2)
		die("usage: offload EAL_OPTIONS... -- IN OUT, with a card of two ports");
	int in = open_wire(argv[used + 1]), out = open_wire(argv[used + 2]);
	pool = rte_pktmbuf_pool_create("bench", 4095, 250, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (!pool)
		die("no memory for packets");
	for (uint16_t port = 0; port < 2; port++)
		start_port(port);
	bench_latency(in, out);
	bench_rules();
	for (uint16_t port = 0; port < 2; port++) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	rte_eal_cleanup();
	return 0;
}
