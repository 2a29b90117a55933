/*
 * Bytes on their way through a worker. A buffer is shared by counting its
 * holders, so that what was received is sent from where it lies; a connection
 * that waits for bytes holds none. One worker's thread only.
 */
#ifndef SLU_L7_BUFFER_H
#define SLU_L7_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct slu_buffer {
	struct slu_buffer *next; /* in its free list */
	uint32_t refs;
	uint32_t size;       /* of bytes */
	uint32_t begin, end; /* what was filled and not yet consumed, for who fills it */
	char bytes[];
};

/* Small: heads. Large: bodies; fits the second-level cache together with the socket's copy. */
#define SLU_BUFFER_SMALL_BYTES 8160u
#define SLU_BUFFER_LARGE_BYTES 65504u

/* An empty buffer of at least `bytes` (at most SLU_BUFFER_LARGE_BYTES), with one holder. Aborts when memory is out. */
struct slu_buffer *slu_buffer_get(size_t bytes);

static inline struct slu_buffer *slu_buffer_hold(struct slu_buffer *buffer)
{
	buffer->refs++;
	return buffer;
}

/* One holder less; the last one frees. NULL is allowed. */
void slu_buffer_drop(struct slu_buffer *buffer);

static inline size_t slu_buffer_filled(const struct slu_buffer *buffer)
{
	return buffer->end - buffer->begin;
}

/*
 * Room to read into behind what is filled, in *buffer (NULL: a new one of `bytes`) or in a larger one that takes its
 * place; bytes that others hold stay where they are. NULL when what is filled takes a large buffer whole.
 */
char *slu_buffer_room(struct slu_buffer **buffer, size_t bytes, size_t *room);

#endif
