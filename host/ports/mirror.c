#include "host/ports/mirror.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define USABLE_STATES (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)
#define ROUTE_ATTRIBUTES (RTA_MAX + 1)
#define NEIGHBOUR_ATTRIBUTES (NDA_MAX + 1)

int slu_mirror_init(struct slu_mirror *mirror, uint32_t link_count)
{
	memset(mirror, 0, sizeof(*mirror));
	mirror->links = calloc(link_count ? link_count : 1, sizeof(*mirror->links));
	if (!mirror->links)
		return -ENOMEM;
	mirror->link_count = link_count;
	mirror->routes_stale = true;
	return 0;
}

void slu_mirror_fini(struct slu_mirror *mirror)
{
	free(mirror->links);
	free(mirror->routes);
	free(mirror->neighbours);
	memset(mirror, 0, sizeof(*mirror));
}

void slu_mirror_set_link(struct slu_mirror *mirror, uint32_t link, unsigned int ifindex, uint16_t port)
{
	mirror->links[link].ifindex = ifindex;
	mirror->links[link].port = port;
}

static struct slu_mirror_link *find_link(const struct slu_mirror *mirror, uint32_t ifindex)
{
	for (uint32_t i = 0; i < mirror->link_count; i++) {
		if (mirror->links[i].ifindex == ifindex && ifindex != 0)
			return &mirror->links[i];
	}
	return NULL;
}

/* Grows an array to hold one more element; false when memory is gone. */
static bool make_room(struct slu_mirror *mirror, void **array, uint32_t count, uint32_t *room, size_t bytes)
{
	uint32_t wanted = *room ? *room * 2 : 64;
	void *grown;

	if (count < *room)
		return true;
	grown = realloc(*array, wanted * bytes);
	if (!grown) {
		mirror->no_memory++;
		return false;
	}
	*array = grown;
	*room = wanted;
	return true;
}

static uint32_t ip_bytes(uint8_t family)
{
	return family == 4 ? 4 : 16;
}

