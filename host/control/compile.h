/*
 * Makes a generation of a configuration, the backends' health and their ids.
 */
#ifndef SLU_HOST_COMPILE_H
#define SLU_HOST_COMPILE_H

#include "host/config/config.h"
#include "host/control/ids.h"
#include "host/health/health.h"

/* Tells the state of a backend; NONE checks are not asked for. */
typedef enum slu_health_state slu_compile_health_fn(void *ctx, uint32_t id);

struct slu_compile {
	const struct slu_config *config;
	struct slu_ids *ids; /* in a transaction: every key is taken */
	slu_compile_health_fn *health;
	void *ctx;
	/* Groups equal to this one's are shared with it. NULL: none. */
	const struct slu_generation *previous;
	uint64_t number;
};

/*
 * Returns 0 and a generation without index; -ENOSPC when ids have run out,
 * -EINVAL when two backends of a Maglev group have names of one hash, -ENOMEM.
 */
int slu_compile_generation(const struct slu_compile *compile, struct slu_generation **generation);

/* Drops its references to groups and frees it. The index was freed before. NULL is allowed. */
void slu_compile_free(struct slu_generation *generation);

/* Hash of a backend's name that seeds its Maglev permutation. */
uint64_t slu_compile_seed(const char *name);

/* Keys of the table of ids; freed by the caller. */
char *slu_compile_listener_key(const struct slu_config_listener *listener);
char *slu_compile_outbound_key(const struct slu_config_outbound *service, enum slu_mode mode);
char *slu_compile_backend_key(const struct slu_config_group *group, const struct slu_config_backend *backend);

#endif
