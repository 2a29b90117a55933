#include "host/ports/exception.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#define RING_FRAMES 1024
#define POLL_FRAMES 256
#define READ_FRAMES 64
#define FRAME_MAX_BYTES 9728

struct tap_event {
	struct slu_exception *exception;
	struct slu_port *port;
	uint32_t worker;
	struct event *event;
};

struct slu_exception {
	struct slu_exception_settings settings;
	struct rte_ring *to_kernel;
	struct slu_port *by_id[SLU_PORTS_MAX];
	struct tap_event *taps;
	uint8_t flat[FRAME_MAX_BYTES];
};

static void count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

void slu_exception_put(struct slu_exception *exception, struct rte_mbuf **packets, uint16_t packet_count)
{
	unsigned int put = rte_ring_mp_enqueue_burst(exception->to_kernel, (void **)packets, packet_count, NULL);

	for (unsigned int i = put; i < packet_count; i++) {
		if (packets[i]->port < SLU_PORTS_MAX && exception->by_id[packets[i]->port])
			count(&exception->by_id[packets[i]->port]->counters.to_kernel_dropped, 1);
		rte_pktmbuf_free(packets[i]);
	}
	if (put)
		slu_wake_kick(exception->settings.control);
}

static void write_frame(struct slu_exception *exception, struct rte_mbuf *packet)
{
	struct slu_port *port = packet->port < SLU_PORTS_MAX ? exception->by_id[packet->port] : NULL;
	uint32_t bytes = rte_pktmbuf_pkt_len(packet);
	const void *frame = NULL;

	if (port && bytes <= sizeof(exception->flat))
		frame = rte_pktmbuf_read(packet, 0, bytes, exception->flat);
	if (frame && slu_tap_write(&port->tap, frame, bytes) == 0)
		count(&port->counters.to_kernel, 1);
	else if (port)
		count(&port->counters.to_kernel_dropped, 1);
	rte_pktmbuf_free(packet);
}

bool slu_exception_poll(struct slu_exception *exception)
{
	struct rte_mbuf *packets[32];
	unsigned int taken, total = 0;

	do {
		taken = rte_ring_sc_dequeue_burst(exception->to_kernel, (void **)packets, 32, NULL);
		for (unsigned int i = 0; i < taken; i++)
			write_frame(exception, packets[i]);
		total += taken;
	} while (taken && total < POLL_FRAMES);
	return taken != 0;
}

/* One frame from the kernel as an mbuf; NULL when there is none, or -errno in *error. */
static struct rte_mbuf *read_frame(struct slu_exception *exception, struct slu_port *port, int *error)
{
	struct rte_mbuf *packet = rte_pktmbuf_alloc(exception->settings.pool);
	ssize_t bytes;

	if (!packet) {
		*error = -ENOMEM;
		/* Taken off the TAP nevertheless: it would wake us for ever. */
		bytes = slu_tap_read(&port->tap, exception->flat, sizeof(exception->flat));
		if (bytes >= 0)
			count(&port->counters.from_kernel_dropped, 1);
		return NULL;
	}
	bytes = slu_tap_read(&port->tap, rte_pktmbuf_mtod(packet, void *), rte_pktmbuf_tailroom(packet));
	if (bytes <= 0) {
		*error = bytes ? (int)bytes : -EAGAIN;
		rte_pktmbuf_free(packet);
		return NULL;
	}
	packet->data_len = (uint16_t)bytes;
	packet->pkt_len = (uint32_t)bytes;
	packet->port = port->id;
	return packet;
}

static void on_tap(evutil_socket_t fd, short what, void *context)
{
	struct tap_event *tap = context;
	const struct slu_exception_worker *worker = &tap->exception->settings.workers[tap->worker];
	uint32_t frames = 0;
	int error = 0;

	(void)fd;
	(void)what;
	while (frames < READ_FRAMES) {
		struct rte_mbuf *packet = read_frame(tap->exception, tap->port, &error);

		if (!packet)
			break;
		frames++;
		if (rte_ring_sp_enqueue(worker->to_wire, packet) == 0) {
			count(&tap->port->counters.from_kernel, 1);
		} else {
			count(&tap->port->counters.from_kernel_dropped, 1);
			rte_pktmbuf_free(packet);
		}
	}
	if (frames)
		slu_wake_kick(worker->wake);
}

static int add_tap(struct slu_exception *exception, uint32_t index)
{
	struct tap_event *tap = &exception->taps[index];

	tap->exception = exception;
	tap->port = &exception->settings.ports[index];
	tap->worker = index % exception->settings.worker_count;
	exception->by_id[tap->port->id] = tap->port;
	tap->event = event_new(exception->settings.base, tap->port->tap.fd, EV_READ | EV_PERSIST, on_tap, tap);
	return tap->event && event_add(tap->event, NULL) == 0 ? 0 : -ENOMEM;
}

int slu_exception_create(const struct slu_exception_settings *settings, struct slu_exception **result)
{
	struct slu_exception *exception = calloc(1, sizeof(*exception));
	int error = 0;

	*result = NULL;
	if (!exception)
		return -ENOMEM;
	exception->settings = *settings;
	exception->taps = calloc(settings->port_count, sizeof(*exception->taps));
	exception->to_kernel = rte_ring_create("slu_to_kernel", RING_FRAMES, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (!exception->taps || !exception->to_kernel)
		error = -ENOMEM;
	for (uint32_t i = 0; i < settings->port_count && !error; i++)
		error = add_tap(exception, i);
	if (error) {
		slu_exception_destroy(exception);
		return error;
	}
	*result = exception;
	return 0;
}

static void drain(struct rte_ring *ring)
{
	void *packet;

	while (ring && rte_ring_dequeue(ring, &packet) == 0)
		rte_pktmbuf_free(packet);
}

void slu_exception_destroy(struct slu_exception *exception)
{
	if (!exception)
		return;
	for (uint32_t i = 0; exception->taps && i < exception->settings.port_count; i++) {
		if (exception->taps[i].event)
			event_free(exception->taps[i].event);
	}
	drain(exception->to_kernel);
	rte_ring_free(exception->to_kernel);
	free(exception->taps);
	free(exception);
}
