#include "host/dataplane/timer_wheel.h"

#define SLOT_MARK 0x80000000u /* in timer_prev: first of this slot */

void slu_timer_wheel_init(struct slu_timer_wheel *wheel, uint32_t now_tick)
{
	*wheel = (struct slu_timer_wheel){.cursor = now_tick >> SLU_WHEEL_SLOT_SHIFT};
}

/* Slot numbers have 24 bits; this is their difference, signed. */
static int32_t slots_ahead(uint32_t slot, uint32_t of)
{
	return (int32_t)((slot - of) << SLU_WHEEL_SLOT_SHIFT) >> SLU_WHEEL_SLOT_SHIFT;
}

void slu_timer_wheel_insert(
	struct slu_timer_wheel *wheel, const struct slu_session_table *t, uint32_t sid, uint32_t deadline_tick)
{
	struct slu_session_cold *cold = slu_session_table_cold(t, sid);
	uint32_t slot = deadline_tick >> SLU_WHEEL_SLOT_SHIFT;
	int32_t ahead = slots_ahead(slot, wheel->cursor);
	uint32_t *head;

	if (ahead < 1)
		ahead = 1;
	if (ahead > (int32_t)SLU_WHEEL_SLOTS - 1)
		ahead = SLU_WHEEL_SLOTS - 1;
	slot = (wheel->cursor + (uint32_t)ahead) % SLU_WHEEL_SLOTS;
	head = &wheel->head[slot];
	cold->timer_next = *head;
	cold->timer_prev = SLOT_MARK | slot;
	if (*head)
		slu_session_table_cold(t, *head)->timer_prev = sid;
	*head = sid;
}

void slu_timer_wheel_remove(struct slu_timer_wheel *wheel, const struct slu_session_table *t, uint32_t sid)
{
	struct slu_session_cold *cold = slu_session_table_cold(t, sid);

	if (!cold->timer_prev)
		return;
	if (cold->timer_prev & SLOT_MARK)
		wheel->head[cold->timer_prev & ~SLOT_MARK] = cold->timer_next;
	else
		slu_session_table_cold(t, cold->timer_prev)->timer_next = cold->timer_next;
	if (cold->timer_next)
		slu_session_table_cold(t, cold->timer_next)->timer_prev = cold->timer_prev;
	cold->timer_next = cold->timer_prev = 0;
}

uint32_t slu_timer_wheel_next(struct slu_timer_wheel *wheel, const struct slu_session_table *t, uint32_t now_tick)
{
	uint32_t now_slot = now_tick >> SLU_WHEEL_SLOT_SHIFT;

	while (slots_ahead(now_slot, wheel->cursor) > 0) {
		uint32_t sid = wheel->head[wheel->cursor % SLU_WHEEL_SLOTS];

		if (sid) {
			uint32_t next = slu_session_table_cold(t, sid)->timer_next;

			if (next) {
				__builtin_prefetch(slu_session_table_cold(t, next));
				__builtin_prefetch(slu_session_table_hot(t, next));
			}
			slu_timer_wheel_remove(wheel, t, sid);
			return sid;
		}
		wheel->cursor = (wheel->cursor + 1) & (UINT32_MAX >> SLU_WHEEL_SLOT_SHIFT);
	}
	return 0;
}
