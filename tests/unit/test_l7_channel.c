/*
 * The clear-text channel over real sockets: ends, edges, back-pressure, failed connects.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "l7/channel.h"

struct seen {
	unsigned what, calls;
	bool close; /* from within the call */
};

static struct event_base *base;

static void on_ready(struct slu_channel *channel, unsigned what, void *arg)
{
	struct seen *seen = arg;

	seen->what |= what;
	seen->calls++;
	if (seen->close)
		slu_channel_close(channel);
}

/* Lets the loop see what the kernel has to say; everything in these tests is local and therefore already there. */
static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static void open_pair(struct slu_channel *channel, int *peer, struct seen *seen)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(slu_channel_open(channel, base, fds[0], false, NULL, NULL, on_ready, seen), 0);
	*peer = fds[1];
}

static void channel_read__nothing_there__says_eagain_until_an_edge(void **state)
{
	struct slu_channel channel;
	struct seen seen = {0};
	char bytes[8];
	int peer;

	(void)state;
	open_pair(&channel, &peer, &seen);
	turn();
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), -EAGAIN);
	assert_int_equal(write(peer, "abc", 3), 3);
	/* No edge was seen yet: no call of the kernel is spent. */
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), -EAGAIN);
	turn();
	assert_true(seen.what & SLU_CHANNEL_READ);
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), 3);
	assert_memory_equal(bytes, "abc", 3);
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), -EAGAIN);
	slu_channel_close(&channel);
	close(peer);
}

static void channel_read__end_comes_with_the_data__end_is_not_lost(void **state)
{
	struct slu_channel channel;
	struct seen seen = {0};
	char bytes[8];
	int peer;

	(void)state;
	open_pair(&channel, &peer, &seen);
	turn();
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), -EAGAIN);
	assert_int_equal(write(peer, "abc", 3), 3);
	close(peer);
	turn();
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), 3);
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), 0);
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), 0);
	slu_channel_close(&channel);
}

static void channel_read__user_pauses__rest_is_readable_without_another_edge(void **state)
{
	struct slu_channel channel;
	struct seen seen = {0};
	char bytes[2];
	int peer;

	(void)state;
	open_pair(&channel, &peer, &seen);
	assert_int_equal(write(peer, "abc", 3), 3);
	turn();
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), 2);
	turn();
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), 1);
	assert_int_equal(bytes[0], 'c');
	slu_channel_close(&channel);
	close(peer);
}

static void channel_write__peer_does_not_read__eagain_then_an_edge(void **state)
{
	static char bytes[65536], sink[65536];
	struct iovec parts[2] = {{bytes, 10}, {bytes, sizeof(bytes)}};
	struct slu_channel channel;
	struct seen seen = {0};
	ssize_t taken;
	size_t total = 0, got = 0;
	int peer;

	(void)state;
	open_pair(&channel, &peer, &seen);
	turn();
	while ((taken = slu_channel_write(&channel, parts, 2)) > 0)
		total += (size_t)taken;
	assert_int_equal(taken, -EAGAIN);
	turn();
	seen.what = 0;
	while ((taken = read(peer, sink, sizeof(sink))) > 0)
		got += (size_t)taken;
	assert_int_equal(got, total);
	turn();
	assert_true(seen.what & SLU_CHANNEL_WRITE);
	assert_int_equal(slu_channel_write(&channel, parts, 1), 10);
	slu_channel_close(&channel);
	close(peer);
}

static void channel_write__peer_is_gone__returns_epipe_and_no_signal(void **state)
{
	struct iovec part = {"x", 1};
	struct slu_channel channel;
	struct seen seen = {0};
	int peer;

	(void)state;
	open_pair(&channel, &peer, &seen);
	close(peer);
	assert_int_equal(slu_channel_write(&channel, &part, 1), -EPIPE);
	slu_channel_close(&channel);
}

static void channel_finish__peer_sees_the_end_and_can_still_send(void **state)
{
	struct slu_channel channel;
	struct seen seen = {0};
	char bytes[4];
	int peer;

	(void)state;
	open_pair(&channel, &peer, &seen);
	assert_int_equal(slu_channel_finish(&channel), 0);
	assert_int_equal(read(peer, bytes, 1), 0);
	assert_int_equal(write(peer, "z", 1), 1);
	turn();
	assert_int_equal(slu_channel_read(&channel, bytes, sizeof(bytes)), 1);
	slu_channel_close(&channel);
	close(peer);
}

static void channel_ready__user_closes_within_the_call__is_safe(void **state)
{
	struct slu_channel *channel = malloc(sizeof(*channel));
	struct seen seen = {.close = true};
	int peer;

	(void)state;
	open_pair(channel, &peer, &seen);
	assert_int_equal(write(peer, "a", 1), 1);
	turn();
	assert_int_equal(seen.calls, 1);
	assert_int_equal(channel->fd, -1);
	slu_channel_close(channel);
	free(channel);
	close(peer);
}

/* A TCP connect to a loopback port that nobody listens on, or that `listener` does. */
static int connect_to(struct slu_channel *channel, struct seen *seen, bool listens, int *listener)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), status;

	*listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(*listener, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(getsockname(*listener, (struct sockaddr *)&address, &bytes), 0);
	if (listens)
		assert_int_equal(listen(*listener, 1), 0);
	assert_true(connect(fd, (struct sockaddr *)&address, bytes) != 0 && errno == EINPROGRESS);
	assert_int_equal(slu_channel_open(channel, base, fd, true, NULL, NULL, on_ready, seen), 0);
	assert_int_equal(slu_channel_connected(channel), -EAGAIN);
	for (int i = 0; i < 100 && seen->calls == 0; i++)
		event_base_loop(base, EVLOOP_ONCE);
	status = slu_channel_connected(channel);
	return status;
}

static void channel_connected__nobody_listens__returns_econnrefused(void **state)
{
	struct slu_channel channel;
	struct seen seen = {0};
	int listener;

	(void)state;
	assert_int_equal(connect_to(&channel, &seen, false, &listener), -ECONNREFUSED);
	slu_channel_close(&channel);
	close(listener);
}

static void channel_connected__listener_there__returns_0_and_writes(void **state)
{
	struct iovec part = {"x", 1};
	struct slu_channel channel;
	struct seen seen = {0};
	int listener;

	(void)state;
	assert_int_equal(connect_to(&channel, &seen, true, &listener), 0);
	assert_int_equal(slu_channel_write(&channel, &part, 1), 1);
	slu_channel_close(&channel);
	close(listener);
}

/* A base for each test, never freed: a test that failed leaves events on its stack in it. */
static int set_up(void **state)
{
	(void)state;
	base = event_base_new();
	return base == NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(channel_read__nothing_there__says_eagain_until_an_edge, set_up),
		cmocka_unit_test_setup(channel_read__end_comes_with_the_data__end_is_not_lost, set_up),
		cmocka_unit_test_setup(channel_read__user_pauses__rest_is_readable_without_another_edge, set_up),
		cmocka_unit_test_setup(channel_write__peer_does_not_read__eagain_then_an_edge, set_up),
		cmocka_unit_test_setup(channel_write__peer_is_gone__returns_epipe_and_no_signal, set_up),
		cmocka_unit_test_setup(channel_finish__peer_sees_the_end_and_can_still_send, set_up),
		cmocka_unit_test_setup(channel_ready__user_closes_within_the_call__is_safe, set_up),
		cmocka_unit_test_setup(channel_connected__nobody_listens__returns_econnrefused, set_up),
		cmocka_unit_test_setup(channel_connected__listener_there__returns_0_and_writes, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
