/*
 * The sessions that this node told last, as they were sent: a member that missed
 * some datagrams gets just these again. One thread.
 */
#ifndef SLU_HOST_SYNC_HISTORY_H
#define SLU_HOST_SYNC_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slu_history;

/* Keeps about so many bytes of datagrams, at least 64 KiB. Returns NULL without memory. */
struct slu_history *slu_history_create(size_t bytes);
void slu_history_free(struct slu_history *history);

/* Adds a datagram (at most 65,535 bytes), dropping the oldest for it. Sequences rise. */
void slu_history_add(struct slu_history *history, uint64_t sequence, const uint8_t *bytes, uint32_t count);

/* Whether everything that was added from this sequence on is still there. */
bool slu_history_reaches(const struct slu_history *history, uint64_t sequence);

/*
 * The first datagram at or behind *cursor (0: the oldest) whose sequence is at least `from`, at most 65,535 bytes,
 * copied; *cursor moves behind it. Returns its bytes; 0 at the end. A cursor whose place was dropped meanwhile goes on
 * at the oldest: ask slu_history_reaches() for the next sequence that is needed.
 */
uint32_t slu_history_next(
	const struct slu_history *history, uint64_t *cursor, uint64_t from, uint64_t *sequence, uint8_t *bytes);

#endif
