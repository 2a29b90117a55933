/* Mappings of the application's memory for the card. */
#ifndef SLU_DRIVER_DMA_H
#define SLU_DRIVER_DMA_H

#include "sluice.h"

/* Maps all memory there is, and follows what comes and goes. Returns 0 or -errno. */
int slu_dma_start(struct slu_device *device);
void slu_dma_stop(struct slu_device *device);

/* rte_dev_dma_map() of one range. Memory without a file descriptor cannot be shared: -ENOTSUP. */
int slu_dma_map(struct slu_device *device, void *address, uint64_t iova, size_t bytes);
int slu_dma_unmap(struct slu_device *device, uint64_t iova, size_t bytes);

extern const struct slu_memory slu_dma_memory;

#endif
