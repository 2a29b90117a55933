/*
 * The doorbell page (BAR2): memory that the host maps and stores tails into.
 * A mapped page raises nothing, so the server reads it while it is awake, and
 * asks for an eventfd write (need_kick) before it sleeps. One thread.
 */
#ifndef SLU_DOORBELL_PAGE_H
#define SLU_DOORBELL_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/nic_regs.h>

struct slu_nic_model;

#define SLU_DOORBELL_WORDS (SLU_NIC_DOORBELL_BYTES / 4u)

struct slu_doorbell_page {
	int fd;      /* of the page, for the host to map; cannot be resized */
	int kick_fd; /* eventfd that the host writes when need_kick is set */
	_Atomic uint32_t *words;
	uint32_t seen[SLU_DOORBELL_WORDS];
};

/*
 * Makes a page of zeros. A new host gets a new page, because the old one may
 * keep the old mapped. Returns 0 or -errno.
 */
int slu_doorbell_page_open(struct slu_doorbell_page *p);
void slu_doorbell_page_close(struct slu_doorbell_page *p);

/* Zeroes the page without telling the card: it was reset and has zeros too. */
void slu_doorbell_page_clear(struct slu_doorbell_page *p);

/* Passes every doorbell that changed to the card. Returns how many; fewer than changed if the card's queue is full. */
unsigned int slu_doorbell_page_scan(struct slu_doorbell_page *p, struct slu_nic_model *m);

/*
 * The host's side of the hand-shake is: store the tail, full fence, read
 * need_kick. This is ours: set need_kick, full fence; the caller scans again
 * and sleeps only if that found nothing.
 */
void slu_doorbell_page_want_kick(struct slu_doorbell_page *p);
/* Awake again: no more kicks, please. */
void slu_doorbell_page_awake(struct slu_doorbell_page *p);

/* A trapped access. A write reaches the card even if the value stands there already. Bounds are the caller's. */
uint32_t slu_doorbell_page_read(const struct slu_doorbell_page *p, uint32_t offset);
int slu_doorbell_page_write(struct slu_doorbell_page *p, struct slu_nic_model *m, uint32_t offset, uint32_t value);

#endif
