#include "device.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <sluice/nic_regs.h>

#include "dma_map.h"
#include "doorbell_page.h"
#include "irq_set.h"
#include "nic_model.h"
#include "pci_config.h"

#define MSIX_RAM_BYTES 4096u

struct slu_device {
	struct slu_nic_model *model;
	struct slu_dma_map *memory;
	struct slu_doorbell_page doorbells;
	struct slu_irq_set irqs;
	struct slu_pci_config config;
	struct slu_vfio_user_limits limits;
	uint8_t msix_ram[MSIX_RAM_BYTES]; /* vfio clients program eventfds instead; the table only holds what they store
					   */
	bool attached;
	struct slu_device_stats stats;
};

struct region {
	uint32_t bytes;
	uint32_t flags;
	uint32_t align; /* of offset and count */
};

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
static const struct region regions[VFIO_PCI_NUM_REGIONS] = {
	[VFIO_PCI_BAR0_REGION_INDEX] = {SLU_NIC_BAR0_BYTES, RW, 4},
	[VFIO_PCI_BAR2_REGION_INDEX] = {SLU_NIC_DOORBELL_BYTES, RW | VFIO_REGION_INFO_FLAG_MMAP, 4},
	[VFIO_PCI_BAR4_REGION_INDEX] = {MSIX_RAM_BYTES, RW, 1},
	[VFIO_PCI_CONFIG_REGION_INDEX] = {SLU_PCI_CONFIG_BYTES, RW, 1},
};

struct slu_device *slu_device_create(void)
{
	struct slu_device *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->memory = slu_dma_map_create();
	d->doorbells.fd = d->doorbells.kick_fd = -1;
	slu_irq_set_init(&d->irqs);
	slu_pci_config_reset(&d->config);
	if (!d->memory) {
		free(d);
		return NULL;
	}
	return d;
}

void slu_device_destroy(struct slu_device *d)
{
	if (!d)
		return;
	slu_device_detach(d);
	slu_dma_map_destroy(d->memory);
	free(d);
}

int slu_device_dma_read(void *ctx, uint64_t addr, void *buf, size_t len)
{
	return slu_dma_map_read(((struct slu_device *)ctx)->memory, addr, buf, len);
}

int slu_device_dma_write(void *ctx, uint64_t addr, const void *buf, size_t len)
{
	return slu_dma_map_write(((struct slu_device *)ctx)->memory, addr, buf, len);
}

void slu_device_irq(void *ctx, unsigned int vector)
{
	slu_irq_set_signal(&((struct slu_device *)ctx)->irqs, vector);
}

void slu_device_set_model(struct slu_device *d, struct slu_nic_model *m)
{
	d->model = m;
}

int slu_device_attach(struct slu_device *d)
{
	int err = slu_doorbell_page_open(&d->doorbells);

	if (err)
		return err;
	memset(&d->limits, 0, sizeof(d->limits));
	memset(d->msix_ram, 0, sizeof(d->msix_ram));
	slu_pci_config_reset(&d->config);
	d->attached = true;
	return 0;
}

void slu_device_detach(struct slu_device *d)
{
	if (!d->attached)
		return;
	d->attached = false;
	/* DMA stops before its memory goes. */
	slu_nic_model_host_reset(d->model);
	slu_dma_map_clear(d->memory);
	slu_irq_set_clear(&d->irqs);
	slu_doorbell_page_close(&d->doorbells);
}

static int reset(struct slu_device *d)
{
	d->stats.resets++;
	slu_doorbell_page_clear(&d->doorbells);
	return slu_nic_model_host_reset(d->model);
}

/* Checks a payload of exactly this size and no file descriptors, and copies it. */
static int fixed(const struct slu_vfio_user_message *m, void *to, size_t size)
{
	if (m->len != size || m->fd_count)
		return -EINVAL;
	memcpy(to, m->payload, size);
	return 0;
}

static void put(struct slu_vfio_user_reply *r, const void *from, size_t size)
{
	memcpy(r->payload, from, size);
	r->len = (uint32_t)size;
}

static int get_info(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_device_info info;

	(void)d;
	if (fixed(m, &info, sizeof(info)) || info.argsz < sizeof(info))
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	put(r, &info, sizeof(info));
	return 0;
}

