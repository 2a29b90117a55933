#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l7/io/outbox.h"

/* Below this a copy is cheaper than a part of its own. */
#define COPIED_BYTES 2048u

static struct slu_outbox_part *part_add(struct slu_outbox *box)
{
	if (box->first + box->count == box->room) {
		if (box->first > 0) {
			memmove(box->parts, &box->parts[box->first], box->count * sizeof(*box->parts));
			box->first = 0;
		} else {
			box->room = box->room ? 2 * box->room : 4;
			box->parts = realloc(box->parts, box->room * sizeof(*box->parts));
			if (box->parts == NULL)
				abort();
		}
	}
	return &box->parts[box->first + box->count++];
}

char *slu_outbox_reserve(struct slu_outbox *box, size_t bytes)
{
	if (box->scratch != NULL && box->scratch->size - box->scratch->end < bytes) {
		slu_buffer_drop(box->scratch);
		box->scratch = NULL;
	}
	if (box->scratch == NULL)
		box->scratch = slu_buffer_get(bytes);
	return &box->scratch->bytes[box->scratch->end];
}

void slu_outbox_commit(struct slu_outbox *box, size_t bytes)
{
	char *from = &box->scratch->bytes[box->scratch->end];
	struct slu_outbox_part *last = box->count ? &box->parts[box->first + box->count - 1] : NULL;

	if (bytes == 0)
		return;
	if (last != NULL && last->owner == box->scratch && last->bytes + last->size == from)
		last->size += bytes;
	else
		*part_add(box) = (struct slu_outbox_part){slu_buffer_hold(box->scratch), from, bytes};
	box->scratch->end += (uint32_t)bytes;
	box->bytes += bytes;
}

void slu_outbox_copy(struct slu_outbox *box, const void *bytes, size_t count)
{
	memcpy(slu_outbox_reserve(box, count), bytes, count);
	slu_outbox_commit(box, count);
}

void slu_outbox_share(struct slu_outbox *box, struct slu_buffer *owner, const char *bytes, size_t count)
{
	if (count < COPIED_BYTES) {
		slu_outbox_copy(box, bytes, count);
		return;
	}
	*part_add(box) = (struct slu_outbox_part){slu_buffer_hold(owner), (char *)bytes, count};
	box->bytes += count;
}

/* Takes `taken` bytes off the front. */
static void advance(struct slu_outbox *box, size_t taken)
{
	box->bytes -= taken;
	while (taken > 0) {
		struct slu_outbox_part *part = &box->parts[box->first];

		if (taken < part->size) {
			part->bytes += taken;
			part->size -= taken;
			return;
		}
		taken -= part->size;
		slu_buffer_drop(part->owner);
		box->first++;
		box->count--;
	}
}

int slu_outbox_flush(struct slu_outbox *box, struct slu_channel *channel)
{
	struct iovec parts[SLU_CHANNEL_PARTS_MAX];

	while (box->count > 0) {
		uint32_t count = box->count < SLU_CHANNEL_PARTS_MAX ? box->count : SLU_CHANNEL_PARTS_MAX;
		ssize_t taken;

		for (uint32_t i = 0; i < count; i++)
			parts[i] = (struct iovec){box->parts[box->first + i].bytes, box->parts[box->first + i].size};
		taken = slu_channel_write(channel, parts, (int)count);
		if (taken < 0)
			return (int)taken;
		advance(box, (size_t)taken);
	}
	box->first = 0;
	slu_buffer_drop(box->scratch);
	box->scratch = NULL;
	return 0;
}

void slu_outbox_clear(struct slu_outbox *box)
{
	for (uint32_t i = 0; i < box->count; i++)
		slu_buffer_drop(box->parts[box->first + i].owner);
	slu_buffer_drop(box->scratch);
	free(box->parts);
	*box = (struct slu_outbox){0};
}
