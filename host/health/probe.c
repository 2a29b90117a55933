#define _GNU_SOURCE /* memmem */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "host/config/memory.h"
#include "host/control/ip.h"
#include "host/health/probe.h"

#define STATUS_LINE_BYTES 256u /* of an HTTP answer; what follows is not read */
#define REASON_BYTES 128
#define LATE_MAX 4u

struct slu_probe {
	slu_probe_done_fn *done;
	void *arg;
	enum slu_check_type type;
	uint32_t timeout_ms;
	uint16_t status_first, status_last;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t address_bytes;
	uint8_t *request;
	size_t request_bytes;
	uint8_t *expect;
	size_t expect_bytes;
	struct event_base *base;
	struct event io, timer;
	int fd;
	size_t sent, received;
	unsigned late; /* times that the loop was */
	char answer[STATUS_LINE_BYTES];
	char early[REASON_BYTES]; /* why it failed before the loop could see it */
	enum slu_probe_verdict early_verdict;
};

static void on_io(evutil_socket_t fd, short what, void *arg);
static void finish(struct slu_probe *probe, enum slu_probe_verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void release_socket(struct slu_probe *probe)
{
	/* A reset leaves no TIME_WAIT behind: at thousands of checks a second those would use up the ports. */
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (probe->fd < 0)
		return;
	event_del(&probe->io);
	if (probe->type != SLU_CHECK_UDP)
		setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(probe->fd);
	probe->fd = -1;
}

static void finish(struct slu_probe *probe, enum slu_probe_verdict verdict, const char *format, ...)
{
	char reason[REASON_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	release_socket(probe);
	event_del(&probe->timer);
	probe->done(probe->arg, verdict, reason);
}

static void arm_timeout(struct slu_probe *probe)
{
	const struct timeval timeout = {probe->timeout_ms / 1000, 1000 * (probe->timeout_ms % 1000)};

	event_add(&probe->timer, &timeout);
}

/*
 * The time is over, but the loop may be what was late: an answer that has
 * arrived counts. Not for ever, or a backend that drips bytes would never fail.
 */
static bool resume_late(struct slu_probe *probe)
{
	short what = event_get_events(&probe->io) & (EV_READ | EV_WRITE);
	struct pollfd ready = {.fd = probe->fd, .events = what & EV_WRITE ? POLLOUT : POLLIN};

	if (probe->late == LATE_MAX || poll(&ready, 1, 0) != 1)
		return false;
	probe->late++;
	arm_timeout(probe);
	on_io(probe->fd, what, probe); /* the last use: the probe may be gone behind it */
	return true;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct slu_probe *probe = arg;

	(void)fd, (void)what;
	if (probe->fd < 0)
		finish(probe, probe->early_verdict, "%s", probe->early);
	else if (resume_late(probe))
		return;
	else if (probe->type == SLU_CHECK_UDP && probe->expect_bytes == 0 && probe->sent > 0)
		finish(probe, SLU_PROBE_GOOD, "%s", "");
	else if (probe->sent == 0)
		finish(probe, SLU_PROBE_BAD, "no connection within %u ms", probe->timeout_ms);
	else
		finish(probe, SLU_PROBE_BAD, "no answer within %u ms", probe->timeout_ms);
}

static void wait_for(struct slu_probe *probe, short what)
{
	event_del(&probe->io);
	event_assign(&probe->io, probe->base, probe->fd, what | EV_PERSIST, on_io, probe);
	event_add(&probe->io, NULL);
}

static void send_request(struct slu_probe *probe)
{
	ssize_t sent = send(probe->fd, probe->request + probe->sent, probe->request_bytes - probe->sent,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			finish(probe, SLU_PROBE_BAD, "send: %s", strerror(errno));
		return;
	}
	probe->sent += (size_t)sent;
	if (probe->sent == probe->request_bytes)
		wait_for(probe, EV_READ);
}

/* RFC 9112 section 4: HTTP-version SP status-code SP. */
static void judge_status_line(struct slu_probe *probe, bool ended)
{
	const char *answer = probe->answer;
	unsigned status;

	if (probe->received < 13 && !ended)
		return;
	if (probe->received < 12 || memcmp(answer, "HTTP/1.", 7) != 0 || answer[8] != ' ' || answer[9] < '1' ||
		answer[9] > '9' || answer[10] < '0' || answer[10] > '9' || answer[11] < '0' || answer[11] > '9' ||
		(probe->received > 12 && answer[12] != ' ' && answer[12] != '\r' && answer[12] != '\n')) {
		finish(probe, SLU_PROBE_BAD, "the answer is no HTTP/1 (%zu bytes)", probe->received);
		return;
	}
	status = 100u * (unsigned)(answer[9] - '0') + 10u * (unsigned)(answer[10] - '0') + (unsigned)(answer[11] - '0');
	if (status >= probe->status_first && status <= probe->status_last)
		finish(probe, SLU_PROBE_GOOD, "%s", "");
	else
		finish(probe, SLU_PROBE_BAD, "HTTP status %u", status);
}

static void read_answer(struct slu_probe *probe)
{
	ssize_t got =
		recv(probe->fd, probe->answer + probe->received, sizeof(probe->answer) - probe->received, MSG_DONTWAIT);

	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR)
			finish(probe, SLU_PROBE_BAD, "receive: %s", strerror(errno));
		return;
	}
	probe->received += (size_t)got;
	judge_status_line(probe, got == 0);
}

