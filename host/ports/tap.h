/*
 * The exception TAP of a port: a persistent kernel interface that carries what
 * is not load balanced (ARP, ND, ICMP to the node, BGP, ssh) to and from the
 * kernel. It outlives the agent, so that addresses and routes on it survive.
 */
#ifndef SLU_HOST_TAP_H
#define SLU_HOST_TAP_H

#include <net/if.h>
#include <stdint.h>
#include <sys/types.h>

struct slu_tap {
	int fd; /* non-blocking, one frame a read or write */
	unsigned int ifindex;
	char name[IFNAMSIZ];
};

/*
 * Opens or creates the TAP, makes it persistent, gives it the address and MTU
 * and sets it up. The kernel finishes checksums and cuts super-segments before
 * it hands frames over, whatever an earlier owner of the interface asked for.
 *
 * Control thread. Returns 0 or -errno (-EBUSY: another process holds it); on
 * failure tap->fd is -1.
 */
int slu_tap_open(struct slu_tap *tap, const char *name, const uint8_t mac[6], uint16_t mtu);

/* Closes the descriptor; the interface stays. */
void slu_tap_close(struct slu_tap *tap);

/* One frame from the kernel: its length, -EAGAIN if there is none, or -errno. */
ssize_t slu_tap_read(const struct slu_tap *tap, void *frame, size_t room);

/* One frame to the kernel: 0 or -errno (-EIO while the interface is down). */
int slu_tap_write(const struct slu_tap *tap, const void *frame, size_t bytes);

#endif
