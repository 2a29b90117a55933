#include "tcp_options.h"

#include <string.h>

/* Bytes of the option at p, of left that follow; 0: the list ends here, or is malformed. */
static uint32_t length_of(const uint8_t *p, uint32_t left)
{
	if (left == 0 || p[0] == SLU_TCP_OPTION_END)
		return 0;
	if (p[0] == SLU_TCP_OPTION_NOP)
		return 1;
	return left < 2 || p[1] < 2 || p[1] > left ? 0 : p[1];
}

/* Copies what may stay. Returns the bytes. */
static uint32_t copy(const uint8_t *options, uint32_t bytes, bool keep_fastopen, struct slu_tcp_options *out)
{
	uint32_t used = 0, length;

	out->stripped = out->fastopen_gone = false;
	for (uint32_t at = 0; (length = length_of(options + at, bytes - at)) != 0; at += length) {
		uint8_t kind = options[at];
		bool is_fastopen = kind == SLU_TCP_OPTION_FASTOPEN && !keep_fastopen;

		out->stripped |= kind == SLU_TCP_OPTION_TOA;
		out->fastopen_gone |= is_fastopen;
		if (kind == SLU_TCP_OPTION_NOP || kind == SLU_TCP_OPTION_TOA || is_fastopen)
			continue;
		memcpy(out->bytes + used, options + at, length);
		used += length;
	}
	return used;
}

void slu_tcp_options_pack(const uint8_t *options, uint32_t bytes, bool keep_fastopen, const uint8_t *toa,
	uint32_t toa_bytes, struct slu_tcp_options *out)
{
	uint32_t used = copy(options, bytes, keep_fastopen, out);

	if (used + toa_bytes > SLU_TCP_OPTIONS_MAX && keep_fastopen &&
		slu_tcp_options_find(options, bytes, SLU_TCP_OPTION_FASTOPEN))
		used = copy(options, bytes, false, out);
	out->has_toa = toa_bytes && used + toa_bytes <= SLU_TCP_OPTIONS_MAX;
	if (out->has_toa) {
		memcpy(out->bytes + used, toa, toa_bytes);
		used += toa_bytes;
	}
	out->count = (uint8_t)((used + 3) & ~3u);
	memset(out->bytes + used, SLU_TCP_OPTION_END, out->count - used);
}

uint32_t slu_tcp_options_write_toa(uint8_t *option, uint8_t family, const void *ip, const void *port)
{
	uint32_t bytes = family == 4 ? SLU_TCP_OPTION_TOA_BYTES4 : SLU_TCP_OPTION_TOA_BYTES6;

	option[0] = SLU_TCP_OPTION_TOA;
	option[1] = (uint8_t)bytes;
	memcpy(option + 2, port, 2);
	memcpy(option + 4, ip, bytes - 4);
	return bytes;
}

const uint8_t *slu_tcp_options_find(const uint8_t *options, uint32_t bytes, uint8_t kind)
{
	uint32_t length;

	for (uint32_t at = 0; (length = length_of(options + at, bytes - at)) != 0; at += length)
		if (options[at] == kind)
			return options + at;
	return NULL;
}
