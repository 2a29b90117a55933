/*
 * Bytes between OpenSSL and the socket. What OpenSSL encrypts within one call is gathered in the engine's memory and
 * goes to the socket at once; only what the socket does not take is copied into memory of the stream's own. So OpenSSL
 * never sees a full socket, and several records cost one system call.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l7/tls/stream_state.h"

/* More than any handshake's flight and any batch: a peer that only makes us answer and never reads. */
#define PENDING_MAX_BYTES (256 << 10)

static bool keep(struct slu_tls_stream *stream, const uint8_t *bytes, size_t count)
{
	size_t used = stream->pending_end;

	if (count == 0)
		return true;
	if (count > PENDING_MAX_BYTES - used)
		return false;
	if (used + count > stream->pending_room) {
		uint8_t *grown = realloc(stream->pending, used + count);

		if (grown == NULL)
			return false;
		stream->pending = grown;
		stream->pending_room = (uint32_t)(used + count);
	}
	memcpy(stream->pending + used, bytes, count);
	stream->pending_end += (uint32_t)count;
	return true;
}

int slu_output_keep(struct slu_tls_stream *stream)
{
	struct slu_engine *engine = stream->engine;
	bool good = keep(stream, engine->out, engine->out_bytes);

	engine->out_bytes = 0;
	return good ? 0 : -ENOMEM;
}

static int on_write(BIO *bio, const char *bytes, size_t count, size_t *written)
{
	struct slu_tls_stream *stream = BIO_get_data(bio);
	struct slu_engine *engine = stream->engine;

	*written = count;
	if (stream->pending == NULL && count <= SLU_ENGINE_OUT_BYTES - engine->out_bytes) {
		memcpy(engine->out + engine->out_bytes, bytes, count);
		engine->out_bytes += count;
		return 1;
	}
	return slu_output_keep(stream) == 0 && keep(stream, (const uint8_t *)bytes, count);
}

static int on_read(BIO *bio, char *bytes, size_t room, size_t *count)
{
	struct slu_tls_stream *stream = BIO_get_data(bio);
	ssize_t taken = slu_channel_socket_read(stream->channel, bytes, room);

	BIO_clear_retry_flags(bio);
	*count = taken > 0 ? (size_t)taken : 0;
	if (taken > 0)
		return 1;
	if (taken == -EAGAIN)
		BIO_set_retry_read(bio);
	else if (taken < 0)
		stream->error = (int)taken;
	return 0;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

BIO_METHOD *slu_output_bio(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice stream");

	if (method != NULL && BIO_meth_set_write_ex(method, on_write) == 1 &&
		BIO_meth_set_read_ex(method, on_read) == 1 && BIO_meth_set_ctrl(method, on_control) == 1)
		return method;
	BIO_meth_free(method);
	return NULL;
}

static int send_some(struct slu_tls_stream *stream, const uint8_t *bytes, size_t count, size_t *sent)
{
	*sent = 0;
	while (*sent < count) {
		const struct iovec part = {(void *)(bytes + *sent), count - *sent};
		ssize_t taken = slu_channel_socket_write(stream->channel, &part, 1);

		if (taken < 0)
			return (int)taken;
		*sent += (size_t)taken;
	}
	return 0;
}

static int send_pending(struct slu_tls_stream *stream)
{
	size_t sent;
	int error = send_some(
		stream, stream->pending + stream->pending_begin, stream->pending_end - stream->pending_begin, &sent);

	stream->pending_begin += (uint32_t)sent;
	if (error != 0)
		return error;
	free(stream->pending);
	stream->pending = NULL;
	stream->pending_begin = stream->pending_end = stream->pending_room = 0;
	return 0;
}

static int send_gathered(struct slu_tls_stream *stream)
{
	struct slu_engine *engine = stream->engine;
	size_t sent, rest;
	int error = send_some(stream, engine->out, engine->out_bytes, &sent);

	rest = engine->out_bytes - sent;
	engine->out_bytes = 0;
	if (error == -EAGAIN && !keep(stream, engine->out + sent, rest))
		return -ENOMEM;
	return error;
}

int slu_output_flush(struct slu_tls_stream *stream)
{
	int error;

	if (stream->error != 0)
		return stream->error;
	error = stream->pending != NULL ? send_pending(stream) : send_gathered(stream);
	if (error != 0 && error != -EAGAIN)
		stream->error = error;
	return error;
}
