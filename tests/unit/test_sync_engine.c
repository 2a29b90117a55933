/*
 * The engine of session sync: several nodes in namespaces of their own at one bridge,
 * each with a data plane that only counts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "host/sync/auth.h"
#include "host/sync/codec.h"
#include "tests/unit/sync_fake.h"
#include "tests/unit/sync_network.h"

#define PORT 8848
#define GROUP_ADDRESS "224.0.0.81"

static const uint8_t key[] = "a key of the whole cluster", other_key[] = "not the key of the cluster";
static uint64_t next_epoch = 1; /* of any start */

struct node {
	unsigned int id;
	struct slu_dataplane *dp;
	struct slu_sync *sync;
	bool alive[256];
	uint32_t deaths, births, joins;
	uint64_t joined_sessions;
	uint32_t joined_ms;
};

static struct event_base *base;
static struct node nodes[SYNC_NETWORK_NODES_MAX + 1];

/* ---------------------------------------------------------------- the nodes */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_member(void *context, uint8_t id, bool alive)
{
	struct node *n = context;

	n->alive[id] = alive;
	n->births += alive;
	n->deaths += !alive;
}

static void on_joined(void *context, uint64_t sessions, uint32_t ms)
{
	struct node *n = context;

	n->joins++;
	n->joined_sessions = sessions;
	n->joined_ms = ms;
}

static struct slu_ip address_of(unsigned int id)
{
	return (struct slu_ip){.family = 4, .bytes = {198, 18, 9, (uint8_t)id}};
}

static struct slu_sync_options default_options(unsigned int id)
{
	return (struct slu_sync_options){.id = (uint8_t)id,
		.group = 7,
		.interface = "sync0",
		.address = address_of(id),
		.multicast = {.family = 4, .bytes = {224, 0, 0, 81}},
		.port = PORT,
		.key = key,
		.key_bytes = sizeof(key),
		.epoch = next_epoch++,
		.extensions = true,
		.flush_ms = 10};
}

static void set_peers(struct node *n, unsigned int count)
{
	struct slu_sync_peer_address peers[SYNC_NETWORK_NODES_MAX];
	uint32_t at = 0;

	for (unsigned int id = 1; id <= count; id++)
		if (id != n->id)
			peers[at++] = (struct slu_sync_peer_address){.id = (uint8_t)id, .address = address_of(id)};
	slu_sync_set_peers(n->sync, peers, at);
}

/* Starts a node of a cluster of so many. */
static struct node *start_with(unsigned int id, unsigned int cluster, const struct slu_sync_options *options)
{
	struct node *n = &nodes[id];
	const struct slu_sync_events events = {.context = n, .member = on_member, .joined = on_joined};

	if (!n->dp)
		*n = (struct node){.id = id, .dp = fake_create()};
	sync_network_enter(id);
	assert_int_equal(slu_sync_create(base, n->dp, options, &events, &n->sync), 0);
	sync_network_enter(0);
	set_peers(n, cluster);
	return n;
}

static struct node *start(unsigned int id, unsigned int cluster)
{
	struct slu_sync_options options = default_options(id);

	return start_with(id, cluster, &options);
}

static void stop(struct node *n)
{
	slu_sync_destroy(n->sync);
	n->sync = NULL;
	memset(n->alive, 0, sizeof(n->alive));
}

static int stop_all(void **state)
{
	(void)state;
	for (unsigned int id = 1; id <= SYNC_NETWORK_NODES_MAX; id++) {
		slu_sync_destroy(nodes[id].sync);
		if (nodes[id].dp)
			fake_destroy(nodes[id].dp);
		nodes[id] = (struct node){0};
	}
	return 0;
}

static void pass(unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	do {
		event_base_loop(base, EVLOOP_NONBLOCK);
		usleep(1000);
	} while (now_ms() < end);
}

/* Waits for a condition; milliseconds that it took, or a failed test. */
#define WAIT(ms, condition)                                                                                            \
	({                                                                                                             \
		uint64_t wait_start = now_ms();                                                                        \
		while (!(condition) && now_ms() - wait_start < (ms))                                                   \
			pass(1);                                                                                       \
		assert_true(condition);                                                                                \
		now_ms() - wait_start;                                                                                 \
	})

static struct slu_sync_state state_of(const struct node *n)
{
	struct slu_sync_state state;

	slu_sync_state(n->sync, &state);
	return state;
}

static struct slu_sync_peer_state peer_state(const struct node *n, unsigned int id)
{
	struct slu_sync_state state = state_of(n);

	for (uint32_t i = 0; i < state.peer_count; i++)
		if (state.peers[i].id == id)
			return state.peers[i];
	fail_msg("node %u does not know member %u", n->id, id);
	return (struct slu_sync_peer_state){0};
}

/* Nodes 1 .. count that live and have joined. */
static void start_cluster(unsigned int count)
{
	for (unsigned int id = 1; id <= count; id++)
		slu_sync_join(start(id, count)->sync);
	for (unsigned int id = 1; id <= count; id++)
		WAIT(5000, nodes[id].joins == 1 && nodes[id].births == count - 1);
}

/* ------------------------------------------------------- somebody at the bridge */

static int open_outsider(bool listen_too)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), one = 1;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct ip_mreqn group = {0};

	inet_pton(AF_INET, GROUP_ADDRESS, &group.imr_multiaddr);
	inet_pton(AF_INET, "198.18.9.250", &group.imr_address);
	to.sin_addr = group.imr_multiaddr;
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)), 0);
	if (listen_too) {
		assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
		assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)), 0);
	}
	return fd;
}

/* What was sent to the group, up to 64 datagrams. */
struct recording {
	uint8_t bytes[64][SLU_SYNC_WIRE_DATAGRAM_MAX];
	ssize_t size[64];
	unsigned int count;
};

static void drain(int fd)
{
	uint8_t byte;

	while (recv(fd, &byte, 1, 0) >= 0)
		;
}

