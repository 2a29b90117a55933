/*
 * Health checks against real sockets.
 */
#define _GNU_SOURCE /* unshare, accept4 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "host/control/ip.h"
#include "host/health/health.h"
#include "tests/unit/own_network.h"

/* A port that answers each connection's first bytes, or each datagram, with `answer`. */
struct server {
	int fd;
	uint16_t port;
	const char *answer; /* NULL: says nothing */
	struct event *event;
	unsigned served; /* connections or datagrams */
};

struct connection {
	struct connection *next;
	struct server *server;
	int fd; /* -1: closed */
};

static struct {
	struct event_base *base;
	struct slu_health *health;
	struct connection *connections; /* freed at the end */
	unsigned changes;
	char log[512]; /* the last line */
} fixture;

static void on_changed(void *ctx)
{
	(void)ctx;
	fixture.changes++;
}

static void on_log(void *ctx, const char *line)
{
	(void)ctx;
	snprintf(fixture.log, sizeof(fixture.log), "%s", line);
}

static int start(void **state)
{
	const struct slu_health_events events = {NULL, on_changed, on_log};

	(void)state;
	memset(&fixture, 0, sizeof(fixture));
	fixture.base = event_base_new();
	fixture.health = slu_health_create(fixture.base, &events);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	slu_health_destroy(fixture.health);
	event_base_free(fixture.base);
	while (fixture.connections != NULL) {
		struct connection *connection = fixture.connections;

		fixture.connections = connection->next;
		if (connection->fd >= 0)
			close(connection->fd);
		free(connection);
	}
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run_ms(unsigned ms)
{
	const struct timeval time = {ms / 1000, 1000 * (ms % 1000)};

	event_base_loopexit(fixture.base, &time);
	event_base_dispatch(fixture.base);
}

static struct slu_health_status status_of(uint32_t id)
{
	struct slu_health_status status;

	assert_int_equal(slu_health_status(fixture.health, id, &status), 0);
	return status;
}

/* Runs until the backend is in a state; fails after 5 s. */
static void run_until(uint32_t id, enum slu_health_state state)
{
	uint64_t end = now_ms() + 5000;

	while (status_of(id).state != state && now_ms() < end)
		run_ms(1);
	assert_string_equal(slu_health_state_name(status_of(id).state), slu_health_state_name(state));
}

static void on_bytes(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = arg;
	const char *answer = connection->server->answer;
	char bytes[1024];

	(void)what;
	if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0 && answer != NULL)
		send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	if (answer == NULL && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) != 0) {
		event_base_once(fixture.base, fd, EV_READ, on_bytes, connection, NULL);
		return;
	}
	close(fd);
	connection->fd = -1;
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	(void)what;
	connection->server = arg;
	connection->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	connection->next = fixture.connections;
	fixture.connections = connection;
	if (connection->fd < 0)
		return;
	connection->server->served++;
	event_base_once(fixture.base, connection->fd, EV_READ, on_bytes, connection, NULL);
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	struct sockaddr_in from;
	socklen_t bytes = sizeof(from);
	char datagram[2048];

	(void)what;
	if (recvfrom(fd, datagram, sizeof(datagram), 0, (struct sockaddr *)&from, &bytes) < 0)
		return;
	server->served++;
	if (server->answer != NULL)
		sendto(fd, server->answer, strlen(server->answer), 0, (struct sockaddr *)&from, bytes);
}

/* Listens on 127.0.0.1, on server->port if it is not 0. */
static void server_start(struct server *server, int type)
{
	struct sockaddr_in address = {AF_INET, htons(server->port), {htonl(INADDR_LOOPBACK)}, {0}};
	socklen_t bytes = sizeof(address);
	int one = 1;

	server->fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(server->fd, (struct sockaddr *)&address, bytes), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(server->fd, 4096), 0);
	getsockname(server->fd, (struct sockaddr *)&address, &bytes);
	server->port = ntohs(address.sin_port);
	server->event = event_new(fixture.base, server->fd, EV_READ | EV_PERSIST,
		type == SOCK_STREAM ? on_connection : on_datagram, server);
	event_add(server->event, NULL);
}

static void server_stop(struct server *server)
{
	event_free(server->event);
	close(server->fd);
}

