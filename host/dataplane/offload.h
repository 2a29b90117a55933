/*
 * Which sessions go to the card, and the hand-shake with the agent about each
 * direction (enum slu_offload_state).
 */
#ifndef SLU_HOST_OFFLOAD_H
#define SLU_HOST_OFFLOAD_H

#include "host/dataplane/worker.h"

/* A packet of a session that wants offload, or of which the card has a part. plain: the card should have carried it. */
void slu_offload_notice(struct slu_worker *w, struct slu_session_hot *hot, uint32_t sid, unsigned int dir, bool plain);

/* Asks the agent to remove the rules of a session. */
void slu_offload_take_back(struct slu_worker *w, uint32_t sid);

/* Whether the card, or a request under way, still refers to the session. Adds up the counters of rules that are gone.
 */
bool slu_offload_busy(struct slu_worker *w, uint32_t sid);

/* Marks of a process that died: requests that never left it. Control thread, before the workers start. */
void slu_offload_recover(struct slu_worker *w, uint32_t sid);

#endif
