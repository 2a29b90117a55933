#include <stdlib.h>
#include <string.h>

#include "l7/io/buffer.h"

/* Last in, first out: what is handed out is what the cache still knows. */
static struct free_list {
	struct slu_buffer *first;
	uint32_t count, max; /* beyond max, memory goes back */
} small_list = {.max = 4096}, large_list = {.max = 256};

struct slu_buffer *slu_buffer_get(size_t bytes)
{
	struct free_list *list = bytes <= SLU_BUFFER_SMALL_BYTES ? &small_list : &large_list;
	uint32_t size = list == &small_list ? SLU_BUFFER_SMALL_BYTES : SLU_BUFFER_LARGE_BYTES;
	struct slu_buffer *buffer = list->first;

	if (buffer != NULL) {
		list->first = buffer->next;
		list->count--;
	} else {
		buffer = malloc(sizeof(*buffer) + size);
		if (buffer == NULL)
			abort();
		buffer->size = size;
	}
	buffer->refs = 1;
	buffer->begin = buffer->end = 0;
	return buffer;
}

void slu_buffer_drop(struct slu_buffer *buffer)
{
	struct free_list *list;

	if (buffer == NULL || --buffer->refs > 0)
		return;
	list = buffer->size == SLU_BUFFER_SMALL_BYTES ? &small_list : &large_list;
	if (list->count == list->max) {
		free(buffer);
		return;
	}
	buffer->next = list->first;
	list->first = buffer;
	list->count++;
}

/* Less than this is not worth a system call. */
#define ROOM_MIN_BYTES 2048u

char *slu_buffer_room(struct slu_buffer **place, size_t bytes, size_t *room)
{
	struct slu_buffer *buffer = *place, *larger;
	size_t filled;

	if (buffer == NULL)
		*place = buffer = slu_buffer_get(bytes);
	filled = slu_buffer_filled(buffer);
	if (filled == 0 && buffer->refs == 1)
		buffer->begin = buffer->end = 0;
	if (buffer->size - buffer->end < ROOM_MIN_BYTES || (filled == 0 && buffer->size < bytes)) {
		if (filled + ROOM_MIN_BYTES > SLU_BUFFER_LARGE_BYTES)
			return NULL;
		larger = slu_buffer_get(filled + ROOM_MIN_BYTES > bytes ? filled + ROOM_MIN_BYTES : bytes);
		memcpy(larger->bytes, &buffer->bytes[buffer->begin], filled);
		larger->end = (uint32_t)filled;
		slu_buffer_drop(buffer);
		*place = buffer = larger;
	}
	*room = buffer->size - buffer->end;
	return &buffer->bytes[buffer->end];
}
