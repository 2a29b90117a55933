#include "host/dataplane/meter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES (2 * SLU_METERS_MAX)
#define CARD_BYTES_BITS 48 /* of the last word on a rule that a session keeps */

static uint32_t *place_of(const struct slu_meters *m, const struct slu_meter_key *key)
{
	uint64_t w[2];
	uint32_t at;

	memcpy(w, key, sizeof(w));
	w[0] = (w[0] ^ w[1] << 7) * 0x9E3779B97F4A7C15u;
	for (at = (uint32_t)(w[0] >> 32);; at++) {
		uint32_t *place = &m->places[at % PLACES];

		if (!*place || !memcmp(&m->area->key[*place], key, sizeof(*key)))
			return place;
	}
}

/* Where each key is, and which places are free. */
static void list(struct slu_meters *m)
{
	m->free = m->free_count = 0;
	memset(m->places, 0, PLACES * sizeof(*m->places));
	for (uint32_t i = 1; i <= m->area->used; i++) {
		struct slu_meter_key *key = &m->area->key[i];

		if (key->listener_id != SLU_METER_FREE) {
			*place_of(m, key) = i;
			continue;
		}
		key->backend_id = m->free;
		m->free = i;
		m->free_count++;
	}
}

static void finish_join(struct slu_meter_area *area)
{
	uint32_t from = area->join.from, to = area->join.to;

	memcpy(area->software[to], area->join.sum, sizeof(area->join.sum));
	memset(area->card[to], 0, sizeof(area->card[to]));
	memset(area->software[from], 0, sizeof(area->software[from]));
	memset(area->card[from], 0, sizeof(area->card[from]));
	area->key[from] = (struct slu_meter_key){.listener_id = SLU_METER_FREE};
	__atomic_store_n(&area->join.from, 0, __ATOMIC_RELEASE);
}

int slu_meter_init(struct slu_meters *m, void *area)
{
	const struct slu_meter_join *join = &((struct slu_meter_area *)area)->join;

	static_assert(sizeof(struct slu_meter_key) == 16, "two words");
	static_assert(offsetof(struct slu_meter_area, key) == 64, "a cache line before the keys");
	m->area = area;
	m->places = calloc(PLACES, sizeof(*m->places));
	if (!m->places)
		return -ENOMEM;
	if (m->area->used >= SLU_METERS_MAX)
		m->area->used = 0; /* no number that this program wrote */
	if (join->from && join->from <= m->area->used && join->to && join->to <= m->area->used &&
		join->from != join->to)
		finish_join(m->area);
	m->area->join.from = 0;
	list(m);
	return 0;
}

void slu_meter_fini(struct slu_meters *m)
{
	free(m->places);
	m->places = NULL;
}

uint32_t slu_meter_get(struct slu_meters *m, const struct slu_meter_key *key)
{
	struct slu_meter_area *area = m->area;
	uint32_t *place = place_of(m, key), known = *place;

	if (known)
		return known;
	if (key->backend_id && area->used - m->free_count >= SLU_METERS_OF_PAIRS) {
		struct slu_meter_key shared = *key;

		shared.backend_id = 0;
		return slu_meter_get(m, &shared);
	}
	if (m->free) {
		*place = m->free;
		m->free = area->key[*place].backend_id;
		m->free_count--;
		area->key[*place].backend_id = key->backend_id;
		memcpy(&area->key[*place].internal, &key->internal,
			sizeof(*key) - offsetof(struct slu_meter_key, internal));
		/* From here on it is one for readers. */
		__atomic_store_n(&area->key[*place].listener_id, key->listener_id, __ATOMIC_RELEASE);
		return *place;
	}
	if (area->used + 1 >= SLU_METERS_MAX)
		return 0;
	*place = area->used + 1;
	area->key[*place] = *key;
	__atomic_store_n(&area->used, *place, __ATOMIC_RELEASE);
	return *place;
}

static void join(struct slu_meter_area *area, uint32_t from, uint32_t to)
{
	for (unsigned int dir = 0; dir < 2; dir++) {
		const struct slu_meter_count *parts[4] = {&area->software[from][dir], &area->card[from][dir],
			&area->software[to][dir], &area->card[to][dir]};

		area->join.sum[dir] = (struct slu_meter_count){0};
		for (unsigned int i = 0; i < 4; i++) {
			area->join.sum[dir].packets += parts[i]->packets;
			area->join.sum[dir].bytes += parts[i]->bytes;
		}
	}
	area->join.to = to;
	__atomic_store_n(&area->join.from, from, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	finish_join(area);
}

uint32_t slu_meter_reclaim(struct slu_meters *m, const bool *held,
	bool (*is_there)(const void *context, uint32_t listener_id), const void *context)
{
	struct slu_meter_area *area = m->area;
	uint32_t before = m->free_count;

	for (uint32_t i = 1; i <= area->used; i++) {
		struct slu_meter_key whole = area->key[i];
		uint32_t *place;

		if (whole.listener_id == SLU_METER_FREE || !whole.listener_id || !whole.backend_id || held[i] ||
			is_there(context, whole.listener_id))
			continue;
		whole.backend_id = 0;
		place = place_of(m, &whole);
		if (*place) {
			join(area, i, *place);
		} else {
			area->key[i].backend_id = 0;
			*place = i;
		}
	}
	list(m);
	return m->free_count - before;
}

void slu_meter_add_card(struct slu_meter_area *area, uint32_t meter, unsigned int dir,
	const struct slu_meter_count *was, const struct slu_meter_count *is)
{
	struct slu_meter_count *c = &area->card[meter][dir], before = *was;

	/* The session kept the low bits only. */
	before.bytes |= is->bytes >> CARD_BYTES_BITS << CARD_BYTES_BITS;
	if (before.bytes > is->bytes && before.bytes >> CARD_BYTES_BITS)
		before.bytes -= 1ull << CARD_BYTES_BITS;
	if (before.packets > is->packets || before.bytes > is->bytes)
		before = (struct slu_meter_count){0};
	__atomic_store_n(&c->packets, c->packets + is->packets - before.packets, __ATOMIC_RELAXED);
	__atomic_store_n(&c->bytes, c->bytes + is->bytes - before.bytes, __ATOMIC_RELAXED);
}
