#include "checksum.h"

#include <string.h>

uint64_t slu_checksum_add(uint64_t sum, const void *bytes, size_t count)
{
	const uint8_t *p = bytes;
	uint16_t word = 0;

	for (; count >= 4; count -= 4, p += 4) {
		uint32_t pair;

		memcpy(&pair, p, 4);
		sum += pair;
	}
	if (count >= 2) {
		memcpy(&word, p, 2);
		sum += word;
		count -= 2;
		p += 2;
	}
	if (count) {
		word = 0;
		memcpy(&word, p, 1);
		sum += word;
	}
	return sum;
}

uint64_t slu_checksum_add_pseudo(
	uint64_t sum, const void *src, const void *dst, size_t address_bytes, uint8_t protocol, uint32_t length)
{
	const uint8_t tail[8] = {length >> 24, length >> 16, length >> 8, length, 0, 0, 0, protocol};

	sum = slu_checksum_add(sum, src, address_bytes);
	sum = slu_checksum_add(sum, dst, address_bytes);
	return slu_checksum_add(sum, tail, sizeof(tail));
}

uint16_t slu_checksum_delta(const void *old_bytes, const void *new_bytes, size_t count)
{
	const uint8_t *old = old_bytes, *new = new_bytes;
	uint64_t sum = 0;

	for (size_t i = 0; i + 1 < count; i += 2) {
		uint16_t was, is;

		memcpy(&was, old + i, 2);
		memcpy(&is, new + i, 2);
		sum += (uint16_t)~was;
		sum += is;
	}
	return slu_checksum_fold(sum);
}
