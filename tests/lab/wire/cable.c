#include "tests/lab/wire/cable.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITING_MAX 20000u
#define BURST 64
#define ROOM (sizeof(struct virtio_net_hdr) + 65536)

/* With the virtio header in front: unfinished checksums and super-segments of the kernel pass unharmed. */
struct wire_frame {
	struct wire_frame *next;
	uint64_t due_us;
	size_t count;
	uint8_t bytes[];
};

static uint64_t generator = 1;

void wire_cable_seed(uint64_t seed)
{
	generator = seed * 2654435761u + 1;
}

/* xorshift64* (Vigna, 2016). */
static uint32_t draw(uint32_t below)
{
	generator ^= generator >> 12;
	generator ^= generator << 25;
	generator ^= generator >> 27;
	return (uint32_t)((generator * 0x2545F4914F6CDD1Du >> 32) * below >> 32);
}

static bool happens(uint32_t ppm)
{
	return ppm > 0 && draw(1000000) < ppm;
}

static int open_end(const char *interface)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, room = 8 << 20;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq all = {.mr_type = PACKET_MR_PROMISC};

	if (fd < 0)
		return -errno;
	to.sll_ifindex = all.mr_ifindex = (int)if_nametoindex(interface);
	if (to.sll_ifindex == 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0 ||
		bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int wire_cable_open(struct wire_cable *cable, const char *name, const char *a, const char *b)
{
	int fd_a = open_end(a), fd_b = open_end(b);

	memset(cable, 0, sizeof(*cable));
	cable->name = name;
	if (fd_a < 0 || fd_b < 0)
		return fd_a < 0 ? fd_a : fd_b;
	cable->way[0].in = cable->way[1].out = fd_a;
	cable->way[1].in = cable->way[0].out = fd_b;
	return 0;
}

static void wait_until(struct wire_direction *way, uint64_t due_us, const uint8_t *bytes, size_t count)
{
	struct wire_frame *frame, **place;

	frame = way->waiting < WAITING_MAX ? malloc(sizeof(*frame) + count) : NULL;
	if (frame == NULL) {
		way->stats.overflow++;
		return;
	}
	frame->due_us = due_us;
	frame->count = count;
	memcpy(frame->bytes, bytes, count);
	/* Almost always the last one. */
	place = way->last != NULL && way->last->due_us <= due_us ? &way->last->next : &way->first;
	while (*place != NULL && (*place)->due_us <= due_us)
		place = &(*place)->next;
	frame->next = *place;
	*place = frame;
	if (frame->next == NULL)
		way->last = frame;
	way->waiting++;
}

static bool is_multicast4(const uint8_t *frame)
{
	return frame[0] == 0x01 && frame[1] == 0x00 && frame[2] == 0x5E;
}

static void pass(struct wire_direction *way, uint64_t now_us, const uint8_t *bytes, size_t count)
{
	const struct wire_harm *h = &way->harm;
	uint64_t wait_us = h->delay_us + (h->jitter_us > 0 ? draw(h->jitter_us) : 0);
	uint32_t copies = 1;

	way->stats.frames++;
	if (h->cut || (h->mcast_cut && is_multicast4(bytes + sizeof(struct virtio_net_hdr))) || happens(h->loss_ppm)) {
		way->stats.lost++;
		return;
	}
	if (happens(h->twice_ppm)) {
		way->stats.twice++;
		copies = 2;
	}
	if (happens(h->late_ppm)) {
		way->stats.late++;
		wait_us += h->late_us;
	}
	way->stats.delayed += wait_us > 0;
	while (copies-- > 0) {
		/* Behind those that wait, unless it is this one's luck to be early. */
		if (wait_us == 0 && (way->first == NULL || h->late_ppm > 0))
			(void)!write(way->out, bytes, count);
		else
			wait_until(way, now_us + wait_us, bytes, count);
	}
}

void wire_cable_receive(struct wire_direction *way, uint64_t now_us)
{
	static uint8_t bytes[ROOM];
	ssize_t n;
	int i;

	for (i = 0; i < BURST; i++) {
		n = recv(way->in, bytes, sizeof(bytes), 0);
		if (n < (ssize_t)(sizeof(struct virtio_net_hdr) + ETH_HLEN))
			return;
		pass(way, now_us, bytes, (size_t)n);
	}
}

uint64_t wire_cable_release(struct wire_direction *way, uint64_t now_us)
{
	struct wire_frame *frame;

	while ((frame = way->first) != NULL && frame->due_us <= now_us) {
		way->first = frame->next;
		if (way->first == NULL)
			way->last = NULL;
		way->waiting--;
		(void)!write(way->out, frame->bytes, frame->count);
		free(frame);
	}
	return frame == NULL ? UINT64_MAX : frame->due_us;
}