static void send_datagram(int fd, const void *bytes, size_t count)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	inet_pton(AF_INET, GROUP_ADDRESS, &to.sin_addr);
	assert_int_equal(sendto(fd, bytes, count, 0, (struct sockaddr *)&to, sizeof(to)), count);
}

/* ------------------------------------------------------------------- telling */

static void engine__two_nodes__tell_each_other_every_session_once(void **state)
{
	struct slu_sync_state a, b;

	(void)state;
	start_cluster(2);
	fake_tell(nodes[1].dp, 0, 10000);
	fake_tell(nodes[2].dp, 500000, 777);
	WAIT(3000, fake_distinct(nodes[2].dp, 0, 10000) == 10000);
	WAIT(3000, fake_distinct(nodes[1].dp, 500000, 777) == 777);
	pass(50);
	assert_int_equal(fake_total(nodes[2].dp), 10000);
	assert_int_equal(fake_total(nodes[1].dp), 777);
	assert_int_equal(nodes[2].dp->sender[1], 1);
	a = state_of(&nodes[1]);
	b = state_of(&nodes[2]);
	assert_int_equal(a.sent_records, 10000);
	assert_int_equal(b.received_records, 10000);
	assert_int_equal(a.send_errors + b.bad_authentication + b.bad_record + b.inbox_full, 0);
	assert_int_equal(b.peers[0].lost, 0);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void engine__one_session__leaves_within_20_ms(void **state)
{
	uint64_t took[60];

	(void)state;
	start_cluster(2);
	for (uint32_t i = 0; i < 60; i++) {
		fake_tell(nodes[1].dp, i, 1);
		took[i] = WAIT(1000, fake_distinct(nodes[2].dp, i, 1) == 1);
		pass(i % 7);
	}
	/* The slowest third is the machine's other work: three threads had to run in turn for each. */
	qsort(took, 60, sizeof(*took), by_value);
	assert_true(took[40] <= 20);
}

static void engine__record__arrives_as_it_was(void **state)
{
	struct slu_sync_record expected;

	(void)state;
	start_cluster(2);
	WAIT(2000, state_of(&nodes[1]).speaks == SLU_SYNC_WIRE_REVISION);
	for (uint32_t number = 70001; number <= 70002; number++) {
		fake_tell(nodes[1].dp, number, 1);
		WAIT(1000, fake_distinct(nodes[2].dp, number, 1) == 1);
		expected = fake_record(number);
		expected.sender = 1;
		assert_memory_equal(&nodes[2].dp->last, &expected, sizeof(expected));
	}
}

static void engine__blob__reaches_every_member_and_goes_with_its_node(void **state)
{
	uint8_t text[1024], read[1024];

	(void)state;
	start_cluster(3);
	for (unsigned int i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 3);
	slu_sync_set_blob(nodes[1].sync, text, sizeof(text));
	for (unsigned int id = 2; id <= 3; id++) {
		WAIT(1000, slu_sync_blob(nodes[id].sync, 1, read, sizeof(read)) == sizeof(text));
		assert_memory_equal(read, text, sizeof(text));
		assert_int_equal(slu_sync_blob(nodes[id].sync, 1, read, 10), 0);
		assert_int_equal(slu_sync_blob(nodes[id].sync, 99, read, sizeof(read)), 0);
	}
	stop(&nodes[1]);
	WAIT(2000, slu_sync_blob(nodes[2].sync, 1, read, sizeof(read)) == 0);
}

/* ------------------------------------------------------------------ liveness */

static void engine__member_that_stops__is_dead_after_a_second(void **state)
{
	uint64_t took;

	(void)state;
	start_cluster(3);
	pass(300);
	stop(&nodes[3]);
	took = WAIT(3000, nodes[1].deaths == 1 && nodes[2].deaths == 1);
	assert_false(nodes[1].alive[3]);
	assert_true(nodes[1].alive[2]);
	assert_in_range(took, 800, 1500);
	start(3, 3);
	WAIT(1000, nodes[1].alive[3] && nodes[2].alive[3]);
}

static void engine__nobody_else__has_joined_after_1200_ms(void **state)
{
	struct node *n = start(1, 3);

	(void)state;
	slu_sync_join(n->sync);
	WAIT(3000, n->joins == 1);
	assert_in_range(n->joined_ms, 1200, 1600);
	assert_int_equal(n->joined_sessions, 0);
	assert_true(state_of(n).joined);
}

/* ------------------------------------------------------------ loss and cuts */

static void engine__every_fifth_datagram_lost__nothing_is_missing_in_the_end(void **state)
{
	(void)state;
	start_cluster(2);
	sync_network_run(2, "nft 'add table t; add chain t in { type filter hook input priority 0; }; "
			    "add rule t in udp dport 8848 numgen random mod 5 == 0 drop'");
	for (uint32_t i = 0; i < 20; i++) {
		fake_tell(nodes[1].dp, i * 1000, 1000);
		pass(20);
	}
	WAIT(3000, fake_distinct(nodes[2].dp, 0, 20000) == 20000);
	sync_network_run(2, "nft delete table t");
	assert_true(peer_state(&nodes[2], 1).lost > 0);
	assert_true(state_of(&nodes[2]).fetches > 0);
}

/* One way: node 2 hears nobody; node 1 hears node 2. */
static void engine__multicast_cut_one_way__is_made_up_for_within_a_second(void **state)
{
	uint64_t took;

	(void)state;
	start_cluster(2);
	sync_network_run(2, "nft 'add table t; add chain t in { type filter hook input priority 0; }; "
			    "add rule t in udp dport 8848 drop'");
	for (uint32_t i = 0; i < 30; i++) {
		fake_tell(nodes[1].dp, i * 500, 500);
		pass(50);
	}
	WAIT(2000, nodes[2].deaths == 1);
	assert_int_equal(nodes[1].deaths, 0);
	assert_int_equal(fake_total(nodes[2].dp), 0);
	sync_network_run(2, "nft delete table t");
	took = WAIT(2000, fake_distinct(nodes[2].dp, 0, 15000) == 15000);
	assert_true(took <= 1000);
	WAIT(1000, nodes[2].alive[1]);
}

static void engine__cable_cut__both_sides_make_up_for_it(void **state)
{
	(void)state;
	start_cluster(2);
	sync_network_run(0, "ip link set h2 down");
	fake_tell(nodes[1].dp, 0, 3000);
	fake_tell(nodes[2].dp, 3000, 3000);
	WAIT(3000, nodes[1].deaths == 1 && nodes[2].deaths == 1);
	sync_network_run(0, "ip link set h2 up");
	WAIT(2000, fake_distinct(nodes[2].dp, 0, 3000) == 3000 && fake_distinct(nodes[1].dp, 3000, 3000) == 3000);
}

/* More than the history keeps: the whole snapshot is fetched. */
static void engine__cut_longer_than_the_history__fetches_everything(void **state)
{
	const uint32_t many = 600000;

	(void)state;
	start_cluster(2);
	sync_network_run(0, "ip link set h2 down");
	nodes[1].dp->count = many;
	fake_tell(nodes[1].dp, 0, many);
	WAIT(20000, state_of(&nodes[1]).sent_records == many);
	WAIT(3000, nodes[2].deaths == 1);
	sync_network_run(0, "ip link set h2 up");
	WAIT(20000, fake_distinct(nodes[2].dp, 0, many) == many);
	assert_int_equal(state_of(&nodes[1]).joins_served, 2); /* the first when node 2 started */
}

static void engine__inbox_without_room__holds_back_and_then_fetches_again(void **state)
{
	(void)state;
	start_cluster(2);
	fake_set_room(nodes[2].dp, 0);
	fake_tell(nodes[1].dp, 0, 5000);
	pass(600);
	assert_int_equal(fake_total(nodes[2].dp), 0);
	assert_int_equal(nodes[2].deaths, 0);
	assert_true(state_of(&nodes[2]).inbox_full > 0);
	assert_true(state_of(&nodes[2]).inbox_dropped > 0);
	fake_set_room(nodes[2].dp, UINT32_MAX);
	WAIT(3000, fake_distinct(nodes[2].dp, 0, 5000) == 5000);
}

/* ------------------------------------------------------------ authentication */

/* Node 1 tells node 2 of 200 sessions, and an outsider listens. */
static void record_datagrams(int fd, struct recording *r)
{
	drain(fd);
	fake_tell(nodes[1].dp, 0, 200);
	WAIT(1000, fake_distinct(nodes[2].dp, 0, 200) == 200);
	for (r->count = 0; r->count < 64; r->count++) {
		r->size[r->count] = recv(fd, r->bytes[r->count], sizeof(r->bytes[r->count]), 0);
		if (r->size[r->count] <= 0)
			break;
	}
}

static void send_recorded(int fd, const struct recording *r)
{
	for (unsigned int i = 0; i < r->count; i++)
		send_datagram(fd, r->bytes[i], (size_t)r->size[i]);
}

static void engine__other_key__is_heard_by_nobody_and_hears_nobody(void **state)
{
	struct slu_sync_options options = default_options(3);

	(void)state;
	start_cluster(2);
	options.key = other_key;
	start_with(3, 3, &options);
	set_peers(&nodes[1], 3);
	slu_sync_join(nodes[3].sync);
	fake_tell(nodes[3].dp, 0, 100);
	fake_tell(nodes[1].dp, 1000, 100);
	WAIT(3000, nodes[3].joins == 1);
	assert_int_equal(nodes[3].births, 0);
	assert_false(nodes[1].alive[3]);
	assert_int_equal(fake_total(nodes[3].dp), 0);
	assert_int_equal(fake_distinct(nodes[1].dp, 0, 100), 0);
	assert_int_equal(fake_distinct(nodes[2].dp, 1000, 100), 100);
	assert_true(state_of(&nodes[1]).bad_authentication > 0);
	assert_true(state_of(&nodes[3]).bad_authentication > 0);
	/* Nor over TCP: node 1 is asked, and what it says is not believed. */
	nodes[1].dp->count = 100;
	slu_sync_join(nodes[3].sync);
	pass(500);
	assert_int_equal(fake_total(nodes[3].dp), 0);
}

static void engine__datagrams_sent_again__are_counted_and_not_taken(void **state)
{
	static struct recording r;
	int fd = open_outsider(true);

	(void)state;
	start_cluster(2);
	record_datagrams(fd, &r);
	assert_true(r.count > 10);
	send_recorded(fd, &r);
	WAIT(1000, peer_state(&nodes[2], 1).duplicate + peer_state(&nodes[1], 2).duplicate >= r.count);
	assert_int_equal(fake_total(nodes[2].dp), 200);
	/* After a new start of node 1 its old datagrams are of an earlier epoch. */
	stop(&nodes[1]);
	slu_sync_join(start(1, 2)->sync);
	WAIT(1000, nodes[1].alive[2]);
	WAIT(1000, peer_state(&nodes[2], 1).epoch == next_epoch - 1);
	send_recorded(fd, &r);
	WAIT(1000, state_of(&nodes[2]).replayed > 0);
	assert_int_equal(fake_total(nodes[2].dp), 200);
	close(fd);
}

/* Node 3 knows nobody's numbers yet: what it learns from a member keeps recorded datagrams away. */
static void engine__joined_node__takes_nothing_recorded_before_it_came(void **state)
{
	static struct recording r;
	int fd = open_outsider(true);

	(void)state;
	start_cluster(2);
	record_datagrams(fd, &r);
	/* Node 1 dies; node 3 comes and joins from node 2. */
	stop(&nodes[1]);
	WAIT(2000, nodes[2].deaths == 1);
	set_peers(&nodes[2], 3);
	slu_sync_join(start(3, 3)->sync);
	WAIT(3000, nodes[3].joins == 1);
	send_recorded(fd, &r);
	pass(200);
	assert_int_equal(fake_total(nodes[3].dp), 0);
	assert_false(nodes[3].alive[1]);
	close(fd);
}

static void engine__malformed_datagrams__are_counted_and_harm_nothing(void **state)
{
	struct slu_sync_options options = default_options(1);
	FILE *file = fopen("tests/vectors/sync/datagrams.txt", "r");
	int fd = open_outsider(false);
	unsigned int byte;
	struct slu_sync_state s;
	char line[512];
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	uint32_t count = 0;

	(void)state;
	options.key = NULL;
	start_with(1, 2, &options);
	pass(50);
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '\n' && count > 0) {
			send_datagram(fd, bytes, count);
			count = 0;
		}
		if (line[0] != '#' && line[0] != '=')
			for (const char *at = line; sscanf(at, "%2x", &byte) == 1; at += 2)
				bytes[count++] = (uint8_t)byte;
	}
	memset(bytes, 0xFF, sizeof(bytes));
	for (count = 1; count < sizeof(bytes); count += 97)
		send_datagram(fd, bytes, count);
	WAIT(1000, state_of(&nodes[1]).received_datagrams > 70);
	pass(50);
	s = state_of(&nodes[1]);
	assert_true(s.bad_size > 0 && s.bad_group > 0 && s.bad_version > 0 && s.bad_record > 0 && s.bad_parameter > 0);
	assert_true(s.skipped > 0);
	assert_int_equal(fake_total(nodes[1].dp), s.received_records);
	assert_true(s.received_records > 20);
	/* It goes on. */
	options = default_options(2);
	options.key = NULL;
	start_with(2, 2, &options);
	fake_tell(nodes[2].dp, 0, 10);
	WAIT(1000, fake_distinct(nodes[1].dp, 0, 10) == 10);
	fclose(file);
	close(fd);
}

