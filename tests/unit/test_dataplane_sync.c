/*
 * Sessions of a cluster: several data planes in one process that exchange their
 * records by hand, so that every order, loss and repetition can be made.
 */
#include "tests/unit/dataplane_fixture.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "host/dataplane/cluster_view.h"
#include "host/dataplane/sync_record.h"

#define NODES 3
#define DATA 100 /* bytes of payload */
#define SECOND 1000000ull
#define RECORDS_MAX 64

static struct fixture nodes[NODES];
static struct slu_cluster_view views[NODES];
static struct slu_sync_record records[RECORDS_MAX];

static const struct slu_sync_settings settings = {
	.trigger = SLU_SYNC_AFTER_DATA, .threshold = 3, .outbox = 64, .inbox = 64};

/* Local addresses of node n: .100 + 16 n, of a /28 (or /124) each. */
static struct slu_ip local_of(uint8_t family, unsigned int node, unsigned int n)
{
	struct slu_ip ip = fixture_ip(family == 4 ? "198.18.2.96" : "fd00:2::60");

	ip.bytes[family == 4 ? 3 : 15] += (uint8_t)(16 * node + n);
	return ip;
}

static void make_view(unsigned int node)
{
	struct slu_cluster_view *v = &views[node];

	*v = (struct slu_cluster_view){
		.self = (uint8_t)(node + 1), .nat_owner = 1, .member_count = NODES, .prefix_count = 2 * NODES};
	for (unsigned int i = 0; i < 2 * NODES; i++) {
		uint8_t family = i < NODES ? 4 : 6, member = (uint8_t)(i % NODES + 1);

		v->prefix[i] = (struct slu_cluster_prefix){.address = local_of(family, i % NODES, 0),
			.bits = family == 4 ? 28 : 124,
			.home = member,
			.owner = member};
	}
}

static void start_node(unsigned int node, uint8_t family, uint32_t workers, const struct slu_sync_settings *sync)
{
	struct fixture *f = &nodes[node];

	fixture_create(f, family, workers, NULL);
	f->locals[0] = local_of(family, node, 4);
	f->locals[1] = local_of(family, node, 5);
	assert_int_equal(slu_dataplane_set_sync(f->dp, sync), 0);
	make_view(node);
	assert_null(slu_dataplane_publish_cluster(f->dp, &views[node]));
	fixture_publish(f);
}

static int setup4(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NODES; i++)
		start_node(i, 4, 1, &settings);
	return 0;
}

static int setup6(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NODES; i++)
		start_node(i, 6, 1, &settings);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NODES; i++)
		fixture_destroy(&nodes[i]);
	return 0;
}

static uint32_t take(unsigned int node)
{
	return slu_sync_take(nodes[node].dp, records, RECORDS_MAX);
}

/* Gives records to a node and lets it work on them. */
static void give(unsigned int node, const struct slu_sync_record *r, uint32_t count)
{
	assert_int_equal(slu_sync_give(nodes[node].dp, r, count), count);
	for (unsigned int turn = 0; turn < RECORDS_MAX; turn++)
		for (uint32_t i = 0; i < nodes[node].dp->workers; i++)
			slu_worker_poll(nodes[node].dp->worker[i]);
}

/* Everything that a node has to tell goes to all others. Returns how many records. */
static uint32_t deliver(unsigned int from)
{
	uint32_t count = take(from);

	for (unsigned int i = 0; i < NODES; i++)
		if (i != from)
			give(i, records, count);
	return count;
}

static struct seen send_data(unsigned int node, const struct flow *syn)
{
	struct flow data = *syn;

	data.flags = ACK;
	data.ack = 2000;
	data.payload = DATA;
	return fixture_send(&nodes[node], CLIENT_PORT, &data);
}

/* A connection through a node, with as much data of the client as the trigger wants; returns what the backend saw. */
static struct flow open_synced(unsigned int node, const struct flow *syn)
{
	struct flow arrived = fixture_connect(&nodes[node], syn);

	for (unsigned int i = 0; i < 3; i++)
		assert_true(send_data(node, syn).sent);
	return arrived;
}

static struct slu_session_snapshot only_session(unsigned int node)
{
	struct slu_session_snapshot s[2];
	uint64_t cursor = 0;

	assert_int_equal(slu_dataplane_sessions(nodes[node].dp, &cursor, s, 2), 1);
	return s[0];
}

static uint32_t sessions(unsigned int node)
{
	return slu_dataplane_session_count(nodes[node].dp);
}

static uint64_t counter(unsigned int node, enum slu_counter c)
{
	return fixture_counter(&nodes[node], c);
}

static void advance(uint64_t us)
{
	for (unsigned int i = 0; i < NODES; i++)
		fixture_advance(&nodes[i], us);
}

/* -------------------------------------------------------------------- tests */

static void sync__third_packet_with_data__tells_the_session(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	const struct slu_sync_record *r = &records[0];

	(void)state;
	fixture_connect(&nodes[0], &syn);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(send_data(0, &syn).sent);
		assert_int_equal(take(0), 0);
	}
	advance(SECOND);
	assert_true(send_data(0, &syn).sent);
	assert_int_equal(take(0), 1);
	assert_int_equal(r->kind, SLU_SYNC_SESSION);
	assert_int_equal(r->family, nodes[0].family);
	assert_int_equal(r->protocol, 6);
	assert_int_equal(r->mode, SLU_MODE_FULLNAT);
	assert_int_equal(r->state, SLU_TCP_ESTABLISHED);
	assert_int_equal(r->timeout_s, 900);
	assert_in_range(r->age_ms, 990, 1010);
	assert_int_equal(r->creator, 1);
	assert_int_equal(r->sender, 1);
	assert_int_not_equal(r->version, 0);
	assert_int_equal(__builtin_bswap16(r->client_port), syn.sport);
	assert_memory_equal(r->client, syn.src.bytes, nodes[0].family == 4 ? 4 : 16);
	assert_true(send_data(0, &syn).sent);
	assert_int_equal(take(0), 0);
}

/* The counts of the TCP listener at a node: present, and of these untold. */
static void assert_counts(unsigned int node, uint64_t present, uint64_t untold)
{
	const struct fixture *f = &nodes[node];
	struct slu_live_counters listener, backend;
	uint64_t of_backends = 0;

	slu_dataplane_listener_counters(f->dp, f->listeners[LISTENER_TCP].live, &listener);
	assert_int_equal(listener.active + listener.inactive, present);
	assert_int_equal(listener.untold, untold);
	for (uint32_t i = 0; i < f->group.backend_count; i++) {
		slu_dataplane_backend_counters(f->dp, f->group.backends[i].live, &backend);
		of_backends += backend.untold;
	}
	assert_int_equal(of_backends, untold);
}

static void sync__session_that_is_not_told_yet__is_counted_as_one_that_others_lack(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), other = syn;

	(void)state;
	other.sport++;
	fixture_send(&nodes[0], CLIENT_PORT, &other);
	fixture_connect(&nodes[0], &syn);
	assert_counts(0, 2, 2);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(send_data(0, &syn).sent);
	assert_counts(0, 2, 1);
	assert_int_equal(deliver(0), 1);
	assert_counts(1, 1, 0);
	/* The other one ends untold. */
	advance(100 * SECOND);
	assert_counts(0, 1, 0);
	advance(3000 * SECOND);
	assert_counts(0, 0, 0);
}

static void sync__copy__forwards_both_directions_as_the_owner(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived, reply;
	struct seen s;

	(void)state;
	arrived = open_synced(0, &syn);
	assert_int_equal(deliver(0), 1);
	advance(SECOND);
	for (unsigned int node = 1; node < NODES; node++) {
		assert_true(only_session(node).heard);
		s = send_data(node, &syn);
		assert_true(s.sent && s.checksums_right);
		assert_false(only_session(node).heard);
		assert_int_equal(s.port, BACKEND_PORT);
		assert_int_equal(s.flow.sport, arrived.sport);
		fixture_assert_ip(&s.flow.src, &arrived.src);
		fixture_assert_ip(&s.flow.dst, &arrived.dst);
		reply = fixture_reply(&arrived, ACK);
		s = fixture_send(&nodes[node], BACKEND_PORT, &reply);
		assert_true(s.sent && s.checksums_right);
		assert_int_equal(s.port, CLIENT_PORT);
		assert_int_equal(s.flow.dport, syn.sport);
		assert_true(only_session(node).passive);
		assert_int_equal(only_session(node).owner_node, 1);
		assert_int_equal(only_session(node).listener_id, 500 + LISTENER_TCP);
	}
	assert_false(only_session(0).passive);
	assert_false(only_session(0).heard);
}

static void sync__what_only_linux_forwards__is_counted_and_not_taken(void **state)
{
	static const struct {
		uint8_t mode, protocol;
	} rows[] = {{SLU_MODE_DR, 6}, {SLU_MODE_TUN, 6}, {SLU_MODE_DR, 17}, {SLU_MODE_NAT, 50}, {SLU_MODE_NAT, 132}};
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_sync_record r;

	(void)state;
	open_synced(0, &syn);
	assert_int_equal(take(0), 1);
	r = records[0];
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r.mode = rows[i].mode;
		r.protocol = rows[i].protocol;
		give(1, &r, 1);
		assert_int_equal(counter(1, SLU_COUNT_SYNC_UNSUPPORTED), i + 1);
	}
	assert_int_equal(sessions(1), 0);
	r = records[0];
	r.state = SLU_TCP_STATES;
	give(1, &r, 1);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_BAD), 1);
	assert_int_equal(sessions(1), 0);
}

static void sync__snapshot__has_told_sessions_of_all_owners(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	uint64_t cursor = 0;

	(void)state;
	open_synced(0, &syn);
	deliver(0);
	syn.sport++;
	open_synced(1, &syn);
	deliver(1);
	syn.sport++;
	fixture_connect(&nodes[1], &syn); /* nobody is told of it yet */
	assert_int_equal(slu_sync_snapshot(nodes[1].dp, &cursor, records, RECORDS_MAX), 2);
	assert_int_equal(slu_sync_snapshot(nodes[1].dp, &cursor, &records[2], RECORDS_MAX - 2), 0);
	assert_int_equal(records[0].sender, 2);
	give(2, records, 2);
	assert_int_equal(counter(2, SLU_COUNT_SYNC_REFRESHED), 2);
	assert_int_equal(sessions(2), 2);
}

static struct slu_sync_record *told(unsigned int node, enum slu_sync_kind kind)
{
	assert_int_equal(take(node), 1);
	assert_int_equal(records[0].kind, kind);
	assert_int_equal(records[0].sender, node + 1);
	return &records[0];
}

