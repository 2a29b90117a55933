/*
 * Client of the vfio-user protocol (QEMU, docs/interop/vfio-user.rst, 0.0 .. 0.1):
 * messages over a UNIX socket, one exchange at a time. The peer is not trusted: every reply is
 * checked for size and content before it is used.
 *
 * A function returns 0; the negated errno that the server answered; -EPROTO for
 * a reply against the protocol; -ENODEV when the connection is gone. After
 * -EPROTO and -ENODEV the connection is closed for good. Any thread may call.
 */
#ifndef SLU_DRIVER_VFIO_USER_H
#define SLU_DRIVER_VFIO_USER_H

#include <stddef.h>
#include <stdint.h>

struct slu_vfio_user;

struct slu_vfio_user_region {
	uint64_t bytes;
	uint64_t fd_offset;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_* of <linux/vfio.h> */
	int fd;         /* the caller's from now on; -1: cannot be mapped */
};

struct slu_vfio_user_device {
	uint32_t flags; /* VFIO_DEVICE_FLAGS_* */
	uint32_t regions;
	uint32_t irqs;
};

/* Takes a connected socket, also when it fails, and negotiates the version. */
int slu_vfio_user_attach(int socket, struct slu_vfio_user **client);
/* Tries for two seconds when a server is there and not ready. */
int slu_vfio_user_connect(const char *path, struct slu_vfio_user **client);
void slu_vfio_user_close(struct slu_vfio_user *client);

/* The socket, to wait for its end. It stays the client's. */
int slu_vfio_user_socket(const struct slu_vfio_user *client);

int slu_vfio_user_device_info(struct slu_vfio_user *client, struct slu_vfio_user_device *device);
int slu_vfio_user_region_info(struct slu_vfio_user *client, uint32_t index, struct slu_vfio_user_region *region);
/* The first ioeventfd of a region: the caller's from now on. */
int slu_vfio_user_region_io_fd(struct slu_vfio_user *client, uint32_t index, int *eventfd);
int slu_vfio_user_irq_count(struct slu_vfio_user *client, uint32_t index, uint32_t *count);
/* Gives eventfds to vectors 0..count of an interrupt type, as many a message as the server takes. */
int slu_vfio_user_set_irqs(struct slu_vfio_user *client, uint32_t index, const int *eventfds, uint32_t count);
int slu_vfio_user_dma_map(struct slu_vfio_user *client, uint64_t address, uint64_t bytes, int fd, uint64_t fd_offset);
int slu_vfio_user_dma_unmap(struct slu_vfio_user *client, uint64_t address, uint64_t bytes);
/* At most SLU_VFIO_USER_TRANSFER_MAX bytes. */
int slu_vfio_user_read(struct slu_vfio_user *client, uint32_t region, uint64_t offset, void *data, uint32_t bytes);
int slu_vfio_user_write(
	struct slu_vfio_user *client, uint32_t region, uint64_t offset, const void *data, uint32_t bytes);
int slu_vfio_user_reset(struct slu_vfio_user *client);

#define SLU_VFIO_USER_TRANSFER_MAX 4096

#endif
