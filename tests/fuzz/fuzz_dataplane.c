/*
 * Frames from outside through a worker of the data plane.
 *
 * Input: records {kind, count, count x {offset, value}}. A kind is a sound
 * packet of some sort, in which the bytes at the offsets are replaced (bit 7 of
 * kind: the IPv4 checksum is made right again, so that what follows it is
 * reached), or with the last kind a frame of just these values. Whatever comes,
 * every packet must end in exactly one place, and none may leak.
 */
#include "tests/unit/dataplane_fixture.h"

#define FRAMES_MAX 64

static struct fixture fixtures[2];

static const struct flow kinds[] = {
	{.protocol = 6, .dport = 80, .flags = SYN}, {.protocol = 6, .dport = 80, .flags = ACK, .payload = 40},
	{.protocol = 6, .dport = 80, .flags = FIN | ACK}, {.protocol = 6, .dport = 81, .flags = SYN},
	{.protocol = 17, .dport = 53, .payload = 60},
	{.protocol = 17, .dport = 53, .payload = 64, .fragment = 0x2000, .id = 7},
	{.protocol = 17, .dport = 53, .payload = 64, .fragment = 9, .id = 7},
	{.protocol = 6, .dport = 80, .flags = SYN, .vlan = 5}, {.protocol = 1, .dport = 0, .payload = 64},
	{.protocol = 58, .dport = 0, .payload = 64},
	{.protocol = 6, .dport = 80, .flags = SYN, .payload = 40}, /* for options */
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fixture_create(&fixtures[0], 4, 1, NULL);
	fixture_create(&fixtures[1], 6, 1, NULL);
	slu_offload_enable(fixtures[0].dp, true);
	return 0;
}

static void make_ip_right(struct rte_mbuf *m, unsigned int l3)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, l3);
	uint32_t header = (ip[0] & 15) * 4u;
	uint16_t checksum;

	if (header < 20 || l3 + header > m->data_len)
		return;
	ip[10] = ip[11] = 0;
	checksum = slu_checksum_final(slu_checksum_add(0, ip, header));
	memcpy(ip + 10, &checksum, 2);
}

static struct rte_mbuf *make_frame(struct fixture *f, uint8_t kind, const uint8_t *patch, size_t count)
{
	struct rte_mbuf *m;
	struct flow flow;

	if ((kind & 0x3F) >= RTE_DIM(kinds)) {
		m = rte_pktmbuf_alloc(fixture_pool());
		memcpy(rte_pktmbuf_append(m, (uint16_t)(2 * count)), patch, 2 * count);
		return m;
	}
	flow = kinds[kind & 0x3F];
	flow.src = fixture_client(f, 0);
	flow.dst = fixture_vip(f);
	flow.sport = 40000;
	m = fixture_packet(&flow);
	for (size_t i = 0; i < count; i++)
		if (patch[2 * i] < m->data_len)
			rte_pktmbuf_mtod(m, uint8_t *)[patch[2 * i]] = patch[2 * i + 1];
	if (kind & 0x80 && f->family == 4)
		make_ip_right(m, flow.vlan ? 18 : 14);
	/* Shortened, as a wire may do. */
	if (count && patch[0] == 0xFF && patch[1] < m->data_len) {
		m->data_len = patch[1];
		m->pkt_len = patch[1];
	}
	return m;
}

static uint64_t drain(struct fixture *f)
{
	struct rte_mbuf **packets;
	uint64_t total = 0;
	uint16_t count;

	for (uint16_t port = 0; port < SLU_PORTS_MAX; port++) {
		count = slu_worker_take_tx(f->w, port, &packets);
		rte_pktmbuf_free_bulk(packets, count);
		total += count;
	}
	count = slu_worker_take_exceptions(f->w, &packets);
	rte_pktmbuf_free_bulk(packets, count);
	return total + count;
}

/* Everything that came in went somewhere, once. */
static void check(struct fixture *f)
{
	uint64_t c[SLU_COUNT_MAX], out;

	slu_dataplane_counters(f->dp, c);
	out = c[SLU_COUNT_TX] + c[SLU_COUNT_EXCEPTION];
	for (int i = 0; i < SLU_COUNT_MAX; i++)
		if (slu_counter_info[i].is_drop)
			out += c[i];
	/* Answers are sent in the packet that was dropped. */
	out -= c[SLU_COUNT_PROXY_HEADERS_ALONE] + c[SLU_COUNT_RST_SENT] + c[SLU_COUNT_TIME_EXCEEDED_SENT] +
	       c[SLU_COUNT_TOO_BIG_SENT];
	if (out + f->w->held_count != c[SLU_COUNT_RX] || rte_mempool_in_use_count(fixture_pool()) != f->w->held_count)
		abort();
}

/* The listeners are read in place. */
static void tell_client_address(struct fixture *f, unsigned int kind)
{
	f->listeners[LISTENER_TCP].client_address =
		kind <= SLU_CLIENT_ADDRESS_PROXY_V2 ? (enum slu_client_address)kind : SLU_CLIENT_ADDRESS_NONE;
	f->listeners[LISTENER_UDP].client_address =
		kind == SLU_CLIENT_ADDRESS_PROXY_V2 ? SLU_CLIENT_ADDRESS_PROXY_V2 : SLU_CLIENT_ADDRESS_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fixture *f = &fixtures[bytes ? data[0] & 1 : 0];
	struct rte_mbuf *frames[FRAMES_MAX];
	struct slu_offload_request request;
	uint16_t count = 0, in_port;

	if (bytes < 2)
		return 0;
	in_port = data[0] >> 1 & 1;
	f->now_us += (uint64_t)(data[0] >> 2) << 20;
	slu_worker_tick(f->w, f->now_us);
	tell_client_address(f, data[0] >> 2 & 3);
	data++;
	bytes--;
	while (bytes >= 2 && count < FRAMES_MAX) {
		size_t patches = data[1];

		if (patches * 2 > bytes - 2)
			patches = (bytes - 2) / 2;
		frames[count++] = make_frame(f, data[0], data + 2, patches);
		data += 2 + 2 * patches;
		bytes -= 2 + 2 * patches;
	}
	slu_worker_burst(f->w, in_port, frames, count);
	drain(f);
	slu_worker_poll(f->w);
	drain(f);
	slu_worker_offload_flush(f->w);
	while (slu_offload_next(f->dp, &request))
		slu_offload_done(f->dp, request.session, (enum slu_dir)request.dir, false);
	check(f);
	return 0;
}
