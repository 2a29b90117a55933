#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <sluice/nic_regs.h>

#include "device.h"
#include "vfio_user.h"
#include "wire.h"

/* Clocks between two looks at sockets, wires and doorbells: about 30 us of this machine's time. */
#define TURN_CLOCKS 64u
/* A chatty host must not starve the wires. */
#define TURN_MESSAGES 16u
/* Room that a packet may need: a super-segment, once it is cut, with the headers of its segments. */
#define PACKET_ROOM_BYTES (160u << 10)
#define COMPLAINTS_MAX 20u
#define DMA_LATENCY_CLOCKS 8u
#define COUNTER_LATENCY_CLOCKS 8u

enum source { FROM_LISTENER, FROM_HOST, FROM_KICK, FROM_SIGNAL, FROM_TIMER, FROM_WIRE0 };

struct slu_server {
	struct slu_nic_model *model;
	struct slu_device *device;
	struct slu_wire *wires[SLU_NIC_MODEL_PORTS]; /* NULL: not attached */
	bool wire_waits[SLU_NIC_MODEL_PORTS];        /* for the interface to take more */
	const struct slu_options *options;
	int epoll_fd, listen_fd, signal_fd, timer_fd;
	uint64_t timer_us; /* what the timer is set to; 0: off */
	uint64_t now_us;
	bool attached;
	unsigned int complaints; /* about this host */
	bool stop;
	struct {
		uint64_t hosts, nonsense, card_drops, sleeps;
	} stats;
	struct slu_vfio_user_stream stream;
	struct slu_vfio_user_reply reply;
};

static uint64_t monotonic_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int fault(const char *what, const char *which, int err)
{
	fprintf(stderr, "sluice-nic: %s%s%s: %s\n", what, which ? " " : "", which ? which : "", strerror(-err));
	return err;
}

static int watch(struct slu_server *s, int fd, uint32_t events, unsigned int source)
{
	struct epoll_event e = {.events = events, .data.u32 = source};

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static void unwatch(struct slu_server *s, int fd)
{
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* ---- wires ---- */

static void to_card(void *ctx, unsigned int port, const uint8_t *frame, size_t len)
{
	struct slu_server *s = ctx;

	if (slu_nic_model_wire_rx(s->model, port, frame, len, false))
		s->stats.card_drops++;
}

/* The model's context must serve both host memory and wires, so it is the server. */
static void from_card(void *ctx, unsigned int port, const uint8_t *frame, size_t len)
{
	struct slu_server *s = ctx;

	if (s->wires[port])
		slu_wire_send(s->wires[port], s->now_us, frame, len);
}

static int dma_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	return slu_device_dma_read(((struct slu_server *)ctx)->device, addr, buf, len);
}

static int dma_write(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	return slu_device_dma_write(((struct slu_server *)ctx)->device, addr, buf, len);
}

static void irq(void *ctx, unsigned int vector)
{
	slu_device_irq(((struct slu_server *)ctx)->device, vector);
}

static void lose_wire(struct slu_server *s, unsigned int port, int err)
{
	fprintf(stderr, "sluice-nic: wire %u (%s %s): %s; link down\n", port, s->options->wires[port].kind,
		s->options->wires[port].name, strerror(-err));
	unwatch(s, slu_wire_fd(s->wires[port]));
	slu_wire_close(s->wires[port]);
	s->wires[port] = NULL;
	slu_nic_model_set_link(s->model, port, false);
}

static void receive_wire(struct slu_server *s, unsigned int port)
{
	unsigned int max = (unsigned int)(slu_nic_model_wire_space(s->model, port) / PACKET_ROOM_BYTES);
	int n;

	/* What does not fit stays with the kernel. */
	if (!s->wires[port] || !max)
		return;
	n = slu_wire_receive(s->wires[port], s->now_us, max);
	if (n < 0)
		lose_wire(s, port, n);
}

static void flush_wire(struct slu_server *s, unsigned int port)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = FROM_WIRE0 + port};
	bool waits = slu_wire_flush(s->wires[port]);

	if (waits == s->wire_waits[port])
		return;
	s->wire_waits[port] = waits;
	if (waits)
		e.events |= EPOLLOUT;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, slu_wire_fd(s->wires[port]), &e);
}

/* ---- the host ---- */

