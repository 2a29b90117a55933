/*
 * One TLS connection behind a channel (l7/channel.h): the handshake, which may pause
 * until a key server answers, and then records. One worker's thread only.
 *
 * A stream belongs to its channel: slu_channel_close() ends both.
 */
#ifndef SLU_L7_STREAM_H
#define SLU_L7_STREAM_H

#include <openssl/ssl.h>

#include "l7/channel.h"

struct slu_engine;
struct slu_tls_listener;
struct slu_tls_backend;

/*
 * A client's connection: slu_channel_open() with TLS. `listener` is referenced as long
 * as the connection lives. Returns 0, or -errno and fd stays the caller's.
 */
int slu_stream_accept(struct slu_channel *channel, struct slu_engine *engine, struct slu_tls_listener *listener, int fd,
	slu_channel_ready_fn *ready, void *arg);

/*
 * The same towards a server, whose certificate must have `name` (also sent as SNI); NULL:
 * the name in `backend`. `connecting` as in slu_channel_open().
 */
int slu_stream_connect(struct slu_channel *channel, struct slu_engine *engine, struct slu_tls_backend *backend,
	const char *name, int fd, bool connecting, slu_channel_ready_fn *ready, void *arg);

/* The connection's SSL, for what is shown of it (version, cipher, certificate of the peer); NULL of a clear channel. */
const SSL *slu_stream_ssl(const struct slu_channel *channel);

#endif