static struct seen send_flags(unsigned int node, const struct flow *syn, uint8_t flags)
{
	struct flow segment = *syn;

	segment.flags = flags;
	segment.ack = 2000;
	return fixture_send(&nodes[node], CLIENT_PORT, &segment);
}

static struct seen send_back(unsigned int node, const struct flow *arrived, uint8_t flags)
{
	struct flow reply = fixture_reply(arrived, flags);

	return fixture_send(&nodes[node], BACKEND_PORT, &reply);
}

/* Node `owner` announces what node `home` had, as all members see it. */
static void move_prefix(unsigned int home, unsigned int owner)
{
	for (unsigned int i = 0; i < NODES; i++)
		for (uint32_t p = 0; p < views[i].prefix_count; p++)
			if (views[i].prefix[p].home == home + 1)
				views[i].prefix[p].owner = (uint8_t)(owner + 1);
}

/* ------------------------------------------------------------- triggers */

static void restart_sync(unsigned int node, const struct slu_sync_settings *sync)
{
	uint8_t family = nodes[node].family;

	fixture_destroy(&nodes[node]);
	start_node(node, family, 1, sync);
}

static void sync__linux_trigger__counts_every_packet_of_the_client(void **state)
{
	static const struct slu_sync_settings linux_rule = {
		.trigger = SLU_SYNC_AFTER_PACKETS, .threshold = 3, .period = 50, .outbox = 64, .inbox = 64};
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	restart_sync(0, &linux_rule);
	fixture_connect(&nodes[0], &syn);
	assert_int_equal(take(0), 0);
	assert_true(send_data(0, &syn).sent);
	told(0, SLU_SYNC_SESSION);
	for (unsigned int i = 0; i < 120; i++)
		assert_true(send_data(0, &syn).sent);
	assert_int_equal(take(0), 0); /* then by time alone */
}

static void sync__udp__is_told_after_threshold_packets_of_the_client(void **state)
{
	struct flow first = fixture_request(&nodes[0], 17, 53, 0), reply;
	struct seen s;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		s = fixture_send(&nodes[0], CLIENT_PORT, &first);
		assert_true(s.sent);
		reply = fixture_reply(&s.flow, 0);
		assert_true(fixture_send(&nodes[0], BACKEND_PORT, &reply).sent);
		assert_int_equal(take(0), 0);
	}
	fixture_send(&nodes[0], CLIENT_PORT, &first);
	assert_int_equal(told(0, SLU_SYNC_SESSION)->protocol, 17);
	assert_int_equal(records[0].timeout_s, 300);
	give(1, records, 1);
	first.payload = 7;
	s = fixture_send(&nodes[1], CLIENT_PORT, &first);
	assert_true(s.sent);
	assert_int_equal(s.flow.sport, reply.dport);
	assert_int_equal(sessions(1), 1);
}

static void sync__threshold_one__tells_with_the_first_packet_of_udp(void **state)
{
	static const struct slu_sync_settings at_once = {.threshold = 1, .outbox = 64, .inbox = 64};
	struct flow first = fixture_request(&nodes[0], 17, 53, 0);

	(void)state;
	restart_sync(0, &at_once);
	assert_true(fixture_send(&nodes[0], CLIENT_PORT, &first).sent);
	told(0, SLU_SYNC_SESSION);
}

static bool asks_for_the_card(unsigned int node)
{
	struct slu_offload_request request;

	slu_worker_offload_flush(nodes[node].w);
	return slu_offload_next(nodes[node].dp, &request);
}

static void sync__request_goes_to_the_card__is_told_and_sent_before(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	slu_offload_enable(nodes[0].dp, true);
	fixture_connect(&nodes[0], &syn);
	assert_true(send_data(0, &syn).sent);
	assert_false(asks_for_the_card(0));
	told(0, SLU_SYNC_SESSION);
	advance(SECOND / 100);
	assert_true(send_data(0, &syn).sent);
	assert_false(asks_for_the_card(0));
	advance(SECOND / 50);
	assert_true(send_data(0, &syn).sent);
	assert_true(asks_for_the_card(0));
	assert_int_equal(take(0), 0);
}

static void sync__request_goes_to_the_card_of_a_node_that_is_alone__waits_for_nothing(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	views[0].member_count = 1;
	slu_offload_enable(nodes[0].dp, true);
	fixture_connect(&nodes[0], &syn);
	assert_true(send_data(0, &syn).sent);
	assert_true(asks_for_the_card(0));
	told(0, SLU_SYNC_SESSION); /* for who joins */
}

static void sync__outbox_full__counts_and_tells_later(void **state)
{
	static const struct slu_sync_settings small = {.threshold = 1, .outbox = 2, .inbox = 64};
	struct flow flow = fixture_request(&nodes[0], 17, 53, 0);

	(void)state;
	restart_sync(0, &small); /* a ring of two has room for one */
	for (unsigned int i = 0; i < 3; i++, flow.sport++)
		assert_true(fixture_send(&nodes[0], CLIENT_PORT, &flow).sent);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_OUTBOX_FULL), 2);
	assert_int_equal(take(0), 1);
	fixture_advance(&nodes[0], SECOND);
	assert_int_equal(take(0), 1);
	fixture_advance(&nodes[0], SECOND);
	assert_int_equal(take(0), 1);
	fixture_advance(&nodes[0], SECOND);
	assert_int_equal(take(0), 0);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_TOLD), 3);
}

/* ------------------------------------------------------------- changes */

static void sync__fin_of_the_client__is_told_at_once(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	uint16_t version;

	(void)state;
	open_synced(0, &syn);
	version = told(0, SLU_SYNC_SESSION)->version;
	give(1, records, 1);
	assert_true(send_flags(0, &syn, FIN | ACK).sent);
	told(0, SLU_SYNC_SESSION);
	assert_int_equal(records[0].version, (uint16_t)(version + 1));
	assert_int_equal(records[0].state, SLU_TCP_CLOSE_WAIT);
	assert_int_equal(records[0].flags, SLU_SESSION_FIN_REQ);
	give(1, records, 1);
	assert_int_equal(only_session(1).state, SLU_TCP_CLOSE_WAIT);
	assert_int_equal(only_session(1).version, (uint16_t)(version + 1));
	assert_true(send_flags(0, &syn, FIN | ACK).sent); /* again: nothing new */
	assert_int_equal(take(0), 0);
}

static void sync__halves_of_a_close_on_two_nodes__make_a_whole_one(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived;

	(void)state;
	arrived = open_synced(0, &syn);
	deliver(0);
	assert_true(send_flags(1, &syn, FIN | ACK).sent);
	assert_int_equal(told(1, SLU_SYNC_REPORT)->flags, SLU_SESSION_FIN_REQ);
	give(0, records, 1);
	give(2, records, 1);
	assert_int_equal(counter(2, SLU_COUNT_SYNC_NOT_OURS), 1);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_REPORTS), 1);
	assert_int_equal(only_session(0).state, SLU_TCP_CLOSE_WAIT);
	assert_int_equal(deliver(0), 1);
	assert_true(send_back(2, &arrived, FIN | ACK).sent);
	told(2, SLU_SYNC_REPORT);
	give(0, records, 1);
	assert_int_equal(deliver(0), 1);
	for (unsigned int node = 0; node < NODES; node++)
		assert_int_equal(only_session(node).state, SLU_TCP_TIME_WAIT);
	assert_int_equal(take(1) + take(2), 0);
}

static void sync__report_lost__copy_keeps_its_fin_and_reports_it_again(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived;

	(void)state;
	arrived = open_synced(0, &syn);
	deliver(0);
	assert_true(send_flags(1, &syn, FIN | ACK).sent);
	told(1, SLU_SYNC_REPORT); /* lost */
	assert_true(send_back(0, &arrived, FIN | ACK).sent);
	assert_int_equal(only_session(0).state, SLU_TCP_FIN_WAIT);
	told(0, SLU_SYNC_SESSION);
	give(1, records, 1);
	assert_int_equal(only_session(1).state, SLU_TCP_TIME_WAIT);
	told(1, SLU_SYNC_REPORT);
	give(0, records, 1);
	assert_int_equal(only_session(0).state, SLU_TCP_TIME_WAIT);
}

static void sync__reset_seen_elsewhere__closes_and_traffic_revives(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	open_synced(0, &syn);
	deliver(0);
	assert_true(send_flags(1, &syn, RST).sent);
	assert_int_equal(told(1, SLU_SYNC_REPORT)->flags, SLU_SESSION_RST);
	give(0, records, 1);
	assert_int_equal(only_session(0).state, SLU_TCP_CLOSE);
	deliver(0);
	assert_int_equal(only_session(2).state, SLU_TCP_CLOSE);
	assert_true(send_data(1, &syn).sent);
	told(1, SLU_SYNC_REPORT);
	give(0, records, 1);
	assert_int_equal(only_session(0).state, SLU_TCP_ESTABLISHED);
	deliver(0);
	assert_int_equal(only_session(2).state, SLU_TCP_ESTABLISHED);
}

/* -------------------------------------------------------------- refreshes */

static void sync__used_session__is_refreshed_every_third_of_its_timeout(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	unsigned int count = 0;
	uint16_t version;

	(void)state;
	open_synced(0, &syn);
	version = told(0, SLU_SYNC_SESSION)->version;
	for (unsigned int second = 0; second < 1800; second++) {
		advance(SECOND);
		assert_true(send_data(0, &syn).sent);
		if (take(0)) {
			count++;
			assert_int_equal(records[0].version, version);
			assert_int_equal(records[0].kind, SLU_SYNC_SESSION);
		}
	}
	assert_in_range(count, 6, 7); /* of 262 to 300 s */
}

static void sync__idle_session__is_not_refreshed_and_its_end_is_told(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	open_synced(0, &syn);
	deliver(0);
	for (unsigned int second = 0; second < 895; second++)
		advance(SECOND);
	assert_int_equal(take(0), 0);
	assert_int_equal(sessions(0), 1);
	advance(7 * SECOND);
	assert_int_equal(sessions(0), 0);
	told(0, SLU_SYNC_END);
	assert_int_equal(sessions(1), 1);
	give(1, records, 1);
	assert_int_equal(sessions(1), 0);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_ENDED), 1);
}

static void sync__copy_without_a_word__outlives_the_timeout_by_a_third(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	open_synced(0, &syn);
	deliver(0);
	for (unsigned int second = 0; second < 1190; second++)
		fixture_advance(&nodes[1], SECOND);
	assert_int_equal(sessions(1), 1);
	fixture_advance(&nodes[1], 12 * SECOND);
	assert_int_equal(sessions(1), 0);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_EXPIRED), 1);
	assert_int_equal(take(1), 0);
}

