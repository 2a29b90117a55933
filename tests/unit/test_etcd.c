/*
 * The client of etcd and what follows it, against a server that says what a test wants it to say.
 */
#define _GNU_SOURCE /* unshare */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "host/cluster/etcd.h"
#include "host/cluster/etcd_value.h"
#include "host/cluster/shared.h"
#include "host/cluster/shared_write.h"
#include "tests/unit/own_network.h"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

/* What the server does with a request: bytes to send, and whether it closes then; NULL: nothing, and it waits. */
struct reply {
	const char *bytes;
	bool close;
};
typedef struct reply serve_fn(const char *path, const json_t *body);

static struct {
	struct event_base *base;
	struct evconnlistener *listener;
	struct bufferevent *last; /* connection asked last */
	serve_fn *serve;
	char url[64], refusing[64];
	unsigned int requests;
	char folder[64];
} fixture;

static void on_sent(struct bufferevent *connection, void *context)
{
	(void)context;
	bufferevent_free(connection);
}

static void on_gone(struct bufferevent *connection, short what, void *context)
{
	(void)what, (void)context;
	if (connection == fixture.last)
		fixture.last = NULL;
	bufferevent_free(connection);
}

static void on_read(struct bufferevent *connection, void *context)
{
	struct evbuffer *input = bufferevent_get_input(connection);
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	const char *head = (const char *)evbuffer_pullup(input, -1), *length;
	char path[64] = "";
	struct reply reply;
	size_t bytes;
	json_t *body;

	(void)context;
	if (end.pos < 0)
		return;
	length = strstr(head, "Content-Length: ");
	assert_non_null(length);
	bytes = strtoul(length + 16, NULL, 10);
	if (evbuffer_get_length(input) < (size_t)end.pos + 4 + bytes)
		return;
	assert_int_equal(sscanf(head, "POST %63s", path), 1);
	body = json_loadb(head + end.pos + 4, bytes, 0, NULL);
	assert_non_null(body);
	fixture.requests++;
	fixture.last = connection;
	evbuffer_drain(input, (size_t)end.pos + 4 + bytes);
	reply = fixture.serve(path, body);
	json_decref(body);
	if (reply.bytes != NULL)
		bufferevent_write(connection, reply.bytes, strlen(reply.bytes));
	if (!reply.close)
		return;
	fixture.last = NULL;
	if (reply.bytes != NULL && reply.bytes[0] != '\0')
		bufferevent_setcb(connection, NULL, on_sent, on_gone, NULL);
	else
		bufferevent_free(connection);
}

static void on_accept(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int bytes, void *context)
{
	struct bufferevent *connection = bufferevent_socket_new(fixture.base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)listener, (void)address, (void)bytes, (void)context;
	bufferevent_setcb(connection, on_read, NULL, on_gone, NULL);
	bufferevent_enable(connection, EV_READ | EV_WRITE);
}

