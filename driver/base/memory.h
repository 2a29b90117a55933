/*
 * Memory that the card can reach. Its DMA address is its virtual address: the
 * driver works with IOVA as VA only.
 */
#ifndef SLU_DRIVER_MEMORY_H
#define SLU_DRIVER_MEMORY_H

#include <stddef.h>

struct slu_memory {
	/* Zeroed, mapped for the card before it returns; NULL on failure. alignment is a power of two. */
	void *(*alloc)(size_t bytes, size_t alignment);
	void (*free)(void *memory);
};

#endif