/* The owner's time-out is another than ours here, as while a document is changed node by node. */
static void sync__life_told__copy_lives_so_long_and_not_by_its_own_listener(void **state)
{
	static const uint32_t lives[] = {60, 4000};
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	uint32_t count;

	(void)state;
	open_synced(0, &syn);
	count = take(0);
	assert_int_equal(count, 1);
	assert_int_equal(records[0].timeout_s, 900);
	assert_int_equal(records[0].life_s, 1200);
	for (unsigned int node = 1; node < NODES; node++) {
		records[0].life_s = lives[node - 1];
		give(node, records, 1);
		assert_int_equal(only_session(node).expires_ms, lives[node - 1] * 1000);
		for (uint32_t second = 0; second < lives[node - 1] - 10; second++)
			fixture_advance(&nodes[node], SECOND);
		assert_int_equal(sessions(node), 1);
		fixture_advance(&nodes[node], 22 * SECOND);
		assert_int_equal(sessions(node), 0);
	}
}

/* Who joins gets the life that the owner told, whoever feeds him. */
static void sync__life_told__goes_on_with_a_snapshot(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	uint64_t cursor = 0;

	(void)state;
	open_synced(0, &syn);
	assert_int_equal(take(0), 1);
	records[0].life_s = 4000;
	give(1, records, 1);
	assert_int_equal(slu_sync_snapshot(nodes[1].dp, &cursor, records, RECORDS_MAX), 1);
	assert_int_equal(records[0].life_s, 4000);
	/* A change that is seen here was not in what the owner told. */
	assert_true(send_flags(1, &syn, ACK | FIN).sent);
	assert_true(only_session(1).expires_ms < 200000);
}

static void sync__traffic_on_one_copy_alone__keeps_all_alive(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	unsigned int reports = 0;

	(void)state;
	open_synced(0, &syn);
	deliver(0);
	for (unsigned int second = 0; second < 4000; second++) {
		uint32_t count;

		advance(SECOND);
		assert_true(send_data(1, &syn).sent);
		count = take(1);
		for (uint32_t i = 0; i < count; i++)
			assert_int_equal(records[i].kind, SLU_SYNC_REPORT);
		reports += count;
		give(0, records, count);
		deliver(0);
	}
	assert_in_range(reports, 6, 15); /* at most one in a third of the time-out */
	for (unsigned int node = 0; node < NODES; node++)
		assert_int_equal(only_session(node).state, SLU_TCP_ESTABLISHED);
}

static void sync__card_carries_the_packets__refreshes_go_on(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_offload_request request;
	unsigned int refreshes = 0;

	(void)state;
	slu_offload_enable(nodes[0].dp, true);
	open_synced(0, &syn);
	deliver(0);
	advance(SECOND / 10);
	assert_true(send_data(0, &syn).sent);
	slu_worker_offload_flush(nodes[0].w);
	while (slu_offload_next(nodes[0].dp, &request))
		assert_true(slu_offload_done(nodes[0].dp, request.session, (enum slu_dir)request.dir, true));
	for (unsigned int second = 0; second < 3000; second++) {
		advance(SECOND);
		slu_offload_counters(nodes[0].dp, request.session, SLU_DIR_REQUEST, second * 10, second * 1000,
			nodes[0].now_us - SECOND / 2);
		refreshes += deliver(0);
	}
	assert_in_range(refreshes, 10, 12);
	assert_int_equal(sessions(0), 1);
	assert_int_equal(sessions(1), 1);
}

/* --------------------------------------------------------------- versions */

static void sync__older_version__changes_nothing(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_sync_record first, second;

	(void)state;
	open_synced(0, &syn);
	first = *told(0, SLU_SYNC_SESSION);
	send_flags(0, &syn, FIN | ACK);
	second = *told(0, SLU_SYNC_SESSION);
	give(1, &second, 1); /* they overtake each other */
	give(1, &first, 1);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_STALE), 1);
	assert_int_equal(only_session(1).state, SLU_TCP_CLOSE_WAIT);
	give(1, &second, 1); /* and come twice */
	assert_int_equal(counter(1, SLU_COUNT_SYNC_REFRESHED), 1);
	assert_int_equal(only_session(1).version, second.version);
	assert_int_equal(sessions(1), 1);
}

static void sync__versions_wrap__later_is_still_newer(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_sync_record r;

	(void)state;
	open_synced(0, &syn);
	r = *told(0, SLU_SYNC_SESSION);
	r.version = 0xFFFE;
	give(1, &r, 1);
	r.version = 3;
	r.state = SLU_TCP_FIN_WAIT;
	give(1, &r, 1);
	assert_int_equal(only_session(1).state, SLU_TCP_FIN_WAIT);
	r.version = 0xFFFF;
	r.state = SLU_TCP_ESTABLISHED;
	give(1, &r, 1);
	assert_int_equal(only_session(1).state, SLU_TCP_FIN_WAIT);
}

static void sync__late_record_after_the_end__does_not_resurrect(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_sync_record first, end;

	(void)state;
	open_synced(0, &syn);
	first = *told(0, SLU_SYNC_SESSION);
	give(1, &first, 1);
	advance(950 * SECOND);
	end = *told(0, SLU_SYNC_END);
	first.age_ms = end.age_ms; /* of one who has not heard of the end */
	give(1, &end, 1);
	give(2, &end, 1); /* before the session itself */
	give(1, &first, 1);
	give(2, &first, 1);
	assert_int_equal(sessions(1) + sessions(2), 0);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_TOMBSTONED), 1);
	assert_int_equal(counter(2, SLU_COUNT_SYNC_TOMBSTONED), 1);
	/* A late report does not bring it back to its owner either. */
	first.kind = SLU_SYNC_REPORT;
	give(0, &first, 1);
	assert_int_equal(sessions(0), 0);
	/* The next session of the same tuples is another matter, */
	first.kind = SLU_SYNC_SESSION;
	first.age_ms = 1;
	fixture_advance(&nodes[1], 30 * SECOND);
	give(1, &first, 1);
	assert_int_equal(sessions(1), 1);
	/* and two refreshes later nobody remembers. */
	fixture_advance(&nodes[2], 700 * SECOND);
	first.age_ms = 3000000;
	give(2, &first, 1);
	assert_int_equal(sessions(2), 1);
}

static void sync__tombstones_full__the_oldest_go_and_are_counted(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_sync_record end;

	(void)state;
	open_synced(0, &syn);
	end = *told(0, SLU_SYNC_SESSION);
	end.kind = SLU_SYNC_END;
	for (unsigned int i = 0; i < 2000; i++) {
		end.client_port = (slu_be16)(i + 1);
		give(1, &end, 1);
	}
	assert_true(counter(1, SLU_COUNT_SYNC_TOMBSTONES_FULL) > 0);
	assert_int_equal(sessions(1), 0);
}

static void sync__end_while_the_card_has_it__waits_for_the_card(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_offload_request request;
	struct slu_sync_record end;
	unsigned int removed = 0;

	(void)state;
	slu_offload_enable(nodes[1].dp, true);
	open_synced(0, &syn);
	give(1, told(0, SLU_SYNC_SESSION), 1);
	end = records[0];
	end.kind = SLU_SYNC_END;
	end.version++;
	advance(SECOND / 10);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(send_data(1, &syn).sent);
	slu_worker_offload_flush(nodes[1].w);
	while (slu_offload_next(nodes[1].dp, &request))
		assert_true(slu_offload_done(nodes[1].dp, request.session, (enum slu_dir)request.dir, true));
	give(1, &end, 1);
	assert_int_equal(sessions(1), 1);
	while (slu_offload_next(nodes[1].dp, &request)) {
		assert_int_equal(request.op, SLU_OFFLOAD_REMOVE);
		slu_offload_removed(nodes[1].dp, request.session, (enum slu_dir)request.dir, 5, 500);
		removed++;
	}
	assert_int_equal(removed, 2);
	fixture_advance(&nodes[1], 2 * SECOND);
	assert_int_equal(sessions(1), 0);
	assert_int_equal(take(1), 0);
}

/* -------------------------------------------------------------- ownership */

static void sync__owner_dies__successor_refreshes_with_a_newer_version(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	uint16_t version;

	(void)state;
	open_synced(0, &syn);
	version = records[0].version;
	deliver(0);
	version = only_session(1).version;
	move_prefix(0, 1);
	assert_int_equal(only_session(1).owner_node, 2);
	for (unsigned int second = 0; second < 301; second++) {
		fixture_advance(&nodes[1], SECOND);
		fixture_advance(&nodes[2], SECOND);
		assert_true(send_data(1, &syn).sent);
	}
	told(1, SLU_SYNC_SESSION);
	assert_true((int16_t)(uint16_t)(records[0].version - version) > 1);
	give(2, records, 1);
	assert_int_equal(counter(2, SLU_COUNT_SYNC_CHANGED), 1);
	advance(910 * SECOND);
	told(1, SLU_SYNC_END);
	give(2, records, 1);
	assert_int_equal(sessions(1) + sessions(2), 0);
}

static void sync__owner_comes_back__takes_what_is_newer_from_a_snapshot(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	uint64_t cursor = 0;

	(void)state;
	open_synced(0, &syn);
	deliver(0);
	move_prefix(0, 1);
	assert_true(send_flags(1, &syn, FIN | ACK).sent);
	told(1, SLU_SYNC_SESSION);
	assert_int_equal(slu_sync_snapshot(nodes[1].dp, &cursor, records, RECORDS_MAX), 1);
	give(0, records, 1);
	assert_int_equal(only_session(0).state, SLU_TCP_CLOSE_WAIT);
	cursor = 0;
	assert_int_equal(slu_sync_snapshot(nodes[2].dp, &cursor, records, RECORDS_MAX), 1); /* an older one */
	give(0, records, 1);
	assert_int_equal(only_session(0).state, SLU_TCP_CLOSE_WAIT);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_STALE), 1);
}

static void sync__report_of_an_unknown_session__brings_it_to_its_owner(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	open_synced(0, &syn);
	give(1, told(0, SLU_SYNC_SESSION), 1);
	move_prefix(0, 2); /* which never heard of it */
	assert_true(send_flags(1, &syn, FIN | ACK).sent);
	told(1, SLU_SYNC_REPORT);
	give(2, records, 1);
	assert_int_equal(only_session(2).state, SLU_TCP_CLOSE_WAIT);
	told(2, SLU_SYNC_SESSION);
}

