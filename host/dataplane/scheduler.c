#include "host/dataplane/scheduler.h"

#include "lib/maglev.h"

uint64_t slu_scheduler_hash(const struct slu_session_key *key)
{
	uint64_t h = key->addresses;

	if (key->address6) {
		h = slu_session_table_mix(slu_packet_load64(key->address6) ^ 0x2D358DCCAA6C78A5u,
			slu_packet_load64(key->address6 + 8) ^ 0x8BB84B93962EACC9u);
		h ^= slu_session_table_mix(slu_packet_load64(key->address6 + 16) ^ 0x4B33A62ED433D4A3u,
			slu_packet_load64(key->address6 + 24) ^ 0x4D5A2DA51DE1AA47u);
	}
	h = slu_session_table_mix(h ^ 0xA0761D6478BD642Fu, key->rest ^ 0xE7037ED1A0B428DBu);
	return slu_session_table_mix(h ^ 0x8EBC6AF09C88C6E3u, 0x589965CC75374CC3u);
}

static const struct slu_backend *pick_round_robin(struct slu_worker *w, uint32_t group_index, const struct slu_group *g)
{
	uint32_t *cursor = &w->rr_cursor[group_index % RTE_DIM(w->rr_cursor)];

	for (uint32_t i = 0; i < g->wrr_count; i++) {
		const struct slu_backend *b = &g->backends[g->wrr[(*cursor)++ % g->wrr_count]];

		if (b->weight)
			return b;
	}
	return NULL;
}

/* IPVS: an active connection weighs as much as 256 inactive ones. */
static uint64_t overhead(const struct slu_dataplane *dp, uint32_t live)
{
	/* Sessions that other nodes have not told yet are young: they count as active. */
	uint64_t sum = (uint64_t)__atomic_load_n(&dp->backend_elsewhere[live], __ATOMIC_RELAXED) << 8;

	for (uint32_t i = 0; i < dp->workers; i++) {
		const struct slu_live *l = &dp->worker[i]->backend_live[live];

		sum += ((uint64_t)__atomic_load_n(&l->active, __ATOMIC_RELAXED) << 8) +
		       __atomic_load_n(&l->inactive, __ATOMIC_RELAXED);
	}
	return sum;
}

/* Least overhead / weight, compared by cross multiplication; the first of equals. */
static const struct slu_backend *pick_least(struct slu_worker *w, const struct slu_group *g)
{
	const struct slu_backend *best = NULL;
	uint64_t least = 0;

	for (uint32_t i = 0; i < g->backend_count; i++) {
		const struct slu_backend *b = &g->backends[i];
		uint64_t load;

		if (!b->weight)
			continue;
		load = overhead(w->dp, b->live);
		if (!best || load * best->weight < least * b->weight) {
			best = b;
			least = load;
		}
	}
	return best;
}

const struct slu_backend *slu_scheduler_pick(struct slu_worker *w, uint32_t group_index, const struct slu_packet *p)
{
	const struct slu_group *g = w->generation->groups[group_index];
	uint16_t index;

	switch (g->scheduler) {
	case SLU_SCHED_RR:
	case SLU_SCHED_WRR:
		return pick_round_robin(w, group_index, g);
	case SLU_SCHED_WLC:
		return pick_least(w, g);
	case SLU_SCHED_MAGLEV:
		if (!g->maglev)
			return NULL;
		index = g->maglev[slu_maglev_slot(slu_scheduler_hash(&p->key))];
		return index < g->backend_count && g->backends[index].weight ? &g->backends[index] : NULL;
	}
	return NULL;
}
