#include "dma.h"

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>

/* Pages of one file that follow each other in file and address space. */
struct run {
	struct slu_device *device;
	int fd;
	uint64_t address, bytes, offset;
	bool coalesce;
	int error;
};

static void flush(struct run *r)
{
	if (!r->bytes)
		return;
	int error = r->device->hw.ops->dma_map(r->device->hw.context, r->address, r->bytes, r->fd, r->offset);

	/* -EEXIST: a segment that came while all were walked. */
	if (error && error != -EEXIST && !r->error) {
		r->error = error;
		SLU_LOG(ERR, "%s: cannot map 0x%" PRIx64 "+0x%" PRIx64 " for the card: %s", r->device->name, r->address,
			r->bytes, strerror(-error));
	}
	r->bytes = 0;
}

/*
 * Only memory that never goes away is mapped in long runs: a page that is freed
 * later must be unmapped exactly as it was mapped. Allocates nothing: this
 * also runs inside the memory callback.
 */
static void add_segment(struct run *r, const struct rte_memseg *ms)
{
	size_t offset;
	int fd = rte_memseg_get_fd_thread_unsafe(ms);

	if (fd < 0 || rte_memseg_get_fd_offset_thread_unsafe(ms, &offset) < 0) {
		if (!r->error)
			SLU_LOG(ERR, "%s: memory at %p has no file descriptor to share", r->device->name, ms->addr);
		r->error = -ENOTSUP;
		return;
	}
	bool follows = r->bytes && r->coalesce && r->fd == fd && r->address + r->bytes == ms->addr_64 &&
		       r->offset + r->bytes == offset;
	if (!follows) {
		flush(r);
		r->fd = fd;
		r->address = ms->addr_64;
		r->offset = offset;
	}
	r->bytes += ms->len;
}

static int walk(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *argument)
{
	struct run *r = argument;

	if (!msl->external)
		add_segment(r, ms);
	return slu_hw_gone(&r->device->hw) ? 1 : 0;
}

static void memory_event(enum rte_mem_event event, const void *address, size_t bytes, void *argument)
{
	struct slu_device *device = argument;
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(address);
	struct run r = {.device = device};

	if (!msl || msl->external || slu_hw_gone(&device->hw))
		return;
	for (size_t at = 0; at < bytes; at += msl->page_sz) {
		const void *page = RTE_PTR_ADD(address, at);

		if (event == RTE_MEM_EVENT_FREE) {
			slu_dma_unmap(device, (uintptr_t)page, msl->page_sz);
		} else {
			const struct rte_memseg *ms = rte_mem_virt2memseg(page, msl);

			if (ms)
				add_segment(&r, ms);
		}
	}
	flush(&r);
}

static void event_name(const struct slu_device *device, char name[RTE_DEV_NAME_MAX_LEN])
{
	snprintf(name, RTE_DEV_NAME_MAX_LEN, "sluice-%.40s", device->name);
}

int slu_dma_start(struct slu_device *device)
{
	char name[RTE_DEV_NAME_MAX_LEN];
	struct run r = {.device = device, .coalesce = !rte_eal_has_hugepages()};

	event_name(device, name);
	int error = rte_mem_event_callback_register(name, memory_event, device);
	if (error && rte_errno != ENOTSUP) /* memory that never changes needs no callback */
		return -rte_errno;
	rte_memseg_walk(walk, &r);
	flush(&r);
	if (r.error)
		slu_dma_stop(device);
	return r.error;
}

void slu_dma_stop(struct slu_device *device)
{
	char name[RTE_DEV_NAME_MAX_LEN];

	event_name(device, name);
	rte_mem_event_callback_unregister(name, device);
}

int slu_dma_map(struct slu_device *device, void *address, uint64_t iova, size_t bytes)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(address);
	struct run r = {.device = device};

	if (iova != (uintptr_t)address || !msl)
		return -ENOTSUP;
	for (size_t at = 0; at < bytes; at += msl->page_sz) {
		const struct rte_memseg *ms = rte_mem_virt2memseg(RTE_PTR_ADD(address, at), msl);

		if (!ms)
			return -EINVAL;
		add_segment(&r, ms);
	}
	flush(&r);
	return r.error;
}

int slu_dma_unmap(struct slu_device *device, uint64_t iova, size_t bytes)
{
	int error = device->hw.ops->dma_unmap(device->hw.context, iova, bytes);

	if (error && error != -ENODEV)
		SLU_LOG(ERR, "%s: cannot unmap 0x%" PRIx64 "+0x%zx: %s", device->name, iova, bytes, strerror(-error));
	return error;
}

static void *alloc(size_t bytes, size_t alignment)
{
	return rte_zmalloc("sluice", bytes, (unsigned)alignment);
}

const struct slu_memory slu_dma_memory = {.alloc = alloc, .free = rte_free};
