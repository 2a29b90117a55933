#include "vfio_user.h"

#include <assert.h>
#include <errno.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 8
#define REPLY_SECONDS 10
#define STRAY_COMMANDS_MAX 64
#define CONNECT_TRIES 20
#define CONNECT_PAUSE_US 100000

enum command {
	COMMAND_VERSION = 1,
	COMMAND_DMA_MAP = 2,
	COMMAND_DMA_UNMAP = 3,
	COMMAND_GET_INFO = 4,
	COMMAND_GET_REGION_INFO = 5,
	COMMAND_GET_REGION_IO_FDS = 6,
	COMMAND_GET_IRQ_INFO = 7,
	COMMAND_SET_IRQS = 8,
	COMMAND_REGION_READ = 9,
	COMMAND_REGION_WRITE = 10,
	COMMAND_RESET = 13,
};

#define FLAG_TYPE_MASK 0xFu
#define FLAG_REPLY 0x1u
#define FLAG_NO_REPLY 0x10u
#define FLAG_ERROR 0x20u

struct header {
	uint16_t id;
	uint16_t command;
	uint32_t size;
	uint32_t flags;
	uint32_t error;
};
static_assert(sizeof(struct header) == 16, "vfio-user header");

struct dma_map {
	uint32_t argsz, flags;
	uint64_t offset, address, size;
};
static_assert(sizeof(struct dma_map) == 32, "vfio-user DMA_MAP");

struct dma_unmap {
	uint32_t argsz, flags;
	uint64_t address, size;
};
static_assert(sizeof(struct dma_unmap) == 24, "vfio-user DMA_UNMAP");

struct io_fds {
	uint32_t argsz, flags, index, count;
	struct {
		uint64_t offset, size;
		uint32_t fd_index, type, flags, padding;
		uint64_t datamatch;
	} sub[FDS_MAX];
};

struct access {
	uint64_t offset;
	uint32_t region, count;
	uint8_t data[SLU_VFIO_USER_TRANSFER_MAX];
};
#define ACCESS_BYTES offsetof(struct access, data)

struct slu_vfio_user {
	pthread_mutex_t lock; /* one exchange at a time; guards all below */
	int socket;
	bool broken;
	uint16_t next_id;
	uint32_t max_fds; /* the server takes in one message */
};

/* One exchange: request with descriptors out, reply with descriptors in. */
struct exchange {
	enum command command;
	const void *request;
	uint32_t request_bytes;
	const int *send_fds;
	unsigned send_count;
	void *reply;
	uint32_t reply_min, reply_max; /* what the payload may measure */
	uint32_t reply_bytes;          /* what it does */
	int fds[FDS_MAX];
	unsigned fd_count;
};

static void close_fds(struct exchange *x)
{
	for (unsigned i = 0; i < x->fd_count; i++)
		close(x->fds[i]);
	x->fd_count = 0;
}

