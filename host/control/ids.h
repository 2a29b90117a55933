/*
 * Stable ids of listeners, groups and backends. Sessions outlive configurations
 * and processes, so they refer to ids, and an id means the same thing for ever:
 * the table is kept in the state directory, and an id is never given twice.
 *
 * A live index is the place of live counters, small and dense. It is given
 * again only after its owner was removed and its last session has ended; until
 * then the entry is a tombstone.
 *
 * What an entry is, is told by its key: of a backend group, name, address and
 * port; of a listener name, network, address and protocol. A backend whose
 * address changed is another backend.
 *
 * Changes are made in a transaction: begin, take what the new configuration
 * has, then commit or abort. Control thread only.
 */
#ifndef SLU_HOST_IDS_H
#define SLU_HOST_IDS_H

#include <stdbool.h>
#include <stdint.h>

enum slu_ids_kind { SLU_IDS_LISTENER, SLU_IDS_GROUP, SLU_IDS_BACKEND, SLU_IDS_KINDS };

#define SLU_IDS_LIVE_MAX 65534u /* indexes are below this */

struct slu_ids;

/*
 * Reads `path`; a file that is missing is an empty table.
 * Returns 0; -EINVAL and *why (freed by the caller) if the file is damaged:
 * starting with other ids would give sessions to other backends.
 */
int slu_ids_load(const char *path, struct slu_ids **ids, char **why);
void slu_ids_free(struct slu_ids *ids);

void slu_ids_begin(struct slu_ids *ids);

/*
 * The id and live index of a key, new or as before.
 * Returns 0; -ENOSPC when there is no live index or id left.
 */
int slu_ids_take(struct slu_ids *ids, enum slu_ids_kind kind, const char *key, uint32_t *id, uint32_t *live);

/*
 * Writes the table as it will be to disk, then makes it so: what was not taken
 * becomes a tombstone. Returns 0; -errno if it could not be written, and the
 * transaction is still open.
 */
int slu_ids_commit(struct slu_ids *ids);

/* Forgets what the transaction took. */
void slu_ids_abort(struct slu_ids *ids);

/*
 * Drops each tombstone for which `in_use` says no; groups always. The file
 * follows with the next write. Returns the number of tombstones left.
 */
typedef bool slu_ids_in_use_fn(void *ctx, enum slu_ids_kind kind, uint32_t live);
uint32_t slu_ids_sweep(struct slu_ids *ids, slu_ids_in_use_fn *in_use, void *ctx);

/* What an id stands for, tombstones included. The key is valid until the next change. Returns false if unknown. */
struct slu_ids_entry {
	enum slu_ids_kind kind;
	uint32_t live;
	const char *key;
};
bool slu_ids_find(const struct slu_ids *ids, uint32_t id, struct slu_ids_entry *found);

/* One above the highest live index in use, tombstones included. */
uint32_t slu_ids_live_limit(const struct slu_ids *ids, enum slu_ids_kind kind);

#endif
