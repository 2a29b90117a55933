#include "tests/unit/dataplane_fixture.h"

#include <arpa/inet.h>

#include <rte_eal.h>

static struct rte_mempool *pool;
static struct rte_mbuf *to_free;

void fixture_eal(void)
{
	static bool done;
	char *arguments[] = {
		"test", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-l", "0", "--log-level=error"};

	if (done)
		return;
	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		abort();
	pool = rte_pktmbuf_pool_create("packets", 4095, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, 0);
	if (!pool)
		abort();
	done = true;
}

struct rte_mempool *fixture_pool(void)
{
	return pool;
}

struct slu_ip fixture_ip(const char *text)
{
	struct slu_ip ip = {.family = strchr(text, ':') ? 6 : 4};

	assert_int_equal(inet_pton(ip.family == 4 ? AF_INET : AF_INET6, text, ip.bytes), 1);
	return ip;
}

static struct slu_ip of(uint8_t family, const char *v4, const char *v6, unsigned int n)
{
	struct slu_ip ip = fixture_ip(family == 4 ? v4 : v6);

	ip.bytes[family == 4 ? 3 : 15] += n;
	return ip;
}

struct slu_ip fixture_vip(const struct fixture *f)
{
	return of(f->family, "198.18.1.100", "fd00:1::64", 0);
}

struct slu_ip fixture_client(const struct fixture *f, unsigned int n)
{
	return of(f->family, "198.19.7.10", "fd00:c::10", n);
}

struct slu_ip fixture_backend(const struct fixture *f, unsigned int n)
{
	return of(f->family, "198.18.2.11", "fd00:2::11", n);
}

static void make_backends(struct fixture *f)
{
	for (unsigned int i = 0; i < 4; i++) {
		f->backends[i] = (struct slu_backend){.id = 1000 + i,
			.live = i,
			.address = fixture_backend(f, i),
			.port = 8080,
			.configured = 1,
			.weight = 1,
			.seed = 77 + i};
		f->by_live[i] = &f->backends[i];
		f->wrr[i] = (uint16_t)i;
	}
	f->group = (struct slu_group){.id = 1,
		.scheduler = SLU_SCHED_RR,
		.backend_count = 4,
		.weight_sum = 4,
		.backends = f->backends,
		.wrr = f->wrr,
		.wrr_count = 4};
	f->groups[0] = &f->group;
}

static void make_listeners(struct fixture *f)
{
	static const struct slu_listener kinds[LISTENER_COUNT] = {
		[LISTENER_TCP] = {.protocol = 6, .port_first = 80, .port_last = 80},
		[LISTENER_UDP] = {.protocol = 17, .port_first = 53, .port_last = 53},
		[LISTENER_NAT] = {.protocol = 6, .port_first = 81, .port_last = 81, .mode = SLU_MODE_NAT},
		[LISTENER_RANGE] = {.protocol = 6, .port_first = 8000, .port_last = 8100},
	};

	for (uint32_t i = 0; i < LISTENER_COUNT; i++) {
		f->listeners[i] = kinds[i];
		f->listeners[i].id = 500 + i;
		f->listeners[i].live = i;
		f->listeners[i].address = fixture_vip(f);
		f->listeners[i].offload = true;
		f->listeners[i].offload_threshold_packets = 3;
		f->listeners[i].timeouts = (struct slu_timeouts){60, 120, 900, 120, 120, 10, 60, 30, 300};
		f->listener_by_live[i] = &f->listeners[i];
	}
}

static void make_generation(struct fixture *f)
{
	f->locals[0] = of(f->family, "198.18.2.100", "fd00:2::100", 0);
	f->locals[1] = of(f->family, "198.18.2.100", "fd00:2::100", 1);
	f->generation = (struct slu_generation){.number = 1,
		.listener_count = LISTENER_COUNT,
		.group_count = 1,
		.local_count = 2,
		.backend_count = 4,
		.listeners = f->listeners,
		.groups = f->groups,
		.locals = f->locals,
		.by_live = f->by_live,
		.live_limit = 8,
		.listener_by_live = f->listener_by_live,
		.listener_live_limit = LISTENER_COUNT};
}

/* Backends on the link of their port; clients behind a gateway of theirs. */
static struct slu_neigh_view *make_view(const struct fixture *f)
{
	struct slu_neigh_view *v = slu_neigh_view_create();
	struct slu_ip gateway = of(f->family, "198.18.1.1", "fd00:1::1", 0), any = {.family = f->family};
	struct slu_ip link = of(f->family, "198.18.2.0", "fd00:2::", 0);
	struct slu_nexthop hop = {.port = CLIENT_PORT, .dst_mac = {2, 0, 0, 0, 1, 1}, .src_mac = {2, 0, 0, 0, 1, 2}};

	assert_int_equal(slu_neigh_view_add_route(v, &any, 0, CLIENT_PORT, &gateway), 0);
	assert_int_equal(slu_neigh_view_add_route(v, &link, f->family == 4 ? 24 : 64, BACKEND_PORT, NULL), 0);
	assert_int_equal(slu_neigh_view_add_neighbour(v, &gateway, &hop), 0);
	for (uint8_t i = 0; i < 4; i++) {
		struct slu_ip ip = fixture_backend(f, i);

		hop = (struct slu_nexthop){
			.port = BACKEND_PORT, .dst_mac = {2, 0, 0, 0, 2, i}, .src_mac = {2, 0, 0, 0, 2, 0xFE}};
		assert_int_equal(slu_neigh_view_add_neighbour(v, &ip, &hop), 0);
	}
	return v;
}

void fixture_publish(struct fixture *f)
{
	slu_listener_index_free(f->generation.index);
	assert_int_equal(slu_listener_index_build(&f->generation), 0);
	f->generation.number++;
	slu_dataplane_publish(f->dp, &f->generation);
	/* The same generation object: make the workers look again. */
	for (uint32_t i = 0; i < f->dp->workers; i++)
		f->dp->worker[i]->generation = NULL;
}

void fixture_create(struct fixture *f, uint8_t family, uint32_t workers, const char *file)
{
	struct slu_dataplane_settings settings = {.session_file = file, .sessions = 4096, .workers = workers};
	struct slu_dataplane_recovery recovery;

	fixture_eal();
	memset(f, 0, sizeof(*f));
	f->family = family;
	f->now_us = settings.now_us = 1000000000;
	make_backends(f);
	make_listeners(f);
	make_generation(f);
	assert_int_equal(slu_dataplane_create(&settings, &f->dp, &recovery), 0);
	f->w = slu_dataplane_worker(f->dp, 0);
	fixture_publish(f);
	f->neigh = make_view(f);
	assert_null(slu_dataplane_publish_neigh(f->dp, f->neigh));
	for (uint32_t i = 0; i < workers; i++)
		slu_worker_start(f->dp->worker[i]);
}

static void release(void)
{
	rte_pktmbuf_free(to_free);
	to_free = NULL;
}

void fixture_destroy(struct fixture *f)
{
	release();
	for (uint32_t i = 0; i < f->dp->workers; i++)
		slu_worker_stop(f->dp->worker[i]);
	slu_dataplane_destroy(f->dp);
	slu_neigh_view_free(f->neigh);
	slu_listener_index_free(f->generation.index);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* ------------------------------------------------------------------ packets */

uint16_t fixture_sum16(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t pseudo(const uint8_t *src, const uint8_t *dst, unsigned int n, uint8_t protocol, uint32_t length)
{
	return (uint32_t)fixture_sum16(0, src, n) + fixture_sum16(0, dst, n) + protocol + length;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static unsigned int transport_bytes(uint8_t protocol)
{
	return protocol == 6 ? 20 : 8;
}

/* Header and payload of the upper layer, checksum of the whole included. Later fragments have payload only. */
static unsigned int write_upper(
	uint8_t *l4, const uint8_t *src, const uint8_t *dst, unsigned int n, const struct flow *flow)
{
	bool later = flow->fragment & 0x1FFF;
	unsigned int header = later ? 0 : transport_bytes(flow->protocol), bytes = header + flow->payload;
	uint16_t checksum;

	memset(l4, 0, header);
	for (unsigned int i = 0; i < flow->payload; i++)
		l4[header + i] = (uint8_t)(i * 7 + flow->sport);
	if (later)
		return bytes;
	if (flow->protocol == 1 || flow->protocol == 58) {
		l4[0] = flow->flags;
		put16(l4 + 4, flow->sport);
		put16(l4 + 6, (uint16_t)flow->seq);
		put16(l4 + 2,
			(uint16_t)~fixture_sum16(flow->protocol == 1 ? 0 : pseudo(src, dst, n, 58, bytes), l4, bytes));
		return bytes;
	}
	put16(l4, flow->sport);
	put16(l4 + 2, flow->dport);
	if (flow->protocol == 6) {
		put32(l4 + 4, flow->seq);
		put32(l4 + 8, flow->ack);
		l4[12] = 5 << 4;
		l4[13] = flow->flags;
		put16(l4 + 14, 1000);
	} else {
		put16(l4 + 4, (uint16_t)bytes);
	}
	checksum = (uint16_t)~fixture_sum16(pseudo(src, dst, n, flow->protocol, bytes), l4, bytes);
	if (flow->protocol == 17 && checksum == 0)
		checksum = 0xFFFF;
	put16(l4 + (flow->protocol == 6 ? 16 : 6), checksum);
	return bytes;
}

static unsigned int write_ip(uint8_t *ip, const struct flow *flow)
{
	unsigned int bytes;

	if (flow->src.family == 4) {
		memset(ip, 0, 20);
		memcpy(ip + 12, flow->src.bytes, 4);
		memcpy(ip + 16, flow->dst.bytes, 4);
		bytes = 20 + write_upper(ip + 20, ip + 12, ip + 16, 4, flow);
		ip[0] = 0x45;
		put16(ip + 2, (uint16_t)bytes);
		put16(ip + 4, flow->id);
		put16(ip + 6, flow->fragment);
		ip[8] = flow->ttl ? flow->ttl : 64;
		ip[9] = flow->protocol;
		put16(ip + 10, (uint16_t)~fixture_sum16(0, ip, 20));
		return bytes;
	}
	memset(ip, 0, 40);
	ip[0] = 0x60;
	ip[7] = flow->ttl ? flow->ttl : 64;
	memcpy(ip + 8, flow->src.bytes, 16);
	memcpy(ip + 24, flow->dst.bytes, 16);
	if (flow->fragment) {
		ip[6] = 44;
		memset(ip + 40, 0, 8);
		ip[40] = flow->protocol;
		put16(ip + 42, (uint16_t)((flow->fragment & 0x1FFF) << 3 | (flow->fragment & 0x2000 ? 1 : 0)));
		put32(ip + 44, flow->id);
		bytes = 48 + write_upper(ip + 48, ip + 8, ip + 24, 16, flow);
	} else {
		ip[6] = flow->protocol;
		bytes = 40 + write_upper(ip + 40, ip + 8, ip + 24, 16, flow);
	}
	put16(ip + 4, (uint16_t)(bytes - 40));
	return bytes;
}

struct rte_mbuf *fixture_packet(const struct flow *flow)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, 1600);
	unsigned int l3 = flow->vlan ? 18 : 14, bytes;

	memset(frame, 0xEE, 14);
	put16(frame + 12, flow->vlan ? 0x8100 : flow->src.family == 4 ? 0x0800 : 0x86DD);
	if (flow->vlan) {
		put16(frame + 14, flow->vlan);
		put16(frame + 16, flow->src.family == 4 ? 0x0800 : 0x86DD);
	}
	bytes = l3 + write_ip(frame + l3, flow);
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	return m;
}

void fixture_parse(struct seen *s)
{
	const uint8_t *frame = rte_pktmbuf_mtod(s->mbuf, const uint8_t *), *ip, *l4;
	struct flow *f = &s->flow;
	uint16_t type = get16(frame + 12), sum;
	uint32_t n, upper, pseudo_sum;

	*f = (struct flow){0};
	memcpy(s->dst_mac, frame, 6);
	memcpy(s->src_mac, frame + 6, 6);
	ip = frame + 14;
	if (type == 0x8100) {
		f->vlan = get16(frame + 14);
		type = get16(frame + 16);
		ip += 4;
	}
	s->checksums_right = true;
	if (type != 0x0800 && type != 0x86DD)
		return;
	if (type == 0x0800) {
		n = 4;
		l4 = ip + (ip[0] & 15) * 4;
		upper = get16(ip + 2) - (uint32_t)(l4 - ip);
		f->src.family = f->dst.family = 4;
		memcpy(f->src.bytes, ip + 12, 4);
		memcpy(f->dst.bytes, ip + 16, 4);
		f->protocol = ip[9];
		f->ttl = ip[8];
		f->fragment = get16(ip + 6) & 0x3FFF;
		s->checksums_right = fixture_sum16(0, ip, (size_t)(l4 - ip)) == 0xFFFF;
	} else {
		n = 16;
		l4 = ip + 40;
		upper = get16(ip + 4);
		f->src.family = f->dst.family = 6;
		memcpy(f->src.bytes, ip + 8, 16);
		memcpy(f->dst.bytes, ip + 24, 16);
		f->protocol = ip[6];
		f->ttl = ip[7];
		if (f->protocol == 44) {
			f->protocol = l4[0];
			f->fragment = (uint16_t)(get16(l4 + 2) >> 3 | (l4[3] & 1 ? 0x2000 : 0));
			l4 += 8;
			upper -= 8;
		}
	}
	if (f->fragment & 0x1FFF)
		return;
	f->sport = get16(l4);
	f->dport = get16(l4 + 2);
	f->payload = (uint16_t)(upper - (f->protocol == 6 ? 20 : 8));
	if (f->protocol == 1 || f->protocol == 58) {
		f->flags = l4[0];
		f->sport = get16(l4 + 4);
		f->dport = 0;
		f->seq = get16(l4 + 6);
	}
	if (f->protocol == 6) {
		f->flags = l4[13];
		f->seq = get32(l4 + 4);
		f->ack = get32(l4 + 8);
	}
	if (f->fragment)
		return; /* the checksum covers the other fragments too */
	pseudo_sum =
		f->protocol == 1 ? 0 : pseudo(ip + (n == 4 ? 12 : 8), ip + (n == 4 ? 16 : 24), n, f->protocol, upper);
	sum = fixture_sum16(pseudo_sum, l4, upper);
	if (f->protocol == 17 && get16(l4 + 6) == 0)
		return;
	s->checksums_right = s->checksums_right && sum == 0xFFFF;
}

static unsigned int ip_header(const struct fixture *f)
{
	return f->family == 4 ? 20 : 40;
}

struct rte_mbuf *fixture_too_big(
	const struct fixture *f, const struct slu_ip *router, struct rte_mbuf *about, unsigned int quote)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(14 + ip_header(f) + 8 + quote)), *ip = frame + 14,
		*icmp;
	const uint8_t *inner = rte_pktmbuf_mtod_offset(about, const uint8_t *, 14);
	unsigned int bytes = 8 + quote;
	uint16_t checksum;
	uint32_t sum = 0;

	memset(frame, 0, 14 + ip_header(f) + 8);
	frame[12] = f->family == 4 ? 0x08 : 0x86;
	frame[13] = f->family == 4 ? 0x00 : 0xDD;
	icmp = ip + ip_header(f);
	memcpy(icmp + 8, inner, quote);
	if (f->family == 4) {
		ip[0] = 0x45;
		ip[2] = (uint8_t)((20 + bytes) >> 8);
		ip[3] = (uint8_t)(20 + bytes);
		ip[8] = 60;
		ip[9] = 1;
		memcpy(ip + 12, router->bytes, 4);
		memcpy(ip + 16, inner + 12, 4);
		checksum = (uint16_t)~fixture_sum16(0, ip, 20);
		ip[10] = (uint8_t)(checksum >> 8);
		ip[11] = (uint8_t)checksum;
		icmp[0] = 3;
		icmp[1] = 4;
		icmp[6] = 0x05;
	} else {
		ip[0] = 0x60;
		ip[4] = (uint8_t)(bytes >> 8);
		ip[5] = (uint8_t)bytes;
		ip[6] = 58;
		ip[7] = 60;
		memcpy(ip + 8, router->bytes, 16);
		memcpy(ip + 24, inner + 8, 16);
		icmp[0] = 2;
		icmp[6] = 0x05;
		sum = (uint32_t)fixture_sum16(0, ip + 8, 32) + 58 + bytes;
	}
	checksum = (uint16_t)~fixture_sum16(sum, icmp, bytes);
	icmp[2] = (uint8_t)(checksum >> 8);
	icmp[3] = (uint8_t)checksum;
	rte_pktmbuf_free(about);
	return m;
}

