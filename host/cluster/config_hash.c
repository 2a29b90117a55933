#include "host/cluster/config_hash.h"

#include <stdlib.h>

static uint64_t add_text(uint64_t hash, char *text)
{
	/* FNV-1a; the end of a part counts too. */
	for (const char *at = text; text; at++) {
		hash = (hash ^ (uint8_t)*at) * 0x100000001b3ull;
		if (*at == '\0')
			break;
	}
	free(text);
	return hash;
}

uint64_t slu_config_hash_make(const struct slu_config *config)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (enum slu_config_kind kind = 0; kind < SLU_CONFIG_KINDS; kind++)
		for (uint32_t i = 0; i < slu_config_part_count(config, kind); i++)
			hash = add_text(hash, slu_config_dump_part(config, kind, i));
	return hash;
}
