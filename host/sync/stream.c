#include "host/sync/stream.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "host/sync/auth.h"
#include "host/sync/socket.h"

#define LOW_BYTES (64u * 1024)
#define IN_BYTES (512u * 1024) /* read ahead of the user */
#define READ_BYTES (64u * 1024)

struct slu_stream {
	struct slu_sync *sync;
	struct bufferevent *bufferevent;
	struct slu_stream_user user;
	struct slu_sync_wire_hello mine, theirs;
	struct slu_auth *auth;   /* with the stream's own key */
	uint64_t sent, received; /* frames */
	bool accepted;           /* the other side connected */
	bool greeted, paused, over, freed, busy;
};

/* ---------------------------------------------------------------- ending */

static void destroy(struct slu_stream *s)
{
	bufferevent_free(s->bufferevent);
	slu_auth_free(s->auth);
	free(s);
}

static void end(struct slu_stream *s, const char *why)
{
	if (s->over)
		return;
	s->over = true;
	bufferevent_disable(s->bufferevent, EV_READ | EV_WRITE);
	s->user.ended(s->user.context, why);
}

/* The user may free the stream in any of its calls: then memory goes when the outermost one returns. */
static bool enter(struct slu_stream *s)
{
	bool outermost = !s->busy;

	s->busy = true;
	return outermost;
}

static void leave(struct slu_stream *s, bool outermost)
{
	if (!outermost)
		return;
	s->busy = false;
	if (s->freed)
		destroy(s);
}

void slu_stream_free(struct slu_stream *s)
{
	if (!s)
		return;
	s->over = true;
	s->freed = true;
	bufferevent_disable(s->bufferevent, EV_READ | EV_WRITE);
	if (!s->busy)
		destroy(s);
}

/* ----------------------------------------------------------------- hello */

static bool greet(struct slu_stream *s)
{
	s->mine = (struct slu_sync_wire_hello){.revision = s->sync->options.revision,
		.id = s->sync->options.id,
		.group = s->sync->options.group,
		.algorithm = s->sync->auth ? SLU_SYNC_WIRE_HMAC_SHA256 : SLU_SYNC_WIRE_UNSIGNED};
	memcpy(s->mine.magic, SLU_SYNC_WIRE_MAGIC, sizeof(s->mine.magic));
	return getrandom(s->mine.nonce, sizeof(s->mine.nonce), 0) == sizeof(s->mine.nonce) &&
	       bufferevent_write(s->bufferevent, &s->mine, sizeof(s->mine)) == 0;
}

/* The stream's key, from the connecting side's hello and the other one's. */
static bool derive_key(struct slu_stream *s)
{
	static const char label[] = "sluice session sync stream";
	const struct slu_sync_wire_hello *first = s->accepted ? &s->theirs : &s->mine;
	const struct slu_sync_wire_hello *second = s->accepted ? &s->mine : &s->theirs;
	const struct slu_auth_part parts[] = {
		{label, sizeof(label)}, {first, sizeof(*first)}, {second, sizeof(*second)}};
	uint8_t key[SLU_AUTH_MAC];

	if (!s->sync->auth)
		return true;
	if (!slu_auth_compute(s->sync->auth, parts, 3, key))
		return false;
	s->auth = slu_auth_create(key, sizeof(key));
	return s->auth != NULL;
}

static const char *judge_hello(const struct slu_stream *s)
{
	if (memcmp(s->theirs.magic, SLU_SYNC_WIRE_MAGIC, sizeof(s->theirs.magic)) != 0)
		return "it does not speak this protocol";
	if (s->theirs.group != s->mine.group)
		return "it is of another group";
	if (s->theirs.algorithm != s->mine.algorithm)
		return s->sync->auth ? "it does not authenticate" : "it authenticates, and this node has no key";
	if (s->theirs.id == s->mine.id)
		return "it has this node's id";
	return NULL;
}

