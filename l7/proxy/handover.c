#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "l7/proxy/handover.h"

union rights {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(SLU_HANDOVER_FDS_MAX * sizeof(int))];
};

int slu_handover_send(int fd, enum slu_handover_kind kind, const int *fds, int count)
{
	struct slu_handover_word word = {.kind = kind};
	struct iovec part = {&word, sizeof(word)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union rights rights;

	if (count > 0) {
		memset(&rights, 0, sizeof(rights));
		message.msg_control = rights.bytes;
		message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
		rights.header.cmsg_level = SOL_SOCKET;
		rights.header.cmsg_type = SCM_RIGHTS;
		rights.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
		memcpy(CMSG_DATA(&rights.header), fds, (size_t)count * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int slu_handover_send_bytes(int fd, const void *bytes, size_t count)
{
	return send(fd, bytes, count, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int slu_handover_receive(int fd, struct slu_handover_word *word, int fds[SLU_HANDOVER_FDS_MAX])
{
	struct iovec part = {word, sizeof(*word)};
	union rights rights;
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof(rights.bytes)};
	ssize_t bytes = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header;

	if (bytes < 0)
		return -errno;
	if ((size_t)bytes < sizeof(*word))
		return -EPIPE;
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return 0;
	bytes = (ssize_t)(header->cmsg_len - CMSG_LEN(0));
	memcpy(fds, CMSG_DATA(header), (size_t)bytes);
	return (int)((size_t)bytes / sizeof(int));
}
