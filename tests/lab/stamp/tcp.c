/* One TCP connection: hello, stamped bytes both ways, the end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tests/lab/stamp/slot.h"
#include "tests/lab/stamp/socket.h"

#define HANDSHAKE_US 4000000u

static void lost(struct stamp_slot *slot, enum stamp_loss loss, const char *text)
{
	struct linger linger = {.l_onoff = 1};

	/* Nobody shall go on with it. */
	setsockopt(slot->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	stamp_slot_lost(slot, loss, text);
}

/* Looks at the bytes that are certainly stream; the greeting stands at its begin. */
static bool check(struct stamp_slot *slot, const uint8_t *bytes, size_t count)
{
	struct stamp_subject *s = &slot->subject;
	char text[96];
	size_t right = stamp_stream_check(s->id, STAMP_TO_CLIENT, slot->checked, bytes, count);

	slot->checked += right;
	if (right == count)
		return true;
	snprintf(text, sizeof(text), "byte %llu of the server's stream", (unsigned long long)slot->checked);
	lost(slot, STAMP_WRONG, text);
	return false;
}

/* Takes the greeting from the front of bytes. SO_RCVLOWAT saw to it that it is whole. */
static bool greet(struct stamp_slot *slot, const uint8_t *bytes, size_t count)
{
	struct stamp_greeting g;
	int one = 1;

	if (count < sizeof(g)) {
		lost(slot, STAMP_SHORT, "end before the greeting");
		return false;
	}
	memcpy(&g, bytes, sizeof(g));
	if (g.magic != STAMP_MAGIC || g.id != slot->subject.id ||
		g.check != stamp_stream_sum(&g, offsetof(struct stamp_greeting, check))) {
		lost(slot, STAMP_WRONG, "the greeting is not ours");
		return false;
	}
	setsockopt(slot->watch.fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	slot->subject.server = g.server;
	slot->checked = sizeof(g);
	return true;
}

/* The last bytes are held back: they are the farewell if the end comes now, and stream if more comes. */
static bool take(struct stamp_slot *slot, uint8_t *bytes, size_t count)
{
	uint8_t room[sizeof(slot->held) + 65536];
	size_t all, keep;

	if (slot->checked == 0) {
		if (!greet(slot, bytes, count))
			return false;
		bytes += sizeof(struct stamp_greeting);
		count -= sizeof(struct stamp_greeting);
	}
	memcpy(room, slot->held, slot->held_count);
	memcpy(room + slot->held_count, bytes, count);
	all = slot->held_count + count;
	keep = all < sizeof(slot->held) ? all : sizeof(slot->held);
	if (!check(slot, room, all - keep))
		return false;
	memcpy(slot->held, room + all - keep, keep);
	slot->held_count = (uint32_t)keep;
	return true;
}

static void finish(struct stamp_slot *slot)
{
	struct stamp_farewell f;
	char text[128];

	if (slot->state != STAMP_SLOT_ENDING) {
		lost(slot, STAMP_SHORT, "the server's end came before the client's");
		return;
	}
	memcpy(&f, slot->held, sizeof(f));
	if (slot->held_count < sizeof(f) || f.magic != STAMP_MAGIC ||
		f.check != stamp_stream_sum(&f, offsetof(struct stamp_farewell, check))) {
		lost(slot, STAMP_SHORT, "end without a farewell");
	} else if (f.sent != slot->checked || f.received != slot->subject.sent) {
		snprintf(text, sizeof(text), "server received %llu of %llu and sent %llu of which %llu came",
			(unsigned long long)f.received, (unsigned long long)slot->subject.sent,
			(unsigned long long)f.sent, (unsigned long long)slot->checked);
		lost(slot, STAMP_SHORT, text);
	} else {
		/* The other direction's silence is a gap of this connection as well. */
		if (slot->subject.counts && f.gap_us > slot->subject.gap_us && !stamp_options.quiet)
			slot->subject.gap_us = f.gap_us;
		stamp_slot_ended(slot);
	}
}

static void receive(struct stamp_slot *slot)
{
	uint8_t bytes[65536];
	ssize_t n = recv(slot->watch.fd, bytes, sizeof(bytes), 0);

	if (n > 0) {
		slot->subject.received += (uint64_t)n;
		stamp_judge_heard(&slot->subject);
		take(slot, bytes, (size_t)n);
	} else if (n == 0) {
		finish(slot);
	} else if (errno != EAGAIN && errno != EINTR) {
		lost(slot, STAMP_RESET, strerror(errno));
	}
}

/* Sends up to a chunk; what does not fit is made anew next time. */
static void transmit(struct stamp_slot *slot)
{
	struct stamp_subject *s = &slot->subject;
	uint8_t bytes[STAMP_CHUNK_MAX];
	size_t count = stamp_options.chunk_bytes;
	struct stamp_hello hello = {.magic = STAMP_MAGIC, .chunk_bytes = stamp_options.chunk_bytes, .id = s->id};
	ssize_t n;

	if (s->sent == 0) {
		hello.interval_ms = stamp_options.interval_ms;
		hello.quiet_ms = stamp_options.quiet ? 3 * stamp_options.interval_ms + 500 : 0;
		hello.check = stamp_stream_sum(&hello, offsetof(struct stamp_hello, check));
		count = sizeof(hello);
		memcpy(bytes, &hello, count);
	} else {
		stamp_stream_fill(s->id, STAMP_TO_SERVER, s->sent, bytes, count);
	}
	n = send(slot->watch.fd, bytes, count, MSG_NOSIGNAL);
	if (n > 0) {
		s->sent += (uint64_t)n;
		stamp_judge_sent(s, s->sent);
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lost(slot, STAMP_RESET, strerror(errno));
	}
}

static void on_connected(struct stamp_slot *slot)
{
	int error = 0, whole = sizeof(struct stamp_greeting);
	socklen_t bytes = sizeof(error);

	getsockopt(slot->watch.fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	if (error != 0) {
		stamp_slot_failed(slot);
		return;
	}
	setsockopt(slot->watch.fd, SOL_SOCKET, SO_RCVLOWAT, &whole, sizeof(whole));
	stamp_loop_change(&slot->watch, EPOLLIN);
	slot->state = STAMP_SLOT_OPEN;
	slot->acked_us = slot->send_us = stamp_loop_now_us();
	stamp_judge_open(&slot->subject);
	stamp_tcp_work(slot);
	if (slot->state == STAMP_SLOT_OPEN)
		stamp_loop_set(&slot->timer, slot->send_us);
}

static void on_socket(struct stamp_watch *watch, uint32_t events)
{
	struct stamp_slot *slot = (struct stamp_slot *)watch;

	(void)events;
	if (slot->state == STAMP_SLOT_CONNECTING)
		on_connected(slot);
	else
		receive(slot);
}

int stamp_tcp_open(struct stamp_slot *slot)
{
	int fd = stamp_socket_connect(SOCK_STREAM, slot->from, &slot->target->to);

	if (fd < 0)
		return fd;
	slot->watch = (struct stamp_watch){.fd = fd, .run = on_socket};
	slot->state = STAMP_SLOT_CONNECTING;
	slot->acked_us = stamp_loop_now_us();
	return stamp_loop_watch(&slot->watch, EPOLLOUT);
}

/* What the server's kernel acknowledged. 5 s without progress is a stall of the one direction, however the other goes.
 */
static void look_at_acks(struct stamp_slot *slot)
{
	uint64_t open = stamp_socket_unacknowledged(slot->watch.fd);
	uint64_t acked = slot->subject.sent > open ? slot->subject.sent - open : 0;

	if (acked > slot->acked)
		stamp_judge_gap(&slot->subject, stamp_loop_now_us() - slot->acked_us);
	if (acked > slot->acked || open == 0)
		slot->acked_us = stamp_loop_now_us();
	slot->acked = acked;
	stamp_judge_confirmed(&slot->subject, acked);
}

void stamp_tcp_work(struct stamp_slot *slot)
{
	uint64_t now = stamp_loop_now_us();

	if (slot->state == STAMP_SLOT_CONNECTING) {
		if (now > slot->acked_us + HANDSHAKE_US)
			stamp_slot_failed(slot);
		return;
	}
	look_at_acks(slot);
	if (!stamp_slot_is_quiet() && now > slot->subject.heard_us + STAMP_STALL_US) {
		lost(slot, STAMP_STALL, "nothing came for 5 s");
		return;
	}
	if (!stamp_slot_is_quiet() && now > slot->acked_us + STAMP_STALL_US) {
		lost(slot, STAMP_STALL, "nothing was acknowledged for 5 s");
		return;
	}
	if (slot->state != STAMP_SLOT_OPEN || now < slot->send_us)
		return;
	slot->send_us = now + stamp_options.interval_ms * 1000ull;
	if (!stamp_slot_is_quiet())
		transmit(slot);
}

void stamp_tcp_end(struct stamp_slot *slot)
{
	slot->state = STAMP_SLOT_ENDING;
	slot->send_us = UINT64_MAX;
	shutdown(slot->watch.fd, SHUT_WR);
}