/* Returns false while the hello is not there in full. */
static bool take_hello(struct slu_stream *s, struct evbuffer *in)
{
	const char *why;

	if (evbuffer_get_length(in) < sizeof(s->theirs))
		return false;
	evbuffer_remove(in, &s->theirs, sizeof(s->theirs));
	why = judge_hello(s);
	if (!why && !derive_key(s))
		why = "no key of the stream";
	if (why) {
		end(s, why);
		return false;
	}
	s->greeted = true;
	s->user.ready(s->user.context);
	return true;
}

/* ---------------------------------------------------------------- frames */

static uint32_t tag_bytes(const struct slu_stream *s)
{
	return s->auth ? SLU_SYNC_WIRE_TAG : 0;
}

/* from_accepted: the direction. */
static bool compute_tag(struct slu_stream *s, bool from_accepted, uint64_t number,
	const struct slu_sync_wire_frame *frame, const void *payload, uint32_t bytes, uint8_t mac[SLU_AUTH_MAC])
{
	const uint8_t direction = from_accepted;
	const uint64_t wire_number = htobe64(number);
	const struct slu_auth_part parts[] = {{&direction, sizeof(direction)}, {&wire_number, sizeof(wire_number)},
		{frame, sizeof(*frame)}, {payload, bytes}};

	return slu_auth_compute(s->auth, parts, 4, mac);
}

bool slu_stream_send(struct slu_stream *s, uint8_t type, const void *payload, uint32_t bytes)
{
	const struct slu_sync_wire_frame frame = {.bytes = htobe32(bytes), .type = type};
	uint8_t mac[SLU_AUTH_MAC];

	if (s->over || bytes > SLU_STREAM_PAYLOAD_MAX)
		return false;
	if (s->auth && !compute_tag(s, s->accepted, s->sent, &frame, payload, bytes, mac))
		return false;
	s->sent++;
	return bufferevent_write(s->bufferevent, &frame, sizeof(frame)) == 0 &&
	       (bytes == 0 || bufferevent_write(s->bufferevent, payload, bytes) == 0) &&
	       (!s->auth || bufferevent_write(s->bufferevent, mac, SLU_SYNC_WIRE_TAG) == 0);
}

static bool frame_is_genuine(
	struct slu_stream *s, const struct slu_sync_wire_frame *frame, const uint8_t *payload, uint32_t bytes)
{
	uint8_t mac[SLU_AUTH_MAC];

	return !s->auth || (compute_tag(s, !s->accepted, s->received, frame, payload, bytes, mac) &&
				   slu_auth_equal(mac, payload + bytes));
}

/* Returns false when there is no further frame to take now. */
static bool take_frame(struct slu_stream *s, struct evbuffer *in)
{
	struct slu_sync_wire_frame frame;
	enum slu_stream_next next;
	const uint8_t *whole;
	uint32_t bytes;

	if (evbuffer_copyout(in, &frame, sizeof(frame)) != (ev_ssize_t)sizeof(frame))
		return false;
	bytes = be32toh(frame.bytes);
	if (bytes > SLU_STREAM_PAYLOAD_MAX) {
		end(s, "a frame is too long");
		return false;
	}
	if (evbuffer_get_length(in) < sizeof(frame) + bytes + tag_bytes(s))
		return false;
	whole = evbuffer_pullup(in, (ev_ssize_t)(sizeof(frame) + bytes + tag_bytes(s)));
	if (!whole || !frame_is_genuine(s, &frame, whole + sizeof(frame), bytes)) {
		end(s, whole ? "a frame is not authentic" : "no memory");
		return false;
	}
	s->received++;
	next = s->user.frame(s->user.context, frame.type, whole + sizeof(frame), bytes);
	if (s->over)
		return false;
	evbuffer_drain(in, sizeof(frame) + bytes + tag_bytes(s));
	s->paused = next == SLU_STREAM_PAUSE;
	if (s->paused)
		bufferevent_disable(s->bufferevent, EV_READ);
	if (next == SLU_STREAM_END)
		end(s, NULL);
	return next == SLU_STREAM_MORE;
}

static void read_frames(struct slu_stream *s)
{
	struct evbuffer *in = bufferevent_get_input(s->bufferevent);
	bool outermost = enter(s);

	if (!s->over && (s->greeted || take_hello(s, in)))
		while (!s->over && !s->paused && take_frame(s, in))
			;
	leave(s, outermost);
}

