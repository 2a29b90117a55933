/*
 * Measures the software path: one worker, one thread, packets from net_l4source.
 *
 * usage: bench FLOWS FAMILY [ROUNDS] -- one size per process, so that no run
 * inherits another's memory. Prints `name value unit` lines, times in CPU time
 * of the thread, the median of the rounds; fails if a packet was lost or came
 * out wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>

#include "host/dataplane/dataplane.h"
#include "host/dataplane/sync_record.h"
#include "tests/bench/l4/source.h"

#define BURST 32
#define ROUND_PACKETS 4000000u
#define ROUNDS_MAX 99
#define EXPIRY_US 1000000000u /* more than the listener's longest time-out */
#define SYNC_RING 8192u
#define SYNC_BATCH 4096u
#define REOPEN_FLOWS_MAX 2000000u /* more take too long to open again and again */

struct bench {
	struct slu_dataplane *dp;
	struct slu_worker *w;
	struct source *source;
	struct slu_backend backends[SOURCE_BACKENDS];
	const struct slu_backend *by_live[SOURCE_BACKENDS];
	uint16_t wrr[SOURCE_BACKENDS];
	struct slu_group group, *groups[1];
	struct slu_listener listener;
	const struct slu_listener *listener_by_live[1];
	struct slu_ip locals[SOURCE_LOCALS];
	struct slu_generation generation;
	uint64_t given;
	uint64_t offset_us; /* of the worker's time: a jump ends all sessions */
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "bench-l4: %s: %s\n", what, error ? strerror(error < 0 ? -error : error) : "failed");
	exit(1);
}

/* ------------------------------------------------------------------- set-up */

static void make_generation(struct bench *b)
{
	uint8_t family = b->source->family;

	for (uint32_t i = 0; i < SOURCE_BACKENDS; i++) {
		b->backends[i] = (struct slu_backend){
			.id = 1 + i, .live = i, .port = SOURCE_BACKEND_PORT, .configured = 1, .weight = 1, .seed = i};
		b->backends[i].address.family = family;
		source_backend(b->source, i, b->backends[i].address.bytes);
		b->by_live[i] = &b->backends[i];
		b->wrr[i] = (uint16_t)i;
	}
	for (uint32_t i = 0; i < SOURCE_LOCALS; i++) {
		b->locals[i].family = family;
		source_local(b->source, i, b->locals[i].bytes);
	}
	b->group = (struct slu_group){.scheduler = SLU_SCHED_RR,
		.backend_count = SOURCE_BACKENDS,
		.backends = b->backends,
		.wrr = b->wrr,
		.wrr_count = SOURCE_BACKENDS};
	b->groups[0] = &b->group;
	b->listener = (struct slu_listener){.id = 1,
		.protocol = 6,
		.port_first = SOURCE_VIP_PORT,
		.port_last = SOURCE_VIP_PORT,
		.timeouts = {60, 120, 900, 120, 120, 10, 60, 30, 300}};
	b->listener.address.family = family;
	source_vip(b->source, b->listener.address.bytes);
	b->listener_by_live[0] = &b->listener;
	b->generation = (struct slu_generation){.number = 1,
		.listener_count = 1,
		.group_count = 1,
		.local_count = SOURCE_LOCALS,
		.backend_count = SOURCE_BACKENDS,
		.listeners = &b->listener,
		.groups = b->groups,
		.locals = b->locals,
		.by_live = b->by_live,
		.live_limit = SOURCE_BACKENDS,
		.listener_by_live = b->listener_by_live,
		.listener_live_limit = 1};
}

/* One port, everything behind a gateway: as a balancer on a stick. */
static struct slu_neigh_view *make_view(uint8_t family)
{
	struct slu_neigh_view *view = slu_neigh_view_create();
	struct slu_ip any = {.family = family}, gateway = {.family = family, .bytes = {198, 18, 0, 1}};
	struct slu_nexthop hop = {.port = 0, .dst_mac = {2, 9, 9, 9, 9, 1}, .src_mac = {2, 9, 9, 9, 9, 2}};

