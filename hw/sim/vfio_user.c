#include "vfio_user.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* A client that does not take its replies for so long is stuck or hostile. */
#define ANSWER_TIMEOUT_MS 2000
/* Below vm.max_map_count (65530 by default), which counts each of them. */
#define MAX_DMA_MAPS 60000u
#define DEFAULT_MAX_DMA_MAPS 65535u

void slu_vfio_user_open(struct slu_vfio_user_stream *s, int fd)
{
	s->fd = fd;
	s->got = 0;
	s->message.fd_count = 0;
}

void slu_vfio_user_close(struct slu_vfio_user_stream *s)
{
	slu_vfio_user_drop_fds(&s->message);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void slu_vfio_user_drop_fds(struct slu_vfio_user_message *m)
{
	for (uint32_t i = 0; i < m->fd_count; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->fd_count = 0;
}

int slu_vfio_user_check_header(const struct slu_vfio_user_header *h)
{
	if (h->size_bytes < sizeof(*h))
		return -EPROTO;
	/* This server sends no commands, so a reply answers nothing. */
	if ((h->flags & SLU_VFIO_USER_TYPE_MASK) != SLU_VFIO_USER_TYPE_COMMAND)
		return -EPROTO;
	if (h->size_bytes - sizeof(*h) > SLU_VFIO_USER_MAX_PAYLOAD)
		return -EMSGSIZE;
	return 0;
}

/* Takes the file descriptors that came with a piece. Returns -EMSGSIZE if there are too many. */
static int take_fds(struct slu_vfio_user_message *m, struct msghdr *msg)
{
	int err = msg->msg_flags & MSG_CTRUNC ? -EMSGSIZE : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->fd_count < SLU_VFIO_USER_MAX_FDS) {
				m->fds[m->fd_count++] = fd;
			} else {
				close(fd);
				err = -EMSGSIZE;
			}
		}
	}
	return err;
}