static int send_all(int socket, const struct header *header, const struct exchange *x)
{
	char control[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
	struct iovec parts[2] = {
		{(void *)(uintptr_t)header, sizeof(*header)}, {(void *)(uintptr_t)x->request, x->request_bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (x->send_count) {
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(x->send_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(x->send_count * sizeof(int));
		memcpy(CMSG_DATA(c), x->send_fds, x->send_count * sizeof(int));
	}
	while (message.msg_iovlen) {
		ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -ENODEV;
		message.msg_control = NULL; /* descriptors left with the first byte */
		message.msg_controllen = 0;
		while (message.msg_iovlen && (size_t)sent >= message.msg_iov->iov_len) {
			sent -= (ssize_t)message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

static int take_fds(struct msghdr *message, struct exchange *x)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (x->fd_count < FDS_MAX)
				x->fds[x->fd_count++] = fd;
			else
				close(fd);
		}
	}
	return message->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
}

static int receive_all(int socket, void *data, size_t bytes, struct exchange *x)
{
	char control[CMSG_SPACE(FDS_MAX * sizeof(int))];

	while (bytes) {
		struct iovec part = {data, bytes};
		struct msghdr message = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -ENODEV; /* end, error, or no answer in REPLY_SECONDS */
		if (take_fds(&message, x))
			return -EPROTO;
		data = (char *)data + got;
		bytes -= (size_t)got;
	}
	return 0;
}

static int discard(int socket, uint32_t bytes, struct exchange *x)
{
	char waste[512];

	while (bytes) {
		uint32_t part = bytes < sizeof(waste) ? bytes : (uint32_t)sizeof(waste);
		int error = receive_all(socket, waste, part, x);

		if (error)
			return error;
		bytes -= part;
	}
	return 0;
}

/* The server may ask for DMA by message. All our memory is mapped by descriptor, so the answer is always no. */
static int refuse_command(int socket, const struct header *request, struct exchange *x)
{
	struct header reply = {.id = request->id,
		.command = request->command,
		.size = sizeof(reply),
		.flags = FLAG_REPLY | FLAG_ERROR,
		.error = EOPNOTSUPP};
	struct exchange nothing = {0};

	if (request->size < sizeof(reply) || request->size > SLU_VFIO_USER_TRANSFER_MAX + 64)
		return -EPROTO;
	int error = discard(socket, request->size - (uint32_t)sizeof(reply), x);
	close_fds(x);
	if (error || (request->flags & FLAG_NO_REPLY))
		return error;
	return send_all(socket, &reply, &nothing);
}

static int receive_reply(int socket, uint16_t id, struct exchange *x)
{
	struct header header;

	for (int stray = 0;; stray++) {
		int error = receive_all(socket, &header, sizeof(header), x);

		if (error)
			return error;
		if ((header.flags & FLAG_TYPE_MASK) == FLAG_REPLY)
			break;
		if (stray == STRAY_COMMANDS_MAX)
			return -EPROTO;
		error = refuse_command(socket, &header, x);
		if (error)
			return error;
	}
	if (header.id != id || header.command != x->command || header.size < sizeof(header))
		return -EPROTO;
	uint32_t payload = header.size - (uint32_t)sizeof(header);
	if (header.flags & FLAG_ERROR) {
		if (payload > SLU_VFIO_USER_TRANSFER_MAX)
			return -EPROTO;
		int error = discard(socket, payload, x);
		if (error)
			return error;
		/* Any number that is no error of this protocol layer; those two mean a closed connection. */
		int code = header.error > 0 && header.error < 4096 ? (int)header.error : EIO;
		return code == ENODEV || code == EPROTO ? -EIO : -code;
	}
	if (payload < x->reply_min || payload > x->reply_max)
		return -EPROTO;
	x->reply_bytes = payload;
	return receive_all(socket, x->reply, payload, x);
}

/* On success the caller owns x->fds. */
static int run(struct slu_vfio_user *client, struct exchange *x)
{
	int error = -ENODEV;

	x->fd_count = 0;
	pthread_mutex_lock(&client->lock);
	if (!client->broken) {
		struct header header = {.id = client->next_id++,
			.command = (uint16_t)x->command,
			.size = (uint32_t)sizeof(header) + x->request_bytes};

		error = send_all(client->socket, &header, x);
		if (!error)
			error = receive_reply(client->socket, header.id, x);
		if (error == -ENODEV || error == -EPROTO) {
			client->broken = true;
			shutdown(client->socket, SHUT_RDWR);
		}
	}
	pthread_mutex_unlock(&client->lock);
	if (error)
		close_fds(x);
	return error;
}

/* The number after "name": in the server's capabilities; fallback if it is not there. */
static uint32_t capability(const char *json, const char *name, uint32_t fallback)
{
	const char *at = strstr(json, name);

	if (!at)
		return fallback;
	at += strlen(name);
	at += strspn(at, "\" \t\r\n");
	if (*at != ':')
		return fallback;
	at += 1 + strspn(at + 1, " \t\r\n");
	unsigned long long value = strtoull(at, NULL, 10);
	return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static int negotiate(struct slu_vfio_user *client)
{
	struct {
		uint16_t major, minor;
		char json[4096];
	} request = {.major = 0, .minor = 1}, reply;
	int length = snprintf(request.json, sizeof(request.json),
		"{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":%d}}", FDS_MAX,
		SLU_VFIO_USER_TRANSFER_MAX);
	struct exchange x = {.command = COMMAND_VERSION,
		.request = &request,
		.request_bytes = 4 + (uint32_t)length + 1,
		.reply = &reply,
		.reply_min = 4,
		.reply_max = sizeof(reply)};
	int error = run(client, &x);

	if (error)
		return error;
	close_fds(&x);
	if (reply.major != 0 || reply.minor > request.minor)
		return -EPROTO;
	client->max_fds = 1;
	if (x.reply_bytes > 4) {
		if (reply.json[x.reply_bytes - 5] != '\0')
			return -EPROTO;
		client->max_fds = capability(reply.json, "\"max_msg_fds", 1);
	}
	if (client->max_fds == 0)
		return -EPROTO;
	if (client->max_fds > FDS_MAX)
		client->max_fds = FDS_MAX;
	return 0;
}

int slu_vfio_user_attach(int socket, struct slu_vfio_user **client)
{
	struct slu_vfio_user *c = calloc(1, sizeof(*c));

	if (!c) {
		close(socket);
		return -ENOMEM;
	}
	struct timeval patience = {.tv_sec = REPLY_SECONDS};
	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	pthread_mutex_init(&c->lock, NULL);
	c->socket = socket;
	c->next_id = 1;
	int error = negotiate(c);
	if (error) {
		slu_vfio_user_close(c);
		return error;
	}
	*client = c;
	return 0;
}

static int connect_once(const struct sockaddr_un *address, struct slu_vfio_user **client)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	if (connect(s, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		int error = -errno;

		close(s);
		return error;
	}
	return slu_vfio_user_attach(s, client);
}

int slu_vfio_user_connect(const char *path, struct slu_vfio_user **client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	/* A server may be between bind and listen, or may not have seen the end of its last client yet. */
	for (int tries = 0;; tries++) {
		int error = connect_once(&address, client);

		if ((error != -ECONNREFUSED && error != -ENODEV) || tries == CONNECT_TRIES)
			return error;
		usleep(CONNECT_PAUSE_US);
	}
}

void slu_vfio_user_close(struct slu_vfio_user *client)
{
	if (!client)
		return;
	close(client->socket);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

int slu_vfio_user_socket(const struct slu_vfio_user *client)
{
	return client->socket;
}

int slu_vfio_user_device_info(struct slu_vfio_user *client, struct slu_vfio_user_device *device)
{
	struct vfio_user_info {
		uint32_t argsz, flags, regions, irqs;
	} request = {.argsz = 16}, reply;
	struct exchange x = {.command = COMMAND_GET_INFO,
		.request = &request,
		.request_bytes = sizeof(request),
		.reply = &reply,
		.reply_min = sizeof(reply),
		.reply_max = sizeof(reply)};
	int error = run(client, &x);

	if (error)
		return error;
	close_fds(&x);
	*device = (struct slu_vfio_user_device){reply.flags, reply.regions, reply.irqs};
	return 0;
}

int slu_vfio_user_region_info(struct slu_vfio_user *client, uint32_t index, struct slu_vfio_user_region *region)
{
	struct vfio_region_info request = {.argsz = 512, .index = index};
	union {
		struct vfio_region_info info;
		uint8_t bytes[512];
	} reply; /* capabilities may follow; a page that can be mapped as a whole needs none */
	struct exchange x = {.command = COMMAND_GET_REGION_INFO,
		.request = &request,
		.request_bytes = sizeof(request),
		.reply = &reply,
		.reply_min = sizeof(reply.info),
		.reply_max = sizeof(reply)};
	int error = run(client, &x);

	if (error)
		return error;
	if (reply.info.index != index) {
		close_fds(&x);
		return -EPROTO;
	}
	*region = (struct slu_vfio_user_region){
		.bytes = reply.info.size, .fd_offset = reply.info.offset, .flags = reply.info.flags, .fd = -1};
	if ((reply.info.flags & VFIO_REGION_INFO_FLAG_MMAP) && x.fd_count) {
		region->fd = x.fds[0];
		x.fds[0] = x.fds[--x.fd_count];
	}
	close_fds(&x);
	return 0;
}

int slu_vfio_user_region_io_fd(struct slu_vfio_user *client, uint32_t index, int *eventfd)
{
	struct io_fds request = {.argsz = sizeof(request), .index = index}, reply = {0};
	const uint32_t head = offsetof(struct io_fds, sub);
	struct exchange x = {.command = COMMAND_GET_REGION_IO_FDS,
		.request = &request,
		.request_bytes = head,
		.reply = &reply,
		.reply_min = head,
		.reply_max = sizeof(reply)};
	int error = run(client, &x);

	if (error)
		return error;
	if (reply.index != index || reply.count == 0 || reply.count > FDS_MAX ||
		x.reply_bytes < head + reply.count * sizeof(reply.sub[0]) || reply.sub[0].type != 0 ||
		reply.sub[0].fd_index >= x.fd_count) {
		close_fds(&x);
		return -EPROTO;
	}
	*eventfd = x.fds[reply.sub[0].fd_index];
	x.fds[reply.sub[0].fd_index] = x.fds[--x.fd_count];
	close_fds(&x);
	return 0;
}

int slu_vfio_user_irq_count(struct slu_vfio_user *client, uint32_t index, uint32_t *count)
{
	struct vfio_irq_info request = {.argsz = sizeof(request), .index = index}, reply;
	struct exchange x = {.command = COMMAND_GET_IRQ_INFO,
		.request = &request,
		.request_bytes = sizeof(request),
		.reply = &reply,
		.reply_min = sizeof(reply),
		.reply_max = sizeof(reply)};
	int error = run(client, &x);

	if (error)
		return error;
	close_fds(&x);
	if (reply.index != index)
		return -EPROTO;
	*count = reply.count;
	return 0;
}

int slu_vfio_user_set_irqs(struct slu_vfio_user *client, uint32_t index, const int *eventfds, uint32_t count)
{
	for (uint32_t start = 0; start < count;) {
		uint32_t part = count - start < client->max_fds ? count - start : client->max_fds;
		struct vfio_irq_set request = {.argsz = sizeof(request),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = index,
			.start = start,
			.count = part};
		struct exchange x = {.command = COMMAND_SET_IRQS,
			.request = &request,
			.request_bytes = sizeof(request),
			.send_fds = eventfds + start,
			.send_count = part};
		int error = run(client, &x);

		if (error)
			return error;
		close_fds(&x);
		start += part;
	}
	return 0;
}

int slu_vfio_user_dma_map(struct slu_vfio_user *client, uint64_t address, uint64_t bytes, int fd, uint64_t fd_offset)
{
	struct dma_map request = {
		.argsz = sizeof(request), .flags = 3, .offset = fd_offset, .address = address, .size = bytes};
	struct exchange x = {.command = COMMAND_DMA_MAP,
		.request = &request,
		.request_bytes = sizeof(request),
		.send_fds = &fd,
		.send_count = 1};
	int error = run(client, &x);

	if (!error)
		close_fds(&x);
	return error;
}

int slu_vfio_user_dma_unmap(struct slu_vfio_user *client, uint64_t address, uint64_t bytes)
{
	struct dma_unmap request = {.argsz = sizeof(request), .address = address, .size = bytes}, reply;
	struct exchange x = {.command = COMMAND_DMA_UNMAP,
		.request = &request,
		.request_bytes = sizeof(request),
		.reply = &reply,
		.reply_min = 0,
		.reply_max = sizeof(reply)};
	int error = run(client, &x);

	if (!error)
		close_fds(&x);
	return error;
}

int slu_vfio_user_read(struct slu_vfio_user *client, uint32_t region, uint64_t offset, void *data, uint32_t bytes)
{
	assert(bytes <= SLU_VFIO_USER_TRANSFER_MAX);
	struct access request, reply;

	request.offset = offset;
	request.region = region;
	request.count = bytes;
	struct exchange x = {.command = COMMAND_REGION_READ,
		.request = &request,
		.request_bytes = ACCESS_BYTES,
		.reply = &reply,
		.reply_min = ACCESS_BYTES + bytes,
		.reply_max = ACCESS_BYTES + bytes};
	int error = run(client, &x);

	if (error)
		return error;
	close_fds(&x);
	if (reply.offset != offset || reply.region != region || reply.count != bytes)
		return -EPROTO;
	memcpy(data, reply.data, bytes);
	return 0;
}

int slu_vfio_user_write(
	struct slu_vfio_user *client, uint32_t region, uint64_t offset, const void *data, uint32_t bytes)
{
	assert(bytes <= SLU_VFIO_USER_TRANSFER_MAX);
	struct access request, reply;

	request.offset = offset;
	request.region = region;
	request.count = bytes;
	struct exchange x = {.command = COMMAND_REGION_WRITE,
		.request = &request,
		.request_bytes = ACCESS_BYTES + bytes,
		.reply = &reply,
		.reply_min = ACCESS_BYTES,
		.reply_max = ACCESS_BYTES};

	memcpy(request.data, data, bytes);
	int error = run(client, &x);
	if (error)
		return error;
	close_fds(&x);
	return reply.count == bytes ? 0 : -EPROTO;
}

int slu_vfio_user_reset(struct slu_vfio_user *client)
{
	struct exchange x = {.command = COMMAND_RESET};
	int error = run(client, &x);

	if (!error)
		close_fds(&x);
	return error;
}
