#include <errno.h>

#include "l7/http1/head.h"

#define TOKEN 0x1
#define TARGET 0x2 /* visible ASCII without '#': a fragment is never sent */
#define VALUE 0x4  /* visible, blank, obs-text (RFC 9110, section 5.5) */
#define HOST 0x8

/* clang-format off */
static const uint8_t classes[256] = {
	['\t'] = VALUE, [' '] = VALUE,
	['!'] = 7, ['"'] = 6, ['#'] = 5, ['$'] = 7, ['%'] = 7, ['&'] = 7, ['\''] = 7, ['('] = 6, [')'] = 6, ['*'] = 7,
	['+'] = 7, [','] = 6, ['-'] = 15, ['.'] = 15, ['/'] = 6, ['0' ... '9'] = 15, [':'] = 6, [';'] = 6, ['<'] = 6,
	['='] = 6, ['>'] = 6, ['?'] = 6, ['@'] = 6, ['A' ... 'Z'] = 15, ['['] = 6, ['\\'] = 6, [']'] = 6, ['^'] = 7,
	['_'] = 15, ['`'] = 7, ['a' ... 'z'] = 15, ['{'] = 6, ['|'] = 7, ['}'] = 6, ['~'] = 7,
	[0x80 ... 0xff] = VALUE,
};
/* clang-format on */

static uint32_t run_of(const char *at, const char *end, uint8_t class)
{
	const char *from = at;

	while (at < end && (classes[(uint8_t)*at] & class))
		at++;
	return (uint32_t)(at - from);
}

int slu_head_scan(struct slu_head_scan *scan, const char *bytes, size_t count, enum slu_refusal *refusal)
{
	/* What does not begin like a method or a status line is no HTTP (TLS, for one): do not wait for its lines. */
	if (count > 0 && !(classes[(uint8_t)bytes[0]] & TOKEN)) {
		*refusal = bytes[0] == '\r'   ? SLU_REFUSAL_bare_cr
			   : bytes[0] == '\n' ? SLU_REFUSAL_bare_lf
					      : SLU_REFUSAL_method;
		return -EBADMSG;
	}
	while (scan->line < count) {
		const char *line = &bytes[scan->line];
		const char *lf = memchr(line, '\n', count - scan->line);

		if (lf == NULL)
			return -EAGAIN;
		if (lf == line || lf[-1] != '\r') {
			*refusal = SLU_REFUSAL_bare_lf;
			return -EBADMSG;
		}
		scan->line = (uint32_t)(lf + 1 - bytes);
		if (lf == line + 1)
			return (int)scan->line;
	}
	return -EAGAIN;
}

/* What stands where a field value may not go on. */
static enum slu_refusal bad_byte(char byte)
{
	return byte == '\r' ? SLU_REFUSAL_bare_cr : SLU_REFUSAL_control_byte;
}

/* One field line without its CRLF. */
static enum slu_refusal field_line(struct slu_message *message, const char *line, const char *end)
{
	uint32_t name = run_of(line, end, TOKEN);
	const char *value = line + name + 1;
	struct slu_http_field *field;
	uint32_t bytes;

	if (line < end && (line[0] == ' ' || line[0] == '\t'))
		return SLU_REFUSAL_field_fold;
	if (name == 0 || line + name == end || line[name] != ':')
		return SLU_REFUSAL_field_name;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	bytes = run_of(value, end, VALUE);
	if (value + bytes != end)
		return bad_byte(value[bytes]);
	while (bytes > 0 && (value[bytes - 1] == ' ' || value[bytes - 1] == '\t'))
		bytes--;
	if (message->field_count == SLU_MESSAGE_FIELDS_MAX)
		return SLU_REFUSAL_fields_many;
	field = &message->fields[message->field_count++];
	field->name = (struct slu_span){line, name};
	field->value = (struct slu_span){value, bytes};
	field->hop = false;
	field->id = (uint8_t)slu_message_field_id(field->name);
	return SLU_REFUSAL_NONE;
}

/* The field lines up to the empty line, which is there. */
static enum slu_refusal field_lines(struct slu_message *message, const char *at, const char *end)
{
	while (at + 2 < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		enum slu_refusal refusal;

		if (lf == NULL || lf == at || lf[-1] != '\r')
			return SLU_REFUSAL_bare_lf;
		refusal = field_line(message, at, lf - 1);
		if (refusal != SLU_REFUSAL_NONE)
			return refusal;
		at = lf + 1;
	}
	return SLU_REFUSAL_NONE;
}

