/*
 * Inside of the rules: what their files know of each other.
 */
#ifndef SLU_HOST_RULES_PARTS_H
#define SLU_HOST_RULES_PARTS_H

#include <stdio.h>

#include "host/config/config.h"
#include "host/config/document.h"

struct slu_rules {
	const struct slu_node *root;
	struct slu_config *config;
	struct slu_errors *errors;
};

/* Writes the path of a value into a buffer; its value is the buffer. */
#define PATH(buffer, ...) (snprintf(buffer, sizeof(buffer), __VA_ARGS__), buffer)

/* Adds an error at the deepest node that `path` ("groups[0].backends[1].port") names. rules.c */
void slu_rules_refuse(struct slu_rules *rules, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What holds between the values of the key "cluster", and between them and the rest. rules_cluster.c */
void slu_rules_cluster(struct slu_rules *rules);

#endif
