/* One UDP flow: requests one after the other from one port; each answer is checked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tests/lab/stamp/slot.h"
#include "tests/lab/stamp/socket.h"

struct stamp_client_udp stamp_udp_figures;

union datagram {
	struct stamp_datagram d;
	uint8_t bytes[STAMP_DATAGRAM_MAX + 1];
};

void stamp_client_udp(struct stamp_client_udp *udp)
{
	*udp = stamp_udp_figures;
}

static size_t datagram_bytes(void)
{
	size_t bytes = stamp_options.chunk_bytes;

	if (bytes < sizeof(struct stamp_datagram))
		return sizeof(struct stamp_datagram);
	return bytes > STAMP_DATAGRAM_MAX ? STAMP_DATAGRAM_MAX : bytes;
}

static void transmit(struct stamp_slot *slot)
{
	union datagram u;
	size_t bytes = datagram_bytes();

	u.d = (struct stamp_datagram){.magic = STAMP_MAGIC, .id = slot->subject.id, .sequence = ++slot->requests};
	u.d.check = stamp_stream_sum(&u.d, offsetof(struct stamp_datagram, check));
	stamp_stream_fill(
		u.d.id, STAMP_REQUEST, u.d.sequence * STAMP_DATAGRAM_MAX, u.bytes + sizeof(u.d), bytes - sizeof(u.d));
	stamp_udp_figures.requests++;
	/* One that the kernel does not take is one lost on the way. */
	if (send(slot->watch.fd, &u, bytes, MSG_NOSIGNAL) > 0)
		slot->subject.sent += bytes;
}

/* Which of the last 64 have come: one that comes twice, or late, is counted. */
static void note_sequence(struct stamp_slot *slot, uint64_t sequence)
{
	uint64_t back;

	if (sequence > slot->answered) {
		slot->window = sequence - slot->answered < 64 ? slot->window << (sequence - slot->answered) | 1 : 1;
		slot->answered = sequence;
		stamp_udp_figures.late += sequence != slot->requests;
		return;
	}
	back = slot->answered - sequence;
	if (back < 64 && (slot->window >> back & 1) != 0)
		stamp_udp_figures.twice++;
	else
		stamp_udp_figures.late++;
	if (back < 64)
		slot->window |= 1ull << back;
}

static bool is_right(const struct stamp_slot *slot, const union datagram *u, size_t bytes)
{
	size_t rest = bytes - sizeof(u->d);

	return bytes >= sizeof(u->d) && u->d.magic == STAMP_MAGIC && u->d.id == slot->subject.id && u->d.sequence > 0 &&
	       u->d.sequence <= slot->requests &&
	       u->d.check == stamp_stream_sum(&u->d, offsetof(struct stamp_datagram, check)) &&
	       stamp_stream_check(u->d.id, STAMP_ANSWER, u->d.sequence * STAMP_DATAGRAM_MAX, u->bytes + sizeof(u->d),
		       rest) == rest;
}

/* Returns false when the flow is lost, or has ended. */
static bool take(struct stamp_slot *slot, const union datagram *u, size_t bytes)
{
	struct stamp_subject *s = &slot->subject;
	char text[96];

	if (!is_right(slot, u, bytes)) {
		stamp_slot_lost(slot, STAMP_WRONG, "an answer with a wrong byte, or to somebody else");
		return false;
	}
	if (s->server != 0 && u->d.server != s->server) {
		snprintf(text, sizeof(text), "server %u answers instead of %u", u->d.server, s->server);
		stamp_slot_lost(slot, STAMP_SERVER, text);
		return false;
	}
	s->server = u->d.server;
	stamp_udp_figures.moved += s->counts && slot->peer != u->d.peer;
	slot->peer = u->d.peer;
	note_sequence(slot, u->d.sequence);
	stamp_udp_figures.answers++;
	slot->answers++;
	s->received += bytes;
	stamp_judge_heard(s);
	/* An answer is a data packet and its confirmation in one. */
	stamp_judge_sent(s, slot->answers);
	stamp_judge_confirmed(s, slot->answers);
	if (slot->state != STAMP_SLOT_ENDING)
		return true;
	stamp_slot_ended(slot);
	return false;
}

static void on_socket(struct stamp_watch *watch, uint32_t events)
{
	struct stamp_slot *slot = (struct stamp_slot *)watch;
	union datagram u;
	ssize_t n;

	(void)events;
	for (;;) {
		n = recv(watch->fd, &u, sizeof(u), 0);
		/* An ICMP error is a loss on the way; the flow may go on. */
		if (n < 0)
			return;
		if (!take(slot, &u, (size_t)n))
			return;
	}
}

int stamp_udp_open(struct stamp_slot *slot)
{
	int fd = stamp_socket_connect(SOCK_DGRAM, slot->from, &slot->target->to);

	if (fd < 0)
		return fd;
	slot->watch = (struct stamp_watch){.fd = fd, .run = on_socket};
	slot->state = STAMP_SLOT_OPEN;
	fd = stamp_loop_watch(&slot->watch, EPOLLIN);
	if (fd == 0)
		stamp_judge_open(&slot->subject);
	return fd;
}

void stamp_udp_work(struct stamp_slot *slot)
{
	uint64_t now = stamp_loop_now_us();

	stamp_judge_confirmed(&slot->subject, slot->answers);
	if (!stamp_slot_is_quiet() && now > slot->subject.heard_us + STAMP_STALL_US) {
		stamp_slot_lost(slot, STAMP_STALL, "no answer for 5 s");
		return;
	}
	if (now < slot->send_us)
		return;
	slot->send_us = now + stamp_options.interval_ms * 1000ull;
	if (!stamp_slot_is_quiet())
		transmit(slot);
}

/* A flow ends with an answer: one that is silent then is no flow in order. */
void stamp_udp_end(struct stamp_slot *slot)
{
	slot->state = STAMP_SLOT_ENDING;
}
