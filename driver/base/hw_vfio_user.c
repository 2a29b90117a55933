#include "hw_vfio_user.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "vfio_user.h"

#define PCI_VENDOR 0xF1D0
#define PCI_DEVICE 0x51CE

struct context {
	struct slu_hw *hw;
	struct slu_vfio_user *client;
};

/* Any thread may be the first to see the end of the connection. */
static int check(struct context *c, int error)
{
	if (error == -ENODEV || error == -EPROTO) {
		atomic_store(&c->hw->gone, true);
		return -ENODEV;
	}
	return error;
}

static int hw_read(void *context, uint32_t offset, uint32_t *values, unsigned count)
{
	struct context *c = context;

	while (count) {
		unsigned part = count < SLU_VFIO_USER_TRANSFER_MAX / 4 ? count : SLU_VFIO_USER_TRANSFER_MAX / 4;
		int error =
			check(c, slu_vfio_user_read(c->client, VFIO_PCI_BAR0_REGION_INDEX, offset, values, 4 * part));

		if (error)
			return error;
		offset += 4 * part;
		values += part;
		count -= part;
	}
	return 0;
}

static int hw_write(void *context, uint32_t offset, uint32_t value)
{
	struct context *c = context;

	return check(c, slu_vfio_user_write(c->client, VFIO_PCI_BAR0_REGION_INDEX, offset, &value, sizeof(value)));
}

static int hw_doorbell(void *context, uint32_t offset, uint32_t value)
{
	struct context *c = context;

	return check(c, slu_vfio_user_write(c->client, VFIO_PCI_BAR2_REGION_INDEX, offset, &value, sizeof(value)));
}

static int hw_dma_map(void *context, uint64_t iova, uint64_t bytes, int fd, uint64_t fd_offset)
{
	struct context *c = context;

	return check(c, slu_vfio_user_dma_map(c->client, iova, bytes, fd, fd_offset));
}

static int hw_dma_unmap(void *context, uint64_t iova, uint64_t bytes)
{
	struct context *c = context;

	return check(c, slu_vfio_user_dma_unmap(c->client, iova, bytes));
}

static int hw_set_irqs(void *context, const int *eventfds, unsigned count)
{
	struct context *c = context;

	return check(c, slu_vfio_user_set_irqs(c->client, VFIO_PCI_MSIX_IRQ_INDEX, eventfds, count));
}

static int hw_reset(void *context)
{
	struct context *c = context;

	return check(c, slu_vfio_user_reset(c->client));
}

static void hw_close(void *context)
{
	struct context *c = context;

	if (c->hw->doorbells)
		munmap((void *)(uintptr_t)c->hw->doorbells, SLU_NIC_DOORBELL_BYTES);
	if (c->hw->kick_fd >= 0)
		close(c->hw->kick_fd);
	if (c->hw->hangup_fd >= 0)
		close(c->hw->hangup_fd);
	slu_vfio_user_close(c->client);
	free(c);
}

static const struct slu_hw_ops vfio_user_ops = {
	.read = hw_read,
	.write = hw_write,
	.doorbell = hw_doorbell,
	.dma_map = hw_dma_map,
	.dma_unmap = hw_dma_unmap,
	.set_irqs = hw_set_irqs,
	.reset = hw_reset,
	.close = hw_close,
};

static int check_identity(struct context *c, char *why, size_t why_bytes)
{
	struct slu_vfio_user_device device;
	struct slu_vfio_user_region bar0;
	uint16_t ids[2];
	int error = slu_vfio_user_device_info(c->client, &device);

	if (!error)
		error = slu_vfio_user_region_info(c->client, VFIO_PCI_BAR0_REGION_INDEX, &bar0);
	if (!error)
		error = slu_vfio_user_read(c->client, VFIO_PCI_CONFIG_REGION_INDEX, 0, ids, sizeof(ids));
	if (error) {
		snprintf(why, why_bytes, "server does not answer as a PCI device: %s", strerror(-error));
		return error;
	}
	if (bar0.fd >= 0)
		close(bar0.fd);
	if (!(device.flags & VFIO_DEVICE_FLAGS_PCI) || ids[0] != PCI_VENDOR || ids[1] != PCI_DEVICE ||
		bar0.bytes < SLU_NIC_BAR0_BYTES) {
		snprintf(why, why_bytes, "device %04x:%04x with %llu bytes of BAR0 is not this card (%04x:%04x, %u)",
			ids[0], ids[1], (unsigned long long)bar0.bytes, PCI_VENDOR, PCI_DEVICE, SLU_NIC_BAR0_BYTES);
		return -ENOTSUP;
	}
	return 0;
}

static int map_doorbells(struct context *c, char *why, size_t why_bytes)
{
	struct slu_vfio_user_region bar2;
	int error = slu_vfio_user_region_info(c->client, VFIO_PCI_BAR2_REGION_INDEX, &bar2);

	if (error) {
		snprintf(why, why_bytes, "server does not describe BAR2: %s", strerror(-error));
		return error;
	}
	if (bar2.fd < 0 || bar2.bytes < SLU_NIC_DOORBELL_BYTES) {
		if (bar2.fd >= 0)
			close(bar2.fd);
		snprintf(why, why_bytes, "BAR2 cannot be mapped: %llu bytes, %s", (unsigned long long)bar2.bytes,
			bar2.fd < 0 ? "no descriptor" : "too small");
		return -ENOTSUP;
	}
	void *page =
		mmap(NULL, SLU_NIC_DOORBELL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bar2.fd, (off_t)bar2.fd_offset);
	error = -errno;
	close(bar2.fd);
	if (page == MAP_FAILED) {
		snprintf(why, why_bytes, "BAR2 cannot be mapped: %s", strerror(-error));
		return error;
	}
	c->hw->doorbells = page;
	error = slu_vfio_user_region_io_fd(c->client, VFIO_PCI_BAR2_REGION_INDEX, &c->hw->kick_fd);
	if (error)
		snprintf(why, why_bytes, "server gives no eventfd for the doorbells: %s", strerror(-error));
	return error;
}

/* Readable at the end of the connection only, not at every reply. */
static int make_hangup_fd(struct context *c, char *why, size_t why_bytes)
{
	struct epoll_event event = {.events = EPOLLRDHUP};
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, slu_vfio_user_socket(c->client), &event) < 0) {
		int error = -errno;

		if (fd >= 0)
			close(fd);
		snprintf(why, why_bytes, "epoll: %s", strerror(-error));
		return error;
	}
	c->hw->hangup_fd = fd;
	return 0;
}

int slu_hw_vfio_user_open(const char *path, struct slu_hw *hw, char *why, size_t why_bytes)
{
	struct context *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*hw = (struct slu_hw){.ops = &vfio_user_ops, .context = c, .kick_fd = -1, .hangup_fd = -1};
	c->hw = hw;
	int error = slu_vfio_user_connect(path, &c->client);
	if (error) {
		snprintf(why, why_bytes, "cannot attach to %s: %s", path,
			error == -EPROTO ? "the server does not speak vfio-user 0.1" : strerror(-error));
		free(c);
		return error;
	}
	error = check_identity(c, why, why_bytes);
	if (!error)
		error = map_doorbells(c, why, why_bytes);
	if (!error)
		error = make_hangup_fd(c, why, why_bytes);
	if (error)
		hw_close(c);
	return error;
}
