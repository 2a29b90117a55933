/*
 * A data plane for tests of session sync: a queue of records to tell, and for each
 * session, which has a number, how often it came.
 */
#ifndef SLU_TESTS_SYNC_FAKE_H
#define SLU_TESTS_SYNC_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/dataplane/sync_record.h"
#include "host/sync/sync.h"

#define FAKE_SESSIONS_MAX 1000000u

struct slu_dataplane {
	pthread_mutex_t lock;
	int event;
	bool armed;
	struct slu_sync_record *queue; /* to tell */
	uint32_t queued, taken;
	uint32_t first, count; /* the snapshot: sessions first .. first + count - 1 */
	uint32_t room;         /* records that give() still takes */
	uint64_t got_total;
	uint64_t lives;                 /* of those: with a life, which revision 1 does not have */
	uint8_t got[FAKE_SESSIONS_MAX]; /* by number */
	uint8_t sender[256];            /* of how many (0 or more) each told */
	struct slu_sync_record last;
};

struct slu_dataplane *fake_create(void);
void fake_destroy(struct slu_dataplane *dp);

/* The session of a number: FULLNAT, odd ones over IPv6. */
struct slu_sync_record fake_record(uint32_t number);

void fake_tell(struct slu_dataplane *dp, uint32_t first, uint32_t count); /* new sessions */
void fake_set_room(struct slu_dataplane *dp, uint32_t room);
uint32_t fake_distinct(struct slu_dataplane *dp, uint32_t first, uint32_t count); /* of these, that came */
uint64_t fake_total(struct slu_dataplane *dp);

#endif
