/*
 * A number by which nodes compare what they serve: equal groups, listeners and outbound services make
 * equal numbers on every node. No protection against intent.
 */
#ifndef SLU_HOST_CONFIG_HASH_H
#define SLU_HOST_CONFIG_HASH_H

#include "host/config/config.h"

uint64_t slu_config_hash_make(const struct slu_config *config);

#endif
