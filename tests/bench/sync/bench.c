/*
 * Measures session sync between real data planes: nodes in namespaces of their own,
 * one worker and one sync thread each, HMAC on, FULLNAT sessions, half of them IPv6.
 *
 * usage: bench [SESSIONS [PRESENT]] -- sessions told (1,000,000), among so many that
 * the receiving node has then (10,000,000). Prints `name value unit` lines; times are
 * CPU times of the threads unless they are latencies. Fails if a session is missing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

#include "host/dataplane/cluster_view.h"
#include "host/dataplane/dataplane.h"
#include "host/dataplane/sync_record.h"
#include "host/log.h"
#include "host/sync/codec.h"
#include "host/sync/sync.h"
#include "tests/bench/l4/source.h"
#include "tests/bench/sync/api_count.h"
#include "tests/unit/sync_network.h"

#define FAMILIES 2u
#define BURST 32
#define CHUNK 512u         /* connections of one family opened at a time */
#define AHEAD_SENT 8192u   /* of the sync thread that sends */
#define AHEAD_TAKEN 20000u /* of the node that receives: the socket between holds more */
#define LATENCY_SAMPLES 1000u
#define WORKER_FLOWS 200000u /* opened in a round of the worker's measurement */
#define WORKER_ROUNDS 7u
#define EXPIRY_US 1000000000u /* more than the listeners' longest time-out */
#define BOX 32768u            /* records in a worker's outbox and inbox */
#define PRESENT_NET 5         /* of the local addresses of sessions that are there before */

static const uint8_t key[] = "the key of the cluster that is measured";

/* What both families, and all nodes, are configured to. */
struct service {
	struct slu_backend backends[SOURCE_BACKENDS];
	uint16_t wrr[SOURCE_BACKENDS];
	struct slu_group group;
};

static struct source *sources[FAMILIES];
static struct event_base *base;

struct node {
	unsigned int id;
	struct slu_dataplane *dp;
	struct slu_worker *worker;
	struct slu_sync *sync;
	struct slu_cluster_view view;
	struct service services[FAMILIES];
	struct slu_group *groups[FAMILIES];
	const struct slu_backend *by_live[FAMILIES * SOURCE_BACKENDS];
	struct slu_listener listeners[FAMILIES];
	const struct slu_listener *listener_by_live[FAMILIES];
	struct slu_ip locals[FAMILIES * SOURCE_LOCALS];
	struct slu_generation generation;
	uint64_t offset_us; /* of the worker's time */
	pid_t sync_thread;
	pthread_t thread; /* of the worker, unless it is the main one */
	clockid_t worker_clock;
	bool stop;
	bool joined;
	uint32_t joined_ms;
	uint64_t joined_sessions;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "bench-sync: %s: %s\n", what, error ? strerror(error < 0 ? -error : error) : "failed");
	exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) != 0)
		fail("clock", errno);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* CPU time of a thread of this process, by its number (as pthread_getcpuclockid() makes it). */
static clockid_t cpu_clock_of(pid_t thread)
{
	return (clockid_t)(~(unsigned int)thread << 3 | 6);
}

/* -------------------------------------------------------------- configuration */

static void make_service(struct node *n, uint32_t f)
{
	struct service *s = &n->services[f];
	uint8_t family = sources[f]->family;

	for (uint32_t i = 0; i < SOURCE_BACKENDS; i++) {
		uint32_t live = f * SOURCE_BACKENDS + i;

		s->backends[i] = (struct slu_backend){.id = 1 + live,
			.live = live,
			.port = SOURCE_BACKEND_PORT,
			.configured = 1,
			.weight = 1,
			.seed = live};
		s->backends[i].address.family = family;
		source_backend(sources[f], i, s->backends[i].address.bytes);
		n->by_live[live] = &s->backends[i];
		s->wrr[i] = (uint16_t)i;
	}
	for (uint32_t i = 0; i < SOURCE_LOCALS; i++) {
		n->locals[f * SOURCE_LOCALS + i].family = family;
		source_local(sources[f], i, n->locals[f * SOURCE_LOCALS + i].bytes);
	}
	s->group = (struct slu_group){.scheduler = SLU_SCHED_RR,
		.backend_count = SOURCE_BACKENDS,
		.backends = s->backends,
		.wrr = s->wrr,
		.wrr_count = SOURCE_BACKENDS};
	n->groups[f] = &s->group;
	n->listeners[f] = (struct slu_listener){.id = 1 + f,
		.live = f,
		.protocol = 6,
		.port_first = SOURCE_VIP_PORT,
		.port_last = SOURCE_VIP_PORT,
		.group = f,
		.timeouts = {60, 120, 900, 120, 120, 10, 60, 30, 300}};
	n->listeners[f].address.family = family;
	source_vip(sources[f], n->listeners[f].address.bytes);
	n->listener_by_live[f] = &n->listeners[f];
}

