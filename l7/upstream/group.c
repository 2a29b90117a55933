#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/upstream/group.h"

#define POINTS_PER_WEIGHT 16u
#define POINTS_MAX 65536u

/* FNV-1a with a finaliser (that of splitmix64), since its low bits alone are poor. */
uint64_t slu_group_hash(const void *bytes, size_t count)
{
	const uint8_t *at = bytes;
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ at[i]) * 0x100000001b3;
	hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9;
	hash = (hash ^ hash >> 27) * 0x94d049bb133111eb;
	return hash ^ hash >> 31;
}

static int compare_points(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

/* A ring of points: a server that leaves or comes moves only what was or will be its own. */
static void ring_build(struct slu_group *group)
{
	uint64_t total = 0, scale;

	for (uint32_t i = 0; i < group->site->server_count; i++)
		total += (uint64_t)group->site->servers[i].weight * POINTS_PER_WEIGHT;
	scale = total / POINTS_MAX + 1;
	group->points = calloc(total / scale + group->site->server_count + 1, sizeof(*group->points));
	if (group->points == NULL)
		abort();
	for (uint32_t i = 0; i < group->site->server_count; i++) {
		uint32_t weight = group->site->servers[i].weight;
		uint64_t points = ((uint64_t)weight * POINTS_PER_WEIGHT + scale - 1) / scale;
		char text[80];

		for (uint64_t n = 0; n < points; n++) {
			int bytes = snprintf(text, sizeof(text), "%s#%" PRIu64, group->servers[i]->address.text, n);

			group->points[group->point_count++] =
				(slu_group_hash(text, (size_t)bytes) & 0xffffffff00000000) | i;
		}
	}
	qsort(group->points, group->point_count, sizeof(*group->points), compare_points);
}

static struct slu_server *old_server(const struct slu_group *old, const struct slu_site_address *address)
{
	for (uint32_t i = 0; old != NULL && i < old->site->server_count; i++)
		if (strcmp(old->servers[i]->address.text, address->text) == 0)
			return slu_server_hold(old->servers[i]);
	return NULL;
}

struct slu_group *slu_group_new(const struct slu_site_group *site, const struct slu_group *old)
{
	struct slu_group *group = calloc(1, sizeof(*group));

	if (group == NULL)
		abort();
	group->site = site;
	group->servers = calloc(site->server_count + 1, sizeof(struct slu_server *));
	if (group->servers == NULL)
		abort();
	for (uint32_t i = 0; i < site->server_count; i++) {
		struct slu_server *server = old_server(old, &site->servers[i].address);

		if (server == NULL)
			server = slu_server_new(&site->servers[i].address);
		server->weight = site->servers[i].weight;
		group->servers[i] = server;
	}
	if (site->scheduler == SLU_SITE_HASH)
		ring_build(group);
	return group;
}

void slu_group_free(struct slu_group *group)
{
	for (uint32_t i = 0; i < group->site->server_count; i++)
		slu_server_drop(group->servers[i]);
	free(group->servers);
	free(group->points);
	free(group);
}

static bool among(struct slu_server *const *tried, uint32_t count, const struct slu_server *server)
{
	for (uint32_t i = 0; i < count; i++)
		if (tried[i] == server)
			return true;
	return false;
}

static bool able(const struct slu_server *server, uint64_t now_ms)
{
	return server->weight > 0 && !server->down && server->ejected_until_ms <= now_ms;
}

/* Weights in 256ths, because a server that starts slowly has a fraction. */
static int32_t weight_now(const struct slu_group *group, const struct slu_server *server, uint64_t now_ms)
{
	uint64_t since = now_ms - server->started_ms;
	uint64_t slow = group->site->slow_start_ms;
	int32_t weight = (int32_t)server->weight * 256;

	if (server->started_ms != 0 && since < slow)
		weight = (int32_t)((uint64_t)weight * (since + slow / 16 + 1) / (slow + slow / 16 + 1));
	return weight > 0 ? weight : 1;
}

/* Smooth weighted round robin: each gains its weight, the richest pays the sum. */
static struct slu_server *pick_wrr(
	struct slu_group *group, struct slu_server *const *tried, uint32_t count, bool any, uint64_t now_ms)
{
	struct slu_server *best = NULL;
	int32_t total = 0;

	for (uint32_t i = 0; i < group->site->server_count; i++) {
		struct slu_server *server = group->servers[i];
		int32_t weight;

		if (server->weight == 0 || (!any && !able(server, now_ms)) || among(tried, count, server))
			continue;
		weight = weight_now(group, server, now_ms);
		server->current += weight;
		total += weight;
		if (best == NULL || server->current > best->current)
			best = server;
	}
	if (best != NULL)
		best->current -= total;
	return best;
}

/* Fewest requests under way for its weight. */
static struct slu_server *pick_wlc(
	struct slu_group *group, struct slu_server *const *tried, uint32_t count, bool any, uint64_t now_ms)
{
	struct slu_server *best = NULL;
	uint64_t best_active = 0, best_weight = 1;

	for (uint32_t i = 0; i < group->site->server_count; i++) {
		struct slu_server *server = group->servers[i];
		uint64_t weight;

		if (server->weight == 0 || (!any && !able(server, now_ms)) || among(tried, count, server))
			continue;
		weight = (uint64_t)weight_now(group, server, now_ms);
		if (best == NULL || (server->active + 1) * best_weight < best_active * weight ||
			((server->active + 1) * best_weight == best_active * weight &&
				server->requests < best->requests)) {
			best = server;
			best_active = server->active + 1;
			best_weight = weight;
		}
	}
	return best;
}

static struct slu_server *pick_hash(struct slu_group *group, uint64_t hash, struct slu_server *const *tried,
	uint32_t count, bool any, uint64_t now_ms)
{
	uint32_t low = 0, high = group->point_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (group->points[middle] < (hash & 0xffffffff00000000))
			low = middle + 1;
		else
			high = middle;
	}
	for (uint32_t i = 0; i < group->point_count; i++) {
		struct slu_server *server = group->servers[(uint32_t)group->points[(low + i) % group->point_count]];

		if ((any || able(server, now_ms)) && !among(tried, count, server))
			return server;
	}
	return NULL;
}