static void read_datagram(struct slu_probe *probe)
{
	uint8_t datagram[2048];
	ssize_t got = recv(probe->fd, datagram, sizeof(datagram), MSG_DONTWAIT);

	if (got < 0) {
		/* ICMP port unreachable arrives as an error of the connected socket. */
		if (errno != EAGAIN && errno != EINTR)
			finish(probe, SLU_PROBE_BAD, "receive: %s", strerror(errno));
		return;
	}
	if (probe->expect_bytes == 0 || memmem(datagram, (size_t)got, probe->expect, probe->expect_bytes) != NULL)
		finish(probe, SLU_PROBE_GOOD, "%s", "");
	else
		finish(probe, SLU_PROBE_BAD, "the answer (%zd bytes) is not what is expected", got);
}

static void on_connected(struct slu_probe *probe)
{
	socklen_t bytes = sizeof(int);
	int error = 0;

	if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0)
		error = errno;
	if (error != 0)
		finish(probe, SLU_PROBE_BAD, "connect: %s", strerror(error));
	else if (probe->type == SLU_CHECK_TCP)
		finish(probe, SLU_PROBE_GOOD, "%s", "");
	else
		send_request(probe);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct slu_probe *probe = arg;

	(void)fd;
	if (what & EV_WRITE) {
		if (probe->sent == 0)
			on_connected(probe);
		else
			send_request(probe);
	} else if (probe->type == SLU_CHECK_UDP) {
		read_datagram(probe);
	} else {
		read_answer(probe);
	}
}

static void set_address(struct slu_probe *probe, const struct slu_ip *ip, uint16_t port)
{
	if (ip->family == 4) {
		probe->address.v4.sin_family = AF_INET;
		probe->address.v4.sin_port = htons(port);
		memcpy(&probe->address.v4.sin_addr, ip->bytes, 4);
		probe->address_bytes = sizeof(probe->address.v4);
	} else {
		probe->address.v6.sin6_family = AF_INET6;
		probe->address.v6.sin6_port = htons(port);
		memcpy(&probe->address.v6.sin6_addr, ip->bytes, 16);
		probe->address_bytes = sizeof(probe->address.v6);
	}
}

static void set_request(
	struct slu_probe *probe, const struct slu_config_check *check, const struct slu_ip *ip, uint16_t port)
{
	char address[SLU_IP_TEXT_BYTES], host[SLU_IP_TEXT_BYTES + 16];

	if (check->type == SLU_CHECK_UDP) {
		probe->request = slu_memory_zeroed(check->send_bytes, 1);
		memcpy(probe->request, check->send, check->send_bytes);
		probe->request_bytes = check->send_bytes;
		probe->expect = slu_memory_zeroed(check->expect_bytes, 1);
		memcpy(probe->expect, check->expect, check->expect_bytes);
		probe->expect_bytes = check->expect_bytes;
	} else if (check->type == SLU_CHECK_HTTP) {
		snprintf(host, sizeof(host), ip->family == 4 ? "%s:%u" : "[%s]:%u", slu_ip_format(ip, address), port);
		probe->request =
			(uint8_t *)slu_memory_format("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: "
						     "sluice-check\r\nAccept: */*\r\nConnection: close\r\n\r\n",
				check->path, check->host != NULL ? check->host : host);
		probe->request_bytes = strlen((char *)probe->request);
	}
}

struct slu_probe *slu_probe_create(struct event_base *base, const struct slu_config_check *check,
	const struct slu_ip *address, uint16_t port, slu_probe_done_fn *done, void *arg)
{
	struct slu_probe *probe = slu_memory_zeroed(1, sizeof(*probe));

	probe->done = done;
	probe->arg = arg;
	probe->type = check->type;
	probe->timeout_ms = check->timeout_ms;
	probe->status_first = check->status_first;
	probe->status_last = check->status_last;
	probe->base = base;
	probe->fd = -1;
	set_address(probe, address, port);
	set_request(probe, check, address, port);
	event_assign(&probe->io, base, -1, 0, on_io, probe);
	evtimer_assign(&probe->timer, base, on_timer, probe);
	return probe;
}

void slu_probe_free(struct slu_probe *probe)
{
	if (probe == NULL)
		return;
	release_socket(probe);
	event_del(&probe->timer);
	free(probe->request);
	free(probe->expect);
	free(probe);
}

/* The verdict stands already, but is told from the loop. */
static void fail_early(struct slu_probe *probe, const char *call, int error)
{
	const struct timeval now = {0, 0};
	bool scarce = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
		      error == EADDRNOTAVAIL || error == EAGAIN;

	release_socket(probe);
	snprintf(probe->early, sizeof(probe->early), "%s: %s", call, strerror(error));
	probe->early_verdict = scarce ? SLU_PROBE_SHORT : SLU_PROBE_BAD;
	event_add(&probe->timer, &now);
}

void slu_probe_start(struct slu_probe *probe)
{
	int type = probe->type == SLU_CHECK_UDP ? SOCK_DGRAM : SOCK_STREAM;

	assert(probe->fd < 0);
	probe->sent = 0;
	probe->received = 0;
	probe->late = 0;
	probe->fd = socket(probe->address.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->fd < 0) {
		fail_early(probe, "socket", errno);
		return;
	}
	event_assign(&probe->io, probe->base, probe->fd, EV_WRITE | EV_PERSIST, on_io, probe);
	if (connect(probe->fd, &probe->address.any, probe->address_bytes) != 0 && errno != EINPROGRESS) {
		fail_early(probe, "connect", errno);
		return;
	}
	event_add(&probe->io, NULL);
	arm_timeout(probe);
}
