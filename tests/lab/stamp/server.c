#include "tests/lab/stamp/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/stamp/loop.h"
#include "tests/lab/stamp/socket.h"
#include "tests/lab/stamp/stream.h"

#define HELLO_S 10u /* a connection that says nothing is dropped */

struct conn {
	struct stamp_watch watch; /* first: the address of one is that of the other */
	struct stamp_timer timer;
	struct stamp_hello hello;
	uint64_t received, sent; /* offsets in the two streams */
	uint64_t heard_us, gap_us;
	bool ended; /* the client's FIN came */
	uint64_t farewell_at;
	struct stamp_farewell farewell;
};

static struct {
	uint32_t name;
	struct stamp_watch tcp, udp;
	uint64_t connections, live, complete, broken, wrong, requests, wrong_requests;
	uint64_t longest_gap_us;
} server;

static struct conn *conn_of_timer(struct stamp_timer *timer)
{
	return (struct conn *)((char *)timer - offsetof(struct conn, timer));
}

static void conn_free(struct conn *c)
{
	if (c->gap_us > server.longest_gap_us)
		server.longest_gap_us = c->gap_us;
	stamp_loop_unset(&c->timer);
	stamp_loop_close(&c->watch);
	server.live--;
	free(c);
}

/* The client must not take this for an end in order: it is reset. */
static void conn_abort(struct conn *c, uint64_t *counter)
{
	struct linger linger = {.l_onoff = 1};

	(*counter)++;
	setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	conn_free(c);
}

/* Sends up to count bytes of the stream; what does not fit is made anew next time. False: the connection is gone. */
static bool conn_send(struct conn *c, size_t count)
{
	struct stamp_greeting greeting = {.magic = STAMP_MAGIC, .server = server.name, .id = c->hello.id};
	uint8_t bytes[STAMP_CHUNK_MAX];
	ssize_t n;

	if (c->sent == 0) {
		greeting.check = stamp_stream_sum(&greeting, offsetof(struct stamp_greeting, check));
		memcpy(bytes, &greeting, sizeof(greeting));
		count = sizeof(greeting);
	} else if (c->farewell.magic != 0 && c->sent >= c->farewell_at) {
		count = c->farewell_at + sizeof(c->farewell) - c->sent;
		memcpy(bytes, (const uint8_t *)&c->farewell + (c->sent - c->farewell_at), count);
	} else {
		stamp_stream_fill(c->hello.id, STAMP_TO_CLIENT, c->sent, bytes, count);
	}
	n = send(c->watch.fd, bytes, count, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		conn_abort(c, &server.broken);
		return false;
	}
	c->sent += n > 0 ? (uint64_t)n : 0;
	return true;
}

static void say_farewell(struct conn *c)
{
	c->farewell = (struct stamp_farewell){.magic = STAMP_MAGIC,
		.server = server.name,
		.received = c->received,
		.sent = c->farewell_at,
		.gap_us = c->gap_us};
	c->farewell.check = stamp_stream_sum(&c->farewell, offsetof(struct stamp_farewell, check));
}

/* After the client's FIN: the rest of the tail, then the farewell, then the end. */
static void conn_finish(struct conn *c)
{
	uint64_t before;

	if (c->farewell.magic == 0)
		say_farewell(c);
	do {
		before = c->sent;
		if (!conn_send(
			    c, c->farewell_at - c->sent < STAMP_CHUNK_MAX ? c->farewell_at - c->sent : STAMP_CHUNK_MAX))
			return;
		if (c->sent == c->farewell_at + sizeof(c->farewell)) {
			server.complete++;
			conn_free(c);
			return;
		}
	} while (c->sent > before);
	stamp_loop_set(&c->timer, stamp_loop_now_us() + 50000);
}

static void on_time(struct stamp_timer *timer)
{
	struct conn *c = conn_of_timer(timer);
	uint64_t now = stamp_loop_now_us();

	if (c->hello.magic == 0) {
		conn_abort(c, &server.broken);
		return;
	}
	if (c->ended) {
		conn_finish(c);
		return;
	}
	if (c->hello.quiet_ms == 0 || now - c->heard_us < c->hello.quiet_ms * 1000ull)
		if (!conn_send(c, c->hello.chunk_bytes))
			return;
	stamp_loop_set(&c->timer, now + c->hello.interval_ms * 1000ull);
}

static bool hello_is_right(const struct stamp_hello *h)
{
	return h->magic == STAMP_MAGIC && h->check == stamp_stream_sum(h, offsetof(struct stamp_hello, check)) &&
	       h->chunk_bytes > 0 && h->chunk_bytes <= STAMP_CHUNK_MAX && h->interval_ms > 0;
}

/* SO_RCVLOWAT sees to it that the hello is whole. */
static void conn_hello(struct conn *c)
{
	ssize_t n = recv(c->watch.fd, &c->hello, sizeof(c->hello), 0);
	int one = 1;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(c->hello) || !hello_is_right(&c->hello)) {
		conn_abort(c, n == sizeof(c->hello) ? &server.wrong : &server.broken);
		return;
	}
	setsockopt(c->watch.fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	c->received = sizeof(c->hello);
	c->heard_us = stamp_loop_now_us();
	on_time(&c->timer);
}

static void conn_end(struct conn *c)
{
	c->ended = true;
	c->farewell_at = c->sent + STAMP_TAIL_BYTES;
	stamp_loop_change(&c->watch, 0);
	conn_finish(c);
}

