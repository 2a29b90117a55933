/*
 * Options of a SYN, packed with the client's address among them. Input: {how, options}. Whatever comes, what goes out
 * is sound: of whole words, with the address found as the only one of its kind, and packing it again changes nothing.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tcp_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void insist(bool condition)
{
	if (!condition)
		abort();
}

static void check_toa(const struct slu_tcp_options *out, const uint8_t *toa, uint32_t toa_bytes)
{
	const uint8_t *found = slu_tcp_options_find(out->bytes, out->count, SLU_TCP_OPTION_TOA);

	insist(!found == !out->has_toa);
	if (!found)
		return;
	insist(found + toa_bytes <= out->bytes + out->count && !memcmp(found, toa, toa_bytes));
	/* It is the last one. */
	found += toa_bytes;
	insist(!slu_tcp_options_find(found, (uint32_t)(out->bytes + out->count - found), SLU_TCP_OPTION_TOA));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const uint8_t ip[16] = {0xFD, [15] = 1}, port[2] = {0x9C, 0x40};
	struct slu_tcp_options with, without, again;
	uint8_t toa[SLU_TCP_OPTION_TOA_BYTES6], *options;
	uint32_t count = (uint32_t)bytes - 1, toa_bytes;
	bool keep_fastopen;

	if (bytes == 0 || bytes - 1 > SLU_TCP_OPTIONS_MAX)
		return 0;
	keep_fastopen = data[0] & 2;
	/* Of exactly these bytes, so that reading one more is noticed. */
	options = malloc(count ? count : 1);
	memcpy(options, data + 1, count);
	toa_bytes = slu_tcp_options_write_toa(toa, data[0] & 1 ? 6 : 4, ip, port);
	slu_tcp_options_pack(options, count, keep_fastopen, toa, toa_bytes, &with);
	slu_tcp_options_pack(options, count, keep_fastopen, NULL, 0, &without);
	free(options);
	insist(with.count <= SLU_TCP_OPTIONS_MAX && with.count % 4 == 0);
	insist(without.count <= ((count + 3) & ~3u) && without.count % 4 == 0 && !without.has_toa);
	check_toa(&with, toa, toa_bytes);
	insist(!slu_tcp_options_find(without.bytes, without.count, SLU_TCP_OPTION_TOA));
	slu_tcp_options_pack(without.bytes, without.count, keep_fastopen, NULL, 0, &again);
	insist(again.count == without.count && !memcmp(again.bytes, without.bytes, again.count) && !again.stripped);
	return 0;
}
