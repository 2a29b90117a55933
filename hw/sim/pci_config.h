/*
 * PCI configuration space of the card: identification, BAR sizes, MSI-X and
 * PCI Express capabilities (for the function-level reset). One thread.
 */
#ifndef SLU_PCI_CONFIG_H
#define SLU_PCI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define SLU_PCI_CONFIG_BYTES 256u
#define SLU_PCI_VENDOR 0xF1D0u
#define SLU_PCI_DEVICE 0x51CEu

struct slu_pci_config {
	uint8_t bytes[SLU_PCI_CONFIG_BYTES];
	uint8_t writable[SLU_PCI_CONFIG_BYTES]; /* mask of each byte */
};

/* Power-on contents. */
void slu_pci_config_reset(struct slu_pci_config *c);

/* Bounds are the caller's. */
void slu_pci_config_read(const struct slu_pci_config *c, uint32_t offset, void *to, uint32_t count);

/* Bits that are not writable keep their value. Returns whether the write asks for a function-level reset. */
bool slu_pci_config_write(struct slu_pci_config *c, uint32_t offset, const void *from, uint32_t count);

#endif
