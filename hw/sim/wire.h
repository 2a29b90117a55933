/*
 * A wire of the card: an interface of the machine (TAP or packet socket), with
 * an impairment in each direction. One thread; nothing blocks.
 */
#ifndef SLU_WIRE_H
#define SLU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "impairment.h"
#include "vnet.h"

/* Longest frame that a wire carries out. */
#define SLU_WIRE_FRAME_BYTES 9344u
#define SLU_WIRE_BATCH 32u

struct slu_wire;

struct slu_wire_stats {
	uint64_t rx_frames; /* to the card */
	uint64_t rx_bytes;
	uint64_t rx_segmented; /* super-segments cut */
	uint64_t rx_bad;       /* dropped: virtio-net header contradicts the frame */
	uint64_t rx_gso;       /* dropped: segmentation of another kind than TCP */
	uint64_t rx_kernel_drop;
	uint64_t tx_frames;
	uint64_t tx_bytes;
	uint64_t tx_drop; /* the interface does not take them */
	uint64_t tx_errors;
	struct slu_impairment_stats rx_impairment, tx_impairment;
};

/*
 * What kind of interface a wire attaches to. Functions return -errno on
 * failure.
 */
struct slu_wire_ops {
	const char *kind;
	/* Opens interface `name` and brings it up; returns a non-blocking file descriptor. */
	int (*open)(const char *name);
	/* Receives up to `max` packets, SLU_WIRE_BATCH at most. Returns how many; 0 if none is there. */
	int (*receive)(struct slu_wire *w, unsigned int max);
	/* Sends frames, each with a virtio_net_hdr of zeros before it. Returns how many went, 0 if none can now. */
	int (*send)(struct slu_wire *w, uint8_t *const *frames, const uint32_t *len, unsigned int count);
	/* Frames that the kernel dropped since the last call. */
	uint64_t (*kernel_drops)(struct slu_wire *w);
};
extern const struct slu_wire_ops slu_wire_tap_ops, slu_wire_packet_ops;

/* Where frames for the card go. They are whole and at least SLU_NIC_FRAME_MIN_BYTES long. */
typedef void (*slu_wire_to_card)(void *ctx, unsigned int port, const uint8_t *frame, size_t len);

struct slu_wire_config {
	unsigned int port;
	const char *kind; /* "tap" or "packet" */
	const char *name; /* of the interface */
	struct slu_impairment_config impairment;
	uint64_t seed;
	slu_wire_to_card to_card;
	void *ctx;
};

/* Returns 0; -EINVAL for an unknown kind; what opening the interface says. */
int slu_wire_open(const struct slu_wire_config *config, struct slu_wire **wire);
void slu_wire_close(struct slu_wire *w);

int slu_wire_fd(const struct slu_wire *w);

/* Takes what the interface has, at most `max` packets and one batch. Returns packets taken, or -errno: the interface is
 * gone. */
int slu_wire_receive(struct slu_wire *w, uint64_t now_us, unsigned int max);

/* A frame from the card; copied. It leaves with the next flush(), or later if the impairment says so. */
void slu_wire_send(struct slu_wire *w, uint64_t now_us, const uint8_t *frame, size_t len);

/* Lets delayed frames go that are due. */
void slu_wire_advance(struct slu_wire *w, uint64_t now_us);

/* Sends what is queued. Returns whether something stays queued, because the interface takes no more now. */
bool slu_wire_flush(struct slu_wire *w);

/* When advance() has something to do; UINT64_MAX: never. */
uint64_t slu_wire_next_us(const struct slu_wire *w);

void slu_wire_get_stats(struct slu_wire *w, struct slu_wire_stats *stats);

/* For the kinds: a packet of the kernel. `frame` has SLU_VNET_HEADROOM bytes before it. */
void slu_wire_packet_in(
	struct slu_wire *w, const struct virtio_net_hdr *h, uint8_t *frame, size_t len, struct slu_vnet_tag tag);

/* For the kinds: brings an interface up. Returns 0 or -errno. */
int slu_wire_bring_up(const char *name);

#endif
