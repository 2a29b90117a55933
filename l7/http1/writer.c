#include <string.h>

#include "l7/http1/writer.h"

/* Appends to room that was reserved for the whole head. */
static char *put(char *to, const void *from, size_t count)
{
	memcpy(to, from, count);
	return to + count;
}

static char *put_span(char *to, struct slu_span span)
{
	return put(to, span.at, span.bytes);
}

#define put_text(to, text) put(to, text, sizeof(text) - 1)

static char *put_number(char *to, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	return put(to, &digits[at], sizeof(digits) - at);
}

static char *put_field(char *to, struct slu_span name, struct slu_span prefix, struct slu_span value)
{
	to = put_span(to, name);
	to = put_text(to, ": ");
	to = put_span(to, prefix);
	if (prefix.bytes > 0)
		to = put_text(to, ", ");
	to = put_span(to, value);
	return put_text(to, "\r\n");
}

static char *put_fields(char *to, const struct slu_message *message)
{
	for (unsigned i = 0; i < message->field_count; i++) {
		const struct slu_http_field *field = &message->fields[i];

		if (!field->hop)
			to = put_field(to, field->name, (struct slu_span){0}, field->value);
	}
	return to;
}

static char *put_added(char *to, const struct slu_exchange *exchange)
{
	for (uint32_t i = 0; i < exchange->added_count; i++) {
		const struct slu_http_added *added = &exchange->added[i];

		to = put_field(to, added->name, added->prefix, added->value);
	}
	return to;
}

static size_t fields_size(const struct slu_message *message)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < message->field_count; i++)
		if (!message->fields[i].hop)
			bytes += message->fields[i].name.bytes + message->fields[i].value.bytes + 4;
	return bytes;
}

static size_t added_size(const struct slu_exchange *exchange)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < exchange->added_count; i++)
		bytes += exchange->added[i].name.bytes + exchange->added[i].prefix.bytes +
			 exchange->added[i].value.bytes + 6;
	return bytes;
}

/* Everything of a head that is neither field nor target: lines of the framing and of the connection. */
#define FIXED_BYTES 256u

void slu_writer_request(struct slu_outbox *box, const struct slu_exchange *exchange)
{
	const struct slu_message *request = &exchange->request;
	size_t bytes = FIXED_BYTES + request->method_name.bytes + exchange->path[0].bytes + exchange->path[1].bytes +
		       request->host.bytes + fields_size(request) + added_size(exchange);
	char *from = slu_outbox_reserve(box, bytes), *to = from;

	to = put_span(to, request->method_name);
	to = put_text(to, " ");
	to = put_span(to, exchange->path[0]);
	to = put_span(to, exchange->path[1]);
	to = put_text(to, " HTTP/1.1\r\n");
	to = put_fields(to, request);
	to = put_added(to, exchange);
	if (request->upgrade)
		to = put_text(to, "Connection: upgrade\r\nUpgrade: websocket\r\n");
	if (request->body == SLU_BODY_CHUNKED) {
		to = put_text(to, "Transfer-Encoding: chunked\r\n");
	} else if (request->body == SLU_BODY_LENGTH || request->method == SLU_METHOD_POST ||
		   request->method == SLU_METHOD_PUT) {
		to = put_text(to, "Content-Length: ");
		to = put_number(to, request->body == SLU_BODY_LENGTH ? request->length : 0);
		to = put_text(to, "\r\n");
	}
	to = put_text(to, "\r\n");
	slu_outbox_commit(box, (size_t)(to - from));
}

void slu_writer_response(
	struct slu_outbox *box, const struct slu_exchange *exchange, enum slu_framing framing, const char *connection)
{
	const struct slu_message *response = &exchange->response;
	size_t bytes = FIXED_BYTES + response->reason.bytes + fields_size(response) + added_size(exchange);
	char *from = slu_outbox_reserve(box, bytes), *to = from;

	to = put_text(to, "HTTP/1.1 ");
	to = put_number(to, response->status);
	to = put_text(to, " ");
	to = put_span(to, response->reason);
	to = put_text(to, "\r\n");
	to = put_fields(to, response);
	to = put_added(to, exchange);
	if (response->upgrade)
		to = put_text(to, "Upgrade: websocket\r\n");
	if (framing == SLU_FRAMING_CHUNKED) {
		to = put_text(to, "Transfer-Encoding: chunked\r\n");
	} else if (framing == SLU_FRAMING_LENGTH) {
		to = put_text(to, "Content-Length: ");
		to = put_number(to, response->length);
		to = put_text(to, "\r\n");
	}
	if (connection != NULL)
		to = put_field(to, SLU_SPAN("Connection"), (struct slu_span){0},
			(struct slu_span){connection, (uint32_t)strlen(connection)});
	to = put_text(to, "\r\n");
	slu_outbox_commit(box, (size_t)(to - from));
}

void slu_writer_body(
	struct slu_outbox *box, enum slu_framing framing, struct slu_buffer *owner, const char *bytes, size_t count)
{
	char size[18];
	size_t at = sizeof(size) - 2;

	if (count == 0)
		return;
	if (framing == SLU_FRAMING_CHUNKED) {
		memcpy(&size[at], "\r\n", 2);
		for (size_t left = count; left > 0; left >>= 4)
			size[--at] = "0123456789abcdef"[left & 15];
		slu_outbox_copy(box, &size[at], sizeof(size) - at);
	}
	slu_outbox_share(box, owner, bytes, count);
	if (framing == SLU_FRAMING_CHUNKED)
		slu_outbox_copy(box, "\r\n", 2);
}

void slu_writer_end(struct slu_outbox *box, enum slu_framing framing, const struct slu_message *trailers)
{
	char *from, *to;

	if (framing != SLU_FRAMING_CHUNKED)
		return;
	if (trailers == NULL || trailers->field_count == 0) {
		slu_outbox_copy(box, "0\r\n\r\n", 5);
		return;
	}
	from = slu_outbox_reserve(box, 5 + fields_size(trailers));
	to = put_text(from, "0\r\n");
	to = put_fields(to, trailers);
	to = put_text(to, "\r\n");
	slu_outbox_commit(box, (size_t)(to - from));
}
