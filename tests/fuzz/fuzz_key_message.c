/*
 * Messages of the key protocol, as either end reads them. Input: the direction, then the
 * bytes. What is read must lie within the input; what is taken, written again, is taken again with the same fields.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/key_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void walk_certificates(const struct slu_key_message *message, enum slu_key_field field)
{
	struct slu_key_message_list list = {message->fields[field].bytes, message->fields[field].count};
	uint8_t sum = 0;
	const uint8_t *der;
	uint32_t count;

	while (slu_key_message_next_certificate(&list, &der, &count) > 0) {
		assert(count > 0);
		for (uint32_t i = 0; i < count; i++)
			sum ^= der[i];
	}
	assert(sum <= UINT8_MAX);
}

static void write_again(const struct slu_key_message *message, enum slu_key_message_direction direction)
{
	static uint8_t written[SLU_KEY_FRAME_MAX];
	struct slu_key_message_writer w;
	struct slu_key_message again;
	size_t count, used;

	if (direction == SLU_KEY_MESSAGE_REQUEST)
		slu_key_message_request(&w, written, sizeof(written), message->type, message->id);
	else
		slu_key_message_answer(&w, written, sizeof(written), message->type, message->id, message->status);
	for (unsigned int i = 0; i < SLU_KEY_FIELDS; i++)
		if (slu_key_message_has(message, i))
			slu_key_message_add(&w, i, message->fields[i].bytes, message->fields[i].count);
	count = slu_key_message_end(&w);
	assert(count > 0);
	assert(slu_key_message_read(written, count, direction, &again, &used, NULL) == 0 && used == count);
	assert(again.id == message->id && again.type == message->type && again.status == message->status);
	for (unsigned int i = 0; i < SLU_KEY_FIELDS; i++) {
		assert(again.fields[i].count == message->fields[i].count);
		assert(again.fields[i].count == 0 ||
			memcmp(again.fields[i].bytes, message->fields[i].bytes, again.fields[i].count) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	enum slu_key_message_direction direction;
	struct slu_key_message message;
	const char *why = NULL;
	size_t used;
	int result;

	if (bytes < 1)
		return 0;
	direction = data[0] & 1 ? SLU_KEY_MESSAGE_ANSWER : SLU_KEY_MESSAGE_REQUEST;
	for (data++, bytes--;; data += used, bytes -= used) {
		result = slu_key_message_read(data, bytes, direction, &message, &used, &why);
		assert(used <= bytes);
		if (result == -EAGAIN || result == -EPROTO)
			break;
		assert(used >= sizeof(struct slu_key_frame));
		assert(result == 0 || why != NULL);
		if (result != 0)
			continue;
		walk_certificates(&message, SLU_KEY_CERTIFICATES);
		walk_certificates(&message, SLU_KEY_ANCHORS);
		write_again(&message, direction);
	}
	assert(used == 0);
	return 0;
}
