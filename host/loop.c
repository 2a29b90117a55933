#define _GNU_SOURCE
#include "host/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "host/clock.h"
#include "host/log.h"

#define SPIN_US 20
#define SLEEP_FIRST_US 50
#define SLEEP_LAST_US 1000
#define INJECT_BURST 32
#define INJECT_RING 512
#define TX_TRIES 16

static void add(_Atomic uint64_t *counter, uint64_t by)
{
	/* One writer: a plain load and store is enough. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

int slu_loop_init(struct slu_loop *loop, uint32_t index, uint32_t workers, struct slu_worker *worker)
{
	struct epoll_event event = {.events = EPOLLIN};
	char name[32];
	int error;

	memset(loop, 0, sizeof(*loop));
	loop->index = index;
	loop->workers = workers;
	loop->worker = worker;
	loop->interrupts = true;
	slu_worker_set_wake(worker, &loop->wake);
	snprintf(name, sizeof(name), "slu_to_wire_%u", index);
	loop->to_wire = rte_ring_create(name, INJECT_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	error = slu_wake_open(&loop->wake);
	if (!error && (!loop->to_wire || loop->epoll < 0 ||
			      epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake.fd, &event) != 0))
		error = errno ? -errno : -ENOMEM;
	return error;
}

int slu_loop_add_queue(struct slu_loop *loop, struct slu_port *port, uint16_t queue)
{
	/* Edge: the count in the eventfd needs no reading, each interrupt is an edge. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct slu_loop_queue *entry = &loop->queues[loop->queue_count];

	if (loop->queue_count == SLU_LOOP_QUEUES_MAX)
		return -E2BIG;
	*entry = (struct slu_loop_queue){.port = port, .queue = queue, .interrupt_fd = -1};
	if (port->interrupts)
		entry->interrupt_fd = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, queue);
	if (entry->interrupt_fd < 0)
		loop->interrupts = false;
	else if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, entry->interrupt_fd, &event) != 0 && errno != EEXIST)
		return -errno;
	loop->queue_count++;
	return 0;
}

void slu_loop_fini(struct slu_loop *loop)
{
	void *packet;

	while (loop->to_wire && rte_ring_dequeue(loop->to_wire, &packet) == 0)
		rte_pktmbuf_free(packet);
	rte_ring_free(loop->to_wire);
	slu_wake_close(&loop->wake);
	if (loop->epoll >= 0)
		close(loop->epoll);
}

/* Sends or drops all packets. */
static void transmit(struct slu_loop *loop, uint16_t id, struct rte_mbuf **packets, uint16_t count)
{
	struct slu_port *port = id < SLU_PORTS_MAX ? loop->by_id[id] : NULL;
	bool gone = !port || atomic_load_explicit(&port->gone, memory_order_acquire);
	uint16_t sent = 0;

	for (int tries = 0; !gone && sent < count && tries < TX_TRIES; tries++) {
		sent += rte_eth_tx_burst(id, (uint16_t)loop->index, packets + sent, count - sent);
		if (sent < count)
			rte_pause();
	}
	if (sent == count)
		return;
	rte_pktmbuf_free_bulk(packets + sent, count - sent);
	if (port)
		atomic_fetch_add_explicit(gone ? &port->counters.tx_gone : &port->counters.tx_dropped, count - sent,
			memory_order_relaxed);
}

static void take_output(struct slu_loop *loop)
{
	uint32_t ports = slu_worker_tx_ports(loop->worker);
	struct rte_mbuf **packets;
	uint16_t count;

	while (ports) {
		uint16_t id = (uint16_t)__builtin_ctz(ports);

		ports &= ports - 1;
		count = slu_worker_take_tx(loop->worker, id, &packets);
		if (count)
			transmit(loop, id, packets, count);
	}
	count = slu_worker_take_exceptions(loop->worker, &packets);
	if (count)
		slu_exception_put(loop->exception, packets, count);
}

/* In promiscuous mode frames of other stations arrive; forwarding them would make us a second router of their flows. */
static uint16_t drop_foreign(struct slu_port *port, struct rte_mbuf **packets, uint16_t count)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < count; i++) {
		const uint8_t *mac = rte_pktmbuf_mtod(packets[i], const uint8_t *);

		if (packets[i]->data_len < 14 || (mac[0] & 1) || memcmp(mac, port->mac, 6) == 0)
			packets[kept++] = packets[i];
		else
			rte_pktmbuf_free(packets[i]);
	}
	if (kept != count)
		atomic_fetch_add_explicit(&port->counters.other_mac, count - kept, memory_order_relaxed);
	return kept;
}

/* Returns packets received; *full is set when a poll brought a full burst. */
static uint32_t receive(struct slu_loop *loop, bool *full)
{
	struct rte_mbuf *packets[SLU_BURST_MAX];
	uint32_t received = 0;

	for (uint32_t i = 0; i < loop->queue_count; i++) {
		struct slu_loop_queue *queue = &loop->queues[i];
		uint16_t count;

		if (atomic_load_explicit(&queue->port->gone, memory_order_acquire))
			continue;
		count = rte_eth_rx_burst(queue->port->id, queue->queue, packets, SLU_BURST_MAX);
		if (count == 0)
			continue;
		*full |= count == SLU_BURST_MAX;
		received += count;
		if (queue->port->promiscuous)
			count = drop_foreign(queue->port, packets, count);
		if (count == 0)
			continue;
		slu_worker_burst(loop->worker, queue->port->id, packets, count);
		take_output(loop);
	}
	return received;
}

