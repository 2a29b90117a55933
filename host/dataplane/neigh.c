#include "host/dataplane/neigh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct neigh_place {
	struct slu_ip ip; /* family 0: free */
	uint16_t port;
	uint16_t hop;
};

struct route_place {
	struct slu_ip prefix; /* family 0: free */
	uint8_t bits;
	uint16_t port;
	struct slu_ip gateway; /* family 0: on the link */
};

static uint32_t hash_ip(const struct slu_ip *ip, uint32_t salt)
{
	uint64_t w[2], h;

	memcpy(w, ip->bytes, 16);
	h = (w[0] ^ salt) * 0x9E3779B97F4A7C15u;
	h = (h ^ (h >> 29) ^ w[1] ^ ip->family) * 0xBF58476D1CE4E5B9u;
	return (uint32_t)(h >> 32);
}

static bool same_ip(const struct slu_ip *a, const struct slu_ip *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, 16);
}

static uint64_t mask64(unsigned int bits)
{
	return bits == 0 ? 0 : __builtin_bswap64(bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits));
}

static struct slu_ip masked(const struct slu_ip *ip, uint8_t bits)
{
	struct slu_ip out = {.family = ip->family};
	uint64_t w[2];

	memcpy(w, ip->bytes, 16);
	w[0] &= mask64(bits);
	w[1] &= mask64(bits > 64 ? bits - 64u : 0);
	memcpy(out.bytes, w, 16);
	return out;
}

/* IPv4 in the first four bytes, rest zero, whatever the caller left there. */
static bool normalise(const struct slu_ip *in, struct slu_ip *out)
{
	*out = (struct slu_ip){.family = in->family};
	if (in->family != 4 && in->family != 6)
		return false;
	memcpy(out->bytes, in->bytes, in->family == 4 ? 4 : 16);
	return true;
}

static struct neigh_place *neigh_place(const struct slu_neigh_view *v, const struct slu_ip *ip, uint16_t port)
{
	for (uint32_t i = hash_ip(ip, port);; i++) {
		struct neigh_place *p = &v->neighbours[i & v->neighbour_mask];

		if (!p->ip.family || (p->port == port && same_ip(&p->ip, ip)))
			return p;
	}
}

static struct route_place *route_place(const struct slu_neigh_view *v, const struct slu_ip *prefix, uint8_t bits)
{
	for (uint32_t i = hash_ip(prefix, bits);; i++) {
		struct route_place *p = &v->routes[i & v->route_mask];

		if (!p->prefix.family || (p->bits == bits && same_ip(&p->prefix, prefix)))
			return p;
	}
}

static int grow_neighbours(struct slu_neigh_view *v)
{
	struct neigh_place *old = v->neighbours;
	uint32_t old_places = old ? v->neighbour_mask + 1 : 0, places = old ? old_places * 2 : 64;
	struct neigh_place *new = calloc(places, sizeof(*new));

	if (!new)
		return -ENOMEM;
	v->neighbours = new;
	v->neighbour_mask = places - 1;
	for (uint32_t i = 0; i < old_places; i++)
		if (old[i].ip.family)
			*neigh_place(v, &old[i].ip, old[i].port) = old[i];
	free(old);
	return 0;
}

static int grow_routes(struct slu_neigh_view *v)
{
	struct route_place *old = v->routes;
	uint32_t old_places = old ? v->route_mask + 1 : 0, places = old ? old_places * 2 : 64;
	struct route_place *new = calloc(places, sizeof(*new));

	if (!new)
		return -ENOMEM;
	v->routes = new;
	v->route_mask = places - 1;
	for (uint32_t i = 0; i < old_places; i++)
		if (old[i].prefix.family)
			*route_place(v, &old[i].prefix, old[i].bits) = old[i];
	free(old);
	return 0;
}

struct slu_neigh_view *slu_neigh_view_create(void)
{
	struct slu_neigh_view *v = calloc(1, sizeof(*v));

	if (v && !grow_neighbours(v) && !grow_routes(v))
		return v;
	slu_neigh_view_free(v);
	return NULL;
}

