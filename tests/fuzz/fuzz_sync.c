/*
 * Datagrams of session sync. Input: the reader's group, then the datagram. Whatever
 * is taken must be told again without loss, and no count may leave its bounds.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/sync/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A record that was read is written, read again, and the same. */
static void tell_again(const struct slu_sync_record *record)
{
	static struct slu_codec_datagram again;
	const struct slu_codec_trailer trailer = {.sender = 1, .epoch = 1, .sequence = 1};
	uint8_t datagram[SLU_SYNC_WIRE_DATAGRAM_MAX];
	struct slu_sync_record expected = *record;
	struct slu_codec_writer w;

	slu_codec_begin(&w, datagram, sizeof(datagram), 1);
	assert(slu_codec_add(&w, record, SLU_SYNC_WIRE_REVISION) == 0);
	slu_codec_read(datagram, slu_codec_end(&w, &trailer), 1, &again);
	assert(again.verdict == SLU_CODEC_TAKEN && again.record_count == 1 && again.has_trailer);
	expected.sender = trailer.sender;
	assert(memcmp(&again.records[0], &expected, sizeof(expected)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct slu_codec_datagram in;
	struct slu_codec_trailer trailer;
	uint32_t taken;

	if (bytes < 1 || bytes > UINT16_MAX)
		return 0;
	slu_codec_find_trailer(data + 1, (uint32_t)bytes - 1, &trailer);
	slu_codec_read(data + 1, (uint32_t)bytes - 1, data[0], &in);
	taken = in.verdict == SLU_CODEC_TAKEN ? in.count[SLU_CODEC_TAKEN] : in.record_count;
	assert(in.record_count == taken && in.record_count <= SLU_CODEC_RECORDS_MAX);
	assert(in.text_bytes <= SLU_SYNC_WIRE_TEXT_MAX);
	for (uint32_t i = 0; i < in.record_count; i++)
		tell_again(&in.records[i]);
	return 0;
}