static void sync__nobody_else_ends_what_is_ours(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	open_synced(0, &syn);
	told(0, SLU_SYNC_SESSION);
	records[0].kind = SLU_SYNC_END;
	records[0].version += 100;
	records[0].sender = 2;
	give(0, records, 1);
	assert_int_equal(sessions(0), 1);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_CONTRADICTED), 1);
	/* An end that we know better than is nothing to answer. */
	told(0, SLU_SYNC_SESSION);
	records[0].kind = SLU_SYNC_END;
	records[0].version -= 2;
	give(0, records, 1);
	assert_int_equal(sessions(0), 1);
	assert_int_equal(take(0), 0);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_STALE), 1);
}

/*
 * Node 0 hears nobody for longer than a time-out, owns everything by its own lights, and ends what it sees no packet
 * of. Its end, heard when the cut is over, must take the session from nobody.
 */
static void sync__cut_longer_than_a_timeout__owner_brings_back_what_the_other_side_ended(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived;
	struct slu_sync_record end;
	struct seen s;

	(void)state;
	arrived = open_synced(1, &syn);
	deliver(1);
	for (uint32_t p = 0; p < views[0].prefix_count; p++)
		views[0].prefix[p].owner = 1;
	for (unsigned int second = 0; second < 1300; second += 10) {
		advance(10 * SECOND);
		assert_true(send_data(1, &syn).sent);
		for (uint32_t n = take(1), i = 0; i < n; i++)
			give(2, &records[i], 1);
	}
	assert_int_equal(sessions(0), 0);
	end = *told(0, SLU_SYNC_END);
	for (uint32_t p = 0; p < views[0].prefix_count; p++)
		views[0].prefix[p].owner = views[0].prefix[p].home;
	give(2, &end, 1);
	assert_int_equal(sessions(2), 0); /* it knows no better */
	give(1, &end, 1);
	assert_int_equal(sessions(1), 1);
	assert_int_equal(deliver(1), 1);
	for (unsigned int node = 0; node < NODES; node++) {
		assert_int_equal(sessions(node), 1);
		s = send_data(node, &syn);
		assert_true(s.sent);
		fixture_assert_ip(&s.flow.src, &arrived.src);
		assert_int_equal(s.flow.sport, arrived.sport);
		assert_true(send_back(node, &arrived, ACK).sent);
	}
}

static void sync__adopted_prefix__gives_no_local_ports(void **state)
{
	struct flow syn = fixture_request(&nodes[1], 6, 80, SYN);

	(void)state;
	/* The second address is another member's, which this node announces for it. */
	nodes[1].locals[1] = local_of(nodes[1].family, 0, 4);
	move_prefix(0, 1);
	fixture_publish(&nodes[1]);
	for (unsigned int i = 0; i < 20; i++, syn.sport++) {
		struct flow arrived = fixture_connect(&nodes[1], &syn);

		fixture_assert_ip(&arrived.src, &nodes[1].locals[0]);
	}
	nodes[1].locals[0] = local_of(nodes[1].family, 2, 4);
	fixture_publish(&nodes[1]);
	assert_false(fixture_send(&nodes[1], CLIENT_PORT, &syn).sent);
	assert_int_equal(counter(1, SLU_COUNT_DROP_NO_LOCAL_PORT), 1);
}

/* -------------------------------------------------------------- conflicts */

/* One client tuple opened on two nodes; what node 0 saw is older by so many microseconds. */
static void open_twice(const struct flow *syn, uint64_t older_us, struct flow arrived[2])
{
	arrived[0] = open_synced(0, syn);
	advance(older_us);
	arrived[1] = open_synced(1, syn);
}

static void sync__two_sessions_of_one_client_tuple__the_older_gets_the_requests(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived[2];
	struct seen s;

	(void)state;
	open_twice(&syn, 2 * SECOND, arrived);
	deliver(0);
	deliver(1);
	for (unsigned int node = 0; node < NODES; node++) {
		assert_int_equal(sessions(node), 2);
		assert_int_equal(counter(node, SLU_COUNT_SYNC_CONFLICT), 1);
		s = send_data(node, &syn);
		assert_true(s.sent);
		fixture_assert_ip(&s.flow.src, &arrived[0].src);
		assert_int_equal(s.flow.sport, arrived[0].sport);
		for (unsigned int i = 0; i < 2; i++) {
			s = send_back(node, &arrived[i], ACK);
			assert_true(s.sent && s.checksums_right);
			assert_int_equal(s.flow.dport, syn.sport);
		}
	}
}

static void sync__as_old_as_each_other__the_smaller_node_wins(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived[2];
	struct slu_sync_record second;
	struct seen s;

	(void)state;
	open_twice(&syn, 0, arrived);
	second = *told(1, SLU_SYNC_SESSION);
	give(2, &second, 1);
	deliver(0);
	give(0, &second, 1);
	for (unsigned int node = 0; node < NODES; node++) {
		s = send_data(node, &syn);
		fixture_assert_ip(&s.flow.src, &arrived[0].src);
	}
}

static void sync__winner_ends__the_other_gets_the_requests_back(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived[2];
	struct slu_sync_record second;
	struct seen s;

	(void)state;
	open_twice(&syn, 2 * SECOND, arrived);
	second = *told(1, SLU_SYNC_SESSION);
	deliver(0);
	give(2, &second, 1);
	records[0].kind = SLU_SYNC_END;
	records[0].version++;
	give(2, records, 1);
	assert_int_equal(sessions(2), 1);
	assert_int_equal(counter(2, SLU_COUNT_SYNC_ENDED), 1);
	give(2, &second, 1);
	s = send_data(2, &syn);
	assert_true(s.sent);
	fixture_assert_ip(&s.flow.src, &arrived[1].src);
}

static void sync__same_creator_again__the_younger_is_the_one_that_lives(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived;
	struct seen s;

	(void)state;
	open_synced(0, &syn);
	deliver(0);
	advance(950 * SECOND);
	told(0, SLU_SYNC_END); /* lost */
	arrived = open_synced(0, &syn);
	told(0, SLU_SYNC_SESSION);
	give(1, records, 1);
	s = send_data(1, &syn);
	assert_true(s.sent);
	assert_int_equal(s.flow.sport, arrived.sport);
}

static void sync__finished_session__gives_the_requests_to_the_next_one(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), first, next;
	struct seen s;

	(void)state;
	first = open_synced(0, &syn);
	assert_true(send_flags(0, &syn, FIN | ACK).sent);
	assert_true(send_back(0, &first, FIN | ACK).sent);
	deliver(0);
	assert_int_equal(only_session(1).state, SLU_TCP_TIME_WAIT);
	advance(2 * SECOND);
	next = open_synced(1, &syn); /* the client comes again, by another way */
	deliver(1);
	s = send_data(0, &syn);
	assert_true(s.sent);
	fixture_assert_ip(&s.flow.src, &next.src);
	assert_int_equal(s.flow.sport, next.sport);
	assert_int_equal(sessions(0), 2);
}

static void sync__session_that_yields__leaves_its_replies_alone_to_the_card(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived;
	struct slu_offload_request request;
	unsigned int removed = 0, installed[2] = {0};

	(void)state;
	slu_offload_enable(nodes[1].dp, true);
	open_synced(0, &syn);
	advance(2 * SECOND);
	arrived = open_synced(1, &syn);
	advance(SECOND / 10);
	assert_true(send_data(1, &syn).sent);
	slu_worker_offload_flush(nodes[1].w);
	while (slu_offload_next(nodes[1].dp, &request))
		assert_true(slu_offload_done(nodes[1].dp, request.session, (enum slu_dir)request.dir, true));
	deliver(0);
	while (slu_offload_next(nodes[1].dp, &request)) {
		assert_int_equal(request.op, SLU_OFFLOAD_REMOVE);
		slu_offload_removed(nodes[1].dp, request.session, (enum slu_dir)request.dir, 0, 0);
		removed++;
	}
	assert_int_equal(removed, 2);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(send_back(1, &arrived, ACK).sent);
	slu_worker_offload_flush(nodes[1].w);
	while (slu_offload_next(nodes[1].dp, &request)) {
		installed[request.dir]++;
		assert_true(slu_offload_done(nodes[1].dp, request.session, (enum slu_dir)request.dir, false));
	}
	assert_int_equal(installed[SLU_DIR_REPLY], 1);
	assert_int_equal(installed[SLU_DIR_REQUEST], 0);
}

static void sync__reply_tuple_of_our_home__is_ours(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived;
	struct seen s;

	(void)state;
	arrived = open_synced(0, &syn);
	told(0, SLU_SYNC_SESSION);
	records[0].client_port ^= 0x0100;
	records[0].sender = records[0].creator = 2;
	give(0, records, 1);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_CONFLICT), 1);
	assert_int_equal(sessions(0), 1);
	s = send_back(0, &arrived, ACK);
	assert_int_equal(s.flow.dport, syn.sport);
	/* Where it is nobody's home, the younger session is the one that still lives. */
	records[0].client_port ^= 0x0100;
	give(2, records, 1);
	records[0].client_port ^= 0x0100;
	fixture_advance(&nodes[2], 5 * SECOND);
	give(2, records, 1);
	assert_int_equal(sessions(2), 1);
	s = send_back(2, &arrived, ACK);
	assert_int_equal(s.flow.dport, __builtin_bswap16(records[0].client_port));
}

/* ---------------------------------------------------------------- orphans */

static void sync__listener_unknown__session_forwards_and_is_bound_later(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived;
	struct slu_live_counters live;

	(void)state;
	arrived = open_synced(0, &syn);
	told(0, SLU_SYNC_SESSION);
	nodes[1].listeners[LISTENER_TCP].port_first = nodes[1].listeners[LISTENER_TCP].port_last = 79;
	fixture_publish(&nodes[1]);
	give(1, records, 1);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_ORPHAN), 1);
	assert_int_equal(only_session(1).listener_id, 0);
	assert_true(send_data(1, &syn).sent);
	assert_true(send_back(1, &arrived, ACK).sent);
	assert_int_equal(only_session(1).timeout_ms, 900000);
	nodes[1].listeners[LISTENER_TCP].port_first = nodes[1].listeners[LISTENER_TCP].port_last = 80;
	fixture_publish(&nodes[1]);
	give(1, records, 1);
	assert_int_equal(only_session(1).listener_id, 500 + LISTENER_TCP);
	slu_dataplane_listener_counters(nodes[1].dp, LISTENER_TCP, &live);
	assert_int_equal(live.active, 1);
	slu_dataplane_listener_counters(nodes[1].dp, SLU_SESSION_NONE_LIVE, &live);
	assert_int_equal(live.active + live.inactive, 0);
}

static void sync__backend_unknown__session_keeps_its_listener(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	open_synced(0, &syn);
	told(0, SLU_SYNC_SESSION);
	nodes[1].group.backend_count = 0;
	give(1, records, 1);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_ORPHAN), 1);
	assert_int_equal(only_session(1).listener_id, 500 + LISTENER_TCP);
	assert_int_equal(only_session(1).backend_id, 0);
	assert_true(send_data(1, &syn).sent);
}

