#define _GNU_SOURCE
#include "host/sync/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "host/control/ip.h"
#include "host/log.h"
#include "host/sync/sync.h"

#define BUFFER_BYTES                                                                                                   \
	(16 * 1024 * 1024) /* half a second of a million sessions a second is 40 MB; most is read sooner               \
			    */
#define BACKLOG 16

socklen_t slu_socket_address(
	const struct slu_ip *ip, uint16_t port, unsigned int if_index, struct sockaddr_storage *address)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = if_index};

	memset(address, 0, sizeof(*address));
	if (ip->family == 4) {
		memcpy(&in4.sin_addr, ip->bytes, sizeof(in4.sin_addr));
		memcpy(address, &in4, sizeof(in4));
		return sizeof(in4);
	}
	memcpy(&in6.sin6_addr, ip->bytes, sizeof(in6.sin6_addr));
	memcpy(address, &in6, sizeof(in6));
	return sizeof(in6);
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* Large buffers; a process without the right gets what the system allows. */
static void enlarge(int fd)
{
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) != 0)
		set(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES) != 0)
		set(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
}

static int join4(int fd, const struct slu_sync_options *o, unsigned int if_index)
{
	struct ip_mreqn group = {.imr_ifindex = (int)if_index};
	int result;

	memcpy(&group.imr_multiaddr, o->multicast.bytes, sizeof(group.imr_multiaddr));
	if (o->address.family == 4)
		memcpy(&group.imr_address, o->address.bytes, sizeof(group.imr_address));
	if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)) != 0 ||
		setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)) != 0)
		return -errno;
	result = set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	return result ? result : set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
}

static int join6(int fd, const struct slu_sync_options *o, unsigned int if_index)
{
	struct ipv6_mreq group = {.ipv6mr_interface = if_index};
	int result;

	memcpy(&group.ipv6mr_multiaddr, o->multicast.bytes, sizeof(group.ipv6mr_multiaddr));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
		return -errno;
	result = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_index);
	return result ? result : set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
}

/* Bound to the group's address: nothing that is sent to this node itself arrives here. */
static int set_up_multicast(int fd, const struct slu_sync_options *o, unsigned int if_index)
{
	struct sockaddr_storage address;
	socklen_t bytes = slu_socket_address(&o->multicast, o->port, if_index, &address);
	int result = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (result)
		return result;
	enlarge(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, o->interface, (socklen_t)strlen(o->interface)) != 0 ||
		bind(fd, (struct sockaddr *)&address, bytes) != 0)
		return -errno;
	return o->multicast.family == 4 ? join4(fd, o, if_index) : join6(fd, o, if_index);
}

int slu_socket_open_multicast(const struct slu_sync_options *o)
{
	unsigned int if_index = if_nametoindex(o->interface);
	int fd, result;

	if (if_index == 0) {
		slu_error("session sync: no interface %s", o->interface);
		return -ENODEV;
	}
	fd = socket(o->multicast.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	result = fd < 0 ? -errno : set_up_multicast(fd, o, if_index);
	if (result == 0)
		return fd;
	slu_error("session sync: multicast on %s: %s", o->interface, strerror(-result));
	if (fd >= 0)
		close(fd);
	return result;
}

int slu_socket_open_listener(const struct slu_sync_options *o, unsigned int if_index)
{
	char text[SLU_IP_TEXT_BYTES];
	struct sockaddr_storage address;
	socklen_t bytes = slu_socket_address(&o->address, o->port, if_index, &address);
	int fd = socket(o->address.family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result = fd < 0 ? -errno : set(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (result == 0 && (bind(fd, (struct sockaddr *)&address, bytes) != 0 || listen(fd, BACKLOG) != 0))
		result = -errno;
	if (result == 0)
		return fd;
	slu_error("session sync: %s port %u: %s", slu_ip_format(&o->address, text), o->port, strerror(-result));
	if (fd >= 0)
		close(fd);
	return result;
}

bool slu_socket_has_address(const struct slu_sync_options *o)
{
	unsigned int if_index = if_nametoindex(o->interface);
	struct sockaddr_storage address;
	socklen_t bytes = slu_socket_address(&o->address, 0, if_index, &address);
	int fd = if_index ? socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}
