#include "host/dataplane/cluster_view.h"

#include <string.h>

static uint64_t mask64(unsigned int bits)
{
	return bits == 0 ? 0 : __builtin_bswap64(bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits));
}

static bool is_in(const struct slu_cluster_prefix *prefix, uint8_t family, const uint64_t address[2])
{
	uint64_t network[2];

	if (prefix->address.family != family)
		return false;
	memcpy(network, prefix->address.bytes, sizeof(network));
	return !(((network[0] ^ address[0]) & mask64(prefix->bits)) |
		 ((network[1] ^ address[1]) & mask64(prefix->bits > 64 ? prefix->bits - 64u : 0)));
}

const struct slu_cluster_prefix *slu_cluster_view_find(
	const struct slu_cluster_view *view, const struct slu_ip *address)
{
	uint64_t words[2];

	memcpy(words, address->bytes, sizeof(words));
	for (uint32_t i = 0; i < view->prefix_count; i++)
		if (is_in(&view->prefix[i], address->family, words))
			return &view->prefix[i];
	return NULL;
}
