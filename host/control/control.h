/*
 * The control plane's state: the configuration in force, the health of its
 * backends, stable ids, and the generation that workers read.
 *
 * Everything here runs on the control thread, on the caller's event base.
 *
 * Start of the agent, in this order:
 *   slu_control_load()    which document rules; the agent makes ports, table and workers from it
 *   slu_control_create()  compiles and publishes the first generation, starts the checks
 *   slu_api_create()      (api.h) the socket that sluicectl speaks to
 */
#ifndef SLU_HOST_CONTROL_H
#define SLU_HOST_CONTROL_H

#include "host/config/config.h"
#include "host/control/generation.h"
#include "host/health/health.h"

struct event_base;
struct slu_control;

/* What control asks of the rest of the agent. Every hook is called on the control thread. */
struct slu_control_hooks {
	void *ctx;

	/*
	 * Builds generation->index from generation->listeners (the data plane's
	 * lookup). Returns 0 or -errno; then the generation is dropped and the
	 * apply fails. NULL: no index.
	 */
	int (*index_build)(void *ctx, struct slu_generation *generation);
	/* Frees generation->index; called by slu_control_release() only. */
	void (*index_free)(void *ctx, struct slu_generation *generation);

	/*
	 * Makes `next` what the workers read. `previous` is NULL the first time.
	 * The agent hands `previous` to slu_control_release() on the control
	 * thread once no worker can still see it (at once, or any time later).
	 * The agent also brings the kernel's addresses in line here.
	 * Must not fail.
	 */
	void (*publish)(void *ctx, struct slu_generation *next, struct slu_generation *previous);

	/*
	 * How many sessions refer to a live index: while not 0, the id of a
	 * removed backend or listener stays a tombstone and its index is not
	 * given to another. NULL: none do. Asked about once a second, and only
	 * for tombstones.
	 */
	uint64_t (*backend_sessions)(void *ctx, uint32_t live);
	uint64_t (*listener_sessions)(void *ctx, uint32_t live);

	/* One line of the log, without newline. NULL: stderr. */
	void (*log)(void *ctx, const char *line);
};

/*
 * Reads the document that rules at start: the one applied last
 * (state_dir/applied.json) unless `path` is newer. An applied
 * document that cannot be used (invalid, or other static settings than `path`)
 * is passed over with a line in `note`. Where `path` names etcd, its own settings
 * rule and only what a cluster shares is that of the document applied last.
 *
 * Returns 0; -EINVAL with every error in `errors` (initialised by the caller).
 * *note is NULL or a line for the log; the caller frees it.
 */
int slu_control_load(const char *path, struct slu_config **config, struct slu_errors *errors, char **note);

/*
 * Takes `config` (also on failure). The state directory must exist or be
 * creatable. Publishes the first generation before it returns; backends with a
 * check have effective weight 0 until their first result.
 *
 * Returns 0, or -errno with the reason in `errors`.
 */
int slu_control_create(struct event_base *base, struct slu_config *config, const struct slu_control_hooks *hooks,
	struct slu_control **control, struct slu_errors *errors);

/*
 * Stops the checks and frees everything but the generation last published:
 * the caller releases that one first, when the workers have stopped.
 */
void slu_control_destroy(struct slu_control *control);

/* Frees a generation that no worker can see any more. Groups shared with others stay. */
void slu_control_release(struct slu_control *control, struct slu_generation *generation);

/* The configuration and the generation in force; valid until the next event is dispatched. */
const struct slu_config *slu_control_config(const struct slu_control *control);
struct slu_generation *slu_control_generation(const struct slu_control *control);

/* What an apply did, or would do. */
struct slu_control_result {
	uint64_t generation; /* number in force afterwards */
	char **changes;      /* the difference report, a sentence each: "backend web/b1: weight 10 -> 0" */
	size_t change_count;
};
void slu_control_result_clear(struct slu_control_result *result);

/*
 * Validates a whole document and puts it in force, or refuses it whole.
 *
 * Returns 0 with *result filled; -EINVAL with every error in `errors`
 * (initialised by the caller), nothing changed; other -errno when the document
 * is good but could not be stored or compiled, also told in `errors`, nothing
 * changed. With dry_run nothing changes in any case.
 */
int slu_control_apply(struct slu_control *control, const void *text, size_t bytes, bool dry_run,
	struct slu_control_result *result, struct slu_errors *errors);

/*
 * The same with a document of the whole cluster (slu_config_parse_shared). Only where
 * the node's document names etcd; there slu_control_apply() refuses groups and
 * listeners and keeps those in force, and slu_control_weight() is refused.
 */
int slu_control_apply_shared(struct slu_control *control, const void *text, size_t bytes, bool dry_run,
	struct slu_control_result *result, struct slu_errors *errors);

/*
 * Sets one backend's configured weight, as an apply of the same document with
 * that one change would. Returns as slu_control_apply(); -ENOENT if there is
 * no such group or backend.
 */
int slu_control_weight(struct slu_control *control, const char *group, const char *backend, uint64_t weight,
	struct slu_control_result *result, struct slu_errors *errors);

/*
 * Health of the backend with this id; UNCHECKED if its group has no check.
 * Returns 0; -ENOENT. The reason is valid until the next event.
 */
int slu_control_health(const struct slu_control *control, uint32_t id, struct slu_health_status *status);

/*
 * The name of what an id stands for, "http" or "web/b1", also of a removed
 * backend or listener that sessions refer to. Returns false if unknown.
 */
bool slu_control_name(const struct slu_control *control, uint32_t id, char name[2 * SLU_NAME_BYTES]);

struct slu_control_status {
	uint64_t generation;
	uint64_t documents;         /* put in force since start */
	uint64_t applied_ms;        /* wall clock of the document's apply */
	uint64_t published_ms;      /* wall clock of the generation in force */
	uint32_t tombstones;        /* removed backends and listeners that sessions still refer to */
	const char *const *changes; /* of the last apply */
	size_t change_count;
};
void slu_control_status(const struct slu_control *control, struct slu_control_status *status);

#endif
