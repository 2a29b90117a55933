/*
 * The keys of a configuration document: reads the tree into a configuration
 * and checks each value by itself. What concerns several values is rules.h.
 */
#ifndef SLU_HOST_SCHEMA_H
#define SLU_HOST_SCHEMA_H

#include "host/config/config.h"
#include "host/config/document.h"

/*
 * Fills `config` (zeroed by the caller, freed by slu_config_free()). Refused
 * values are errors in `errors` and leave the default, or zero where there is
 * none; members of lists keep their index, so that config->listeners[i] is
 * member i of the list "listeners".
 */
void slu_schema_read(const struct slu_node *root, struct slu_config *config, struct slu_errors *errors);

/* The same of a document of a whole cluster: into a configuration that has nothing of what it may have. */
void slu_schema_read_shared(const struct slu_node *root, struct slu_config *config, struct slu_errors *errors);

/* Of a listener that says nothing else. */
extern const struct slu_timeouts slu_schema_timeouts;

/* Words of the document by their C value; end with NULL. */
extern const char *const slu_schema_schedulers[],
	*const slu_schema_modes[], *const slu_schema_checks[], *const slu_schema_client_addresses[];

#endif
