/*
 * What must hold between values of a configuration document: unique names,
 * references, addresses that have one use, ranges that do not overlap.
 */
#ifndef SLU_HOST_RULES_H
#define SLU_HOST_RULES_H

#include "host/config/config.h"
#include "host/config/document.h"

/*
 * Checks what slu_schema_read() made of `root` and resolves
 * config->listeners[].group_index. Values that the schema refused are passed
 * over, so that one mistake is one error.
 */
void slu_rules_check(const struct slu_node *root, struct slu_config *config, struct slu_errors *errors);

#endif
