/*
 * The one thing of the card that rte_flow has no word for. A program that is
 * not linked with the driver finds the function in the plugin that EAL loaded:
 * dlsym(dlopen("librte_net_sluice.so", RTLD_NOW | RTLD_NOLOAD), "rte_pmd_sluice_adopt_end").
 */
#ifndef RTE_PMD_SLUICE_H
#define RTE_PMD_SLUICE_H

#include <stdint.h>

/*
 * Ends the adoption that `warm=1` began: rules that the card still held, and
 * that no rte_flow_create since has claimed, are removed from the whole card
 * that port_id belongs to. Does nothing after a cold start. Any thread.
 *
 * Returns the number of rules removed; -ENODEV if port_id is no port of this
 * driver or the card is gone; -EIO if the card refuses.
 */
__attribute__((visibility("default"))) int rte_pmd_sluice_adopt_end(uint16_t port_id);

#endif
