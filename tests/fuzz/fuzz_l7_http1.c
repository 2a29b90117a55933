/*
 * Any bytes as an HTTP/1 message: read at once and byte by byte they are
 * understood the same, and what is accepted keeps to what its fields say.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l7/http1/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What reading came to: how many bytes the message took and how much body it had, or the refusal. */
struct outcome {
	size_t used, body;
	enum slu_refusal refusal;
	int status; /* -EAGAIN: not whole */
};

static void read_body(struct slu_buffer *buffer, const struct slu_message *message, struct slu_body_reader *reader,
	struct outcome *outcome)
{
	struct slu_message trailers;
	struct slu_span span;

	(void)message;
	do {
		outcome->status = slu_body_next(reader, buffer, &span, &trailers, &outcome->refusal);
		assert(buffer->begin <= buffer->end);
		outcome->body += span.bytes;
	} while (outcome->status == -EAGAIN && span.bytes > 0);
	outcome->used = buffer->begin;
}

static struct outcome read_all(const uint8_t *data, size_t bytes, size_t step, struct slu_message *message)
{
	struct slu_buffer *buffer = slu_buffer_get(SLU_BUFFER_LARGE_BYTES);
	struct outcome outcome = {.status = -EAGAIN};
	struct slu_body_reader reader;
	struct slu_head_scan scan = {0};
	bool head = false;

	for (size_t at = 0; at < bytes && outcome.status == -EAGAIN; at += step) {
		size_t count = bytes - at < step ? bytes - at : step;

		memcpy(&buffer->bytes[buffer->end], &data[at], count);
		buffer->end += (uint32_t)count;
		if (!head) {
			int size = slu_head_scan(&scan, buffer->bytes, buffer->end, &outcome.refusal);

			outcome.status = size < 0 ? size : -EAGAIN;
			if (size < 0)
				continue;
			outcome.refusal = slu_head_request(message, buffer->bytes, (size_t)size, 8192);
			outcome.status = outcome.refusal == SLU_REFUSAL_NONE ? -EAGAIN : -EBADMSG;
			buffer->begin = (uint32_t)size;
			slu_body_start(&reader, message->body, message->length);
			head = true;
		}
		if (head && outcome.status == -EAGAIN)
			read_body(buffer, message, &reader, &outcome);
	}
	slu_buffer_drop(buffer);
	return outcome;
}

static void check_fields(const struct slu_message *message)
{
	unsigned lengths = 0, encodings = 0;

	for (unsigned i = 0; i < message->field_count; i++) {
		const struct slu_http_field *field = &message->fields[i];

		lengths += field->id == SLU_FIELD_CONTENT_LENGTH;
		encodings += field->id == SLU_FIELD_TRANSFER_ENCODING;
		assert(field->name.bytes > 0);
		(void)field;
	}
	assert(lengths + encodings <= 1);
	assert((message->body == SLU_BODY_CHUNKED) == (encodings == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct slu_message message, request;
	struct outcome whole, single;
	enum slu_refusal refusal;
	struct slu_head_scan scan = {0};
	int size;

	if (bytes > 16384)
		return 0;
	single = read_all(data, bytes, 1, &message);
	whole = read_all(data, bytes, 16384, &message);
	assert(whole.status == single.status);
	assert(whole.status != -EBADMSG || whole.refusal == single.refusal);
	assert(whole.status != 1 || (whole.used == single.used && whole.body == single.body));
	if (whole.status == 1)
		check_fields(&message);
	request.method = SLU_METHOD_GET;
	size = slu_head_scan(&scan, (const char *)data, bytes, &refusal);
	if (size > 0 && slu_head_response(&message, (const char *)data, (size_t)size, &request) == SLU_REFUSAL_NONE)
		assert(message.status >= 100 && message.status <= 999);
	return 0;
}
