#include "host/dataplane/listener_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/dataplane/dataplane.h"
#include "lib/packet_edit.h"

static uint32_t hash_address(uint32_t vpc, uint8_t family, const uint8_t address[16])
{
	uint64_t w[2], h;

	memcpy(w, address, 16);
	h = (w[0] ^ vpc) * 0x9E3779B97F4A7C15u;
	h = (h ^ (h >> 29) ^ w[1] ^ family) * 0xBF58476D1CE4E5B9u;
	return (uint32_t)(h >> 32);
}

static struct slu_address_entry *place_of(
	const struct slu_listener_index *index, uint32_t vpc, uint8_t family, const uint8_t address[16])
{
	uint32_t i = hash_address(vpc, family, address);

	for (;; i++) {
		struct slu_address_entry *e = &index->places[i & index->mask];

		if (!e->family || (e->family == family && e->vpc == vpc && !memcmp(e->address, address, 16)))
			return e;
	}
}

const struct slu_address_entry *slu_listener_index_address(
	const struct slu_listener_index *index, uint32_t vpc, uint8_t family, const void *address)
{
	const struct slu_address_entry *e;
	uint8_t padded[16] = {0};

	memcpy(padded, address, family == 4 ? 4 : 16);
	e = place_of(index, vpc, family, padded);
	if (e->family)
		return e;
	/* Local addresses are entered once, without a tenant network. */
	if (vpc == 0)
		return NULL;
	e = place_of(index, 0, family, padded);
	return e->family && e->kinds & SLU_ADDRESS_LOCAL ? e : NULL;
}

const struct slu_listener *slu_listener_index_find(
	const struct slu_listener_index *index, const struct slu_address_entry *entry, uint8_t protocol, uint16_t port)
{
	unsigned int which = protocol == SLU_PROTO_UDP;
	uint32_t low = entry->first[which], high = low + entry->count[which];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct slu_listener *l = index->sorted[middle];

		if (port < l->port_first)
			high = middle;
		else if (port > l->port_last)
			low = middle + 1;
		else
			return l;
	}
	return NULL;
}

static int by_key(const void *a, const void *b)
{
	const struct slu_listener *x = *(const struct slu_listener *const *)a,
				  *y = *(const struct slu_listener *const *)b;
	int order;

	if (x->vpc != y->vpc)
		return x->vpc < y->vpc ? -1 : 1;
	if (x->address.family != y->address.family)
		return x->address.family - y->address.family;
	order = memcmp(x->address.bytes, y->address.bytes, 16);
	if (order)
		return order;
	if (x->protocol != y->protocol)
		return x->protocol - y->protocol;
	return x->port_first - y->port_first;
}

static bool same_ports(const struct slu_listener *a, const struct slu_listener *b)
{
	return a->vpc == b->vpc && a->protocol == b->protocol && a->address.family == b->address.family &&
	       !memcmp(a->address.bytes, b->address.bytes, 16);
}

static int enter_listeners(struct slu_listener_index *index, const struct slu_generation *g)
{
	for (uint32_t i = 0; i < g->listener_count; i++)
		index->sorted[i] = &g->listeners[i];
	qsort(index->sorted, g->listener_count, sizeof(*index->sorted), by_key);
	for (uint32_t i = 0; i < g->listener_count; i++) {
		const struct slu_listener *l = index->sorted[i];
		struct slu_address_entry *e = place_of(index, l->vpc, l->address.family, l->address.bytes);
		unsigned int which = l->protocol == SLU_PROTO_UDP;

		if (i && same_ports(index->sorted[i - 1], l) && index->sorted[i - 1]->port_last >= l->port_first)
			return -EINVAL;
		memcpy(e->address, l->address.bytes, 16);
		e->vpc = l->vpc;
		e->family = l->address.family;
		e->kinds |= SLU_ADDRESS_VIP;
		if (!e->count[which]++)
			e->first[which] = i;
		index->has_nat |= l->mode == SLU_MODE_NAT;
	}
	return 0;
}

static void enter_locals(struct slu_listener_index *index, const struct slu_generation *g)
{
	for (uint32_t i = 0; i < g->local_count; i++) {
		const struct slu_ip *ip = &g->locals[i];
		struct slu_address_entry *e = place_of(index, 0, ip->family, ip->bytes);
		unsigned int family = ip->family == 6;

		memcpy(e->address, ip->bytes, 16);
		e->family = ip->family;
		e->kinds |= SLU_ADDRESS_LOCAL;
		index->locals[family][index->local_count[family]++] = *ip;
	}
}

