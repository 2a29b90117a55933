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

int slu_meter_init(struct slu_meters *m, void *area)
{
	static_assert(sizeof(struct slu_meter_key) == 16, "two words");
	m->area = area;
	m->places = calloc(PLACES, sizeof(*m->places));
	if (!m->places)
		return -ENOMEM;
	if (m->area->used >= SLU_METERS_MAX)
		m->area->used = 0; /* no number that this program wrote */
	for (uint32_t i = 1; i <= m->area->used; i++)
		*place_of(m, &m->area->key[i]) = i;
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
	if (key->backend_id && area->used >= SLU_METERS_OF_PAIRS) {
		struct slu_meter_key shared = *key;

		shared.backend_id = 0;
		return slu_meter_get(m, &shared);
	}
	if (area->used + 1 >= SLU_METERS_MAX)
		return 0;
	*place = area->used + 1;
	area->key[*place] = *key;
	__atomic_store_n(&area->used, *place, __ATOMIC_RELEASE);
	return *place;
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
