#include <stdio.h>
#include <string.h>
#include <time.h>

#include "l7/proxy/page.h"

const char *slu_page_reason(unsigned status)
{
	static const struct {
		uint16_t status;
		const char *reason;
	} rows[] = {
		{200, "OK"},
		{204, "No Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{410, "Gone"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{417, "Expectation Failed"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].reason;
	return "";
}

/* IMF-fixdate (RFC 9110, section 5.6.7), made once a second. */
static struct slu_span date_now(void)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	static char text[64];
	static time_t made;
	time_t now = time(NULL);
	struct tm t;

	if (now != made) {
		made = now;
		gmtime_r(&now, &t);
		snprintf(text, sizeof(text), "%s, %02d %s %d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday,
			months[t.tm_mon], 1900 + t.tm_year, t.tm_hour, t.tm_min, t.tm_sec);
	}
	return (struct slu_span){text, (uint32_t)strlen(text)};
}

static void head(struct slu_exchange *exchange, unsigned status, const char *content_type, size_t bytes)
{
	struct slu_message *response = &exchange->response;
	const char *reason = slu_page_reason(status);

	slu_message_reset(response);
	exchange->added_count = 0;
	response->minor = 1;
	response->status = (uint16_t)status;
	response->reason = (struct slu_span){reason, (uint32_t)strlen(reason)};
	response->body = SLU_BODY_LENGTH;
	response->length = bytes;
	slu_message_add(response, SLU_SPAN("Date"), date_now());
	if (content_type != NULL)
		slu_message_add(response, SLU_SPAN("Content-Type"),
			(struct slu_span){content_type, (uint32_t)strlen(content_type)});
	if (status == 405)
		slu_message_add(response, SLU_SPAN("Allow"), SLU_SPAN("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
}

struct slu_buffer *slu_page_error(struct slu_exchange *exchange, unsigned status, const char *text)
{
	struct slu_buffer *body = slu_buffer_get(SLU_BUFFER_SMALL_BYTES);
	const char *reason = slu_page_reason(status);

	body->end =
		(uint32_t)snprintf(body->bytes, body->size, "<!doctype html><title>%u %s</title><h1>%u %s</h1>%s%s%s\n",
			status, reason, status, reason, text[0] ? "<p>" : "", text, text[0] ? "." : "");
	head(exchange, status, "text/html", body->end);
	return body;
}

struct slu_buffer *slu_page_redirect(struct slu_exchange *exchange, const struct slu_site_rule *rule)
{
	const struct slu_message *request = &exchange->request;
	struct slu_buffer *place = slu_buffer_get(SLU_BUFFER_LARGE_BYTES);
	struct slu_span host = request->host;
	size_t bytes;
	int head_bytes;

	/* The port belongs to the scheme that is left. */
	if (rule->to_scheme != NULL) {
		for (uint32_t i = host.bytes; i > 0 && host.at[i - 1] != ']'; i--)
			if (host.at[i - 1] == ':')
				host.bytes = i - 1;
	}
	head_bytes = snprintf(place->bytes, place->size, "%s://%.*s%s",
		rule->to_scheme != NULL ? rule->to_scheme
		: exchange->tls         ? "https"
					: "http",
		(int)(rule->to_host != NULL ? strlen(rule->to_host) : host.bytes),
		rule->to_host != NULL ? rule->to_host : host.at, rule->to_path != NULL ? rule->to_path : "");
	bytes = (size_t)head_bytes;
	if (rule->to_path == NULL && bytes + request->path.bytes <= place->size) {
		memcpy(&place->bytes[bytes], request->path.at, request->path.bytes);
		bytes += request->path.bytes;
	}
	place->end = (uint32_t)bytes;
	head(exchange, rule->status, NULL, 0);
	slu_message_add(&exchange->response, SLU_SPAN("Location"), (struct slu_span){place->bytes, place->end});
	place->begin = place->end; /* no body: the buffer carries the field's value only */
	return place;
}

struct slu_buffer *slu_page_fixed(struct slu_exchange *exchange, const struct slu_site_rule *rule)
{
	size_t bytes = rule->body != NULL ? strlen(rule->body) : 0;
	struct slu_buffer *body = slu_buffer_get(SLU_BUFFER_LARGE_BYTES);

	memcpy(body->bytes, rule->body != NULL ? rule->body : "", bytes);
	body->end = (uint32_t)bytes;
	head(exchange, rule->status, rule->content_type != NULL ? rule->content_type : "text/plain", bytes);
	return body;
}
