/* Sessions on their way out: from the data plane into datagrams, and those to the group. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "host/sync/auth.h"
#include "host/sync/engine.h"
#include "host/sync/history.h"
#include "host/sync/socket.h"

#define TAKE 256u  /* records at a time */
#define ROUNDS 16u /* until the thread looks at its other work */

/* ------------------------------------------------------------------ sending */

/*
 * What the socket does not take is lost, and counted: members see the gap and fetch it from the history. Waiting here
 * would hold up what comes in.
 */
static void send_batch(struct slu_sync *sync)
{
	struct slu_outgoing *o = &sync->out;
	struct mmsghdr messages[SLU_ENGINE_BATCH + 1];
	struct iovec parts[SLU_ENGINE_BATCH + 1];
	struct sockaddr_storage to;
	socklen_t to_bytes = slu_socket_address(&sync->options.multicast, sync->options.port, sync->if_index, &to);
	uint32_t at = 0;

	memset(messages, 0, o->full * sizeof(*messages));
	for (uint32_t i = 0; i < o->full; i++) {
		parts[i] = (struct iovec){.iov_base = o->slot[i], .iov_len = o->bytes[i]};
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &to, .msg_namelen = to_bytes, .msg_iov = &parts[i], .msg_iovlen = 1};
	}
	while (at < o->full) {
		int sent = sendmmsg(sync->multicast, messages + at, o->full - at, 0);

		if (sent > 0) {
			SLU_ENGINE_COUNT(sync->count.sent_datagrams, (uint64_t)sent);
			at += (uint32_t)sent;
		} else if (sent == 0 || errno != EINTR) {
			SLU_ENGINE_COUNT(sync->count.send_errors, 1);
			at++;
		}
	}
	/* The open datagram stays where it is; its slot becomes the first. */
	parts[0].iov_base = o->slot[0];
	o->slot[0] = o->slot[o->full];
	o->slot[o->full] = parts[0].iov_base;
	o->full = 0;
}

static void begin_datagram(struct slu_sync *sync)
{
	struct slu_outgoing *o = &sync->out;

	slu_codec_begin(&o->writer, o->slot[o->full], SLU_SYNC_WIRE_DATAGRAM_MAX, sync->options.group);
}

/* The open datagram gets its number and tag and waits for the batch to leave. keep: for members that miss it. */
static void end_datagram(struct slu_sync *sync, bool keep)
{
	struct slu_outgoing *o = &sync->out;
	const struct slu_codec_trailer trailer = {.sender = sync->options.id,
		.algorithm = sync->auth ? SLU_SYNC_WIRE_HMAC_SHA256 : SLU_SYNC_WIRE_UNSIGNED,
		.epoch = sync->options.epoch,
		.sequence = ++o->sequence};
	uint8_t revision = o->writer.revision;
	uint32_t bytes = slu_codec_end(&o->writer, sync->options.extensions ? &trailer : NULL);

	o->newest[revision] = o->sequence;
	if (keep)
		slu_history_add(o->history, o->sequence, o->slot[o->full], bytes);
	if (sync->auth && !slu_auth_sign(sync->auth, o->slot[o->full], bytes)) {
		SLU_ENGINE_COUNT(sync->count.send_errors, 1);
	} else {
		o->bytes[o->full] = bytes;
		o->full++;
	}
	if (o->full == SLU_ENGINE_BATCH)
		send_batch(sync);
	begin_datagram(sync);
}

void slu_outgoing_heartbeat(struct slu_sync *sync)
{
	struct slu_outgoing *o = &sync->out;
	const struct slu_sync_wire_heartbeat heartbeat = {.revision = sync->options.revision,
		.flags = sync->count.joined ? SLU_SYNC_WIRE_JOINED : 0,
		.speaks = sync->count.speaks};
	uint8_t text[SLU_SYNC_WIRE_TEXT_MAX];
	uint32_t text_bytes;

	if (!sync->options.extensions)
		return;
	if (o->writer.count)
		end_datagram(sync, true); /* it may leave a little earlier */
	pthread_mutex_lock(&sync->lock);
	text_bytes = sync->text_bytes;
	memcpy(text, sync->text, text_bytes);
	pthread_mutex_unlock(&sync->lock);
	slu_codec_add_heartbeat(&o->writer, &heartbeat, text, text_bytes);
	end_datagram(sync, false);
	send_batch(sync);
}

