#include "host/cluster/routes.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "host/control/ip.h"
#include "host/log.h"
#include "host/ports/netlink.h"

/*
 * Marks the agent's routes (rtm_protocol), so that others in the table, an operator's own, are left alone. The kernel
 * and BIRD give this number no meaning: BIRD learns it as an alien's.
 */
#define ROUTE_PROTOCOL 0x53

struct route {
	struct slu_ip prefix; /* bits behind the prefix are zero */
	uint8_t bits;
	uint32_t metric; /* enum slu_route_kind, or whatever an earlier version wrote */
};

struct route_list {
	struct route *items;
	uint32_t count, room;
};

struct slu_routes {
	uint32_t table;
	struct slu_netlink netlink;
	struct route_list present, wanted; /* while the table is set */
	bool no_memory;
	struct slu_routes_state state;
};

static int compare(const void *left, const void *right)
{
	const struct route *a = left, *b = right;
	int order = slu_ip_compare(&a->prefix, &b->prefix);

	if (order)
		return order;
	if (a->bits != b->bits)
		return a->bits < b->bits ? -1 : 1;
	return a->metric < b->metric ? -1 : a->metric > b->metric;
}

static bool add(struct route_list *list, const struct route *route)
{
	if (list->count == list->room) {
		uint32_t room = list->room ? list->room * 2 : 64;
		struct route *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			return false;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = *route;
	return true;
}

static void sort(struct route_list *list)
{
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), compare);
}

static uint8_t family_bits(const struct slu_ip *ip)
{
	return ip->family == 4 ? 32 : 128;
}

/* ------------------------------------------------------- what is there */

static int each_attribute(const struct nlattr *attribute, void *data)
{
	const struct nlattr **attributes = data;

	if (mnl_attr_get_type(attribute) <= RTA_MAX)
		attributes[mnl_attr_get_type(attribute)] = attribute;
	return MNL_CB_OK;
}

static uint32_t u32_of(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t) ? mnl_attr_get_u32(attribute) : 0;
}

static void each_route(void *context, const struct nlmsghdr *message)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attributes[RTA_MAX + 1] = {0};
	struct slu_routes *routes = context;
	struct route route = {0};
	uint32_t bytes;

	if (message->nlmsg_type != RTM_NEWROUTE ||
		mnl_attr_parse(message, sizeof(*header), each_attribute, attributes) < 0)
		return;
	if (header->rtm_protocol != ROUTE_PROTOCOL || u32_of(attributes[RTA_TABLE]) != routes->table ||
		(header->rtm_family != AF_INET && header->rtm_family != AF_INET6))
		return;
	route.prefix.family = header->rtm_family == AF_INET ? 4 : 6;
	route.bits = header->rtm_dst_len;
	route.metric = u32_of(attributes[RTA_PRIORITY]);
	bytes = family_bits(&route.prefix) / 8;
	if (attributes[RTA_DST] && mnl_attr_get_payload_len(attributes[RTA_DST]) == bytes)
		memcpy(route.prefix.bytes, mnl_attr_get_payload(attributes[RTA_DST]), bytes);
	if (!add(&routes->present, &route))
		routes->no_memory = true;
}

static void restart(void *context)
{
	((struct slu_routes *)context)->present.count = 0;
}

static int read_table(struct slu_routes *routes)
{
	int error;

	routes->present.count = 0;
	routes->no_memory = false;
	error = slu_netlink_dump_table(&routes->netlink, routes->table, each_route, restart, routes);
	if (!error && routes->no_memory)
		error = -ENOMEM;
	sort(&routes->present);
	return error;
}

/* ------------------------------------------------------- what should be */

static bool want(struct slu_routes *routes, const struct slu_ip *ip, uint8_t bits, enum slu_route_kind kind)
{
	/* The kernel refuses a prefix with host bits. */
	const struct route route = {.prefix = slu_ip_network(ip, bits), .bits = bits, .metric = kind};

	return add(&routes->wanted, &route);
}

/* Of routes that differ in their metric alone the best stays: BIRD would see only one of them. */
static void drop_worse(struct route_list *list)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < list->count; i++) {
		const struct route *route = &list->items[i];

		if (kept && route->bits == list->items[kept - 1].bits &&
			slu_ip_compare(&route->prefix, &list->items[kept - 1].prefix) == 0)
			continue;
		list->items[kept++] = *route;
	}
	list->count = kept;
}

