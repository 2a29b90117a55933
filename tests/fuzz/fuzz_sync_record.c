/*
 * Records of other nodes into a data plane of a cluster, with packets and time in
 * between.
 *
 * Input: a byte of set-up, then steps {what, count, count x {offset, value}}: a
 * sound record in which the bytes at the offsets are replaced, or a packet, or
 * time that passes. Every record must be taken or refused; afterwards every
 * session must be found by its tuples, and be counted once.
 */
#include "host/dataplane/cluster_view.h"
#include "host/dataplane/sync.h"
#include "host/dataplane/sync_record.h"
#include "tests/unit/dataplane_fixture.h"

enum { ONE, IPV6, MANY, FIXTURES };
#define WORKERS_MANY 3

static struct fixture fixtures[FIXTURES];
static struct slu_cluster_view views[2];

static const struct slu_sync_settings settings = {
	.trigger = SLU_SYNC_AFTER_DATA, .threshold = 1, .outbox = 64, .inbox = 64};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Views 0 and 1 differ in who owns the prefix of the other member. */
static void make_views(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		views[i] = (struct slu_cluster_view){.self = 1, .nat_owner = 1, .member_count = 2, .prefix_count = 4};
		for (unsigned int p = 0; p < 4; p++)
			views[i].prefix[p] =
				(struct slu_cluster_prefix){.address = fixture_ip(p == 0   ? "198.18.2.96"
										  : p == 1 ? "198.18.2.112"
										  : p == 2 ? "fd00:2::100"
											   : "fd00:2::200"),
					.bits = p < 2 ? 28 : 120,
					.home = (uint8_t)(p % 2 + 1),
					.owner = i ? 1 : (uint8_t)(p % 2 + 1)};
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	make_views();
	for (unsigned int i = 0; i < FIXTURES; i++) {
		fixture_create(&fixtures[i], i == IPV6 ? 6 : 4, i == MANY ? WORKERS_MANY : 1, NULL);
		if (slu_dataplane_set_sync(fixtures[i].dp, &settings))
			abort();
		slu_offload_enable(fixtures[i].dp, true);
	}
	return 0;
}

/* Of an established session of the other member. */
static struct slu_sync_record sound_record(const struct fixture *f)
{
	struct slu_sync_record r = {.kind = SLU_SYNC_SESSION,
		.family = f->family,
		.protocol = 6,
		.state = SLU_TCP_ESTABLISHED,
		.version = 9,
		.timeout_s = 900,
		.age_ms = 1000,
		.creator = 2,
		.sender = 2,
		.client_port = 0x3412,
		.virtual_port = __builtin_bswap16(80),
		.local_port = 0x7856,
		.backend_port = __builtin_bswap16(8080)};
	struct slu_ip client = fixture_client(f, 0), vip = fixture_vip(f), backend = fixture_backend(f, 0),
		      local = fixture_ip(f->family == 4 ? "198.18.2.116" : "fd00:2::205");

	memcpy(r.client, client.bytes, 16);
	memcpy(r.virtual_ip, vip.bytes, 16);
	memcpy(r.backend, backend.bytes, 16);
	memcpy(r.local, local.bytes, 16);
	return r;
}

static void give_record(struct fixture *f, const uint8_t *patch, size_t count)
{
	struct slu_sync_record r = sound_record(f);

	for (size_t i = 0; i < count; i++)
		((uint8_t *)&r)[patch[2 * i] % sizeof(r)] = patch[2 * i + 1];
	slu_sync_give(f->dp, &r, 1);
}

static void drain(struct fixture *f)
{
	struct rte_mbuf **packets;
	uint16_t count;

	for (uint32_t i = 0; i < f->dp->workers; i++) {
		struct slu_worker *w = f->dp->worker[i];

		for (uint16_t port = 0; port < SLU_PORTS_MAX; port++) {
			count = slu_worker_take_tx(w, port, &packets);
			rte_pktmbuf_free_bulk(packets, count);
		}
		count = slu_worker_take_exceptions(w, &packets);
		rte_pktmbuf_free_bulk(packets, count);
	}
}

static void poll_all(struct fixture *f)
{
	for (unsigned int turn = 0; turn < 2 * f->dp->workers; turn++)
		for (uint32_t i = 0; i < f->dp->workers; i++) {
			slu_worker_poll(f->dp->worker[i]);
			drain(f);
		}
}