static void engine__plain_datagram_of_linux__is_taken_without_a_key_only(void **state)
{
	struct slu_sync_options options = default_options(1);
	struct slu_sync_record r = fake_record(4);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_codec_writer w;
	int fd = open_outsider(false);
	uint32_t count;

	(void)state;
	options.key = NULL;
	start_with(1, 2, &options);
	start(2, 2);
	pass(50);
	r.mode = SLU_MODE_NAT;
	r.local_port = r.client_port;
	memcpy(r.local, r.client, sizeof(r.local));
	slu_codec_begin(&w, bytes, sizeof(bytes), 7);
	assert_int_equal(slu_codec_add(&w, &r, false), 0);
	count = slu_codec_end(&w, NULL);
	send_datagram(fd, bytes, count);
	WAIT(1000, fake_total(nodes[1].dp) == 1);
	assert_int_equal(nodes[1].dp->last.sender, 0);
	WAIT(1000, state_of(&nodes[2]).bad_authentication > 0);
	assert_int_equal(fake_total(nodes[2].dp), 0);
	close(fd);
}

static void engine__without_extensions__sends_only_what_linux_reads(void **state)
{
	static struct slu_codec_datagram in;
	struct slu_sync_options options = default_options(1);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	int fd = open_outsider(true);
	ssize_t count;

	(void)state;
	options.extensions = false;
	assert_int_equal(slu_sync_create(base, NULL, &options, &(struct slu_sync_events){0}, &nodes[1].sync), -EINVAL);
	options.key = NULL;
	start_with(1, 2, &options);
	fake_tell(nodes[1].dp, 0, 10); /* FULLNAT: nothing for a kernel */
	WAIT(1000, state_of(&nodes[1]).unsent == 10);
	pass(300);
	while ((count = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		slu_codec_read(bytes, (uint32_t)count, 0, &in);
		fail_msg("%zd bytes, %u sessions", count, in.record_count);
	}
	close(fd);
}

/* ------------------------------------------------------------------ revisions */

/* Adds a parameter to the last session; it is the last of the datagram until the trailer comes. */
static void add_parameter(struct slu_codec_writer *w, uint8_t type, const void *data, uint8_t bytes)
{
	slu_be16 size;

	w->bytes[w->used] = type;
	w->bytes[w->used + 1] = bytes;
	memcpy(w->bytes + w->used + 2, data, bytes);
	w->used += 2u + bytes;
	size = htons((uint16_t)(w->used - w->last));
	memcpy(w->bytes + w->last + 2, &size, sizeof(size));
}

/* A node of a later revision, played by hand: longer extensions and heartbeats, and parameters that nobody knows yet.
 */
static void tell_as_later_revision(int fd, uint64_t sequence, bool heartbeat)
{
	const struct slu_codec_trailer trailer = {
		.sender = 2, .algorithm = SLU_SYNC_WIRE_HMAC_SHA256, .epoch = 77, .sequence = sequence};
	const uint8_t longer[] = {9, SLU_SYNC_WIRE_JOINED, 1, 2, 3, 4};
	struct slu_auth *auth = slu_auth_create(key, sizeof(key));
	struct slu_sync_record r = fake_record(0);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX] = {0};
	struct slu_codec_writer w;
	uint32_t count;

	slu_codec_begin(&w, bytes, sizeof(bytes), 7);
	r.mode = SLU_MODE_NAT;
	memcpy(r.local, r.client, sizeof(r.local));
	r.local_port = r.client_port;
	assert_int_equal(slu_codec_add(&w, &r, false), 0);
	if (heartbeat) {
		add_parameter(&w, SLU_SYNC_WIRE_HEARTBEAT, longer, sizeof(longer));
		add_parameter(&w, 0x78, "new", 3); /* optional */
	} else {
		const struct slu_sync_wire_extension known = {
			.revision = 9, .mode = SLU_SYNC_WIRE_MODE_NAT, .version = 5};
		uint8_t extension[sizeof(known) + 7] = {0};

		memcpy(extension, &known, sizeof(known));
		add_parameter(&w, SLU_SYNC_WIRE_EXTENSION, extension, sizeof(extension));
		add_parameter(&w, 0x78, "new", 3);
		memcpy(r.client, &(uint32_t){1}, 4);
		memcpy(r.local, r.client, 4);
		assert_int_equal(slu_codec_add(&w, &r, false), 0);
		add_parameter(&w, 0x38, "must", 4); /* mandatory: this session is for those who know it */
	}
	count = slu_codec_end(&w, &trailer);
	assert_true(slu_auth_sign(auth, bytes, count));
	slu_auth_free(auth);
	send_datagram(fd, bytes, count);
}