static const struct slu_config_check quick = {.type = SLU_CHECK_TCP,
	.interval_ms = 20,
	.timeout_ms = 20,
	.rise = 2,
	.fall = 3,
	.path = "/up",
	.status_first = 200,
	.status_last = 204};

static struct slu_health_target target(uint32_t id, uint16_t port, const struct slu_config_check *check)
{
	struct slu_health_target target = {
		.id = id, .port = port, .initial = SLU_HEALTH_CHECKING, .check = check, .group = "g", .name = "b"};

	assert_int_equal(slu_ip_parse("127.0.0.1", &target.address), 0);
	return target;
}

static void check_one(uint16_t port, const struct slu_config_check *check)
{
	struct slu_health_target one = target(1, port, check);

	slu_health_update(fixture.health, &one, 1);
}

static void backend__is_checking_before_its_first_result(void **state)
{
	struct server server = {0};

	(void)state;
	server_start(&server, SOCK_STREAM);
	check_one(server.port, &quick);
	assert_int_equal(status_of(1).state, SLU_HEALTH_CHECKING);
	run_until(1, SLU_HEALTH_UP);
	assert_int_equal(status_of(1).checks, 1); /* the first result decides alone */
	assert_int_equal(fixture.changes, 1);
	assert_non_null(strstr(fixture.log, "backend g/b 127.0.0.1 port "));
	assert_non_null(strstr(fixture.log, " is up (1 in a row)"));
	server_stop(&server);
}

static void closed_port__is_down_with_the_reason(void **state)
{
	struct server server = {0};

	(void)state;
	server_start(&server, SOCK_STREAM);
	server_stop(&server);
	check_one(server.port, &quick);
	run_until(1, SLU_HEALTH_DOWN);
	assert_string_equal(status_of(1).reason, "connect: Connection refused");
	assert_non_null(strstr(fixture.log, " is down: connect: Connection refused (1 in a row)"));
}

static void backend__goes_down_after_fall_and_up_after_rise_results(void **state)
{
	struct server server = {0};
	uint64_t checks;

	(void)state;
	server_start(&server, SOCK_STREAM);
	check_one(server.port, &quick);
	run_until(1, SLU_HEALTH_UP);
	server_stop(&server);
	run_until(1, SLU_HEALTH_DOWN);
	assert_int_equal(status_of(1).failures, 3);
	server_start(&server, SOCK_STREAM);
	while (status_of(1).failures == status_of(1).checks - 1)
		run_ms(1); /* until the first success again */
	checks = status_of(1).checks;
	assert_int_equal(status_of(1).state, SLU_HEALTH_DOWN);
	run_until(1, SLU_HEALTH_UP);
	assert_int_equal(status_of(1).checks, checks + 1);
	assert_int_equal(fixture.changes, 3);
	server_stop(&server);
}

static void failures_with_successes_between__change_nothing(void **state)
{
	struct slu_config_check check = quick;
	struct server server = {.answer = "HTTP/1.1 200 OK\r\n\r\n"};

	(void)state;
	check.type = SLU_CHECK_HTTP;
	check.fall = 2;
	server_start(&server, SOCK_STREAM);
	check_one(server.port, &check);
	run_until(1, SLU_HEALTH_UP);
	for (unsigned turn = 0; turn < 6; turn++) {
		uint64_t checks = status_of(1).checks;

		server.answer = turn % 2 == 0 ? "HTTP/1.1 500 No\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n";
		while (status_of(1).checks == checks)
			run_ms(1);
	}
	assert_true(status_of(1).failures >= 2);
	assert_int_equal(fixture.changes, 1);
	server_stop(&server);
}