/* A segment of the record's client: flags and ports from the input. */
static void give_packet(struct fixture *f, uint8_t what, const uint8_t *patch, size_t count)
{
	struct flow flow = fixture_request(f, what & 0x10 ? 17 : 6, 80, count ? patch[0] & 0x17 : ACK);
	struct rte_mbuf *m;

	flow.sport = count ? (uint16_t)(0x1200 | patch[1]) : 0x1234;
	flow.payload = what & 0x20 ? 40 : 0;
	m = fixture_packet(&flow);
	slu_worker_burst(f->dp->worker[what % f->dp->workers], CLIENT_PORT, &m, 1);
	drain(f);
}

/* The agent says yes or no to all offload requests, and takes rules out. */
static void serve_card(struct fixture *f, bool yes)
{
	struct slu_offload_request r;

	for (uint32_t i = 0; i < f->dp->workers; i++)
		slu_worker_offload_flush(f->dp->worker[i]);
	while (slu_offload_next(f->dp, &r)) {
		if (r.op == SLU_OFFLOAD_REMOVE)
			slu_offload_removed(f->dp, r.session, (enum slu_dir)r.dir, 1, 60);
		else if (!slu_offload_done(f->dp, r.session, (enum slu_dir)r.dir, yes) && yes)
			slu_offload_removed(f->dp, r.session, (enum slu_dir)r.dir, 1, 60);
	}
}

static void step(struct fixture *f, uint8_t what, const uint8_t *patch, size_t count)
{
	switch (what & 7) {
	case 0:
		give_packet(f, what, patch, count);
		break;
	case 1:
		f->now_us += (uint64_t)(what >> 3) << 24;
		for (uint32_t i = 0; i < f->dp->workers; i++)
			slu_worker_tick(f->dp->worker[i], f->now_us);
		break;
	case 2:
		serve_card(f, what & 8);
		break;
	case 3:
		slu_dataplane_publish_cluster(f->dp, &views[what >> 3 & 1]);
		break;
	default:
		give_record(f, patch, count);
	}
	poll_all(f);
}

static uint32_t find(const struct slu_session_table *t, uint32_t sid, unsigned int dir)
{
	struct slu_session_key key = slu_session_table_key(t, sid, dir);

	return slu_session_table_find(t, slu_session_table_hash(t, &key), &key);
}

/* Every session is found by its replies, and by its requests unless it yielded them to another. */
static void check(struct fixture *f)
{
	static struct slu_sync_record records[64];
	uint64_t live = 0, cursor = 0;
	uint32_t total = 0;

	for (uint32_t i = 0; i < f->dp->workers; i++) {
		const struct slu_worker *w = f->dp->worker[i];

		for (uint32_t sid = 0; slu_session_table_next(&w->table, &sid); total++) {
			bool yielded = slu_session_table_cold(&w->table, sid)->sync & SLU_SYNC_YIELDED;

			if (find(&w->table, sid, SLU_DIR_REPLY) != (sid | SLU_ENTRY_REPLY) ||
				(SLU_SID(find(&w->table, sid, SLU_DIR_REQUEST)) == sid) == yielded)
				abort();
		}
	}
	for (uint32_t l = 0; l < SLU_LIVE_MAX; l += l == LISTENER_COUNT ? SLU_SESSION_NONE_LIVE - LISTENER_COUNT : 1) {
		struct slu_live_counters c;

		slu_dataplane_listener_counters(f->dp, l, &c);
		live += c.active + c.inactive;
	}
	if (total != slu_dataplane_session_count(f->dp) || live != total)
		abort();
	while (slu_sync_take(f->dp, records, RTE_DIM(records)))
		;
	while (slu_sync_snapshot(f->dp, &cursor, records, RTE_DIM(records)))
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fixture *f = &fixtures[bytes ? data[0] % FIXTURES : 0];

	if (bytes < 3)
		return 0;
	for (data++, bytes--; bytes >= 2;) {
		size_t count = data[1] % 16;

		count = RTE_MIN(count, (bytes - 2) / 2);
		step(f, data[0], data + 2, count);
		data += 2 + 2 * count;
		bytes -= 2 + 2 * count;
	}
	check(f);
	/* All end before the next input. */
	serve_card(f, false);
	for (unsigned int i = 0; i < 4; i++) {
		f->now_us += (uint64_t)1 << 31;
		for (uint32_t k = 0; k < f->dp->workers; k++)
			while (slu_worker_tick(f->dp->worker[k], f->now_us) == 0)
				;
		serve_card(f, false);
		while (slu_sync_take(f->dp, (struct slu_sync_record[8]){0}, 8))
			;
	}
	drain(f);
	if (slu_dataplane_session_count(f->dp))
		abort();
	slu_dataplane_publish_cluster(f->dp, NULL);
	return 0;
}
