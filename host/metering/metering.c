#include "host/metering/metering.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/config/memory.h"
#include "host/log.h"
#include "host/metering/metering_file.h"
#include "host/offload/flow_map.h"

#define KEEP_MS 500 /* and the card's counters are half a second old at most */
#define BATCH 64
/* Ids of totals whose listener's name is another now: the table of ids was lost. Given ids are far below. */
#define LOST_IDS 0x80000000u

struct backend {
	struct slu_meter_count dir[2];
};

struct slu_metering {
	struct slu_dataplane *dp;
	struct event *timer;
	struct slu_metering_file file;
	struct slu_metering_total *totals;
	uint32_t count, room;
	struct backend *backends;
	uint32_t backend_count, backend_room;
	struct slu_flow_map by_id, by_backend; /* keys are ids + 1 */
	struct slu_metering_record *kept;      /* as read; later as written */
	uint32_t kept_count;
	uint64_t kept_ms;
	bool named;  /* by a first generation */
	bool failed; /* the last write did */
};

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------- totals */

static struct slu_metering_total *total_of(struct slu_metering *m, uint32_t id)
{
	uint32_t at = slu_flow_map_get(&m->by_id, (uint64_t)id + 1);

	if (at != SLU_FLOW_MAP_NONE)
		return &m->totals[at];
	if (m->count == m->room) {
		m->room = m->room ? 2 * m->room : 64;
		m->totals = slu_memory_resize(m->totals, m->room, sizeof(*m->totals));
	}
	if (slu_flow_map_put(&m->by_id, (uint64_t)id + 1, m->count))
		return &m->totals[0]; /* out of memory: nobody's */
	m->totals[m->count] = (struct slu_metering_total){.id = id, .removed = true, .since_ms = wall_ms()};
	return &m->totals[m->count++];
}

static struct backend *backend_of(struct slu_metering *m, uint32_t id)
{
	uint32_t at = slu_flow_map_get(&m->by_backend, (uint64_t)id + 1);

	if (at != SLU_FLOW_MAP_NONE)
		return &m->backends[at];
	if (m->backend_count == m->backend_room) {
		m->backend_room = m->backend_room ? 2 * m->backend_room : 64;
		m->backends = slu_memory_resize(m->backends, m->backend_room, sizeof(*m->backends));
	}
	if (slu_flow_map_put(&m->by_backend, (uint64_t)id + 1, m->backend_count))
		return NULL;
	m->backends[m->backend_count] = (struct backend){0};
	return &m->backends[m->backend_count++];
}

static void add(struct slu_meter_count *to, uint64_t packets, uint64_t bytes)
{
	to->packets += packets;
	to->bytes += bytes;
}

static void add_reading(struct slu_metering *m, const struct slu_meter_reading *r)
{
	struct slu_metering_total *total = total_of(m, r->listener_id);
	struct backend *backend = r->backend_id ? backend_of(m, r->backend_id) : NULL;

	for (unsigned int dir = 0; dir < 2; dir++) {
		bool out = (dir == SLU_DIR_REQUEST) == r->outgoing;

		add(&total->count[out ? SLU_METERING_OUT : SLU_METERING_IN][r->internal], r->packets[dir],
			r->bytes[dir]);
		add(&total->dir[dir], r->packets[dir], r->bytes[dir]);
		if (backend)
			add(&backend->dir[dir], r->packets[dir], r->bytes[dir]);
	}
}

void slu_metering_refresh(struct slu_metering *m)
{
	struct slu_meter_reading readings[BATCH];
	uint64_t cursor = 0;
	uint32_t count;

	for (uint32_t i = 0; i < m->count; i++) {
		memset(m->totals[i].count, 0, sizeof(m->totals[i].count));
		memset(m->totals[i].dir, 0, sizeof(m->totals[i].dir));
	}
	if (m->backends)
		memset(m->backends, 0, m->backend_count * sizeof(*m->backends));
	while ((count = slu_dataplane_meters(m->dp, &cursor, readings, BATCH)) > 0)
		for (uint32_t i = 0; i < count; i++)
			add_reading(m, &readings[i]);
}

const struct slu_metering_total *slu_metering_totals(const struct slu_metering *m, uint32_t *count)
{
	*count = m->count;
	return m->totals;
}

const struct slu_metering_total *slu_metering_find(const struct slu_metering *m, uint32_t id)
{
	uint32_t at = slu_flow_map_get(&m->by_id, (uint64_t)id + 1);

	return at != SLU_FLOW_MAP_NONE ? &m->totals[at] : NULL;
}

void slu_metering_backend(const struct slu_metering *m, uint32_t id, struct slu_meter_count dir[2])
{
	static const struct backend none;
	uint32_t at = slu_flow_map_get(&m->by_backend, (uint64_t)id + 1);

	memcpy(dir, at != SLU_FLOW_MAP_NONE ? m->backends[at].dir : none.dir, sizeof(none.dir));
}

/* -------------------------------------------------------------------- keeping */

static struct slu_metering_record *make_records(const struct slu_metering *m)
{
	struct slu_metering_record *records = slu_memory_zeroed(m->count, sizeof(*records));

