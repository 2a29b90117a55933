/* A wire that is an interface of this machine, through a packet socket: what comes in there is on the wire. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#define SOCKET_BUFFER_BYTES (16 << 20)

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

static int configure(int fd, const char *name)
{
	unsigned int index = if_nametoindex(name);
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)index,
	};
	struct packet_mreq promiscuous = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
	int err = index ? slu_wire_bring_up(name) : -ENODEV;

	if (!err)
		err = set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	if (!err)
		err = set(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	if (!err)
		err = set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (err)
		return err;
	/* Better without than not at all. */
	(void)set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER_BYTES);
	(void)set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER_BYTES);
	(void)set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)))
		return -errno;
	return bind(fd, (struct sockaddr *)&at, sizeof(at)) ? -errno : 0;
}

static int packet_open(const char *name)
{
	/* Protocol 0 until bind: nothing of other interfaces slips in. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = configure(fd, name);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* Room for a batch; one wire receives at a time. */
static struct {
	struct virtio_net_hdr h;
	uint8_t frame[SLU_VNET_HEADROOM + SLU_VNET_FRAME_BYTES];
} packets[SLU_WIRE_BATCH];

static struct slu_vnet_tag tag_of(struct msghdr *msg)
{
	struct slu_vnet_tag tag = {0};
	struct tpacket_auxdata aux;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			continue;
		tag.tpid = aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_P_8021Q;
		tag.tci = aux.tp_vlan_tci;
	}
	return tag;
}

static int packet_receive(struct slu_wire *w, unsigned int max)
{
	union {
		char buf[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct cmsghdr align;
	} control[SLU_WIRE_BATCH];
	struct mmsghdr msgs[SLU_WIRE_BATCH] = {0};
	struct iovec iov[SLU_WIRE_BATCH][2];
	int n;

	for (unsigned int i = 0; i < max; i++) {
		iov[i][0] = (struct iovec){&packets[i].h, sizeof(packets[i].h)};
		iov[i][1] = (struct iovec){packets[i].frame + SLU_VNET_HEADROOM, SLU_VNET_FRAME_BYTES};
		msgs[i].msg_hdr.msg_iov = iov[i];
		msgs[i].msg_hdr.msg_iovlen = 2;
		msgs[i].msg_hdr.msg_control = &control[i];
		msgs[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	n = recvmmsg(slu_wire_fd(w), msgs, max, MSG_DONTWAIT, NULL);
	/* The interface may come up again. */
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENETDOWN ? 0 : -errno;
	for (int i = 0; i < n; i++)
		if (msgs[i].msg_len > sizeof(struct virtio_net_hdr) && !(msgs[i].msg_hdr.msg_flags & MSG_TRUNC))
			slu_wire_packet_in(w, &packets[i].h, packets[i].frame + SLU_VNET_HEADROOM,
				msgs[i].msg_len - sizeof(struct virtio_net_hdr), tag_of(&msgs[i].msg_hdr));
	return n;
}

static int packet_send(struct slu_wire *w, uint8_t *const *frames, const uint32_t *len, unsigned int count)
{
	struct mmsghdr msgs[SLU_WIRE_BATCH] = {0};
	struct iovec iov[SLU_WIRE_BATCH];
	int n;

	for (unsigned int i = 0; i < count; i++) {
		iov[i] = (struct iovec){frames[i], len[i]};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	n = sendmmsg(slu_wire_fd(w), msgs, count, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
	return n;
}

static uint64_t packet_kernel_drops(struct slu_wire *w)
{
	struct tpacket_stats s;
	socklen_t len = sizeof(s);

	/* Reading clears it. */
	return getsockopt(slu_wire_fd(w), SOL_PACKET, PACKET_STATISTICS, &s, &len) ? 0 : s.tp_drops;
}

const struct slu_wire_ops slu_wire_packet_ops = {
	.kind = "packet",
	.open = packet_open,
	.receive = packet_receive,
	.send = packet_send,
	.kernel_drops = packet_kernel_drops,
};
