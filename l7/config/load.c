#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/config/load.h"

#define AT(type, member) .offset = offsetof(struct type, member)
#define LIST(type, member, counter, item_type, reader, least, most)                                                    \
	.read = slu_reader_list, AT(type, member), .min = (least), .max = (most), .item_bytes = sizeof(item_type),     \
	.count_offset = offsetof(struct type, counter), .item = (reader)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MS_MAX 86400000u

int slu_site_address(struct slu_site_address *address, const char *host, uint16_t port)
{
	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons(port);
		address->bytes = sizeof(address->v4);
		snprintf(address->text, sizeof(address->text), "%.45s:%u", host, port);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
		char text[INET6_ADDRSTRLEN];

		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons(port);
		address->bytes = sizeof(address->v6);
		inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof(text));
		snprintf(address->text, sizeof(address->text), "[%.45s]:%u", text, port);
		return 0;
	}
	return -EINVAL;
}

/* What a document says of an address before it is one. */
struct endpoint {
	char *address;
	uint32_t port;
};

static void endpoint_take(
	struct slu_reader *reader, yaml_node_t *node, struct endpoint *endpoint, struct slu_site_address *address)
{
	if (endpoint->address != NULL && endpoint->port != 0 &&
		slu_site_address(address, endpoint->address, (uint16_t)endpoint->port) != 0)
		slu_reader_refuse(reader, node, "\"%.45s\" is no IPv4 or IPv6 address", endpoint->address);
	free(endpoint->address);
}

/* -- groups -- */

static void read_server(
	struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	struct row {
		struct endpoint endpoint;
		uint32_t weight;
	} row = {.weight = 1};
	static const struct slu_reader_field fields[] = {
		{"address", slu_reader_text, AT(row, endpoint.address), .min = 1, .max = 45, .required = true},
		{"port", slu_reader_u32, AT(row, endpoint.port), .min = 1, .max = 65535, .required = true},
		{"weight", slu_reader_u32, AT(row, weight), .min = 0, .max = 1000},
	};
	struct slu_site_server *server = target;

	(void)field;
	slu_reader_mapping(reader, node, &row, fields, COUNT(fields));
	endpoint_take(reader, node, &row.endpoint, &server->address);
	server->weight = row.weight;
}

static bool token_only(const char *text)
{
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
			return false;
	return true;
}