/*
 * uri-host [":" port] (RFC 9110, section 7.2) of letters, digits and "-._", or an IP literal in brackets. Percent
 * encoding and the rest of sub-delims are within RFC 3986 and in no name that resolves: servers differ in reading them.
 */
static bool host_is_valid(struct slu_span host)
{
	const char *at = host.at, *end = host.at + host.bytes;
	unsigned port = 0;

	if (host.bytes > 0 && *at == '[') {
		const char *close = memchr(at, ']', host.bytes);

		if (close == NULL || close < at + 3)
			return false;
		for (at++; at < close; at++)
			if (strchr("0123456789abcdefABCDEF:.", *at) == NULL || *at == '\0')
				return false;
		at++;
	} else {
		uint32_t name = run_of(at, end, HOST);

		if (name == 0 || name > 255)
			return false;
		at += name;
	}
	if (at == end)
		return true;
	if (*at != ':' || at + 1 == end || end - at > 6)
		return false;
	for (at++; at < end; at++) {
		if (*at < '0' || *at > '9')
			return false;
		port = 10 * port + (unsigned)(*at - '0');
	}
	return port > 0 && port <= 65535;
}

static bool length_read(struct slu_span text, uint64_t *length)
{
	uint64_t value = 0;

	if (text.bytes == 0 || text.bytes > 18) /* below 10^18 it cannot overflow */
		return false;
	for (uint32_t i = 0; i < text.bytes; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		value = 10 * value + (uint64_t)(text.at[i] - '0');
	}
	*length = value;
	return true;
}

/* What the fields of a head say together. */
struct facts {
	const struct slu_http_field *host, *length, *encoding, *upgrade, *expect;
	bool length_twice, encoding_twice, host_twice, upgrade_twice, expect_twice;
	bool close, keep_alive, upgrade_named;
};

static void note(const struct slu_http_field **place, bool *twice, const struct slu_http_field *field)
{
	*twice = *place != NULL;
	*place = field;
}

/* Fields that Connection must not take away from who is behind the proxy. */
static bool end_to_end(struct slu_span name)
{
	switch (slu_message_field_id(name)) {
	case SLU_FIELD_CONTENT_LENGTH:
	case SLU_FIELD_TRANSFER_ENCODING:
	case SLU_FIELD_COOKIE:
	case SLU_FIELD_SET_COOKIE:
	case SLU_FIELD_EXPECT:
	case SLU_FIELD_HOST:
	case SLU_FIELD_X_FORWARDED_FOR:
	case SLU_FIELD_X_FORWARDED_PORT:
	case SLU_FIELD_X_FORWARDED_PROTO:
	case SLU_FIELD_X_REAL_IP:
		return true;
	default:
		return slu_span_same(name, SLU_SPAN("authorization")) || slu_span_same(name, SLU_SPAN("forwarded")) ||
		       slu_span_same(name, SLU_SPAN("cache-control")) || slu_span_same(name, SLU_SPAN("content-type"));
	}
}

/* Members of Connection (RFC 9110, section 7.6.1): options, and names of fields for this hop. */
static enum slu_refusal connection_options(struct slu_message *message, struct slu_span list, struct facts *facts)
{
	struct slu_span option;

	while (slu_span_list_next(&list, &option)) {
		if (run_of(option.at, option.at + option.bytes, TOKEN) != option.bytes)
			return SLU_REFUSAL_connection;
		if (slu_span_same(option, SLU_SPAN("close")))
			facts->close = true;
		else if (slu_span_same(option, SLU_SPAN("keep-alive")))
			facts->keep_alive = true;
		else if (slu_span_same(option, SLU_SPAN("upgrade")))
			facts->upgrade_named = true;
		else if (end_to_end(option))
			return SLU_REFUSAL_connection;
		else
			for (unsigned i = 0; i < message->field_count; i++)
				if (slu_span_same(message->fields[i].name, option))
					message->fields[i].hop = true;
	}
	return SLU_REFUSAL_NONE;
}