static struct slu_server *pick(struct slu_group *group, uint64_t hash, struct slu_server *const *tried, uint32_t count,
	bool any, uint64_t now_ms)
{
	switch (group->site->scheduler) {
	case SLU_SITE_WLC:
		return pick_wlc(group, tried, count, any, now_ms);
	case SLU_SITE_HASH:
		return pick_hash(group, hash, tried, count, any, now_ms);
	default:
		return pick_wrr(group, tried, count, any, now_ms);
	}
}

struct slu_server *slu_group_pick(
	struct slu_group *group, uint64_t hash, struct slu_server *const *tried, uint32_t count, uint64_t now_ms)
{
	struct slu_server *server = pick(group, hash, tried, count, false, now_ms);

	/* When all are down, checks may be wrong: better a try than a certain refusal. */
	return server != NULL || count > 0 ? server : pick(group, hash, tried, count, true, now_ms);
}

void slu_group_report(struct slu_group *group, struct slu_server *server, bool failed, uint64_t now_ms)
{
	if (!failed) {
		server->failures = 0;
		return;
	}
	server->errors++;
	if (group->site->outlier_failures == 0 || ++server->failures < group->site->outlier_failures)
		return;
	server->failures = 0;
	server->ejected_until_ms = now_ms + group->site->outlier_ms;
	server->started_ms = server->ejected_until_ms;
}

void slu_group_token(const struct slu_server *server, char token[17])
{
	snprintf(token, 17, "%016" PRIx64, slu_group_hash(server->address.text, strlen(server->address.text)));
}

struct slu_server *slu_group_find(struct slu_group *group, const char *token, uint32_t bytes, uint64_t now_ms)
{
	char own[17];

	for (uint32_t i = 0; bytes == 16 && i < group->site->server_count; i++) {
		slu_group_token(group->servers[i], own);
		if (memcmp(own, token, 16) == 0)
			return !group->servers[i]->down && group->servers[i]->ejected_until_ms <= now_ms
				       ? group->servers[i]
				       : NULL;
	}
	return NULL;
}
