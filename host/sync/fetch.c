/* Asks a member for its sessions and gives them to the data plane, as fast as that takes them. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "host/log.h"
#include "host/sync/stream.h"

#define PATIENCE_MS 1000u /* without a byte from the member: it is gone */
#define RETRY_MS 1

struct slu_fetch {
	struct slu_sync *sync;
	struct slu_engine_peer *peer;
	struct slu_stream *stream;
	struct event *retry;
	uint64_t from, started_ms, sessions;
	uint32_t given; /* of the datagram's records */
	struct slu_codec_datagram datagram;
};

void slu_fetch_free(struct slu_fetch *fetch)
{
	if (!fetch)
		return;
	slu_stream_free(fetch->stream);
	if (fetch->retry)
		event_free(fetch->retry);
	free(fetch);
}

uint64_t slu_fetch_from(const struct slu_fetch *fetch)
{
	return fetch->from;
}

uint32_t slu_fetch_ms(const struct slu_fetch *fetch)
{
	return (uint32_t)(slu_engine_now_ms() - fetch->started_ms);
}

/* Returns whether all records of the frame are given. If not, it will be tried again. */
static bool give(struct slu_fetch *fetch)
{
	const struct timeval soon = {.tv_usec = RETRY_MS * 1000};
	uint32_t left = fetch->datagram.record_count - fetch->given;

	fetch->given += slu_sync_give(fetch->sync->dp, &fetch->datagram.records[fetch->given], left);
	if (fetch->given == fetch->datagram.record_count)
		return true;
	event_add(fetch->retry, &soon);
	return false;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct slu_fetch *fetch = arg;

	(void)fd;
	(void)what;
	if (give(fetch))
		slu_stream_resume(fetch->stream);
}

static enum slu_stream_next take_sessions(struct slu_fetch *fetch, const uint8_t *payload, uint32_t bytes)
{
	struct slu_codec_datagram *d = &fetch->datagram;

	slu_codec_read(payload, bytes, fetch->sync->options.group, d);
	if (d->verdict != SLU_CODEC_TAKEN) {
		slu_warning("session sync: member %u feeds what is no message: %s", fetch->peer->address.id,
			slu_codec_verdict_name(d->verdict));
		return SLU_STREAM_END;
	}
	for (uint32_t i = 0; i < d->record_count; i++)
		d->records[i].sender = fetch->peer->address.id;
	fetch->sessions += d->record_count;
	fetch->given = 0;
	SLU_ENGINE_COUNT(fetch->sync->count.received_records, d->record_count);
	SLU_ENGINE_COUNT(fetch->peer->count.records, d->record_count);
	return give(fetch) ? SLU_STREAM_MORE : SLU_STREAM_PAUSE;
}

static void take_senders(struct slu_fetch *fetch, const uint8_t *payload, uint32_t bytes)
{
	struct slu_sync_wire_sender sender;

	fetch->peer->sender_count = 0;
	for (; bytes >= sizeof(sender); payload += sizeof(sender), bytes -= (uint32_t)sizeof(sender)) {
		struct slu_engine_sender told;
		uint64_t epoch, sequence;

		memcpy(&sender, payload, sizeof(sender));
		memcpy(&epoch, sender.epoch, sizeof(epoch));
		memcpy(&sequence, sender.sequence, sizeof(sequence));
		told = (struct slu_engine_sender){
			.id = sender.id, .epoch = be64toh(epoch), .sequence = be64toh(sequence)};
		slu_peers_sender(fetch->sync, fetch->peer, &told, fetch->from == 0);
	}
}

static void finish(struct slu_fetch *fetch, bool ok)
{
	slu_peers_fetched(fetch->sync, fetch->peer, ok, fetch->sessions);
}

static void on_ready(void *context)
{
	struct slu_fetch *fetch = context;
	uint64_t epoch = htobe64(fetch->peer->replay.epoch), from = htobe64(fetch->from);
	struct slu_sync_wire_request request;

	memcpy(request.epoch, &epoch, sizeof(epoch));
	memcpy(request.from, &from, sizeof(from));
	if (slu_stream_peer(fetch->stream) != fetch->peer->address.id) {
		slu_warning("session sync: member %u answers where %u was expected", slu_stream_peer(fetch->stream),
			fetch->peer->address.id);
		finish(fetch, false);
		return;
	}
	if (!slu_stream_send(fetch->stream, SLU_SYNC_WIRE_REQUEST, &request, sizeof(request)))
		finish(fetch, false);
}

static enum slu_stream_next on_frame(void *context, uint8_t type, const uint8_t *payload, uint32_t bytes)
{
	struct slu_fetch *fetch = context;

	switch (type) {
	case SLU_SYNC_WIRE_SENDERS:
		take_senders(fetch, payload, bytes);
		return SLU_STREAM_MORE;
	case SLU_SYNC_WIRE_SESSIONS:
		return take_sessions(fetch, payload, bytes);
	case SLU_SYNC_WIRE_DONE:
		finish(fetch, true);
		return SLU_STREAM_END;
	default: /* of a later revision */
		return SLU_STREAM_MORE;
	}
}

static void on_drained(void *context)
{
	(void)context;
}

static void on_ended(void *context, const char *why)
{
	struct slu_fetch *fetch = context;

	slu_warning("session sync: fetching from member %u: %s", fetch->peer->address.id,
		why ? why : "it feeds something else");
	finish(fetch, false);
}

struct slu_fetch *slu_fetch_start(struct slu_sync *sync, struct slu_engine_peer *peer, uint64_t from)
{
	struct slu_fetch *fetch = calloc(1, sizeof(*fetch));
	const struct slu_stream_user user = {
		.context = fetch, .ready = on_ready, .frame = on_frame, .drained = on_drained, .ended = on_ended};

	if (!fetch)
		return NULL;
	fetch->sync = sync;
	fetch->peer = peer;
	fetch->from = from;
	fetch->started_ms = slu_engine_now_ms();
	fetch->retry = event_new(sync->base, -1, 0, on_retry, fetch);
	fetch->stream = fetch->retry ? slu_stream_connect(sync, &peer->address.address, &user) : NULL;
	if (!fetch->stream) {
		slu_fetch_free(fetch);
		return NULL;
	}
	slu_stream_patience(fetch->stream, PATIENCE_MS, PATIENCE_MS);
	return fetch;
}