static void on_conn(struct stamp_watch *watch, uint32_t events)
{
	struct conn *c = (struct conn *)watch;
	uint8_t bytes[65536];
	uint64_t now = stamp_loop_now_us();
	ssize_t n;

	if (c->ended) { /* only errors are watched now */
		if ((events & (EPOLLERR | EPOLLHUP)) != 0)
			conn_abort(c, &server.broken);
		return;
	}
	if (c->hello.magic == 0) {
		conn_hello(c);
		return; /* the rest comes with the next turn */
	}
	n = recv(watch->fd, bytes, sizeof(bytes), 0);
	if (n == 0) {
		conn_end(c);
	} else if (n > 0) {
		if (stamp_stream_check(c->hello.id, STAMP_TO_SERVER, c->received, bytes, (size_t)n) != (size_t)n) {
			conn_abort(c, &server.wrong);
			return;
		}
		c->received += (uint64_t)n;
		if (now - c->heard_us > c->gap_us)
			c->gap_us = now - c->heard_us;
		c->heard_us = now;
	} else if (errno != EAGAIN && errno != EINTR) {
		conn_abort(c, &server.broken);
	}
}

static void on_accept(struct stamp_watch *watch, uint32_t events)
{
	struct conn *c;
	int fd, on = 1, whole = sizeof(struct stamp_hello);

	(void)events;
	while ((fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &whole, sizeof(whole));
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			close(fd);
			return;
		}
		c->watch = (struct stamp_watch){.fd = fd, .run = on_conn};
		c->timer.run = on_time;
		server.connections++;
		server.live++;
		stamp_loop_set(&c->timer, stamp_loop_now_us() + HELLO_S * 1000000);
		if (stamp_loop_watch(&c->watch, EPOLLIN) < 0)
			conn_abort(c, &server.broken);
	}
}

/* Address and port that the server sees, as one number; equal ones stay equal as long as the session does. */
static uint64_t peer_of(const struct sockaddr_in6 *from)
{
	return stamp_stream_sum(&from->sin6_addr, sizeof(from->sin6_addr)) ^ (uint64_t)from->sin6_port << 32;
}

static bool datagram_is_right(const struct stamp_datagram *d, ssize_t bytes)
{
	size_t rest = (size_t)bytes - sizeof(*d);

	return bytes >= (ssize_t)sizeof(*d) && bytes <= (ssize_t)STAMP_DATAGRAM_MAX && d->magic == STAMP_MAGIC &&
	       d->check == stamp_stream_sum(d, offsetof(struct stamp_datagram, check)) &&
	       stamp_stream_check(
		       d->id, STAMP_REQUEST, d->sequence * STAMP_DATAGRAM_MAX, (const uint8_t *)(d + 1), rest) == rest;
}

static void on_udp(struct stamp_watch *watch, uint32_t events)
{
	static union {
		struct stamp_datagram d;
		uint8_t bytes[STAMP_DATAGRAM_MAX + 1];
	} u;
	struct sockaddr_in6 from;
	/* The answer's source is the request's destination, which may be one of many (DR: the virtual address). */
	union {
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = &u};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from};
	ssize_t n;

	(void)events;
	for (;;) {
		m.msg_namelen = sizeof(from);
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		iov.iov_len = sizeof(u);
		n = recvmsg(watch->fd, &m, 0);
		if (n < 0)
			return;
		server.requests++;
		if (!datagram_is_right(&u.d, n)) {
			server.wrong_requests++;
			continue;
		}
		u.d.server = server.name;
		u.d.peer = peer_of(&from);
		u.d.check = stamp_stream_sum(&u.d, offsetof(struct stamp_datagram, check));
		iov.iov_len = (size_t)n;
		stamp_stream_fill(u.d.id, STAMP_ANSWER, u.d.sequence * STAMP_DATAGRAM_MAX, u.bytes + sizeof(u.d),
			(size_t)n - sizeof(u.d));
		if (m.msg_controllen >= sizeof(struct cmsghdr))
			((struct in6_pktinfo *)CMSG_DATA(&control.align))->ipi6_ifindex = 0;
		(void)!sendmsg(watch->fd, &m, 0);
	}
}

static int serve(struct stamp_watch *watch, int type, uint16_t port, void (*run)(struct stamp_watch *, uint32_t))
{
	watch->run = run;
	watch->fd = stamp_socket_serve(type, port);
	return watch->fd < 0 ? watch->fd : stamp_loop_watch(watch, EPOLLIN);
}

int stamp_server_open(uint32_t name, uint16_t port)
{
	int result, on = 1;

	server.name = name;
	result = serve(&server.tcp, SOCK_STREAM, port, on_accept);
	if (result == 0)
		result = serve(&server.udp, SOCK_DGRAM, port, on_udp);
	if (result == 0 && setsockopt(server.udp.fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0)
		result = -errno;
	return result;
}

uint64_t stamp_server_report(FILE *out)
{
	fprintf(out,
		"stamp server %u: %llu connections, %llu complete, %llu live, %llu broken off, %llu with a wrong byte; "
		"%llu datagrams, %llu wrong; longest gap %llu ms\n",
		server.name, (unsigned long long)server.connections, (unsigned long long)server.complete,
		(unsigned long long)server.live, (unsigned long long)server.broken, (unsigned long long)server.wrong,
		(unsigned long long)server.requests, (unsigned long long)server.wrong_requests,
		(unsigned long long)server.longest_gap_us / 1000);
	fflush(out);
	return server.wrong + server.wrong_requests;
}
