/*
 * The card as a PCI device: what each vfio-user command does. Knows the model,
 * host memory, doorbells, interrupts; knows no socket. One thread.
 */
#ifndef SLU_DEVICE_H
#define SLU_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "vfio_user.h"

struct slu_nic_model;
struct slu_device;

struct slu_device_stats {
	uint64_t messages;
	uint64_t refused; /* answered with an error */
	uint64_t resets;
	uint64_t irqs;
	uint64_t irqs_lost;
	uint32_t dma_maps;
};

/* Returns a device without a card and without a host, or NULL. */
struct slu_device *slu_device_create(void);
void slu_device_destroy(struct slu_device *d);

/* The model's callbacks; ctx is the device. */
int slu_device_dma_read(void *ctx, uint64_t addr, void *buf, size_t len);
int slu_device_dma_write(void *ctx, uint64_t addr, const void *buf, size_t len);
void slu_device_irq(void *ctx, unsigned int vector);

/* Must come before the first host. The model stays the caller's and outlives the device. */
void slu_device_set_model(struct slu_device *d, struct slu_nic_model *m);

/* A host came: a fresh doorbell page, nothing negotiated. Returns 0 or -errno. */
int slu_device_attach(struct slu_device *d);

/*
 * The host went, by its will or not: the host domain is reset, DMA ended, then
 * its memory and eventfds let go. Flows stay.
 */
void slu_device_detach(struct slu_device *d);

/*
 * Executes one command. Takes those file descriptors of the message that it
 * keeps (their places become -1).
 *
 * Returns 0 with the reply filled, or -errno for an error reply, which changed
 * nothing. -ENOTCONN: a command before VERSION; the caller should disconnect.
 */
int slu_device_command(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r);

/* Doorbells; nothing without a host. See doorbell_page.h for the hand-shake. */
unsigned int slu_device_scan_doorbells(struct slu_device *d);
void slu_device_want_kick(struct slu_device *d);
void slu_device_awake(struct slu_device *d);
/* An eventfd that becomes readable with a kick; -1 without a host. */
int slu_device_kick_fd(const struct slu_device *d);

void slu_device_get_stats(const struct slu_device *d, struct slu_device_stats *stats);

#endif