static void make_generation(struct node *n)
{
	for (uint32_t f = 0; f < FAMILIES; f++)
		make_service(n, f);
	n->generation = (struct slu_generation){.number = 1,
		.listener_count = FAMILIES,
		.group_count = FAMILIES,
		.local_count = FAMILIES * SOURCE_LOCALS,
		.backend_count = FAMILIES * SOURCE_BACKENDS,
		.listeners = n->listeners,
		.groups = n->groups,
		.locals = n->locals,
		.by_live = n->by_live,
		.live_limit = FAMILIES * SOURCE_BACKENDS,
		.listener_by_live = n->listener_by_live,
		.listener_live_limit = FAMILIES};
}

/* Node 1 announces the sources' local addresses, node 3 those of the sessions that are there before. */
static void make_cluster_view(struct node *n)
{
	n->view = (struct slu_cluster_view){
		.self = (uint8_t)n->id, .nat_owner = 1, .member_count = 3, .prefix_count = 2 * FAMILIES};
	for (uint32_t f = 0; f < FAMILIES; f++) {
		struct slu_cluster_prefix *p = &n->view.prefix[2 * f];
		bool ipv6 = sources[f]->family == 6;

		p[0] = (struct slu_cluster_prefix){.bits = ipv6 ? 64 : 24, .home = 1, .owner = 1};
		p[0].address.family = sources[f]->family;
		source_local(sources[f], 0, p[0].address.bytes);
		memset(p[0].address.bytes + (ipv6 ? 8 : 3), 0, ipv6 ? 8 : 1);
		p[1] = p[0];
		p[1].home = p[1].owner = 3;
		p[1].bits = ipv6 ? 64 : 16;
		p[1].address.bytes[ipv6 ? 7 : 1] = PRESENT_NET;
		if (!ipv6)
			p[1].address.bytes[2] = 0;
	}
}

static struct slu_neigh_view *make_neighbours(void)
{
	struct slu_neigh_view *view = slu_neigh_view_create();

	for (uint32_t f = 0; f < FAMILIES; f++) {
		struct slu_ip any = {.family = sources[f]->family};
		struct slu_ip gateway = {.family = sources[f]->family, .bytes = {198, 18, 0, 1}};
		struct slu_nexthop hop = {
			.port = (uint16_t)f, .dst_mac = {2, 9, 9, 9, 9, 1}, .src_mac = {2, 9, 9, 9, 9, 2}};

		if (!view || slu_neigh_view_add_route(view, &any, 0, (uint16_t)f, &gateway) ||
			slu_neigh_view_add_neighbour(view, &gateway, &hop))
			fail("neighbour view", 0);
	}
	return view;
}