static int get_region_info(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_region_info info;

	if (fixed(m, &info, sizeof(info)) || info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = regions[info.index].flags;
	info.cap_offset = 0;
	info.size = regions[info.index].bytes;
	info.offset = 0;
	put(r, &info, sizeof(info));
	if (info.flags & VFIO_REGION_INFO_FLAG_MMAP) {
		r->fds[0] = d->doorbells.fd;
		r->fd_count = 1;
	}
	return 0;
}

static int get_region_io_fds(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct {
		struct slu_vfio_user_io_fds head;
		struct slu_vfio_user_ioeventfd sub;
	} answer = {.sub = {.size = SLU_NIC_DOORBELL_BYTES}};
	uint32_t room;

	if (fixed(m, &answer.head, sizeof(answer.head)) || answer.head.argsz < sizeof(answer.head))
		return -EINVAL;
	if (answer.head.flags || answer.head.count || answer.head.index != VFIO_PCI_BAR2_REGION_INDEX)
		return -EINVAL;
	room = answer.head.argsz;
	answer.head.argsz = sizeof(answer);
	answer.head.count = 1;
	if (room < sizeof(answer)) {
		put(r, &answer.head, sizeof(answer.head));
		return 0;
	}
	put(r, &answer, sizeof(answer));
	r->fds[0] = d->doorbells.kick_fd;
	r->fd_count = 1;
	return 0;
}

static int get_irq_info(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_irq_info info;

	(void)d;
	if (fixed(m, &info, sizeof(info)) || info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.flags = info.index == VFIO_PCI_MSIX_IRQ_INDEX ? VFIO_IRQ_INFO_EVENTFD : 0;
	info.count = info.index == VFIO_PCI_MSIX_IRQ_INDEX ? SLU_IRQ_SET_VECTORS : 0;
	put(r, &info, sizeof(info));
	return 0;
}

/* Eventfds for vectors start.. ; none at all de-assigns them. */
static int assign_irqs(struct slu_device *d, struct slu_vfio_user_message *m, const struct slu_vfio_user_irq_set *set)
{
	if (m->len != sizeof(*set) || (m->fd_count && m->fd_count != set->count))
		return -EINVAL;
	for (uint32_t i = 0; i < m->fd_count; i++)
		if (!slu_irq_set_takes(m->fds[i]))
			return -EINVAL;
	for (uint32_t i = 0; i < set->count; i++) {
		slu_irq_set_assign(&d->irqs, set->start + i, m->fd_count ? m->fds[i] : -1);
		if (m->fd_count)
			m->fds[i] = -1;
	}
	return 0;
}

static int trigger_irqs(struct slu_device *d, struct slu_vfio_user_message *m, const struct slu_vfio_user_irq_set *set)
{
	bool some = set->flags & VFIO_IRQ_SET_DATA_BOOL;

	if (m->fd_count || m->len != sizeof(*set) + (some ? set->count : 0))
		return -EINVAL;
	if (!some && !set->start && !set->count) {
		slu_irq_set_clear(&d->irqs);
		return 0;
	}
	for (uint32_t i = 0; i < set->count; i++)
		if (!some || m->payload[sizeof(*set) + i])
			slu_irq_set_signal(&d->irqs, set->start + i);
	return 0;
}

static int set_irqs(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_irq_set set;

	(void)r;
	if (m->len < sizeof(set))
		return -EINVAL;
	memcpy(&set, m->payload, sizeof(set));
	if (set.argsz < sizeof(set) || set.index != VFIO_PCI_MSIX_IRQ_INDEX)
		return -EINVAL;
	if (set.start > SLU_IRQ_SET_VECTORS || set.count > SLU_IRQ_SET_VECTORS - set.start)
		return -EINVAL;
	if (!set.count && (set.start || !(set.flags & VFIO_IRQ_SET_DATA_NONE)))
		return -EINVAL;
	/* Vectors are not maskable this way: the card has IRQ_MASK. */
	switch (set.flags) {
	case VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER:
		return assign_irqs(d, m, &set);
	case VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER:
	case VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER:
		return trigger_irqs(d, m, &set);
	default:
		return -EINVAL;
	}
}

static int dma_map(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_dma_map map;
	int prot;

	(void)r;
	if (m->len != sizeof(map) || m->fd_count > 1)
		return -EINVAL;
	memcpy(&map, m->payload, sizeof(map));
	if (map.argsz < sizeof(map) || (map.flags & ~(SLU_VFIO_USER_DMA_READABLE | SLU_VFIO_USER_DMA_WRITEABLE)))
		return -EINVAL;
	/* Without a file descriptor every access would be a message: refused, this server sends no commands. */
	if (!m->fd_count)
		return -ENOTSUP;
	prot = (map.flags & SLU_VFIO_USER_DMA_READABLE ? PROT_READ : 0) |
	       (map.flags & SLU_VFIO_USER_DMA_WRITEABLE ? PROT_WRITE : 0);
	return slu_dma_map_add(d->memory, map.address, map.size, m->fds[0], map.offset, prot, d->limits.max_dma_maps);
}

static int dma_unmap(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_dma_unmap unmap;
	int err;

	if (fixed(m, &unmap, sizeof(unmap)) || unmap.argsz < sizeof(unmap) || unmap.flags)
		return -EINVAL;
	err = slu_nic_model_dma_drain(d->model);
	if (!err)
		err = slu_dma_map_remove(d->memory, unmap.address, unmap.size);
	if (err)
		return err;
	put(r, &unmap, sizeof(unmap));
	return 0;
}

/* Returns 0 if the access stands within its region, in units the region takes. */
static int check_access(const struct slu_vfio_user_region_access *a)
{
	const struct region *region;

	if (a->region >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	region = &regions[a->region];
	if (!a->count || a->offset > region->bytes || a->count > region->bytes - a->offset)
		return -EINVAL;
	return a->offset % region->align || a->count % region->align ? -EINVAL : 0;
}

/* A register that the card refuses reads as what it returns, as on PCIe; it has counted that. */
static int read_registers(struct slu_device *d, uint32_t offset, uint32_t count, uint8_t *to)
{
	for (uint32_t i = 0; i < count; i += 4) {
		uint32_t value = ~0u;

		if (slu_nic_model_reg_read(d->model, offset + i, &value) == -ETIMEDOUT)
			return -EIO;
		memcpy(to + i, &value, 4);
	}
	return 0;
}

static int region_read(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_region_access a;
	uint8_t *data = r->payload + sizeof(a);
	uint32_t offset;
	int err = 0;

	if (fixed(m, &a, sizeof(a)) || check_access(&a))
		return -EINVAL;
	offset = (uint32_t)a.offset;
	switch (a.region) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		err = read_registers(d, offset, a.count, data);
		break;
	case VFIO_PCI_BAR2_REGION_INDEX:
		for (uint32_t i = 0; i < a.count; i += 4) {
			uint32_t value = slu_doorbell_page_read(&d->doorbells, offset + i);

			memcpy(data + i, &value, 4);
		}
		break;
	case VFIO_PCI_BAR4_REGION_INDEX:
		memcpy(data, d->msix_ram + offset, a.count);
		break;
	default:
		slu_pci_config_read(&d->config, offset, data, a.count);
	}
	put(r, &a, sizeof(a));
	r->len += a.count;
	return err;
}

static int write_words(struct slu_device *d, const struct slu_vfio_user_region_access *a, const uint8_t *from)
{
	for (uint32_t i = 0; i < a->count; i += 4) {
		uint32_t offset = (uint32_t)a->offset + i;
		uint32_t value;
		int err;

		memcpy(&value, from + i, 4);
		if (a->region == VFIO_PCI_BAR0_REGION_INDEX && offset == SLU_NIC_ID_BASE + SLU_NIC_ID_CONTROL &&
			(value & SLU_NIC_CONTROL_HOST_RESET))
			slu_doorbell_page_clear(&d->doorbells);
		if (a->region == VFIO_PCI_BAR0_REGION_INDEX)
			err = slu_nic_model_reg_write(d->model, offset, value);
		else
			err = slu_doorbell_page_write(&d->doorbells, d->model, offset, value);
		/* Posted on PCIe: a register that refuses has counted it, the writer does not learn. */
		if (err && err != -EIO)
			return err == -ETIMEDOUT ? -EIO : err;
	}
	return 0;
}

static int region_write(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	struct slu_vfio_user_region_access a;
	const uint8_t *data = m->payload + sizeof(a);
	int err = 0;

	if (m->len < sizeof(a) || m->fd_count)
		return -EINVAL;
	memcpy(&a, m->payload, sizeof(a));
	if (check_access(&a) || m->len - sizeof(a) != a.count)
		return -EINVAL;
	switch (a.region) {
	case VFIO_PCI_BAR0_REGION_INDEX:
	case VFIO_PCI_BAR2_REGION_INDEX:
		err = write_words(d, &a, data);
		break;
	case VFIO_PCI_BAR4_REGION_INDEX:
		memcpy(d->msix_ram + a.offset, data, a.count);
		break;
	default:
		if (slu_pci_config_write(&d->config, (uint32_t)a.offset, data, a.count))
			err = reset(d);
	}
	put(r, &a, sizeof(a));
	return err;
}

static int device_reset(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	(void)r;
	if (m->len || m->fd_count)
		return -EINVAL;
	slu_pci_config_reset(&d->config);
	return reset(d);
}

static int dispatch(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	switch (m->header.command) {
	case SLU_VFIO_USER_VERSION:
		return slu_vfio_user_negotiate(m, &d->limits, r);
	case SLU_VFIO_USER_DMA_MAP:
		return dma_map(d, m, r);
	case SLU_VFIO_USER_DMA_UNMAP:
		return dma_unmap(d, m, r);
	case SLU_VFIO_USER_DEVICE_GET_INFO:
		return get_info(d, m, r);
	case SLU_VFIO_USER_DEVICE_GET_REGION_INFO:
		return get_region_info(d, m, r);
	case SLU_VFIO_USER_DEVICE_GET_REGION_IO_FDS:
		return get_region_io_fds(d, m, r);
	case SLU_VFIO_USER_DEVICE_GET_IRQ_INFO:
		return get_irq_info(d, m, r);
	case SLU_VFIO_USER_DEVICE_SET_IRQS:
		return set_irqs(d, m, r);
	case SLU_VFIO_USER_REGION_READ:
		return region_read(d, m, r);
	case SLU_VFIO_USER_REGION_WRITE:
		return region_write(d, m, r);
	case SLU_VFIO_USER_DEVICE_RESET:
		return device_reset(d, m, r);
	default:
		return -ENOTSUP;
	}
}

int slu_device_command(struct slu_device *d, struct slu_vfio_user_message *m, struct slu_vfio_user_reply *r)
{
	int err;

	r->len = 0;
	r->fd_count = 0;
	d->stats.messages++;
	/* A message comes after the doorbells that the host stored before it. */
	slu_device_scan_doorbells(d);
	if (!d->limits.negotiated && m->header.command != SLU_VFIO_USER_VERSION)
		err = -ENOTCONN;
	else if (d->limits.negotiated && m->fd_count > d->limits.max_msg_fds)
		err = -EMSGSIZE;
	else
		err = dispatch(d, m, r);
	if (err)
		d->stats.refused++;
	return err;
}

unsigned int slu_device_scan_doorbells(struct slu_device *d)
{
	return d->attached ? slu_doorbell_page_scan(&d->doorbells, d->model) : 0;
}

void slu_device_want_kick(struct slu_device *d)
{
	if (d->attached)
		slu_doorbell_page_want_kick(&d->doorbells);
}

void slu_device_awake(struct slu_device *d)
{
	if (d->attached)
		slu_doorbell_page_awake(&d->doorbells);
}

int slu_device_kick_fd(const struct slu_device *d)
{
	return d->doorbells.kick_fd;
}

void slu_device_get_stats(const struct slu_device *d, struct slu_device_stats *stats)
{
	*stats = d->stats;
	stats->irqs = d->irqs.signalled;
	stats->irqs_lost = d->irqs.lost;
	stats->dma_maps = slu_dma_map_count(d->memory);
}