static void sync__nat_session_of_linux__is_taken_with_the_client_as_local_address(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 81, SYN), arrived;
	struct slu_session_snapshot copy;
	struct slu_sync_record r;
	struct seen s;

	(void)state;
	arrived = open_synced(0, &syn);
	r = *told(0, SLU_SYNC_SESSION);
	assert_int_equal(r.mode, SLU_MODE_NAT);
	memset(r.local, 0, sizeof(r.local));
	r.local_port = 0;
	r.version = 0;
	r.age_ms = r.timeout_s = 0;
	r.creator = r.sender = 0;
	give(1, &r, 1);
	assert_int_equal(only_session(1).mode, SLU_MODE_NAT);
	copy = only_session(1);
	fixture_assert_ip(&copy.local, &syn.src);
	s = send_data(1, &syn);
	assert_true(s.sent && s.checksums_right);
	fixture_assert_ip(&s.flow.src, &syn.src);
	assert_true(send_back(1, &arrived, ACK).sent);
	/* Its later words count, without a version. */
	r.state = SLU_TCP_FIN_WAIT;
	give(1, &r, 1);
	assert_int_equal(only_session(1).state, SLU_TCP_FIN_WAIT);
	assert_int_equal(sessions(1), 1);
	/* To the owner they are reports. */
	give(0, &r, 1);
	assert_int_equal(only_session(0).state, SLU_TCP_FIN_WAIT);
	assert_int_not_equal(told(0, SLU_SYNC_SESSION)->version, 0);
}

/* ------------------------------------------------------ without a session */

static void sync__quiet__stray_segments_are_dropped_silently(void **state)
{
	struct flow stray = fixture_request(&nodes[0], 6, 80, ACK);
	struct seen s;

	(void)state;
	slu_dataplane_quiet_until(nodes[0].dp, nodes[0].now_us + 3 * SECOND);
	assert_false(fixture_send(&nodes[0], CLIENT_PORT, &stray).sent);
	stray.dst = nodes[0].locals[0];
	assert_false(fixture_send(&nodes[0], BACKEND_PORT, &stray).sent);
	stray.dst = local_of(nodes[0].family, 1, 9);
	s = fixture_send(&nodes[0], BACKEND_PORT, &stray);
	assert_false(s.sent || s.exception);
	assert_int_equal(counter(0, SLU_COUNT_DROP_ASKED), 3);
	views[0].member_count = 1; /* nobody to ask */
	assert_false(fixture_send(&nodes[0], BACKEND_PORT, &stray).sent);
	assert_int_equal(counter(0, SLU_COUNT_DROP_QUIET), 1);
	views[0].member_count = NODES;
	advance(4 * SECOND);
	s = fixture_send(&nodes[0], BACKEND_PORT, &stray);
	assert_true(s.sent);
	assert_int_equal(s.flow.flags, RST);
	assert_int_equal(counter(0, SLU_COUNT_DROP_LOCAL), 1);
	stray.dst = local_of(nodes[0].family, NODES, 9); /* behind all members' */
	assert_true(fixture_send(&nodes[0], BACKEND_PORT, &stray).exception);
}

/* ------------------------------------------------------- asking for sessions */

/* A segment of a connection that this node does not know; returns whether it was answered with RST. */
static bool is_reset(unsigned int node, uint16_t in_port, const struct flow *segment)
{
	struct seen s = fixture_send(&nodes[node], in_port, segment);

	assert_false(s.exception);
	assert_true(!s.sent || s.flow.flags & RST);
	return s.sent;
}

static void ask__connection_moves_before_it_was_told__its_owner_answers(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), data = syn, arrived;
	struct seen s;

	(void)state;
	arrived = fixture_connect(&nodes[0], &syn);
	data.flags = ACK;
	assert_int_equal(take(0), 0);
	assert_false(is_reset(1, CLIENT_PORT, &data));
	assert_int_equal(counter(1, SLU_COUNT_DROP_ASKED), 1);
	assert_int_equal(deliver(1), 1);
	assert_int_equal(records[0].kind, SLU_SYNC_ASK);
	assert_int_equal(deliver(0), 1);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_ANSWERED), 1);
	s = fixture_send(&nodes[1], CLIENT_PORT, &data);
	assert_true(s.sent && s.checksums_right);
	assert_int_equal(s.flow.sport, arrived.sport);
	assert_int_equal(sessions(2), 1); /* all have heard the answer */
}

static void ask__reply_comes_to_another_node__its_owner_answers(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived, reply;

	(void)state;
	arrived = fixture_connect(&nodes[0], &syn);
	reply = fixture_reply(&arrived, ACK);
	assert_false(is_reset(2, BACKEND_PORT, &reply));
	deliver(2);
	deliver(0);
	assert_true(fixture_send(&nodes[2], BACKEND_PORT, &reply).sent);
	assert_int_equal(counter(2, SLU_COUNT_RST_SENT), 0);
}

static void ask__nobody_has_it__the_second_retransmission_is_answered_with_rst(void **state)
{
	struct flow stray = fixture_request(&nodes[0], 6, 80, ACK);

	(void)state;
	assert_false(is_reset(0, CLIENT_PORT, &stray));
	advance(SECOND / 5);
	assert_false(is_reset(0, CLIENT_PORT, &stray));
	assert_int_equal(deliver(0), 1); /* once */
	assert_int_equal(deliver(1) + deliver(2), 0);
	advance(SECOND / 5);
	assert_true(is_reset(0, CLIENT_PORT, &stray));
	assert_int_equal(counter(0, SLU_COUNT_DROP_NO_SESSION), 1);
	advance(6 * SECOND);
	assert_false(is_reset(0, CLIENT_PORT, &stray)); /* it may exist by now */
	assert_int_equal(take(0), 1);
}

static void ask__membership_has_changed__it_is_asked_for_again(void **state)
{
	struct flow stray = fixture_request(&nodes[0], 6, 80, ACK);

	(void)state;
	slu_dataplane_quiet_until(nodes[0].dp, nodes[0].now_us + 3 * SECOND);
	for (unsigned int i = 0; i < 3; i++) {
		assert_false(is_reset(0, CLIENT_PORT, &stray));
		assert_int_equal(take(0), 1);
		advance(SECOND / 2);
	}
}

static void ask__alone__rst_comes_at_once(void **state)
{
	struct flow stray = fixture_request(&nodes[0], 6, 80, ACK);

	(void)state;
	views[0].member_count = 1;
	assert_true(is_reset(0, CLIENT_PORT, &stray));
	assert_int_equal(take(0), 0);
}

static void ask__flood__is_bounded_and_then_answered_as_before(void **state)
{
	struct flow stray = fixture_request(&nodes[0], 6, 80, ACK);
	uint32_t asked = 0;

	(void)state;
	stray.sport = 1024;
	for (uint32_t i = 0; i < 2 * SLU_ASKS_BURST; i++, stray.sport++) {
		fixture_send(&nodes[0], CLIENT_PORT, &stray);
		asked += take(0);
	}
	assert_int_equal(asked, SLU_ASKS_BURST);
	assert_int_equal(counter(0, SLU_COUNT_DROP_NO_SESSION), SLU_ASKS_BURST);
}

static void ask__outbox_full__is_answered_as_before(void **state)
{
	struct flow stray = fixture_request(&nodes[0], 6, 80, ACK);
	unsigned int silent = 0;

	(void)state;
	for (unsigned int i = 0; i < 70; i++, stray.sport++)
		silent += !is_reset(0, CLIENT_PORT, &stray);
	assert_int_equal(silent, 63); /* of a ring of 64 */
	assert_int_equal(counter(0, SLU_COUNT_SYNC_OUTBOX_FULL), 7);
}

static void ask__session_is_over__nobody_answers(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), data = syn, arrived, fin;

	(void)state;
	arrived = fixture_connect(&nodes[0], &syn);
	fin = syn;
	fin.flags = FIN | ACK;
	fixture_send(&nodes[0], CLIENT_PORT, &fin);
	fin = fixture_reply(&arrived, FIN | ACK);
	fixture_send(&nodes[0], BACKEND_PORT, &fin);
	data.flags = ACK;
	fixture_send(&nodes[0], CLIENT_PORT, &data);
	take(0);
	assert_false(is_reset(1, CLIENT_PORT, &data));
	deliver(1);
	assert_int_equal(take(0), 0);
}

/* Its own table is gone, the others have what they were told. */
static void ask__owner_lacks_its_own_session__a_copy_brings_it(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived = open_synced(0, &syn);
	uint8_t family = nodes[0].family;
	struct seen s;

	(void)state;
	deliver(0);
	nodes[0].now_us += SECOND;
	fixture_destroy(&nodes[0]);
	start_node(0, family, 1, &settings);
	s = send_data(0, &syn);
	assert_false(s.sent);
	deliver(0);
	assert_int_equal(take(1), 1);
	assert_int_equal(records[0].kind, SLU_SYNC_REPORT);
	give(0, records, 1);
	s = send_data(0, &syn);
	assert_true(s.sent);
	assert_int_equal(s.flow.sport, arrived.sport);
}

static void ask__copies_of_a_living_owner__leave_the_answer_to_it(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);

	(void)state;
	open_synced(0, &syn);
	assert_int_equal(take(0), 1);
	give(1, records, 1); /* node 2 did not hear of it */
	assert_false(send_data(2, &syn).sent);
	deliver(2);
	assert_int_equal(take(1), 0);
	assert_int_equal(take(0), 1);
}

/* ------------------------------------------------------------- bad records */

static void refuse(const struct slu_sync_record *good, void (*spoil)(struct slu_sync_record *r))
{
	struct slu_sync_record r = *good;
	uint64_t before = counter(1, SLU_COUNT_SYNC_BAD) + counter(1, SLU_COUNT_SYNC_UNSUPPORTED);

	spoil(&r);
	give(1, &r, 1);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_BAD) + counter(1, SLU_COUNT_SYNC_UNSUPPORTED), before + 1);
	assert_int_equal(sessions(1), 0);
}

#define SPOIL(name, statement)                                                                                         \
	static void name(struct slu_sync_record *r)                                                                    \
	{                                                                                                              \
		statement;                                                                                             \
	}