static void engine__member_of_a_later_revision__is_understood_as_far_as_it_can_be(void **state)
{
	int fd = open_outsider(false);
	struct slu_sync_state s;

	(void)state;
	start(1, 2);
	pass(50);
	tell_as_later_revision(fd, 1, true);
	WAIT(1000, nodes[1].alive[2]);
	assert_int_equal(peer_state(&nodes[1], 2).revision, 9);
	tell_as_later_revision(fd, 2, false);
	WAIT(1000, state_of(&nodes[1]).bad_parameter == 1);
	s = state_of(&nodes[1]);
	assert_int_equal(s.received_records, 1);
	assert_int_equal(s.bad_record + s.bad_authentication, 0);
	assert_int_equal(fake_distinct(nodes[1].dp, 0, 1), 1);
	assert_int_equal(fake_distinct(nodes[1].dp, 1, 1), 0);
	assert_int_equal(nodes[1].dp->last.version, htons(5));
	close(fd);
}

/* A node of revision 1, by its options. */
static struct node *start_old(unsigned int id, unsigned int cluster)
{
	struct slu_sync_options options = default_options(id);

	options.revision = 1;
	return start_with(id, cluster, &options);
}

static bool all_speak(unsigned int count, uint8_t revision)
{
	for (unsigned int id = 1; id <= count; id++)
		if (nodes[id].sync && state_of(&nodes[id]).speaks != revision)
			return false;
	return true;
}

