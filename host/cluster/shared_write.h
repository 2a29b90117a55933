/*
 * Puts a new generation into etcd for the whole cluster: first the parts that are not
 * there, then the list, on condition that nobody else did so meanwhile; then removes
 * parts that neither it nor the generation before it names. Control thread only.
 */
#ifndef SLU_HOST_SHARED_WRITE_H
#define SLU_HOST_SHARED_WRITE_H

#include <stdint.h>

#include "host/cluster/etcd.h"
#include "host/config/config.h"

/*
 * `error` 0: the generation `number` stands in etcd. -EEXIST: another one, `number`,
 * came first, and nothing changed. Otherwise as of
 * slu_etcd_answer, and `message` has etcd's words, or NULL; it is not known then
 * whether the generation stands.
 */
typedef void slu_shared_written(void *context, int error, uint64_t number, const char *message);

/*
 * What the cluster shares of `config` counts; it is not retained. Returns 0, and `done` is
 * called once, later, or never if etcd is destroyed; or -E2BIG: too many parts.
 */
int slu_shared_write(struct slu_etcd *etcd, const char *prefix, const struct slu_config *config,
	slu_shared_written *done, void *context);

#endif