static int compare_ip(const struct slu_ip *a, const struct slu_ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/*
 * Attributes of a message, indexed by type; false when one runs past the end.
 * Later duplicates win, unknown types are skipped.
 */
static bool parse_attributes(
	const struct nlmsghdr *message, size_t header_bytes, const struct nlattr **attributes, uint32_t count)
{
	const uint8_t *at = (const uint8_t *)mnl_nlmsg_get_payload(message) + MNL_ALIGN(header_bytes);
	const uint8_t *end = (const uint8_t *)message + message->nlmsg_len;

	memset(attributes, 0, count * sizeof(*attributes));
	while (at + sizeof(struct nlattr) <= end) {
		const struct nlattr *attribute = (const struct nlattr *)at;
		uint32_t type = mnl_attr_get_type(attribute);

		if (attribute->nla_len < sizeof(struct nlattr) || attribute->nla_len > end - at)
			return false;
		if (type < count)
			attributes[type] = attribute;
		at += MNL_ALIGN(attribute->nla_len);
	}
	return true;
}

/* An absent attribute leaves zeroes and succeeds; one of a wrong length fails. */
static bool get_u32(const struct nlattr *attribute, uint32_t *value)
{
	*value = 0;
	if (!attribute)
		return true;
	if (mnl_attr_get_payload_len(attribute) != sizeof(*value))
		return false;
	*value = mnl_attr_get_u32(attribute);
	return true;
}

static bool get_ip(const struct nlattr *attribute, uint8_t family, struct slu_ip *ip)
{
	memset(ip, 0, sizeof(*ip));
	if (!attribute)
		return true;
	if (mnl_attr_get_payload_len(attribute) != ip_bytes(family))
		return false;
	ip->family = family;
	memcpy(ip->bytes, mnl_attr_get_payload(attribute), ip_bytes(family));
	return true;
}

static uint8_t family_of(uint8_t af)
{
	return af == AF_INET ? 4 : af == AF_INET6 ? 6 : 0;
}

static int compare_route(const void *left, const void *right)
{
	const struct slu_mirror_route *a = left, *b = right;
	int order;

	if (a->prefix.family != b->prefix.family)
		return a->prefix.family < b->prefix.family ? -1 : 1;
	if (a->prefix_bits != b->prefix_bits)
		return a->prefix_bits > b->prefix_bits ? -1 : 1;
	order = compare_ip(&a->prefix, &b->prefix);
	if (order)
		return order;
	if (a->metric != b->metric)
		return a->metric < b->metric ? -1 : 1;
	/* Next hops of one multipath route: the order must not depend on the dump's. */
	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return compare_ip(&a->gateway, &b->gateway);
}

static void add_route(struct slu_mirror *mirror, const struct slu_mirror_route *route)
{
	void *routes = mirror->routes;

	if (!make_room(mirror, &routes, mirror->route_count, &mirror->route_room, sizeof(*route)))
		return;
	mirror->routes = routes;
	mirror->routes[mirror->route_count++] = *route;
	mirror->changed = true;
}

/* RTA_VIA carries an IPv6 gateway of an IPv4 route (RFC 8950). */
static bool get_via(const struct nlattr *attribute, struct slu_ip *gateway)
{
	const struct rtvia *via;
	uint32_t bytes;

	if (!attribute)
		return true;
	bytes = mnl_attr_get_payload_len(attribute);
	if (bytes < sizeof(*via))
		return false;
	via = mnl_attr_get_payload(attribute);
	memset(gateway, 0, sizeof(*gateway));
	gateway->family = family_of((uint8_t)via->rtvia_family);
	if (gateway->family == 0 || bytes != sizeof(*via) + ip_bytes(gateway->family))
		return false;
	memcpy(gateway->bytes, via->rtvia_addr, ip_bytes(gateway->family));
	return true;
}

static bool add_next_hop(struct slu_mirror *mirror, struct slu_mirror_route *route, uint32_t ifindex,
	const struct nlattr *gateway, const struct nlattr *via)
{
	const struct slu_mirror_link *link = find_link(mirror, ifindex);

	if (!link)
		return true;
	route->port = link->port;
	if (!get_ip(gateway, route->prefix.family, &route->gateway) || !get_via(via, &route->gateway))
		return false;
	add_route(mirror, route);
	return true;
}

static bool add_multipath(struct slu_mirror *mirror, struct slu_mirror_route *route, const struct nlattr *attribute)
{
	const uint8_t *at = mnl_attr_get_payload(attribute);
	uint32_t left = mnl_attr_get_payload_len(attribute);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *hop = (const struct rtnexthop *)at;
		const struct nlattr *gateway = NULL, *via = NULL;
		uint32_t used = sizeof(*hop), step;

		if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > left)
			return false;
		while (used + sizeof(struct nlattr) <= hop->rtnh_len) {
			const struct nlattr *inner = (const struct nlattr *)(at + used);

			if (inner->nla_len < sizeof(*inner) || inner->nla_len > hop->rtnh_len - used)
				return false;
			if (mnl_attr_get_type(inner) == RTA_GATEWAY)
				gateway = inner;
			if (mnl_attr_get_type(inner) == RTA_VIA)
				via = inner;
			used += MNL_ALIGN(inner->nla_len);
		}
		if (!(hop->rtnh_flags & RTNH_F_DEAD) &&
			!add_next_hop(mirror, route, (uint32_t)hop->rtnh_ifindex, gateway, via))
			return false;
		step = MNL_ALIGN(hop->rtnh_len);
		if (step >= left)
			break;
		at += step;
		left -= step;
	}
	return true;
}

static bool route_concerns_us(const struct rtmsg *route, uint32_t table)
{
	/* LINKDOWN says that a TAP lost its process, which is back when we read this. */
	if (route->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD))
		return false;
	if (table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT)
		return false;
	return family_of(route->rtm_family) != 0;
}

/* False when malformed. */
static bool take_route(struct slu_mirror *mirror, const struct nlmsghdr *message)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attributes[ROUTE_ATTRIBUTES];
	struct slu_mirror_route route = {.port = SLU_MIRROR_NO_PORT};
	uint32_t table, ifindex;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)) ||
		!parse_attributes(message, sizeof(*header), attributes, ROUTE_ATTRIBUTES) ||
		!get_u32(attributes[RTA_TABLE], &table) || !get_u32(attributes[RTA_OIF], &ifindex) ||
		!get_u32(attributes[RTA_PRIORITY], &route.metric))
		return false;
	if (!route_concerns_us(header, table ? table : header->rtm_table))
		return true;
	if (!get_ip(attributes[RTA_DST], family_of(header->rtm_family), &route.prefix))
		return false;
	route.prefix.family = family_of(header->rtm_family);
	route.prefix_bits = header->rtm_dst_len;
	if (route.prefix_bits > 8 * ip_bytes(route.prefix.family))
		return false;
	if (header->rtm_type == RTN_UNREACHABLE || header->rtm_type == RTN_BLACKHOLE ||
		header->rtm_type == RTN_PROHIBIT) {
		add_route(mirror, &route);
		return true;
	}
	if (header->rtm_type != RTN_UNICAST)
		return true;
	if (attributes[RTA_MULTIPATH])
		return add_multipath(mirror, &route, attributes[RTA_MULTIPATH]);
	return add_next_hop(mirror, &route, ifindex, attributes[RTA_GATEWAY], attributes[RTA_VIA]);
}

