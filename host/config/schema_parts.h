/*
 * Inside of the schema: what its files know of each other.
 */
#ifndef SLU_HOST_SCHEMA_PARTS_H
#define SLU_HOST_SCHEMA_PARTS_H

#include "host/config/reader.h"

/* "198.18.1.2/24" into a struct slu_config_prefix; the bits behind the prefix are kept. schema.c */
slu_field_fn slu_schema_prefix;

/* The key "cluster" into a new struct slu_config_cluster at a pointer. schema_cluster.c */
slu_field_fn slu_schema_cluster;

#endif
