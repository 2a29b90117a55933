/* The sync thread, and what the control thread may do with it. */
#define _GNU_SOURCE
#include "host/sync/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "host/log.h"
#include "host/sync/auth.h"
#include "host/sync/socket.h"

#define HEARTBEAT_TICKS 2u

static void signal_fd(int fd)
{
	const uint64_t one = 1;
	ssize_t unused = write(fd, &one, sizeof(one));

	(void)unused;
}

static void drain_fd(int fd)
{
	uint64_t count;
	ssize_t unused = read(fd, &count, sizeof(count));

	(void)unused;
}

/* ------------------------------------------------------- to the control thread */

void slu_engine_tell(struct slu_sync *sync, const struct slu_engine_event *event)
{
	pthread_mutex_lock(&sync->lock);
	/* A control thread that is so far behind hears of the members' states again with their next change. */
	if (sync->told_count < SLU_ENGINE_EVENTS_MAX)
		sync->told[sync->told_count++] = *event;
	pthread_mutex_unlock(&sync->lock);
	signal_fd(sync->told_fd);
}

static void on_told(evutil_socket_t fd, short what, void *arg)
{
	struct slu_engine_event events[SLU_ENGINE_EVENTS_MAX];
	struct slu_sync *sync = arg;
	uint32_t count;

	(void)what;
	drain_fd(fd);
	pthread_mutex_lock(&sync->lock);
	count = sync->told_count;
	memcpy(events, sync->told, count * sizeof(*events));
	sync->told_count = 0;
	pthread_mutex_unlock(&sync->lock);
	for (uint32_t i = 0; i < count; i++) {
		if (events[i].kind == SLU_ENGINE_MEMBER)
			sync->events.member(sync->events.context, events[i].id, events[i].alive);
		else
			sync->events.joined(sync->events.context, events[i].sessions, events[i].ms);
	}
}

/* ----------------------------------------------------------------- the thread */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct slu_sync *sync = arg;

	(void)fd;
	(void)what;
	if (sync->ticks++ % HEARTBEAT_TICKS == 0)
		slu_outgoing_heartbeat(sync);
	slu_peers_tick(sync, slu_engine_now_ms());
}

/* What the control thread wants. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct slu_sync *sync = arg;
	struct slu_sync_peer_address peers[SLU_ENGINE_PEERS_MAX];
	bool changed, stop, all;
	uint32_t count;

	(void)what;
	drain_fd(fd);
	pthread_mutex_lock(&sync->lock);
	changed = sync->peers_changed;
	stop = sync->stop;
	all = sync->join_all;
	count = sync->new_peer_count;
	memcpy(peers, sync->new_peers, sizeof(peers));
	sync->peers_changed = sync->join_all = false;
	pthread_mutex_unlock(&sync->lock);
	if (changed)
		slu_peers_replace(sync, peers, count);
	if (all)
		slu_peers_join_all(sync);
	if (stop)
		event_base_loopbreak(sync->base);
}

static void *run(void *arg)
{
	struct slu_sync *sync = arg;

	pthread_setname_np(pthread_self(), "sluice-sync");
	event_base_dispatch(sync->base);
	return NULL;
}

/* ------------------------------------------------------------------------ life */

static int open_base(struct slu_sync *sync)
{
	const struct timeval tick = {.tv_usec = SLU_ENGINE_TICK_MS * 1000};
	struct event_config *config = event_config_new();

	if (!config)
		return -ENOMEM;
	/* The coarse clock's 4 ms are too much of 10. */
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	sync->base = event_base_new_with_config(config);
	event_config_free(config);
	sync->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!sync->base || sync->wake_fd < 0)
		return -ENOMEM;
	sync->tick = event_new(sync->base, -1, EV_PERSIST, on_tick, sync);
	sync->wake = event_new(sync->base, sync->wake_fd, EV_READ | EV_PERSIST, on_wake, sync);
	return sync->tick && sync->wake && event_add(sync->tick, &tick) == 0 && event_add(sync->wake, NULL) == 0
		       ? 0
		       : -ENOMEM;
}

