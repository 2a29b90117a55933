/*
 * What the driver needs from the way a card is attached. Registers, DMA
 * mappings and interrupts go through the functions; doorbells, the only thing on
 * the packet path, are stores to a mapped page.
 */
#ifndef SLU_DRIVER_HW_OPS_H
#define SLU_DRIVER_HW_OPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include <sluice/nic_regs.h>

/*
 * All functions return 0 or -errno, may be called by any thread, and return
 * -ENODEV once the card is gone; none blocks for ever.
 */
struct slu_hw_ops {
	/* count consecutive 32-bit registers of BAR0, low address first. */
	int (*read)(void *context, uint32_t offset, uint32_t *values, unsigned count);
	int (*write)(void *context, uint32_t offset, uint32_t value);
	/*
	 * A doorbell that reaches the card even if its page holds this value already: where a mapped page is polled,
	 * an equal value is not seen. Slower than slu_hw_doorbell; same owner rule.
	 */
	int (*doorbell)(void *context, uint32_t offset, uint32_t value);
	/* Lets the card reach [iova, iova + bytes), which stands in fd at fd_offset. fd stays the caller's. */
	int (*dma_map)(void *context, uint64_t iova, uint64_t bytes, int fd, uint64_t fd_offset);
	/* Exactly a range mapped before. On return no DMA to it is in flight. */
	int (*dma_unmap)(void *context, uint64_t iova, uint64_t bytes);
	/* Vector v writes eventfds[v]. The eventfds stay the caller's. */
	int (*set_irqs)(void *context, const int *eventfds, unsigned count);
	/* Resets the host domain: queues, rings, interrupts. Mappings and flows stay. */
	int (*reset)(void *context);
	/* Frees the context. The card stops DMA and goes on forwarding. */
	void (*close)(void *context);
};

struct slu_hw {
	const struct slu_hw_ops *ops;
	void *context;
	volatile uint8_t *doorbells; /* SLU_NIC_DOORBELL_BYTES */
	int kick_fd;                 /* eventfd to write when the card asks for it; -1: never */
	int hangup_fd;               /* readable when the card has gone; -1: cannot tell */
	atomic_bool gone;            /* set once, by whoever sees it first */
};

static inline bool slu_hw_gone(const struct slu_hw *hw)
{
	return atomic_load_explicit(&hw->gone, memory_order_relaxed);
}

/*
 * Tells the card about ring memory written before. One call a burst. Only the
 * owner of the queue that the doorbell belongs to calls it.
 *
 * A simulated card may sleep: it sets NEED_KICK and then reads all doorbells
 * once more, so storing first and then looking at NEED_KICK loses none.
 */
static inline void slu_hw_doorbell(const struct slu_hw *hw, uint32_t offset, uint32_t value)
{
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)(hw->doorbells + offset) = value;
	atomic_thread_fence(memory_order_seq_cst);
	if (*(volatile uint32_t *)(hw->doorbells + SLU_NIC_DB_NEED_KICK) && hw->kick_fd >= 0) {
		const uint64_t one = 1;
		ssize_t written = write(hw->kick_fd, &one, sizeof(one));

		(void)written; /* a full eventfd is a kick already given */
	}
}

#endif