static void make_dataplane(struct node *n, unsigned int id, uint32_t sessions, bool sync)
{
	struct slu_dataplane_settings settings = {.sessions = sessions, .workers = 1, .now_us = now_ns() / 1000};
	/* Linux's counting: a session is told with its second packet, the ACK of the handshake. */
	struct slu_sync_settings sync_settings = {
		.trigger = SLU_SYNC_AFTER_PACKETS, .threshold = 2, .outbox = BOX, .inbox = BOX};
	struct slu_dataplane_recovery recovery;
	int result;

	memset(n, 0, sizeof(*n));
	n->id = id;
	make_generation(n);
	make_cluster_view(n);
	result = slu_dataplane_create(&settings, &n->dp, &recovery);
	if (!result && sync)
		result = slu_dataplane_set_sync(n->dp, &sync_settings);
	if (!result)
		result = slu_listener_index_build(&n->generation);
	if (result)
		fail("data plane", result);
	slu_dataplane_publish(n->dp, &n->generation);
	slu_dataplane_publish_neigh(n->dp, make_neighbours());
	if (sync)
		slu_dataplane_publish_cluster(n->dp, &n->view);
	n->worker = slu_dataplane_worker(n->dp, 0);
}

/* -------------------------------------------------------------------- workers */

static void tick(struct node *n)
{
	slu_worker_poll(n->worker);
	slu_worker_tick(n->worker, now_ns() / 1000 + n->offset_us);
	slu_worker_offload_flush(n->worker);
}

/* A worker that has nothing but its inbox. */
static void *run_worker(void *arg)
{
	struct node *n = arg;

	pthread_setname_np(pthread_self(), "worker");
	slu_worker_start(n->worker);
	__atomic_store_n(&n->worker_clock, cpu_clock_of(gettid()), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&n->stop, __ATOMIC_RELAXED)) {
		uint32_t done = 0;

		for (unsigned int i = 0; i < 16; i++)
			done += slu_worker_poll(n->worker);
		slu_worker_tick(n->worker, now_ns() / 1000);
		if (!done)
			usleep(1000);
	}
	slu_worker_stop(n->worker);
	return NULL;
}

static void start_worker_thread(struct node *n)
{
	if (pthread_create(&n->thread, NULL, run_worker, n))
		fail("thread", 0);
	while (!__atomic_load_n(&n->worker_clock, __ATOMIC_ACQUIRE))
		usleep(100);
}

static void stop_node(struct node *n)
{
	slu_sync_destroy(n->sync);
	n->sync = NULL;
	if (n->thread) {
		__atomic_store_n(&n->stop, true, __ATOMIC_RELAXED);
		pthread_join(n->thread, NULL);
	}
	slu_dataplane_destroy(n->dp);
}

/* One packet burst of a port through a worker, as the agent's loop. Returns the packets. */
static uint16_t turn(struct node *n, uint16_t port)
{
	struct rte_mbuf *packets[BURST], **out;
	uint16_t count = rte_eth_rx_burst(port, 0, packets, BURST), sent;

	slu_worker_burst(n->worker, port, packets, count);
	sent = slu_worker_take_tx(n->worker, port, &out);
	rte_eth_tx_burst(port, 0, out, sent);
	sent = slu_worker_take_exceptions(n->worker, &out);
	rte_pktmbuf_free_bulk(out, sent);
	return count;
}

static void run(struct node *n, uint32_t f, enum source_mode mode, uint32_t from, uint32_t to)
{
	source_open(sources[f], mode, from, to);
	while (turn(n, (uint16_t)f))
		;
	sources[f]->learn = false;
}

static void open_flows(struct node *n, uint32_t f, uint32_t from, uint32_t to)
{
	run(n, f, SOURCE_SYN, from, to);
	run(n, f, SOURCE_SYN_ACK, from, to);
	run(n, f, SOURCE_ACK, from, to);
}

/* ---------------------------------------------------------------------- sync */

static void on_member(void *context, uint8_t id, bool alive)
{
	(void)context;
	(void)id;
	(void)alive;
}

static void on_joined(void *context, uint64_t sessions, uint32_t ms)
{
	struct node *n = context;

	n->joined = true;
	n->joined_sessions = sessions;
	n->joined_ms = ms;
}

