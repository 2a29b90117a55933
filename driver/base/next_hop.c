#include "next_hop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE SLU_NEXT_HOP_NONE

struct entry {
	struct slu_nic_next_hop content;
	const void *owner;
	uint32_t references;
	bool used;
	bool restored;  /* found in the card, and no handle has claimed it */
	uint32_t epoch; /* free: when it was freed */
	uint32_t next;  /* used: in its chain; free: in the free list */
};

struct slu_next_hops {
	uint32_t count, used;
	uint32_t free_first, free_last; /* oldest first, so that a fence is seldom needed */
	struct entry *entries;          /* [count] */
	uint32_t *chains;               /* [count], by content and owner */
};

static uint32_t *chain_of(const struct slu_next_hops *hops, const struct slu_nic_next_hop *content, const void *owner)
{
	uint64_t words[4], hash = (uintptr_t)owner;

	memcpy(words, content, sizeof(words));
	for (int i = 0; i < 4; i++)
		hash = (hash ^ words[i]) * 0x9E3779B97F4A7C15ull, hash ^= hash >> 29;
	return &hops->chains[hash & (hops->count - 1)];
}

static void link_entry(struct slu_next_hops *hops, uint32_t index)
{
	struct entry *e = &hops->entries[index];
	uint32_t *chain = chain_of(hops, &e->content, e->owner);

	e->next = *chain;
	*chain = index;
}

static void unlink_entry(struct slu_next_hops *hops, uint32_t index)
{
	struct entry *e = &hops->entries[index];
	uint32_t *at = chain_of(hops, &e->content, e->owner);

	while (*at != index)
		at = &hops->entries[*at].next;
	*at = e->next;
}

static void push_free(struct slu_next_hops *hops, uint32_t index)
{
	hops->entries[index].next = NONE;
	if (hops->free_last == NONE)
		hops->free_first = index;
	else
		hops->entries[hops->free_last].next = index;
	hops->free_last = index;
}

int slu_next_hop_create(uint32_t bits, struct slu_next_hops **hops)
{
	struct slu_next_hops *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->count = 1u << bits;
	h->free_first = h->free_last = NONE;
	h->entries = calloc(h->count, sizeof(*h->entries));
	h->chains = malloc(h->count * sizeof(*h->chains));
	if (!h->entries || !h->chains) {
		slu_next_hop_destroy(h);
		return -ENOMEM;
	}
	memset(h->chains, 0xFF, h->count * sizeof(*h->chains));
	for (uint32_t i = 0; i < h->count; i++)
		push_free(h, i);
	*hops = h;
	return 0;
}

void slu_next_hop_destroy(struct slu_next_hops *hops)
{
	if (!hops)
		return;
	free(hops->entries);
	free(hops->chains);
	free(hops);
}

static uint32_t find_entry(const struct slu_next_hops *hops, const struct slu_nic_next_hop *content, const void *owner)
{
	uint32_t i = *chain_of(hops, content, owner);

	while (i != NONE &&
		(hops->entries[i].owner != owner || memcmp(&hops->entries[i].content, content, sizeof(*content)) != 0))
		i = hops->entries[i].next;
	return i;
}

/* What a handle owned before a restart belongs to the first handle that asks for the same again. */
static uint32_t claim_restored(struct slu_next_hops *hops, const struct slu_nic_next_hop *content, const void *owner)
{
	uint32_t i = find_entry(hops, content, NULL);

	if (i == NONE || !hops->entries[i].restored)
		return NONE;
	unlink_entry(hops, i);
	hops->entries[i].owner = owner;
	hops->entries[i].restored = false;
	link_entry(hops, i);
	return i;
}

int slu_next_hop_get(struct slu_next_hops *hops, const struct slu_nic_next_hop *content, const void *owner,
	struct slu_next_hop_grant *grant)
{
	uint32_t there = find_entry(hops, content, owner);

	if (there == NONE && owner)
		there = claim_restored(hops, content, owner);
	if (there != NONE) {
		hops->entries[there].references++;
		*grant = (struct slu_next_hop_grant){.index = there};
		return 0;
	}
	uint32_t index = hops->free_first;
	if (index == NONE)
		return -ENOSPC;
	struct entry *e = &hops->entries[index];
	hops->free_first = e->next;
	if (hops->free_first == NONE)
		hops->free_last = NONE;
	*grant = (struct slu_next_hop_grant){.index = index, .fresh = true, .epoch = e->epoch};
	e->content = *content;
	e->owner = owner;
	e->references = 1;
	e->used = true;
	hops->used++;
	link_entry(hops, index);
	return 0;
}

static void release(struct slu_next_hops *hops, uint32_t index, uint32_t epoch)
{
	struct entry *e = &hops->entries[index];

	unlink_entry(hops, index);
	e->used = false;
	e->restored = false;
	e->owner = NULL;
	e->epoch = epoch;
	hops->used--;
	push_free(hops, index);
}

void slu_next_hop_put(struct slu_next_hops *hops, uint32_t index, uint32_t epoch)
{
	if (--hops->entries[index].references == 0)
		release(hops, index, epoch);
}

static void take_from_free_list(struct slu_next_hops *hops, uint32_t index)
{
	uint32_t before = NONE;

	for (uint32_t i = hops->free_first; i != index; i = hops->entries[i].next)
		before = i;
	if (before == NONE)
		hops->free_first = hops->entries[index].next;
	else
		hops->entries[before].next = hops->entries[index].next;
	if (hops->free_last == index)
		hops->free_last = before;
}

void slu_next_hop_restore(struct slu_next_hops *hops, uint32_t index, const struct slu_nic_next_hop *content)
{
	struct entry *e = &hops->entries[index];

	if (e->used)
		return;
	take_from_free_list(hops, index);
	e->content = *content;
	e->references = 0;
	e->used = true;
	e->restored = true;
	hops->used++;
	link_entry(hops, index);
}

bool slu_next_hop_hold(struct slu_next_hops *hops, uint32_t index)
{
	if (index >= hops->count || !hops->entries[index].used)
		return false;
	hops->entries[index].references++;
	return true;
}

void slu_next_hop_sweep(struct slu_next_hops *hops, uint32_t epoch)
{
	for (uint32_t i = 0; i < hops->count; i++) {
		if (hops->entries[i].used && hops->entries[i].references == 0)
			release(hops, i, epoch);
	}
}

bool slu_next_hop_owned(const struct slu_next_hops *hops, const void *owner, uint32_t *index)
{
	for (uint32_t i = *index; i < hops->count; i++) {
		if (hops->entries[i].used && hops->entries[i].owner == owner) {
			*index = i;
			return true;
		}
	}
	return false;
}

const struct slu_nic_next_hop *slu_next_hop_content(const struct slu_next_hops *hops, uint32_t index)
{
	return &hops->entries[index].content;
}

void slu_next_hop_rewrite(struct slu_next_hops *hops, uint32_t index, const struct slu_nic_next_hop *content)
{
	unlink_entry(hops, index);
	hops->entries[index].content = *content;
	link_entry(hops, index);
}

void slu_next_hop_disown(struct slu_next_hops *hops, const void *owner)
{
	for (uint32_t i = 0; slu_next_hop_owned(hops, owner, &i); i++) {
		unlink_entry(hops, i);
		hops->entries[i].owner = NULL;
		link_entry(hops, i);
	}
}

uint32_t slu_next_hop_used(const struct slu_next_hops *hops)
{
	return hops->used;
}