void slu_neigh_view_free(struct slu_neigh_view *v)
{
	if (!v)
		return;
	free(v->hops);
	free(v->neighbours);
	free(v->routes);
	free(v);
}

int slu_neigh_view_add_route(struct slu_neigh_view *v, const struct slu_ip *prefix, uint8_t bits, uint16_t port,
	const struct slu_ip *gateway)
{
	struct route_place *place;
	struct slu_ip ip, via = {0};

	if (!normalise(prefix, &ip) || bits > (ip.family == 4 ? 32 : 128) || port >= SLU_PORTS_MAX)
		return -EINVAL;
	if (gateway && !normalise(gateway, &via))
		return -EINVAL;
	if (2 * (v->route_count + 1) > v->route_mask && grow_routes(v))
		return -ENOMEM;
	ip = masked(&ip, bits);
	place = route_place(v, &ip, bits);
	if (!place->prefix.family)
		v->route_count++;
	*place = (struct route_place){.prefix = ip, .bits = bits, .port = port, .gateway = via};
	v->lengths[ip.family == 6][bits / 64] |= (uint64_t)1 << bits % 64;
	return 0;
}

static int new_hop(struct slu_neigh_view *v)
{
	if (v->hop_count == v->hop_room) {
		uint32_t room = v->hop_room ? v->hop_room * 2 : 64;
		struct slu_nexthop *hops;

		if (v->hop_count >= UINT16_MAX - 1)
			return -E2BIG;
		hops = realloc(v->hops, room * sizeof(*hops));
		if (!hops)
			return -ENOMEM;
		v->hops = hops;
		v->hop_room = room;
	}
	return (int)v->hop_count++;
}

int slu_neigh_view_add_neighbour(struct slu_neigh_view *v, const struct slu_ip *address, const struct slu_nexthop *hop)
{
	struct neigh_place *place;
	struct slu_ip ip;

	if (!normalise(address, &ip) || hop->port >= SLU_PORTS_MAX)
		return -EINVAL;
	if (2 * (v->neighbour_count + 1) > v->neighbour_mask && grow_neighbours(v))
		return -ENOMEM;
	place = neigh_place(v, &ip, hop->port);
	if (!place->ip.family) {
		int index = new_hop(v);

		if (index < 0)
			return index;
		v->neighbour_count++;
		*place = (struct neigh_place){.ip = ip, .port = hop->port, .hop = (uint16_t)index};
	}
	v->hops[place->hop] = *hop;
	if (!hop->mtu)
		v->hops[place->hop].mtu = UINT16_MAX; /* one comparison less for every packet */
	return 0;
}

static const struct route_place *longest(const struct slu_neigh_view *v, const struct slu_ip *ip)
{
	const uint64_t *lengths = v->lengths[ip->family == 6];

	for (int word = 2; word >= 0; word--) {
		for (uint64_t left = lengths[word]; left;) {
			unsigned int top = 63 - (unsigned int)__builtin_clzll(left);
			uint8_t bits = (uint8_t)(word * 64 + top);
			struct slu_ip prefix = masked(ip, bits);
			const struct route_place *place = route_place(v, &prefix, bits);

			if (place->prefix.family)
				return place;
			left &= ~((uint64_t)1 << top);
		}
	}
	return NULL;
}

int slu_neigh_resolve(const struct slu_neigh_view *v, const struct slu_ip *destination, const struct slu_nexthop **hop,
	uint16_t *ask_port, struct slu_ip *ask)
{
	const struct route_place *route;
	const struct neigh_place *place;
	struct slu_ip ip;

	if (!normalise(destination, &ip))
		return -EHOSTUNREACH;
	route = longest(v, &ip);
	if (!route)
		return -EHOSTUNREACH;
	if (route->gateway.family)
		ip = route->gateway;
	place = neigh_place(v, &ip, route->port);
	if (place->ip.family) {
		*hop = &v->hops[place->hop];
		return 0;
	}
	*ask_port = route->port;
	*ask = ip;
	return -EAGAIN;
}