static int compare_neighbour(const void *left, const void *right)
{
	const struct slu_mirror_neighbour *a = left, *b = right;

	if (a->port != b->port)
		return a->port < b->port ? -1 : 1;
	return compare_ip(&a->address, &b->address);
}

/* Index of the first entry that is not below the key. */
static uint32_t lower_bound(const struct slu_mirror *mirror, const struct slu_mirror_neighbour *key)
{
	uint32_t low = 0, high = mirror->neighbour_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_neighbour(&mirror->neighbours[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void remove_neighbour(struct slu_mirror *mirror, uint32_t at)
{
	memmove(&mirror->neighbours[at], &mirror->neighbours[at + 1],
		(mirror->neighbour_count - at - 1) * sizeof(*mirror->neighbours));
	mirror->neighbour_count--;
	mirror->changed = true;
}

static void put_neighbour(struct slu_mirror *mirror, uint32_t at, const struct slu_mirror_neighbour *neighbour)
{
	void *neighbours = mirror->neighbours;

	if (!make_room(mirror, &neighbours, mirror->neighbour_count, &mirror->neighbour_room, sizeof(*neighbour)))
		return;
	mirror->neighbours = neighbours;
	if (at < mirror->neighbour_count)
		memmove(&mirror->neighbours[at + 1], &mirror->neighbours[at],
			(mirror->neighbour_count - at) * sizeof(*mirror->neighbours));
	mirror->neighbours[at] = *neighbour;
	mirror->neighbour_count++;
	mirror->changed = true;
}

static void update_neighbour(struct slu_mirror *mirror, const struct slu_mirror_neighbour *neighbour, bool deleted)
{
	uint32_t at = lower_bound(mirror, neighbour);
	struct slu_mirror_neighbour *old = at < mirror->neighbour_count ? &mirror->neighbours[at] : NULL;
	bool known = old && compare_neighbour(old, neighbour) == 0;

	if (deleted) {
		if (known)
			remove_neighbour(mirror, at);
		return;
	}
	if (!known) {
		put_neighbour(mirror, at, neighbour);
		return;
	}
	/* REACHABLE to STALE and back happens all the time and changes nothing for the data path. */
	if (slu_mirror_neighbour_usable(old) != slu_mirror_neighbour_usable(neighbour) ||
		memcmp(old->mac, neighbour->mac, sizeof(old->mac)) != 0)
		mirror->changed = true;
	*old = *neighbour;
}

static bool take_neighbour(struct slu_mirror *mirror, const struct nlmsghdr *message)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attributes[NEIGHBOUR_ATTRIBUTES];
	struct slu_mirror_neighbour neighbour = {0};
	const struct slu_mirror_link *link;
	bool deleted = message->nlmsg_type == RTM_DELNEIGH;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)) ||
		!parse_attributes(message, sizeof(*header), attributes, NEIGHBOUR_ATTRIBUTES))
		return false;
	link = find_link(mirror, (uint32_t)header->ndm_ifindex);
	if (!link || family_of(header->ndm_family) == 0 || (header->ndm_flags & NTF_PROXY) || !attributes[NDA_DST])
		return true;
	if (!get_ip(attributes[NDA_DST], family_of(header->ndm_family), &neighbour.address))
		return false;
	neighbour.port = link->port;
	neighbour.state = header->ndm_state;
	if (attributes[NDA_LLADDR]) {
		if (mnl_attr_get_payload_len(attributes[NDA_LLADDR]) != sizeof(neighbour.mac))
			return false;
		memcpy(neighbour.mac, mnl_attr_get_payload(attributes[NDA_LLADDR]), sizeof(neighbour.mac));
	} else if (!deleted && (neighbour.state & USABLE_STATES)) {
		return false;
	}
	update_neighbour(mirror, &neighbour, deleted);
	return true;
}

