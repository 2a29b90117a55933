/* Answers members that ask for sessions: all of them, or what they missed of those that this node told. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/listener.h>

#include "host/log.h"
#include "host/sync/history.h"
#include "host/sync/socket.h"
#include "host/sync/stream.h"

#define FEEDS_MAX 16u
#define QUEUE_BYTES (256u * 1024) /* on its way to one member */
#define REQUEST_MS 2000u          /* a member says within it what it wants, and closes the stream when it has it */
#define STALL_MS 5000u            /* a member that takes nothing for so long is given up */

enum feed_state { FEED_ASKED_NOTHING, FEED_HISTORY, FEED_SNAPSHOT, FEED_DONE };

struct slu_feed {
	LIST_ENTRY(slu_feed) link;
	struct slu_sync *sync;
	struct slu_stream *stream;
	enum feed_state state;
	uint64_t cursor;      /* of the history or the snapshot */
	uint64_t from, until; /* sequences, of the history */
	uint64_t sessions;
	struct slu_sync_record records[SLU_CODEC_RECORDS_MAX];
	uint8_t payload[SLU_STREAM_PAYLOAD_MAX];
};

static void free_feed(struct slu_feed *feed)
{
	LIST_REMOVE(feed, link);
	feed->sync->feed_count--;
	slu_stream_free(feed->stream);
	free(feed);
}

/* How far this node has seen the others: whoever starts takes nothing older from them. */
static bool send_senders(struct slu_feed *feed)
{
	struct slu_sync_wire_sender senders[SLU_ENGINE_PEERS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < feed->sync->peer_count; i++) {
		const struct slu_engine_peer *p = &feed->sync->peer[i];
		uint64_t epoch = htobe64(p->replay.epoch), sequence = htobe64(p->replay.highest);

		/* What we miss ourselves, he shall miss too, and ask for. */
		if (p->replay.epoch == 0 || p->gap_from || p->fetch)
			continue;
		senders[count].id = p->address.id;
		memcpy(senders[count].epoch, &epoch, sizeof(epoch));
		memcpy(senders[count].sequence, &sequence, sizeof(sequence));
		count++;
	}
	return slu_stream_send(
		feed->stream, SLU_SYNC_WIRE_SENDERS, senders, count * (uint32_t)sizeof(struct slu_sync_wire_sender));
}

static bool send_history(struct slu_feed *feed)
{
	const struct slu_history *history = feed->sync->out.history;
	uint64_t sequence = 0;
	uint32_t bytes = 0;

	if (!slu_history_reaches(history, feed->from)) {
		feed->state = FEED_SNAPSHOT;
		feed->cursor = 0;
		return true;
	}
	bytes = slu_history_next(history, &feed->cursor, feed->from, &sequence, feed->payload);
	if (bytes == 0 || sequence > feed->until) {
		feed->state = FEED_DONE;
		return slu_stream_send(feed->stream, SLU_SYNC_WIRE_DONE, NULL, 0);
	}
	feed->from = sequence + 1;
	return slu_stream_send(feed->stream, SLU_SYNC_WIRE_SESSIONS, feed->payload, bytes);
}

static bool send_snapshot(struct slu_feed *feed)
{
	struct slu_sync *sync = feed->sync;
	uint32_t count = slu_sync_snapshot(sync->dp, &feed->cursor, feed->records, SLU_CODEC_RECORDS_MAX);
	struct slu_codec_writer w;

	if (count == 0) {
		feed->state = FEED_DONE;
		SLU_ENGINE_COUNT(sync->count.joins_served, 1);
		slu_info("session sync: told member %u all %lu sessions", slu_stream_peer(feed->stream),
			(unsigned long)feed->sessions);
		return slu_stream_send(feed->stream, SLU_SYNC_WIRE_DONE, NULL, 0);
	}
	slu_codec_begin(&w, feed->payload, sizeof(feed->payload), sync->options.group);
	for (uint32_t i = 0; i < count; i++)
		if (slu_codec_add(&w, &feed->records[i], slu_stream_revision(feed->stream)) == 0)
			feed->sessions++;
	return w.count == 0 ||
	       slu_stream_send(feed->stream, SLU_SYNC_WIRE_SESSIONS, feed->payload, slu_codec_end(&w, NULL));
}