static uint64_t newer_of_all(unsigned int count)
{
	uint64_t sum = 0;

	for (unsigned int id = 1; id <= count; id++)
		sum += state_of(&nodes[id]).newer;
	return sum;
}

static void engine__last_old_member_is_replaced__all_speak_the_newest(void **state)
{
	(void)state;
	for (unsigned int id = 1; id <= 3; id++)
		slu_sync_join((id == 3 ? start_old(id, 3) : start(id, 3))->sync);
	WAIT(5000, nodes[1].joins == 1 && nodes[2].joins == 1 && nodes[3].joins == 1);
	pass(200);
	assert_true(all_speak(3, 1));
	fake_tell(nodes[1].dp, 0, 1);
	WAIT(1000, fake_distinct(nodes[2].dp, 0, 1) == 1 && fake_distinct(nodes[3].dp, 0, 1) == 1);
	assert_int_equal(nodes[2].dp->last.life_s, 0);
	stop(&nodes[3]);
	slu_sync_join(start(3, 3)->sync);
	WAIT(5000, all_speak(3, 2));
	fake_tell(nodes[1].dp, 2, 1);
	WAIT(1000, fake_distinct(nodes[2].dp, 2, 1) == 1);
	assert_int_equal(nodes[2].dp->last.life_s, 1200);
	stop(&nodes[3]);
	slu_sync_join(start_old(3, 3)->sync);
	WAIT(5000, nodes[3].joins == 2 && all_speak(3, 1));
	assert_int_equal(newer_of_all(3), 0);
}

/* The others tell each other sessions all the time, in what it does not read, until it is heard. */
static void engine__older_node_joins__has_everything_and_is_told_nothing_that_it_does_not_read(void **state)
{
	uint32_t number = 1000;

	(void)state;
	start_cluster(2);
	WAIT(2000, all_speak(2, 2));
	nodes[1].dp->count = 100;
	set_peers(&nodes[1], 3);
	set_peers(&nodes[2], 3);
	slu_sync_join(start_old(3, 3)->sync);
	for (; nodes[3].joins == 0 && number < 6000; number++) {
		fake_tell(nodes[1].dp, number, 1);
		nodes[2].dp->first = 1000;
		nodes[2].dp->count = number + 1 - 1000;
		pass(5);
	}
	assert_int_equal(nodes[3].joins, 1);
	assert_true(all_speak(3, 1));
	assert_int_equal(nodes[3].dp->lives, 0);
	WAIT(2000, fake_distinct(nodes[3].dp, 0, 100) == 100);
	WAIT(2000, fake_distinct(nodes[3].dp, 1000, number - 1000) == number - 1000);
	assert_int_equal(newer_of_all(3), 0);
}

/* It does not join before everybody has heard it: who has not goes on in what it does not read. */
static void engine__older_node_that_a_member_does_not_hear__waits_for_that(void **state)
{
	(void)state;
	start_cluster(2);
	WAIT(2000, all_speak(2, 2));
	set_peers(&nodes[1], 3);
	set_peers(&nodes[2], 3);
	sync_network_run(2, "nft 'add table t; add chain t in { type filter hook input priority 0; }; "
			    "add rule t in ip saddr 198.18.9.3 udp dport 8848 drop'");
	slu_sync_join(start_old(3, 3)->sync);
	WAIT(2000, state_of(&nodes[1]).speaks == 1);
	fake_tell(nodes[2].dp, 5000, 100);
	pass(1500);
	assert_int_equal(nodes[3].joins, 0);
	assert_int_equal(state_of(&nodes[2]).speaks, 2);
	assert_int_equal(nodes[3].dp->lives, 0);
	nodes[2].dp->first = 5000;
	nodes[2].dp->count = 100;
	sync_network_run(2, "nft delete table t");
	WAIT(3000, nodes[3].joins == 1);
	WAIT(1000, fake_distinct(nodes[3].dp, 5000, 100) == 100);
	assert_int_equal(nodes[3].dp->lives + newer_of_all(3), 0);
}

/* What was told in the newer revision stands in the history as it was told: the older node gets all sessions instead.
 */
