/*
 * Starts DPDK from the configuration: memory that suits the machine, one lcore
 * for control and one a worker, the card's driver as a plugin.
 */
#ifndef SLU_HOST_EAL_H
#define SLU_HOST_EAL_H

#include "host/config/config.h"

/*
 * `pmd` is the path of librte_net_sluice.so, NULL to search beside the program
 * and in the system's folders; it is loaded only if a port names net_sluice.
 * EAL refuses plugins below folders that others may write to: such a file is
 * copied to a private folder below /run for the time of the start.
 *
 * Main thread, which becomes the main lcore. Returns 0 or -errno after logging why.
 */
int slu_eal_start(const struct slu_config *config, const char *pmd);

/* True for "0000:03:00.0" and "03:00.0", with or without arguments behind a comma. */
bool slu_eal_is_pci(const char *device);

#endif