static void http_answer__is_judged_by_its_status_line(void **state)
{
	static const struct {
		const char *answer, *reason; /* NULL: good */
	} rows[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NULL},
		{"HTTP/1.0 204 \r\n\r\n", NULL},
		{"HTTP/1.1 204\r\n\r\n", NULL},
		{"HTTP/1.1 205 Other\r\n\r\n", "HTTP status 205"},
		{"HTTP/1.1 503 Busy\r\n\r\n", "HTTP status 503"},
		{"HTTP/1.1 2000\r\n\r\n", "the answer is no HTTP/1 (17 bytes)"},
		{"SSH-2.0-OpenSSH_9.2\r\n", "the answer is no HTTP/1 (21 bytes)"},
		{"HTTP/1.1 2", "the answer is no HTTP/1 (10 bytes)"},
		{"", "the answer is no HTTP/1 (0 bytes)"},
		{NULL, "no answer within 60 ms"},
	};
	struct slu_config_check check = quick;

	(void)state;
	check.type = SLU_CHECK_HTTP;
	check.interval_ms = check.timeout_ms = 60;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct server server = {.answer = rows[i].answer};
		struct slu_health_target one;

		server_start(&server, SOCK_STREAM);
		one = target((uint32_t)i + 1, server.port, &check);
		slu_health_update(fixture.health, &one, 1);
		run_until(one.id, rows[i].reason == NULL ? SLU_HEALTH_UP : SLU_HEALTH_DOWN);
		assert_string_equal(status_of(one.id).reason, rows[i].reason == NULL ? "" : rows[i].reason);
		server_stop(&server);
	}
}

static void udp_answer__is_judged_by_what_is_expected(void **state)
{
	static const struct {
		const char *answer, *expect, *reason;
	} rows[] = {
		{"pong 7", "pong", NULL},
		{"pong", "", NULL},
		{NULL, "", NULL}, /* nothing expected: silence is no failure */
		{"ping", "pong", "the answer (4 bytes) is not what is expected"},
		{NULL, "pong", "no answer within 20 ms"},
	};
	struct slu_config_check check = quick;
	struct server server = {0};

	(void)state;
	check.type = SLU_CHECK_UDP;
	memcpy(check.send, "ping", 4);
	check.send_bytes = 4;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slu_health_target one;

		server = (struct server){.answer = rows[i].answer};
		server_start(&server, SOCK_DGRAM);
		check.expect_bytes = (uint16_t)strlen(rows[i].expect);
		memcpy(check.expect, rows[i].expect, check.expect_bytes);
		one = target((uint32_t)i + 1, server.port, &check);
		slu_health_update(fixture.health, &one, 1);
		run_until(one.id, rows[i].reason == NULL ? SLU_HEALTH_UP : SLU_HEALTH_DOWN);
		assert_string_equal(status_of(one.id).reason, rows[i].reason == NULL ? "" : rows[i].reason);
		server_stop(&server);
	}
	check.expect_bytes = 0;
	slu_health_update(fixture.health, NULL, 0);
	check_one(server.port, &check); /* closed by now: ICMP says so */
	run_until(1, SLU_HEALTH_DOWN);
	assert_string_equal(status_of(1).reason, "receive: Connection refused");
}

static void backend_that_is_gone__is_checked_no_more(void **state)
{
	struct slu_config_check check = quick;
	struct slu_health_status status;
	struct server server = {0};
	unsigned served;

	(void)state;
	check.type = SLU_CHECK_HTTP; /* the server is silent, so a check is always in flight */
	check.interval_ms = check.timeout_ms = 100;
	server_start(&server, SOCK_STREAM);
	check_one(server.port, &check);
	while (server.served == 0)
		run_ms(1);
	served = server.served;
	slu_health_update(fixture.health, NULL, 0);
	assert_int_not_equal(slu_health_status(fixture.health, 1, &status), 0);
	run_ms(400);
	assert_int_equal(server.served, served);
	assert_int_equal(fixture.changes, 0);
	server_stop(&server);
}

static void changed_check__keeps_the_state(void **state)
{
	struct slu_config_check check = quick;
	struct server server = {0};
	uint64_t checks;

	(void)state;
	server_start(&server, SOCK_STREAM);
	check_one(server.port, &quick);
	run_until(1, SLU_HEALTH_UP);
	check.interval_ms = 3600000;
	checks = status_of(1).checks;
	check_one(server.port, &check);
	assert_int_equal(status_of(1).state, SLU_HEALTH_UP);
	run_ms(100);
	assert_int_equal(status_of(1).checks, checks + 1); /* once at once, then by the new interval */
	check_one(server.port, &check);
	run_ms(50);
	assert_int_equal(status_of(1).checks, checks + 1); /* the same check again changes no schedule */
	server_stop(&server);
}

