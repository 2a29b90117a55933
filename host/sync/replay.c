#include "host/sync/replay.h"

#include <string.h>

static uint64_t *word_of(struct slu_replay *r, uint64_t sequence)
{
	return &r->seen[sequence / 64 % (SLU_REPLAY_WINDOW / 64)];
}

static uint64_t bit_of(uint64_t sequence)
{
	return UINT64_C(1) << (sequence % 64);
}

/* Moves the window up to a higher number. */
static void advance(struct slu_replay *r, uint64_t sequence)
{
	if (sequence - r->highest >= SLU_REPLAY_WINDOW)
		memset(r->seen, 0, sizeof(r->seen));
	else
		for (uint64_t s = r->highest + 1; s <= sequence; s++)
			*word_of(r, s) &= ~bit_of(s);
	*word_of(r, sequence) |= bit_of(sequence);
	r->highest = sequence;
}

enum slu_replay_verdict slu_replay_note(struct slu_replay *r, uint64_t epoch, uint64_t sequence, uint64_t *missing)
{
	*missing = 0;
	if (epoch == 0 || epoch < r->epoch || sequence == 0)
		return SLU_REPLAY_OLD;
	if (epoch > r->epoch) {
		*r = (struct slu_replay){.epoch = epoch};
		*missing = sequence - 1;
		advance(r, sequence);
		return SLU_REPLAY_STARTED;
	}
	if (sequence > r->highest) {
		*missing = sequence - r->highest - 1;
		advance(r, sequence);
		return SLU_REPLAY_NEW;
	}
	if (r->highest - sequence >= SLU_REPLAY_WINDOW)
		return SLU_REPLAY_OLD;
	if (*word_of(r, sequence) & bit_of(sequence))
		return SLU_REPLAY_DUPLICATE;
	*word_of(r, sequence) |= bit_of(sequence);
	return SLU_REPLAY_LATE;
}

bool slu_replay_learn(struct slu_replay *r, uint64_t epoch, uint64_t sequence)
{
	if (epoch <= r->epoch)
		return false;
	r->epoch = epoch;
	r->highest = sequence;
	memset(r->seen, 0xFF, sizeof(r->seen));
	return true;
}

bool slu_replay_missing(const struct slu_replay *r, uint64_t from)
{
	if (from > r->highest)
		return false;
	if (r->highest - from >= SLU_REPLAY_WINDOW)
		return true;
	for (uint64_t s = from; s <= r->highest; s++)
		if (!(r->seen[s / 64 % (SLU_REPLAY_WINDOW / 64)] & bit_of(s)))
			return true;
	return false;
}
