/* A card: attach, detach, and its end. */
#ifndef SLU_DRIVER_DEVICE_H
#define SLU_DRIVER_DEVICE_H

#include "sluice.h"

/*
 * Attaches to the card at `socket`, resets its host domain, maps the
 * application's memory, and takes the flow table over (warm) or clears it.
 * Returns 0 or -errno; says why in the log.
 */
int slu_device_open(
	const char *name, const char *socket, bool warm, struct rte_device *rte_device, struct slu_device **device);
/*
 * The card's flow table, read back at the first call if the device is warm: that takes a while, and packets go through
 * the ports meanwhile. Under the device's lock. NULL if the card refused it, which the log says.
 */
struct slu_flow_table *slu_device_table(struct slu_device *device);

/* After the last port is closed. Without `warm` the card's flow table is cleared. */
void slu_device_close(struct slu_device *device);

/* Makes the card's end known to the application, once, from another thread. */
void slu_device_announce_removal(struct slu_device *device);

#endif