struct seen fixture_inside(const struct fixture *f, const struct seen *s)
{
	struct seen in = {.mbuf = rte_pktmbuf_alloc(pool)};
	unsigned int bytes = s->mbuf->data_len - 14 - ip_header(f) - 8;
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(in.mbuf, (uint16_t)(14 + bytes));

	memcpy(frame, rte_pktmbuf_mtod(s->mbuf, uint8_t *), 14);
	memcpy(frame + 14, rte_pktmbuf_mtod_offset(s->mbuf, uint8_t *, 14 + ip_header(f) + 8), bytes);
	fixture_parse(&in);
	return in;
}

struct seen fixture_collect(struct fixture *f, struct slu_worker *w)
{
	struct rte_mbuf **packets;
	struct seen s = {0};
	uint16_t count;

	(void)f;
	release();
	for (uint16_t port = 0; port < SLU_PORTS_MAX; port++) {
		if (!(slu_worker_tx_ports(w) & 1u << port))
			continue;
		count = slu_worker_take_tx(w, port, &packets);
		assert_int_equal(count, 1);
		assert_false(s.sent);
		s.sent = true;
		s.port = port;
		s.mbuf = to_free = packets[0];
	}
	count = slu_worker_take_exceptions(w, &packets);
	if (count) {
		assert_int_equal(count, 1);
		assert_false(s.sent);
		s.exception = true;
		s.mbuf = to_free = packets[0];
	}
	if (s.sent)
		fixture_parse(&s);
	return s;
}

