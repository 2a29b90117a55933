#include "wire.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/nic_regs.h>

/* Frames that wait for the interface. */
#define QUEUE_FRAMES 1024u

struct slu_wire {
	const struct slu_wire_ops *ops;
	struct slu_wire_config config;
	int fd;
	struct slu_impairment *in, *out;
	uint64_t now_us;
	uint32_t head, tail;
	uint32_t len[QUEUE_FRAMES];
	uint8_t *slots; /* QUEUE_FRAMES of SLOT_BYTES: a virtio_net_hdr of zeros, the frame */
	struct slu_wire_stats stats;
};

#define SLOT_BYTES (sizeof(struct virtio_net_hdr) + SLU_WIRE_FRAME_BYTES)

static uint8_t *slot(struct slu_wire *w, uint32_t at)
{
	return w->slots + (size_t)(at % QUEUE_FRAMES) * SLOT_BYTES;
}

/* Through the impairment, towards the card. Ethernet pads what a host sends too short. */
static void deliver_in(void *ctx, const uint8_t *frame, size_t len)
{
	struct slu_wire *w = ctx;
	uint8_t padded[SLU_NIC_FRAME_MIN_BYTES] = {0};

	w->stats.rx_frames++;
	w->stats.rx_bytes += len;
	if (len < sizeof(padded)) {
		memcpy(padded, frame, len);
		frame = padded;
		len = sizeof(padded);
	}
	w->config.to_card(w->config.ctx, w->config.port, frame, len);
}

static void deliver_out(void *ctx, const uint8_t *frame, size_t len)
{
	struct slu_wire *w = ctx;

	if (len > SLU_WIRE_FRAME_BYTES || w->tail - w->head == QUEUE_FRAMES) {
		w->stats.tx_drop++;
		return;
	}
	w->len[w->tail % QUEUE_FRAMES] = (uint32_t)len;
	memcpy(slot(w, w->tail) + sizeof(struct virtio_net_hdr), frame, len);
	w->tail++;
}

static const struct slu_wire_ops *find_ops(const char *kind)
{
	static const struct slu_wire_ops *const all[] = {&slu_wire_tap_ops, &slu_wire_packet_ops};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i]->kind, kind))
			return all[i];
	return NULL;
}

int slu_wire_open(const struct slu_wire_config *config, struct slu_wire **wire)
{
	const struct slu_wire_ops *ops = find_ops(config->kind);
	struct slu_wire *w;
	int err;

	if (!ops)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->ops = ops;
	w->config = *config;
	w->slots = calloc(QUEUE_FRAMES, SLOT_BYTES);
	w->in = slu_impairment_create(&config->impairment, config->seed * 2, deliver_in, w);
	w->out = slu_impairment_create(&config->impairment, config->seed * 2 + 1, deliver_out, w);
	w->fd = -1;
	err = -ENOMEM;
	if (!w->slots || !w->in || !w->out)
		goto fail;
	err = w->fd = ops->open(config->name);
	if (err < 0)
		goto fail;
	*wire = w;
	return 0;
fail:
	slu_wire_close(w);
	return err;
}

void slu_wire_close(struct slu_wire *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	slu_impairment_destroy(w->in);
	slu_impairment_destroy(w->out);
	free(w->slots);
	free(w);
}

int slu_wire_fd(const struct slu_wire *w)
{
	return w->fd;
}

int slu_wire_receive(struct slu_wire *w, uint64_t now_us, unsigned int max)
{
	w->now_us = now_us;
	return w->ops->receive(w, max < SLU_WIRE_BATCH ? max : SLU_WIRE_BATCH);
}

static void emit(void *ctx, const uint8_t *frame, size_t len)
{
	struct slu_wire *w = ctx;

	slu_impairment_pass(w->in, w->now_us, frame, len);
}

void slu_wire_packet_in(
	struct slu_wire *w, const struct virtio_net_hdr *h, uint8_t *frame, size_t len, struct slu_vnet_tag tag)
{
	int n = slu_vnet_unpack(h, frame, len, tag, emit, w);

	if (n == -ENOTSUP)
		w->stats.rx_gso++;
	else if (n < 0)
		w->stats.rx_bad++;
	else if (n > 1)
		w->stats.rx_segmented++;
}

void slu_wire_send(struct slu_wire *w, uint64_t now_us, const uint8_t *frame, size_t len)
{
	slu_impairment_pass(w->out, now_us, frame, len);
}

void slu_wire_advance(struct slu_wire *w, uint64_t now_us)
{
	w->now_us = now_us;
	slu_impairment_advance(w->in, now_us);
	slu_impairment_advance(w->out, now_us);
}

bool slu_wire_flush(struct slu_wire *w)
{
	while (w->head != w->tail) {
		uint8_t *frames[SLU_WIRE_BATCH];
		uint32_t len[SLU_WIRE_BATCH];
		unsigned int count = 0;
		int sent;

		for (; count < SLU_WIRE_BATCH && w->head + count != w->tail; count++) {
			frames[count] = slot(w, w->head + count);
			len[count] = w->len[(w->head + count) % QUEUE_FRAMES] + (uint32_t)sizeof(struct virtio_net_hdr);
		}
		sent = w->ops->send(w, frames, len, count);
		if (sent == 0)
			return true;
		if (sent < 0) {
			/* This frame will never go: too long for the interface, or the interface is down. */
			w->stats.tx_errors++;
			w->head++;
			continue;
		}
		for (int i = 0; i < sent; i++)
			w->stats.tx_bytes += len[i] - sizeof(struct virtio_net_hdr);
		w->stats.tx_frames += (uint64_t)sent;
		w->head += (uint32_t)sent;
	}
	return false;
}

uint64_t slu_wire_next_us(const struct slu_wire *w)
{
	uint64_t in = slu_impairment_next_us(w->in);
	uint64_t out = slu_impairment_next_us(w->out);

	return in < out ? in : out;
}

void slu_wire_get_stats(struct slu_wire *w, struct slu_wire_stats *stats)
{
	w->stats.rx_kernel_drop += w->ops->kernel_drops(w);
	*stats = w->stats;
	slu_impairment_get_stats(w->in, &stats->rx_impairment);
	slu_impairment_get_stats(w->out, &stats->tx_impairment);
}

int slu_wire_bring_up(const char *name)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (ioctl(fd, SIOCGIFFLAGS, &ifr))
		err = -errno;
	ifr.ifr_flags |= IFF_UP;
	if (!err && ioctl(fd, SIOCSIFFLAGS, &ifr))
		err = -errno;
	close(fd);
	return err;
}