static void engine__older_node_missed_what_was_told_newer__gets_a_snapshot(void **state)
{
	(void)state;
	start_cluster(2);
	WAIT(2000, all_speak(2, 2));
	fake_tell(nodes[1].dp, 0, 2000);
	WAIT(2000, fake_distinct(nodes[2].dp, 0, 2000) == 2000);
	nodes[1].dp->count = 2000;
	set_peers(&nodes[1], 3);
	set_peers(&nodes[2], 3);
	start_old(3, 3); /* it does not join: it asks for what it has not seen */
	WAIT(2000, state_of(&nodes[1]).speaks == 1);
	WAIT(5000, fake_distinct(nodes[3].dp, 0, 2000) == 2000);
	assert_int_equal(nodes[3].dp->last.life_s, 0);
	assert_true(state_of(&nodes[1]).joins_served > 0);
}

/* -------------------------------------------------------------------- joining */

static void engine__joining_node__is_fed_by_every_living_member(void **state)
{
	(void)state;
	start_cluster(2);
	nodes[1].dp->count = 200000;
	nodes[2].dp->first = 100000;
	nodes[2].dp->count = 200000;
	set_peers(&nodes[1], 3);
	set_peers(&nodes[2], 3);
	slu_sync_join(start(3, 3)->sync);
	WAIT(1000, nodes[3].births == 2);
	fake_tell(nodes[1].dp, 400000, 1000); /* live ones meanwhile */
	WAIT(10000, nodes[3].joins == 1);
	assert_int_equal(fake_distinct(nodes[3].dp, 0, 300000), 300000);
	assert_int_equal(nodes[3].joined_sessions, 400000);
	WAIT(1000, fake_distinct(nodes[3].dp, 400000, 1000) == 1000);
	/* One of them was fed by the other before. */
	assert_int_equal(state_of(&nodes[1]).joins_served, 2);
	assert_int_equal(state_of(&nodes[2]).joins_served, 2);
	assert_true(state_of(&nodes[3]).joined);
}

static void engine__feeder_that_dies__is_replaced_by_the_next(void **state)
{
	(void)state;
	start_cluster(2);
	nodes[1].dp->count = 500000;
	nodes[2].dp->count = 500000;
	set_peers(&nodes[1], 3);
	set_peers(&nodes[2], 3);
	start(3, 3);
	fake_set_room(nodes[3].dp, 100000); /* it stops in the middle */
	slu_sync_join(nodes[3].sync);
	WAIT(5000, fake_total(nodes[3].dp) == 100000);
	stop(&nodes[1]); /* the first in the list is the first that feeds */
	fake_set_room(nodes[3].dp, UINT32_MAX);
	WAIT(15000, nodes[3].joins == 1);
	assert_int_equal(fake_distinct(nodes[3].dp, 0, 500000), 500000);
	assert_int_equal(nodes[3].joined_sessions, 500000);
	assert_int_equal(state_of(&nodes[2]).joins_served, 2);
}

/* Node 1 joins while it hears nobody, so that it knows nothing of what node 2 has from before. */
static void engine__member_that_was_there_before__feeds_everything_once(void **state)
{
	(void)state;
	sync_network_run(0, "ip link set h2 down");
	start(2, 2);
	nodes[2].dp->count = 5000;
	slu_sync_join(nodes[2].sync);
	slu_sync_join(start(1, 2)->sync);
	WAIT(3000, nodes[1].joins == 1 && nodes[2].joins == 1);
	sync_network_run(0, "ip link set h2 up");
	WAIT(3000, fake_distinct(nodes[1].dp, 0, 5000) == 5000);
	WAIT(1000, state_of(&nodes[2]).joins_served == 1 && state_of(&nodes[1]).joins_served == 1);
	/* From now on its numbers say what is missing. */
	pass(1000);
	sync_network_run(0, "ip link set h2 down");
	WAIT(3000, nodes[1].deaths == 1 && nodes[2].deaths == 1);
	fake_tell(nodes[2].dp, 10000, 100);
	pass(100);
	sync_network_run(0, "ip link set h2 up");
	WAIT(3000, fake_distinct(nodes[1].dp, 10000, 100) == 100);
	pass(1000);
	assert_int_equal(state_of(&nodes[2]).joins_served, 1);
	assert_int_equal(fake_total(nodes[1].dp), 5100);
	assert_int_equal(nodes[1].joins, 1);
}

/* What node 2 knows when it is back, it has from node 1, or tells with its numbers. */
static void engine__member_that_starts_again__is_not_asked_for_everything(void **state)
{
	(void)state;
	start_cluster(2);
	for (unsigned int flap = 0; flap < 5; flap++) {
		uint64_t epoch = peer_state(&nodes[1], 2).epoch;

		stop(&nodes[2]);
		if (flap & 1)
			pass(1200);        /* so long that its death is seen */
		nodes[2].dp->count = 1000; /* what stands in its session file */
		slu_sync_join(start(2, 2)->sync);
		WAIT(3000, nodes[2].alive[1] && state_of(&nodes[2]).joined && nodes[1].alive[2]);
		WAIT(1000, peer_state(&nodes[1], 2).epoch > epoch);
		fake_tell(nodes[2].dp, 2000 + flap * 100, 100);
		fake_tell(nodes[1].dp, 3000 + flap * 100, 100);
		WAIT(2000, fake_distinct(nodes[1].dp, 2000 + flap * 100, 100) == 100 &&
				   fake_distinct(nodes[2].dp, 3000 + flap * 100, 100) == 100);
	}
	pass(700);
	assert_int_equal(state_of(&nodes[2]).joins_served, 0);
	assert_int_equal(state_of(&nodes[1]).joins_served, 6);
	assert_int_equal(fake_total(nodes[1].dp), 500);
	assert_int_equal(nodes[1].deaths, 2);
}