static int start(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(address);

	(void)state;
	memset(&fixture, 0, sizeof(fixture));
	fixture.base = event_base_new();
	fixture.listener = evconnlistener_new_bind(
		fixture.base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&address, sizeof(address));
	if (fixture.listener == NULL ||
		getsockname(evconnlistener_get_fd(fixture.listener), (struct sockaddr *)&address, &bytes) != 0)
		return -1;
	snprintf(fixture.url, sizeof(fixture.url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	strcpy(fixture.refusing, "http://127.0.0.1:1");
	strcpy(fixture.folder, "/tmp/slu-test-etcd-XXXXXX");
	return mkdtemp(fixture.folder) != NULL ? 0 : -1;
}

static int stop(void **state)
{
	char command[128];

	(void)state;
	evconnlistener_free(fixture.listener);
	event_base_free(fixture.base);
	snprintf(command, sizeof(command), "rm -rf %s", fixture.folder);
	return system(command);
}

static void run_ms(unsigned int ms)
{
	const struct timeval time = {ms / 1000, 1000 * (ms % 1000)};

	event_base_loopexit(fixture.base, &time);
	event_base_dispatch(fixture.base);
}

/* -------------------------------------------------------------------- values */

static void bytes__are_read_back_from_base64(void **state)
{
	static const char bytes[] = "\0\1\2\xff\xfe z";

	(void)state;
	for (size_t count = 0; count < sizeof(bytes); count++) {
		json_t *value = slu_etcd_value_bytes(bytes, count);
		size_t read;
		char *again = slu_etcd_value_read_bytes(value, &read);

		assert_int_equal(read, count);
		assert_memory_equal(again, bytes, count);
		assert_int_equal(again[count], 0);
		free(again);
		json_decref(value);
	}
}

static void text_that_is_no_base64__is_refused(void **state)
{
	static const char *const texts[] = {
		"a", "ab", "abc", "abcde", "=", "====", "a===", "=abc", "ab=c", "ab*d", "ab d"};
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *value = json_string(texts[i]);

		assert_null(slu_etcd_value_read_bytes(value, &count));
		json_decref(value);
	}
	assert_null(slu_etcd_value_read_bytes(json_true(), &count));
}

static void numbers__are_strings_or_left_out(void **state)
{
	static const struct {
		const char *json;
		bool good;
		int64_t number;
	} rows[] = {{"\"0\"", true, 0}, {"\"9223372036854775807\"", true, INT64_MAX}, {"\"-5\"", true, -5},
		{"7", true, 7}, {"\"9223372036854775808\"", false, 0}, {"\"\"", false, 0}, {"\"-\"", false, 0},
		{"\"1x\"", false, 0}, {"\" 1\"", false, 0}, {"\"1\\u0000\"", false, 0}, {"true", false, 0},
		{"1.5", false, 0}, {"[]", false, 0}};
	int64_t number;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *value = json_loads(rows[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

		assert_non_null(value);
		number = 77;
		assert_int_equal(slu_etcd_value_read_number(value, &number), rows[i].good);
		assert_int_equal(number, rows[i].good ? rows[i].number : 77);
		json_decref(value);
	}
	assert_true(slu_etcd_value_read_number(NULL, &number));
	assert_int_equal(number, 0);
}

/* --------------------------------------------------------------------- calls */

static struct {
	unsigned int answers;
	int error;
	char message[64];
} answered;

static void on_answer(void *context, int error, const json_t *body)
{
	const char *message = json_string_value(json_object_get(body, "message"));

	(void)context;
	answered.answers++;
	answered.error = error;
	snprintf(answered.message, sizeof(answered.message), "%s", message ? message : "");
}

static const struct {
	const char *name;
	struct reply reply;
	int error;
} answers[] = {
	{"an object", {HEAD "Content-Length: 2\r\n\r\n{}", false}, 0},
	{"chunks", {CHUNKED "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", false}, 0},
	{"a refusal", {"HTTP/1.1 400 Bad Request\r\nContent-Length: 17\r\n\r\n{\"message\":\"why\"}", false},
		-EREMOTEIO},
	{"a refusal without words", {"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}", false}, -EPROTO},
	{"an etcd without leader",
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}", false}, -EIO},
	{"nothing", {"", true}, -EIO},
	{"no HTTP", {"SSH-2.0-OpenSSH\r\n", true}, -EIO},
	{"no JSON", {HEAD "Content-Length: 5\r\n\r\nhello", false}, -EPROTO},
	{"half an object", {HEAD "Content-Length: 1\r\n\r\n{", false}, -EPROTO},
	{"a list", {HEAD "Content-Length: 2\r\n\r\n[]", false}, -EPROTO},
	{"a key twice", {HEAD "Content-Length: 13\r\n\r\n{\"a\":1,\"a\":2}", false}, -EPROTO},
	{"no body", {HEAD "Content-Length: 0\r\n\r\n", false}, -EPROTO},
	{"an end too early", {HEAD "Content-Length: 20\r\n\r\n{}", true}, -EIO},
	{"broken chunks", {CHUNKED "zz\r\n{}\r\n0\r\n\r\n", true}, -EIO},
};
static size_t answer_index;

static struct reply serve_answer(const char *path, const json_t *body)
{
	assert_string_equal(path, "/v3/kv/range");
	assert_string_equal(json_string_value(json_object_get(body, "key")), "eA==");
	return answers[answer_index].reply;
}

static void call__tells_good_answers_refusals_and_nonsense_apart(void **state)
{
	char *endpoint = fixture.url;
	struct slu_etcd *etcd;

	(void)state;
	fixture.serve = serve_answer;
	assert_int_equal(slu_etcd_create(fixture.base, &endpoint, 1, &etcd), 0);
	for (answer_index = 0; answer_index < sizeof(answers) / sizeof(answers[0]); answer_index++) {
		memset(&answered, 0, sizeof(answered));
		slu_etcd_call(etcd, "/v3/kv/range", json_pack("{s:s}", "key", "eA=="), on_answer, NULL);
		assert_int_equal(answered.answers, 0);
		for (int i = 0; i < 40 && answered.answers == 0; i++)
			run_ms(50);
		if (answered.answers != 1 || answered.error != answers[answer_index].error)
			print_error(
				"%s: %u answers, %d\n", answers[answer_index].name, answered.answers, answered.error);
		assert_int_equal(answered.answers, 1);
		assert_int_equal(answered.error, answers[answer_index].error);
		if (answers[answer_index].error == -EREMOTEIO)
			assert_string_equal(answered.message, "why");
	}
	slu_etcd_destroy(etcd);
}

static struct reply serve_silence(const char *path, const json_t *body)
{
	(void)path, (void)body;
	return (struct reply){NULL, false};
}

static void call__goes_to_the_next_endpoint_and_stays_there(void **state)
{
	char *endpoints[] = {fixture.refusing, fixture.url};
	struct slu_etcd *etcd;

	(void)state;
	fixture.serve = serve_answer;
	answer_index = 0;
	assert_int_equal(slu_etcd_create(fixture.base, endpoints, 2, &etcd), 0);
	for (unsigned int i = 1; i <= 2; i++) {
		memset(&answered, 0, sizeof(answered));
		slu_etcd_call(etcd, "/v3/kv/range", json_pack("{s:s}", "key", "eA=="), on_answer, NULL);
		run_ms(200);
		assert_int_equal(answered.answers, 1);
		assert_int_equal(answered.error, 0);
		assert_int_equal(fixture.requests, i);
		assert_int_equal(slu_etcd_endpoint(etcd), 1);
		assert_int_equal(slu_etcd_failures(etcd), 1);
	}
	slu_etcd_destroy(etcd);
}

static void call_without_an_answer__ends_in_time_and_once(void **state)
{
	char *endpoint = fixture.url;
	struct slu_etcd *etcd;

	(void)state;
	fixture.serve = serve_silence;
	memset(&answered, 0, sizeof(answered));
	assert_int_equal(slu_etcd_create(fixture.base, &endpoint, 1, &etcd), 0);
	slu_etcd_call(etcd, "/v3/kv/range", json_pack("{s:s}", "key", "eA=="), on_answer, NULL);
	run_ms(3000);
	assert_int_equal(answered.answers, 1);
	assert_int_equal(answered.error, -EIO);
	/* One that is under way when the client goes is never answered. */
	slu_etcd_call(etcd, "/v3/kv/range", json_pack("{s:s}", "key", "eA=="), on_answer, NULL);
	run_ms(50);
	slu_etcd_destroy(etcd);
	run_ms(50);
	assert_int_equal(answered.answers, 1);
}

/* --------------------------------------------------------------------- watch */

static struct {
	char revisions[64]; /* of the results, one behind the other */
	unsigned int ends;
} watched;

static void on_result(void *context, const json_t *result)
{
	const char *revision = json_string_value(json_object_get(result, "revision"));

	(void)context;
	strncat(watched.revisions, revision ? revision : "?",
		sizeof(watched.revisions) - strlen(watched.revisions) - 1);
}

static void on_end(void *context)
{
	(void)context;
	watched.ends++;
}

static const struct {
	const char *name;
	struct reply reply;
	const char *revisions;
	unsigned int ends;
} streams[] = {
	{"two results in a chunk",
		{CHUNKED "47\r\n{\"result\":{\"revision\":\"1\"}}\n{\"result\":{\"revision\":\"2\"}}\n{\"result\":{"
			 "\"rev\r\n",
			false},
		"12", 0},
	{"a result in two chunks",
		{CHUNKED "a\r\n{\"result\":\r\n14\r\n{\"revision\":\"3\"}}   \r\n1\r\n\n\r\n", false}, "3", 0},
	{"an error", {CHUNKED "18\r\n{\"error\":{\"message\":1}}\n\r\n", false}, "", 1},
	{"no JSON", {CHUNKED "3\r\nxy\n\r\n1c\r\n{\"result\":{\"revision\":\"1\"}}\n\r\n", false}, "", 1},
	{"an end", {CHUNKED "1c\r\n{\"result\":{\"revision\":\"4\"}}\n\r\n0\r\n\r\n", true}, "4", 1},
	{"a broken connection", {CHUNKED "1c\r\n{\"result\":{\"revision\":\"5\"}}\n\r\n", true}, "5", 1},
	{"a refusal", {"HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}", false}, "", 1},
	{"nothing", {"", true}, "", 1},
};
static size_t stream_index;

static struct reply serve_stream(const char *path, const json_t *body)
{
	const json_t *request = json_object_get(body, "create_request");

	assert_string_equal(path, "/v3/watch");
	assert_string_equal(json_string_value(json_object_get(request, "start_revision")), "42");
	assert_string_equal(json_string_value(json_object_get(request, "key")), "L3gv");       /* /x/ */
	assert_string_equal(json_string_value(json_object_get(request, "range_end")), "L3gw"); /* /x0 */
	return streams[stream_index].reply;
}

static void watch__gives_each_result_and_ends_once(void **state)
{
	const struct slu_etcd_watch_events events = {.result = on_result, .end = on_end};
	char *endpoint = fixture.url;
	struct slu_etcd *etcd;

	(void)state;
	fixture.serve = serve_stream;
	assert_int_equal(slu_etcd_create(fixture.base, &endpoint, 1, &etcd), 0);
	for (stream_index = 0; stream_index < sizeof(streams) / sizeof(streams[0]); stream_index++) {
		memset(&watched, 0, sizeof(watched));
		slu_etcd_watch(etcd, "/x/", 42, &events);
		run_ms(150);
		if (strcmp(watched.revisions, streams[stream_index].revisions) != 0 ||
			watched.ends != streams[stream_index].ends)
			print_error("%s: results %s, %u ends\n", streams[stream_index].name, watched.revisions,
				watched.ends);
		assert_string_equal(watched.revisions, streams[stream_index].revisions);
		assert_int_equal(watched.ends, streams[stream_index].ends);
	}
	slu_etcd_destroy(etcd);
}

/* ------------------------------------------------------------ what follows it */

#define GROUP "{\"name\":\"web\",\"backends\":[]}"

/* A little etcd: one generation, and a watch that ends as a test says. */
static struct {
	unsigned int lists, watches;
	const char *first_watch; /* what the first one says */
	char list[256], part[512];
	unsigned int generations;
	uint64_t number;
	char text[256];
	uint64_t revision; /* of the registration */
	unsigned int keepalives;
	bool lose_lease;
} etcd_says;

static struct reply serve_etcd(const char *path, const json_t *body)
{
	static char bytes[2048];
	const char *text = "{\"header\":{\"revision\":\"10\"}}";
	size_t count;
	char *key = slu_etcd_value_read_bytes(json_object_get(body, "key"), &count);

	if (strcmp(path, "/v3/watch") == 0) {
		free(key);
		etcd_says.watches++;
		snprintf(bytes, sizeof(bytes), CHUNKED "%zx\r\n%s\n\r\n", strlen(etcd_says.first_watch) + 1,
			etcd_says.first_watch);
		return (struct reply){etcd_says.watches == 1 ? bytes : CHUNKED, false};
	}
	if (strcmp(path, "/v3/lease/grant") == 0)
		text = "{\"ID\":\"7\",\"TTL\":\"2\"}";
	else if (strcmp(path, "/v3/lease/keepalive") == 0)
		text = etcd_says.keepalives++ == 0 && etcd_says.lose_lease
			       ? "{\"result\":{\"ID\":\"7\"}}"
			       : "{\"result\":{\"ID\":\"7\",\"TTL\":\"2\"}}";
	else if (strcmp(path, "/v3/kv/range") == 0 && strcmp(key, "/sluice/generation") == 0 && ++etcd_says.lists > 0)
		text = etcd_says.list;
	else if (strcmp(path, "/v3/kv/range") == 0 && strcmp(key, "/sluice/config/") == 0)
		text = etcd_says.part;
	free(key);
	snprintf(bytes, sizeof(bytes), HEAD "Content-Length: %zu\r\n\r\n%s", strlen(text), text);
	return (struct reply){bytes, false};
}

/* The answer to a range of one key. */
static void fill_range(char *answer, size_t room, const char *key, const char *value)
{
	json_t *kv = json_pack("{s:o,s:o}", "key", slu_etcd_value_text(key), "value", slu_etcd_value_text(value));
	json_t *body = json_pack("{s:{s:s},s:[o]}", "header", "revision", "9", "kvs", kv);
	char *text = json_dumps(body, JSON_COMPACT);

	assert_true(strlen(text) < room);
	strcpy(answer, text);
	free(text);
	json_decref(body);
}

static bool on_generation(void *context, uint64_t number, const char *text)
{
	(void)context;
	etcd_says.generations++;
	etcd_says.number = number;
	snprintf(etcd_says.text, sizeof(etcd_says.text), "%s", text);
	return true;
}

static void on_members(void *context, const struct slu_config_member *members, uint32_t count)
{
	(void)context;
	assert_int_equal(count, 1);
	assert_int_equal(members[0].id, 5);
}

static void on_registered(void *context, uint64_t revision)
{
	(void)context;
	etcd_says.revision = revision;
}

static void follow(unsigned int ms, const char *first_watch, struct slu_shared_state *got)
{
	struct slu_config_cluster cluster = {.id = 5, .address = {4, {198, 18, 9, 5}}, .lease_ttl_s = 2};
	struct slu_config config = {.node = "n5", .cluster = &cluster, .state_dir = fixture.folder};
	const struct slu_shared_settings settings = {.base = fixture.base,
		.config = &config,
		.generation = on_generation,
		.members = on_members,
		.registered = on_registered};
	char *endpoint = fixture.url, hash[SLU_ETCD_HASH_BYTES], key[128], list[128];
	bool lose = etcd_says.lose_lease;
	struct slu_shared *shared;

	memset(&etcd_says, 0, sizeof(etcd_says));
	etcd_says.lose_lease = lose;
	etcd_says.first_watch = first_watch;
	slu_etcd_value_hash(GROUP, strlen(GROUP), hash);
	snprintf(key, sizeof(key), "/sluice/config/groups/%s", hash);
	fill_range(etcd_says.part, sizeof(etcd_says.part), key, GROUP);
	snprintf(list, sizeof(list), "{\"number\":4,\"groups\":[\"%s\"],\"listeners\":[]}", hash);
	fill_range(etcd_says.list, sizeof(etcd_says.list), "/sluice/generation", list);
	fixture.serve = serve_etcd;
	cluster.etcd = &endpoint;
	cluster.etcd_count = 1;
	cluster.etcd_prefix = (char[]){"/sluice"};
	assert_int_equal(slu_shared_create(&settings, &shared), 0);
	run_ms(ms);
	slu_shared_state(shared, got);
	slu_shared_destroy(shared);
}

static void generation__is_given_once_and_whole(void **state)
{
	struct slu_shared_state got;

	(void)state;
	follow(300, "{\"result\":{\"created\":true}}", &got);
	assert_int_equal(etcd_says.generations, 1);
	assert_int_equal(etcd_says.number, 4);
	assert_string_equal(etcd_says.text, "{\"version\":1,\n\"groups\":[\n" GROUP "],\n\"listeners\":[]}\n");
	assert_true(got.watching);
	assert_true(got.registered);
	assert_int_equal(etcd_says.revision, 10);
	assert_int_equal(got.applied, 4);
	assert_int_equal(got.listings, 1);
	assert_int_equal(got.malformed, 0);
}

static void watch_whose_beginning_was_compacted__is_begun_from_a_new_list(void **state)
{
	struct slu_shared_state got;

	(void)state;
	follow(300, "{\"result\":{\"created\":true,\"canceled\":true,\"compact_revision\":\"99\"}}", &got);
	assert_int_equal(got.compacted, 1);
	assert_int_equal(got.listings, 2);
	assert_int_equal(etcd_says.watches, 2);
	assert_true(got.watching);
	/* The same generation is not given again. */
	assert_int_equal(etcd_says.generations, 1);
}

static void watch_that_is_cancelled_for_another_reason__is_not_begun_again_at_once(void **state)
{
	struct slu_shared_state got;

	(void)state;
	follow(300, "{\"result\":{\"created\":true,\"canceled\":true,\"cancel_reason\":\"permission denied\"}}", &got);
	assert_int_equal(got.compacted, 0);
	assert_int_equal(got.listings, 1);
	assert_int_equal(etcd_says.watches, 1);
	assert_false(got.watching);
	follow(1200, "{\"result\":{\"created\":true,\"canceled\":true}}", &got);
	assert_true(got.listings >= 2);
}

static void lease_that_ended__is_taken_anew(void **state)
{
	struct slu_shared_state got;

	(void)state;
	etcd_says.lose_lease = true;
	follow(1800, "{\"result\":{\"created\":true}}", &got);
	assert_true(etcd_says.keepalives >= 2);
	assert_true(got.registered);
	etcd_says.lose_lease = false;
}

/* Events with keys and values that are none: each is passed over, and the next counts. */
static void events_that_are_malformed__are_counted_and_passed_over(void **state)
{
	static const char events[] =
		"{\"result\":{\"events\":[{},{\"kv\":7},{\"kv\":{\"key\":\"*\"}},{\"kv\":{\"key\":\"eA==\",\"value\":"
		"\"eA==\"}},"
		"{\"kv\":{\"key\":\"L3NsdWljZS9nZW5lcmF0aW9u\",\"value\":\"e30=\"}}," /* /sluice/generation: {} */
		"{\"kv\":{\"key\":\"L3NsdWljZS9nZW5lcmF0aW9u\",\"value\":\"?\"}},"
		"{\"kv\":{\"key\":\"L3NsdWljZS9ub2Rlcy8y\",\"value\":\"e30=\"}}]}}"; /* /sluice/nodes/2 */
	struct slu_shared_state got;

	(void)state;
	follow(300, events, &got);
	assert_int_equal(got.malformed, 7);
	assert_int_equal(got.number, 4);
	assert_int_equal(etcd_says.generations, 1);
	assert_true(got.watching);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes__are_read_back_from_base64),
		cmocka_unit_test(text_that_is_no_base64__is_refused),
		cmocka_unit_test(numbers__are_strings_or_left_out),
		TEST(call__tells_good_answers_refusals_and_nonsense_apart),
		TEST(call__goes_to_the_next_endpoint_and_stays_there),
		TEST(call_without_an_answer__ends_in_time_and_once),
		TEST(watch__gives_each_result_and_ends_once),
		TEST(generation__is_given_once_and_whole),
		TEST(watch_whose_beginning_was_compacted__is_begun_from_a_new_list),
		TEST(watch_that_is_cancelled_for_another_reason__is_not_begun_again_at_once),
		TEST(lease_that_ended__is_taken_anew),
		TEST(events_that_are_malformed__are_counted_and_passed_over),
	};

	if (own_network_enter() != 0)
		return 0;
	return cmocka_run_group_tests_name("etcd", tests, NULL, NULL);
}
