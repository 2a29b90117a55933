/*
 * The nodes that registered in etcd, as members of the cluster. One whose registration
 * ended is still a member (a dead node's prefix needs an owner) until an hour has passed
 * or another needs its place. Control thread only.
 */
#ifndef SLU_HOST_REGISTRY_H
#define SLU_HOST_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "host/config/config.h"

#define SLU_REGISTRY_KEEP_MS 3600000u

struct slu_registry;

/* `self` is a member always, whatever is registered. */
struct slu_registry *slu_registry_create(const struct slu_config_member *self);
void slu_registry_free(struct slu_registry *registry); /* NULL is allowed */

/* The registration of a node: JSON as in members[] of the configuration. The caller frees it. */
char *slu_registry_text(const struct slu_config_member *member);

/* Takes the registration that stands under a key "nodes/ID". Returns 0; -EINVAL if it is none. */
int slu_registry_put(struct slu_registry *registry, const char *id, const char *text, size_t bytes);

/* The registration under a key is gone. */
void slu_registry_remove(struct slu_registry *registry, const char *id, uint64_t now_ms);

/* Around a complete listing: whoever was not put between the two is gone. */
void slu_registry_begin(struct slu_registry *registry);
void slu_registry_end(struct slu_registry *registry, uint64_t now_ms);

/*
 * The members: this node, the registered, and those who are gone, in this order of
 * precedence where they exclude each other (an address or prefix twice) or are too
 * many. Valid until the next call. Returns how many, at most SLU_CONFIG_MAX_MEMBERS.
 */
uint32_t slu_registry_members(struct slu_registry *registry, uint64_t now_ms, const struct slu_config_member **members);

/* All of it as text for a file, and back; what cannot be read is left out. The caller frees the text. */
char *slu_registry_dump(const struct slu_registry *registry);
void slu_registry_load(struct slu_registry *registry, const char *text, size_t bytes, uint64_t now_ms);

#endif