	if (!view || slu_neigh_view_add_route(view, &any, 0, 0, &gateway) ||
		slu_neigh_view_add_neighbour(view, &gateway, &hop))
		fail("neighbour view", 0);
	return view;
}

static void make_port(void)
{
	struct rte_eth_conf conf = {0};
	struct rte_mempool *pool = rte_pktmbuf_pool_create("packets", 4095, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);

	if (!pool || rte_eth_dev_configure(0, 1, 1, &conf) || rte_eth_rx_queue_setup(0, 0, 512, 0, NULL, pool) ||
		rte_eth_tx_queue_setup(0, 0, 512, 0, NULL) || rte_eth_dev_start(0))
		fail("port", 0);
}

static void make_dataplane(struct bench *b, uint32_t sessions, const struct slu_sync_settings *sync)
{
	struct slu_dataplane_settings settings = {
		.sessions = sessions, .workers = 1, .now_us = clock_ns(CLOCK_MONOTONIC) / 1000};
	struct slu_dataplane_recovery recovery;
	int result = slu_dataplane_create(&settings, &b->dp, &recovery);

	if (!result && sync)
		result = slu_dataplane_set_sync(b->dp, sync);
	if (result)
		fail("data plane", result);
	make_generation(b);
	result = slu_listener_index_build(&b->generation);
	if (result)
		fail("listener index", result);
	slu_dataplane_publish(b->dp, &b->generation);
	slu_dataplane_publish_neigh(b->dp, make_view(b->source->family));
	b->w = slu_dataplane_worker(b->dp, 0);
	slu_worker_start(b->w);
}

/* --------------------------------------------------------------------- loop */

/* One turn of a worker's loop, as the agent's. Returns the packets received. */
static uint16_t turn(struct bench *b)
{
	struct rte_mbuf *packets[BURST], **out;
	uint16_t count = rte_eth_rx_burst(0, 0, packets, BURST), sent;

	b->given += count;
	slu_worker_burst(b->w, 0, packets, count);
	sent = slu_worker_take_tx(b->w, 0, &out);
	rte_eth_tx_burst(0, 0, out, sent);
	sent = slu_worker_take_exceptions(b->w, &out);
	rte_pktmbuf_free_bulk(out, sent);
	return count;
}

static void tick(struct bench *b)
{
	slu_worker_poll(b->w);
	slu_worker_tick(b->w, clock_ns(CLOCK_MONOTONIC) / 1000 + b->offset_us);
	slu_worker_offload_flush(b->w);
}

/* Ends all sessions by their time-out. Returns sessions per CPU second. */
static double expire_all(struct bench *b)
{
	uint64_t start = cpu_ns(), count = slu_dataplane_session_count(b->dp);

	b->offset_us += EXPIRY_US;
	while (slu_dataplane_session_count(b->dp))
		tick(b);
	return (double)count * 1e9 / (double)(cpu_ns() - start);
}

static void run(struct bench *b, enum source_mode mode, uint32_t from, uint32_t to)
{
	source_open(b->source, mode, from, to);
	while (turn(b))
		;
	b->source->learn = false;
}

/* Opens all connections: SYN, SYN-ACK and ACK of 1,024 at a time. Returns connections per CPU second. */
static double open_all(struct bench *b)
{
	uint64_t start = cpu_ns();

	for (uint32_t from = 0; from < b->source->flows; from += 1024) {
		uint32_t to = RTE_MIN(from + 1024, b->source->flows);

		run(b, SOURCE_SYN, from, to);
		run(b, SOURCE_SYN_ACK, from, to);
		run(b, SOURCE_ACK, from, to);
		tick(b);
	}
	return b->source->flows * 1e9 / (double)(cpu_ns() - start);
}

