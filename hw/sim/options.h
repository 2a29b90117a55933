/* Command line of sluice-nic. */
#ifndef SLU_OPTIONS_H
#define SLU_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "impairment.h"
#include "nic_model.h"

struct slu_options {
	const char *socket;
	const char *trace; /* NULL: none */
	bool stats;        /* at the end */
	uint64_t seed;
	struct slu_nic_latency record;
	struct {
		char kind[16]; /* empty: no wire */
		char name[64];
		struct slu_impairment_config impairment;
		uint8_t mac[6];
	} wires[SLU_NIC_MODEL_PORTS];
};

/*
 * Parses the command line. Strings point into argv.
 *
 * Returns 0; 1 if it asked for help, which was printed; -EINVAL with the fault
 * named on stderr.
 */
int slu_options_parse(struct slu_options *o, int argc, char **argv);

#endif
