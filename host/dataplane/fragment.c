#include "host/dataplane/fragment.h"

#include "host/dataplane/session.h"

static void fill(struct slu_fragment *f, const struct slu_packet *p)
{
	memset(f, 0, sizeof(*f));
	if (p->key.address6)
		memcpy(f->address, p->key.address6, 32);
	else
		memcpy(f->address, &p->key.addresses, 8);
	f->identification = p->fragment;
	f->proto_vpc = (uint32_t)(p->key.rest >> 32);
	f->family = p->family;
}

static struct slu_fragment *set_of(struct slu_fragment_table *table, const struct slu_fragment *f)
{
	uint64_t h = table->salt, w;

	for (int i = 0; i < 4; i++) {
		memcpy(&w, f->address + i * 8, 8);
		h = (h ^ w) * 0x9E3779B97F4A7C15u;
		h ^= h >> 31;
	}
	h = (h ^ f->identification ^ (uint64_t)f->proto_vpc << 32) * 0xBF58476D1CE4E5B9u;
	return table->entry[(h >> 40) % SLU_FRAGMENT_SETS];
}

static bool same(const struct slu_fragment *a, const struct slu_fragment *b)
{
	return a->family == b->family && a->identification == b->identification && a->proto_vpc == b->proto_vpc &&
	       !memcmp(a->address, b->address, sizeof(a->address));
}

void slu_fragment_note(struct slu_fragment_table *table, const struct slu_packet *p, uint32_t now_tick)
{
	struct slu_fragment wanted, *set, *victim;

	fill(&wanted, p);
	set = victim = set_of(table, &wanted);
	for (int i = 0; i < SLU_FRAGMENT_WAYS; i++) {
		if (same(&set[i], &wanted)) {
			victim = &set[i];
			break;
		}
		if (!set[i].family)
			victim = &set[i];
		else if (victim->family && (int32_t)(set[i].seen - victim->seen) < 0)
			victim = &set[i];
	}
	wanted.ports = (uint32_t)p->key.rest;
	wanted.seen = now_tick;
	*victim = wanted;
}

bool slu_fragment_complete(struct slu_fragment_table *table, struct slu_packet *p, uint32_t now_tick)
{
	struct slu_fragment wanted, *set;

	fill(&wanted, p);
	set = set_of(table, &wanted);
	for (int i = 0; i < SLU_FRAGMENT_WAYS; i++) {
		if (!same(&set[i], &wanted))
			continue;
		if (now_tick - set[i].seen > slu_session_tick((uint64_t)SLU_FRAGMENT_TIMEOUT_S * 1000000))
			return false;
		p->key.rest |= set[i].ports;
		return true;
	}
	return false;
}
