/*
 * A session's life: creation from a listener, state changes, time-out, end.
 */
#ifndef SLU_HOST_LIFECYCLE_H
#define SLU_HOST_LIFECYCLE_H

#include "host/dataplane/worker.h"

#define SLU_RETRY_TICKS 977u /* a second */

/*
 * Creates and publishes the session of a client's first packet. Returns its sid, or 0 and *why.
 */
uint32_t slu_lifecycle_create(
	struct slu_worker *w, const struct slu_packet *p, const struct slu_listener *listener, enum slu_counter *why);

/* The parts of a creation, for those who fill the tuple towards the backend themselves (outbound.c). */

/* Sources that no client has. */
bool slu_lifecycle_bad_source(const struct slu_packet *p);
/* Fills the request's tuple of an allocated session. */
void slu_lifecycle_fill_request(struct slu_session_table *t, uint32_t sid, const struct slu_packet *p);
/*
 * Publishes a session whose tuples and protocol are there. backend NULL: it has none. Returns 0, or the reason as enum
 * slu_counter; then the session is still the caller's.
 */
int slu_lifecycle_publish(
	struct slu_worker *w, uint32_t sid, const struct slu_listener *listener, const struct slu_backend *backend);

/* Whether this is what an outbound service has instead of a listener. */
static inline bool slu_lifecycle_is_outbound(const struct slu_listener *l)
{
	return l->mode == SLU_MODE_SNAT || l->mode == SLU_MODE_EIP;
}

/* The mode of a session's listener or outbound service; if that is gone, the one that its tuples look like. */
enum slu_mode slu_lifecycle_mode(
	const struct slu_generation *generation, const struct slu_session_table *t, uint32_t sid);

/* The cluster knows the session from now on: it counts no longer as one that only this node has. */
void slu_lifecycle_told(struct slu_worker *w, uint32_t sid);

/* Changes the TCP state after a segment with these flags: counts, FINs, RST, time-out. */
void slu_lifecycle_change(
	struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, uint8_t flags, uint8_t next);

/*
 * Sets the state, and of the flags those about FIN and RST, with all that hangs on them: counts, time-out, the card.
 * Returns whether anything changed.
 */
bool slu_lifecycle_set(struct slu_worker *w, uint32_t sid, uint8_t state, uint8_t flags);

/* Publishes a session whose tuples, state and creation are filled in by another than a packet; l and b may be NULL.
 * Returns 0, or -ENOSPC (then it is still the caller's). */
int slu_lifecycle_adopt(
	struct slu_worker *w, uint32_t sid, const struct slu_listener *listener, const struct slu_backend *backend);

/* Gives a session the listener and the backend that it lacked; NULL leaves it without. */
void slu_lifecycle_assign(
	struct slu_worker *w, uint32_t sid, const struct slu_listener *listener, const struct slu_backend *backend);

/* What translating changes in the checksums, from the tuples. */
void slu_lifecycle_fill_deltas(struct slu_session_table *t, uint32_t sid);

/* Puts a session into the slot of the wheel that it belongs into now. */
void slu_lifecycle_reschedule(struct slu_worker *w, uint32_t sid);

/* Whether both sides have closed it. */
bool slu_lifecycle_finished(const struct slu_session_hot *hot);

/* Whether a SYN replaces this session: it is finished, or its backend takes no new ones; and the card has no part in
 * it. */
bool slu_lifecycle_replaceable(const struct slu_worker *w, uint32_t sid);

/* Ends a session now: its counters go to its listener and backend. The card must have no part in it. */
void slu_lifecycle_end(struct slu_worker *w, uint32_t sid);

/* A session whose slot of the wheel came up: ends it, or asks the card for it, or inserts it again. */
void slu_lifecycle_timeout(struct slu_worker *w, uint32_t sid);

/* Puts every recovered session into the wheel and binds it to the live indexes of its ids. Control thread, once. */
void slu_lifecycle_bind(struct slu_worker *w, const struct slu_generation *generation);

/* Seconds the session may be idle in its state. */
uint32_t slu_lifecycle_timeout_s(const struct slu_generation *generation, const struct slu_session_hot *hot,
	const struct slu_session_cold *cold);

#endif
