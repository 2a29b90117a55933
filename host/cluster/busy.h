/*
 * How many sessions still see packets here: what an operator who drains a node waits
 * to see at zero. The session table is walked a part at a time. Control thread only.
 */
#ifndef SLU_HOST_BUSY_H
#define SLU_HOST_BUSY_H

#include <stdbool.h>
#include <stdint.h>

struct slu_dataplane;

/* Zeroed, it begins at the beginning. */
struct slu_busy {
	uint64_t cursor;
	uint32_t found;
	uint32_t last; /* of the last whole walk */
	bool known;    /* there was one */
};

/* Looks at the next part of the table; with each tick. */
void slu_busy_look(struct slu_busy *busy, struct slu_dataplane *dp);

#endif
