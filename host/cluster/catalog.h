/*
 * The configuration that a cluster shares, as it stands in etcd: listeners, groups,
 * SNAT, EIP and metering are parts, each named by the hash of its canonical text, and a generation lists them.
 * Parts arrive in any order; only a generation that has all of its parts is whole, and
 * only whole ones become a document. Pure logic; control thread only.
 */
#ifndef SLU_HOST_CATALOG_H
#define SLU_HOST_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "host/config/config.h"

/* etcd takes values of 1.5 MiB, and the generation lists every part in 67 bytes. */
#define SLU_CATALOG_MAX_PARTS 20000u

struct slu_catalog;

struct slu_catalog *slu_catalog_create(void);
void slu_catalog_free(struct slu_catalog *catalog); /* NULL is allowed */

/*
 * Takes a part. `name` is "groups/HASH", "snat/HASH" and so on (slu_config_kinds). Returns 0; -EINVAL if
 * the name is none; -EBADMSG if the text has another hash.
 */
int slu_catalog_add(struct slu_catalog *catalog, const char *name, const char *text, size_t bytes);

/*
 * Takes the list of a generation, which is wanted from now on, in place of an earlier one:
 * {"number": 7, "groups": [HASH ..], "listeners": [HASH ..], "snat": ..}. Returns 0; -EINVAL if
 * this is none, and the earlier one stays.
 */
int slu_catalog_want(struct slu_catalog *catalog, const char *text, size_t bytes);

/* Grows with every list that is another than the one before, whatever its number. */
uint64_t slu_catalog_changes(const struct slu_catalog *catalog);
uint64_t slu_catalog_number(const struct slu_catalog *catalog);  /* of the wanted generation; 0: none */
uint32_t slu_catalog_missing(const struct slu_catalog *catalog); /* parts of it that have not come */

/* The document of the wanted generation, which is whole; the caller frees it. Other parts are forgotten. */
char *slu_catalog_document(struct slu_catalog *catalog);

/*
 * The other direction: the list and the parts of a configuration. *parts is an object
 * of texts by name. Returns 0, or -E2BIG if there are too many. The caller owns both.
 */
int slu_catalog_split(const struct slu_config *config, uint64_t number, json_t **list, json_t **parts);

/* Whether the wanted generation has this part. */
bool slu_catalog_wants(const struct slu_catalog *catalog, const char *name);

#endif
