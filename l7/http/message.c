#include <strings.h>

#include "l7/http/message.h"

bool slu_span_same(struct slu_span a, struct slu_span b)
{
	return a.bytes == b.bytes && strncasecmp(a.at, b.at, a.bytes) == 0;
}

bool slu_span_list_next(struct slu_span *rest, struct slu_span *member)
{
	while (rest->bytes > 0) {
		const char *comma = memchr(rest->at, ',', rest->bytes);
		uint32_t bytes = comma != NULL ? (uint32_t)(comma - rest->at) : rest->bytes;
		struct slu_span found = {rest->at, bytes};

		bytes += comma != NULL;
		rest->at += bytes;
		rest->bytes -= bytes;
		while (found.bytes > 0 && (found.at[0] == ' ' || found.at[0] == '\t'))
			found = (struct slu_span){found.at + 1, found.bytes - 1};
		while (found.bytes > 0 && (found.at[found.bytes - 1] == ' ' || found.at[found.bytes - 1] == '\t'))
			found.bytes--;
		if (found.bytes > 0) {
			*member = found;
			return true;
		}
	}
	return false;
}

/* By length, so that a name is compared with at most a few others. */
static const struct known {
	struct slu_span name;
	enum slu_field_id id;
} known_fields[] = {
	{SLU_SPAN("te"), SLU_FIELD_TE},
	{SLU_SPAN("host"), SLU_FIELD_HOST},
	{SLU_SPAN("cookie"), SLU_FIELD_COOKIE},
	{SLU_SPAN("expect"), SLU_FIELD_EXPECT},
	{SLU_SPAN("trailer"), SLU_FIELD_TRAILER},
	{SLU_SPAN("upgrade"), SLU_FIELD_UPGRADE},
	{SLU_SPAN("x-real-ip"), SLU_FIELD_X_REAL_IP},
	{SLU_SPAN("connection"), SLU_FIELD_CONNECTION},
	{SLU_SPAN("keep-alive"), SLU_FIELD_KEEP_ALIVE},
	{SLU_SPAN("set-cookie"), SLU_FIELD_SET_COOKIE},
	{SLU_SPAN("content-length"), SLU_FIELD_CONTENT_LENGTH},
	{SLU_SPAN("x-forwarded-for"), SLU_FIELD_X_FORWARDED_FOR},
	{SLU_SPAN("proxy-connection"), SLU_FIELD_PROXY_CONNECTION},
	{SLU_SPAN("x-forwarded-port"), SLU_FIELD_X_FORWARDED_PORT},
	{SLU_SPAN("transfer-encoding"), SLU_FIELD_TRANSFER_ENCODING},
	{SLU_SPAN("x-forwarded-proto"), SLU_FIELD_X_FORWARDED_PROTO},
};
#define KNOWN_FIELDS (sizeof(known_fields) / sizeof(known_fields[0]))

/* First row of each length; rows are in order of length. */
#define LONGEST 17
static const uint8_t first_of_length[LONGEST + 2] = {
	0, 0, 0, 1, 1, 2, 2, 4, 6, 6, 7, 10, 10, 10, 10, 11, 12, 14, KNOWN_FIELDS};

enum slu_field_id slu_message_field_id(struct slu_span name)
{
	if (name.bytes > LONGEST)
		return SLU_FIELD_OTHER;
	for (unsigned i = first_of_length[name.bytes]; i < first_of_length[name.bytes + 1]; i++)
		if (slu_span_same(name, known_fields[i].name))
			return known_fields[i].id;
	return SLU_FIELD_OTHER;
}

enum slu_method slu_message_method(struct slu_span name)
{
	static const struct slu_span names[] = {
		[SLU_METHOD_GET] = SLU_SPAN("GET"),
		[SLU_METHOD_HEAD] = SLU_SPAN("HEAD"),
		[SLU_METHOD_POST] = SLU_SPAN("POST"),
		[SLU_METHOD_PUT] = SLU_SPAN("PUT"),
		[SLU_METHOD_DELETE] = SLU_SPAN("DELETE"),
		[SLU_METHOD_OPTIONS] = SLU_SPAN("OPTIONS"),
		[SLU_METHOD_CONNECT] = SLU_SPAN("CONNECT"),
		[SLU_METHOD_TRACE] = SLU_SPAN("TRACE"),
	};

	for (unsigned i = SLU_METHOD_GET; i < sizeof(names) / sizeof(names[0]); i++)
		if (slu_span_equals(name, names[i]))
			return i;
	return SLU_METHOD_OTHER;
}

bool slu_message_add(struct slu_message *message, struct slu_span name, struct slu_span value)
{
	if (message->field_count == SLU_MESSAGE_FIELDS_MAX)
		return false;
	message->fields[message->field_count++] =
		(struct slu_http_field){.name = name, .value = value, .id = slu_message_field_id(name)};
	return true;
}

static const struct {
	uint16_t status;
	const char *name, *text;
} refusals[SLU_REFUSAL_COUNT] = {
	[SLU_REFUSAL_NONE] = {200, "none", ""},
#define SLU_REFUSAL(name, status, text) [SLU_REFUSAL_##name] = {status, #name, text},
#include "l7/http/refusals.h"
#undef SLU_REFUSAL
};

unsigned slu_refusal_status(enum slu_refusal refusal)
{
	return refusals[refusal].status;
}

const char *slu_refusal_name(enum slu_refusal refusal)
{
	return refusals[refusal].name;
}

const char *slu_refusal_text(enum slu_refusal refusal)
{
	return refusals[refusal].text;
}