static bool take_link(struct slu_mirror *mirror, const struct nlmsghdr *message)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	struct slu_mirror_link *link;
	bool up;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
		return false;
	link = find_link(mirror, (uint32_t)header->ifi_index);
	if (!link)
		return true;
	up = message->nlmsg_type == RTM_NEWLINK && (header->ifi_flags & IFF_UP);
	if (link->up != up) {
		link->up = up;
		mirror->changed = true;
		mirror->routes_stale = true;
	}
	return true;
}

void slu_mirror_message(struct slu_mirror *mirror, const struct nlmsghdr *message, bool dump)
{
	bool well_formed = true;

	switch (message->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (dump)
			well_formed = take_route(mirror, message);
		else
			mirror->routes_stale = true;
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		well_formed = take_neighbour(mirror, message);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		well_formed = take_link(mirror, message);
		break;
	default:
		break;
	}
	if (!well_formed)
		mirror->malformed++;
}

void slu_mirror_clear_routes(struct slu_mirror *mirror)
{
	mirror->route_count = 0;
	memset(mirror->length_first, 0, sizeof(mirror->length_first));
	mirror->changed = true;
}

void slu_mirror_clear_neighbours(struct slu_mirror *mirror)
{
	mirror->neighbour_count = 0;
	mirror->changed = true;
}

void slu_mirror_settle(struct slu_mirror *mirror)
{
	uint32_t at = 0;

	if (mirror->route_count > 1)
		qsort(mirror->routes, mirror->route_count, sizeof(*mirror->routes), compare_route);
	for (uint32_t family = 0; family < 2; family++) {
		for (uint32_t length = 0; length < 130; length++) {
			/* Behind length 0 nothing follows but the other family. */
			while (length > 0 && at < mirror->route_count &&
				mirror->routes[at].prefix.family == (family ? 6 : 4) &&
				mirror->routes[at].prefix_bits > 128 - length)
				at++;
			mirror->length_first[family][length] = at;
		}
		while (at < mirror->route_count && mirror->routes[at].prefix.family == (family ? 6 : 4))
			at++;
		mirror->length_first[family][129] = at;
	}
	mirror->routes_stale = false;
}

static void mask(struct slu_ip *ip, uint32_t bits)
{
	for (uint32_t byte = 0; byte < sizeof(ip->bytes); byte++) {
		uint32_t keep = bits > 8 * byte ? bits - 8 * byte : 0;

		if (keep < 8)
			ip->bytes[byte] &= (uint8_t)(0xff00 >> keep);
	}
}

/* The first route of exactly this prefix in routes[low, high), which are of one length. */
static const struct slu_mirror_route *find_prefix(
	const struct slu_mirror *mirror, uint32_t low, uint32_t high, const struct slu_ip *prefix)
{
	uint32_t end = high;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (compare_ip(&mirror->routes[middle].prefix, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < end && compare_ip(&mirror->routes[low].prefix, prefix) == 0 ? &mirror->routes[low] : NULL;
}

const struct slu_mirror_route *slu_mirror_find_route(const struct slu_mirror *mirror, const struct slu_ip *address)
{
	const uint32_t *first = mirror->length_first[address->family == 4 ? 0 : 1];
	uint32_t longest = address->family == 4 ? 32 : 128;

	for (uint32_t bits = longest; bits <= longest; bits--) {
		uint32_t low = first[128 - bits], high = first[129 - bits];
		const struct slu_mirror_route *route;
		struct slu_ip prefix = *address;

		if (low == high)
			continue;
		mask(&prefix, bits);
		route = find_prefix(mirror, low, high, &prefix);
		if (route)
			return route;
	}
	return NULL;
}

const struct slu_mirror_neighbour *slu_mirror_find_neighbour(
	const struct slu_mirror *mirror, uint16_t port, const struct slu_ip *address)
{
	struct slu_mirror_neighbour key = {.address = *address, .port = port};
	uint32_t at = lower_bound(mirror, &key);

	if (at < mirror->neighbour_count && compare_neighbour(&mirror->neighbours[at], &key) == 0)
		return &mirror->neighbours[at];
	return NULL;
}

bool slu_mirror_neighbour_usable(const struct slu_mirror_neighbour *neighbour)
{
	return (neighbour->state & USABLE_STATES) != 0;
}
