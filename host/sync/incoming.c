/* Sessions on their way in: datagrams of the group, judged, and their records to the data plane. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "host/log.h"
#include "host/sync/auth.h"
#include "host/sync/engine.h"

#define BATCHES 8u /* until the thread looks at its other work */
#define RETRY_MS 1u
#define STUCK_MAX_MS 200u /* a worker that takes nothing for so long: go on without it */

/* -------------------------------------------------------------------- giving */

/* Gives what is left of the datagram's records. Returns whether all are given. */
static bool give(struct slu_sync *sync)
{
	struct slu_incoming *in = &sync->in;
	const struct timeval soon = {.tv_usec = RETRY_MS * 1000};
	uint32_t left = in->datagram.record_count - in->given;

	in->given += left ? slu_sync_give(sync->dp, &in->datagram.records[in->given], left) : 0;
	if (in->given == in->datagram.record_count) {
		in->stuck = false;
		return true;
	}
	if (!in->stuck) {
		in->stuck = true;
		in->stuck_ms = slu_engine_now_ms();
		SLU_ENGINE_COUNT(sync->count.inbox_full, 1);
	}
	event_add(in->retry, &soon);
	return false;
}

/* No room for too long. Members would be taken for dead if nothing was read; what is dropped is fetched again. */
static void give_up(struct slu_sync *sync)
{
	struct slu_incoming *in = &sync->in;

	SLU_ENGINE_COUNT(sync->count.inbox_dropped, in->datagram.record_count - in->given);
	in->given = in->datagram.record_count;
	in->stuck = false;
	if (in->from)
		slu_peers_gap(in->from, in->sequence, true);
}

/* ------------------------------------------------------------------ judging */

static void count_verdict(struct slu_sync_state *c, enum slu_codec_verdict verdict, uint64_t n)
{
	switch (verdict) {
	case SLU_CODEC_SHORT:
	case SLU_CODEC_SIZE:
		SLU_ENGINE_COUNT(c->bad_size, n);
		break;
	case SLU_CODEC_GROUP:
		SLU_ENGINE_COUNT(c->bad_group, n);
		break;
	case SLU_CODEC_CUT_VERSION:
	case SLU_CODEC_CUT_TYPE:
		SLU_ENGINE_COUNT(c->bad_version, n);
		break;
	case SLU_CODEC_CUT_PARAMETER:
	case SLU_CODEC_DROP_PARAMETER:
		SLU_ENGINE_COUNT(c->bad_parameter, n);
		break;
	case SLU_CODEC_SKIP_TEMPLATE:
	case SLU_CODEC_SKIP_METHOD:
	case SLU_CODEC_SKIP_PORT:
		SLU_ENGINE_COUNT(c->skipped, n);
		break;
	case SLU_CODEC_TAKEN:
		SLU_ENGINE_COUNT(c->received_records, n);
		break;
	default:
		SLU_ENGINE_COUNT(c->bad_record, n);
	}
}

static bool is_authentic(struct slu_sync *sync, const uint8_t *bytes, uint32_t count, bool has_trailer,
	const struct slu_codec_trailer *t)
{
	if (!sync->auth)
		return true;
	return has_trailer && t->algorithm == SLU_SYNC_WIRE_HMAC_SHA256 && slu_auth_verify(sync->auth, bytes, count);
}

/* Whether a member's datagram is to be read: each is, once. */
static bool note_sequence(struct slu_sync *sync, struct slu_engine_peer *p, const struct slu_codec_trailer *t)
{
	uint64_t missing;
	enum slu_replay_verdict verdict = slu_replay_note(&p->replay, t->epoch, t->sequence, &missing);

	switch (verdict) {
	case SLU_REPLAY_OLD:
		SLU_ENGINE_COUNT(sync->count.replayed, 1);
		SLU_ENGINE_COUNT(p->count.rejected, 1);
		return false;
	case SLU_REPLAY_DUPLICATE:
		SLU_ENGINE_COUNT(p->count.duplicate, 1);
		return false;
	case SLU_REPLAY_LATE:
		SLU_ENGINE_COUNT(p->count.reordered, 1);
		if (p->count.lost > 0)
			SLU_ENGINE_COUNT(p->count.lost, (uint64_t)-1);
		break;
	case SLU_REPLAY_STARTED:
		__atomic_store_n(&p->count.epoch, t->epoch, __ATOMIC_RELAXED);
		break;
	case SLU_REPLAY_NEW:
		break;
	}
	SLU_ENGINE_COUNT(p->count.datagrams, 1);
	if (missing == 0)
		return true;
	/* What was sent before we first heard of the member is fetched too, but it is no loss. */
	if (verdict == SLU_REPLAY_NEW)
		SLU_ENGINE_COUNT(p->count.lost, missing);
	slu_peers_gap(p, t->sequence - missing, false);
	return true;
}

static void take_heartbeat(struct slu_sync *sync, struct slu_engine_peer *p)
{
	const struct slu_codec_datagram *d = &sync->in.datagram;

	slu_peers_status(sync, p, d->heartbeat.flags & SLU_SYNC_WIRE_JOINED);
	__atomic_store_n(&p->count.speaks, d->heartbeat.speaks ? d->heartbeat.speaks : 1, __ATOMIC_RELAXED);
	if (p->count.revision != d->heartbeat.revision) {
		__atomic_store_n(
			&p->count.revision, d->heartbeat.revision ? d->heartbeat.revision : 1, __ATOMIC_RELAXED);
		slu_peers_agree(sync);
	}
	pthread_mutex_lock(&sync->lock);
	p->text_bytes = d->text_bytes;
	memcpy(p->text, d->text, d->text_bytes);
	pthread_mutex_unlock(&sync->lock);
}

