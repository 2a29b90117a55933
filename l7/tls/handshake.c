/*
 * The handshake of a stream. It runs in a job of OpenSSL (SSL_MODE_ASYNC), because the provider may pause it; the mode
 * is cleared afterwards, so that records cost no job.
 */
#include <errno.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "l7/tls/listener.h"
#include "l7/tls/stream_state.h"

#define BOTH (SLU_CHANNEL_READ | SLU_CHANNEL_WRITE)

static void enqueue(struct slu_tls_stream *stream, struct slu_tls_streams *queue)
{
	struct slu_handshake *handshake = stream->handshake;

	if (handshake->queue != NULL)
		TAILQ_REMOVE(handshake->queue, stream, handshake->entry);
	handshake->queue = queue;
	if (queue != NULL)
		TAILQ_INSERT_TAIL(queue, stream, handshake->entry);
	if (queue == &stream->engine->ready)
		event_active(stream->engine->turn, EV_TIMEOUT, 0);
}

/* Called by the key client: OpenSSL is not entered from within it. */
static void on_wake(struct slu_key_wait *wait)
{
	struct slu_tls_stream *stream = ((struct slu_handshake *)wait)->stream;

	enqueue(stream, &stream->engine->ready);
}

int slu_handshake_begin(struct slu_tls_stream *stream, struct slu_tls_listener *listener, bool may_pause, bool now)
{
	struct slu_handshake *handshake = calloc(1, sizeof(*handshake));

	if (handshake == NULL)
		return -ENOMEM;
	handshake->wait = (struct slu_key_wait){.keys = stream->engine->keys, .ssl = stream->ssl, .wake = on_wake};
	handshake->stream = stream;
	handshake->listener = listener != NULL ? slu_tls_listener_reference(listener) : NULL;
	stream->handshake = handshake;
	if (may_pause)
		SSL_set_mode(stream->ssl, SSL_MODE_ASYNC);
	if (now)
		enqueue(stream, &stream->engine->ready);
	return 0;
}

/* A job became free: somebody waits for it, perhaps. */
static void pass_job_on(struct slu_engine *engine)
{
	struct slu_tls_stream *next = TAILQ_FIRST(&engine->jobless);

	if (next != NULL)
		enqueue(next, &engine->ready);
}

static void end(struct slu_tls_stream *stream)
{
	struct slu_engine *engine = stream->engine;

	enqueue(stream, NULL);
	if (stream->handshake->is_paused)
		engine->counters.waiting--;
	slu_tls_listener_release(stream->handshake->listener);
	free(stream->handshake);
	stream->handshake = NULL;
	pass_job_on(engine);
}

static void count_end(const struct slu_tls_stream *stream)
{
	struct slu_engine_counters *counters = &stream->engine->counters;
	bool failed = stream->error != 0;

	if (!SSL_is_server(stream->ssl)) {
		counters->backend_handshakes += !failed;
		counters->backend_failed += failed;
		return;
	}
	counters->handshakes += !failed;
	counters->resumed += !failed && SSL_session_reused(stream->ssl);
	counters->failed += failed;
	counters->failed_key += failed && stream->handshake->wait.error != 0;
	counters->failed_protocol += failed && stream->handshake->wait.error == 0;
}

/* The alert went out with slu_output_flush(). */
static void fail(struct slu_tls_stream *stream, int why)
{
	if (stream->error == 0)
		stream->error = why == SSL_ERROR_SYSCALL ? -ECONNRESET : -EPROTO;
	ERR_clear_error();
	count_end(stream);
	end(stream);
	slu_channel_wake(stream->channel, BOTH);
}

static void succeed(struct slu_tls_stream *stream)
{
	SSL_clear_mode(stream->ssl, SSL_MODE_ASYNC);
	count_end(stream);
	end(stream);
	slu_channel_wake(stream->channel, BOTH);
}

/* One call of OpenSSL. Returns what SSL_get_error() says of it. */
static int call(struct slu_tls_stream *stream)
{
	struct slu_handshake *handshake = stream->handshake;
	struct slu_engine *engine = stream->engine;
	int result, why;

	ERR_clear_error();
	slu_key_wait_enter(&handshake->wait);
	result = SSL_do_handshake(stream->ssl);
	slu_key_wait_leave();
	why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(stream->ssl, result);
	engine->counters.waiting += (why == SSL_ERROR_WANT_ASYNC) - handshake->is_paused;
	handshake->is_paused = why == SSL_ERROR_WANT_ASYNC;
	return why;
}

void slu_handshake_step(struct slu_tls_stream *stream)
{
	int why, sent;

	enqueue(stream, NULL);
	why = call(stream);
	/* While it is paused the flight is not complete: the rest goes out with it. */
	sent = why == SSL_ERROR_WANT_ASYNC ? slu_output_keep(stream) : slu_output_flush(stream);
	if (sent != 0 && sent != -EAGAIN && stream->error == 0)
		stream->error = sent;
	switch (why) {
	case SSL_ERROR_NONE:
		succeed(stream);
		return;
	case SSL_ERROR_WANT_ASYNC:
		return;
	case SSL_ERROR_WANT_ASYNC_JOB:
		stream->engine->counters.waited_for_job++;
		enqueue(stream, &stream->engine->jobless);
		return;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		if (stream->error == 0) {
			pass_job_on(stream->engine);
			return;
		}
		break;
	default:
		break;
	}
	fail(stream, why);
}

/* A paused job is run to its end, which is near: the provider fails, and so does OpenSSL. */
void slu_handshake_abandon(struct slu_tls_stream *stream)
{
	slu_key_wait_cancel(&stream->handshake->wait);
	while (stream->handshake->is_paused)
		call(stream);
	stream->engine->out_bytes = 0;
	ERR_clear_error();
	stream->engine->counters.abandoned++;
	end(stream);
}

void slu_handshake_fail(struct slu_tls_stream *stream, int error)
{
	slu_handshake_abandon(stream);
	stream->error = error;
	slu_channel_wake(stream->channel, BOTH);
}

void slu_handshake_turn(evutil_socket_t fd, short what, void *context)
{
	struct slu_engine *engine = context;
	struct slu_tls_stream *stream;

	(void)fd;
	(void)what;
	while ((stream = TAILQ_FIRST(&engine->ready)) != NULL)
		slu_handshake_step(stream);
}