struct seen fixture_give(struct fixture *f, uint16_t in_port, struct rte_mbuf *m)
{
	slu_worker_burst(f->w, in_port, &m, 1);
	return fixture_collect(f, f->w);
}

struct seen fixture_send(struct fixture *f, uint16_t in_port, const struct flow *flow)
{
	return fixture_give(f, in_port, fixture_packet(flow));
}

struct flow fixture_reply(const struct flow *arrived, uint8_t flags)
{
	struct flow r = *arrived;

	r.src = arrived->dst;
	r.dst = arrived->src;
	r.sport = arrived->dport;
	r.dport = arrived->sport;
	r.flags = flags;
	r.ttl = 64;
	return r;
}

struct slu_meter_reading fixture_metered(const struct fixture *f, uint32_t listener_id, int internal)
{
	struct slu_meter_reading sum = {.listener_id = listener_id}, r[3];
	uint64_t cursor = 0;
	uint32_t count;

	while ((count = slu_dataplane_meters(f->dp, &cursor, r, 3)) > 0)
		for (uint32_t i = 0; i < count; i++) {
			if (r[i].listener_id != listener_id || (internal >= 0 && r[i].internal != internal))
				continue;
			sum.outgoing = r[i].outgoing;
			for (int dir = 0; dir < 2; dir++) {
				sum.packets[dir] += r[i].packets[dir];
				sum.bytes[dir] += r[i].bytes[dir];
			}
		}
	return sum;
}