static void backend_in_service__stays_so_until_fall_failures(void **state)
{
	struct slu_health_target one;
	struct server server = {0};

	(void)state;
	server_start(&server, SOCK_STREAM);
	server_stop(&server);
	one = target(1, server.port, &quick);
	one.initial = SLU_HEALTH_UP;
	slu_health_update(fixture.health, &one, 1);
	run_until(1, SLU_HEALTH_DOWN);
	assert_int_equal(status_of(1).failures, 3);
}

static void shortage_of_sockets__is_not_the_backends_fault(void **state)
{
	struct rlimit before, tight;
	struct server server = {0};

	(void)state;
	server_start(&server, SOCK_STREAM);
	getrlimit(RLIMIT_NOFILE, &before);
	tight = before;
	tight.rlim_cur = (rlim_t)server.fd + 1;
	check_one(server.port, &quick);
	setrlimit(RLIMIT_NOFILE, &tight);
	run_ms(100);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(status_of(1).state, SLU_HEALTH_CHECKING);
	assert_int_equal(status_of(1).checks, 0);
	assert_string_equal(fixture.log, "health checks are delayed: socket: Too many open files");
	run_until(1, SLU_HEALTH_UP);
	server_stop(&server);
}

static void stall(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	usleep(200000);
}

/* More answers than the loop fetches at once have arrived while it slept beyond their time-out. */
static void loop_that_was_late__blames_no_backend(void **state)
{
	enum { COUNT = 300 };
	struct slu_health_target *targets = calloc(COUNT, sizeof(*targets));
	const struct timeval behind = {0, 50000};
	struct slu_config_check check = quick;
	struct server server = {0};

	(void)state;
	check.interval_ms = 10000;
	check.timeout_ms = 100;
	server_start(&server, SOCK_STREAM);
	for (uint32_t i = 0; i < COUNT; i++)
		targets[i] = target(i + 1, server.port, &check);
	slu_health_update(fixture.health, targets, COUNT); /* all begin within 30 ms, */
	event_base_once(fixture.base, -1, EV_TIMEOUT, stall, NULL, &behind);
	usleep(80000); /* so all are due in one turn of the loop, which then stalls */
	run_ms(300);
	for (uint32_t i = 1; i <= COUNT; i++)
		assert_int_equal(status_of(i).state, SLU_HEALTH_UP);
	free(targets);
	server_stop(&server);
}

static uint64_t cpu_us(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static void thousands_of_checks_a_second__cost_little_and_fail_none(void **state)
{
	enum { COUNT = 2000 };
	struct slu_health_target *targets = calloc(COUNT, sizeof(*targets));
	struct slu_config_check check = quick;
	struct server server = {0};
	uint64_t checks = 0, failures = 0, used_us;

	(void)state;
	check.interval_ms = 1000;
	check.timeout_ms = 1000;
	server_start(&server, SOCK_STREAM);
	for (uint32_t i = 0; i < COUNT; i++)
		targets[i] = target(COUNT - i, server.port, &check);
	slu_health_update(fixture.health, targets, COUNT);
	used_us = cpu_us();
	run_ms(3000);
	used_us = cpu_us() - used_us;
	for (uint32_t i = 1; i <= COUNT; i++) {
		checks += status_of(i).checks;
		failures += status_of(i).failures;
	}
	print_message("# %llu checks in 3 s, %llu us of CPU each, servers included\n", (unsigned long long)checks,
		(unsigned long long)(used_us / checks));
	assert_int_equal(failures, 0);
	/* No bound below but one each: a machine that is busy with other things is late. */
	assert_in_range(checks, COUNT, 4 * COUNT);
	assert_in_range(used_us / checks, 0, 500);
	free(targets);
	server_stop(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(backend__is_checking_before_its_first_result),
		TEST(closed_port__is_down_with_the_reason),
		TEST(backend__goes_down_after_fall_and_up_after_rise_results),
		TEST(failures_with_successes_between__change_nothing),
		TEST(http_answer__is_judged_by_its_status_line),
		TEST(udp_answer__is_judged_by_what_is_expected),
		TEST(backend_that_is_gone__is_checked_no_more),
		TEST(changed_check__keeps_the_state),
		TEST(backend_in_service__stays_so_until_fall_failures),
		TEST(shortage_of_sockets__is_not_the_backends_fault),
		TEST(loop_that_was_late__blames_no_backend),
		TEST(thousands_of_checks_a_second__cost_little_and_fail_none),
	};

	if (own_network_enter() != 0)
		return 0;
	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
