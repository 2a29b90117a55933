#include <stdio.h>

#include "l7/proxy/forward.h"

static void add(struct slu_exchange *exchange, struct slu_span name, struct slu_span prefix, struct slu_span value)
{
	if (exchange->added_count < SLU_ADDED_MAX)
		exchange->added[exchange->added_count++] = (struct slu_http_added){name, prefix, value};
}

static struct slu_span span_of(const char *text)
{
	return (struct slu_span){text, (uint32_t)strlen(text)};
}

static void path(struct slu_exchange *exchange)
{
	const struct slu_site_rule *rule = exchange->rule;
	struct slu_span whole = exchange->request.path;
	uint32_t matched;

	exchange->path[0] = whole;
	exchange->path[1] = (struct slu_span){0};
	if (rule == NULL || rule->rewrite == NULL || rule->path == NULL)
		return;
	matched = (uint32_t)strlen(rule->path);
	exchange->path[0] = span_of(rule->rewrite);
	exchange->path[1] = (struct slu_span){whole.at + matched, whole.bytes - matched};
	/* "/old/" to "/new/", or "/old" to "/": one slash between the two, not none and not two. */
	if (exchange->path[1].bytes > 0 && exchange->path[1].at[0] == '/' &&
		exchange->path[0].at[exchange->path[0].bytes - 1] == '/')
		exchange->path[1] = (struct slu_span){exchange->path[1].at + 1, exchange->path[1].bytes - 1};
}

/* The port the client came to. */
static struct slu_span listener_port(const struct slu_exchange *exchange)
{
	const char *colon = strrchr(exchange->listener->address.text, ':');

	return span_of(colon + 1);
}

/* "a, b, " of the last X-Forwarded-For, which gets this client appended; the others go on as they are. */
static struct slu_span forwarded_for(struct slu_exchange *exchange)
{
	struct slu_http_field *last = NULL;

	for (unsigned i = 0; i < exchange->request.field_count; i++) {
		struct slu_http_field *field = &exchange->request.fields[i];

		switch (field->id) {
		case SLU_FIELD_X_FORWARDED_FOR:
			if (field->value.bytes > 0)
				last = field;
			else
				field->hop = true;
			break;
		case SLU_FIELD_X_FORWARDED_PORT:
		case SLU_FIELD_X_FORWARDED_PROTO:
		case SLU_FIELD_X_REAL_IP:
			field->hop = true; /* who is in front says these, not who is in front of it */
			break;
		case SLU_FIELD_EXPECT:
			field->hop = true; /* answered here */
			break;
		default:
			break;
		}
	}
	if (last == NULL)
		return (struct slu_span){0};
	last->hop = true;
	return last->value;
}

void slu_forward_request(struct slu_exchange *exchange)
{
	struct slu_message *request = &exchange->request;
	struct slu_span others = forwarded_for(exchange);
	bool has_host = false;

	exchange->added_count = 0;
	path(exchange);
	for (unsigned i = 0; i < request->field_count; i++)
		has_host = has_host || request->fields[i].id == SLU_FIELD_HOST;
	/* HTTP/1.0 may come without; HTTP/1.1 may not go without (RFC 9112, section 3.2). */
	if (!has_host)
		add(exchange, SLU_SPAN("Host"), (struct slu_span){0},
			request->host.bytes > 0 ? request->host
						: span_of(exchange->tried[exchange->tries - 1]->address.text));
	add(exchange, SLU_SPAN("X-Forwarded-For"), others, exchange->client);
	add(exchange, SLU_SPAN("X-Real-IP"), (struct slu_span){0}, exchange->client);
	add(exchange, SLU_SPAN("X-Forwarded-Proto"), (struct slu_span){0},
		exchange->tls ? SLU_SPAN("https") : SLU_SPAN("http"));
	add(exchange, SLU_SPAN("X-Forwarded-Port"), (struct slu_span){0}, listener_port(exchange));
}

void slu_forward_response(struct slu_exchange *exchange)
{
	const struct slu_site_group *group = exchange->group != NULL ? exchange->group->site : NULL;
	char token[17];

	exchange->added_count = 0;
	if (group == NULL || group->sticky == SLU_SITE_STICKY_NONE || exchange->response.status < 200)
		return;
	if (group->sticky == SLU_SITE_STICKY_INSERT && exchange->sticky_set) {
		slu_group_token(exchange->tried[exchange->tries - 1], token);
		snprintf(exchange->cookie, sizeof(exchange->cookie), "%.100s=%s; Path=/; HttpOnly%s", group->cookie,
			token, exchange->tls ? "; Secure" : "");
		add(exchange, SLU_SPAN("Set-Cookie"), (struct slu_span){0}, span_of(exchange->cookie));
	}
}
