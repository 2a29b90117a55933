/*
 * Time-outs: a wheel of lists through the sessions' cold lines.
 *
 * A packet never touches the wheel: it only stores last_seen. A session stands
 * in the slot of a deadline that may have become too early; when the slot comes
 * up, the owner looks at last_seen and inserts it again if it is not due. So a
 * busy session costs one visit per time-out, and only a time-out that becomes
 * shorter (a state change) has to move it.
 */
#ifndef SLU_HOST_TIMER_WHEEL_H
#define SLU_HOST_TIMER_WHEEL_H

#include <stdint.h>

#include "host/dataplane/session_table.h"

#define SLU_WHEEL_SLOTS 4096u
#define SLU_WHEEL_SLOT_SHIFT 8 /* session ticks in a slot: 262 ms; the wheel turns in 18 minutes */

struct slu_timer_wheel {
	uint32_t head[SLU_WHEEL_SLOTS]; /* sid, 0: empty */
	uint32_t cursor;                /* slot number (not reduced) that is being emptied */
};

void slu_timer_wheel_init(struct slu_timer_wheel *wheel, uint32_t now_tick);

/* Inserts a session that is in no slot. A deadline beyond the wheel goes into its last slot. */
void slu_timer_wheel_insert(
	struct slu_timer_wheel *wheel, const struct slu_session_table *t, uint32_t sid, uint32_t deadline_tick);

/* Takes a session out of its slot, if it is in one. */
void slu_timer_wheel_remove(struct slu_timer_wheel *wheel, const struct slu_session_table *t, uint32_t sid);

/* Takes out and returns the next session whose slot is over at now_tick, or 0. */
uint32_t slu_timer_wheel_next(struct slu_timer_wheel *wheel, const struct slu_session_table *t, uint32_t now_tick);

#endif