uint64_t fixture_counter(const struct fixture *f, enum slu_counter c)
{
	uint64_t counters[SLU_COUNT_MAX];

	slu_dataplane_counters(f->dp, counters);
	return counters[c];
}

void fixture_advance(struct fixture *f, uint64_t us)
{
	f->now_us += us;
	for (uint32_t i = 0; i < f->dp->workers; i++)
		while (slu_worker_tick(f->dp->worker[i], f->now_us) == 0)
			;
}

void fixture_assert_ip(const struct slu_ip *a, const struct slu_ip *b)
{
	assert_int_equal(a->family, b->family);
	assert_memory_equal(a->bytes, b->bytes, 16);
}

struct flow fixture_request(const struct fixture *f, uint8_t protocol, uint16_t dport, uint8_t flags)
{
	return (struct flow){.src = fixture_client(f, 0),
		.dst = fixture_vip(f),
		.sport = 40000,
		.dport = dport,
		.protocol = protocol,
		.flags = flags,
		.seq = 1000,
		.ack = flags & ACK ? 2000 : 0};
}

struct flow fixture_connect(struct fixture *f, const struct flow *syn)
{
	struct seen s = fixture_send(f, CLIENT_PORT, syn);
	struct flow arrived = s.flow, reply, ack = *syn;

	assert_true(s.sent);
	assert_int_equal(s.port, BACKEND_PORT);
	reply = fixture_reply(&arrived, SYN | ACK);
	s = fixture_send(f, BACKEND_PORT, &reply);
	assert_true(s.sent);
	assert_int_equal(s.port, CLIENT_PORT);
	ack.flags = ACK;
	s = fixture_send(f, CLIENT_PORT, &ack);
	assert_true(s.sent);
	return arrived;
}
