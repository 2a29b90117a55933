/*
 * What a worker tells the cluster about its sessions, and who owns them.
 *
 * A new session is told when its trigger fires; from then on every change of its
 * state at once, and besides, while it is used, it is refreshed every third of its
 * time-out through the timer wheel. The owner tells the session itself, any other
 * node reports what it saw. Who owns a session is looked up when something is to be
 * told or a timer fires, never per packet: a session whose owner is gone is taken
 * over at its next timer, a third of its time-out later at most.
 */
#ifndef SLU_HOST_DATAPLANE_SYNC_H
#define SLU_HOST_DATAPLANE_SYNC_H

#include "host/dataplane/cluster_view.h"
#include "host/dataplane/sync_record.h"
#include "host/dataplane/worker.h"

/* The owner of a session, 0 if nobody is known; view is not NULL. */
uint8_t slu_sync_owner(const struct slu_cluster_view *view, const struct slu_session_table *t, uint32_t sid);

/* Whether this node owns it. */
bool slu_sync_is_owner(const struct slu_worker *w, uint32_t sid);

/* Whether sessions may be made from this address: it is not another member's. */
bool slu_sync_is_home(struct slu_worker *w, const struct slu_ip *local);

/* Whether an address (4 or 16 bytes) belongs to a member's prefix: the kernel must not see its connections. */
bool slu_sync_is_member(const struct slu_worker *w, uint8_t family, const uint8_t *address);

/* Whether packets without a session are to be dropped silently: another member may be about to send theirs. */
bool slu_sync_is_quiet(const struct slu_worker *w);

/* The other worker that has a session of this key, or this one. Any thread's guess: that table may change. */
uint32_t slu_sync_peek(
	const struct slu_dataplane *dp, uint32_t worker, uint64_t hash, const struct slu_session_key *key);

/* A session is not opening any longer (client_address.h): tells it if it was time. */
void slu_sync_opened(struct slu_worker *w, uint32_t sid);

/*
 * A packet of a session with SLU_SESSION_TELL, before it is counted. The trigger: so many packets of the client with
 * data, or any packet of a session that is a second old; or as Linux IPVS counts.
 */
void slu_sync_notice(struct slu_worker *w, const struct slu_session_hot *hot, uint32_t sid, unsigned int dir,
	const struct slu_packet *p);

/* Tells a session for the first time. */
void slu_sync_first(struct slu_worker *w, uint32_t sid);

/* The state of a session that the cluster knows has changed. */
void slu_sync_changed(struct slu_worker *w, uint32_t sid);

/* Another member has asked for a session: tells it, if that is this node's to do. */
void slu_sync_answer(struct slu_worker *w, uint32_t sid, uint8_t asker);

/* A session that the cluster knows is about to end here. */
void slu_sync_end(struct slu_worker *w, uint32_t sid);

/* As told last; any thread. */
uint32_t slu_sync_life_s(const struct slu_worker *w, uint32_t sid);

/* What its owner told: without another word the copy lives so long; 0: it did not tell. */
void slu_sync_set_life(struct slu_worker *w, uint32_t sid, uint32_t life_s);

/* When a session is over, of the deadline that its own time-out gives: a copy waits longer for its owner. */
uint32_t slu_sync_expiry(const struct slu_worker *w, uint32_t sid, uint32_t deadline);

/* The timer of a session came up: tells what is due. */
void slu_sync_due(struct slu_worker *w, uint32_t sid);

/* When the timer is to come up next: at the deadline, or before to tell. */
uint32_t slu_sync_deadline(struct slu_worker *w, uint32_t sid, uint32_t deadline);

/* A session that an earlier process left. */
void slu_sync_recover(struct slu_worker *w, uint32_t sid);

/*
 * Whether nobody used or told a session since an earlier process left it: the others may have ended it meanwhile. It
 * goes on as any other until a member tells of another session that has its client.
 */
bool slu_sync_is_left_over(const struct slu_worker *w, uint32_t sid);

/* The key of a session's tombstone, from the hashes of its keys. */
static inline uint64_t slu_sync_tombstone_key(uint64_t request_hash, uint64_t reply_hash)
{
	return slu_session_table_mix(request_hash ^ 0x9E3779B97F4A7C15u, reply_hash | 1) | 1;
}

/* Leaves a tombstone for two refreshes. */
void slu_sync_bury(struct slu_worker *w, uint64_t key, uint16_t version, uint32_t created, uint32_t timeout_ticks);

/* Wakes the consumer, if there is something new for it. */
static inline void slu_sync_kick(struct slu_worker *w)
{
	if (!w->told)
		return;
	w->told = false;
	slu_wake_kick(&w->dp->sync_wake);
}

/* What slu_dataplane_set_sync() made for a worker. */
void slu_sync_free(struct slu_worker *w);

/* ------------------------------------------------------ sync_inbox.c */

int slu_sync_inbox_create(struct slu_worker *w);
void slu_sync_inbox_free(struct slu_worker *w);

/* Works on a bounded number of records of other nodes. Returns how many. */
uint16_t slu_sync_inbox_drain(struct slu_worker *w);

#endif
