#include "host/ports/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_BYTES (256 * 1024)
#define EVENT_READS 32
#define EVENT_SOCKET_BYTES (4 * 1024 * 1024)

#define EVENT_GROUPS (RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)

static struct mnl_socket *open_socket(int flags, unsigned int groups)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

	if (socket && mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(socket);
		socket = NULL;
	}
	return socket;
}

int slu_netlink_open_requests(struct slu_netlink *netlink)
{
	int one = 1;

	memset(netlink, 0, sizeof(*netlink));
	netlink->buffer = malloc(BUFFER_BYTES);
	netlink->requests = open_socket(0, 0);
	if (!netlink->buffer || !netlink->requests) {
		int error = errno ? -errno : -ENOMEM;

		slu_netlink_close(netlink);
		return error;
	}
	/* Strict checking lets the kernel filter dumps; kernels without it ignore the option. */
	mnl_socket_setsockopt(netlink->requests, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	return 0;
}

int slu_netlink_open(struct slu_netlink *netlink)
{
	int bytes = EVENT_SOCKET_BYTES;
	int error = slu_netlink_open_requests(netlink);

	if (error)
		return error;
	netlink->events = open_socket(SOCK_NONBLOCK, EVENT_GROUPS);
	if (!netlink->events) {
		error = errno ? -errno : -ENOMEM;
		slu_netlink_close(netlink);
		return error;
	}
	setsockopt(mnl_socket_get_fd(netlink->events), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return 0;
}

void slu_netlink_close(struct slu_netlink *netlink)
{
	if (netlink->events)
		mnl_socket_close(netlink->events);
	if (netlink->requests)
		mnl_socket_close(netlink->requests);
	free(netlink->buffer);
	memset(netlink, 0, sizeof(*netlink));
}

int slu_netlink_event_fd(const struct slu_netlink *netlink)
{
	return mnl_socket_get_fd(netlink->events);
}

static void deliver(const uint8_t *buffer, int bytes, slu_netlink_message *each, void *context)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;

	while (mnl_nlmsg_ok(message, bytes)) {
		if (message->nlmsg_type >= NLMSG_MIN_TYPE)
			each(context, message);
		message = mnl_nlmsg_next(message, &bytes);
	}
}

int slu_netlink_read_events(struct slu_netlink *netlink, slu_netlink_message *each, void *context)
{
	for (int reads = 0; reads < EVENT_READS; reads++) {
		ssize_t bytes = mnl_socket_recvfrom(netlink->events, netlink->buffer, BUFFER_BYTES);

		if (bytes < 0 && errno == EAGAIN)
			return 0;
		if (bytes < 0 && errno == EINTR)
			continue;
		/* A truncated message is a lost one. */
		if (bytes < 0)
			return errno == ENOSPC ? -ENOBUFS : -errno;
		deliver(netlink->buffer, (int)bytes, each, context);
	}
	return 1;
}

struct dump {
	slu_netlink_message *each;
	void *context;
	bool interrupted;
};

static int dump_message(const struct nlmsghdr *message, void *data)
{
	struct dump *dump = data;

	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		dump->interrupted = true;
	dump->each(dump->context, message);
	return MNL_CB_OK;
}

static int receive_all(struct slu_netlink *netlink, uint32_t sequence, struct dump *dump)
{
	unsigned int portid = mnl_socket_get_portid(netlink->requests);
	int result = MNL_CB_OK;

	while (result > MNL_CB_STOP) {
		ssize_t bytes = mnl_socket_recvfrom(netlink->requests, netlink->buffer, BUFFER_BYTES);

		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return -errno;
		result = mnl_cb_run(netlink->buffer, (size_t)bytes, sequence, portid, dump ? dump_message : NULL, dump);
		/* The rest of an earlier answer that failed half-way. */
		if (result < 0 && errno == EPROTO)
			result = MNL_CB_OK;
	}
	if (result < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return 0;
}

/* What to dump; table 0: those of all. */
struct question {
	uint16_t type;
	uint8_t family;
	uint32_t table;
};

static int dump_once(struct slu_netlink *netlink, const struct question *question, struct dump *dump)
{
	uint8_t request[NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct rtmsg)) + 64] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(request);
	size_t extra = sizeof(struct rtmsg);
	uint8_t *body;

	if (question->type == RTM_GETLINK)
		extra = sizeof(struct ifinfomsg);
	else if (question->type == RTM_GETNEIGH)
		extra = sizeof(struct ndmsg);
	else if (question->type == RTM_GETADDR)
		extra = sizeof(struct ifaddrmsg);
	message->nlmsg_type = question->type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = ++netlink->sequence;
	body = mnl_nlmsg_put_extra_header(message, extra);
	body[0] = question->family; /* the first byte of all four headers */
	if (question->table)
		mnl_attr_put_u32(message, RTA_TABLE, question->table);
	if (mnl_socket_sendto(netlink->requests, message, message->nlmsg_len) < 0)
		return -errno;
	return receive_all(netlink, message->nlmsg_seq, dump);
}

static int dump_all(struct slu_netlink *netlink, const struct question *question, slu_netlink_message *each,
	void (*restart)(void *context), void *context)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		struct dump dump = {.each = each, .context = context};
		int error;

		if (attempt > 0 && restart)
			restart(context);
		error = dump_once(netlink, question, &dump);
		if (error && error != -EAGAIN)
			return error;
		if (!error && !dump.interrupted)
			return 0;
	}
	return -EAGAIN;
}

int slu_netlink_dump(struct slu_netlink *netlink, uint16_t type, uint8_t family, slu_netlink_message *each,
	void (*restart)(void *context), void *context)
{
	return dump_all(netlink, &(struct question){.type = type, .family = family}, each, restart, context);
}

int slu_netlink_dump_table(struct slu_netlink *netlink, uint32_t table, slu_netlink_message *each,
	void (*restart)(void *context), void *context)
{
	return dump_all(netlink, &(struct question){.type = RTM_GETROUTE, .table = table}, each, restart, context);
}

int slu_netlink_request(struct slu_netlink *netlink, struct nlmsghdr *message)
{
	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = ++netlink->sequence;
	if (mnl_socket_sendto(netlink->requests, message, message->nlmsg_len) < 0)
		return -errno;
	return receive_all(netlink, message->nlmsg_seq, NULL);
}
