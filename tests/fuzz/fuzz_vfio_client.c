/*
 * The driver's vfio-user client: the input is what a hostile server sends, all
 * of it before it is asked. Every call is made once; none may hang.
 */
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/base/vfio_user.h"

#define INPUT_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Descriptors come with the first byte, as many as one message takes. */
static void send_all(int to, const uint8_t *data, size_t len, int fd)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec part = {(void *)(uintptr_t)data, len};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), (int[]){fd, fd}, 2 * sizeof(int));
	(void)!sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void call_everything(struct slu_vfio_user *client, int fd)
{
	struct slu_vfio_user_device device;
	struct slu_vfio_user_region region = {.fd = -1};
	uint32_t value = 0;
	int got = -1;

	slu_vfio_user_device_info(client, &device);
	if (slu_vfio_user_region_info(client, 2, &region) == 0 && region.fd >= 0)
		close(region.fd);
	if (slu_vfio_user_region_io_fd(client, 2, &got) == 0)
		close(got);
	slu_vfio_user_irq_count(client, 2, &value);
	slu_vfio_user_set_irqs(client, 2, (int[]){fd, fd, fd}, 3);
	slu_vfio_user_dma_map(client, 0, 4096, fd, 0);
	slu_vfio_user_read(client, 0, 0, &value, 4);
	slu_vfio_user_write(client, 0, 0, &value, 4);
	slu_vfio_user_dma_unmap(client, 0, 4096);
	slu_vfio_user_reset(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct slu_vfio_user *client;
	int pair[2], fd = eventfd(0, EFD_NONBLOCK);

	if (len == 0 || len > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
		close(fd);
		return 0;
	}
	send_all(pair[1], data, len, fd);
	shutdown(pair[1], SHUT_WR); /* the end of the input is the server's end */
	if (slu_vfio_user_attach(pair[0], &client) == 0) {
		call_everything(client, fd);
		slu_vfio_user_close(client);
	}
	close(pair[1]);
	close(fd);
	return 0;
}
