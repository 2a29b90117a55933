/* Prints how many FULLNAT sessions the agent's own writer puts into a signed datagram: FAMILY RECORDS BYTES, a line
 * each. */
#include <stdio.h>

#include "host/control/generation.h"
#include "host/sync/codec.h"

static void show(uint8_t family)
{
	static uint8_t bytes[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_sync_record record = {.kind = SLU_SYNC_SESSION,
		.family = family,
		.protocol = 6,
		.mode = SLU_MODE_FULLNAT,
		.state = 1,
		.life_s = 1200,
		.client = {198, 18},
		.virtual_ip = {198, 18, 1},
		.local = {198, 18, 2},
		.backend = {198, 18, 3}};
	const struct slu_codec_trailer trailer = {.sender = 1, .algorithm = SLU_SYNC_WIRE_HMAC_SHA256};
	struct slu_codec_writer w;
	unsigned int count = 0;

	slu_codec_begin(&w, bytes, sizeof(bytes), 0);
	while (slu_codec_add(&w, &record, SLU_SYNC_WIRE_REVISION) == 0)
		count++;
	printf("%u %u %u\n", family, count, slu_codec_end(&w, &trailer));
}

int main(void)
{
	show(4);
	show(6);
	return 0;
}
