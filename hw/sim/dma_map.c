#include "dma_map.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct range {
	uint64_t addr;
	uint64_t size;
	uint8_t *base;
	int prot;
};

struct slu_dma_map {
	struct range *ranges; /* by address, disjoint */
	uint32_t count;
	uint32_t room;
	uint32_t last; /* where the previous access was */
};

/*
 * A host can truncate the file behind a mapping; touching it then raises
 * SIGBUS. While a copy runs, `bus_error` says where to go on.
 */
static _Thread_local sigjmp_buf *volatile bus_error;

static void on_sigbus(int signal)
{
	sigjmp_buf *to = bus_error;

	if (to) {
		bus_error = NULL;
		siglongjmp(*to, 1);
	}
	/* Not ours: die of it as usual. */
	sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
	raise(signal);
}

static void catch_sigbus(void)
{
	/* NODEFER: siglongjmp leaves the handler without restoring the mask. */
	struct sigaction action = {.sa_handler = on_sigbus, .sa_flags = SA_NODEFER};

	sigaction(SIGBUS, &action, NULL);
}

struct slu_dma_map *slu_dma_map_create(void)
{
	catch_sigbus();
	return calloc(1, sizeof(struct slu_dma_map));
}

void slu_dma_map_destroy(struct slu_dma_map *map)
{
	if (!map)
		return;
	slu_dma_map_clear(map);
	free(map->ranges);
	free(map);
}

/* Index of the first range that ends after addr; count if none does. */
static uint32_t find(const struct slu_dma_map *map, uint64_t addr)
{
	uint32_t low = 0, high = map->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct range *r = &map->ranges[mid];

		if (addr > r->addr && addr - r->addr >= r->size)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int check_range(uint64_t addr, uint64_t size, int fd, uint64_t offset)
{
	const uint64_t low = SLU_DMA_MAP_PAGE_BYTES - 1;
	struct stat st;

	if (!size || (addr & low) || (size & low) || (offset & low) || addr + size - 1 < addr)
		return -EINVAL;
	if (offset > INT64_MAX || size > INT64_MAX || size > SIZE_MAX)
		return -EINVAL;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return -EINVAL;
	return 0;
}

static int make_room(struct slu_dma_map *map)
{
	uint32_t room = map->room ? map->room * 2 : 64;
	struct range *ranges;

	if (map->count < map->room)
		return 0;
	ranges = realloc(map->ranges, room * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	map->ranges = ranges;
	map->room = room;
	return 0;
}

int slu_dma_map_add(
	struct slu_dma_map *map, uint64_t addr, uint64_t size, int fd, uint64_t offset, int prot, uint32_t limit)
{
	int err = check_range(addr, size, fd, offset);
	uint32_t at;
	void *base;

	if (err)
		return err;
	if (!prot || (prot & ~(PROT_READ | PROT_WRITE)))
		return -EINVAL;
	at = find(map, addr);
	if (at < map->count && map->ranges[at].addr <= addr + size - 1)
		return -EEXIST;
	if (map->count >= limit)
		return -ENOSPC;
	err = make_room(map);
	if (err)
		return err;
	base = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);
	if (base == MAP_FAILED)
		return -errno;
	memmove(&map->ranges[at + 1], &map->ranges[at], (map->count - at) * sizeof(map->ranges[0]));
	map->ranges[at] = (struct range){.addr = addr, .size = size, .base = base, .prot = prot};
	map->count++;
	return 0;
}

int slu_dma_map_remove(struct slu_dma_map *map, uint64_t addr, uint64_t size)
{
	uint32_t at = find(map, addr);

	if (at == map->count || map->ranges[at].addr != addr || map->ranges[at].size != size)
		return -ENOENT;
	munmap(map->ranges[at].base, size);
	map->count--;
	memmove(&map->ranges[at], &map->ranges[at + 1], (map->count - at) * sizeof(map->ranges[0]));
	map->last = 0;
	return 0;
}

void slu_dma_map_clear(struct slu_dma_map *map)
{
	for (uint32_t i = 0; i < map->count; i++)
		munmap(map->ranges[i].base, map->ranges[i].size);
	map->count = 0;
	map->last = 0;
}

uint32_t slu_dma_map_count(const struct slu_dma_map *map)
{
	return map->count;
}

static bool holds(const struct range *r, uint64_t addr)
{
	return addr >= r->addr && addr - r->addr < r->size;
}

/* The range with addr, or NULL. */
static const struct range *range_of(struct slu_dma_map *map, uint64_t addr)
{
	if (map->last < map->count && holds(&map->ranges[map->last], addr))
		return &map->ranges[map->last];
	map->last = find(map, addr);
	if (map->last < map->count && holds(&map->ranges[map->last], addr))
		return &map->ranges[map->last];
	return NULL;
}

static int copy_out(uint8_t *buf, const uint8_t *from, size_t len)
{
	sigjmp_buf env;

	if (sigsetjmp(env, 0))
		return -EFAULT;
	bus_error = &env;
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(buf, from, len);
	atomic_signal_fence(memory_order_seq_cst);
	bus_error = NULL;
	return 0;
}

static int copy_in(uint8_t *to, const uint8_t *buf, size_t len)
{
	sigjmp_buf env;

	if (sigsetjmp(env, 0))
		return -EFAULT;
	bus_error = &env;
	atomic_signal_fence(memory_order_seq_cst);
	if (len < 4 || ((uintptr_t)(to + len) & 3)) {
		memcpy(to, buf, len);
	} else {
		uint32_t word;

		memcpy(&word, buf + len - 4, 4);
		memcpy(to, buf, len - 4);
		atomic_store_explicit((_Atomic uint32_t *)(void *)(to + len - 4), word, memory_order_release);
	}
	atomic_signal_fence(memory_order_seq_cst);
	bus_error = NULL;
	return 0;
}

int slu_dma_map_read(struct slu_dma_map *map, uint64_t addr, void *buf, size_t len)
{
	uint8_t *to = buf;

	while (len) {
		const struct range *r = range_of(map, addr);
		size_t part;
		int err;

		if (!r)
			return -EFAULT;
		if (!(r->prot & PROT_READ))
			return -EACCES;
		part = r->size - (addr - r->addr);
		if (part > len)
			part = len;
		err = copy_out(to, r->base + (addr - r->addr), part);
		if (err)
			return err;
		to += part;
		addr += part;
		len -= part;
	}
	return 0;
}

int slu_dma_map_write(struct slu_dma_map *map, uint64_t addr, const void *buf, size_t len)
{
	const uint8_t *from = buf;

	while (len) {
		const struct range *r = range_of(map, addr);
		size_t part;
		int err;

		if (!r)
			return -EFAULT;
		if (!(r->prot & PROT_WRITE))
			return -EACCES;
		part = r->size - (addr - r->addr);
		if (part > len)
			part = len;
		err = copy_in(r->base + (addr - r->addr), from, part);
		if (err)
			return err;
		from += part;
		addr += part;
		len -= part;
	}
	return 0;
}
