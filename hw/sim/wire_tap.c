/* A wire that is a TAP interface: the kernel is the station at its other end. */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static int configure(int fd, const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int header = sizeof(struct virtio_net_hdr);

	if (strlen(name) >= IFNAMSIZ)
		return -ENAMETOOLONG;
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETVNETHDRSZ, &header))
		return -errno;
	/* Unfinished checksums and TCP super-segments are welcome: the kernel then works once for many frames. */
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		return -errno;
	return slu_wire_bring_up(name);
}

static int tap_open(const char *name)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = configure(fd, name);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int tap_receive(struct slu_wire *w, unsigned int max)
{
	uint8_t buf[SLU_VNET_HEADROOM + SLU_VNET_FRAME_BYTES];
	struct virtio_net_hdr h;
	struct iovec iov[2] = {
		{.iov_base = &h, .iov_len = sizeof(h)},
		{.iov_base = buf + SLU_VNET_HEADROOM, .iov_len = SLU_VNET_FRAME_BYTES},
	};
	int taken = 0;

	while (taken < (int)max) {
		ssize_t n = readv(slu_wire_fd(w), iov, 2);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		if ((size_t)n > sizeof(h))
			slu_wire_packet_in(
				w, &h, buf + SLU_VNET_HEADROOM, (size_t)n - sizeof(h), (struct slu_vnet_tag){0});
		taken++;
	}
	return taken;
}

static int tap_send(struct slu_wire *w, uint8_t *const *frames, const uint32_t *len, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		ssize_t n = write(slu_wire_fd(w), frames[i], len[i]);

		if (n >= 0)
			continue;
		if (i || errno == EAGAIN)
			return (int)i;
		return -errno;
	}
	return (int)count;
}

static uint64_t tap_kernel_drops(struct slu_wire *w)
{
	(void)w;
	return 0;
}

const struct slu_wire_ops slu_wire_tap_ops = {
	.kind = "tap",
	.open = tap_open,
	.receive = tap_receive,
	.send = tap_send,
	.kernel_drops = tap_kernel_drops,
};