static int collect(struct slu_routes *routes, const struct slu_routes_wanted *wanted)
{
	static const struct slu_ip everywhere[2] = {{.family = 4}, {.family = 6}};
	bool ok = true;

	routes->wanted.count = 0;
	if (!wanted->announce)
		return 0;
	for (uint32_t i = 0; i < wanted->vip_count && ok; i++)
		ok = want(routes, &wanted->vips[i], family_bits(&wanted->vips[i]), SLU_ROUTE_VIP);
	for (uint32_t i = 0; i < wanted->own_count && ok; i++)
		ok = want(routes, &wanted->own[i].ip, wanted->own[i].bits, SLU_ROUTE_OWN);
	for (uint32_t i = 0; i < wanted->backup_count && ok; i++)
		ok = want(routes, &wanted->backup[i].ip, wanted->backup[i].bits, SLU_ROUTE_BACKUP);
	for (uint32_t i = 0; i < 2 && ok; i++)
		ok = !wanted->gateway[i] || want(routes, &everywhere[i], 0, SLU_ROUTE_GATEWAY);
	if (!ok)
		return -ENOMEM;
	sort(&routes->wanted);
	drop_worse(&routes->wanted);
	return 0;
}

/* ---------------------------------------------------------- the change */

static int change(struct slu_routes *routes, uint16_t type, const struct route *route)
{
	uint8_t buffer[256] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct rtmsg *header;
	char text[SLU_IP_TEXT_BYTES];
	int error;

	message->nlmsg_type = type;
	message->nlmsg_flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->rtm_family = route->prefix.family == 4 ? AF_INET : AF_INET6;
	header->rtm_dst_len = route->bits;
	header->rtm_protocol = ROUTE_PROTOCOL;
	header->rtm_type = RTN_BLACKHOLE;
	header->rtm_table = routes->table < 256 ? (uint8_t)routes->table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(message, RTA_TABLE, routes->table);
	mnl_attr_put(message, RTA_DST, family_bits(&route->prefix) / 8, route->prefix.bytes);
	mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
	error = slu_netlink_request(&routes->netlink, message);
	if (!error) {
		routes->state.added += type == RTM_NEWROUTE;
		routes->state.removed += type == RTM_DELROUTE;
		return 0;
	}
	routes->state.errors++;
	slu_error("route to announce %s/%u in table %u: %s", slu_ip_format(&route->prefix, text), route->bits,
		routes->table, strerror(-error));
	return error;
}

/* Changes every route of `list` that `other` does not have. Both are sorted. Returns 0 or the first -errno. */
static int change_missing(
	struct slu_routes *routes, uint16_t type, const struct route_list *list, const struct route_list *other)
{
	int first = 0;

	for (uint32_t i = 0; i < list->count; i++) {
		int error;

		if (other->count && bsearch(&list->items[i], other->items, other->count, sizeof(struct route), compare))
			continue;
		error = change(routes, type, &list->items[i]);
		if (error && !first)
			first = error;
	}
	return first;
}

static void count_present(struct slu_routes *routes, bool announce)
{
	struct slu_routes_state *state = &routes->state;

	state->announces = announce;
	state->vips = state->own = state->backup = state->gateways = 0;
	for (uint32_t i = 0; i < routes->present.count; i++) {
		uint32_t metric = routes->present.items[i].metric;

		state->vips += metric == SLU_ROUTE_VIP;
		state->own += metric == SLU_ROUTE_OWN;
		state->backup += metric == SLU_ROUTE_BACKUP;
		state->gateways += metric == SLU_ROUTE_GATEWAY;
	}
}

int slu_routes_set(struct slu_routes *routes, const struct slu_routes_wanted *wanted)
{
	int error, removal;

	if (routes->table == 0)
		return 0;
	error = collect(routes, wanted);
	if (!error)
		error = read_table(routes);
	if (error) {
		routes->state.errors++;
		return error;
	}
	error = change_missing(routes, RTM_NEWROUTE, &routes->wanted, &routes->present);
	removal = change_missing(routes, RTM_DELROUTE, &routes->present, &routes->wanted);
	if (!error)
		error = removal;
	removal = read_table(routes);
	count_present(routes, wanted->announce);
	return error ? error : removal;
}

/* ------------------------------------------------------ begin and end */

int slu_routes_create(const struct slu_routes_settings *settings, struct slu_routes **routes)
{
	struct slu_routes *created = calloc(1, sizeof(*created));
	int error;

	if (!created)
		return -ENOMEM;
	created->table = settings->table;
	error = created->table ? slu_netlink_open_requests(&created->netlink) : 0;
	if (!error)
		error = slu_routes_set(created, &(struct slu_routes_wanted){.announce = false});
	if (error) {
		slu_routes_destroy(created);
		return error;
	}
	*routes = created;
	return 0;
}

void slu_routes_destroy(struct slu_routes *routes)
{
	if (!routes)
		return;
	if (routes->netlink.requests)
		slu_routes_set(routes, &(struct slu_routes_wanted){.announce = false});
	slu_netlink_close(&routes->netlink);
	free(routes->present.items);
	free(routes->wanted.items);
	free(routes);
}

void slu_routes_state(const struct slu_routes *routes, struct slu_routes_state *state)
{
	*state = routes->state;
}
