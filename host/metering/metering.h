/*
 * Totals of what was metered, kept for ever. Control thread only.
 *
 * A total belongs to a stable id, so a listener that is removed keeps its own, and
 * one that gets its name is another. Total 0 is nobody's: packets of sessions whose
 * listener this node did not know.
 */
#ifndef SLU_HOST_METERING_H
#define SLU_HOST_METERING_H

#include "host/control/generation.h"
#include "host/dataplane/dataplane.h"
#include "host/dataplane/meter.h"

struct event_base;
struct slu_metering;

enum slu_metering_side { SLU_METERING_IN, SLU_METERING_OUT }; /* from clients or remotes; to them */
enum slu_metering_scope { SLU_METERING_INTERNET, SLU_METERING_INTERNAL };

struct slu_metering_total {
	uint32_t id;
	enum slu_mode mode;
	bool removed; /* of the configuration in force */
	char name[SLU_NAME_BYTES];
	uint64_t since_ms;                  /* of the epoch */
	struct slu_meter_count count[2][2]; /* by enum slu_metering_side, enum slu_metering_scope */
	struct slu_meter_count dir[2];      /* the same by enum slu_dir, as sessions count */
};

/*
 * Reads what was kept in the state folder. `base` NULL: the caller keeps it himself with slu_metering_keep(). Returns 0
 * or -ENOMEM.
 */
int slu_metering_create(
	struct event_base *base, struct slu_dataplane *dp, const char *state_dir, struct slu_metering **metering);

/* Keeps the totals once more. NULL is allowed. */
void slu_metering_destroy(struct slu_metering *metering);

/*
 * Names from the generation in force. The first call, before the workers start, gives a new session file what was
 * metered before it.
 */
void slu_metering_set_generation(struct slu_metering *metering, const struct slu_generation *generation);

/* Adds everything up as of now; what is returned below is as of the last call. */
void slu_metering_refresh(struct slu_metering *metering);

/* All totals, nobody's first. Valid until the next call of this interface. */
const struct slu_metering_total *slu_metering_totals(const struct slu_metering *metering, uint32_t *count);

/* The total of a listener or outbound service, or NULL. */
const struct slu_metering_total *slu_metering_find(const struct slu_metering *metering, uint32_t id);

/* What was metered of a backend, by enum slu_dir, since the session file was made. */
void slu_metering_backend(const struct slu_metering *metering, uint32_t id, struct slu_meter_count dir[2]);

/* Writes the totals if they have changed. Returns 0 or -errno. */
int slu_metering_keep(struct slu_metering *metering);

#endif
