#define _GNU_SOURCE
#include "tests/unit/sync_fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/log.h"

/* ---------------------------------------------------------- the data plane */

struct slu_dataplane *fake_create(void)
{
	struct slu_dataplane *dp = calloc(1, sizeof(*dp));

	pthread_mutex_init(&dp->lock, NULL);
	dp->event = eventfd(0, EFD_NONBLOCK);
	dp->queue = calloc(FAKE_SESSIONS_MAX, sizeof(*dp->queue));
	dp->room = UINT32_MAX;
	return dp;
}

void fake_destroy(struct slu_dataplane *dp)
{
	close(dp->event);
	free(dp->queue);
	free(dp);
}

struct slu_sync_record fake_record(uint32_t number)
{
	struct slu_sync_record r = {.kind = SLU_SYNC_SESSION,
		.family = number & 1 ? 6 : 4,
		.protocol = 6,
		.mode = SLU_MODE_FULLNAT,
		.state = 1,
		.version = 1,
		.timeout_s = 900,
		.life_s = 1200,
		.creator = 1,
		.client_port = (slu_be16)(number >> 16),
		.virtual_port = 80,
		.local_port = (slu_be16)number,
		.backend_port = 8080};

	memcpy(r.client, &number, sizeof(number));
	memcpy(r.virtual_ip, "vip", 3);
	memcpy(r.local, "loc", 3);
	memcpy(r.backend, "bak", 3);
	return r;
}

void fake_tell(struct slu_dataplane *dp, uint32_t first, uint32_t count)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&dp->lock);
	if (dp->taken == dp->queued)
		dp->taken = dp->queued = 0;
	for (uint32_t i = 0; i < count && dp->queued < FAKE_SESSIONS_MAX; i++)
		dp->queue[dp->queued++] = fake_record(first + i);
	if (dp->armed && write(dp->event, &one, sizeof(one)) == sizeof(one))
		dp->armed = false;
	pthread_mutex_unlock(&dp->lock);
}

void fake_set_room(struct slu_dataplane *dp, uint32_t room)
{
	pthread_mutex_lock(&dp->lock);
	dp->room = room;
	pthread_mutex_unlock(&dp->lock);
}

uint32_t fake_distinct(struct slu_dataplane *dp, uint32_t first, uint32_t count)
{
	uint32_t distinct = 0;

	pthread_mutex_lock(&dp->lock);
	for (uint32_t i = first; i < first + count; i++)
		distinct += dp->got[i] != 0;
	pthread_mutex_unlock(&dp->lock);
	return distinct;
}

uint64_t fake_total(struct slu_dataplane *dp)
{
	uint64_t total;

	pthread_mutex_lock(&dp->lock);
	total = dp->got_total;
	pthread_mutex_unlock(&dp->lock);
	return total;
}

uint32_t slu_sync_take(struct slu_dataplane *dp, struct slu_sync_record *records, uint32_t max)
{
	uint32_t count;

	pthread_mutex_lock(&dp->lock);
	count = dp->queued - dp->taken < max ? dp->queued - dp->taken : max;
	memcpy(records, dp->queue + dp->taken, count * sizeof(*records));
	dp->taken += count;
	if (count == 0)
		dp->armed = true;
	pthread_mutex_unlock(&dp->lock);
	return count;
}

int slu_sync_event(const struct slu_dataplane *dp)
{
	return dp->event;
}

uint32_t slu_sync_give(struct slu_dataplane *dp, const struct slu_sync_record *records, uint32_t count)
{
	pthread_mutex_lock(&dp->lock);
	if (count > dp->room)
		count = dp->room;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t number;

		memcpy(&number, records[i].client, sizeof(number));
		if (number < FAKE_SESSIONS_MAX && dp->got[number] < UINT8_MAX)
			dp->got[number]++;
		dp->sender[records[i].sender] = 1;
		dp->got_total++;
		dp->lives += records[i].life_s != 0;
		dp->last = records[i];
	}
	if (dp->room != UINT32_MAX)
		dp->room -= count;
	pthread_mutex_unlock(&dp->lock);
	return count;
}

uint32_t slu_sync_snapshot(struct slu_dataplane *dp, uint64_t *cursor, struct slu_sync_record *records, uint32_t max)
{
	uint32_t count = 0;

	pthread_mutex_lock(&dp->lock);
	while (count < max && *cursor < dp->count)
		records[count++] = fake_record(dp->first + (uint32_t)(*cursor)++);
	pthread_mutex_unlock(&dp->lock);
	return count;
}

/* The tests want to see verdicts, not lines. */
void slu_log_line(enum slu_log_level level, const char *format, ...)
{
	va_list arguments;

	if (!getenv("SYNC_TEST_LOG"))
		return;
	va_start(arguments, format);
	fprintf(stderr, "%d ", level);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}