static void drop_host(struct slu_server *s)
{
	unwatch(s, s->stream.fd);
	unwatch(s, slu_device_kick_fd(s->device));
	slu_vfio_user_close(&s->stream);
	slu_device_detach(s->device);
	s->attached = false;
	watch(s, s->listen_fd, EPOLLIN, FROM_LISTENER);
}

static void accept_host(struct slu_server *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int err;

	if (fd < 0)
		return;
	err = slu_device_attach(s->device);
	if (err) {
		fault("attach", NULL, err);
		close(fd);
		return;
	}
	slu_vfio_user_open(&s->stream, fd);
	watch(s, fd, EPOLLIN, FROM_HOST);
	watch(s, slu_device_kick_fd(s->device), EPOLLIN, FROM_KICK);
	/* One host at a time; the next one waits in the backlog. */
	unwatch(s, s->listen_fd);
	s->attached = true;
	s->complaints = 0;
	s->stats.hosts++;
}

/* Says what was wrong with a message, without its contents. */
static void name_nonsense(struct slu_server *s, const char *what, int err)
{
	const struct slu_vfio_user_header *h = &s->stream.message.header;

	s->stats.nonsense++;
	/* Who talks nonsense for long must not fill a log. */
	if (s->complaints++ >= COMPLAINTS_MAX)
		return;
	fprintf(stderr, "sluice-nic: host: %s: %s (command %u %s, size %u, flags 0x%x): %s\n", s->options->socket, what,
		h->command, slu_vfio_user_command_name(h->command), h->size_bytes, h->flags, strerror(-err));
}

/* Returns whether the host stays. */
static bool serve_message(struct slu_server *s)
{
	struct slu_vfio_user_message *m = &s->stream.message;
	bool first = m->header.command == SLU_VFIO_USER_VERSION;
	int err = slu_device_command(s->device, m, &s->reply);
	int sent;

	if (err)
		name_nonsense(s, "refused", err);
	sent = slu_vfio_user_answer(&s->stream, m, err, &s->reply);
	slu_vfio_user_drop_fds(m);
	if (sent) {
		fault("host: reply", NULL, sent);
		return false;
	}
	/* Without an agreed version nothing that follows means anything. */
	return !(err == -ENOTCONN || (first && err && err != -EALREADY));
}

static void serve_host(struct slu_server *s)
{
	for (unsigned int i = 0; i < TURN_MESSAGES; i++) {
		int n = slu_vfio_user_receive(&s->stream);

		if (n == 0)
			return;
		if (n < 0 && n != -ECONNRESET)
			name_nonsense(s, "disconnected", n);
		if (n < 0 || !serve_message(s)) {
			drop_host(s);
			return;
		}
	}
}

/* ---- statistics ---- */

static void print_wire_stats(struct slu_server *s, unsigned int port)
{
	struct slu_wire_stats w;

	if (!s->wires[port])
		return;
	slu_wire_get_stats(s->wires[port], &w);
	fprintf(stderr,
		"wire%u.rx_frames %" PRIu64 "\nwire%u.rx_bytes %" PRIu64 "\nwire%u.rx_segmented %" PRIu64
		"\nwire%u.rx_bad %" PRIu64 "\nwire%u.rx_gso_drop %" PRIu64 "\nwire%u.rx_kernel_drop %" PRIu64
		"\nwire%u.tx_frames %" PRIu64 "\nwire%u.tx_bytes %" PRIu64 "\nwire%u.tx_drop %" PRIu64
		"\nwire%u.tx_errors %" PRIu64 "\nwire%u.lost %" PRIu64 "\nwire%u.delayed %" PRIu64 "\n",
		port, w.rx_frames, port, w.rx_bytes, port, w.rx_segmented, port, w.rx_bad, port, w.rx_gso, port,
		w.rx_kernel_drop, port, w.tx_frames, port, w.tx_bytes, port, w.tx_drop, port, w.tx_errors, port,
		w.rx_impairment.lost + w.tx_impairment.lost, port, w.rx_impairment.delayed + w.tx_impairment.delayed);
}

