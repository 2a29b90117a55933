#include "host/cluster/members.h"

#include <stdlib.h>
#include <string.h>

/* Where it stands in the ring; members->count if it does not. */
static uint32_t place_of(const struct slu_members *members, uint8_t id)
{
	uint32_t at = 0;

	while (at < members->count && members->list[at].id != id)
		at++;
	return at;
}

const struct slu_member *slu_members_find(const struct slu_members *members, uint8_t id)
{
	uint32_t at = place_of(members, id);

	return at < members->count ? &members->list[at] : NULL;
}

static int by_id(const void *left, const void *right)
{
	const struct slu_member *a = left, *b = right;

	return (a->id > b->id) - (a->id < b->id);
}

static void fill(struct slu_member *member, const struct slu_config_member *from, const struct slu_members *known)
{
	const struct slu_member *before = slu_members_find(known, from->id);

	/* With its holes: whole lists are compared. */
	memset(member, 0, sizeof(*member));
	member->id = from->id;
	member->address = from->address;
	member->alive = from->id == known->self || (before && before->alive);
	member->announces = before && before->announces;
	memcpy(member->name, from->name, sizeof(member->name));
	for (uint32_t i = 0; i < from->local_count && i < SLU_MEMBER_PREFIXES_MAX; i++)
		member->prefix[member->prefix_count++] = from->locals[i];
}

void slu_members_set(
	struct slu_members *members, uint8_t self, const struct slu_config_member *list, uint32_t list_count)
{
	struct slu_members known = *members;

	known.self = self;
	members->self = self;
	members->count = 0;
	for (uint32_t i = 0; i < list_count && i < SLU_CLUSTER_MEMBERS_MAX; i++)
		fill(&members->list[members->count++], &list[i], &known);
	qsort(members->list, members->count, sizeof(members->list[0]), by_id);
}

bool slu_members_mark(struct slu_members *members, uint8_t id, bool alive, bool announces)
{
	uint32_t at = place_of(members, id);
	struct slu_member *member = &members->list[at];

	alive |= id == members->self;
	announces &= alive;
	if (at == members->count || (member->alive == alive && member->announces == announces))
		return false;
	member->alive = alive;
	member->announces = announces;
	return true;
}

/* The first of the ring from `start` on that lives, and announces if that is asked; 0 if none. */
static uint8_t first(const struct slu_members *members, uint32_t start, bool announces)
{
	for (uint32_t i = 0; i < members->count; i++) {
		const struct slu_member *member = &members->list[(start + i) % members->count];

		if (member->alive && (member->announces || !announces))
			return member->id;
	}
	return 0;
}

static uint8_t owner_from(const struct slu_members *members, uint32_t start)
{
	uint8_t owner = first(members, start, true);

	return owner ? owner : first(members, start, false);
}

uint8_t slu_members_owner(const struct slu_members *members, uint8_t home)
{
	uint32_t start = place_of(members, home);

	return start < members->count ? owner_from(members, start) : 0;
}

void slu_members_view(const struct slu_members *members, struct slu_cluster_view *view)
{
	*view = (struct slu_cluster_view){.self = members->self};
	/* NAT is active/backup: the active node is the first of the ring. */
	view->nat_owner = owner_from(members, 0);
	for (uint32_t i = 0; i < members->count; i++) {
		const struct slu_member *member = &members->list[i];
		uint8_t owner = owner_from(members, i);

		view->member_count += member->alive;
		for (uint32_t j = 0; j < member->prefix_count; j++)
			view->prefix[view->prefix_count++] =
				(struct slu_cluster_prefix){.address = member->prefix[j].ip,
					.bits = member->prefix[j].bits,
					.home = member->id,
					.owner = owner};
	}
}

/* The next one of the ring that would carry what this member announces, if it went. */
static uint8_t successor(const struct slu_members *members, uint32_t index)
{
	for (uint32_t i = 1; i < members->count; i++) {
		const struct slu_member *member = &members->list[(index + i) % members->count];

		if (member->id == members->self || (member->alive && member->announces))
			return member->id;
	}
	return 0;
}

uint32_t slu_members_backup(const struct slu_members *members, struct slu_config_prefix *prefixes)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < members->count; i++) {
		const struct slu_member *member = &members->list[i];

		if (member->id == members->self || successor(members, i) != members->self)
			continue;
		for (uint32_t j = 0; j < member->prefix_count; j++)
			prefixes[count++] = member->prefix[j];
	}
	return count;
}
