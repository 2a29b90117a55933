#include "tests/lab/stamp/stream.h"

#include <string.h>

/* Finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xBF58476D1CE4E5B9u;
	x ^= x >> 27;
	x *= 0x94D049BB133111EBu;
	return x ^ x >> 31;
}

static uint64_t word(uint64_t id, enum stamp_way way, uint64_t index)
{
	return mix(mix(4 * id + way + 1) + 0x9E3779B97F4A7C15u * (index + 1));
}

void stamp_stream_fill(uint64_t id, enum stamp_way way, uint64_t offset, uint8_t *bytes, size_t count)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < count; i++, offset++) {
		if (i == 0 || offset % 8 == 0)
			value = word(id, way, offset / 8);
		bytes[i] = (uint8_t)(value >> 8 * (offset % 8));
	}
}

size_t stamp_stream_check(uint64_t id, enum stamp_way way, uint64_t offset, const uint8_t *bytes, size_t count)
{
	uint8_t wanted[512];
	size_t done, part, i;

	for (done = 0; done < count; done += part) {
		part = count - done < sizeof(wanted) ? count - done : sizeof(wanted);
		stamp_stream_fill(id, way, offset + done, wanted, part);
		if (memcmp(wanted, bytes + done, part) == 0)
			continue;
		for (i = 0; wanted[i] == bytes[done + i]; i++)
			;
		return done + i;
	}
	return count;
}

uint64_t stamp_stream_sum(const void *bytes, size_t count)
{
	const uint8_t *p = bytes;
	uint64_t sum = STAMP_MAGIC;

	while (count-- > 0)
		sum = mix(sum ^ *p++) + 1;
	return sum;
}