static int open_told(struct slu_sync *sync, struct event_base *base)
{
	sync->told_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (sync->told_fd < 0)
		return -errno;
	sync->told_event = event_new(base, sync->told_fd, EV_READ | EV_PERSIST, on_told, sync);
	return sync->told_event && event_add(sync->told_event, NULL) == 0 ? 0 : -ENOMEM;
}

static int open_key(struct slu_sync *sync, const struct slu_sync_options *o)
{
	if (!o->key) {
		slu_warning("session sync: no key: whoever reaches %s can tell this node sessions", o->interface);
		return 0;
	}
	if (!o->extensions || o->key_bytes < SLU_AUTH_KEY_MIN) {
		slu_error("session sync: %s", o->extensions
						      ? "the key is shorter than 16 bytes"
						      : "Linux IPVS does not authenticate: no key without extensions");
		return -EINVAL;
	}
	sync->auth = slu_auth_create(o->key, o->key_bytes);
	return sync->auth ? 0 : -ENOMEM;
}

static int open_sockets(struct slu_sync *sync)
{
	sync->if_index = if_nametoindex(sync->options.interface);
	sync->multicast = slu_socket_open_multicast(&sync->options);
	return sync->multicast < 0 ? sync->multicast : slu_feed_listen(sync);
}

static int start_thread(struct slu_sync *sync)
{
	sigset_t all, before;
	int result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&sync->thread, NULL, run, sync);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	sync->running = result == 0;
	return -result;
}

static bool options_are_sound(const struct slu_sync_options *o)
{
	return o->id != 0 && o->epoch != 0 && o->revision <= SLU_SYNC_WIRE_REVISION && o->flush_ms != 0 &&
	       o->flush_ms <= 1000 && (o->address.family == 4 || o->address.family == 6) &&
	       (o->multicast.family == 4 || o->multicast.family == 6);
}

int slu_sync_create(struct event_base *base, struct slu_dataplane *dp, const struct slu_sync_options *options,
	const struct slu_sync_events *events, struct slu_sync **out)
{
	struct slu_sync *sync;
	int result = options_are_sound(options) ? 0 : -EINVAL;

	*out = NULL;
	sync = result ? NULL : calloc(1, sizeof(*sync));
	if (!sync)
		return result ? result : -ENOMEM;
	pthread_mutex_init(&sync->lock, NULL);
	LIST_INIT(&sync->feeds);
	sync->multicast = sync->wake_fd = sync->told_fd = sync->interface.netlink = -1;
	sync->options = *options;
	if (sync->options.revision == 0)
		sync->options.revision = SLU_SYNC_WIRE_REVISION;
	sync->count.revision = sync->options.revision;
	sync->count.speaks = 1;
	sync->events = *events;
	sync->dp = dp;
	result = open_key(sync, options);
	if (!result)
		result = open_told(sync, base);
	if (!result)
		result = open_base(sync);
	if (!result)
		result = slu_interface_open(sync); /* from now on nothing is missed */
	if (!result)
		result = open_sockets(sync);
	if (!result)
		result = slu_incoming_open(sync);
	if (!result)
		result = slu_outgoing_open(sync);
	/* They are the caller's. */
	sync->options.interface = NULL;
	sync->options.key = NULL;
	if (!result)
		result = start_thread(sync);
	if (result)
		slu_sync_destroy(sync);
	else
		*out = sync;
	return result;
}

