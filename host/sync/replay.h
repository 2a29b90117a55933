/*
 * What was seen of a sender's numbered datagrams: what comes twice or late is
 * recognised, and what is missing (after RFC 4303, section 3.4.3). Pure.
 */
#ifndef SLU_HOST_SYNC_REPLAY_H
#define SLU_HOST_SYNC_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define SLU_REPLAY_WINDOW 1024u /* datagrams that may be overtaken */

struct slu_replay {
	uint64_t epoch, highest; /* 0, 0: nothing seen */
	uint64_t seen[SLU_REPLAY_WINDOW / 64];
};

enum slu_replay_verdict {
	SLU_REPLAY_NEW,
	SLU_REPLAY_STARTED,   /* new, the first of a higher epoch */
	SLU_REPLAY_LATE,      /* new, overtaken by others */
	SLU_REPLAY_DUPLICATE, /* seen already */
	SLU_REPLAY_OLD        /* of an earlier epoch, or from before the window: perhaps seen, so not to be taken */
};

/*
 * Notes a datagram. *missing: numbers that were skipped and are missing now (NEW, STARTED). sequence counts from 1;
 * epoch is not 0.
 */
enum slu_replay_verdict slu_replay_note(struct slu_replay *r, uint64_t epoch, uint64_t sequence, uint64_t *missing);

/*
 * Somebody trustworthy has seen the sender as far as this. Whatever came before is not to be taken any more. Returns
 * false if that is known already, or if we have seen this epoch ourselves.
 */
bool slu_replay_learn(struct slu_replay *r, uint64_t epoch, uint64_t sequence);

/* Whether a number from `from` to the highest is missing; one from before the window counts as missing. */
bool slu_replay_missing(const struct slu_replay *r, uint64_t from);

#endif
