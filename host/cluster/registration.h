/*
 * This node's own key in etcd, kept alive by a lease: whoever sees it knows that the
 * node wants to be a member. A lease that is lost is taken anew. Control thread only.
 */
#ifndef SLU_HOST_REGISTRATION_H
#define SLU_HOST_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "host/cluster/etcd.h"

struct slu_registration;

struct slu_registration_settings {
	struct event_base *base;
	struct slu_etcd *etcd;
	const char *key, *text; /* copied */
	uint32_t ttl_s;
	/* The key stands; `revision` is larger than at any earlier time. */
	void (*registered)(void *context, uint64_t revision);
	void *context;
};

int slu_registration_create(const struct slu_registration_settings *settings, struct slu_registration **registration);
void slu_registration_destroy(struct slu_registration *registration); /* NULL is allowed */

/* Somebody removed the key. */
void slu_registration_renew(struct slu_registration *registration);

bool slu_registration_stands(const struct slu_registration *registration);

#endif