/* The newest thread of this process that has the sync thread's name. */
static pid_t find_sync_thread(void)
{
	DIR *tasks = opendir("/proc/self/task");
	pid_t newest = 0;

	for (struct dirent *d; tasks && (d = readdir(tasks));) {
		char path[64], name[32] = "";
		pid_t id = (pid_t)strtol(d->d_name, NULL, 10);
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", id);
		file = id ? fopen(path, "r") : NULL;
		if (file && fgets(name, sizeof(name), file) && strcmp(name, "sluice-sync\n") == 0 && id > newest)
			newest = id;
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return newest;
}

static struct slu_ip sync_address(unsigned int id)
{
	return (struct slu_ip){.family = 4, .bytes = {198, 18, 9, (uint8_t)id}};
}

static void start_sync(struct node *n, const unsigned int *peer_ids, uint32_t peers)
{
	const struct slu_sync_options options = {.id = (uint8_t)n->id,
		.group = 7,
		.interface = "sync0",
		.address = sync_address(n->id),
		.multicast = {.family = 4, .bytes = {224, 0, 0, 81}},
		.port = SLU_SYNC_WIRE_PORT,
		.key = key,
		.key_bytes = sizeof(key),
		.epoch = 1,
		.extensions = true,
		.flush_ms = 10};
	const struct slu_sync_events events = {.context = n, .member = on_member, .joined = on_joined};
	struct slu_sync_peer_address addresses[3];
	int result;

	sync_network_enter(n->id);
	result = slu_sync_create(base, n->dp, &options, &events, &n->sync);
	sync_network_enter(0);
	if (result)
		fail("sync", result);
	for (uint32_t i = 0; i < peers; i++)
		addresses[i] = (struct slu_sync_peer_address){
			.id = (uint8_t)peer_ids[i], .address = sync_address(peer_ids[i])};
	slu_sync_set_peers(n->sync, addresses, peers);
	usleep(10000); /* it gives itself its name */
	n->sync_thread = find_sync_thread();
}

static struct slu_sync_state state_of(const struct node *n)
{
	struct slu_sync_state state;

	slu_sync_state(n->sync, &state);
	return state;
}

static void pump_events(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void wait_for_join(struct node *n)
{
	uint64_t end = now_ns() + 60000000000u;

	while (!n->joined && now_ns() < end) {
		pump_events();
		usleep(1000);
	}
	if (!n->joined)
		fail("joining took more than a minute", 0);
}

/* ------------------------------------------------------- telling and taking */

/* A session that was there before; number counts within a family. */
static struct slu_sync_record present_record(uint32_t f, uint32_t number)
{
	struct slu_sync_record r = {.kind = SLU_SYNC_SESSION,
		.family = sources[f]->family,
		.protocol = 6,
		.mode = SLU_MODE_FULLNAT,
		.state = 1,
		.version = 1,
		.timeout_s = 900,
		.age_ms = 1000,
		.creator = 3,
		.sender = 3,
		.virtual_port = htons(SOURCE_VIP_PORT),
		.local_port = htons((uint16_t)(1024 + number % 60000)),
		.backend_port = htons(SOURCE_BACKEND_PORT)};
	uint32_t local = number / 60000, client = htonl(0x0B000000 + number / 32768);

	source_vip(sources[f], r.virtual_ip);
	source_backend(sources[f], number % SOURCE_BACKENDS, r.backend);
	source_local(sources[f], 0, r.local);
	source_local(sources[f], 0, r.client);
	memcpy(r.client + (r.family == 6 ? 12 : 0), &client, 4);
	r.client_port = htons((uint16_t)(1024 + number % 32768));
	r.local[r.family == 6 ? 7 : 1] = PRESENT_NET;
	r.local[r.family == 6 ? 14 : 2] = (uint8_t)(local / 200);
	r.local[r.family == 6 ? 15 : 3] = (uint8_t)(1 + local % 200);
	return r;
}

/* Tells the node of the sessions first .. first + count - 1 by hand, and waits until it has `expected`. */
static void tell_present(struct node *n, enum slu_sync_kind kind, uint32_t first, uint32_t count, uint32_t expected)
{
	struct slu_sync_record records[256];
	uint64_t end = now_ns() + 120000000000u;

	for (uint32_t i = 0; i < count;) {
		uint32_t some = RTE_MIN(256u, count - i), given = 0;

		for (uint32_t k = 0; k < some; k++) {
			records[k] = present_record((first + i + k) & 1, (first + i + k) / 2);
			records[k].kind = (uint8_t)kind;
			records[k].version += kind == SLU_SYNC_END;
		}
		while (given < some) {
			given += slu_sync_give(n->dp, records + given, some - given);
			if (given < some)
				usleep(100);
		}
		i += some;
	}
	while (slu_dataplane_session_count(n->dp) != expected && now_ns() < end)
		usleep(1000);
	if (slu_dataplane_session_count(n->dp) != expected)
		fail("the sessions that were to be there before", 0);
}

/*
 * So many sessions, and room for `sessions` more in memory that was in use before: what the kernel needs to clear a
 * page for the first time is not what is measured.
 */
static void fill_present(struct node *n, uint32_t present, uint32_t sessions)
{
	tell_present(n, SLU_SYNC_SESSION, 0, present + sessions, present + sessions);
	tell_present(n, SLU_SYNC_END, present, sessions, present);
}

static void explain(const struct node *n)
{
	struct slu_sync_state s = state_of(n);
	uint64_t counters[SLU_COUNT_MAX];

	slu_dataplane_counters(n->dp, counters);
	fprintf(stderr,
		"bench-sync: node %u: %u sessions; sent %lu records, errors %lu; received %lu, inbox full %lu\n", n->id,
		slu_dataplane_session_count(n->dp), s.sent_records, s.send_errors, s.received_records, s.inbox_full);
	for (uint32_t i = 0; i < s.peer_count; i++)
		fprintf(stderr, "bench-sync:   from %u: lost %lu, duplicate %lu\n", s.peers[i].id, s.peers[i].lost,
			s.peers[i].duplicate);
	for (int i = 0; i < SLU_COUNT_MAX; i++)
		if (counters[i])
			fprintf(stderr, "bench-sync:   %s %lu\n", slu_counter_info[i].name, counters[i]);
}

/* Opens connections on one node and follows them to the other. */
static void measure_rates(struct node *teller, struct node *taker, uint32_t sessions)
{
	clockid_t sending = cpu_clock_of(teller->sync_thread), receiving = cpu_clock_of(taker->sync_thread);
	uint64_t sent_ns = clock_ns(sending), received_ns = clock_ns(receiving), inserted_ns;
	uint64_t end = now_ns() + 120000000000u;
	uint32_t before = slu_dataplane_session_count(taker->dp), opened = 0, per_family = sessions / FAMILIES;

	inserted_ns = clock_ns(taker->worker_clock);
	for (uint32_t from = 0; from < per_family; from += CHUNK) {
		uint32_t to = RTE_MIN(from + CHUNK, per_family);

		for (uint32_t f = 0; f < FAMILIES; f++)
			open_flows(teller, f, from, to);
		tick(teller);
		opened += FAMILIES * (to - from);
		while (state_of(teller).sent_records + AHEAD_SENT < opened ||
			slu_dataplane_session_count(taker->dp) + AHEAD_TAKEN < before + opened) {
			if (now_ns() > end) {
				explain(teller);
				explain(taker);
				fail("sessions do not arrive", 0);
			}
			usleep(200);
			tick(teller);
		}
	}
	while (slu_dataplane_session_count(taker->dp) < before + opened && now_ns() < end)
		usleep(200);
	sent_ns = clock_ns(sending) - sent_ns;
	received_ns = clock_ns(receiving) - received_ns;
	inserted_ns = clock_ns(taker->worker_clock) - inserted_ns;
	if (slu_dataplane_session_count(taker->dp) != before + opened || state_of(teller).sent_records != opened) {
		explain(teller);
		explain(taker);
		fail("sessions are missing", 0);
	}
	printf("sync.sessions_sent_per_cpu_s %.0f 1/s\n", opened * 1e9 / (double)sent_ns);
	printf("sync.sessions_received_per_cpu_s %.0f 1/s\n", opened * 1e9 / (double)(received_ns + inserted_ns));
	printf("sync.receive_ns_per_session %.0f ns\n", (double)received_ns / opened);
	printf("sync.insert_ns_per_session %.0f ns\n", (double)inserted_ns / opened);
}

/* Counts what is in a table one by one, as the API does, by local address: how many of them came from the teller. */
static void verify_through_snapshots(struct node *n, uint32_t expected_new, uint32_t expected_all)
{
	struct slu_session_snapshot some[256];
	uint32_t count, all = 0, new = 0, ipv6 = 0;
	uint64_t cursor = 0;

	while ((count = slu_dataplane_sessions(n->dp, &cursor, some, 256)))
		for (uint32_t i = 0; i < count; i++) {
			bool six = some[i].family == 6, old = some[i].local.bytes[six ? 7 : 1] == PRESENT_NET;

			all++;
			new += !old;
			ipv6 += !old && six;
		}
	if (all != expected_all || new != expected_new || ipv6 != expected_new / 2) {
		fprintf(stderr, "bench-sync: %u sessions of %u, %u new ones of %u, %u IPv6\n", all, expected_all, new,
			expected_new, ipv6);
		fail("sessions are missing", 0);
	}
}

/* And through the API, by who knows nothing of this program. */
static void count_through_api(struct node *n, const char *sluicectl, uint32_t expected)
{
	int64_t ipv4 = api_count(n->dp, sluicectl, "0.0.0.0/0"), ipv6 = api_count(n->dp, sluicectl, "::/0");

	if (ipv4 < 0 || ipv6 < 0 || ipv4 + ipv6 != expected) {
		fprintf(stderr, "bench-sync: %ld IPv4 and %ld IPv6 sessions of %u\n", ipv4, ipv6, expected);
		fail("sessions are missing in the API", 0);
	}
	printf("sync.sessions_present %ld sessions\n", ipv4 + ipv6);
	printf("sync.sessions_present_ipv6 %ld sessions\n", ipv6);
}

/* ------------------------------------------------------------------- latency */

static int open_listener(unsigned int node)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(SLU_SYNC_WIRE_PORT)};
	struct ip_mreqn group = {0};
	int fd, one = 1;

	sync_network_enter(node);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	inet_pton(AF_INET, "224.0.0.81", &group.imr_multiaddr);
	memcpy(&group.imr_address, sync_address(node).bytes, 4);
	to.sin_addr = group.imr_multiaddr;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		bind(fd, (struct sockaddr *)&to, sizeof(to)) ||
		setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)))
		fail("listener", errno);
	sync_network_enter(0);
	return fd;
}