SPOIL(bad_kind, r->kind = SLU_SYNC_ASK + 1)
SPOIL(bad_family, r->family = 5)
SPOIL(bad_protocol, r->protocol = 132)
SPOIL(bad_mode, r->mode = 200)
SPOIL(bad_state, r->state = SLU_TCP_STATES)
SPOIL(bad_vpc, r->vpc = SLU_VPC_MAX + 1)
SPOIL(no_client, memset(r->client, 0, 16))
SPOIL(no_backend, memset(r->backend, 0, 16))
SPOIL(no_local, memset(r->local, 0, 16))
SPOIL(multicast, memset(r->client, 0xFF, 16))
SPOIL(ask_nowhere, r->kind = SLU_SYNC_ASK; memset(r->virtual_ip, 0, 16))
SPOIL(ask_family, r->kind = SLU_SYNC_ASK; r->family = 0)
SPOIL(loop, memcpy(r->backend, r->client, 16); memcpy(r->local, r->virtual_ip, 16); r->backend_port = r->client_port;
	r->local_port = r->virtual_port)

static void sync__impossible_records__are_refused_and_counted(void **state)
{
	static void (*const all[])(struct slu_sync_record * r) = {bad_kind, bad_family, bad_protocol, bad_mode,
		bad_state, bad_vpc, no_client, no_backend, no_local, multicast, ask_nowhere, ask_family, loop};
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_sync_record good;

	(void)state;
	open_synced(0, &syn);
	good = *told(0, SLU_SYNC_SESSION);
	for (unsigned int i = 0; i < RTE_DIM(all); i++)
		refuse(&good, all[i]);
	give(1, &good, 1);
	assert_int_equal(sessions(1), 1);
}

static void sync__inbox_full__says_how_many_were_taken(void **state)
{
	struct slu_sync_record many[80];

	(void)state;
	memset(many, 0, sizeof(many));
	for (unsigned int i = 0; i < RTE_DIM(many); i++)
		many[i].protocol = 6;
	assert_int_equal(slu_sync_give(nodes[0].dp, many, 80), 63);
	give(0, many, 0);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_BAD), 63);
	give(0, many + 63, 17);
	assert_int_equal(counter(0, SLU_COUNT_SYNC_BAD), 80);
}

static void sync__settings_that_make_no_sense__return_einval(void **state)
{
	struct slu_sync_settings s = settings;

	(void)state;
	assert_int_equal(slu_dataplane_set_sync(nodes[0].dp, &s), -EINVAL); /* once is enough */
	fixture_destroy(&nodes[0]);
	fixture_create(&nodes[0], 4, 1, NULL);
	s.outbox = 63;
	assert_int_equal(slu_dataplane_set_sync(nodes[0].dp, &s), -EINVAL);
	s = settings;
	s.inbox = 0;
	assert_int_equal(slu_dataplane_set_sync(nodes[0].dp, &s), -EINVAL);
	s = (struct slu_sync_settings){
		.trigger = SLU_SYNC_AFTER_PACKETS, .threshold = 50, .period = 50, .outbox = 64, .inbox = 64};
	assert_int_equal(slu_dataplane_set_sync(nodes[0].dp, &s), -EINVAL);
	s.outbox = 0;
	assert_int_equal(slu_dataplane_set_sync(nodes[0].dp, &s), 0);
	assert_int_equal(take(0), 0);
	assert_int_equal(slu_sync_event(nodes[0].dp), -1);
}

/* ------------------------------------------------------- several workers */

#define WORKERS 3

static void several_workers(unsigned int node)
{
	uint8_t family = nodes[node].family;

	fixture_destroy(&nodes[node]);
	start_node(node, family, WORKERS, &settings);
}

/* Gives a packet to one worker, lets all work, and says who sent it (WORKERS: nobody). */
static struct seen send_to(unsigned int node, uint32_t worker, uint16_t in_port, const struct flow *flow, uint32_t *by)
{
	struct fixture *f = &nodes[node];
	struct rte_mbuf *m = fixture_packet(flow);
	struct seen s = {0};

	slu_worker_burst(f->dp->worker[worker], in_port, &m, 1);
	for (unsigned int turn = 0; turn < 2 * WORKERS; turn++) {
		for (*by = 0; *by < WORKERS; ++*by) {
			s = fixture_collect(f, f->dp->worker[*by]);
			if (s.sent || s.exception)
				return s;
		}
		for (uint32_t i = 0; i < WORKERS; i++)
			slu_worker_poll(f->dp->worker[i]);
	}
	return s;
}

static void sync__several_workers__a_copy_is_found_from_every_one(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), udp = fixture_request(&nodes[0], 17, 53, 0), arrived,
		    flow;
	uint32_t by, home;
	struct seen s;

	(void)state;
	several_workers(1);
	for (unsigned int i = 0; i < 12; i++, syn.sport++, udp.sport++) {
		arrived = open_synced(0, &syn);
		deliver(0);
		flow = fixture_reply(&arrived, ACK);
		s = send_to(1, i % WORKERS, BACKEND_PORT, &flow, &home);
		assert_true(s.sent && s.checksums_right);
		assert_int_equal(home, arrived.sport % WORKERS); /* without RSS the local port tells */
		flow = syn;
		flow.flags = ACK;
		for (uint32_t worker = 0; worker < WORKERS; worker++) {
			s = send_to(1, worker, CLIENT_PORT, &flow, &by);
			assert_true(s.sent);
			assert_int_equal(by, home);
			assert_int_equal(s.flow.sport, arrived.sport);
		}
		for (unsigned int k = 0; k < 3; k++)
			s = fixture_send(&nodes[0], CLIENT_PORT, &udp);
		arrived = s.flow;
		deliver(0);
		s = send_to(1, i % WORKERS, CLIENT_PORT, &udp, &by);
		assert_true(s.sent);
		assert_int_equal(s.flow.sport, arrived.sport);
	}
	assert_int_equal(sessions(1), 24);
	assert_int_equal(counter(1, SLU_COUNT_SESSIONS_CREATED), 0);
}

static void ask__several_workers__the_one_that_has_it_answers(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), flow;
	uint32_t by;

	(void)state;
	several_workers(0);
	for (unsigned int i = 0; i < 3 * WORKERS; i++, syn.sport++) {
		assert_true(send_to(0, i % WORKERS, CLIENT_PORT, &syn, &by).sent);
		flow = syn;
		flow.flags = ACK;
		assert_false(is_reset(1, CLIENT_PORT, &flow));
		deliver(1);
		assert_int_equal(deliver(0), 1);
		assert_true(fixture_send(&nodes[1], CLIENT_PORT, &flow).sent);
		deliver(1); /* what it saw of the handshake */
		deliver(0);
	}
	assert_int_equal(counter(0, SLU_COUNT_SYNC_ANSWERED), 3 * WORKERS);
}

static void sync__several_workers__nat_copy_is_where_its_packets_are_sent(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 81, SYN), arrived, flow;
	uint32_t by;

	(void)state;
	several_workers(1);
	for (unsigned int i = 0; i < 9; i++, syn.sport++) {
		arrived = open_synced(0, &syn);
		deliver(0);
		flow = fixture_reply(&arrived, ACK);
		assert_true(send_to(1, i % WORKERS, BACKEND_PORT, &flow, &by).sent);
		flow = syn;
		flow.flags = ACK;
		assert_true(send_to(1, (i + 1) % WORKERS, CLIENT_PORT, &flow, &by).sent);
	}
	assert_int_equal(counter(1, SLU_COUNT_DROP_NO_SESSION), 0);
}

static void sync__several_workers__conflict_is_settled_between_them(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived, theirs, flow;
	unsigned int lost = 0;
	uint32_t by;
	struct seen s;

	(void)state;
	several_workers(1);
	for (unsigned int i = 0; i < 9; i++, syn.sport++) {
		/* Ours is younger, */
		theirs = open_synced(0, &syn);
		advance(2 * SECOND);
		s = send_to(1, i % WORKERS, CLIENT_PORT, &syn, &by);
		arrived = s.flow;
		deliver(0);
		flow = syn;
		flow.flags = ACK;
		for (uint32_t worker = 0; worker < WORKERS; worker++) {
			s = send_to(1, worker, CLIENT_PORT, &flow, &by);
			assert_true(s.sent);
			assert_int_equal(s.flow.sport, theirs.sport);
		}
		/* and gives its client's packets away, but keeps its own replies. */
		flow = fixture_reply(&arrived, SYN | ACK);
		s = send_to(1, i % WORKERS, BACKEND_PORT, &flow, &by);
		assert_true(s.sent);
		lost += by != theirs.sport % WORKERS;
	}
	assert_true(lost > 0); /* some of them met between two workers */
	assert_int_equal(sessions(1), 18);
}

static void sync__several_workers__report_finds_the_worker_that_has_it(void **state)
{
	struct flow syn = fixture_request(&nodes[1], 6, 80, SYN), flow;
	uint32_t by;

	(void)state;
	several_workers(0);
	for (uint32_t worker = 0; worker < WORKERS; worker++, syn.sport++) {
		flow = syn;
		send_to(0, worker, CLIENT_PORT, &flow, &by);
		flow.flags = ACK;
		flow.payload = DATA;
		for (unsigned int k = 0; k < 3; k++)
			send_to(0, worker, CLIENT_PORT, &flow, &by);
		told(0, SLU_SYNC_SESSION);
		give(1, records, 1);
		flow.payload = 0;
		flow.flags = FIN | ACK;
		assert_true(fixture_send(&nodes[1], CLIENT_PORT, &flow).sent);
		told(1, SLU_SYNC_REPORT);
		give(0, records, 1);
		assert_int_equal(counter(0, SLU_COUNT_SYNC_REPORTS), worker + 1);
		told(0, SLU_SYNC_SESSION);
		assert_int_equal(records[0].flags, SLU_SESSION_FIN_REQ);
	}
}

/* ---------------------------------------------------------------- waking */

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void sync__consumer_sleeps__its_descriptor_wakes_it_once(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	int fd = slu_sync_event(nodes[0].dp);
	uint64_t value;

	(void)state;
	assert_int_equal(take(0), 0);
	assert_false(is_readable(fd));
	open_synced(0, &syn);
	fixture_advance(&nodes[0], 1000);
	assert_true(is_readable(fd));
	assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
	assert_int_equal(value, 1);
	assert_int_equal(take(0), 1);
	/* Awake, it is told without a system call. */
	syn.sport++;
	open_synced(0, &syn);
	fixture_advance(&nodes[0], 1000);
	assert_false(is_readable(fd));
	assert_int_equal(take(0), 1);
	/* Told between its last look and its sleep. */
	syn.sport++;
	open_synced(0, &syn);
	assert_int_equal(take(0), 1);
	assert_int_equal(take(0), 0);
	syn.sport++;
	open_synced(0, &syn);
	fixture_advance(&nodes[0], 1000);
	assert_true(is_readable(fd));
	assert_int_equal(take(0), 1);
}

