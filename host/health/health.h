/*
 * Active health checks of backends: TCP connect, HTTP status, UDP reply.
 *
 * Every check is a non-blocking socket on the caller's event base; thousands a
 * second are fine. Sockets are bound to nothing: the kernel picks route and
 * source, so checks go through the exception TAP and never use a local address
 * of FULLNAT (the agent marks those deprecated or keeps them off source
 * selection).
 *
 * A backend is CHECKING until its first result, which decides alone; then
 * `fall` failures in a row take it down and `rise` successes bring it up.
 */
#ifndef SLU_HOST_HEALTH_H
#define SLU_HOST_HEALTH_H

#include "host/config/config.h"

struct event_base;

enum slu_health_state { SLU_HEALTH_UNCHECKED, SLU_HEALTH_CHECKING, SLU_HEALTH_UP, SLU_HEALTH_DOWN };

struct slu_health_target {
	uint32_t id; /* of the backend; unique */
	struct slu_ip address;
	uint16_t port;                        /* of the backend; a port of the check goes before it */
	enum slu_health_state initial;        /* if the target is new: CHECKING, or UP for one in service */
	const struct slu_config_check *check; /* type is not NONE; copied */
	const char *group, *name;             /* for the log; copied */
};

struct slu_health_status {
	enum slu_health_state state;
	const char *reason; /* of the last failure, "" if none; valid until the next event */
	uint64_t checks, failures;
	uint64_t changed_ms; /* wall clock of the last change, 0 if none */
};

struct slu_health_events {
	void *ctx;
	void (*changed)(void *ctx);               /* a state changed; called once for each change */
	void (*log)(void *ctx, const char *line); /* up and down, with the reason */
};

struct slu_health;

struct slu_health *slu_health_create(struct event_base *base, const struct slu_health_events *events);

/* Ends all checks. NULL is allowed. */
void slu_health_destroy(struct slu_health *health);

/*
 * Makes targets[count] the backends that are checked. One that stays keeps its
 * state and schedule; if its check changed it keeps its state, and is checked
 * anew at once; one that is gone is not checked any more, not even to the end
 * of a check in flight. The array is sorted by id on return.
 */
void slu_health_update(struct slu_health *health, struct slu_health_target *targets, size_t count);

/* Returns 0, or -ENOENT if no such backend is checked. */
int slu_health_status(const struct slu_health *health, uint32_t id, struct slu_health_status *status);

/* "up", "down", "checking", "unchecked" */
const char *slu_health_state_name(enum slu_health_state state);

#endif
