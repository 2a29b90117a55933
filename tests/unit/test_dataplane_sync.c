/*
 * Sessions of a cluster: several data planes in one process that exchange their
 * records by hand, so that every order, loss and repetition can be made.
 */
#include "tests/unit/dataplane_fixture.h"

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

static void sync__copy__forwards_both_directions_as_the_owner(void **state)
{
	struct flow syn = fixture_request(&nodes[0], 6, 80, SYN), arrived, reply;
	struct seen s;

	(void)state;
	arrived = open_synced(0, &syn);
	assert_int_equal(deliver(0), 1);
	for (unsigned int node = 1; node < NODES; node++) {
		s = send_data(node, &syn);
		assert_true(s.sent && s.checksums_right);
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

#define BOTH(test)                                                                                                     \
	{#test "__4", test, setup4, teardown, NULL},                                                                   \
	{                                                                                                              \
#test "__6", test, setup6, teardown, NULL                                                              \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(sync__third_packet_with_data__tells_the_session),
		BOTH(sync__copy__forwards_both_directions_as_the_owner),
		BOTH(sync__what_only_linux_forwards__is_counted_and_not_taken),
		BOTH(sync__snapshot__has_told_sessions_of_all_owners),
	};

	return cmocka_run_group_tests_name("dataplane_sync", tests, NULL, NULL);
}
