/*
 * The vfio-user message layer, server side: framing on a UNIX stream socket,
 * file descriptors that come and go with messages, version negotiation. What
 * the commands do is the device's (device.h).
 *
 * Specification: QEMU, docs/interop/vfio-user.rst, protocol 0.1. Fields are in
 * host byte order, as it says.
 */
#ifndef SLU_VFIO_USER_H
#define SLU_VFIO_USER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLU_VFIO_USER_MAJOR 0u
#define SLU_VFIO_USER_MINOR 1u
/* Default of the specification, and what this server offers at most. */
#define SLU_VFIO_USER_MAX_DATA (1u << 20)
#define SLU_VFIO_USER_MAX_PAYLOAD (SLU_VFIO_USER_MAX_DATA + 64u)
#define SLU_VFIO_USER_MAX_FDS 16u

enum slu_vfio_user_command {
	SLU_VFIO_USER_VERSION = 1,
	SLU_VFIO_USER_DMA_MAP = 2,
	SLU_VFIO_USER_DMA_UNMAP = 3,
	SLU_VFIO_USER_DEVICE_GET_INFO = 4,
	SLU_VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	SLU_VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	SLU_VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	SLU_VFIO_USER_DEVICE_SET_IRQS = 8,
	SLU_VFIO_USER_REGION_READ = 9,
	SLU_VFIO_USER_REGION_WRITE = 10,
	SLU_VFIO_USER_DEVICE_RESET = 13,
};

#define SLU_VFIO_USER_TYPE_MASK 0xFu
#define SLU_VFIO_USER_TYPE_COMMAND 0u
#define SLU_VFIO_USER_TYPE_REPLY 1u
#define SLU_VFIO_USER_NO_REPLY (1u << 4)
#define SLU_VFIO_USER_ERROR (1u << 5)

struct slu_vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t size_bytes; /* this header included */
	uint32_t flags;
	uint32_t error;
};
static_assert(sizeof(struct slu_vfio_user_header) == 16, "vfio-user header");

struct slu_vfio_user_version {
	uint16_t major;
	uint16_t minor;
};
static_assert(sizeof(struct slu_vfio_user_version) == 4, "vfio-user version");

struct slu_vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t address;
	uint64_t size;
};
static_assert(sizeof(struct slu_vfio_user_dma_map) == 32, "vfio-user dma map");
#define SLU_VFIO_USER_DMA_READABLE (1u << 0)
#define SLU_VFIO_USER_DMA_WRITEABLE (1u << 1)

struct slu_vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
};
static_assert(sizeof(struct slu_vfio_user_dma_unmap) == 24, "vfio-user dma unmap");

struct slu_vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};
static_assert(sizeof(struct slu_vfio_user_device_info) == 16, "vfio-user device info");

struct slu_vfio_user_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset;
};
static_assert(sizeof(struct slu_vfio_user_region_info) == 32, "vfio-user region info");

struct slu_vfio_user_io_fds {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
static_assert(sizeof(struct slu_vfio_user_io_fds) == 16, "vfio-user region io fds");

struct slu_vfio_user_ioeventfd {
	uint64_t offset;
	uint64_t size;
	uint32_t fd_index;
	uint32_t type; /* 0: ioeventfd */
	uint32_t flags;
	uint32_t padding;
	uint64_t datamatch;
};
static_assert(sizeof(struct slu_vfio_user_ioeventfd) == 40, "vfio-user ioeventfd");

struct slu_vfio_user_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
static_assert(sizeof(struct slu_vfio_user_irq_info) == 16, "vfio-user irq info");

struct slu_vfio_user_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
};
static_assert(sizeof(struct slu_vfio_user_irq_set) == 20, "vfio-user irq set");

struct slu_vfio_user_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};
static_assert(sizeof(struct slu_vfio_user_region_access) == 16, "vfio-user region access");

/*
 * A command. The receiver of the struct owns `fds`: a handler that keeps one
 * sets its place to -1, slu_vfio_user_drop_fds() closes the others.
 */
struct slu_vfio_user_message {
	struct slu_vfio_user_header header;
	uint32_t len;
	uint32_t fd_count;
	int fds[SLU_VFIO_USER_MAX_FDS];
	_Alignas(8) uint8_t payload[SLU_VFIO_USER_MAX_PAYLOAD];
};

/* What a handler answers. `fds` stay the handler's; they are sent, not closed. */
struct slu_vfio_user_reply {
	uint32_t len;
	uint32_t fd_count;
	int fds[1];
	_Alignas(8) uint8_t payload[SLU_VFIO_USER_MAX_PAYLOAD];
};

/* Limits agreed with one client. */
struct slu_vfio_user_limits {
	bool negotiated;
	uint32_t max_msg_fds;  /* we take in one message */
	uint32_t max_dma_maps; /* we hold at once */
};

/* A stream of messages. Embedded by its owner; opaque to it. */
struct slu_vfio_user_stream {
	int fd;
	uint32_t got; /* bytes of the message being received, header included */
	struct slu_vfio_user_message message;
};

/* Takes the socket over. */
void slu_vfio_user_open(struct slu_vfio_user_stream *s, int fd);
void slu_vfio_user_close(struct slu_vfio_user_stream *s);

/*
 * Receives what the socket has, up to one message; never blocks.
 *
 * Returns 1 when s->message is whole; 0 when more must come; -ECONNRESET when
 * the peer has gone; -EPROTO for a header no message can have; -EMSGSIZE for a
 * message too long, or with too many file descriptors. After an error the
 * stream cannot be used further.
 */
int slu_vfio_user_receive(struct slu_vfio_user_stream *s);

/*
 * Checks a header by itself: the part of receive() that decides on foreign
 * bytes. Returns 0, -EPROTO or -EMSGSIZE as above.
 */
int slu_vfio_user_check_header(const struct slu_vfio_user_header *h);

/*
 * Answers s->message: `error` is 0 or -errno; an error has no payload. Does
 * nothing if the command asked for no reply.
 *
 * Returns 0; -ECONNRESET; -ETIMEDOUT if the peer does not read its replies.
 */
int slu_vfio_user_answer(struct slu_vfio_user_stream *s, const struct slu_vfio_user_message *m, int error,
	const struct slu_vfio_user_reply *r);

void slu_vfio_user_drop_fds(struct slu_vfio_user_message *m);

/*
 * Handles VERSION: fills the reply and the limits. A capability is in the
 * reply only if the client proposed it; without, the defaults of the
 * specification hold (one file descriptor, 65535 maps).
 *
 * Returns 0; -EINVAL for bytes that are no proposal; -EPROTONOSUPPORT for
 * another major version; -EALREADY for a second one.
 */
int slu_vfio_user_negotiate(
	const struct slu_vfio_user_message *m, struct slu_vfio_user_limits *limits, struct slu_vfio_user_reply *r);

const char *slu_vfio_user_command_name(uint16_t command);

#endif
