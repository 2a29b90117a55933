/* The sockets of session sync: multicast on the interface of the sync network, TCP between members. */
#ifndef SLU_HOST_SYNC_SOCKET_H
#define SLU_HOST_SYNC_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "host/control/generation.h"

struct slu_sync_options;

/* Fills a socket address; if_index matters for link-local IPv6. Returns its length. */
socklen_t slu_socket_address(
	const struct slu_ip *ip, uint16_t port, unsigned int if_index, struct sockaddr_storage *address);

/*
 * A UDP socket that receives what members send to the group's address on the interface, and sends there; what this
 * node sends does not come back. Returns the descriptor, or -errno and a line in the log.
 */
int slu_socket_open_multicast(const struct slu_sync_options *options);

/* A TCP socket that listens on this node's address. Returns the descriptor, or -errno and a line in the log. */
int slu_socket_open_listener(const struct slu_sync_options *options, unsigned int if_index);

/* Whether the interface is there, with this node's address. */
bool slu_socket_has_address(const struct slu_sync_options *options);

#endif