static void check_group(struct slu_reader *reader, yaml_node_t *node, const struct slu_site_group *group)
{
	if (group->scheduler == SLU_SITE_HASH && group->hash_key >= SLU_SITE_HASH_HEADER && group->hash_name == NULL)
		slu_reader_refuse(reader, node, "hash_name is missing: which header or cookie is hashed");
	if (group->sticky != SLU_SITE_STICKY_NONE && group->cookie == NULL)
		slu_reader_refuse(reader, node, "cookie is missing: its name, for sticky");
	if (group->cookie != NULL && !token_only(group->cookie))
		slu_reader_refuse(reader, node, "cookie is no token (RFC 6265, section 4.1.1)");
	for (uint32_t i = 0; i < group->server_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (group->servers[i].address.bytes != 0 &&
				strcmp(group->servers[i].address.text, group->servers[j].address.text) == 0)
				slu_reader_refuse(
					reader, node, "server %s is given twice", group->servers[i].address.text);
}

static void read_group(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	static const char *const schedulers[] = {"wrr", "wlc", "hash", NULL};
	static const char *const keys[] = {"source", "path", "header", "cookie", NULL};
	static const char *const stickies[] = {"none", "insert", NULL};
	static const struct slu_reader_field fields[] = {
		{"name", slu_reader_name, AT(slu_site_group, name), .required = true},
		{"scheduler", slu_reader_word, AT(slu_site_group, scheduler), .words = schedulers},
		{"hash", slu_reader_word, AT(slu_site_group, hash_key), .words = keys},
		{"hash_name", slu_reader_text, AT(slu_site_group, hash_name), .min = 1, .max = 100},
		{"sticky", slu_reader_word, AT(slu_site_group, sticky), .words = stickies},
		{"cookie", slu_reader_text, AT(slu_site_group, cookie), .min = 1, .max = 100},
		{"servers", LIST(slu_site_group, servers, server_count, struct slu_site_server, read_server, 0, 1000),
			.required = true},
		{"connect_ms", slu_reader_u32, AT(slu_site_group, connect_ms), .min = 1, .max = MS_MAX},
		{"response_ms", slu_reader_u32, AT(slu_site_group, response_ms), .min = 1, .max = MS_MAX},
		{"idle_ms", slu_reader_u32, AT(slu_site_group, idle_ms), .min = 1, .max = MS_MAX},
		{"retries", slu_reader_u32, AT(slu_site_group, retries), .min = 0, .max = 3},
		{"pool_max", slu_reader_u32, AT(slu_site_group, pool_max), .min = 0, .max = 10000},
		{"slow_start_ms", slu_reader_u32, AT(slu_site_group, slow_start_ms), .min = 0, .max = MS_MAX},
		{"outlier_failures", slu_reader_u32, AT(slu_site_group, outlier_failures), .min = 0, .max = 1000},
		{"outlier_ms", slu_reader_u32, AT(slu_site_group, outlier_ms), .min = 1, .max = MS_MAX},
	};
	struct slu_site_group *group = target;

	(void)field;
	*group = (struct slu_site_group){.connect_ms = 3000,
		.response_ms = 60000,
		.idle_ms = 50000,
		.retries = 1,
		.pool_max = 256,
		.outlier_ms = 10000};
	slu_reader_mapping(reader, node, group, fields, COUNT(fields));
	check_group(reader, node, group);
}

/* -- rules -- */

static void read_condition(
	struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	static const char *const kinds[] = {"header", "query", "cookie", NULL};
	static const struct slu_reader_field fields[] = {
		{"kind", slu_reader_word, AT(slu_site_condition, kind), .words = kinds, .required = true},
		{"name", slu_reader_text, AT(slu_site_condition, name), .min = 1, .max = 256, .required = true},
		{"value", slu_reader_text, AT(slu_site_condition, value), .min = 0, .max = 1024},
	};

	(void)field;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static void read_source(
	struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	const char *text = slu_reader_scalar(reader, node);
	struct slu_site_source *source = target;
	unsigned long bits;
	char host[48], *slash, *end;

	(void)field;
	if (text == NULL)
		return;
	snprintf(host, sizeof(host), "%.47s", text);
	slash = strchr(host, '/');
	if (slash != NULL)
		*slash = '\0';
	source->family = inet_pton(AF_INET, host, source->bytes) == 1    ? AF_INET
			 : inet_pton(AF_INET6, host, source->bytes) == 1 ? AF_INET6
									 : 0;
	bits = source->family == AF_INET ? 32 : 128;
	if (slash != NULL) {
		unsigned long most = bits;

		bits = strtoul(slash + 1, &end, 10);
		if (!isdigit((unsigned char)slash[1]) || *end != '\0' || bits > most)
			source->family = 0;
	}
	source->bits = (uint8_t)bits;
	if (source->family == 0)
		slu_reader_refuse(reader, node, "\"%.45s\" is no address or prefix", text);
}

struct redirect {
	uint32_t status;
	char *scheme, *host, *path;
};

struct fixed {
	uint32_t status;
	char *content_type, *body;
};

struct rule_row {
	struct slu_site_rule rule;
	char *path_exact, *path_prefix, *group;
	struct redirect redirect;
	struct fixed fixed;
};

static void read_redirect(
	struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	static const struct slu_reader_field fields[] = {
		{"status", slu_reader_u32, AT(redirect, status), .min = 301, .max = 308},
		{"scheme", slu_reader_text, AT(redirect, scheme), .min = 4, .max = 5},
		{"host", slu_reader_text, AT(redirect, host), .min = 1, .max = 255},
		{"path", slu_reader_text, AT(redirect, path), .min = 1, .max = 2048},
	};
	struct redirect *redirect = target;

	(void)field;
	redirect->status = 302;
	slu_reader_mapping(reader, node, redirect, fields, COUNT(fields));
	if (redirect->status == 304 || redirect->status == 305 || redirect->status == 306)
		slu_reader_refuse(reader, node, "status must be 301, 302, 303, 307 or 308");
	if (redirect->scheme != NULL && strcmp(redirect->scheme, "http") != 0 && strcmp(redirect->scheme, "https") != 0)
		slu_reader_refuse(reader, node, "scheme must be http or https");
	if (redirect->path != NULL && redirect->path[0] != '/')
		slu_reader_refuse(reader, node, "path must begin with '/'");
}

static void read_fixed(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	static const struct slu_reader_field fields[] = {
		{"status", slu_reader_u32, AT(fixed, status), .min = 200, .max = 599, .required = true},
		{"content_type", slu_reader_text, AT(fixed, content_type), .min = 1, .max = 128},
		{"body", slu_reader_text, AT(fixed, body), .min = 0, .max = 32768},
	};

	(void)field;
	slu_reader_mapping(reader, node, target, fields, COUNT(fields));
}

static bool one_line(const char *text)
{
	return text == NULL || strpbrk(text, "\n\t") == NULL;
}

static void rule_finish(struct slu_reader *reader, yaml_node_t *node, struct rule_row *row)
{
	struct slu_site_rule *rule = &row->rule;
	unsigned actions = (row->group != NULL) + (row->redirect.status != 0) + (row->fixed.status != 0);

	if (row->path_exact != NULL && row->path_prefix != NULL)
		slu_reader_refuse(reader, node, "path and path_prefix exclude each other");
	rule->exact = row->path_exact != NULL;
	rule->path = rule->exact ? row->path_exact : row->path_prefix;
	if (rule->exact)
		free(row->path_prefix);
	if (rule->path != NULL && rule->path[0] != '/')
		slu_reader_refuse(reader, node, "a path begins with '/'");
	if (rule->rewrite != NULL && (rule->rewrite[0] != '/' || rule->path == NULL || strchr(rule->rewrite, ' ')))
		slu_reader_refuse(reader, node, "rewrite begins with '/', and needs path or path_prefix to replace");
	if (actions != 1)
		slu_reader_refuse(reader, node, "needs one of group, redirect, fixed");
	if (rule->host != NULL && strchr(rule->host + (rule->host[0] == '*'), '*') != NULL)
		slu_reader_refuse(reader, node, "'*' stands only at the beginning of a host");
	if (rule->host != NULL && rule->host[0] == '*' && rule->host[1] != '.')
		slu_reader_refuse(reader, node, "a host's '*' is followed by '.'");
	if (!one_line(row->redirect.host) || !one_line(row->redirect.path) || !one_line(row->fixed.content_type) ||
		!one_line(rule->rewrite))
		slu_reader_refuse(reader, node, "texts of a head must be one line");
	rule->action = row->redirect.status != 0 ? SLU_SITE_REDIRECT
		       : row->fixed.status != 0  ? SLU_SITE_FIXED
						 : SLU_SITE_FORWARD;
	rule->status = row->redirect.status != 0 ? row->redirect.status : row->fixed.status;
	rule->to_scheme = row->redirect.scheme;
	rule->to_host = row->redirect.host;
	rule->to_path = row->redirect.path;
	rule->content_type = row->fixed.content_type;
	rule->body = row->fixed.body;
	rule->group_name = row->group;
}

static void read_rule(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	static const struct slu_reader_field fields[] = {
		{"host", slu_reader_text, AT(rule_row, rule.host), .min = 1, .max = 255},
		{"path", slu_reader_text, AT(rule_row, path_exact), .min = 1, .max = 2048},
		{"path_prefix", slu_reader_text, AT(rule_row, path_prefix), .min = 1, .max = 2048},
		{"methods", LIST(rule_row, rule.methods, rule.method_count, char *, slu_reader_texts, 1, 20)},
		{"match", LIST(rule_row, rule.conditions, rule.condition_count, struct slu_site_condition,
				  read_condition, 1, 20)},
		{"sources",
			LIST(rule_row, rule.sources, rule.source_count, struct slu_site_source, read_source, 1, 1000)},
		{"rewrite", slu_reader_text, AT(rule_row, rule.rewrite), .min = 1, .max = 2048},
		{"group", slu_reader_text, AT(rule_row, group), .min = 1, .max = 63},
		{"redirect", read_redirect, AT(rule_row, redirect)},
		{"fixed", read_fixed, AT(rule_row, fixed)},
	};
	struct rule_row row = {0};

	(void)field;
	slu_reader_mapping(reader, node, &row, fields, COUNT(fields));
	rule_finish(reader, node, &row);
	row.rule.order = (uint32_t)node->start_mark.index; /* qsort() does not keep the order of equals */
	row.rule.line = (uint32_t)node->start_mark.line + 1;
	row.rule.column = (uint32_t)node->start_mark.column + 1;
	*(struct slu_site_rule *)target = row.rule;
}

/* -- listeners -- */

struct listener_row {
	struct slu_site_listener listener;
	struct endpoint endpoint;
	int protocol;
	char *group;
};

static void read_listener(
	struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	static const char *const protocols[] = {"http", NULL};
	static const struct slu_reader_field fields[] = {
		{"name", slu_reader_name, AT(listener_row, listener.name), .required = true},
		{"address", slu_reader_text, AT(listener_row, endpoint.address), .min = 1, .max = 45, .required = true},
		{"port", slu_reader_u32, AT(listener_row, endpoint.port), .min = 1, .max = 65535, .required = true},
		{"protocol", slu_reader_word, AT(listener_row, protocol), .words = protocols, .required = true},
		{"idle_ms", slu_reader_u32, AT(listener_row, listener.idle_ms), .min = 1, .max = MS_MAX},
		{"head_ms", slu_reader_u32, AT(listener_row, listener.head_ms), .min = 1, .max = MS_MAX},
		{"body_ms", slu_reader_u32, AT(listener_row, listener.body_ms), .min = 1, .max = MS_MAX},
		{"tunnel_ms", slu_reader_u32, AT(listener_row, listener.tunnel_ms), .min = 1, .max = MS_MAX},
		{"head_bytes_max", slu_reader_u32, AT(listener_row, listener.head_bytes_max), .min = 512, .max = 49152},
		{"target_bytes_max", slu_reader_u32, AT(listener_row, listener.target_bytes_max), .min = 64,
			.max = 32768},
		{"body_bytes_max", slu_reader_u64, AT(listener_row, listener.body_bytes_max), .min = 0,
			.max = UINT64_MAX / 2},
		{"requests_max", slu_reader_u32, AT(listener_row, listener.requests_max), .min = 1, .max = UINT32_MAX},
		{"rules", LIST(listener_row, listener.rules, listener.rule_count, struct slu_site_rule, read_rule, 0,
				  10000)},
		{"group", slu_reader_text, AT(listener_row, group), .min = 1, .max = 63},
	};
	struct listener_row row = {.listener = {.idle_ms = 60000,
					   .head_ms = 10000,
					   .body_ms = 30000,
					   .tunnel_ms = 3600000,
					   .head_bytes_max = 32768,
					   .target_bytes_max = 8192,
					   .body_bytes_max = UINT64_MAX / 2,
					   .requests_max = 1000000}};
	struct slu_site_listener *listener = target;

	(void)field;
	slu_reader_mapping(reader, node, &row, fields, COUNT(fields));
	endpoint_take(reader, node, &row.endpoint, &row.listener.address);
	*listener = row.listener;
	if (row.group == NULL)
		return;
	/* The group of all other requests is one more rule, which has no condition. */
	listener->rules = realloc(listener->rules, (listener->rule_count + 1) * sizeof(*listener->rules));
	if (listener->rules == NULL)
		abort();
	listener->rules[listener->rule_count++] = (struct slu_site_rule){.group_name = row.group,
		.order = UINT32_MAX,
		.line = (uint32_t)node->start_mark.line + 1,
		.column = (uint32_t)node->start_mark.column + 1};
}

/* -- the whole -- */

/*
 * Precedence: a host before a host with '*' before none, exact paths before prefixes, longer before shorter, more
 * conditions before fewer; then the order of the document.
 */
static int compare_rules(const void *left, const void *right)
{
	const struct slu_site_rule *a = left, *b = right;
	size_t a_path = a->path != NULL ? strlen(a->path) : 0, b_path = b->path != NULL ? strlen(b->path) : 0;
	int a_host = a->host == NULL ? 0 : a->host[0] == '*' ? 1 : 2;
	int b_host = b->host == NULL ? 0 : b->host[0] == '*' ? 1 : 2;
	uint32_t a_more = a->condition_count + (a->method_count > 0) + (a->source_count > 0);
	uint32_t b_more = b->condition_count + (b->method_count > 0) + (b->source_count > 0);

	if (a_host != b_host)
		return b_host - a_host;
	if (a_host == 1 && strlen(a->host) != strlen(b->host))
		return strlen(a->host) > strlen(b->host) ? -1 : 1;
	if (a->exact != b->exact)
		return a->exact ? -1 : 1;
	if (a_path != b_path)
		return a_path > b_path ? -1 : 1;
	if (a_more != b_more)
		return a_more > b_more ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static void refuse_in(
	struct slu_reader *reader, uint32_t line, uint32_t column, const char *path, const char *what, const char *name)
{
	yaml_node_t node = {.start_mark = {.line = line - 1, .column = column - 1}};

	snprintf(reader->path, sizeof(reader->path), "%s", path);
	slu_reader_refuse(reader, &node, "%s \"%.63s\"", what, name);
	reader->path[0] = '\0';
}

static void resolve_rule(struct slu_reader *reader, const struct slu_site *site, struct slu_site_rule *rule)
{
	if (rule->group_name == NULL)
		return;
	for (uint32_t i = 0; i < site->group_count; i++) {
		if (strcmp(site->groups[i].name, rule->group_name) == 0) {
			rule->group = i;
			return;
		}
	}
	refuse_in(reader, rule->line, rule->column, "listeners", "there is no group", rule->group_name);
}

static void check_site(struct slu_reader *reader, struct slu_site *site)
{
	yaml_node_t *root = yaml_document_get_root_node(&reader->document);

	for (uint32_t i = 0; i < site->group_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(site->groups[i].name, site->groups[j].name) == 0)
				slu_reader_refuse(reader, root, "group \"%s\" is given twice", site->groups[i].name);
	for (uint32_t i = 0; i < site->listener_count; i++) {
		struct slu_site_listener *listener = &site->listeners[i];

		for (uint32_t j = 0; j < i; j++) {
			if (strcmp(listener->name, site->listeners[j].name) == 0)
				slu_reader_refuse(reader, root, "listener \"%s\" is given twice", listener->name);
			if (strcmp(listener->address.text, site->listeners[j].address.text) == 0)
				slu_reader_refuse(reader, root, "two listeners on %s", listener->address.text);
		}
		for (uint32_t n = 0; n < listener->rule_count; n++)
			resolve_rule(reader, site, &listener->rules[n]);
		if (listener->rule_count > 1)
			qsort(listener->rules, listener->rule_count, sizeof(*listener->rules), compare_rules);
	}
}

static void check_log_format(struct slu_reader *reader, const struct slu_site *site)
{
	if (site->log_format != NULL && site->access_log == NULL)
		slu_reader_refuse(
			reader, yaml_document_get_root_node(&reader->document), "log_format without access_log");
}

struct slu_site *slu_load_site(struct slu_reader *reader, const char *source, const void *text, size_t bytes)
{
	static const struct slu_reader_field fields[] = {
		{"workers", slu_reader_u32, AT(slu_site, workers), .min = 1, .max = 64},
		{"connections_max", slu_reader_u32, AT(slu_site, connections_max), .min = 1, .max = 1000000},
		{"admin", slu_reader_text, AT(slu_site, admin), .min = 1, .max = 100},
		{"access_log", slu_reader_text, AT(slu_site, access_log), .min = 1, .max = 1000},
		{"log_format", slu_reader_text, AT(slu_site, log_format), .min = 1, .max = 1000},
		{"listeners",
			LIST(slu_site, listeners, listener_count, struct slu_site_listener, read_listener, 0, 1000),
			.required = true},
		{"groups", LIST(slu_site, groups, group_count, struct slu_site_group, read_group, 0, 10000),
			.required = true},
	};
	struct slu_site *site;

	if (slu_reader_open(reader, source, text, bytes) != 0)
		return NULL;
	site = calloc(1, sizeof(*site));
	if (site == NULL)
		abort();
	site->refs = 1;
	site->workers = 1;
	site->connections_max = 8000;
	slu_reader_mapping(reader, yaml_document_get_root_node(&reader->document), site, fields, COUNT(fields));
	check_site(reader, site);
	check_log_format(reader, site);
	if (reader->error_count == 0)
		return site;
	slu_site_drop(site);
	return NULL;
}
