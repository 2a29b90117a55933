#include "l7/tls/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "l7/tls/backend.h"
#include "l7/tls/linger.h"
#include "l7/tls/listener.h"
#include "l7/tls/stream_state.h"

/* Header, tag and padding of a record, and room for a message of the handshake protocol (a key update). */
#define RECORD_EXTRA_BYTES 512

/* ------------------------------------------------------------------ channel */

static int connect_error(struct slu_channel *channel)
{
	int error = 0;
	socklen_t bytes = sizeof(error);

	channel->connecting = false;
	return getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0 ? -errno : -error;
}

static void on_handshake_event(struct slu_tls_stream *stream)
{
	struct slu_channel *channel = stream->channel;
	int error = 0;

	if (channel->connecting) {
		if (!channel->writable)
			return;
		error = connect_error(channel);
	}
	if (error != 0) {
		slu_handshake_fail(stream, error);
	} else if (stream->handshake->is_paused || stream->handshake->queue != NULL) {
		if (channel->peer_ended)
			slu_handshake_fail(stream, -ECONNRESET);
	} else {
		slu_handshake_step(stream);
	}
}

static void on_event(struct slu_channel *channel, unsigned what)
{
	struct slu_tls_stream *stream = channel->state;

	if (stream->handshake != NULL) {
		on_handshake_event(stream);
		return;
	}
	if ((what & SLU_CHANNEL_WRITE) && stream->pending != NULL && slu_output_flush(stream) == -EAGAIN)
		what &= ~SLU_CHANNEL_WRITE;
	if (what != 0)
		slu_channel_wake(channel, what);
}

static int connected(struct slu_channel *channel)
{
	const struct slu_tls_stream *stream = channel->state;

	if (stream->error != 0)
		return stream->error;
	return stream->handshake != NULL ? -EAGAIN : 0;
}

/* --------------------------------------------------------------------- read */

/* A stream that is cut without close_notify is broken: what came may not be all (RFC 8446, 6.1). */
static ssize_t read_failed(struct slu_tls_stream *stream, int why)
{
	switch (why) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		stream->is_ended = true;
		return 0;
	default:
		ERR_clear_error();
		if (stream->error == 0)
			stream->error = -EPROTO;
		return stream->error;
	}
}

static ssize_t read_bytes(struct slu_channel *channel, void *bytes, size_t room)
{
	struct slu_tls_stream *stream = channel->state;
	size_t count = 0;
	int result, why;

	if (stream->error != 0 || stream->is_ended)
		return stream->error;
	if (stream->handshake != NULL)
		return -EAGAIN;
	ERR_clear_error();
	result = SSL_read_ex(stream->ssl, bytes, room, &count);
	why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(stream->ssl, result);
	/* An alert, or our part of a key update. What cannot go now goes with the next bytes. */
	if (stream->engine->out_bytes > 0)
		slu_output_flush(stream);
	return result == 1 ? (ssize_t)count : read_failed(stream, why);
}

/* -------------------------------------------------------------------- write */

/* What remains to be taken of the caller's parts. */
struct source {
	const struct iovec *parts;
	int count;
	size_t offset; /* in the first */
};

static void take(struct source *source, size_t bytes)
{
	while (bytes > 0) {
		size_t rest = source->parts->iov_len - source->offset;

		if (bytes < rest) {
			source->offset += bytes;
			return;
		}
		bytes -= rest;
		source->parts++;
		source->count--;
		source->offset = 0;
	}
}

/*
 * The next record's text: from where it lies if one part fills it or is the last, else gathered, because a head and its
 * body in two records would cost a seal and 22 bytes more.
 */
static const uint8_t *next_text(const struct source *source, uint8_t *gathered, size_t *bytes)
{
	size_t offset = source->offset, rest = source->parts->iov_len - offset;

	if (rest >= SLU_ENGINE_RECORD_BYTES || source->count == 1) {
		*bytes = rest < SLU_ENGINE_RECORD_BYTES ? rest : SLU_ENGINE_RECORD_BYTES;
		return (const uint8_t *)source->parts->iov_base + offset;
	}
	*bytes = 0;
	for (int i = 0; i < source->count && *bytes < SLU_ENGINE_RECORD_BYTES; i++) {
		size_t count = source->parts[i].iov_len - offset, room = SLU_ENGINE_RECORD_BYTES - *bytes;

		count = count < room ? count : room;
		memcpy(gathered + *bytes, (const uint8_t *)source->parts[i].iov_base + offset, count);
		*bytes += count;
		offset = 0;
	}
	return gathered;
}

/* Returns the number of bytes that were encrypted, or -EPROTO. */
static ssize_t seal(struct slu_tls_stream *stream, const struct iovec *parts, int count)
{
	struct slu_engine *engine = stream->engine;
	struct source source = {parts, count, 0};
	size_t total = 0;

	while (source.count > 0 &&
		engine->out_bytes + SLU_ENGINE_RECORD_BYTES + RECORD_EXTRA_BYTES <= SLU_ENGINE_OUT_BYTES) {
		size_t bytes, written;
		const uint8_t *text = next_text(&source, engine->plain, &bytes);

		ERR_clear_error();
		if (SSL_write_ex(stream->ssl, text, bytes, &written) != 1) {
			ERR_clear_error();
			stream->error = -EPROTO;
			return -EPROTO;
		}
		total += written;
		take(&source, written);
	}
	return (ssize_t)total;
}