	for (uint32_t i = 0; i < m->count; i++) {
		const struct slu_metering_total *total = &m->totals[i];

		records[i].id = total->id;
		strcpy(records[i].name, total->name);
		records[i].since_ms = total->since_ms;
		memcpy(records[i].count, total->count, sizeof(total->count));
	}
	return records;
}

int slu_metering_keep(struct slu_metering *m)
{
	struct slu_metering_record *records;
	int result = 0;

	slu_metering_refresh(m);
	records = make_records(m);
	if (m->kept_count == m->count && m->kept && memcmp(m->kept, records, m->count * sizeof(*records)) == 0 &&
		!m->failed) {
		free(records);
		return 0;
	}
	result = slu_metering_file_write(&m->file, records, m->count, wall_ms());
	if (result && !m->failed)
		slu_error("metering is not kept: %s", strerror(-result));
	m->failed = result != 0;
	free(m->kept);
	m->kept = records;
	m->kept_count = m->count;
	return result;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	slu_metering_keep(context);
}

/* ---------------------------------------------------------------------- names */

static void name_total(struct slu_metering *m, const struct slu_listener *l)
{
	struct slu_metering_total *total = total_of(m, l->id);

	total->removed = false;
	total->mode = l->mode;
	strcpy(total->name, l->name);
}

/* What was kept of an id that now has another name is somebody else's. */
static void settle_lost_ids(struct slu_metering *m)
{
	for (uint32_t i = 0; i < m->kept_count; i++) {
		struct slu_metering_record *r = &m->kept[i];
		const struct slu_metering_total *total = slu_metering_find(m, r->id);

		if (total && !total->removed && strcmp(total->name, r->name) != 0) {
			slu_warning("what was metered of \"%s\" is kept apart: its id %u is that of \"%s\" now",
				r->name, r->id, total->name);
			r->id |= LOST_IDS;
		}
	}
}

static void seed(struct slu_metering *m)
{
	struct slu_meter_reading *readings = slu_memory_zeroed(2 * m->kept_count, sizeof(*readings));

	for (uint32_t i = 0; i < 2 * m->kept_count; i++) {
		const struct slu_metering_record *r = &m->kept[i / 2];

		readings[i].listener_id = r->id;
		readings[i].internal = i % 2;
		for (unsigned int side = 0; side < 2; side++) {
			unsigned int dir = side == SLU_METERING_IN ? SLU_DIR_REQUEST : SLU_DIR_REPLY;

			readings[i].packets[dir] = r->count[side][i % 2].packets;
			readings[i].bytes[dir] = r->count[side][i % 2].bytes;
		}
	}
	slu_dataplane_seed_meters(m->dp, readings, 2 * m->kept_count);
	free(readings);
}

/* Once: names and beginnings of what was kept, and the counts if the session file does not have them. */
static void restore(struct slu_metering *m)
{
	settle_lost_ids(m);
	if (!slu_dataplane_meters_seeded(m->dp)) {
		seed(m);
		if (m->kept_count)
			slu_info("metering goes on from what was kept %llu ms ago",
				(unsigned long long)(wall_ms() - m->kept_ms));
	}
	for (uint32_t i = 0; i < m->kept_count; i++) {
		struct slu_metering_total *total = total_of(m, m->kept[i].id);

		total->since_ms = m->kept[i].since_ms;
		if (total->removed)
			strcpy(total->name, m->kept[i].name);
	}
}

void slu_metering_set_generation(struct slu_metering *m, const struct slu_generation *generation)
{
	for (uint32_t i = 0; i < m->count; i++)
		m->totals[i].removed = true;
	for (uint32_t i = 0; i < generation->listener_count; i++)
		name_total(m, &generation->listeners[i]);
	for (uint32_t i = 0; i < generation->outbound_count; i++)
		name_total(m, &generation->outbound[i].service);
	if (!m->named)
		restore(m);
	m->named = true;
}

/* ----------------------------------------------------------------------- life */

int slu_metering_create(
	struct event_base *base, struct slu_dataplane *dp, const char *state_dir, struct slu_metering **metering)
{
	const struct timeval period = {.tv_usec = KEEP_MS * 1000};
	struct slu_metering *m = slu_memory_zeroed(1, sizeof(*m));
	int result = slu_metering_file_open(&m->file, state_dir, &m->kept, &m->kept_count, &m->kept_ms);

	m->dp = dp;
	total_of(m, 0);
	*metering = NULL;
	if (result == -EIO) {
		slu_error("%s/metering.0 and .1: neither is whole; what was metered before is lost", state_dir);
		result = 0;
	}
	if (!result && base) {
		m->timer = event_new(base, -1, EV_PERSIST, on_timer, m);
		if (!m->timer || event_add(m->timer, &period))
			result = -ENOMEM;
	}
	if (result) {
		slu_metering_destroy(m);
		return result;
	}
	*metering = m;
	return 0;
}

void slu_metering_destroy(struct slu_metering *m)
{
	if (!m)
		return;
	if (m->named)
		slu_metering_keep(m);
	if (m->timer)
		event_free(m->timer);
	slu_metering_file_close(&m->file);
	slu_flow_map_free(&m->by_id);
	slu_flow_map_free(&m->by_backend);
	free(m->totals);
	free(m->backends);
	free(m->kept);
	free(m);
}
