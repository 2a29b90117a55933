/*
 * Inside of the rules: what their files know of each other.
 */
#ifndef SLU_HOST_RULES_PARTS_H
#define SLU_HOST_RULES_PARTS_H

#include <stdarg.h>

#include "host/config/config.h"
#include "host/config/document.h"

/* Adds an error at the deepest node that `path` names. rules.c */
void slu_rules_refuse(const struct slu_node *root, struct slu_errors *errors, const char *path, const char *format,
	va_list arguments);

/* What holds between the values of the key "cluster", and between them and the rest. rules_cluster.c */
void slu_rules_cluster(const struct slu_node *root, const struct slu_config *config, struct slu_errors *errors);

#endif