struct latency {
	uint32_t first; /* flow of the first sample, of family 0 */
	uint64_t opened_ns[LATENCY_SAMPLES], took_ns[LATENCY_SAMPLES];
	uint32_t seen;
};

static void note_arrivals(struct latency *l, int fd, int wait_us)
{
	static struct slu_codec_datagram in;
	const struct timespec wait = {.tv_nsec = wait_us * 1000};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX], client[16];
	uint16_t port;
	ssize_t count;

	ppoll(&p, 1, &wait, NULL);
	while ((count = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		slu_codec_read(bytes, (uint32_t)count, 7, &in);
		for (uint32_t i = 0; i < in.record_count; i++) {
			for (uint32_t s = 0; in.records[i].family == 4 && s < LATENCY_SAMPLES; s++) {
				source_client(sources[0], l->first + s, client, &port);
				if (port != in.records[i].client_port || memcmp(client, in.records[i].client, 4) ||
					l->took_ns[s] || !l->opened_ns[s])
					continue;
				l->took_ns[s] = now_ns() - l->opened_ns[s];
				l->seen++;
			}
		}
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From the packet that makes a session known to its datagram at another node, one session at a time or a few. */
static void measure_latency(struct node *teller, uint32_t first)
{
	static struct latency l;
	static double ms[LATENCY_SAMPLES];
	int fd = open_listener(2);
	unsigned int seed = 1;

	l.first = first;
	for (uint32_t s = 0; s < LATENCY_SAMPLES; s++) {
		uint64_t next = now_ns() + (uint64_t)(rand_r(&seed) % 12000) * 1000;

		while (now_ns() < next)
			note_arrivals(&l, fd, 200);
		open_flows(teller, 0, first + s, first + s + 1);
		l.opened_ns[s] = now_ns();
		tick(teller);
	}
	for (unsigned int i = 0; i < 1000 && l.seen < LATENCY_SAMPLES; i++)
		note_arrivals(&l, fd, 1000);
	close(fd);
	if (l.seen < LATENCY_SAMPLES)
		fail("a session was not told", 0);
	for (uint32_t s = 0; s < LATENCY_SAMPLES; s++)
		ms[s] = (double)l.took_ns[s] / 1e6;
	qsort(ms, LATENCY_SAMPLES, sizeof(*ms), by_value);
	printf("sync.flush_ms_p50 %.1f ms\n", ms[LATENCY_SAMPLES / 2]);
	printf("sync.flush_ms_p99 %.1f ms\n", ms[LATENCY_SAMPLES * 99 / 100]);
}

/* ------------------------------------------------------------------- joining */

static void measure_join(struct node *feeder, struct node *joiner, uint32_t sessions)
{
	static const unsigned int of_joiner[] = {1};
	uint64_t start, end;

	make_dataplane(joiner, 3, sessions + sessions / 8, true);
	start_worker_thread(joiner);
	start = now_ns();
	end = start + 60000000000u;
	start_sync(joiner, of_joiner, 1);
	slu_sync_join(joiner->sync);
	wait_for_join(joiner);
	while (slu_dataplane_session_count(joiner->dp) < sessions && now_ns() < end)
		usleep(200);
	if (slu_dataplane_session_count(joiner->dp) != sessions || joiner->joined_sessions != sessions) {
		explain(feeder);
		explain(joiner);
		fail("the node that joined does not have every session", 0);
	}
	printf("sync.join_1M_s %.2f s\n", (double)(now_ns() - start) / 1e9 * 1e6 / sessions);
}

/* -------------------------------------------------------------------- worker */

/* Records that the worker told and the sync thread has not sent yet are few enough when this returns. */
static void wait_for_backlog(const struct node *n, uint64_t limit)
{
	uint64_t counters[SLU_COUNT_MAX], told;

	if (!n->sync)
		return;
	slu_dataplane_counters(n->dp, counters);
	told = counters[SLU_COUNT_SYNC_TOLD] + counters[SLU_COUNT_SYNC_ENDS_TOLD];
	while (state_of(n).sent_records + limit < told)
		usleep(100);
}

static void expire_all(struct node *n)
{
	n->offset_us += EXPIRY_US;
	while (slu_dataplane_session_count(n->dp)) {
		tick(n);
		wait_for_backlog(n, AHEAD_SENT);
	}
	wait_for_backlog(n, 0);
}

/* CPU time of the worker for a connection, opening alone: SYN, SYN-ACK, ACK. */
static double open_round(struct node *n)
{
	uint64_t ns = 0;

	for (uint32_t from = 0; from < WORKER_FLOWS; from += 1024) {
		uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		open_flows(n, 0, from, RTE_MIN(from + 1024, WORKER_FLOWS));
		tick(n);
		ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
		wait_for_backlog(n, AHEAD_SENT);
	}
	if (slu_dataplane_session_count(n->dp) != WORKER_FLOWS)
		fail("connections are missing", 0);
	expire_all(n);
	return (double)ns / WORKER_FLOWS;
}

static void measure_worker(void)
{
	static struct node with, without;
	double on[WORKER_ROUNDS], off[WORKER_ROUNDS];
	uint64_t counters[SLU_COUNT_MAX];

	make_dataplane(&without, 1, WORKER_FLOWS + 1024, false);
	make_dataplane(&with, 1, WORKER_FLOWS + 1024, true);
	slu_worker_start(without.worker);
	slu_worker_start(with.worker);
	start_sync(&with, NULL, 0);
	for (unsigned int i = 0; i < WORKER_ROUNDS; i++) {
		off[i] = open_round(&without);
		on[i] = open_round(&with);
	}
	slu_dataplane_counters(with.dp, counters);
	if (counters[SLU_COUNT_SYNC_TOLD] < (uint64_t)WORKER_ROUNDS * WORKER_FLOWS) {
		explain(&with);
		fail("sessions were not told", 0);
	}
	qsort(on, WORKER_ROUNDS, sizeof(*on), by_value);
	qsort(off, WORKER_ROUNDS, sizeof(*off), by_value);
	printf("sync.worker_ns_per_connection_off %.0f ns\n", off[WORKER_ROUNDS / 2]);
	printf("sync.worker_ns_per_connection_on %.0f ns\n", on[WORKER_ROUNDS / 2]);
	slu_worker_stop(without.worker);
	slu_worker_stop(with.worker);
	stop_node(&with);
	stop_node(&without);
}

/* ---------------------------------------------------------------------- main */

static void start_eal(char *program, uint32_t flows)
{
	char vdevs[FAMILIES][64];
	char *arguments[] = {program, "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "512", "-l", "0",
		"--log-level=error", "--vdev", vdevs[0], "--vdev", vdevs[1]};

	for (uint32_t f = 0; f < FAMILIES; f++)
		snprintf(vdevs[f], sizeof(vdevs[f]), "net_l4source%u,flows=%u,family=%u", f, flows, f ? 6 : 4);
	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		fail("EAL", 0);
}

static void make_ports(void)
{
	struct rte_eth_conf conf = {0};
	struct rte_mempool *pool = rte_pktmbuf_pool_create("packets", 4095, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);

	for (uint16_t port = 0; port < FAMILIES; port++) {
		if (!pool || rte_eth_dev_configure(port, 1, 1, &conf) ||
			rte_eth_rx_queue_setup(port, 0, 512, 0, NULL, pool) ||
			rte_eth_tx_queue_setup(port, 0, 512, 0, NULL) || rte_eth_dev_start(port))
			fail("port", 0);
		sources[port] = source_of(port);
	}
}

/* Every thread may run on both cores: EAL has bound this one. */
static void unbind(void)
{
	cpu_set_t all;

	CPU_ZERO(&all);
	for (int i = 0; i < sysconf(_SC_NPROCESSORS_CONF); i++)
		CPU_SET(i, &all);
	sched_setaffinity(0, sizeof(all), &all);
}

int main(int argc, char **argv)
{
	static const unsigned int of_teller[] = {2, 3}, of_taker[] = {1};
	uint32_t sessions = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 1000000;
	uint32_t present = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : 10000000;
	static struct node teller, taker, joiner;

	if (argc < 2 || sessions < CHUNK || sessions % 2 || present < sessions) {
		fprintf(stderr, "usage: %s SLUICECTL [SESSIONS [PRESENT]]\n", argv[0]);
		return 2;
	}
	start_eal(argv[0], RTE_MAX(sessions / FAMILIES, WORKER_FLOWS) + LATENCY_SAMPLES);
	make_ports();
	unbind();
	slu_log_set_level(SLU_LOG_WARNING);
	if (!sync_network_make(3))
		return 1;
	base = event_base_new();

	make_dataplane(&taker, 2, present + present / 16, true);
	start_worker_thread(&taker);
	fill_present(&taker, present - sessions, sessions);
	make_dataplane(&teller, 1, sessions + LATENCY_SAMPLES, true);
	slu_worker_start(teller.worker);
	start_sync(&teller, of_teller, 2);
	start_sync(&taker, of_taker, 1);
	usleep(300000);
	measure_rates(&teller, &taker, sessions);
	verify_through_snapshots(&taker, sessions, present);
	count_through_api(&taker, argv[1], present);
	measure_latency(&teller, sessions / FAMILIES);
	stop_node(&taker);
	slu_worker_stop(teller.worker);
	measure_join(&teller, &joiner, sessions + LATENCY_SAMPLES);
	stop_node(&joiner);
	stop_node(&teller);
	measure_worker();
	return 0;
}