static void sync__worker_sleeps__records_wake_it(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	struct slu_wake wake;

	(void)state;
	assert_int_equal(slu_wake_open(&wake), 0);
	slu_worker_set_wake(nodes[1].w, &wake);
	open_synced(0, &syn);
	assert_int_equal(take(0), 1);
	slu_wake_arm(&wake);
	assert_int_equal(slu_sync_give(nodes[1].dp, records, 1), 1);
	assert_true(is_readable(wake.fd));
	assert_int_equal(slu_worker_poll(nodes[1].w), 1);
	assert_int_equal(sessions(1), 1);
	slu_wake_close(&wake);
}

/* --------------------------------------------------------------- recovery */

/* The process of a node dies: its file is copied while it is in use, and another process goes on with the copy. */
static void die_and_return(struct fixture *f, const char *file, bool with_sync)
{
	struct slu_dataplane_settings s = {.session_file = file, .sessions = 4096, .workers = 1, .now_us = f->now_us};
	struct slu_dataplane_recovery recovery;
	char command[256];

	snprintf(command, sizeof(command), "cp --sparse=always %s %s.dead", file, file);
	assert_int_equal(system(command), 0);
	for (uint32_t i = 0; i < f->dp->workers; i++)
		slu_worker_stop(f->dp->worker[i]);
	slu_dataplane_destroy(f->dp);
	snprintf(command, sizeof(command), "mv %s.dead %s", file, file);
	assert_int_equal(system(command), 0);
	assert_int_equal(slu_dataplane_create(&s, &f->dp, &recovery), 0);
	assert_true(recovery.reused);
	assert_int_equal(recovery.dropped, 0);
	if (with_sync) {
		assert_int_equal(slu_dataplane_set_sync(f->dp, &settings), 0);
		slu_dataplane_publish_cluster(f->dp, &views[0]);
	}
	f->w = slu_dataplane_worker(f->dp, 0);
	fixture_publish(f);
	slu_dataplane_publish_neigh(f->dp, f->neigh);
	slu_worker_start(f->w);
	fixture_advance(f, 0);
}

static void sync__agent_dies__its_sessions_are_as_they_were_told(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived[2], quiet;
	uint8_t family = nodes[0].family;
	char file[] = "/dev/shm/slu_sync_XXXXXX";
	struct slu_session_snapshot s[4];
	unsigned int synced = 0;
	uint64_t cursor = 0;
	struct seen seen;

	(void)state;
	assert_int_not_equal(mkstemp(file), -1);
	fixture_destroy(&nodes[0]);
	fixture_create(&nodes[0], family, 1, file);
	nodes[0].locals[0] = local_of(family, 0, 4);
	assert_int_equal(slu_dataplane_set_sync(nodes[0].dp, &settings), 0);
	slu_dataplane_publish_cluster(nodes[0].dp, &views[0]);
	fixture_publish(&nodes[0]);
	/* One that yielded to an older one, one that was told, one that was not yet. */
	arrived[1] = open_synced(1, &syn);
	advance(2 * SECOND);
	arrived[0] = open_synced(0, &syn);
	deliver(1);
	assert_int_equal(deliver(0), 1);
	quiet = syn;
	quiet.sport++;
	fixture_connect(&nodes[0], &quiet);
	die_and_return(&nodes[0], file, true);
	assert_int_equal(sessions(0), 3);
	assert_int_equal(slu_dataplane_sessions(nodes[0].dp, &cursor, s, 4), 3);
	for (unsigned int i = 0; i < 3; i++)
		synced += s[i].synced;
	assert_int_equal(synced, 2);
	for (unsigned int i = 0; i < 2; i++)
		assert_true(send_back(0, &arrived[i], ACK).sent);
	seen = send_data(0, &syn);
	fixture_assert_ip(&seen.flow.src, &arrived[1].src);
	/* Its last words may not have left the machine: our own session is told again, the other's is not. */
	advance(SECOND);
	assert_int_equal(told(0, SLU_SYNC_SESSION)->creator, 1);
	advance(SECOND);
	assert_int_equal(take(0), 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(send_data(0, &quiet).sent);
	told(0, SLU_SYNC_SESSION);
	/* Changes go on from the version that was told. */
	give(1, records, 1);
	assert_true(send_flags(0, &quiet, FIN | ACK).sent);
	told(0, SLU_SYNC_SESSION);
	give(1, records, 1);
	assert_int_equal(counter(1, SLU_COUNT_SYNC_CHANGED), 1);
	/* Without sync the sessions are ordinary ones. */
	die_and_return(&nodes[0], file, false);
	assert_int_equal(sessions(0), 3);
	assert_true(send_flags(0, &quiet, RST).sent);
	fixture_advance(&nodes[0], 1000 * SECOND);
	assert_int_equal(sessions(0), 0);
	unlink(file);
}

/* Node 0 has a connection, and keeps its sessions in a file. */
static struct flow open_on_file(char *file, const struct flow *syn)
{
	uint8_t family = nodes[0].family;
	struct flow arrived;

	assert_int_not_equal(mkstemp(file), -1);
	fixture_destroy(&nodes[0]);
	fixture_create(&nodes[0], family, 1, file);
	nodes[0].locals[0] = local_of(family, 0, 4);
	nodes[0].locals[1] = local_of(family, 0, 5);
	assert_int_equal(slu_dataplane_set_sync(nodes[0].dp, &settings), 0);
	slu_dataplane_publish_cluster(nodes[0].dp, &views[0]);
	fixture_publish(&nodes[0]);
	arrived = open_synced(0, syn);
	deliver(0);
	return arrived;
}

/* What node 1 has to tell while node 0 is dead. */
static uint32_t tell_survivor(void)
{
	uint32_t count = take(1);

	give(2, records, count);
	return count;
}

/* What a node answers to one that joins. */
static void feed(unsigned int from, unsigned int to)
{
	uint64_t cursor = 0;
	uint32_t count = slu_sync_snapshot(nodes[from].dp, &cursor, records, RECORDS_MAX);

	give(to, records, count);
}

/*
 * Node 0 dies; its connection ends at node 1, and the client makes the next one from the same port. What stands in the
 * file of node 0, which is older, must not get the client's packets when it returns.
 */
static void sync__old_session_file__gives_way_to_what_the_others_tell(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), next;
	char file[] = "/dev/shm/slu_sync_XXXXXX";
	struct seen s;

	(void)state;
	open_on_file(file, &syn);
	move_prefix(0, 1);
	advance(5 * SECOND);
	assert_true(send_flags(1, &syn, RST).sent);
	assert_int_equal(tell_survivor(), 1);
	for (unsigned int second = 0; second < 30; second++) { /* of a session in CLOSE */
		fixture_advance(&nodes[1], SECOND);
		fixture_advance(&nodes[2], SECOND);
		tell_survivor();
	}
	assert_int_equal(sessions(1) + sessions(2), 0);
	next = open_synced(1, &syn);
	assert_int_equal(tell_survivor(), 1);
	nodes[0].now_us = nodes[1].now_us;
	die_and_return(&nodes[0], file, true);
	assert_int_equal(only_session(0).state, SLU_TCP_ESTABLISHED);
	feed(1, 0);
	move_prefix(0, 0);
	assert_int_equal(sessions(0), 1);
	for (unsigned int node = 0; node < NODES; node++) {
		s = send_data(node, &syn);
		assert_true(s.sent);
		fixture_assert_ip(&s.flow.src, &next.src);
		assert_int_equal(s.flow.sport, next.sport);
		assert_true(send_back(node, &next, ACK).sent);
	}
	/* Nobody hears of it again. */
	advance(1300 * SECOND);
	for (uint32_t n = take(0), i = 0; i < n; i++)
		assert_int_not_equal(records[i].kind, SLU_SYNC_SESSION);
	unlink(file);
}

/* The same, but the connection lives, and another node made a second one of the same client: both stay. */
static void sync__old_session_file__keeps_what_the_others_know(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived[2];
	char file[] = "/dev/shm/slu_sync_XXXXXX";
	struct slu_sync_record second;
	struct seen s;

	(void)state;
	arrived[0] = open_on_file(file, &syn);
	advance(2 * SECOND);
	restart_sync(1, &settings); /* it has heard of nothing */
	fixture_advance(&nodes[1], 2 * SECOND);
	arrived[1] = open_synced(1, &syn);
	second = *told(1, SLU_SYNC_SESSION);
	give(2, &second, 1);
	die_and_return(&nodes[0], file, true);
	give(0, &second, 1); /* comes before the word of the first */
	assert_int_equal(sessions(0), 1);
	feed(2, 0);
	assert_int_equal(sessions(0), 2);
	s = send_data(0, &syn);
	assert_true(s.sent);
	fixture_assert_ip(&s.flow.src, &arrived[0].src);
	for (unsigned int i = 0; i < 2; i++)
		assert_true(send_back(0, &arrived[i], ACK).sent);
	unlink(file);
}

/* The successor has told more of a session than the file of its owner knows. */
static void sync__old_session_file__does_not_overwrite_what_is_newer(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN);
	char file[] = "/dev/shm/slu_sync_XXXXXX";

	(void)state;
	open_on_file(file, &syn);
	move_prefix(0, 1);
	advance(2 * SECOND);
	assert_true(send_flags(1, &syn, FIN | ACK).sent);
	assert_int_equal(tell_survivor(), 1);
	die_and_return(&nodes[0], file, true);
	assert_int_equal(only_session(0).state, SLU_TCP_ESTABLISHED);
	feed(0, 2);
	assert_int_equal(counter(2, SLU_COUNT_SYNC_STALE), 1);
	assert_int_equal(only_session(2).state, SLU_TCP_CLOSE_WAIT);
	feed(1, 0);
	assert_int_equal(only_session(0).state, SLU_TCP_CLOSE_WAIT);
	assert_int_equal(only_session(0).version, only_session(2).version);
	unlink(file);
}

/* ------------------------------------------------------------- convergence */

