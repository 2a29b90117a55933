#include "pci_config.h"

#include <linux/pci_regs.h>
#include <string.h>

#include <sluice/nic_regs.h>

#include "nic_model.h"

#define CAP_MSIX 0x40u
#define CAP_EXPRESS 0x60u
#define BAR4_BYTES 4096u
#define MSIX_PBA_OFFSET 0x800u

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v);
	put16(at + 2, v >> 16);
}

static void put_capabilities(struct slu_pci_config *c)
{
	uint8_t *msix = c->bytes + CAP_MSIX;
	uint8_t *express = c->bytes + CAP_EXPRESS;

	put16(c->bytes + PCI_STATUS, PCI_STATUS_CAP_LIST);
	c->bytes[PCI_CAPABILITY_LIST] = CAP_MSIX;
	msix[0] = PCI_CAP_ID_MSIX;
	msix[1] = CAP_EXPRESS;
	put16(msix + PCI_MSIX_FLAGS, SLU_NIC_MODEL_VECTORS - 1);
	put32(msix + PCI_MSIX_TABLE, 4); /* BAR 4, offset 0 */
	put32(msix + PCI_MSIX_PBA, MSIX_PBA_OFFSET | 4);
	put16(c->writable + CAP_MSIX + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	express[0] = PCI_CAP_ID_EXP;
	put16(express + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
	put32(express + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR);
}

void slu_pci_config_reset(struct slu_pci_config *c)
{
	memset(c, 0, sizeof(*c));
	put16(c->bytes + PCI_VENDOR_ID, SLU_PCI_VENDOR);
	put16(c->bytes + PCI_DEVICE_ID, SLU_PCI_DEVICE);
	put16(c->bytes + PCI_SUBSYSTEM_VENDOR_ID, SLU_PCI_VENDOR);
	put16(c->bytes + PCI_SUBSYSTEM_ID, SLU_PCI_DEVICE);
	c->bytes[PCI_CLASS_REVISION] = 1;
	c->bytes[PCI_CLASS_DEVICE + 1] = 0x02; /* network controller, Ethernet */
	put_capabilities(c);
	put16(c->writable + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	/* A BAR of 2^n bytes has its low n bits fixed: how software learns the size. */
	put32(c->writable + PCI_BASE_ADDRESS_0, ~(SLU_NIC_BAR0_BYTES - 1));
	put32(c->writable + PCI_BASE_ADDRESS_2, ~(SLU_NIC_DOORBELL_BYTES - 1));
	put32(c->writable + PCI_BASE_ADDRESS_4, ~(BAR4_BYTES - 1));
	c->writable[PCI_CACHE_LINE_SIZE] = 0xFF;
	c->writable[PCI_INTERRUPT_LINE] = 0xFF;
}

void slu_pci_config_read(const struct slu_pci_config *c, uint32_t offset, void *to, uint32_t count)
{
	memcpy(to, c->bytes + offset, count);
}

bool slu_pci_config_write(struct slu_pci_config *c, uint32_t offset, const void *from, uint32_t count)
{
	const uint32_t flr_byte = CAP_EXPRESS + PCI_EXP_DEVCTL + 1;
	const uint8_t *bytes = from;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t mask = c->writable[offset + i];

		c->bytes[offset + i] = (uint8_t)((c->bytes[offset + i] & ~mask) | (bytes[i] & mask));
	}
	/* The bit reads as 0; writing 1 resets. */
	return offset <= flr_byte && flr_byte - offset < count &&
	       (bytes[flr_byte - offset] & (PCI_EXP_DEVCTL_BCR_FLR >> 8));
}