static void print_stats(struct slu_server *s)
{
	struct slu_nic_model_stats m;
	struct slu_device_stats d;

	slu_nic_model_get_stats(s->model, &m);
	slu_device_get_stats(s->device, &d);
	fprintf(stderr,
		"clocks %" PRIu64 "\nrecord_reads %" PRIu64 "\ndma_reads %" PRIu64 "\ndma_writes %" PRIu64
		"\ndma_errors %" PRIu64 "\nprotocol_errors %" PRIu64 "\n",
		m.clocks, m.record_reads, m.dma_reads, m.dma_writes, m.dma_errors, m.protocol_errors);
	fprintf(stderr,
		"hosts %" PRIu64 "\nmessages %" PRIu64 "\nrefused %" PRIu64 "\nnonsense %" PRIu64 "\nresets %" PRIu64
		"\nirqs %" PRIu64 "\nirqs_lost %" PRIu64 "\ndma_maps %u\ncard_queue_drop %" PRIu64 "\nsleeps %" PRIu64
		"\n",
		s->stats.hosts, d.messages, d.refused, s->stats.nonsense, d.resets, d.irqs, d.irqs_lost, d.dma_maps,
		s->stats.card_drops, s->stats.sleeps);
	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS; port++)
		print_wire_stats(s, port);
	fflush(stderr);
}

static void take_signal(struct slu_server *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			print_stats(s);
		else
			s->stop = true;
	}
}

/* ---- the loop ---- */

static void drain(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

static void take_event(struct slu_server *s, uint32_t source)
{
	switch (source) {
	case FROM_LISTENER:
		accept_host(s);
		break;
	case FROM_HOST:
		if (s->attached)
			serve_host(s);
		break;
	case FROM_KICK:
		if (s->attached)
			drain(slu_device_kick_fd(s->device));
		break;
	case FROM_SIGNAL:
		take_signal(s);
		break;
	case FROM_TIMER:
		drain(s->timer_fd);
		s->timer_us = 0;
		break;
	default:
		receive_wire(s, source - FROM_WIRE0);
	}
}

/* Wakes the loop when a delayed frame is due. */
static void set_timer(struct slu_server *s)
{
	struct itimerspec at = {0};
	uint64_t next_us = UINT64_MAX;

	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS; port++)
		if (s->wires[port] && slu_wire_next_us(s->wires[port]) < next_us)
			next_us = slu_wire_next_us(s->wires[port]);
	if (next_us == UINT64_MAX || next_us == s->timer_us)
		return;
	at.it_value.tv_sec = (time_t)(next_us / 1000000);
	at.it_value.tv_nsec = (long)(next_us % 1000000 * 1000) + 1;
	timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
	s->timer_us = next_us;
}

/* Waits for something to do if nothing moves, else only looks. */
static int wait_events(struct slu_server *s, struct epoll_event *events, int max)
{
	bool sleep = slu_nic_model_idle(s->model);
	int n;

	if (sleep) {
		slu_device_want_kick(s->device);
		/* A doorbell stored before the host could see need_kick would ring for nobody. */
		sleep = !slu_device_scan_doorbells(s->device);
	}
	if (sleep) {
		set_timer(s);
		s->stats.sleeps++;
	}
	n = epoll_wait(s->epoll_fd, events, max, sleep ? -1 : 0);
	slu_device_awake(s->device);
	return n < 0 && errno == EINTR ? 0 : n;
}

static void turn(struct slu_server *s)
{
	s->now_us = monotonic_us();
	slu_nic_model_set_time_us(s->model, s->now_us);
	slu_device_scan_doorbells(s->device);
	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS; port++)
		if (s->wires[port])
			slu_wire_advance(s->wires[port], s->now_us);
	slu_nic_model_run_to_idle(s->model, TURN_CLOCKS);
	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS; port++)
		if (s->wires[port])
			flush_wire(s, port);
}

int slu_server_run(struct slu_server *s)
{
	struct epoll_event events[16];

	while (!s->stop) {
		int n = wait_events(s, events, 16);

		if (n < 0)
			return fault("epoll_wait", NULL, -errno);
		s->now_us = monotonic_us();
		/* Before messages are served: a host may read the card's time after a long sleep. */
		slu_nic_model_set_time_us(s->model, s->now_us);
		for (int i = 0; i < n; i++)
			take_event(s, events[i].data.u32);
		turn(s);
	}
	return 0;
}

/* ---- building ---- */