static uint32_t chance(uint32_t below)
{
	static uint64_t seed = 7;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

#define FLOWS 40
#define SESSIONS_MAX 512
#define MAIL_MAX 4096

/* Records on their way to each node. */
static struct slu_sync_record mail[NODES][MAIL_MAX];
static uint32_t mail_count[NODES];

/* What nodes have to tell goes into the mail; one in four is lost, one in eight comes twice. */
static void post(bool reliable)
{
	for (unsigned int from = 0; from < NODES; from++)
		for (uint32_t n = take(from), k = 0; k < n; k++)
			for (unsigned int to = 0; to < NODES; to++) {
				unsigned int copies = reliable ? 1 : chance(4) == 0 ? 0 : 1 + (chance(8) == 0);

				for (unsigned int c = 0; to != from && c < copies; c++) {
					assert_true(mail_count[to] < MAIL_MAX);
					mail[to][mail_count[to]++] = records[k];
				}
			}
}

/* Delivers in any order; without hurry some stay for later. */
static void carry(bool all)
{
	for (unsigned int to = 0; to < NODES; to++)
		for (uint32_t left = all ? mail_count[to] : mail_count[to] / 8; left; left--) {
			uint32_t k = all ? 0 : chance(mail_count[to]);

			give(to, &mail[to][k], 1);
			memmove(&mail[to][k], &mail[to][k + 1], (--mail_count[to] - k) * sizeof(mail[0][0]));
		}
}

static void random_step(struct flow *syn, struct flow *arrived, bool *open, bool closes)
{
	unsigned int node = chance(NODES);

	if (!*open) {
		*arrived = open_synced(node, syn);
		*open = true;
	} else if (closes && chance(10) == 0) {
		send_flags(node, syn, FIN | ACK);
	} else if (closes && chance(10) == 0) {
		send_back(node, arrived, FIN | ACK);
	} else if (closes && chance(20) == 0) {
		send_flags(node, syn, RST);
	} else if (chance(20) == 0) {
		send_flags(node, syn, SYN); /* opens another one where it is not known */
	} else if (chance(2)) {
		send_data(node, syn);
	} else {
		send_back(node, arrived, ACK);
	}
	/* A node that has never heard of it answers RST; that packet is taken away. */
	for (unsigned int i = 0; i < NODES; i++)
		fixture_collect(&nodes[i], nodes[i].w);
}

static const struct slu_session_snapshot *find_same(
	const struct slu_session_snapshot *of, const struct slu_session_snapshot *all, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (all[i].client_port == of->client_port && all[i].local_port == of->local_port &&
			!memcmp(&all[i].local, &of->local, sizeof(struct slu_ip)))
			return &all[i];
	return NULL;
}

/* What an owner has that is used, and was therefore refreshed, all have, in the same state. */
static void assert_same_everywhere(uint32_t at_least)
{
	static struct slu_session_snapshot s[NODES][SESSIONS_MAX];
	uint32_t count[NODES], compared = 0;

	for (unsigned int i = 0; i < NODES; i++) {
		uint64_t cursor = 0;

		count[i] = slu_dataplane_sessions(nodes[i].dp, &cursor, s[i], SESSIONS_MAX);
	}
	for (unsigned int owner = 0; owner < NODES; owner++)
		for (uint32_t k = 0; k < count[owner]; k++) {
			const struct slu_session_snapshot *ours = &s[owner][k], *theirs;

			if (ours->passive || !ours->synced || ours->idle_ms > 330000)
				continue;
			compared++;
			for (unsigned int i = 0; i < NODES; i++) {
				theirs = find_same(ours, s[i], count[i]);
				assert_non_null(theirs);
				assert_int_equal(theirs->state, ours->state);
				assert_int_equal(theirs->version, ours->version);
				assert_memory_equal(&theirs->backend, &ours->backend, sizeof(struct slu_ip));
			}
		}
	assert_true(compared >= at_least);
}

static void settle(void)
{
	for (unsigned int round = 0; round < 10; round++) {
		post(true);
		carry(true);
	}
}

static uint64_t counter_of_all(enum slu_counter c)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < NODES; i++)
		sum += counter(i, c);
	return sum;
}

/* Traffic everywhere while records are lost, repeated and mixed up; then a while without: all must know the same. */
static void sync__records_lost_repeated_and_reordered__nodes_agree_in_the_end(void **state)
{
	struct flow syn[FLOWS], arrived[FLOWS];
	bool open[FLOWS] = {false};

	(void)state;
	for (unsigned int i = 0; i < FLOWS; i++) {
		syn[i] = fixture_request(&nodes[0], 6, 80, SYN);
		syn[i].sport = (uint16_t)(3000 + i);
	}
	for (unsigned int step = 0; step < 3000; step++) {
		unsigned int i = chance(FLOWS);

		random_step(&syn[i], &arrived[i], &open[i], i % 2);
		advance(SECOND / 20);
		post(false);
		carry(false);
	}
	carry(true);
	/* Refreshes of what is used, and ends of what is over, arrive. */
	for (unsigned int second = 0; second < 1300; second++) {
		advance(SECOND);
		post(true);
		carry(true);
		for (unsigned int i = 0; i < FLOWS && second < 650 && second % 20 == 0; i++) {
			send_data(i % NODES, &syn[i]);
			fixture_collect(&nodes[i % NODES], nodes[i % NODES].w);
		}
		if (second == 640) {
			settle();
			assert_same_everywhere(FLOWS / 2);
		}
	}
	advance(600 * SECOND);
	post(true);
	carry(true);
	advance(600 * SECOND);
	for (unsigned int i = 0; i < NODES; i++)
		assert_int_equal(sessions(i), 0);
	assert_true(counter_of_all(SLU_COUNT_SYNC_STALE) > 0);
	assert_true(counter_of_all(SLU_COUNT_SYNC_REPORTS) > 0);
	assert_true(counter_of_all(SLU_COUNT_SYNC_CONFLICT) > 0);
}

#define BOTH(test)                                                                                                     \
	{#test "__4", test, setup4, teardown, NULL},                                                                   \
	{                                                                                                              \
#test "__6", test, setup6, teardown, NULL                                                              \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(sync__third_packet_with_data__tells_the_session),
		BOTH(sync__session_that_is_not_told_yet__is_counted_as_one_that_others_lack),
		BOTH(sync__copy__forwards_both_directions_as_the_owner),
		BOTH(sync__what_only_linux_forwards__is_counted_and_not_taken),
		BOTH(sync__snapshot__has_told_sessions_of_all_owners),
		BOTH(sync__linux_trigger__counts_every_packet_of_the_client),
		BOTH(sync__udp__is_told_after_threshold_packets_of_the_client),
		BOTH(sync__threshold_one__tells_with_the_first_packet_of_udp),
		BOTH(sync__request_goes_to_the_card__is_told_and_sent_before),
		BOTH(sync__request_goes_to_the_card_of_a_node_that_is_alone__waits_for_nothing),
		BOTH(sync__outbox_full__counts_and_tells_later),
		BOTH(sync__fin_of_the_client__is_told_at_once),
		BOTH(sync__halves_of_a_close_on_two_nodes__make_a_whole_one),
		BOTH(sync__report_lost__copy_keeps_its_fin_and_reports_it_again),
		BOTH(sync__reset_seen_elsewhere__closes_and_traffic_revives),
		BOTH(sync__used_session__is_refreshed_every_third_of_its_timeout),
		BOTH(sync__idle_session__is_not_refreshed_and_its_end_is_told),
		BOTH(sync__copy_without_a_word__outlives_the_timeout_by_a_third),
		BOTH(sync__life_told__copy_lives_so_long_and_not_by_its_own_listener),
		BOTH(sync__life_told__goes_on_with_a_snapshot),
		BOTH(sync__traffic_on_one_copy_alone__keeps_all_alive),
		BOTH(sync__card_carries_the_packets__refreshes_go_on),
		BOTH(sync__older_version__changes_nothing),
		BOTH(sync__versions_wrap__later_is_still_newer),
		BOTH(sync__late_record_after_the_end__does_not_resurrect),
		BOTH(sync__tombstones_full__the_oldest_go_and_are_counted),
		BOTH(sync__end_while_the_card_has_it__waits_for_the_card),
		BOTH(sync__owner_dies__successor_refreshes_with_a_newer_version),
		BOTH(sync__owner_comes_back__takes_what_is_newer_from_a_snapshot),
		BOTH(sync__report_of_an_unknown_session__brings_it_to_its_owner),
		BOTH(sync__nobody_else_ends_what_is_ours),
		BOTH(sync__cut_longer_than_a_timeout__owner_brings_back_what_the_other_side_ended),
		BOTH(sync__adopted_prefix__gives_no_local_ports),
		BOTH(sync__two_sessions_of_one_client_tuple__the_older_gets_the_requests),
		BOTH(sync__as_old_as_each_other__the_smaller_node_wins),
		BOTH(sync__winner_ends__the_other_gets_the_requests_back),
		BOTH(sync__same_creator_again__the_younger_is_the_one_that_lives),
		BOTH(sync__finished_session__gives_the_requests_to_the_next_one),
		BOTH(sync__session_that_yields__leaves_its_replies_alone_to_the_card),
		BOTH(sync__reply_tuple_of_our_home__is_ours),
		BOTH(sync__listener_unknown__session_forwards_and_is_bound_later),
		BOTH(sync__backend_unknown__session_keeps_its_listener),
		BOTH(sync__nat_session_of_linux__is_taken_with_the_client_as_local_address),
		BOTH(sync__quiet__stray_segments_are_dropped_silently),
		BOTH(ask__connection_moves_before_it_was_told__its_owner_answers),
		BOTH(ask__reply_comes_to_another_node__its_owner_answers),
		BOTH(ask__nobody_has_it__the_second_retransmission_is_answered_with_rst),
		BOTH(ask__membership_has_changed__it_is_asked_for_again),
		BOTH(ask__alone__rst_comes_at_once),
		BOTH(ask__flood__is_bounded_and_then_answered_as_before),
		BOTH(ask__outbox_full__is_answered_as_before),
		BOTH(ask__session_is_over__nobody_answers),
		BOTH(ask__owner_lacks_its_own_session__a_copy_brings_it),
		BOTH(ask__copies_of_a_living_owner__leave_the_answer_to_it),
		BOTH(ask__several_workers__the_one_that_has_it_answers),
		BOTH(sync__impossible_records__are_refused_and_counted),
		BOTH(sync__inbox_full__says_how_many_were_taken),
		BOTH(sync__settings_that_make_no_sense__return_einval),
		BOTH(sync__several_workers__a_copy_is_found_from_every_one),
		BOTH(sync__several_workers__nat_copy_is_where_its_packets_are_sent),
		BOTH(sync__several_workers__conflict_is_settled_between_them),
		BOTH(sync__several_workers__report_finds_the_worker_that_has_it),
		BOTH(sync__consumer_sleeps__its_descriptor_wakes_it_once),
		BOTH(sync__worker_sleeps__records_wake_it),
		BOTH(sync__agent_dies__its_sessions_are_as_they_were_told),
		BOTH(sync__old_session_file__gives_way_to_what_the_others_tell),
		BOTH(sync__old_session_file__keeps_what_the_others_know),
		BOTH(sync__old_session_file__does_not_overwrite_what_is_newer),
		BOTH(sync__records_lost_repeated_and_reordered__nodes_agree_in_the_end),
	};

	return cmocka_run_group_tests_name("dataplane_sync", tests, NULL, NULL);
}