void slu_stream_resume(struct slu_stream *s)
{
	if (s->over || !s->paused)
		return;
	s->paused = false;
	bufferevent_enable(s->bufferevent, EV_READ);
	read_frames(s);
}

/* ---------------------------------------------------------------- events */

static void on_read(struct bufferevent *bufferevent, void *arg)
{
	(void)bufferevent;
	read_frames(arg);
}

static void on_write(struct bufferevent *bufferevent, void *arg)
{
	struct slu_stream *s = arg;
	bool outermost = enter(s);

	(void)bufferevent;
	if (!s->over && s->greeted)
		s->user.drained(s->user.context);
	leave(s, outermost);
}

static void on_event(struct bufferevent *bufferevent, short what, void *arg)
{
	struct slu_stream *s = arg;
	bool outermost;

	(void)bufferevent;
	if (what & BEV_EVENT_CONNECTED)
		return;
	outermost = enter(s);
	if (what & BEV_EVENT_TIMEOUT)
		end(s, "it does not answer");
	else if (what & BEV_EVENT_ERROR)
		end(s, strerror(EVUTIL_SOCKET_ERROR()));
	else
		end(s, "it closed the connection");
	leave(s, outermost);
}

static struct slu_stream *make(struct slu_sync *sync, int fd, bool accepted, const struct slu_stream_user *user)
{
	struct slu_stream *s = calloc(1, sizeof(*s));

	if (s)
		s->bufferevent =
			bufferevent_socket_new(sync->base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!s || !s->bufferevent) {
		if (fd >= 0)
			close(fd);
		free(s);
		return NULL;
	}
	s->sync = sync;
	s->accepted = accepted;
	s->user = *user;
	bufferevent_setcb(s->bufferevent, on_read, on_write, on_event, s);
	bufferevent_setwatermark(s->bufferevent, EV_READ, 0, IN_BYTES);
	bufferevent_setwatermark(s->bufferevent, EV_WRITE, LOW_BYTES, 0);
	bufferevent_set_max_single_read(s->bufferevent, READ_BYTES);
	bufferevent_set_max_single_write(s->bufferevent, LOW_BYTES);
	if (!greet(s) || bufferevent_enable(s->bufferevent, EV_READ | EV_WRITE) != 0) {
		destroy(s);
		return NULL;
	}
	return s;
}

struct slu_stream *slu_stream_accept(struct slu_sync *sync, int fd, const struct slu_stream_user *user)
{
	return make(sync, fd, true, user);
}

struct slu_stream *slu_stream_connect(
	struct slu_sync *sync, const struct slu_ip *address, const struct slu_stream_user *user)
{
	struct slu_stream *s = make(sync, -1, false, user);
	struct sockaddr_storage to;
	socklen_t bytes;

	if (!s)
		return NULL;
	bytes = slu_socket_address(address, sync->options.port, sync->if_index, &to);
	if (bufferevent_socket_connect(s->bufferevent, (struct sockaddr *)&to, (int)bytes) != 0) {
		destroy(s);
		return NULL;
	}
	return s;
}

size_t slu_stream_queued(const struct slu_stream *s)
{
	return evbuffer_get_length(bufferevent_get_output(s->bufferevent));
}

void slu_stream_patience(struct slu_stream *s, uint32_t read_ms, uint32_t write_ms)
{
	const struct timeval in = {.tv_sec = read_ms / 1000, .tv_usec = read_ms % 1000 * 1000};
	const struct timeval out = {.tv_sec = write_ms / 1000, .tv_usec = write_ms % 1000 * 1000};

	bufferevent_set_timeouts(s->bufferevent, read_ms ? &in : NULL, write_ms ? &out : NULL);
}

uint8_t slu_stream_revision(const struct slu_stream *s)
{
	uint8_t theirs = s->theirs.revision ? s->theirs.revision : 1;

	return theirs < s->mine.revision ? theirs : s->mine.revision;
}

uint8_t slu_stream_peer(const struct slu_stream *s)
{
	return s->theirs.id;
}
