/*
 * Inside of the schema: what its files know of each other.
 */
#ifndef SLU_HOST_SCHEMA_PARTS_H
#define SLU_HOST_SCHEMA_PARTS_H

#include "host/config/reader.h"

/* Parts of a struct slu_field: where a value goes, where a list and its length do and what reads its members. */
#define AT(type, member) .offset = offsetof(struct type, member)
#define LIST(type, list, length, read_member)                                                                          \
	AT(type, list), .count = (ptrdiff_t)offsetof(struct type, length) - (ptrdiff_t)offsetof(struct type, list),    \
			.member_bytes = sizeof(*((struct type *)0)->list), .member = (read_member)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* "198.18.1.2/24" into a struct slu_config_prefix; the bits behind the prefix are kept. schema.c */
slu_field_fn slu_schema_prefix;

/* The same of a network: the bits behind the prefix must be zero. schema.c */
slu_field_fn slu_schema_network;

/* The name of an interface of the kernel into a char[SLU_INTERFACE_BYTES]. schema.c */
slu_field_fn slu_schema_interface;

/* The key "cluster" into a new struct slu_config_cluster at a pointer. schema_cluster.c */
slu_field_fn slu_schema_cluster;

#endif