/* "Content_Length" and its like become the real thing's name in a server that maps both to one variable. */
static bool is_alias(struct slu_span name)
{
	char dashed[20];

	if (name.bytes >= sizeof(dashed) || memchr(name.at, '_', name.bytes) == NULL)
		return false;
	for (uint32_t i = 0; i < name.bytes; i++)
		dashed[i] = name.at[i] == '_' ? '-' : name.at[i];
	return slu_message_field_id((struct slu_span){dashed, name.bytes}) != SLU_FIELD_OTHER;
}

static enum slu_refusal gather(struct slu_message *message, struct facts *facts)
{
	*facts = (struct facts){0};
	for (unsigned i = 0; i < message->field_count; i++) {
		struct slu_http_field *field = &message->fields[i];
		enum slu_refusal refusal;

		switch (field->id) {
		case SLU_FIELD_OTHER:
			if (is_alias(field->name))
				return SLU_REFUSAL_field_alias;
			break;
		case SLU_FIELD_HOST:
			note(&facts->host, &facts->host_twice, field);
			break;
		case SLU_FIELD_CONTENT_LENGTH:
			note(&facts->length, &facts->length_twice, field);
			field->hop = true; /* framing is made anew */
			break;
		case SLU_FIELD_TRANSFER_ENCODING:
			note(&facts->encoding, &facts->encoding_twice, field);
			field->hop = true;
			break;
		case SLU_FIELD_CONNECTION:
			refusal = connection_options(message, field->value, facts);
			if (refusal != SLU_REFUSAL_NONE)
				return refusal;
			field->hop = true;
			break;
		case SLU_FIELD_UPGRADE:
			note(&facts->upgrade, &facts->upgrade_twice, field);
			field->hop = true;
			break;
		case SLU_FIELD_EXPECT:
			note(&facts->expect, &facts->expect_twice, field);
			break;
		case SLU_FIELD_KEEP_ALIVE:
		case SLU_FIELD_PROXY_CONNECTION:
		case SLU_FIELD_TE:
			field->hop = true;
			break;
		default:
			break;
		}
	}
	return SLU_REFUSAL_NONE;
}

/* Content-Length and Transfer-Encoding (RFC 9112, section 6.3); no_body when the message cannot have one. */
static enum slu_refusal framing(struct slu_message *message, const struct facts *facts, bool no_body)
{
	if (facts->length != NULL && facts->encoding != NULL)
		return SLU_REFUSAL_length_and_encoding;
	if (facts->encoding != NULL) {
		if (message->minor == 0)
			return SLU_REFUSAL_encoding_in_1_0;
		if (facts->encoding_twice || !slu_span_same(facts->encoding->value, SLU_SPAN("chunked")))
			return SLU_REFUSAL_encoding;
		message->body = SLU_BODY_CHUNKED;
		return SLU_REFUSAL_NONE;
	}
	if (facts->length == NULL)
		return SLU_REFUSAL_NONE;
	/* Two equal ones are allowed to be merged (RFC 9112, section 6.3): refused, since nobody sends them in good
	 * faith. */
	if (facts->length_twice)
		return SLU_REFUSAL_length_twice;
	if (!length_read(facts->length->value, &message->length))
		return SLU_REFUSAL_length;
	message->body = message->length == 0 && !no_body ? SLU_BODY_NONE : SLU_BODY_LENGTH;
	return SLU_REFUSAL_NONE;
}

/* METHOD SP TARGET SP HTTP/1.x */
static enum slu_refusal request_line(
	struct slu_message *message, struct slu_span *target, const char *line, const char *end, uint32_t target_max)
{
	uint32_t bytes = run_of(line, end, TOKEN);

