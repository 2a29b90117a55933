/*
 * What is to be written to a channel: small things are copied together, bodies
 * are held where they lie, and one flush is one system call. One worker's thread only.
 */
#ifndef SLU_L7_OUTBOX_H
#define SLU_L7_OUTBOX_H

#include "l7/channel.h"
#include "l7/io/buffer.h"

struct slu_outbox_part {
	struct slu_buffer *owner; /* held */
	char *bytes;
	size_t size;
};

/* Zeroed is empty. */
struct slu_outbox {
	struct slu_outbox_part *parts;
	uint32_t first, count, room;
	struct slu_buffer *scratch; /* takes copies; held here too */
	size_t bytes;               /* queued */
};

/* Room for `bytes` (at most SLU_BUFFER_LARGE_BYTES) in a row; slu_outbox_commit() then queues what was written there.
 */
char *slu_outbox_reserve(struct slu_outbox *box, size_t bytes);
void slu_outbox_commit(struct slu_outbox *box, size_t bytes);

/* Queues a copy. */
void slu_outbox_copy(struct slu_outbox *box, const void *bytes, size_t count);

/* Queues bytes that lie in `owner`; copies when they are few. */
void slu_outbox_share(struct slu_outbox *box, struct slu_buffer *owner, const char *bytes, size_t count);

/* Writes. Returns 0 when nothing is left; -EAGAIN; -errno of the channel. */
int slu_outbox_flush(struct slu_outbox *box, struct slu_channel *channel);

/* Forgets what is queued and frees. */
void slu_outbox_clear(struct slu_outbox *box);

#endif
