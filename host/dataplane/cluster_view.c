#include "host/dataplane/cluster_view.h"

#include <string.h>

static uint64_t mask64(unsigned int bits)
{
	return bits == 0 ? 0 : __builtin_bswap64(bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits));
}

bool slu_cluster_prefix_has(const struct slu_cluster_prefix *prefix, const struct slu_ip *address)
{
	uint64_t network[2], words[2];

	if (prefix->address.family != address->family)
		return false;
	memcpy(network, prefix->address.bytes, sizeof(network));
	memcpy(words, address->bytes, sizeof(words));
	return !(((network[0] ^ words[0]) & mask64(prefix->bits)) |
		 ((network[1] ^ words[1]) & mask64(prefix->bits > 64 ? prefix->bits - 64u : 0)));
}

const struct slu_cluster_prefix *slu_cluster_view_find(
	const struct slu_cluster_view *view, const struct slu_ip *address)
{
	for (uint32_t i = 0; i < view->prefix_count; i++)
		if (slu_cluster_prefix_has(&view->prefix[i], address))
			return &view->prefix[i];
	return NULL;
}
