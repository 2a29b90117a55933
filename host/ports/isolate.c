#include "host/ports/isolate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BATCH_BYTES 4096
#define CHAIN_PRIORITY (-500)

static struct nlmsghdr *put_header(void *at, uint16_t type, uint16_t flags, uint8_t family, uint32_t sequence)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = sequence;
	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	header->res_id = 0;
	return message;
}

static struct nlmsghdr *put_mark(void *at, uint16_t type)
{
	struct nlmsghdr *message = put_header(at, type, 0, AF_UNSPEC, 0);
	struct nfgenmsg *header = mnl_nlmsg_get_payload(message);

	header->res_id = htons(NFNL_SUBSYS_NFTABLES);
	return message;
}

static size_t build_batch(uint8_t *batch, const char *table, const char *interface)
{
	uint8_t *at = batch;
	struct nlmsghdr *message = put_mark(at, NFNL_MSG_BATCH_BEGIN);
	struct nlattr *hook;

	at += message->nlmsg_len;
	message = put_header(
		at, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, NFPROTO_NETDEV, 1);
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, table);
	at += message->nlmsg_len;
	message = put_header(
		at, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, NFPROTO_NETDEV, 2);
	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "ingress");
	hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(NF_NETDEV_INGRESS));
	mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl((uint32_t)CHAIN_PRIORITY));
	mnl_attr_put_strz(message, NFTA_HOOK_DEV, interface);
	mnl_attr_nest_end(message, hook);
	mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl(NF_DROP));
	mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "filter");
	at += message->nlmsg_len;
	at += put_mark(at, NFNL_MSG_BATCH_END)->nlmsg_len;
	return (size_t)(at - batch);
}

/* Two acknowledgements come back, or the first error. */
static int read_answers(struct mnl_socket *socket)
{
	uint8_t buffer[BATCH_BYTES];

	for (int answers = 0; answers < 2;) {
		ssize_t bytes = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
		int left = (int)bytes;

		if (bytes < 0)
			return -errno;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);

			if (message->nlmsg_type != NLMSG_ERROR)
				continue;
			if (answer->error && answer->error != -EEXIST)
				return answer->error;
			answers++;
		}
	}
	return 0;
}

static int disable_ipv6(const char *interface)
{
	char path[128];
	int fd, error = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", interface);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno; /* no IPv6 at all */
	if (write(fd, "1", 1) != 1)
		error = -errno;
	close(fd);
	return error;
}

int slu_isolate_interface(const char *interface)
{
	struct mnl_socket *socket;
	uint8_t batch[BATCH_BYTES] = {0};
	char table[NFT_NAME_MAXLEN];
	size_t bytes;
	int error;

	if (if_nametoindex(interface) == 0)
		return -ENODEV;
	snprintf(table, sizeof(table), "sluice_%s", interface);
	bytes = build_batch(batch, table, interface);
	socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(socket, batch, bytes) < 0)
		error = -errno;
	else
		error = read_answers(socket);
	mnl_socket_close(socket);
	return error ? error : disable_ipv6(interface);
}

int slu_isolate_find(const char *device, char *name)
{
	const char *argument = strstr(device, ",iface=");
	size_t length;

	if ((strncmp(device, "net_af_packet", 13) != 0 && strncmp(device, "eth_af_packet", 13) != 0) || !argument)
		return -ENOENT;
	argument += strlen(",iface=");
	length = strcspn(argument, ",");
	if (length == 0 || length >= IFNAMSIZ)
		return -ENOENT;
	memcpy(name, argument, length);
	name[length] = '\0';
	return 0;
}