/* Queues as much as may be on its way. The rest of the thread's work comes between two calls. */
static void produce(struct slu_feed *feed)
{
	bool ok = true;

	while (ok && slu_stream_queued(feed->stream) < QUEUE_BYTES) {
		if (feed->state == FEED_HISTORY)
			ok = send_history(feed);
		else if (feed->state == FEED_SNAPSHOT)
			ok = send_snapshot(feed);
		else
			break;
	}
	if (!ok)
		free_feed(feed);
	else if (feed->state == FEED_DONE)
		slu_stream_patience(feed->stream, REQUEST_MS, STALL_MS);
}

static void on_ready(void *context)
{
	(void)context;
}

/* Whether what was told from that number on is in a revision that the other side reads: it stands there as it was sent.
 */
static bool reads_history(const struct slu_feed *feed)
{
	for (uint32_t r = slu_stream_revision(feed->stream) + 1u; r <= SLU_SYNC_WIRE_REVISION; r++)
		if (feed->from <= feed->sync->out.newest[r])
			return false;
	return true;
}

static enum slu_stream_next on_frame(void *context, uint8_t type, const uint8_t *payload, uint32_t bytes)
{
	struct slu_feed *feed = context;
	struct slu_sync_wire_request request;
	uint64_t epoch;

	if (type != SLU_SYNC_WIRE_REQUEST || bytes < sizeof(request) || feed->state != FEED_ASKED_NOTHING)
		return SLU_STREAM_END;
	memcpy(&request, payload, sizeof(request));
	memcpy(&epoch, request.epoch, sizeof(epoch));
	memcpy(&feed->from, request.from, sizeof(feed->from));
	feed->from = be64toh(feed->from);
	feed->until = feed->sync->out.sequence;
	feed->state = feed->from && be64toh(epoch) == feed->sync->options.epoch && reads_history(feed) ? FEED_HISTORY
												       : FEED_SNAPSHOT;
	slu_stream_patience(feed->stream, 0, STALL_MS);
	if (!send_senders(feed))
		return SLU_STREAM_END;
	produce(feed);
	return SLU_STREAM_MORE;
}

static void on_drained(void *context)
{
	produce(context);
}

static void on_ended(void *context, const char *why)
{
	struct slu_feed *feed = context;

	if (feed->state != FEED_DONE)
		slu_warning("session sync: a member that asked for sessions is not served: %s",
			why ? why : "it asked for nothing that there is");
	free_feed(feed);
}

void slu_feed_accept(struct slu_sync *sync, int fd)
{
	struct slu_feed *feed = sync->feed_count < FEEDS_MAX ? calloc(1, sizeof(*feed)) : NULL;
	const struct slu_stream_user user = {
		.context = feed, .ready = on_ready, .frame = on_frame, .drained = on_drained, .ended = on_ended};

	if (!feed) {
		close(fd);
		return;
	}
	feed->sync = sync;
	feed->stream = slu_stream_accept(sync, fd, &user);
	if (!feed->stream) {
		free(feed);
		return;
	}
	slu_stream_patience(feed->stream, REQUEST_MS, STALL_MS);
	LIST_INSERT_HEAD(&sync->feeds, feed, link);
	sync->feed_count++;
}

static void on_accept(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int bytes, void *arg)
{
	(void)listener;
	(void)address;
	(void)bytes;
	slu_feed_accept(arg, fd);
}

int slu_feed_listen(struct slu_sync *sync)
{
	int fd;

	/* Two cannot have the port. */
	if (sync->listener)
		evconnlistener_free(sync->listener);
	sync->listener = NULL;
	fd = slu_socket_open_listener(&sync->options, sync->if_index);
	if (fd < 0)
		return fd;
	sync->listener =
		evconnlistener_new(sync->base, on_accept, sync, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (sync->listener)
		return 0;
	close(fd);
	return -ENOMEM;
}

void slu_feed_close(struct slu_sync *sync)
{
	struct slu_feed *feed;

	while ((feed = LIST_FIRST(&sync->feeds)))
		free_feed(feed);
	if (sync->listener)
		evconnlistener_free(sync->listener);
}
