#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "l7/channel.h"

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct slu_channel *channel = arg;
	unsigned edges = 0;

	(void)fd;
	if (what & EV_CLOSED)
		channel->peer_ended = true;
	if (what & (EV_READ | EV_CLOSED)) {
		channel->readable = true;
		edges |= SLU_CHANNEL_READ;
	}
	/* The socket is nearly always writable, so every edge says so: news only to who was told -EAGAIN. */
	if ((what & EV_WRITE) && !channel->writable) {
		channel->writable = true;
		edges |= SLU_CHANNEL_WRITE;
	}
	if (edges == 0)
		return;
	if (channel->ops != NULL)
		channel->ops->event(channel, edges);
	else
		channel->ready(channel, edges, channel->arg);
}

int slu_channel_open(struct slu_channel *channel, struct event_base *base, int fd, bool connecting,
	const struct slu_channel_ops *ops, void *state, slu_channel_ready_fn *ready, void *arg)
{
	*channel = (struct slu_channel){
		.fd = fd,
		.readable = !connecting,
		.writable = !connecting,
		.connecting = connecting,
		.ops = ops,
		.state = state,
		.ready = ready,
		.arg = arg,
	};
	if (event_assign(&channel->event, base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_event,
		    channel) != 0 ||
		event_add(&channel->event, NULL) != 0) {
		channel->fd = -1;
		return errno != 0 ? -errno : -ENOMEM;
	}
	return 0;
}

void slu_channel_give(struct slu_channel *channel, slu_channel_ready_fn *ready, void *arg)
{
	channel->ready = ready;
	channel->arg = arg;
}

int slu_channel_connected(struct slu_channel *channel)
{
	if (channel->ops != NULL)
		return channel->ops->connected(channel);
	if (channel->connecting) {
		int error = 0;
		socklen_t bytes = sizeof(error);

		if (!channel->writable)
			return -EAGAIN;
		if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0)
			return -errno;
		if (error != 0)
			return -error;
		channel->connecting = false;
	}
	return 0;
}

ssize_t slu_channel_socket_read(struct slu_channel *channel, void *bytes, size_t room)
{
	ssize_t taken;

	if (!channel->readable)
		return -EAGAIN;
	do
		taken = recv(channel->fd, bytes, room, 0);
	while (taken < 0 && errno == EINTR);
	if (taken < 0) {
		if (errno != EAGAIN)
			return -errno;
		channel->readable = false;
		return -EAGAIN;
	}
	/* Less than asked for: the socket is empty, and the next bytes make an edge. An end that has come already does
	 * not. */
	if ((size_t)taken < room && !channel->peer_ended)
		channel->readable = taken == 0;
	return taken;
}

ssize_t slu_channel_socket_write(struct slu_channel *channel, const struct iovec *parts, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
	ssize_t taken;

	if (!channel->writable)
		return -EAGAIN;
	do
		taken = count == 1 ? send(channel->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
				   : sendmsg(channel->fd, &message, MSG_NOSIGNAL);
	while (taken < 0 && errno == EINTR);
	if (taken < 0) {
		if (errno != EAGAIN)
			return -errno;
		channel->writable = false;
		return -EAGAIN;
	}
	return taken;
}

ssize_t slu_channel_read(struct slu_channel *channel, void *bytes, size_t room)
{
	if (channel->ops != NULL)
		return channel->ops->read(channel, bytes, room);
	return slu_channel_socket_read(channel, bytes, room);
}

ssize_t slu_channel_write(struct slu_channel *channel, const struct iovec *parts, int count)
{
	if (channel->ops != NULL)
		return channel->ops->write(channel, parts, count);
	return slu_channel_socket_write(channel, parts, count);
}

int slu_channel_finish(struct slu_channel *channel)
{
	if (channel->ops != NULL)
		return channel->ops->finish(channel);
	return shutdown(channel->fd, SHUT_WR) == 0 ? 0 : -errno;
}

void slu_channel_close(struct slu_channel *channel)
{
	if (channel->fd < 0)
		return;
	if (channel->ops != NULL)
		channel->ops->close(channel);
	event_del_noblock(&channel->event);
	close(channel->fd);
	channel->fd = -1;
}

const char *slu_channel_protocol(const struct slu_channel *channel)
{
	return channel->ops != NULL ? channel->ops->protocol(channel) : NULL;
}

void slu_channel_wake(struct slu_channel *channel, unsigned what)
{
	channel->ready(channel, what, channel->arg);
}