static void close_descriptor(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void slu_sync_destroy(struct slu_sync *sync)
{
	if (!sync)
		return;
	if (sync->running) {
		pthread_mutex_lock(&sync->lock);
		sync->stop = true;
		pthread_mutex_unlock(&sync->lock);
		signal_fd(sync->wake_fd);
		pthread_join(sync->thread, NULL);
	}
	slu_peers_replace(sync, NULL, 0);
	slu_feed_close(sync);
	slu_outgoing_close(sync);
	slu_incoming_close(sync);
	slu_interface_close(sync);
	free_event(sync->tick);
	free_event(sync->wake);
	free_event(sync->told_event);
	if (sync->base) {
		event_base_loop(sync->base, EVLOOP_NONBLOCK); /* streams that were freed end here */
		event_base_free(sync->base);
	}
	close_descriptor(sync->multicast);
	close_descriptor(sync->wake_fd);
	close_descriptor(sync->told_fd);
	slu_auth_free(sync->auth);
	pthread_mutex_destroy(&sync->lock);
	free(sync);
}

/* --------------------------------------------------------- of the control thread */

void slu_sync_set_peers(struct slu_sync *sync, const struct slu_sync_peer_address *peers, uint32_t count)
{
	if (count > SLU_ENGINE_PEERS_MAX)
		count = SLU_ENGINE_PEERS_MAX;
	pthread_mutex_lock(&sync->lock);
	memcpy(sync->new_peers, peers, count * sizeof(*peers));
	sync->new_peer_count = count;
	sync->peers_changed = true;
	pthread_mutex_unlock(&sync->lock);
	signal_fd(sync->wake_fd);
}

void slu_sync_join(struct slu_sync *sync)
{
	pthread_mutex_lock(&sync->lock);
	sync->join_all = true;
	pthread_mutex_unlock(&sync->lock);
	signal_fd(sync->wake_fd);
}

void slu_sync_set_blob(struct slu_sync *sync, const void *bytes, uint32_t count)
{
	if (count > SLU_SYNC_WIRE_TEXT_MAX)
		count = 0; /* a part of it would be another text */
	pthread_mutex_lock(&sync->lock);
	memcpy(sync->text, bytes, count);
	sync->text_bytes = (uint16_t)count;
	pthread_mutex_unlock(&sync->lock);
}

uint32_t slu_sync_blob(struct slu_sync *sync, uint8_t id, void *bytes, uint32_t room)
{
	const struct slu_engine_peer *peer;
	uint32_t count = 0;

	pthread_mutex_lock(&sync->lock);
	peer = slu_peers_find(sync, id);
	if (peer && __atomic_load_n(&peer->count.alive, __ATOMIC_RELAXED) && peer->text_bytes <= room) {
		count = peer->text_bytes;
		memcpy(bytes, peer->text, count);
	}
	pthread_mutex_unlock(&sync->lock);
	return count;
}

/* All counters are 64 bits wide and written at once. */
static void copy_counters(void *to, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
		((uint64_t *)to)[i] = __atomic_load_n((const uint64_t *)from + i, __ATOMIC_RELAXED);
}

static_assert(offsetof(struct slu_sync_state, joined) % sizeof(uint64_t) == 0, "only counters before it");
static_assert(sizeof(struct slu_sync_peer_state) % sizeof(uint64_t) == 0, "copied in words");

void slu_sync_state(struct slu_sync *sync, struct slu_sync_state *state)
{
	uint64_t now_ms = slu_engine_now_ms();

	memset(state, 0, sizeof(*state));
	copy_counters(state, &sync->count, offsetof(struct slu_sync_state, joined));
	state->joined = __atomic_load_n(&sync->count.joined, __ATOMIC_RELAXED);
	state->revision = sync->count.revision;
	state->speaks = __atomic_load_n(&sync->count.speaks, __ATOMIC_RELAXED);
	pthread_mutex_lock(&sync->lock);
	state->peer_count = sync->peer_count;
	for (uint32_t i = 0; i < sync->peer_count; i++) {
		uint64_t heard_ms = __atomic_load_n(&sync->peer[i].heard_ms, __ATOMIC_RELAXED);

		copy_counters(&state->peers[i], &sync->peer[i].count, sizeof(state->peers[i]));
		state->peers[i].lag_ms = heard_ms && now_ms > heard_ms ? (uint32_t)(now_ms - heard_ms) : 0;
	}
	pthread_mutex_unlock(&sync->lock);
}