static ssize_t write_parts(struct slu_channel *channel, const struct iovec *parts, int count)
{
	struct slu_tls_stream *stream = channel->state;
	ssize_t taken;
	int error;

	if (stream->handshake != NULL && stream->error == 0)
		return -EAGAIN;
	if (stream->is_finished)
		return -EPIPE;
	error = slu_output_flush(stream);
	if (error != 0)
		return error;
	taken = seal(stream, parts, count);
	if (taken < 0)
		return taken;
	error = slu_output_flush(stream);
	return error == 0 || error == -EAGAIN ? taken : error;
}

/* ---------------------------------------------------------------------- end */

static int finish(struct slu_channel *channel)
{
	struct slu_tls_stream *stream = channel->state;
	int error;

	if (stream->error != 0)
		return stream->error;
	if (stream->handshake != NULL)
		return -EAGAIN;
	if (!stream->is_finished) {
		ERR_clear_error();
		SSL_shutdown(stream->ssl);
		stream->is_finished = true;
	}
	error = slu_output_flush(stream);
	if (error != 0)
		return error;
	return shutdown(channel->fd, SHUT_WR) == 0 ? 0 : -errno;
}

static void free_stream(struct slu_tls_stream *stream)
{
	SSL_free(stream->ssl);
	free(stream->pending);
	free(stream);
}

static void close_stream(struct slu_channel *channel)
{
	struct slu_tls_stream *stream = channel->state;

	if (stream->handshake != NULL)
		slu_handshake_abandon(stream);
	else if (stream->pending != NULL && slu_output_flush(stream) == -EAGAIN)
		slu_linger_start(
			stream->engine, channel->fd, &stream->pending, stream->pending_begin, stream->pending_end);
	free_stream(stream);
	channel->state = NULL;
}

static const char *protocol(const struct slu_channel *channel)
{
	const struct slu_tls_stream *stream = channel->state;
	const unsigned char *name;
	unsigned int bytes;

	SSL_get0_alpn_selected(stream->ssl, &name, &bytes);
	if (bytes == 2 && memcmp(name, "h2", 2) == 0)
		return "h2";
	return bytes == 8 && memcmp(name, "http/1.1", 8) == 0 ? "http/1.1" : NULL;
}

static const struct slu_channel_ops operations = {.event = on_event,
	.connected = connected,
	.read = read_bytes,
	.write = write_parts,
	.finish = finish,
	.close = close_stream,
	.protocol = protocol};

/* -------------------------------------------------------------------- begin */

static struct slu_tls_stream *new_stream(struct slu_engine *engine, struct slu_channel *channel, SSL_CTX *context)
{
	struct slu_tls_stream *stream = calloc(1, sizeof(*stream));
	BIO *bio = BIO_new(engine->bio);

	if (stream != NULL)
		stream->ssl = SSL_new(context);
	if (stream == NULL || bio == NULL || stream->ssl == NULL) {
		BIO_free(bio);
		free(stream);
		return NULL;
	}
	stream->engine = engine;
	stream->channel = channel;
	BIO_set_data(bio, stream);
	BIO_set_init(bio, 1);
	SSL_set_bio(stream->ssl, bio, bio);
	return stream;
}

static int open_stream(struct slu_tls_stream *stream, struct slu_tls_listener *listener, int fd, bool connecting,
	bool may_pause, slu_channel_ready_fn *ready, void *arg)
{
	struct slu_channel *channel = stream->channel;
	int error = slu_channel_open(channel, stream->engine->base, fd, connecting, &operations, stream, ready, arg);

	if (error == 0) {
		error = slu_handshake_begin(stream, listener, may_pause, listener == NULL && !connecting);
		if (error == 0)
			return 0;
		event_del_noblock(&channel->event);
		channel->fd = -1;
	}
	free_stream(stream);
	return error;
}

int slu_stream_accept(struct slu_channel *channel, struct slu_engine *engine, struct slu_tls_listener *listener, int fd,
	slu_channel_ready_fn *ready, void *arg)
{
	struct slu_tls_stream *stream = new_stream(engine, channel, slu_tls_listener_context(listener));

	if (stream == NULL)
		return -ENOMEM;
	SSL_set_accept_state(stream->ssl);
	return open_stream(stream, listener, fd, false, true, ready, arg);
}

int slu_stream_connect(struct slu_channel *channel, struct slu_engine *engine, struct slu_tls_backend *backend,
	const char *name, int fd, bool connecting, slu_channel_ready_fn *ready, void *arg)
{
	struct slu_tls_stream *stream = new_stream(engine, channel, slu_tls_backend_context(backend));

	if (stream == NULL)
		return -ENOMEM;
	SSL_set_connect_state(stream->ssl);
	if (slu_tls_backend_expect(backend, stream->ssl, name) != 0) {
		free_stream(stream);
		return -ENOMEM;
	}
	return open_stream(stream, NULL, fd, connecting, slu_tls_backend_has_certificate(backend), ready, arg);
}

const SSL *slu_stream_ssl(const struct slu_channel *channel)
{
	return channel->ops == &operations ? ((const struct slu_tls_stream *)channel->state)->ssl : NULL;
}
