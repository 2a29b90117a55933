#include "doorbell_page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nic_model.h"

#define KICK_WORD (SLU_NIC_DB_NEED_KICK / 4)

int slu_doorbell_page_open(struct slu_doorbell_page *p)
{
	void *words;
	int err;

	memset(p->seen, 0, sizeof(p->seen));
	p->words = NULL;
	p->fd = memfd_create("sluice-doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	p->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->fd < 0 || p->kick_fd < 0 || ftruncate(p->fd, SLU_NIC_DOORBELL_BYTES))
		goto fail;
	/* Else the host could cut the page away under the server. */
	if (fcntl(p->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto fail;
	words = mmap(NULL, SLU_NIC_DOORBELL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	if (words == MAP_FAILED)
		goto fail;
	p->words = words;
	return 0;
fail:
	err = -errno;
	slu_doorbell_page_close(p);
	return err;
}

void slu_doorbell_page_close(struct slu_doorbell_page *p)
{
	if (p->words)
		munmap((void *)p->words, SLU_NIC_DOORBELL_BYTES);
	if (p->fd >= 0)
		close(p->fd);
	if (p->kick_fd >= 0)
		close(p->kick_fd);
	p->words = NULL;
	p->fd = p->kick_fd = -1;
}

void slu_doorbell_page_clear(struct slu_doorbell_page *p)
{
	for (uint32_t i = 0; i < SLU_DOORBELL_WORDS; i++)
		if (i != KICK_WORD)
			atomic_store_explicit(&p->words[i], 0, memory_order_relaxed);
	memset(p->seen, 0, sizeof(p->seen));
}

/* Returns 1 if the doorbell changed and the card has it now. */
static unsigned int scan_one(struct slu_doorbell_page *p, struct slu_nic_model *m, uint32_t offset)
{
	uint32_t word = offset / 4;
	uint32_t value = atomic_load_explicit(&p->words[word], memory_order_acquire);

	if (value == p->seen[word] || slu_nic_model_reg_post(m, SLU_NIC_BAR0_BYTES + offset, value))
		return 0;
	p->seen[word] = value;
	return 1;
}

unsigned int slu_doorbell_page_scan(struct slu_doorbell_page *p, struct slu_nic_model *m)
{
	unsigned int changed = 0;

	for (uint32_t q = 0; q < SLU_NIC_MODEL_QUEUES; q++) {
		changed += scan_one(p, m, q * SLU_NIC_DB_QUEUE_STRIDE + SLU_NIC_DB_RX_TAIL);
		changed += scan_one(p, m, q * SLU_NIC_DB_QUEUE_STRIDE + SLU_NIC_DB_TX_TAIL);
		changed += scan_one(p, m, q * SLU_NIC_DB_QUEUE_STRIDE + SLU_NIC_DB_RX_ARM);
	}
	changed += scan_one(p, m, SLU_NIC_DB_CMD_TAIL);
	changed += scan_one(p, m, SLU_NIC_DB_CMD_ARM);
	return changed;
}

void slu_doorbell_page_want_kick(struct slu_doorbell_page *p)
{
	atomic_store_explicit(&p->words[KICK_WORD], 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void slu_doorbell_page_awake(struct slu_doorbell_page *p)
{
	atomic_store_explicit(&p->words[KICK_WORD], 0, memory_order_relaxed);
}

uint32_t slu_doorbell_page_read(const struct slu_doorbell_page *p, uint32_t offset)
{
	return atomic_load_explicit(&p->words[offset / 4], memory_order_acquire);
}

int slu_doorbell_page_write(struct slu_doorbell_page *p, struct slu_nic_model *m, uint32_t offset, uint32_t value)
{
	if (offset == SLU_NIC_DB_NEED_KICK)
		return -EPERM;
	atomic_store_explicit(&p->words[offset / 4], value, memory_order_release);
	p->seen[offset / 4] = value;
	return slu_nic_model_reg_write(m, SLU_NIC_BAR0_BYTES + offset, value);
}
