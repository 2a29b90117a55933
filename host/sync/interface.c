/*
 * The interface of the sync network: one that was taken away and comes back is another one to the kernel, and sockets
 * stay with the old one. New ones are opened as soon as it has this node's address.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "host/log.h"
#include "host/sync/engine.h"
#include "host/sync/socket.h"

#define RETRY_MS 100u
#define READ_BYTES 16384u

/* What they say is looked up: some may have been lost. */
static void drain(int netlink)
{
	uint8_t bytes[READ_BYTES];

	while (recv(netlink, bytes, sizeof(bytes), 0) > 0 || errno == ENOBUFS)
		;
}

static bool reopen(struct slu_sync *sync)
{
	struct slu_sync_options options = sync->options;
	int fd, old;
	bool watched;

	options.interface = sync->interface.name;
	if (!slu_socket_has_address(&options))
		return false;
	fd = slu_socket_open_multicast(&options);
	if (fd < 0)
		return false;
	old = sync->multicast;
	sync->if_index = if_nametoindex(options.interface);
	sync->multicast = fd;
	watched = slu_incoming_watch(sync) == 0;
	close(old);
	return watched && slu_feed_listen(sync) == 0;
}

static void look(struct slu_sync *sync)
{
	const struct timeval retry = {.tv_usec = RETRY_MS * 1000};
	struct slu_interface *i = &sync->interface;

	if (!i->gone && if_nametoindex(i->name) == sync->if_index)
		return;
	if (!i->gone)
		slu_warning("session sync: interface %s was taken away", i->name);
	i->gone = true;
	if (!reopen(sync)) {
		event_add(i->retry, &retry);
		return;
	}
	i->gone = false;
	SLU_ENGINE_COUNT(sync->count.reopened, 1);
	slu_info("session sync: interface %s is back", i->name);
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	drain(fd);
	look(arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

static int open_netlink(void)
{
	const struct sockaddr_nl groups = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	int error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int slu_interface_open(struct slu_sync *sync)
{
	struct slu_interface *i = &sync->interface;

	strncpy(i->name, sync->options.interface, sizeof(i->name) - 1);
	i->netlink = open_netlink();
	if (i->netlink < 0) {
		slu_error("session sync: changes of %s: %s", i->name, strerror(-i->netlink));
		return i->netlink;
	}
	i->change = event_new(sync->base, i->netlink, EV_READ | EV_PERSIST, on_change, sync);
	i->retry = evtimer_new(sync->base, on_retry, sync);
	return i->change && i->retry && event_add(i->change, NULL) == 0 ? 0 : -ENOMEM;
}

void slu_interface_close(struct slu_sync *sync)
{
	struct slu_interface *i = &sync->interface;

	if (i->change)
		event_free(i->change);
	if (i->retry)
		event_free(i->retry);
	if (i->netlink >= 0)
		close(i->netlink);
}