/* ns per packet of one round, both directions. */
static double traffic(struct bench *b, uint64_t packets)
{
	uint64_t start, done = 0;

	b->source->mode = SOURCE_TRAFFIC;
	start = cpu_ns();
	for (unsigned int i = 0; done < packets; i++) {
		done += turn(b);
		if (i % 16 == 0)
			tick(b);
	}
	return (double)(cpu_ns() - start) / (double)done;
}

/* ---------------------------------------------------------------- sync */

/* Tells every connection with the ACK that completes it. */
static const struct slu_sync_settings told = {
	.trigger = SLU_SYNC_AFTER_PACKETS, .threshold = 2, .outbox = SYNC_RING, .inbox = SYNC_RING};

static uint32_t drain(struct bench *b)
{
	static struct slu_sync_record records[SYNC_BATCH];
	uint32_t count = 0, got;

	while ((got = slu_sync_take(b->dp, records, SYNC_BATCH)))
		count += got;
	return count;
}

/* Opens all connections, each told to a consumer whose own time does not count. Returns ns a connection. */
static double open_told(struct bench *b)
{
	uint64_t used = 0, start, count = 0;

	for (uint32_t from = 0; from < b->source->flows; from += 1024) {
		uint32_t to = RTE_MIN(from + 1024, b->source->flows);

		start = cpu_ns();
		run(b, SOURCE_SYN, from, to);
		run(b, SOURCE_SYN_ACK, from, to);
		run(b, SOURCE_ACK, from, to);
		tick(b);
		used += cpu_ns() - start;
		count += drain(b);
	}
	if (count != b->source->flows)
		fail("connections were not told", 0);
	return (double)used / b->source->flows;
}

