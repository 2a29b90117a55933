#include "host/ports/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A container may mount /proc/sys read-only: the interface works without these, only less strictly. */
static void write_sysctl(const char *family, const char *name, const char *key, const char *value)
{
	char path[128];
	ssize_t unused;
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	unused = write(fd, value, strlen(value));
	(void)unused;
	close(fd);
}

static int attach(int fd, const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return -errno;
	/* No offload accepted: frames arrive with finished checksums and no longer than the MTU. */
	if (ioctl(fd, TUNSETOFFLOAD, 0) < 0)
		return -errno;
	if (ioctl(fd, TUNSETPERSIST, 1) < 0)
		return -errno;
	return 0;
}

static int set_address(int sock, const char *name, const uint8_t mac[6])
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	if (ioctl(sock, SIOCGIFHWADDR, &request) < 0)
		return -errno;
	/* Setting an equal address would still flush the neighbours that survived a restart. */
	if (memcmp(request.ifr_hwaddr.sa_data, mac, 6) == 0)
		return 0;
	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, mac, 6);
	return ioctl(sock, SIOCSIFHWADDR, &request) < 0 ? -errno : 0;
}

static int bring_up(int sock, const char *name, uint16_t mtu)
{
	struct ifreq request = {.ifr_mtu = mtu};

	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	if (ioctl(sock, SIOCSIFMTU, &request) < 0)
		return -errno;
	if (ioctl(sock, SIOCGIFFLAGS, &request) < 0)
		return -errno;
	if (request.ifr_flags & IFF_UP)
		return 0;
	request.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static int configure(struct slu_tap *tap, const uint8_t mac[6], uint16_t mtu)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (sock < 0)
		return -errno;
	error = set_address(sock, tap->name, mac);
	/* Two ports in one network must not answer ARP for each other's addresses. */
	write_sysctl("ipv4", tap->name, "arp_ignore", "1");
	write_sysctl("ipv4", tap->name, "arp_announce", "2");
	if (!error)
		error = bring_up(sock, tap->name, mtu);
	tap->ifindex = if_nametoindex(tap->name);
	if (!error && tap->ifindex == 0)
		error = -errno;
	close(sock);
	return error;
}

int slu_tap_open(struct slu_tap *tap, const char *name, const uint8_t mac[6], uint16_t mtu)
{
	int error;

	memset(tap, 0, sizeof(*tap));
	tap->fd = -1;
	if (strlen(name) == 0 || strlen(name) >= IFNAMSIZ)
		return -ENAMETOOLONG;
	strcpy(tap->name, name);
	tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap->fd < 0)
		return -errno;
	error = attach(tap->fd, name);
	if (!error)
		error = configure(tap, mac, mtu);
	if (error)
		slu_tap_close(tap);
	return error;
}

void slu_tap_close(struct slu_tap *tap)
{
	if (tap->fd >= 0)
		close(tap->fd);
	tap->fd = -1;
}

ssize_t slu_tap_read(const struct slu_tap *tap, void *frame, size_t room)
{
	ssize_t bytes = read(tap->fd, frame, room);

	return bytes < 0 ? -errno : bytes;
}

int slu_tap_write(const struct slu_tap *tap, const void *frame, size_t bytes)
{
	return write(tap->fd, frame, bytes) < 0 ? -errno : 0;
}
