#include "host/cluster/node_status.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define VERSION 1

enum { JOINED = 1, ANNOUNCES = 2, DRAINED = 4 };

static uint8_t *put(uint8_t *at, uint64_t value, unsigned bytes)
{
	uint64_t big = htobe64(value);

	memcpy(at, (const uint8_t *)&big + 8 - bytes, bytes);
	return at + bytes;
}

static const uint8_t *get(const uint8_t *at, uint64_t *value, unsigned bytes)
{
	uint64_t big = 0;

	memcpy((uint8_t *)&big + 8 - bytes, at, bytes);
	*value = be64toh(big);
	return at + bytes;
}

uint32_t slu_node_status_encode(struct slu_node_status *status, const struct slu_node_count *counts, uint32_t count,
	uint32_t *next, uint8_t bytes[SLU_NODE_STATUS_MAX_BYTES])
{
	uint32_t told = count < SLU_NODE_STATUS_COUNTS ? count : SLU_NODE_STATUS_COUNTS;
	uint32_t turn = (count + SLU_NODE_STATUS_COUNTS - 1) / SLU_NODE_STATUS_COUNTS;
	uint8_t *at = bytes;

	status->turn = (uint16_t)(turn < UINT16_MAX ? turn : UINT16_MAX);
	at = put(at, VERSION, 1);
	at = put(at,
		(status->joined ? JOINED : 0) | (status->announces ? ANNOUNCES : 0) | (status->drained ? DRAINED : 0),
		1);
	at = put(at, status->turn, 2);
	at = put(at, status->generation, 8);
	at = put(at, status->hash, 8);
	at = put(at, status->sessions, 4);
	for (uint32_t i = 0; i < told; i++) {
		const struct slu_node_count *one = &counts[(*next + i) % count];

		at = put(at, one->key, 8);
		at = put(at, one->count, 4);
	}
	*next = count ? (*next + told) % count : 0;
	return (uint32_t)(at - bytes);
}

int slu_node_status_decode(
	const uint8_t *bytes, uint32_t size, struct slu_node_status *status, struct slu_node_count *counts)
{
	uint64_t version, flags, turn, sessions, value;
	const uint8_t *at = bytes;
	int count;

	if (size < SLU_NODE_STATUS_HEAD_BYTES || size > SLU_NODE_STATUS_MAX_BYTES ||
		(size - SLU_NODE_STATUS_HEAD_BYTES) % SLU_NODE_STATUS_COUNT_BYTES != 0 || bytes[0] != VERSION)
		return -EINVAL;
	count = (int)((size - SLU_NODE_STATUS_HEAD_BYTES) / SLU_NODE_STATUS_COUNT_BYTES);
	at = get(at, &version, 1);
	at = get(at, &flags, 1);
	at = get(at, &turn, 2);
	at = get(at, &status->generation, 8);
	at = get(at, &status->hash, 8);
	at = get(at, &sessions, 4);
	status->joined = flags & JOINED;
	status->announces = flags & ANNOUNCES;
	status->drained = flags & DRAINED;
	status->turn = (uint16_t)turn;
	status->sessions = (uint32_t)sessions;
	for (int i = 0; i < count; i++) {
		at = get(at, &counts[i].key, 8);
		at = get(at, &value, 4);
		counts[i].count = (uint32_t)value;
	}
	return count;
}
