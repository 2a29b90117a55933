/*
 * The members of a cluster as this node sees them: who lives, who announces itself,
 * and from that who owns which prefix. Pure logic; control thread only.
 *
 * A home prefix is owned by the first of the ring, from its home on, that lives and
 * announces; if nobody announces (all have just started), by the first that lives.
 * So a node that returns, or is drained, owns nothing while it announces nothing.
 */
#ifndef SLU_HOST_MEMBERS_H
#define SLU_HOST_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/config/config.h"
#include "host/dataplane/cluster_view.h"

#define SLU_MEMBER_PREFIXES_MAX (SLU_CLUSTER_PREFIXES_MAX / SLU_CLUSTER_MEMBERS_MAX)

struct slu_member {
	uint8_t id;
	char name[SLU_NAME_BYTES];
	struct slu_ip address; /* on the sync network */
	struct slu_config_prefix prefix[SLU_MEMBER_PREFIXES_MAX];
	uint32_t prefix_count;
	bool alive, announces;
};

struct slu_members {
	uint8_t self;
	uint32_t count;
	struct slu_member list[SLU_CLUSTER_MEMBERS_MAX]; /* in the order of ids: the ring */
};

/*
 * Replaces the list; members that stay keep what is known of them. This node,
 * `self`, is in it and lives always. What exceeds the sizes above is left out.
 */
void slu_members_set(
	struct slu_members *members, uint8_t self, const struct slu_config_member *list, uint32_t list_count);

/* NULL if there is no such member. */
const struct slu_member *slu_members_find(const struct slu_members *members, uint8_t id);

/*
 * Notes what a member is now; a dead one announces nothing. Returns whether this
 * changed anything. Unknown ids, and this node's death, are ignored.
 */
bool slu_members_mark(struct slu_members *members, uint8_t id, bool alive, bool announces);

/* Who owns the prefixes whose home is this member. */
uint8_t slu_members_owner(const struct slu_members *members, uint8_t home);

void slu_members_view(const struct slu_members *members, struct slu_cluster_view *view);

/*
 * Prefixes that this node announces at a worse preference, so that routing alone
 * moves them: those of others after whom this node is the next that announces
 * (this node counted as one that does). Returns how many; `prefixes` has room for SLU_CLUSTER_PREFIXES_MAX.
 */
uint32_t slu_members_backup(const struct slu_members *members, struct slu_config_prefix *prefixes);

#endif
