/*
 * Host memory that the card may reach: ranges of DMA addresses, each a mapping
 * of a file descriptor that the host gave. One thread.
 */
#ifndef SLU_DMA_MAP_H
#define SLU_DMA_MAP_H

#include <stddef.h>
#include <stdint.h>

#define SLU_DMA_MAP_PAGE_BYTES 4096u

struct slu_dma_map;

/* Returns an empty map, or NULL without memory. */
struct slu_dma_map *slu_dma_map_create(void);
void slu_dma_map_destroy(struct slu_dma_map *map);

/*
 * Maps [addr, addr + size) to `fd` from `offset` on; fd stays the caller's.
 * `prot` is PROT_READ, PROT_WRITE or both.
 *
 * Returns 0; -EINVAL for a size of 0, anything not a multiple of a page, an
 * end past 2^64, or a range past the end of the file; -EEXIST if it overlaps a
 * mapping; -ENOSPC beyond `limit` mappings; what mmap() says. The map is
 * unchanged on failure.
 */
int slu_dma_map_add(
	struct slu_dma_map *map, uint64_t addr, uint64_t size, int fd, uint64_t offset, int prot, uint32_t limit);

/* Ends a mapping of exactly this range. Returns 0; -ENOENT if there is none. */
int slu_dma_map_remove(struct slu_dma_map *map, uint64_t addr, uint64_t size);

void slu_dma_map_clear(struct slu_dma_map *map);
uint32_t slu_dma_map_count(const struct slu_dma_map *map);

/*
 * Copy from and to host memory; a range may span adjacent mappings.
 *
 * write() stores the last aligned 32-bit word of an aligned range after all
 * the others, with release order: a reader that sees it sees them.
 *
 * Return 0; -EFAULT outside the mappings or if the host took the memory away
 * behind its file descriptor (SIGBUS, caught); -EACCES for a direction that the
 * mapping does not allow. A failed write may have stored a part.
 */
int slu_dma_map_read(struct slu_dma_map *map, uint64_t addr, void *buf, size_t len);
int slu_dma_map_write(struct slu_dma_map *map, uint64_t addr, const void *buf, size_t len);

#endif
