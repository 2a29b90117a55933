/*
 * A group of servers and who of them gets the next request. One worker's thread only.
 */
#ifndef SLU_L7_GROUP_H
#define SLU_L7_GROUP_H

#include "l7/upstream/server.h"

struct slu_group {
	const struct slu_site_group *site; /* of the site that holds this group */
	struct slu_server **servers;       /* [site->server_count] */
	uint64_t *points;                  /* of consistent hashing: hash << 32 | index, sorted */
	uint32_t point_count;
};

/* Takes over servers of `old` (NULL: none) that have the same addresses. */
struct slu_group *slu_group_new(const struct slu_site_group *site, const struct slu_group *old);
void slu_group_free(struct slu_group *group);

/*
 * Chooses a server that is none of tried[0..count); `hash` counts for consistent
 * hashing only. Servers that are down are taken only when every one is. NULL when none is left.
 */
struct slu_server *slu_group_pick(
	struct slu_group *group, uint64_t hash, struct slu_server *const *tried, uint32_t count, uint64_t now_ms);

/* How a request of a server ended, for passive checks. */
void slu_group_report(struct slu_group *group, struct slu_server *server, bool failed, uint64_t now_ms);

/* The server whose token (slu_group_token) this is, if it may take requests; NULL. */
struct slu_server *slu_group_find(struct slu_group *group, const char *token, uint32_t bytes, uint64_t now_ms);

/* What a sticky cookie says of a server: 16 hex digits of its address's hash. */
void slu_group_token(const struct slu_server *server, char token[17]);

uint64_t slu_group_hash(const void *bytes, size_t count);

#endif
