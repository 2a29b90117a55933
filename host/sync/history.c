#include "host/sync/history.h"

#include <stdlib.h>
#include <string.h>

/* Before each datagram in the ring. */
struct entry {
	uint64_t sequence;
	uint32_t count;
};

/* Positions count all bytes ever written; they wrap at `size` in memory. */
struct slu_history {
	uint8_t *ring;
	size_t size;
	uint64_t oldest, end;
	uint64_t dropped; /* sequence of the newest datagram that is gone */
};

#define SIZE_MIN (64u * 1024)

struct slu_history *slu_history_create(size_t bytes)
{
	struct slu_history *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->size = bytes < SIZE_MIN + sizeof(struct entry) ? SIZE_MIN + sizeof(struct entry) : bytes;
	h->ring = malloc(h->size);
	if (!h->ring) {
		free(h);
		return NULL;
	}
	return h;
}

void slu_history_free(struct slu_history *history)
{
	if (history)
		free(history->ring);
	free(history);
}

static void copy_in(struct slu_history *h, const void *from, size_t count)
{
	size_t at = h->end % h->size, first = count < h->size - at ? count : h->size - at;

	memcpy(h->ring + at, from, first);
	memcpy(h->ring, (const uint8_t *)from + first, count - first);
	h->end += count;
}

static void copy_out(const struct slu_history *h, uint64_t position, void *to, size_t count)
{
	size_t at = position % h->size, first = count < h->size - at ? count : h->size - at;

	memcpy(to, h->ring + at, first);
	memcpy((uint8_t *)to + first, h->ring, count - first);
}

void slu_history_add(struct slu_history *h, uint64_t sequence, const uint8_t *bytes, uint32_t count)
{
	struct entry entry = {.sequence = sequence, .count = count};

	while (h->end + sizeof(entry) + count - h->oldest > h->size) {
		struct entry gone;

		copy_out(h, h->oldest, &gone, sizeof(gone));
		h->oldest += sizeof(gone) + gone.count;
		h->dropped = gone.sequence;
	}
	copy_in(h, &entry, sizeof(entry));
	copy_in(h, bytes, count);
}

bool slu_history_reaches(const struct slu_history *history, uint64_t sequence)
{
	return sequence > history->dropped;
}

uint32_t slu_history_next(
	const struct slu_history *h, uint64_t *cursor, uint64_t from, uint64_t *sequence, uint8_t *bytes)
{
	struct entry entry;

	if (*cursor < h->oldest)
		*cursor = h->oldest;
	while (*cursor < h->end) {
		copy_out(h, *cursor, &entry, sizeof(entry));
		*cursor += sizeof(entry) + entry.count;
		if (entry.sequence < from)
			continue;
		copy_out(h, *cursor - entry.count, bytes, entry.count);
		*sequence = entry.sequence;
		return entry.count;
	}
	return 0;
}
