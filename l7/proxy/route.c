#include <ctype.h>
#include <strings.h>

#include "l7/proxy/route.h"

static struct slu_span span_of(const char *text)
{
	return (struct slu_span){text, (uint32_t)strlen(text)};
}

static bool host_matches(const char *pattern, struct slu_span host)
{
	size_t bytes = strlen(pattern);

	/* Without its port; an IP literal's colons stand in brackets. */
	for (uint32_t i = host.bytes; i > 0 && (isdigit((unsigned char)host.at[i - 1]) || host.at[i - 1] == ':'); i--) {
		if (host.at[i - 1] == ':') {
			host.bytes = i - 1;
			break;
		}
	}
	if (host.bytes > 0 && host.at[host.bytes - 1] == '.')
		host.bytes--;
	if (pattern[0] == '*') {
		pattern++;
		bytes--;
		if (host.bytes <= bytes)
			return false;
		host = (struct slu_span){host.at + host.bytes - bytes, (uint32_t)bytes};
	}
	return host.bytes == bytes && strncasecmp(host.at, pattern, bytes) == 0;
}

static struct slu_span path_alone(struct slu_span path)
{
	const char *query = memchr(path.at, '?', path.bytes);

	return query != NULL ? (struct slu_span){path.at, (uint32_t)(query - path.at)} : path;
}

/* A prefix matches whole segments: "/api" is no prefix of "/apis". */
static bool path_matches(const struct slu_site_rule *rule, struct slu_span path)
{
	size_t bytes = strlen(rule->path);

	path = path_alone(path);
	if (path.bytes < bytes || memcmp(path.at, rule->path, bytes) != 0)
		return false;
	if (path.bytes == bytes)
		return true;
	return !rule->exact && (rule->path[bytes - 1] == '/' || path.at[bytes] == '/');
}

static bool query_matches(const struct slu_site_condition *condition, struct slu_span path)
{
	struct slu_span name = span_of(condition->name);
	const char *at = memchr(path.at, '?', path.bytes), *end = path.at + path.bytes;

	while (at != NULL && ++at <= end) {
		const char *amp = memchr(at, '&', (size_t)(end - at));
		const char *stop = amp != NULL ? amp : end, *equals = memchr(at, '=', (size_t)(stop - at));
		struct slu_span key = {at, (uint32_t)((equals != NULL ? equals : stop) - at)};
		struct slu_span value = {
			equals != NULL ? equals + 1 : stop, (uint32_t)(equals != NULL ? stop - equals - 1 : 0)};

		if (slu_span_equals(key, name) &&
			(condition->value == NULL || slu_span_equals(value, span_of(condition->value))))
			return true;
		at = amp;
	}
	return false;
}

struct slu_span slu_route_cookie(const struct slu_message *request, struct slu_span name)
{
	for (unsigned i = 0; i < request->field_count; i++) {
		struct slu_span rest = request->fields[i].value;

		if (request->fields[i].id != SLU_FIELD_COOKIE)
			continue;
		while (rest.bytes > 0) {
			const char *semicolon = memchr(rest.at, ';', rest.bytes);
			uint32_t bytes = semicolon != NULL ? (uint32_t)(semicolon - rest.at) : rest.bytes;
			struct slu_span pair = {rest.at, bytes};

			bytes += semicolon != NULL;
			rest = (struct slu_span){rest.at + bytes, rest.bytes - bytes};
			while (pair.bytes > 0 && pair.at[0] == ' ')
				pair = (struct slu_span){pair.at + 1, pair.bytes - 1};
			if (pair.bytes > name.bytes && pair.at[name.bytes] == '=' &&
				memcmp(pair.at, name.at, name.bytes) == 0)
				return (struct slu_span){pair.at + name.bytes + 1, pair.bytes - name.bytes - 1};
		}
	}
	return (struct slu_span){0};
}

static bool header_matches(const struct slu_site_condition *condition, const struct slu_message *request)
{
	for (unsigned i = 0; i < request->field_count; i++)
		if (slu_span_same(request->fields[i].name, span_of(condition->name)) &&
			(condition->value == NULL ||
				slu_span_equals(request->fields[i].value, span_of(condition->value))))
			return true;
	return false;
}

static bool condition_matches(const struct slu_site_condition *condition, const struct slu_message *request)
{
	struct slu_span cookie;

	switch (condition->kind) {
	case SLU_SITE_MATCH_HEADER:
		return header_matches(condition, request);
	case SLU_SITE_MATCH_QUERY:
		return query_matches(condition, request->path);
	default:
		cookie = slu_route_cookie(request, span_of(condition->name));
		return cookie.at != NULL &&
		       (condition->value == NULL || slu_span_equals(cookie, span_of(condition->value)));
	}
}

static bool within(const struct slu_site_source *source, const struct sockaddr *address)
{
	const uint8_t *bytes = address->sa_family == AF_INET
				       ? (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr
				       : (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
	unsigned whole = source->bits / 8, rest = source->bits % 8;

	if (source->family != address->sa_family || memcmp(bytes, source->bytes, whole) != 0)
		return false;
	return rest == 0 || ((bytes[whole] ^ source->bytes[whole]) >> (8 - rest)) == 0;
}

static bool matches(const struct slu_site_rule *rule, const struct slu_message *request, const struct sockaddr *source)
{
	bool found = rule->method_count == 0;

	if (rule->host != NULL && !host_matches(rule->host, request->host))
		return false;
	if (rule->path != NULL && !path_matches(rule, request->path))
		return false;
	for (uint32_t i = 0; i < rule->method_count; i++)
		found = found || slu_span_equals(request->method_name, span_of(rule->methods[i]));
	if (!found)
		return false;
	for (uint32_t i = 0; i < rule->condition_count; i++)
		if (!condition_matches(&rule->conditions[i], request))
			return false;
	found = rule->source_count == 0;
	for (uint32_t i = 0; i < rule->source_count; i++)
		found = found || within(&rule->sources[i], source);
	return found;
}

const struct slu_site_rule *slu_route_find(
	const struct slu_site_listener *listener, const struct slu_message *request, const struct sockaddr *source)
{
	for (uint32_t i = 0; i < listener->rule_count; i++)
		if (matches(&listener->rules[i], request, source))
			return &listener->rules[i];
	return NULL;
}