/* Gives all sessions of one data plane to another. Returns how many a second of the taking worker's CPU time. */
static double insert_all(struct bench *from, struct bench *to)
{
	static struct slu_sync_record records[SYNC_BATCH];
	uint64_t used = 0, cursor = 0, start, given = 0;
	uint32_t count;

	while ((count = slu_sync_snapshot(from->dp, &cursor, records, SYNC_BATCH))) {
		if (slu_sync_give(to->dp, records, count) != count)
			fail("inbox", 0);
		start = cpu_ns();
		while (slu_worker_poll(to->w))
			;
		slu_worker_tick(to->w, clock_ns(CLOCK_MONOTONIC) / 1000 + to->offset_us);
		used += cpu_ns() - start;
		given += count;
	}
	if (given != from->source->flows || slu_dataplane_session_count(to->dp) != given)
		fail("sessions were not taken", 0);
	return (double)given * 1e9 / (double)used;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long total, resident = 0;

	if (!f || fscanf(f, "%lu %lu", &total, &resident) != 2)
		fail("/proc/self/statm", errno);
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Nothing lost, nothing wrong, every flow a session. */
static void verify(const struct bench *b)
{
	uint64_t counters[SLU_COUNT_MAX];

	slu_dataplane_counters(b->dp, counters);
	for (int i = 0; i < SLU_COUNT_MAX; i++) {
		if (slu_counter_info[i].is_drop && counters[i]) {
			fprintf(stderr, "bench-l4: %s %lu\n", slu_counter_info[i].name, (unsigned long)counters[i]);
			exit(1);
		}
	}
	if (b->source->wrong) {
		fprintf(stderr, "bench-l4: %lu of %lu checked packets are wrong; the first: %s\n",
			(unsigned long)b->source->wrong, (unsigned long)b->source->checked, b->source->first_wrong);
		exit(1);
	}
	if (b->source->sent != b->given || counters[SLU_COUNT_EXCEPTION])
		fail("packets are missing", 0);
	if (slu_dataplane_session_count(b->dp) != b->source->flows)
		fail("sessions are missing", 0);
	if (b->source->checked < 1000)
		fail("too few packets were checked", 0);
}

static const char *size_name(uint32_t flows)
{
	static char name[16];

	if (flows % 1000000 == 0)
		snprintf(name, sizeof(name), "%uM", flows / 1000000);
	else if (flows % 1000 == 0)
		snprintf(name, sizeof(name), "%uk", flows / 1000);
	else
		snprintf(name, sizeof(name), "%u", flows);
	return name;
}

static void start_eal(char *program, uint32_t flows, uint32_t family)
{
	char vdev[64];
	char *arguments[] = {program, "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-l", "0",
		"--log-level=error", "--vdev", vdev};

	snprintf(vdev, sizeof(vdev), "net_l4source0,flows=%u,family=%u", flows, family);
	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		fail("EAL", 0);
}

/* What telling costs the worker, as the difference of two data planes that open the same connections in turn. */
static int bench_sync(struct bench *plain, unsigned int rounds)
{
	double without[ROUNDS_MAX], with[ROUNDS_MAX];
	struct bench b = *plain, copy = *plain;

	make_dataplane(plain, plain->source->flows, NULL);
	make_dataplane(&b, b.source->flows, &told);
	for (unsigned int i = 0; i < rounds; i++) {
		without[i] = 1e9 / open_all(plain);
		with[i] = open_told(&b);
		if (i + 1 < rounds) {
			expire_all(plain);
			expire_all(&b);
			drain(&b);
		}
	}
	slu_worker_stop(plain->w);
	slu_dataplane_destroy(plain->dp);
	make_dataplane(&copy, copy.source->flows, &told);
	qsort(without, rounds, sizeof(*without), by_value);
	qsort(with, rounds, sizeof(*with), by_value);
	printf("sync.worker_ns_per_connection.%s %.0f ns\n", size_name(b.source->flows),
		with[rounds / 2] - without[rounds / 2]);
	printf("sync.insertions_per_cpu_s.%s %.0f 1/s\n", size_name(b.source->flows), insert_all(&b, &copy));
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t flows = argc > 2 ? (uint32_t)strtoul(argv[1], NULL, 0) : 0;
	uint32_t family = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 0;
	unsigned int rounds = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 0) : 5;
	double ns[ROUNDS_MAX], rates[ROUNDS_MAX], ended[ROUNDS_MAX];
	unsigned int opened = 1;
	struct bench b = {0};
	uint64_t before;

	if (!flows || (family != 4 && family != 6) || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: %s FLOWS 4|6 [ROUNDS [sync]]\n", argv[0]);
		return 2;
	}
	start_eal(argv[0], flows, family);
	make_port();
	b.source = source_of(0);
	if (argc > 4 && !strcmp(argv[4], "sync"))
		return bench_sync(&b, rounds);
	before = resident_bytes();
	make_dataplane(&b, flows, NULL);
	rates[0] = open_all(&b);
	before = resident_bytes() - before;
	for (unsigned int i = 1; i < rounds && flows <= REOPEN_FLOWS_MAX; i++) {
		ended[i - 1] = expire_all(&b);
		rates[i] = open_all(&b);
		opened++;
	}
	traffic(&b, RTE_MAX(2 * flows, 1000000u)); /* everything touched once */
	for (unsigned int i = 0; i < rounds; i++)
		ns[i] = traffic(&b, ROUND_PACKETS);
	verify(&b);
	qsort(ns, rounds, sizeof(*ns), by_value);
	qsort(rates, opened, sizeof(*rates), by_value);
	qsort(ended, opened - 1, sizeof(*ended), by_value);
	printf("l4.ns_per_packet.fullnat%s_%s %.1f ns\n", family == 6 ? "6" : "", size_name(flows), ns[rounds / 2]);
	printf("l4.new_connections_per_cpu_s.fullnat%s_%s %.0f 1/s\n", family == 6 ? "6" : "", size_name(flows),
		rates[opened / 2]);
	if (opened > 1)
		printf("l4.expired_sessions_per_cpu_s.fullnat%s_%s %.0f 1/s\n", family == 6 ? "6" : "",
			size_name(flows), ended[(opened - 1) / 2]);
	printf("l4.session_bytes.fullnat%s_%s %.1f B\n", family == 6 ? "6" : "", size_name(flows),
		(double)before / flows);
	return 0;
}