	if (bytes == 0)
		return SLU_REFUSAL_method;
	if (line + bytes == end || line[bytes] != ' ')
		return line + bytes < end && (uint8_t)line[bytes] < 0x20 ? bad_byte(line[bytes])
									 : SLU_REFUSAL_request_line;
	message->method_name = (struct slu_span){line, bytes};
	message->method = (uint8_t)slu_message_method(message->method_name);
	line += bytes + 1;
	bytes = run_of(line, end, TARGET);
	if (bytes == 0)
		return SLU_REFUSAL_target;
	if (line + bytes == end)
		return SLU_REFUSAL_request_line; /* HTTP/0.9 */
	if (line[bytes] != ' ')
		return (uint8_t)line[bytes] < 0x20 ? bad_byte(line[bytes]) : SLU_REFUSAL_target;
	if (bytes > target_max)
		return SLU_REFUSAL_target_long;
	*target = (struct slu_span){line, bytes};
	line += bytes + 1;
	if (end - line != 8 || memcmp(line, "HTTP/", 5) != 0 || line[5] < '0' || line[5] > '9' || line[6] != '.' ||
		line[7] < '0' || line[7] > '9')
		return SLU_REFUSAL_request_line;
	if (line[5] != '1' || line[7] > '1')
		return SLU_REFUSAL_version;
	message->minor = (uint8_t)(line[7] - '0');
	return SLU_REFUSAL_NONE;
}

/* origin-form, "*" with OPTIONS, absolute-form of http and https (RFC 9112, section 3.2). */
static enum slu_refusal target_form(struct slu_message *message, struct slu_span target, const struct facts *facts)
{
	static const struct slu_span schemes[] = {SLU_SPAN("http://"), SLU_SPAN("https://")};

	if (message->method == SLU_METHOD_CONNECT || message->method == SLU_METHOD_TRACE)
		return SLU_REFUSAL_method_forbidden;
	if (facts->host_twice)
		return SLU_REFUSAL_host_twice;
	if (facts->host == NULL && message->minor == 1)
		return SLU_REFUSAL_host_missing;
	if (facts->host != NULL) {
		if (!host_is_valid(facts->host->value))
			return SLU_REFUSAL_host;
		message->host = facts->host->value;
	}
	message->path = target;
	if (target.at[0] == '/')
		return SLU_REFUSAL_NONE;
	if (target.bytes == 1 && target.at[0] == '*')
		return message->method == SLU_METHOD_OPTIONS ? SLU_REFUSAL_NONE : SLU_REFUSAL_target;
	for (unsigned i = 0; i < 2; i++) {
		struct slu_span host = {target.at + schemes[i].bytes, target.bytes - schemes[i].bytes};

		if (target.bytes <= schemes[i].bytes ||
			!slu_span_same((struct slu_span){target.at, schemes[i].bytes}, schemes[i]))
			continue;
		for (uint32_t n = 0; n < host.bytes; n++)
			if (strchr("/?", host.at[n]) != NULL)
				host.bytes = n;
		message->path = (struct slu_span){host.at + host.bytes, target.bytes - schemes[i].bytes - host.bytes};
		if (message->path.bytes == 0)
			message->path = SLU_SPAN("/");
		if (message->path.at[0] != '/' || !host_is_valid(host))
			return SLU_REFUSAL_target;
		if (message->host.bytes > 0 && !slu_span_same(host, message->host))
			return SLU_REFUSAL_host_differs;
		message->host = host;
		return SLU_REFUSAL_NONE;
	}
	return SLU_REFUSAL_target;
}

/* WebSocket is passed on; any other protocol is simply not switched to, which a server is free to do. */
static enum slu_refusal upgrade(struct slu_message *message, const struct facts *facts)
{
	if (facts->upgrade == NULL || !facts->upgrade_named || message->minor == 0)
		return SLU_REFUSAL_NONE;
	if (!slu_span_same(facts->upgrade->value, SLU_SPAN("websocket")) || message->method != SLU_METHOD_GET)
		return SLU_REFUSAL_NONE;
	if (facts->upgrade_twice || message->body != SLU_BODY_NONE)
		return SLU_REFUSAL_upgrade;
	message->upgrade = true;
	return SLU_REFUSAL_NONE;
}

enum slu_refusal slu_head_request(struct slu_message *message, const char *bytes, size_t count, uint32_t target_max)
{
	const char *end = bytes + count, *lf = memchr(bytes, '\n', count);
	struct slu_span target = {0};
	enum slu_refusal refusal;
	struct facts facts;