/* Frames of the kernel go out as they are. */
static uint32_t inject(struct slu_loop *loop)
{
	struct rte_mbuf *packets[INJECT_BURST];
	uint32_t count = rte_ring_sc_dequeue_burst(loop->to_wire, (void **)packets, INJECT_BURST, NULL);

	for (uint32_t i = 0; i < count; i++)
		transmit(loop, packets[i]->port, &packets[i], 1);
	return count;
}

/* Wakes those to whom packets were handed over. */
static void wake_peers(struct slu_loop *loop)
{
	for (uint32_t w = 0; w < loop->workers; w++) {
		if (w != loop->index && slu_worker_handover_waiting(loop->all[w].worker))
			slu_wake_kick(&loop->all[w].wake);
	}
}

/* One pass over everything. Returns whether there was work; *due_us is the time until the data plane has some. */
static bool turn(struct slu_loop *loop, uint64_t now, uint32_t *due_us)
{
	bool full = false;
	uint32_t received = receive(loop, &full);
	uint32_t injected = inject(loop);
	uint32_t polled = slu_worker_poll(loop->worker);

	if (polled)
		take_output(loop);
	*due_us = slu_worker_tick(loop->worker, now);
	take_output(loop);
	if (!full)
		slu_worker_offload_flush(loop->worker);
	if (loop->workers > 1 && received + polled > 0)
		wake_peers(loop);
	if (slu_worker_control_waiting(loop->worker))
		slu_wake_kick(loop->control);
	add(&loop->counters.turns, 1);
	if (received) {
		add(&loop->counters.packets, received);
		if (atomic_load_explicit(loop->control_slow, memory_order_relaxed))
			slu_wake_kick(loop->control);
	}
	if (received + injected + polled > 0)
		return true;
	add(&loop->counters.empty_turns, 1);
	return false;
}

static void set_interrupts(struct slu_loop *loop, bool on)
{
	for (uint32_t i = 0; i < loop->queue_count; i++) {
		struct slu_loop_queue *queue = &loop->queues[i];

		if (queue->interrupt_fd < 0 || atomic_load_explicit(&queue->port->gone, memory_order_acquire))
			continue;
		if (on)
			rte_eth_dev_rx_intr_enable(queue->port->id, queue->queue);
		else
			rte_eth_dev_rx_intr_disable(queue->port->id, queue->queue);
	}
}

/* A receive interrupt that came between arming and here is an edge on its descriptor: epoll returns at once. */
static void sleep_armed(struct slu_loop *loop, uint64_t now, uint32_t due_us)
{
	uint32_t limit_us = due_us;
	struct epoll_event events[8];
	struct timespec timeout;
	int woken;

	if (!loop->interrupts) {
		limit_us = loop->sleep_us < limit_us ? loop->sleep_us : limit_us;
		loop->sleep_us = loop->sleep_us * 2 < SLEEP_LAST_US ? loop->sleep_us * 2 : SLEEP_LAST_US;
	}
	timeout = (struct timespec){.tv_sec = limit_us / 1000000, .tv_nsec = (long)(limit_us % 1000000) * 1000};
	slu_worker_offline(loop->worker);
	woken = epoll_pwait2(loop->epoll, events, 8, &timeout, NULL);
	slu_worker_online(loop->worker);
	add(&loop->counters.sleeps, 1);
	add(&loop->counters.slept_us, slu_clock_us() - now);
	if (woken > 0)
		add(&loop->counters.interrupts, 1);
}

/* One pass that ends asleep if it finds nothing. Returns whether there was work. */
static bool rest(struct slu_loop *loop)
{
	uint64_t now = slu_clock_us();
	uint32_t due_us;
	bool worked;

	slu_wake_arm(&loop->wake);
	if (loop->interrupts)
		set_interrupts(loop, true);
	/* Whatever came before we armed is seen here; what comes later wakes us. */
	worked = turn(loop, now, &due_us);
	if (!worked && due_us > 0 && !atomic_load_explicit(&loop->stop, memory_order_acquire))
		sleep_armed(loop, now, due_us);
	if (loop->interrupts)
		set_interrupts(loop, false);
	slu_wake_disarm(&loop->wake);
	return worked;
}

static void run(struct slu_loop *loop)
{
	uint64_t idle_since_us = slu_clock_us();
	uint32_t due_us;

	while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
		uint64_t now = slu_clock_us();
		bool spin = now - idle_since_us < SPIN_US;

		if (spin ? turn(loop, now, &due_us) : rest(loop)) {
			idle_since_us = now;
			loop->sleep_us = SLEEP_FIRST_US;
		}
	}
}

int slu_loop_run(void *context)
{
	struct slu_loop *loop = context;

	/* Sleeps of 50 us would become 100 us with the default slack. */
	prctl(PR_SET_TIMERSLACK, 1000UL);
	loop->thread = pthread_self();
	atomic_store_explicit(&loop->running, true, memory_order_release);
	loop->sleep_us = SLEEP_FIRST_US;
	slu_worker_start(loop->worker);
	run(loop);
	slu_worker_stop(loop->worker);
	atomic_store_explicit(&loop->running, false, memory_order_release);
	return 0;
}

void slu_loop_stop(struct slu_loop *loop)
{
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	slu_wake_kick(&loop->wake);
}

uint64_t slu_loop_cpu_ns(const struct slu_loop *loop)
{
	struct timespec used;
	clockid_t clock;

	if (!atomic_load_explicit(&loop->running, memory_order_acquire) ||
		pthread_getcpuclockid(loop->thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
		return 0;
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}