/* Node 3 tells its sessions to node 2 alone, and dies before node 1 can hear either again. */
static void engine__member_that_dies_behind_a_cut__is_made_up_for_by_who_heard_it(void **state)
{
	(void)state;
	start_cluster(3);
	sync_network_run(0, "ip link set h1 down");
	WAIT(3000, nodes[1].deaths == 2);
	fake_tell(nodes[3].dp, 0, 2000);
	WAIT(2000, fake_distinct(nodes[2].dp, 0, 2000) == 2000);
	nodes[2].dp->count = 2000;
	stop(&nodes[3]);
	WAIT(3000, nodes[2].deaths == 2);
	sync_network_run(0, "ip link set h1 up");
	WAIT(3000, fake_distinct(nodes[1].dp, 0, 2000) == 2000);
	pass(1500);
	assert_int_equal(fake_total(nodes[1].dp), 2000);
}

/* ------------------------------------------------------- the interface goes away */

static void engine__interface_made_anew__its_member_is_back_within_a_second(void **state)
{
	uint64_t took;

	(void)state;
	start_cluster(2);
	sync_network_run(0, "ip link delete h2");
	fake_tell(nodes[1].dp, 0, 500);
	fake_tell(nodes[2].dp, 500, 500);
	WAIT(3000, nodes[1].deaths == 1 && nodes[2].deaths == 1);
	sync_network_join(2);
	took = WAIT(5000, nodes[1].alive[2] && nodes[2].alive[1] && fake_distinct(nodes[1].dp, 500, 500) == 500 &&
				  fake_distinct(nodes[2].dp, 0, 500) == 500);
	assert_true(took < 1500);
	assert_int_equal(state_of(&nodes[2]).reopened, 1);
	/* Over TCP too, both ways. */
	sync_network_run(0, "ip link set h2 down");
	pass(1500);
	fake_tell(nodes[1].dp, 1000, 500);
	fake_tell(nodes[2].dp, 1500, 500);
	pass(200);
	sync_network_run(0, "ip link set h2 up");
	WAIT(3000, fake_distinct(nodes[1].dp, 1500, 500) == 500 && fake_distinct(nodes[2].dp, 1000, 500) == 500);
}

/* Multicast goes on without it, but nobody can ask this node over TCP. */
static void engine__address_taken_away__what_was_missed_is_fetched_when_it_is_back(void **state)
{
	(void)state;
	start_cluster(2);
	sync_network_run(2, "ip address del 198.18.9.2/24 dev sync0");
	sync_network_run(0, "ip link set h2 down");
	fake_tell(nodes[1].dp, 0, 500);
	fake_tell(nodes[2].dp, 500, 500);
	pass(100);
	sync_network_run(0, "ip link set h2 up");
	pass(1000);
	assert_int_equal(fake_total(nodes[1].dp) + fake_total(nodes[2].dp), 0);
	sync_network_run(2, "ip address add 198.18.9.2/24 dev sync0");
	WAIT(3000, fake_distinct(nodes[2].dp, 0, 500) == 500 && fake_distinct(nodes[1].dp, 500, 500) == 500);
	assert_int_equal(state_of(&nodes[2]).reopened, 0);
}

/* ------------------------------------------------------------- members that hang */

static int connect_to(unsigned int node)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&to.sin_addr, address_of(node).bytes, 4);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static uint64_t read_to_end(int fd)
{
	const struct timeval patience = {.tv_sec = 3};
	static char bytes[65536];
	uint64_t sum = 0;
	ssize_t got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		sum += (uint64_t)got;
	assert_true(got == 0 || errno == ECONNRESET);
	return sum;
}

/* It asks for everything and then reads nothing: that must cost nobody else anything. */
static void engine__member_that_stops_reading__holds_up_nobody_and_is_given_up(void **state)
{
	struct slu_sync_options options[2] = {default_options(1), default_options(2)};
	const struct slu_sync_wire_hello hello = {.magic = SLU_SYNC_WIRE_MAGIC, .revision = 1, .id = 3, .group = 7};
	const struct {
		struct slu_sync_wire_frame frame;
		struct slu_sync_wire_request request;
	} __attribute__((packed))
	ask = {{.bytes = htonl(sizeof(struct slu_sync_wire_request)), .type = SLU_SYNC_WIRE_REQUEST}, {{0}, {0}}};
	uint64_t slowest_ms = 0;
	int fd[4];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		options[i].key = NULL;
		start_with(i + 1, 2, &options[i]);
		slu_sync_join(nodes[i + 1].sync);
	}
	WAIT(5000, nodes[1].joins == 1 && nodes[2].joins == 1);
	nodes[1].dp->count = 900000;
	for (unsigned int i = 0; i < 4; i++) {
		fd[i] = connect_to(1);
		assert_int_equal(send(fd[i], &hello, sizeof(hello), 0), sizeof(hello));
		assert_int_equal(send(fd[i], &ask, sizeof(ask), 0), sizeof(ask));
	}
	pass(300);
	for (uint32_t i = 0; i < 20; i++) {
		uint64_t took_ms;

		fake_tell(nodes[1].dp, i, 1);
		took_ms = WAIT(2000, fake_distinct(nodes[2].dp, i, 1) == 1);
		slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
		pass(50);
	}
	assert_true(slowest_ms < 500);
	assert_int_equal(nodes[1].deaths + nodes[2].deaths, 0);
	/* It is given up after 5 s; what lies in the sockets' buffers can still be read, then comes the end. */
	pass(6000);
	for (unsigned int i = 0; i < 4; i++) {
		assert_in_range(read_to_end(fd[i]), 1, 20000000);
		close(fd[i]);
	}
	assert_int_equal(state_of(&nodes[1]).joins_served, 1);
}

/* The network takes less than there is to tell: the thread waits for nobody, and what did not fit is fetched. */
static void engine__socket_full__is_counted_and_made_up_for(void **state)
{
	const uint32_t many = 500000;

	(void)state;
	start_cluster(2);
	nodes[1].dp->count = many;
	sync_network_run(1, "tc qdisc add dev sync0 root tbf rate 20mbit burst 20kb limit 100mb");
	fake_tell(nodes[1].dp, 0, many);
	WAIT(5000, state_of(&nodes[1]).sent_records == many);
	WAIT(5000, state_of(&nodes[1]).send_errors > 0);
	assert_true(fake_distinct(nodes[2].dp, 0, many) < many);
	sync_network_run(1, "tc qdisc del dev sync0 root");
	WAIT(15000, fake_distinct(nodes[2].dp, 0, many) == many);
}

