/* Sockets of either family, as this program wants them: not blocking, without Nagle's delay. */
#ifndef SLU_TESTS_LAB_STAMP_SOCKET_H
#define SLU_TESTS_LAB_STAMP_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>

struct stamp_address {
	struct sockaddr_storage storage;
	socklen_t bytes;
};

/* Returns 0; -EINVAL if host is no IPv4 or IPv6 address. */
int stamp_socket_address(const char *host, uint16_t port, struct stamp_address *address);

/* type: SOCK_STREAM or SOCK_DGRAM. Listens, or is bound, on all addresses of both families. A descriptor or -errno. */
int stamp_socket_serve(int type, uint16_t port);

/* Begins to connect; from may be NULL. A descriptor or -errno. */
int stamp_socket_connect(int type, const struct stamp_address *from, const struct stamp_address *to);

/* "ADDRESS port" of the socket's own end. */
void stamp_socket_name(int fd, char *text, size_t room);

/* Bytes written that the other end has not acknowledged. */
uint64_t stamp_socket_unacknowledged(int fd);

#endif
