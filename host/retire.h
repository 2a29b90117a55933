/*
 * Things that workers may still read: freed once every worker has passed a
 * quiescent state. Control thread only.
 */
#ifndef SLU_HOST_RETIRE_H
#define SLU_HOST_RETIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct slu_dataplane;
struct slu_retired;

struct slu_retirement {
	struct slu_dataplane *dp;
	STAILQ_HEAD(, slu_retired) waiting;
};

void slu_retire_init(struct slu_retirement *retirement, struct slu_dataplane *dp);

/* Frees `what` by release(context, what) after a grace period that begins now. NULL is allowed. */
void slu_retire_add(
	struct slu_retirement *retirement, void *what, void (*release)(void *context, void *what), void *context);

/* Frees what is due. Returns true while something waits. */
bool slu_retire_poll(struct slu_retirement *retirement);

/* Frees everything; the workers have stopped. */
void slu_retire_finish(struct slu_retirement *retirement);

#endif