/* ------------------------------------------------------------------ overtaking */

static void tell_as_member(int fd, uint64_t sequence, uint32_t number)
{
	const struct slu_codec_trailer trailer = {
		.sender = 2, .algorithm = SLU_SYNC_WIRE_HMAC_SHA256, .epoch = 77, .sequence = sequence};
	struct slu_auth *auth = slu_auth_create(key, sizeof(key));
	struct slu_sync_record r = fake_record(number);
	uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX] = {0};
	struct slu_codec_writer w;
	uint32_t count;

	slu_codec_begin(&w, bytes, sizeof(bytes), 7);
	assert_int_equal(slu_codec_add(&w, &r, true), 0);
	count = slu_codec_end(&w, &trailer);
	assert_true(slu_auth_sign(auth, bytes, count));
	slu_auth_free(auth);
	send_datagram(fd, bytes, count);
}

/* Backwards in groups of eight, and every third one twice. */
static void engine__datagrams_overtake_each_other__each_is_taken_once_and_none_fetched(void **state)
{
	int fd = open_outsider(false);
	struct slu_sync_peer_state p;

	(void)state;
	start(1, 2);
	pass(50);
	tell_as_member(fd, 1, 0);
	for (uint32_t group = 0; group < 20; group++) {
		for (uint32_t i = 0; i < 8; i++) {
			uint32_t number = 1 + group * 8 + 7 - i;

			tell_as_member(fd, number + 1, number);
			if (number % 3 == 0)
				tell_as_member(fd, number + 1, number);
		}
	}
	WAIT(2000, peer_state(&nodes[1], 2).datagrams == 161);
	pass(100);
	p = peer_state(&nodes[1], 2);
	assert_int_equal(p.lost, 0);
	assert_int_equal(p.reordered, 140);
	assert_int_equal(p.duplicate, 53);
	assert_int_equal(fake_distinct(nodes[1].dp, 0, 161), 161);
	assert_int_equal(fake_total(nodes[1].dp), 161);
	assert_int_equal(state_of(&nodes[1]).fetches, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(engine__two_nodes__tell_each_other_every_session_once, stop_all),
		cmocka_unit_test_teardown(engine__one_session__leaves_within_20_ms, stop_all),
		cmocka_unit_test_teardown(engine__record__arrives_as_it_was, stop_all),
		cmocka_unit_test_teardown(engine__blob__reaches_every_member_and_goes_with_its_node, stop_all),
		cmocka_unit_test_teardown(engine__member_that_stops__is_dead_after_a_second, stop_all),
		cmocka_unit_test_teardown(engine__nobody_else__has_joined_after_1200_ms, stop_all),
		cmocka_unit_test_teardown(engine__every_fifth_datagram_lost__nothing_is_missing_in_the_end, stop_all),
		cmocka_unit_test_teardown(engine__multicast_cut_one_way__is_made_up_for_within_a_second, stop_all),
		cmocka_unit_test_teardown(engine__cable_cut__both_sides_make_up_for_it, stop_all),
		cmocka_unit_test_teardown(engine__cut_longer_than_the_history__fetches_everything, stop_all),
		cmocka_unit_test_teardown(engine__inbox_without_room__holds_back_and_then_fetches_again, stop_all),
		cmocka_unit_test_teardown(engine__other_key__is_heard_by_nobody_and_hears_nobody, stop_all),
		cmocka_unit_test_teardown(engine__datagrams_sent_again__are_counted_and_not_taken, stop_all),
		cmocka_unit_test_teardown(engine__joined_node__takes_nothing_recorded_before_it_came, stop_all),
		cmocka_unit_test_teardown(engine__malformed_datagrams__are_counted_and_harm_nothing, stop_all),
		cmocka_unit_test_teardown(engine__plain_datagram_of_linux__is_taken_without_a_key_only, stop_all),
		cmocka_unit_test_teardown(engine__without_extensions__sends_only_what_linux_reads, stop_all),
		cmocka_unit_test_teardown(
			engine__member_of_a_later_revision__is_understood_as_far_as_it_can_be, stop_all),
		cmocka_unit_test_teardown(engine__last_old_member_is_replaced__all_speak_the_newest, stop_all),
		cmocka_unit_test_teardown(
			engine__older_node_joins__has_everything_and_is_told_nothing_that_it_does_not_read, stop_all),
		cmocka_unit_test_teardown(engine__older_node_that_a_member_does_not_hear__waits_for_that, stop_all),
		cmocka_unit_test_teardown(engine__older_node_missed_what_was_told_newer__gets_a_snapshot, stop_all),
		cmocka_unit_test_teardown(engine__joining_node__is_fed_by_every_living_member, stop_all),
		cmocka_unit_test_teardown(engine__feeder_that_dies__is_replaced_by_the_next, stop_all),
		cmocka_unit_test_teardown(engine__member_that_was_there_before__feeds_everything_once, stop_all),
		cmocka_unit_test_teardown(engine__member_that_starts_again__is_not_asked_for_everything, stop_all),
		cmocka_unit_test_teardown(
			engine__member_that_dies_behind_a_cut__is_made_up_for_by_who_heard_it, stop_all),
		cmocka_unit_test_teardown(engine__interface_made_anew__its_member_is_back_within_a_second, stop_all),
		cmocka_unit_test_teardown(
			engine__address_taken_away__what_was_missed_is_fetched_when_it_is_back, stop_all),
		cmocka_unit_test_teardown(engine__member_that_stops_reading__holds_up_nobody_and_is_given_up, stop_all),
		cmocka_unit_test_teardown(engine__socket_full__is_counted_and_made_up_for, stop_all),
		cmocka_unit_test_teardown(
			engine__datagrams_overtake_each_other__each_is_taken_once_and_none_fetched, stop_all),
	};

	if (!sync_network_make(SYNC_NETWORK_NODES_MAX))
		return 0;
	base = event_base_new();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