/* The member that a datagram is of. Returns false if it is not to be read. */
static bool find_sender(struct slu_sync *sync, const uint8_t *bytes, uint32_t count, struct slu_engine_peer **from)
{
	struct slu_codec_trailer trailer;
	bool has_trailer = slu_codec_find_trailer(bytes, count, &trailer);

	*from = NULL;
	if (!is_authentic(sync, bytes, count, has_trailer, &trailer)) {
		SLU_ENGINE_COUNT(sync->count.bad_authentication, 1);
		return false;
	}
	if (!has_trailer)
		return true;
	*from = slu_peers_find(sync, trailer.sender);
	if (!*from) {
		SLU_ENGINE_COUNT(sync->count.unknown_sender, 1);
		return false;
	}
	sync->in.sequence = trailer.sequence;
	return note_sequence(sync, *from, &trailer);
}

/*
 * A datagram in a revision that this node does not read whole. The fields that it knows are read; but a node that joins
 * has not been heard by everybody, and takes nothing of what was not meant for it: it comes with the rest.
 */
static void judge_revision(struct slu_sync *sync)
{
	struct slu_incoming *in = &sync->in;

	if (in->datagram.revision <= sync->options.revision)
		return;
	SLU_ENGINE_COUNT(sync->count.newer, !sync->joining.active);
	if (!sync->joining.active)
		return;
	in->datagram.record_count = 0;
	if (in->from)
		slu_peers_gap(in->from, in->sequence, true);
}

void slu_incoming_take(struct slu_sync *sync, const uint8_t *bytes, uint32_t count)
{
	enum slu_codec_verdict verdict = slu_codec_judge_header(bytes, count, sync->options.group);
	struct slu_incoming *in = &sync->in;

	SLU_ENGINE_COUNT(sync->count.received_datagrams, 1);
	if (verdict != SLU_CODEC_TAKEN) {
		count_verdict(&sync->count, verdict, 1);
		return;
	}
	if (!find_sender(sync, bytes, count, &in->from))
		return;
	slu_codec_read(bytes, count, sync->options.group, &in->datagram);
	for (unsigned int v = 0; v < SLU_CODEC_VERDICTS; v++)
		if (in->datagram.count[v])
			count_verdict(&sync->count, v, in->datagram.count[v]);
	if (in->from) {
		SLU_ENGINE_COUNT(in->from->count.records, in->datagram.record_count);
		if (in->datagram.has_heartbeat)
			take_heartbeat(sync, in->from);
		slu_peers_heard(sync, in->from);
	}
	judge_revision(sync);
	in->given = 0;
	give(sync);
}

/* ------------------------------------------------------------------ receiving */

/* Returns false when nothing more is there. */
static bool receive_batch(struct slu_sync *sync)
{
	struct slu_incoming *in = &sync->in;
	struct mmsghdr messages[SLU_ENGINE_BATCH];
	struct iovec parts[SLU_ENGINE_BATCH];
	int received;

	memset(messages, 0, sizeof(messages));
	for (uint32_t i = 0; i < SLU_ENGINE_BATCH; i++) {
		parts[i] = (struct iovec){.iov_base = in->buffer[i], .iov_len = sizeof(in->buffer[i])};
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	received = recvmmsg(sync->multicast, messages, SLU_ENGINE_BATCH, 0, NULL);
	in->at = 0;
	in->received = received > 0 ? (uint32_t)received : 0;
	/* One that was too long for the buffer keeps the buffer's size, which its header then belies. */
	for (uint32_t i = 0; i < in->received; i++)
		in->bytes[i] = messages[i].msg_len;
	return in->received > 0;
}

/* Reads until nothing is there, the data plane has no room, or the other work has waited for long enough. */
static void receive(struct slu_sync *sync)
{
	struct slu_incoming *in = &sync->in;

	for (unsigned int batch = 0; batch < BATCHES; batch++) {
		while (in->at < in->received && !in->stuck) {
			uint32_t i = in->at++;

			slu_incoming_take(sync, in->buffer[i], in->bytes[i]);
		}
		if (in->stuck || !receive_batch(sync))
			break;
	}
	if (in->stuck)
		event_del(in->readable);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	receive(arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct slu_sync *sync = arg;

	(void)fd;
	(void)what;
	if (!give(sync)) {
		if (slu_engine_now_ms() - sync->in.stuck_ms < STUCK_MAX_MS)
			return;
		event_del(sync->in.retry);
		give_up(sync);
	}
	event_add(sync->in.readable, NULL);
	receive(sync);
}

int slu_incoming_watch(struct slu_sync *sync)
{
	struct slu_incoming *in = &sync->in;

	if (in->readable)
		event_free(in->readable);
	in->readable = event_new(sync->base, sync->multicast, EV_READ | EV_PERSIST, on_readable, sync);
	if (!in->readable)
		return -ENOMEM;
	/* on_retry() reads on when there is room again */
	return in->stuck || event_add(in->readable, NULL) == 0 ? 0 : -ENOMEM;
}

int slu_incoming_open(struct slu_sync *sync)
{
	sync->in.retry = evtimer_new(sync->base, on_retry, sync);
	return sync->in.retry ? slu_incoming_watch(sync) : -ENOMEM;
}

void slu_incoming_close(struct slu_sync *sync)
{
	if (sync->in.readable)
		event_free(sync->in.readable);
	if (sync->in.retry)
		event_free(sync->in.retry);
}