static void enter_public(struct slu_listener_index *index, const struct slu_outbound *outbound, const struct slu_ip *ip)
{
	struct slu_address_entry *e = place_of(index, outbound->service.vpc, ip->family, ip->bytes);

	memcpy(e->address, ip->bytes, 16);
	e->vpc = outbound->service.vpc;
	e->family = ip->family;
	e->kinds |= SLU_ADDRESS_PUBLIC;
	e->outbound = outbound;
}

/* An EIP's one private address is a prefix of its full length. */
static uint32_t list_inside(const struct slu_generation *g, struct slu_prefix_entry *entries)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < g->outbound_count; i++) {
		const struct slu_outbound *o = &g->outbound[i];
		uint8_t bits = o->private_ip.family == 4 ? 32 : 128;

		if (o->service.mode == SLU_MODE_EIP)
			entries[count++] = (struct slu_prefix_entry){o->service.vpc, {o->private_ip, bits}, o};
		for (uint32_t s = 0; s < o->source_count; s++)
			entries[count++] = (struct slu_prefix_entry){o->service.vpc, o->sources[s], o};
	}
	return count;
}

static int enter_outbound(struct slu_listener_index *index, const struct slu_generation *g)
{
	struct slu_prefix_entry *inside;
	uint32_t room = 0;
	int result;

	for (uint32_t i = 0; i < g->outbound_count; i++) {
		const struct slu_outbound *o = &g->outbound[i];

		room += o->source_count + 1;
		for (unsigned int family = 0; family < 2; family++)
			for (uint32_t a = 0; a < o->address_count[family]; a++)
				enter_public(index, o, &o->addresses[family][a]);
	}
	inside = calloc(room + 1, sizeof(*inside));
	if (!inside)
		return -ENOMEM;
	result = slu_prefix_set_build(&index->inside, inside, list_inside(g, inside));
	free(inside);
	return result;
}

static int enter_internal(struct slu_listener_index *index, const struct slu_generation *g)
{
	struct slu_prefix_entry *internal = calloc(g->internal_count + 1, sizeof(*internal));
	int result;

	if (!internal)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->internal_count; i++)
		internal[i] = (struct slu_prefix_entry){0, g->internal[i], g};
	result = slu_prefix_set_build(&index->internal, internal, g->internal_count);
	free(internal);
	return result;
}

static uint32_t count_addresses(const struct slu_generation *g)
{
	uint32_t count = g->listener_count + g->local_count + g->outbound_count;

	for (uint32_t i = 0; i < g->outbound_count; i++)
		count += g->outbound[i].address_count[0] + g->outbound[i].address_count[1];
	return count;
}

int slu_listener_index_build(struct slu_generation *g)
{
	uint32_t places = 16;
	struct slu_listener_index *index;
	int result = -ENOMEM;

	if (g->live_limit > UINT16_MAX || g->listener_live_limit > UINT16_MAX)
		return -E2BIG;
	while (places < 2 * count_addresses(g))
		places *= 2;
	index = calloc(1, sizeof(*index));
	if (!index)
		return -ENOMEM;
	index->mask = places - 1;
	index->places = calloc(places, sizeof(*index->places));
	index->sorted = calloc(g->listener_count + 1, sizeof(*index->sorted));
	index->locals[0] = calloc(g->local_count + 1, sizeof(struct slu_ip));
	index->locals[1] = calloc(g->local_count + 1, sizeof(struct slu_ip));
	if (index->places && index->sorted && index->locals[0] && index->locals[1])
		result = enter_listeners(index, g);
	if (!result)
		result = enter_outbound(index, g);
	if (!result)
		result = enter_internal(index, g);
	if (result) {
		slu_listener_index_free(index);
		return result;
	}
	enter_locals(index, g);
	g->index = index;
	return 0;
}

void slu_listener_index_free(void *p)
{
	struct slu_listener_index *index = p;

	if (!index)
		return;
	free(index->places);
	free(index->sorted);
	free(index->locals[0]);
	free(index->locals[1]);
	slu_prefix_set_free(&index->inside);
	slu_prefix_set_free(&index->internal);
	free(index);
}