/* Returns bytes received, 0 if none is there, or -errno. */
static int receive_piece(struct slu_vfio_user_stream *s, void *to, size_t len)
{
	union {
		char buf[CMSG_SPACE(SLU_VFIO_USER_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = to, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;
	int err;

	do
		n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -ECONNRESET;
	err = take_fds(&s->message, &msg);
	if (err)
		return err;
	return n ? (int)n : -ECONNRESET;
}

int slu_vfio_user_receive(struct slu_vfio_user_stream *s)
{
	struct slu_vfio_user_message *m = &s->message;
	const uint32_t head = sizeof(m->header);
	int n;

	/* Never beyond this message, so that file descriptors cannot come with the wrong one. */
	while (s->got < head) {
		n = receive_piece(s, (uint8_t *)&m->header + s->got, head - s->got);
		if (n <= 0)
			return n;
		s->got += (uint32_t)n;
		if (s->got == head) {
			n = slu_vfio_user_check_header(&m->header);
			if (n)
				return n;
			m->len = m->header.size_bytes - head;
		}
	}
	while (s->got < m->header.size_bytes) {
		n = receive_piece(s, m->payload + (s->got - head), m->header.size_bytes - s->got);
		if (n <= 0)
			return n;
		s->got += (uint32_t)n;
	}
	s->got = 0;
	return 1;
}

/* Sends all of iov, waiting a bounded time for the peer. */
static int send_all(int fd, struct msghdr *msg, size_t len)
{
	while (len) {
		ssize_t n = sendmsg(fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			if (poll(&p, 1, ANSWER_TIMEOUT_MS) == 0)
				return -ETIMEDOUT;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -ECONNRESET;
		len -= (size_t)n;
		msg->msg_control = NULL;
		msg->msg_controllen = 0;
		for (size_t i = 0; i < msg->msg_iovlen && n; i++) {
			size_t part = (size_t)n < msg->msg_iov[i].iov_len ? (size_t)n : msg->msg_iov[i].iov_len;

			msg->msg_iov[i].iov_base = (uint8_t *)msg->msg_iov[i].iov_base + part;
			msg->msg_iov[i].iov_len -= part;
			n -= (ssize_t)part;
		}
	}
	return 0;
}

int slu_vfio_user_answer(struct slu_vfio_user_stream *s, const struct slu_vfio_user_message *m, int error,
	const struct slu_vfio_user_reply *r)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct slu_vfio_user_header h = {
		.id = m->header.id,
		.command = m->header.command,
		.flags = SLU_VFIO_USER_TYPE_REPLY | (error ? SLU_VFIO_USER_ERROR : 0),
		.error = (uint32_t)-error,
		.size_bytes = (uint32_t)sizeof(h) + (error ? 0 : r->len),
	};
	struct iovec iov[2] = {
		{.iov_base = &h, .iov_len = sizeof(h)},
		{.iov_base = (void *)(uintptr_t)r->payload, .iov_len = error ? 0 : r->len},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (m->header.flags & SLU_VFIO_USER_NO_REPLY)
		return 0;
	if (!error && r->fd_count) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &r->fds[0], sizeof(int));
	}
	return send_all(s->fd, &msg, h.size_bytes);
}

/* The smaller of what the client proposes and what we hold; `def` if it proposes nothing. */
static int agree(json_t *proposed, json_t *agreed, const char *name, uint32_t ours, uint32_t def, uint32_t *value)
{
	json_t *v = json_object_get(proposed, name);

	if (!v) {
		*value = def;
		return 0;
	}
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return -EINVAL;
	*value = ours;
	return json_object_set_new(agreed, name, json_integer(ours)) ? -ENOMEM : 0;
}

static int agree_all(json_t *proposal, json_t *agreed, struct slu_vfio_user_limits *limits)
{
	json_t *caps = proposal ? json_object_get(proposal, "capabilities") : NULL;
	uint32_t unused;
	int err;

	if (caps && !json_is_object(caps))
		return -EINVAL;
	err = agree(caps, agreed, "max_msg_fds", SLU_VFIO_USER_MAX_FDS, 1, &limits->max_msg_fds);
	if (!err)
		err = agree(caps, agreed, "max_dma_maps", MAX_DMA_MAPS, DEFAULT_MAX_DMA_MAPS, &limits->max_dma_maps);
	if (!err)
		err = agree(caps, agreed, "max_data_xfer_size", SLU_VFIO_USER_MAX_DATA, 0, &unused);
	if (!err)
		err = agree(caps, agreed, "pgsizes", 4096, 4096, &unused);
	return err;
}

/* Writes {"capabilities":{...}} and its NUL after the version. */
static int put_capabilities(json_t *agreed, struct slu_vfio_user_reply *r)
{
	json_t *answer = json_pack("{s:O}", "capabilities", agreed);
	size_t room = sizeof(r->payload) - sizeof(struct slu_vfio_user_version) - 1;
	size_t n;

	if (!answer)
		return -ENOMEM;
	n = json_dumpb(answer, (char *)r->payload + sizeof(struct slu_vfio_user_version), room, JSON_COMPACT);
	json_decref(answer);
	if (!n || n > room)
		return -ENOMEM;
	r->payload[sizeof(struct slu_vfio_user_version) + n] = 0;
	r->len = (uint32_t)(sizeof(struct slu_vfio_user_version) + n + 1);
	return 0;
}

/* Returns the proposal's JSON, NULL with *err 0 if there is none, NULL with *err set if it is broken. */
static json_t *parse_proposal(const struct slu_vfio_user_message *m, int *err)
{
	const char *text = (const char *)m->payload + sizeof(struct slu_vfio_user_version);
	size_t len = m->len - sizeof(struct slu_vfio_user_version);
	json_t *proposal;

	*err = 0;
	if (!len)
		return NULL;
	*err = -EINVAL;
	if (text[len - 1])
		return NULL;
	proposal = json_loadb(text, strnlen(text, len), JSON_REJECT_DUPLICATES, NULL);
	if (!proposal)
		return NULL;
	if (!json_is_object(proposal)) {
		json_decref(proposal);
		return NULL;
	}
	*err = 0;
	return proposal;
}

int slu_vfio_user_negotiate(
	const struct slu_vfio_user_message *m, struct slu_vfio_user_limits *limits, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_version v;
	struct slu_vfio_user_limits agreed_limits = {.negotiated = true};
	json_t *proposal, *agreed;
	int err;

	if (limits->negotiated)
		return -EALREADY;
	if (m->len < sizeof(v) || m->fd_count)
		return -EINVAL;
	memcpy(&v, m->payload, sizeof(v));
	if (v.major != SLU_VFIO_USER_MAJOR)
		return -EPROTONOSUPPORT;
	proposal = parse_proposal(m, &err);
	if (err)
		return err;
	agreed = json_object();
	err = agreed ? agree_all(proposal, agreed, &agreed_limits) : -ENOMEM;
	if (!err)
		err = put_capabilities(agreed, r);
	json_decref(agreed);
	json_decref(proposal);
	if (err)
		return err;
	if (v.minor > SLU_VFIO_USER_MINOR)
		v.minor = SLU_VFIO_USER_MINOR;
	memcpy(r->payload, &v, sizeof(v));
	*limits = agreed_limits;
	return 0;
}

const char *slu_vfio_user_command_name(uint16_t command)
{
	static const char *const names[] = {
		[SLU_VFIO_USER_VERSION] = "VERSION",
		[SLU_VFIO_USER_DMA_MAP] = "DMA_MAP",
		[SLU_VFIO_USER_DMA_UNMAP] = "DMA_UNMAP",
		[SLU_VFIO_USER_DEVICE_GET_INFO] = "DEVICE_GET_INFO",
		[SLU_VFIO_USER_DEVICE_GET_REGION_INFO] = "DEVICE_GET_REGION_INFO",
		[SLU_VFIO_USER_DEVICE_GET_REGION_IO_FDS] = "DEVICE_GET_REGION_IO_FDS",
		[SLU_VFIO_USER_DEVICE_GET_IRQ_INFO] = "DEVICE_GET_IRQ_INFO",
		[SLU_VFIO_USER_DEVICE_SET_IRQS] = "DEVICE_SET_IRQS",
		[SLU_VFIO_USER_REGION_READ] = "REGION_READ",
		[SLU_VFIO_USER_REGION_WRITE] = "REGION_WRITE",
		[SLU_VFIO_USER_DEVICE_RESET] = "DEVICE_RESET",
	};

	if (command < sizeof(names) / sizeof(names[0]) && names[command])
		return names[command];
	return "unknown command";
}
