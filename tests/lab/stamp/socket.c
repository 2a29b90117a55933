#include "tests/lab/stamp/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int stamp_socket_address(const char *host, uint16_t port, struct stamp_address *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		address->bytes = sizeof(*in);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return -EINVAL;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	address->bytes = sizeof(*in6);
	return 0;
}

static int fail(int fd)
{
	int error = errno;

	close(fd);
	return -error;
}

int stamp_socket_serve(int type, uint16_t port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0)
		return fail(fd);
	if (type == SOCK_STREAM && listen(fd, 4096) < 0)
		return fail(fd);
	return fd;
}

int stamp_socket_connect(int type, const struct stamp_address *from, const struct stamp_address *to)
{
	int fd = socket(to->storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (from != NULL) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&from->storage, from->bytes) < 0)
			return fail(fd);
	}
	if (connect(fd, (const struct sockaddr *)&to->storage, to->bytes) < 0 && errno != EINPROGRESS)
		return fail(fd);
	return fd;
}

void stamp_socket_name(int fd, char *text, size_t room)
{
	struct sockaddr_storage own;
	socklen_t bytes = sizeof(own);
	char host[INET6_ADDRSTRLEN] = "?";
	uint16_t port = 0;

	memset(&own, 0, sizeof(own));
	getsockname(fd, (struct sockaddr *)&own, &bytes);
	if (own.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&own;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		port = ntohs(in->sin_port);
	} else if (own.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&own;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		port = ntohs(in6->sin6_port);
	}
	snprintf(text, room, "%s %u", host, port);
}

uint64_t stamp_socket_unacknowledged(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) < 0 || bytes < 0 ? 0 : (uint64_t)bytes;
}