/* ------------------------------------------------------------------- taking */

static void add(struct slu_sync *sync, const struct slu_sync_record *record, uint64_t due_ms)
{
	struct slu_outgoing *o = &sync->out;
	uint8_t revision = sync->options.extensions ? sync->count.speaks : 0;
	int result = slu_codec_add(&o->writer, record, revision);

	if (result == -ENOSPC) {
		end_datagram(sync, true);
		result = slu_codec_add(&o->writer, record, revision);
	}
	if (result) {
		SLU_ENGINE_COUNT(sync->count.unsent, 1);
		return;
	}
	if (o->writer.count == 1)
		o->flush_ms = due_ms;
	SLU_ENGINE_COUNT(sync->count.sent_records, 1);
}

/* Returns whether the data plane may have more at once, and in *waiting whether it had anything at the last look. */
static bool take(struct slu_sync *sync, uint64_t due_ms, bool *waiting)
{
	struct slu_sync_record records[TAKE];
	uint32_t count = TAKE;

	for (unsigned int round = 0; round < ROUNDS && count == TAKE; round++) {
		count = slu_sync_take(sync->dp, records, TAKE);
		for (uint32_t i = 0; i < count; i++)
			add(sync, &records[i], due_ms);
	}
	*waiting = count > 0;
	return count == TAKE;
}

/*
 * A record waits at most half of flush_ms until it is looked for, and half until its datagram leaves. While sessions
 * come one after the other the data plane is looked at by the clock: to be woken for each would cost workers a system
 * call.
 */
void slu_outgoing_pump(struct slu_sync *sync)
{
	struct slu_outgoing *o = &sync->out;
	uint64_t now_ms = slu_engine_now_ms(), half_ms = (sync->options.flush_ms + 1) / 2;
	struct timeval wait = {0};
	bool more, waiting;

	more = take(sync, now_ms + half_ms, &waiting);
	if (o->writer.count && now_ms >= o->flush_ms)
		end_datagram(sync, true);
	send_batch(sync);
	if (!more && !waiting && !o->writer.count && o->ready)
		return; /* `ready` tells of the next one */
	if (!more)
		half_ms = o->writer.count && o->flush_ms - now_ms < half_ms ? o->flush_ms - now_ms : half_ms;
	wait.tv_usec = more ? 0 : (suseconds_t)(half_ms * 1000);
	event_add(o->timer, &wait);
}

/* --------------------------------------------------------------------- life */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;
	ssize_t unused = read(fd, &count, sizeof(count));

	(void)unused;
	(void)what;
	slu_outgoing_pump(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	slu_outgoing_pump(arg);
}

int slu_outgoing_open(struct slu_sync *sync)
{
	struct slu_outgoing *o = &sync->out;
	const struct timeval now = {0};
	int fd = slu_sync_event(sync->dp);

	for (uint32_t i = 0; i <= SLU_ENGINE_BATCH; i++)
		o->slot[i] = o->buffer[i];
	begin_datagram(sync);
	o->history = slu_history_create(SLU_ENGINE_HISTORY_BYTES);
	o->timer = evtimer_new(sync->base, on_timer, sync);
	if (!o->history || !o->timer)
		return -ENOMEM;
	if (fd >= 0) {
		o->ready = event_new(sync->base, fd, EV_READ | EV_PERSIST, on_ready, sync);
		if (!o->ready || event_add(o->ready, NULL) != 0)
			return -ENOMEM;
	}
	return event_add(o->timer, &now) == 0 ? 0 : -ENOMEM;
}

void slu_outgoing_close(struct slu_sync *sync)
{
	if (sync->out.ready)
		event_free(sync->out.ready);
	if (sync->out.timer)
		event_free(sync->out.timer);
	slu_history_free(sync->out.history);
}