static int listen_on(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, err = 0;

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	strcpy(at.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A socket that nobody serves is a leftover; one that answers is not ours to take. */
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 || errno == EAGAIN)
		err = -EADDRINUSE;
	else if (errno == ECONNREFUSED)
		unlink(path);
	if (!err && (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 8)))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int open_card(struct slu_server *s)
{
	struct slu_nic_model_config config = {
		.record = s->options->record,
		.counter = {COUNTER_LATENCY_CLOCKS, COUNTER_LATENCY_CLOCKS},
		.dma = {DMA_LATENCY_CLOCKS, DMA_LATENCY_CLOCKS},
		.seed = s->options->seed,
		.share_ingress = true,
		.ctx = s,
		.dma_read = dma_read,
		.dma_write = dma_write,
		.wire_tx = from_card,
		.irq = irq,
	};
	int err = slu_nic_model_create(&config, &s->model);

	if (err)
		return fault("card", NULL, err);
	slu_device_set_model(s->device, s->model);
	if (s->options->trace) {
		err = slu_nic_model_trace(s->model, s->options->trace);
		if (err)
			return fault("trace", s->options->trace, err);
	}
	return 0;
}

/* The MAC addresses that a card has burnt in. */
static int set_mac(struct slu_server *s, unsigned int port)
{
	const uint8_t *mac = s->options->wires[port].mac;
	uint32_t base = SLU_NIC_PORT_BASE + port * SLU_NIC_PORT_STRIDE;
	uint32_t low = mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24;
	uint32_t high = mac[4] | (uint32_t)mac[5] << 8;
	int err = slu_nic_model_reg_write(s->model, base + SLU_NIC_PORT_MAC_LO, low);

	if (!err)
		err = slu_nic_model_reg_write(s->model, base + SLU_NIC_PORT_MAC_HI, high);
	return err ? fault("MAC address", NULL, err) : 0;
}

static int open_wire(struct slu_server *s, unsigned int port)
{
	struct slu_wire_config config = {
		.port = port,
		.kind = s->options->wires[port].kind,
		.name = s->options->wires[port].name,
		.impairment = s->options->wires[port].impairment,
		.seed = s->options->seed * 16 + port,
		.to_card = to_card,
		.ctx = s,
	};
	int err;

	if (!config.kind[0])
		return 0;
	err = slu_wire_open(&config, &s->wires[port]);
	if (err)
		return fault(config.kind, config.name, err);
	slu_nic_model_set_link(s->model, port, true);
	return watch(s, slu_wire_fd(s->wires[port]), EPOLLIN, FROM_WIRE0 + port);
}

static int open_loop(struct slu_server *s)
{
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->signal_fd = open_signals();
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (s->epoll_fd < 0 || s->signal_fd < 0 || s->timer_fd < 0)
		return fault("epoll", NULL, -errno);
	s->listen_fd = listen_on(s->options->socket);
	if (s->listen_fd < 0)
		return fault("socket", s->options->socket, s->listen_fd);
	if (watch(s, s->signal_fd, EPOLLIN, FROM_SIGNAL) || watch(s, s->timer_fd, EPOLLIN, FROM_TIMER) ||
		watch(s, s->listen_fd, EPOLLIN, FROM_LISTENER))
		return fault("epoll", NULL, -errno);
	return 0;
}

int slu_server_create(const struct slu_options *options, struct slu_server **server)
{
	struct slu_server *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->options = options;
	s->epoll_fd = s->listen_fd = s->signal_fd = s->timer_fd = s->stream.fd = -1;
	s->device = slu_device_create();
	err = s->device ? open_loop(s) : -ENOMEM;
	if (!err)
		err = open_card(s);
	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS && !err; port++) {
		err = set_mac(s, port);
		if (!err)
			err = open_wire(s, port);
	}
	if (err) {
		slu_server_destroy(s);
		return err;
	}
	*server = s;
	return 0;
}

void slu_server_destroy(struct slu_server *s)
{
	if (!s)
		return;
	if (s->model && s->options->stats)
		print_stats(s);
	if (s->listen_fd >= 0)
		unlink(s->options->socket);
	slu_vfio_user_close(&s->stream);
	slu_device_destroy(s->device);
	for (unsigned int port = 0; port < SLU_NIC_MODEL_PORTS; port++)
		slu_wire_close(s->wires[port]);
	slu_nic_model_destroy(s->model);
	for (int *fd = (int[]){s->epoll_fd, s->listen_fd, s->signal_fd, s->timer_fd, -2}; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	free(s);
}