	slu_message_reset(message);
	if (lf == NULL || lf == bytes || lf[-1] != '\r')
		return SLU_REFUSAL_bare_lf;
	refusal = request_line(message, &target, bytes, lf - 1, target_max);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = field_lines(message, lf + 1, end);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = gather(message, &facts);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = target_form(message, target, &facts);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = framing(message, &facts, false);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = upgrade(message, &facts);
	if (refusal != SLU_REFUSAL_NONE)
		return refusal;
	message->close = message->minor == 0 ? !facts.keep_alive || facts.close : facts.close;
	if (facts.expect != NULL) {
		if (facts.expect_twice || !slu_span_same(facts.expect->value, SLU_SPAN("100-continue")))
			return SLU_REFUSAL_expect;
		/* An expectation in HTTP/1.0 is ignored (RFC 9110, section 10.1.1). */
		message->expects = message->minor == 1 && message->body != SLU_BODY_NONE;
	}
	return SLU_REFUSAL_NONE;
}

/* HTTP/1.x SP 3DIGIT [SP reason] */
static enum slu_refusal status_line(struct slu_message *message, const char *line, const char *end)
{
	if (end - line < 12 || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		return SLU_REFUSAL_status_line;
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return SLU_REFUSAL_status_line;
		message->status = (uint16_t)(10 * message->status + (line[i] - '0'));
	}
	if (message->status < 100 || (end - line > 12 && line[12] != ' '))
		return SLU_REFUSAL_status_line;
	message->minor = (uint8_t)(line[7] - '0');
	line += end - line > 12 ? 13 : 12;
	message->reason = (struct slu_span){line, (uint32_t)(end - line)};
	if (run_of(line, end, VALUE) != message->reason.bytes)
		return SLU_REFUSAL_control_byte;
	return SLU_REFUSAL_NONE;
}

/* Which body a response has (RFC 9112, section 6.3). */
static enum slu_refusal response_body(
	struct slu_message *message, const struct facts *facts, const struct slu_message *request)
{
	bool none = message->status < 200 || message->status == 204;
	enum slu_refusal refusal = framing(message, facts, true);

	if (refusal != SLU_REFUSAL_NONE)
		return refusal;
	/* A length of zero says the same twice; anything else says two things. */
	if (none && (facts->encoding != NULL || (facts->length != NULL && message->length > 0)))
		return SLU_REFUSAL_encoding_in_bodyless;
	if (message->status == 101) {
		if (!request->upgrade || facts->upgrade == NULL || !facts->upgrade_named || facts->upgrade_twice ||
			!slu_span_same(facts->upgrade->value, SLU_SPAN("websocket")))
			return SLU_REFUSAL_upgrade_unasked;
		message->upgrade = true;
		message->body = SLU_BODY_TUNNEL;
	} else if (none) {
		message->body = SLU_BODY_NONE;
	} else if (message->body == SLU_BODY_NONE && request->method != SLU_METHOD_HEAD && message->status != 304) {
		message->body = SLU_BODY_UNTIL_CLOSE;
	}
	return SLU_REFUSAL_NONE;
}

enum slu_refusal slu_head_response(
	struct slu_message *message, const char *bytes, size_t count, const struct slu_message *request)
{
	const char *end = bytes + count, *lf = memchr(bytes, '\n', count);
	enum slu_refusal refusal;
	struct facts facts;

	slu_message_reset(message);
	if (lf == NULL || lf == bytes || lf[-1] != '\r')
		return SLU_REFUSAL_bare_lf;
	refusal = status_line(message, bytes, lf - 1);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = field_lines(message, lf + 1, end);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = gather(message, &facts);
	if (refusal == SLU_REFUSAL_NONE)
		refusal = response_body(message, &facts, request);
	if (refusal != SLU_REFUSAL_NONE)
		return refusal;
	message->close = message->minor == 0 ? !facts.keep_alive || facts.close : facts.close;
	return SLU_REFUSAL_NONE;
}

enum slu_refusal slu_head_trailers(struct slu_message *message, const char *bytes, size_t count)
{
	slu_message_reset(message);
	if (field_lines(message, bytes, bytes + count) != SLU_REFUSAL_NONE)
		return SLU_REFUSAL_trailer;
	for (unsigned i = 0; i < message->field_count; i++) {
		struct slu_span name = message->fields[i].name;

		if (message->fields[i].id != SLU_FIELD_OTHER || is_alias(name) || end_to_end(name))
			return SLU_REFUSAL_trailer;
	}
	return SLU_REFUSAL_NONE;
}
