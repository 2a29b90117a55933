#include "host/ports/addresses.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef IFA_PROTO
#define IFA_PROTO 11
#endif

struct present {
	struct slu_address *items;
	uint32_t count, room;
	const unsigned int *ifindexes;
	uint32_t ifindex_count;
	bool *found; /* [wanted_count] */
	const struct slu_address *wanted;
	uint32_t wanted_count;
	bool no_memory;
};

static int compare(const void *left, const void *right)
{
	const struct slu_address *a = left, *b = right;

	if (a->ifindex != b->ifindex)
		return a->ifindex < b->ifindex ? -1 : 1;
	if (a->bits != b->bits)
		return a->bits < b->bits ? -1 : 1;
	if (a->ip.family != b->ip.family)
		return a->ip.family < b->ip.family ? -1 : 1;
	return memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes));
}

static void remember(struct present *present, const struct slu_address *address)
{
	if (present->count == present->room) {
		uint32_t room = present->room ? present->room * 2 : 64;
		struct slu_address *items = realloc(present->items, room * sizeof(*items));

		if (!items) {
			present->no_memory = true;
			return;
		}
		present->items = items;
		present->room = room;
	}
	present->items[present->count++] = *address;
}

static int each_attribute(const struct nlattr *attribute, void *data)
{
	const struct nlattr **attributes = data;

	if (mnl_attr_get_type(attribute) <= IFA_PROTO)
		attributes[mnl_attr_get_type(attribute)] = attribute;
	return MNL_CB_OK;
}

static void each_address(void *context, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attributes[IFA_PROTO + 1] = {0};
	const struct slu_address *wanted;
	const struct nlattr *own;
	struct present *present = context;
	struct slu_address address = {.bits = header->ifa_prefixlen, .ifindex = header->ifa_index};
	bool ours = false;

	for (uint32_t i = 0; i < present->ifindex_count; i++)
		ours |= present->ifindexes[i] == header->ifa_index;
	if (!ours || message->nlmsg_type != RTM_NEWADDR ||
		mnl_attr_parse(message, sizeof(*header), each_attribute, attributes) < 0)
		return;
	own = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
	address.ip.family = header->ifa_family == AF_INET ? 4 : 6;
	if (!own || mnl_attr_get_payload_len(own) != (address.ip.family == 4 ? 4 : 16))
		return;
	memcpy(address.ip.bytes, mnl_attr_get_payload(own), mnl_attr_get_payload_len(own));
	wanted = bsearch(&address, present->wanted, present->wanted_count, sizeof(address), compare);
	if (wanted) {
		present->found[wanted - present->wanted] = true;
		return;
	}
	if (attributes[IFA_PROTO] && mnl_attr_get_payload_len(attributes[IFA_PROTO]) == 1 &&
		mnl_attr_get_u8(attributes[IFA_PROTO]) == SLU_ADDRESS_PROTOCOL)
		remember(present, &address);
}

static void restart(void *context)
{
	struct present *present = context;

	present->count = 0;
	memset(present->found, 0, present->wanted_count * sizeof(*present->found));
}

static int change(struct slu_netlink *netlink, uint16_t type, const struct slu_address *address)
{
	uint8_t buffer[256] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *header;
	size_t bytes = address->ip.family == 4 ? 4 : 16;
	uint32_t flags = IFA_F_PERMANENT | IFA_F_NODAD | (address->prefix_route ? 0 : IFA_F_NOPREFIXROUTE);

	message->nlmsg_type = type;
	message->nlmsg_flags = type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ifa_family = address->ip.family == 4 ? AF_INET : AF_INET6;
	header->ifa_prefixlen = address->bits;
	header->ifa_flags = IFA_F_PERMANENT;
	header->ifa_index = address->ifindex;
	mnl_attr_put(message, IFA_LOCAL, bytes, address->ip.bytes);
	mnl_attr_put(message, IFA_ADDRESS, bytes, address->ip.bytes);
	if (type == RTM_NEWADDR) {
		/*
		 * Never the source of the node's own connections, as health checks are: their answers would be taken
		 * for balanced traffic. The kernel would prefer the longer prefix (RFC 6724, rule 8) but for rule 3.
		 */
		const struct ifa_cacheinfo deprecated = {.ifa_prefered = 0, .ifa_valid = UINT32_MAX};

		if (!address->prefix_route)
			mnl_attr_put(message, IFA_CACHEINFO, sizeof(deprecated), &deprecated);
		mnl_attr_put_u32(message, IFA_FLAGS, flags);
		mnl_attr_put_u8(message, IFA_PROTO, SLU_ADDRESS_PROTOCOL);
	}
	return slu_netlink_request(netlink, message);
}

/* Sorts and removes duplicates; returns how many are left. */
static uint32_t tidy(struct slu_address *addresses, uint32_t count)
{
	uint32_t kept = 0;

	qsort(addresses, count, sizeof(*addresses), compare);
	for (uint32_t i = 0; i < count; i++) {
		if (kept == 0 || compare(&addresses[kept - 1], &addresses[i]) != 0)
			addresses[kept++] = addresses[i];
	}
	return kept;
}

int slu_addresses_apply(struct slu_netlink *netlink, struct slu_address *wanted, uint32_t wanted_count,
	const unsigned int *ifindexes, uint32_t ifindex_count, uint32_t *changed)
{
	struct present present = {.ifindexes = ifindexes, .ifindex_count = ifindex_count, .wanted = wanted};
	int first = 0, error;

	*changed = 0;
	present.wanted_count = tidy(wanted, wanted_count);
	present.found = calloc(wanted_count + 1, sizeof(*present.found));
	if (!present.found)
		return -ENOMEM;
	first = slu_netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, each_address, restart, &present);
	if (present.no_memory)
		first = -ENOMEM;
	for (uint32_t i = 0; i < present.count && !first; i++, (*changed)++)
		first = change(netlink, RTM_DELADDR, &present.items[i]);
	for (uint32_t i = 0; i < present.wanted_count; i++) {
		if (present.found[i])
			continue;
		error = change(netlink, RTM_NEWADDR, &wanted[i]);
		if (error && !first)
			first = error;
		*changed += error == 0;
	}
	free(present.items);
	free(present.found);
	return first;
}
