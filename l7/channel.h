/*
 * A non-blocking byte stream over a connected (or connecting) socket, clear or
 * TLS behind the same functions. One worker's thread only.
 *
 * Readiness is edge-triggered and registered once: after `ready` was called a
 * user may read until -EAGAIN and write until -EAGAIN, now or any time later
 * (that is back-pressure: simply do not read). `ready` is called again only for
 * what became possible after a -EAGAIN. Nothing is registered anew in between,
 * so an idle or a throttled connection costs no system call.
 *
 * A TLS channel makes its handshake by itself; until it is done read and write
 * return -EAGAIN, and `ready` follows. A handshake that fails is an error that
 * slu_channel_connected(), read and write return (-EPROTO, or what the socket
 * said); its alert has been sent by then.
 */
#ifndef SLU_L7_CHANNEL_H
#define SLU_L7_CHANNEL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct slu_channel;

/* What may have become possible. Advice: read and write tell the truth. */
#define SLU_CHANNEL_READ 0x1u
#define SLU_CHANNEL_WRITE 0x2u

/*
 * The channel's user. It may close the channel (and free what holds it): the
 * caller touches neither after this call.
 */
typedef void slu_channel_ready_fn(struct slu_channel *channel, unsigned what, void *arg);

/*
 * The TLS side. Every function has the contract of the slu_channel function of
 * its name. `event` is told of edges of the socket (SLU_CHANNEL_*) in place of
 * the user, and calls slu_channel_wake() for what the user can now do.
 */
struct slu_channel_ops {
	void (*event)(struct slu_channel *channel, unsigned what);
	int (*connected)(struct slu_channel *channel);
	ssize_t (*read)(struct slu_channel *channel, void *bytes, size_t room);
	ssize_t (*write)(struct slu_channel *channel, const struct iovec *parts, int count);
	int (*finish)(struct slu_channel *channel);
	void (*close)(struct slu_channel *channel);
	const char *(*protocol)(const struct slu_channel *channel);
};

/* Open, to be part of its user's structure; users look at `fd` alone. */
struct slu_channel {
	struct event event;
	int fd;                            /* -1: closed */
	bool readable;                     /* since the last -EAGAIN there was an edge */
	bool writable;                     /* the same for writing */
	bool peer_ended;                   /* FIN or RST was announced: a short read is not the last one */
	bool connecting;                   /* connect() was in progress */
	const struct slu_channel_ops *ops; /* NULL: clear */
	void *state;                       /* of ops */
	slu_channel_ready_fn *ready;
	void *arg;
};

/*
 * Starts a channel over `fd`, a non-blocking stream socket; `connecting` when
 * its connect() returned EINPROGRESS. `ops` and `state` are NULL for clear text;
 * the TLS room fills them in. A socket that is connected counts as readable and
 * writable at once. `ready` is never called from here.
 *
 * Returns 0, and the channel owns fd; -ENOMEM or -errno of epoll, and it does not.
 */
int slu_channel_open(struct slu_channel *channel, struct event_base *base, int fd, bool connecting,
	const struct slu_channel_ops *ops, void *state, slu_channel_ready_fn *ready, void *arg);

/* Another user from now on (a connection that goes into or out of a pool). */
void slu_channel_give(struct slu_channel *channel, slu_channel_ready_fn *ready, void *arg);

/* 0 once the connection (and the handshake) stands; -EAGAIN before; else why it failed (-ECONNREFUSED, -EPROTO ...). */
int slu_channel_connected(struct slu_channel *channel);

/*
 * Reads up to `room` bytes, at least 1. Returns the number; 0 at the orderly end
 * (FIN, and with TLS only after close_notify); -EAGAIN; -ECONNRESET, -EPROTO and
 * other -errno when the stream is broken (a TLS stream cut without close_notify
 * is -EPROTO). After 0 or an error the answer stays so.
 */
ssize_t slu_channel_read(struct slu_channel *channel, void *bytes, size_t room);

/*
 * Writes what fits of `count` parts (1 to SLU_CHANNEL_PARTS_MAX, none empty).
 * Returns the number of bytes taken, in order and at least 1; -EAGAIN; -EPIPE,
 * -ECONNRESET, -EPROTO. Taken bytes need not stay in memory, and bytes that were
 * not taken may come again from another place: TLS must accept moved buffers.
 */
#define SLU_CHANNEL_PARTS_MAX 64
ssize_t slu_channel_write(struct slu_channel *channel, const struct iovec *parts, int count);

/* Ends the outgoing direction (FIN; close_notify first with TLS); reading goes on. Returns 0, -EAGAIN, -errno. */
int slu_channel_finish(struct slu_channel *channel);

/*
 * Closes and forgets; safe on a closed channel. What was written is still
 * delivered, unless bytes have come that nobody read: then the kernel resets.
 */
void slu_channel_close(struct slu_channel *channel);

/* What ALPN chose ("h2", "http/1.1"), NULL without ALPN. Valid once connected, as long as the channel. */
const char *slu_channel_protocol(const struct slu_channel *channel);

/* For `ops`: calls the user's `ready`. The channel may be gone afterwards. */
void slu_channel_wake(struct slu_channel *channel, unsigned what);

/*
 * For `ops`: the socket itself. Same results as the slu_channel functions; they
 * keep `readable` and `writable`, so that what would say EAGAIN costs no call.
 */
ssize_t slu_channel_socket_read(struct slu_channel *channel, void *bytes, size_t room);
ssize_t slu_channel_socket_write(struct slu_channel *channel, const struct iovec *parts, int count);

#endif
