#include "host/ports/neighbours.h"

#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/control/ip.h"

static struct nlmsghdr *put_neighbour(
	void *buffer, unsigned int ifindex, const struct slu_ip *address, uint16_t flags, uint16_t state, uint8_t ntf)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *header;

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = flags;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ndm_family = address->family == 4 ? AF_INET : AF_INET6;
	header->ndm_ifindex = (int)ifindex;
	header->ndm_state = state;
	header->ndm_flags = ntf;
	mnl_attr_put(message, NDA_DST, address->family == 4 ? 4 : 16, address->bytes);
	return message;
}

int slu_neighbours_use(struct slu_netlink *netlink, unsigned int ifindex, const struct slu_ip *address)
{
	uint8_t buffer[256] = {0};

	return slu_netlink_request(netlink, put_neighbour(buffer, ifindex, address, NLM_F_CREATE, NUD_NONE, NTF_USE));
}

int slu_neighbours_restore(
	struct slu_netlink *netlink, unsigned int ifindex, const struct slu_ip *address, const uint8_t mac[6])
{
	uint8_t buffer[256] = {0};
	struct nlmsghdr *message = put_neighbour(buffer, ifindex, address, NLM_F_CREATE | NLM_F_EXCL, NUD_STALE, 0);
	int error;

	mnl_attr_put(message, NDA_LLADDR, 6, mac);
	error = slu_netlink_request(netlink, message);
	return error == -EEXIST ? 0 : error;
}

int slu_neighbours_save(const char *path, const struct slu_mirror *mirror, const struct slu_port *ports)
{
	char temporary[PATH_MAX], text[SLU_IP_TEXT_BYTES];
	FILE *file;
	int error = 0;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	file = fopen(temporary, "we");
	if (!file)
		return -errno;
	for (uint32_t i = 0; i < mirror->neighbour_count; i++) {
		const struct slu_mirror_neighbour *n = &mirror->neighbours[i];

		if (!slu_mirror_neighbour_usable(n) || (n->address.family == 6 && n->address.bytes[0] == 0xff))
			continue;
		fprintf(file, "%s %s %02x:%02x:%02x:%02x:%02x:%02x\n", ports[n->port].tap.name,
			slu_ip_format(&n->address, text), n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4],
			n->mac[5]);
	}
	if (ferror(file))
		error = -EIO;
	if (fclose(file) != 0 && !error)
		error = -errno;
	if (!error && rename(temporary, path) != 0)
		error = -errno;
	if (error)
		unlink(temporary);
	return error;
}

static unsigned int find_tap(const char *name, const struct slu_port *ports, uint32_t port_count)
{
	for (uint32_t i = 0; i < port_count; i++) {
		if (strcmp(ports[i].tap.name, name) == 0)
			return ports[i].tap.ifindex;
	}
	return 0;
}

int slu_neighbours_load(
	const char *path, struct slu_netlink *netlink, const struct slu_port *ports, uint32_t port_count)
{
	char line[256], name[64], text[64];
	FILE *file = fopen(path, "re");
	int restored = 0;

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		unsigned int ifindex;
		struct slu_ip address;
		uint8_t mac[6];

		if (sscanf(line, "%63s %63s %2" SCNx8 ":%2" SCNx8 ":%2" SCNx8 ":%2" SCNx8 ":%2" SCNx8 ":%2" SCNx8, name,
			    text, &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 8 ||
			slu_ip_parse(text, &address) != 0)
			continue;
		ifindex = find_tap(name, ports, port_count);
		if (ifindex && slu_neighbours_restore(netlink, ifindex, &address, mac) == 0)
			restored++;
	}
	fclose(file);
	return restored;
}
