/*
 * Frames as the kernel hands them over with a virtio-net header (TAP with
 * IFF_VNET_HDR, packet sockets with PACKET_VNET_HDR) made into frames as they
 * stand on a wire: checksums finished, super-segments cut, VLAN tags put back.
 */
#ifndef SLU_VNET_H
#define SLU_VNET_H

#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

/* Bytes that the caller leaves free before the frame, for a VLAN tag. */
#define SLU_VNET_HEADROOM 4u
/* Longest super-segment of the kernel, and its Ethernet header. */
#define SLU_VNET_FRAME_BYTES (65536u + 64u)

typedef void (*slu_vnet_emit)(void *ctx, const uint8_t *frame, size_t len);

/* A tag that the kernel took out of the frame. */
struct slu_vnet_tag {
	uint16_t tpid; /* host order; 0: none */
	uint16_t tci;
};

/*
 * Emits the frame or its segments. `frame` is changed, and so are the
 * SLU_VNET_HEADROOM bytes before it; emitted memory is valid during the call.
 *
 * Returns the number of frames emitted; -EINVAL for a header that contradicts
 * the frame; -ENOTSUP for segmentation of other things than TCP. On an error
 * nothing was emitted.
 */
int slu_vnet_unpack(const struct virtio_net_hdr *h, uint8_t *frame, size_t len, struct slu_vnet_tag tag,
	slu_vnet_emit emit, void *ctx);

#endif
