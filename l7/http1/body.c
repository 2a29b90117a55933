#include <errno.h>

#include "l7/http1/body.h"

#define TRAILERS_MAX_BYTES 8192u

void slu_body_start(struct slu_body_reader *reader, enum slu_body kind, uint64_t length)
{
	*reader = (struct slu_body_reader){.kind = (uint8_t)kind, .left = length};
}

static int next_trailers(struct slu_body_reader *reader, struct slu_buffer *buffer, struct slu_message *trailers,
	enum slu_refusal *refusal)
{
	const char *from = &buffer->bytes[buffer->begin];
	size_t filled = slu_buffer_filled(buffer);
	int size;

	if (filled >= 1 && from[0] == '\r' && reader->scan.line == 0) {
		/* No trailers: the empty line is all. */
		if (filled < 2)
			return -EAGAIN;
		size = from[1] == '\n' ? 2 : -EBADMSG;
	} else {
		size = slu_head_scan(&reader->scan, from, filled, refusal);
	}
	if (size == -EAGAIN && filled <= TRAILERS_MAX_BYTES)
		return -EAGAIN;
	*refusal = SLU_REFUSAL_trailer;
	if (size < 0 || (unsigned)size > TRAILERS_MAX_BYTES)
		return -EBADMSG;
	*refusal = slu_head_trailers(trailers, from, (size_t)size);
	buffer->begin += (uint32_t)size;
	return *refusal == SLU_REFUSAL_NONE ? 1 : -EBADMSG;
}

static int next_chunked(struct slu_body_reader *reader, struct slu_buffer *buffer, struct slu_span *data,
	struct slu_message *trailers, enum slu_refusal *refusal)
{
	size_t count = slu_buffer_filled(buffer);
	int status;

	if (!reader->in_trailers) {
		status = slu_chunked_decode(&reader->chunked, &buffer->bytes[buffer->begin], &count, data, refusal);
		buffer->begin += (uint32_t)count;
		if (status != 1)
			return status;
		reader->in_trailers = true;
	}
	return next_trailers(reader, buffer, trailers, refusal);
}

int slu_body_next(struct slu_body_reader *reader, struct slu_buffer *buffer, struct slu_span *data,
	struct slu_message *trailers, enum slu_refusal *refusal)
{
	size_t filled = slu_buffer_filled(buffer);

	*data = (struct slu_span){&buffer->bytes[buffer->begin], 0};
	trailers->field_count = 0;
	switch (reader->kind) {
	case SLU_BODY_NONE:
		return 1;
	case SLU_BODY_LENGTH:
		if (reader->left == 0)
			return 1;
		data->bytes = (uint32_t)(reader->left < filled ? reader->left : filled);
		reader->left -= data->bytes;
		buffer->begin += data->bytes;
		return -EAGAIN;
	case SLU_BODY_CHUNKED:
		return next_chunked(reader, buffer, data, trailers, refusal);
	default:
		data->bytes = (uint32_t)filled;
		buffer->begin += data->bytes;
		return -EAGAIN;
	}
}
