/*
 * Streams of session sync: what connects to a node and asks for sessions, and what answers a node that asks. Input: a
 * byte that chooses the side, where the bytes are cut in two, then the bytes. Nothing that comes may leak, or be given
 * to the data plane but as whole records.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "host/sync/engine.h"
#include "host/sync/history.h"
#include "tests/unit/sync_fake.h"

#define SESSIONS 300u /* two frames of a snapshot */
#define TURNS 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct slu_sync *make(void)
{
	static const uint8_t told[] = "a datagram that was told";
	static struct slu_dataplane *dp; /* too large to be made each time */
	struct slu_sync *sync = calloc(1, sizeof(*sync));

	assert(sync);
	dp = dp ? dp : fake_create();
	dp->got_total = 0;
	sync->options = (struct slu_sync_options){.id = 1, .group = 7, .epoch = 5, .extensions = true};
	sync->multicast = sync->wake_fd = sync->told_fd = -1;
	sync->base = event_base_new();
	sync->dp = dp;
	sync->dp->count = SESSIONS;
	sync->out.history = slu_history_create(1);
	pthread_mutex_init(&sync->lock, NULL);
	LIST_INIT(&sync->feeds);
	for (sync->out.sequence = 1; sync->out.sequence < 4; sync->out.sequence++)
		slu_history_add(sync->out.history, sync->out.sequence, told, sizeof(told));
	return sync;
}

/* Sends in two parts, letting the node work between. */
static void send_parts(struct slu_sync *sync, int fd, const uint8_t *data, size_t bytes, size_t cut)
{
	cut = cut < bytes ? cut : bytes;
	(void)!send(fd, data, cut, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (unsigned int i = 0; i < 4; i++)
		event_base_loop(sync->base, EVLOOP_NONBLOCK);
	(void)!send(fd, data + cut, bytes - cut, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Until the other side has said all, and is gone. */
static void finish(struct slu_sync *sync, int fd)
{
	static char answer[65536];

	shutdown(fd, SHUT_WR);
	for (unsigned int i = 0; i < TURNS; i++) {
		event_base_loop(sync->base, EVLOOP_NONBLOCK);
		while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			;
	}
	close(fd);
	for (unsigned int i = 0; i < 8; i++)
		event_base_loop(sync->base, EVLOOP_NONBLOCK);
}

static void ask(struct slu_sync *sync, const uint8_t *data, size_t bytes, size_t cut)
{
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	slu_feed_accept(sync, pair[0]);
	send_parts(sync, pair[1], data, bytes, cut);
	finish(sync, pair[1]);
	assert(LIST_EMPTY(&sync->feeds) && sync->feed_count == 0);
	assert(fake_total(sync->dp) == 0);
}

/* A member on the loopback interface that answers whatever it is asked. */
static void answer(struct slu_sync *sync, const uint8_t *data, size_t bytes, size_t cut, uint64_t from)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct slu_sync_peer_address peers[] = {
		{.id = 2, .address = {.family = 4, .bytes = {127, 0, 0, 1}}}, {.id = 3, .address = {.family = 4}}};
	socklen_t size = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	struct slu_engine_peer *peer;
	bool started;

	assert(listener >= 0 && bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 1) == 0);
	assert(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
	sync->options.port = ntohs(at.sin_port);
	slu_peers_replace(sync, peers, 2);
	peer = slu_peers_find(sync, 2);
	peer->fetch = slu_fetch_start(sync, peer, from);
	started = peer->fetch;
	fd = started ? accept(listener, NULL, NULL) : -1;
	close(listener);
	if (fd >= 0) {
		send_parts(sync, fd, data, bytes, cut);
		finish(sync, fd);
	}
	assert(!started || !peer->fetch); /* it was told of its end */
	assert(fake_total(sync->dp) == sync->count.received_records);
	slu_peers_replace(sync, NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slu_sync *sync;

	if (bytes < 3)
		return 0;
	sync = make();
	if (data[0] & 1)
		answer(sync, data + 3, bytes - 3, data[1] | (size_t)data[2] << 8, data[0] >> 1);
	else
		ask(sync, data + 3, bytes - 3, data[1] | (size_t)data[2] << 8);
	slu_feed_close(sync);
	event_base_loop(sync->base, EVLOOP_NONBLOCK);
	event_base_free(sync->base);
	slu_history_free(sync->out.history);
	pthread_mutex_destroy(&sync->lock);
	free(sync);
	return 0;
}
