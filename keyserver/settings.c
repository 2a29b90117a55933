#include "keyserver/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "sluice/key_protocol.h"

#define ITEMS_MAX 65536u
#define BYTES_MAX (16u << 20)

struct reader {
	yaml_document_t document;
	const char *path; /* of the file */
	char *folder;
	FILE *errors;
	unsigned int wrong;
};

struct field;
typedef void field_fn(struct reader *r, yaml_node_t *node, void *target, const struct field *field);

struct field {
	const char *key;
	field_fn *read;
	size_t offset;
	uint32_t min, max; /* of numbers, and of the lengths of texts */
	bool required;
};

static void refuse(struct reader *r, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void refuse(struct reader *r, const yaml_node_t *node, const char *format, ...)
{
	va_list arguments;

	r->wrong++;
	fprintf(r->errors, "%s:%zu: ", r->path, node ? node->start_mark.line + 1 : 1);
	va_start(arguments, format);
	vfprintf(r->errors, format, arguments);
	va_end(arguments);
	fputc('\n', r->errors);
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---------------------------------------------------------------- scalars */

/* The text of a scalar of printable bytes, or NULL after an error. */
static const char *text_of(struct reader *r, yaml_node_t *node, const struct field *field)
{
	const char *text;
	size_t length;

	if (node->type != YAML_SCALAR_NODE) {
		refuse(r, node, "%s: one value is expected", field->key);
		return NULL;
	}
	text = (const char *)node->data.scalar.value;
	length = node->data.scalar.length;
	if (length < field->min || length > field->max) {
		refuse(r, node, "%s: must have %u to %u characters", field->key, field->min, field->max);
		return NULL;
	}
	for (size_t i = 0; i < length; i++) {
		if (text[i] < ' ' || text[i] > '~') {
			refuse(r, node, "%s: only printable ASCII is allowed", field->key);
			return NULL;
		}
	}
	return text;
}

static void read_text(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	const char *text = text_of(r, node, field);

	if (text)
		*(char **)target = must(strdup(text));
}

static void read_path(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	const char *text = text_of(r, node, field);

	if (text && asprintf((char **)target, "%s%s", text[0] == '/' ? "" : r->folder, text) < 0)
		abort();
}

static void read_number(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	const char *text = node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || value < field->min || value > field->max)
		refuse(r, node, "%s: must be a whole number from %u to %u", field->key, field->min, field->max);
	else
		*(uint32_t *)target = (uint32_t)value;
}

static void read_bool(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	const char *text = node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";

	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		refuse(r, node, "%s: must be true or false", field->key);
	else
		*(bool *)target = text[0] == 't';
}

/* ---------------------------------------------------------------- mappings, lists */

static void read_pair(struct reader *r, const yaml_node_pair_t *pair, void *target, const struct field *fields,
	size_t count, uint32_t *seen)
{
	yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
	yaml_node_t *value = yaml_document_get_node(&r->document, pair->value);
	const char *name = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "?";

	for (size_t i = 0; i < count; i++) {
		if (strcmp(name, fields[i].key) != 0)
			continue;
		if (*seen & 1u << i)
			refuse(r, key, "%s: stands here twice", name);
		else
			fields[i].read(r, value, (char *)target + fields[i].offset, &fields[i]);
		*seen |= 1u << i;
		return;
	}
	refuse(r, key, "%.64s: unknown key", name);
}

static void read_mapping(
	struct reader *r, yaml_node_t *node, const char *what, void *target, const struct field *fields, size_t count)
{
	uint32_t seen = 0;

	if (node->type != YAML_MAPPING_NODE) {
		refuse(r, node, "%s: keys with values are expected", what);
		return;
	}
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++)
		read_pair(r, p, target, fields, count, &seen);
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && !(seen & 1u << i))
			refuse(r, node, "%s: %s is missing", what, fields[i].key);
}

/* The number of a sequence's members, 0 after an error. */
static uint32_t sequence(struct reader *r, const yaml_node_t *node, const char *what, uint32_t max)
{
	ptrdiff_t count;

	if (node->type != YAML_SEQUENCE_NODE) {
		refuse(r, node, "%s: a list is expected", what);
		return 0;
	}
	count = node->data.sequence.items.top - node->data.sequence.items.start;
	if (count > (ptrdiff_t)max) {
		refuse(r, node, "%s: at most %u are possible", what, max);
		return 0;
	}
	return (uint32_t)count;
}

static yaml_node_t *member(struct reader *r, const yaml_node_t *node, uint32_t index)
{
	return yaml_document_get_node(&r->document, node->data.sequence.items.start[index]);
}

/* ---------------------------------------------------------------- the document */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_MAX_BYTES 4000

static void read_listen(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	static const struct field address = {"listen", read_text, 0, 3, 80};
	struct slu_settings *s = target;
	uint32_t count;

	(void)field;
	if (node->type == YAML_SCALAR_NODE) {
		read_text(r, node, &s->listen[0], &address);
		s->listen_count = 1;
		return;
	}
	count = sequence(r, node, "listen", SLU_SETTINGS_LISTEN_MAX);
	for (uint32_t i = 0; i < count; i++)
		read_text(r, member(r, node, i), &s->listen[i], &address);
	s->listen_count = count;
}

static void read_tls(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	static const struct field fields[] = {
		{"certificate", read_path, offsetof(struct slu_settings, certificate), 1, PATH_MAX_BYTES, true},
		{"key", read_path, offsetof(struct slu_settings, key), 1, PATH_MAX_BYTES, true},
		{"client_ca", read_path, offsetof(struct slu_settings, client_ca), 1, PATH_MAX_BYTES, true},
	};

	read_mapping(r, node, field->key, target, fields, COUNT(fields));
}

static void read_tickets(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	static const struct field fields[] = {
		{"secrets", read_path, offsetof(struct slu_settings, ticket_secrets), 1, PATH_MAX_BYTES, true},
		{"period_s", read_number, offsetof(struct slu_settings, ticket_period_s), 10, 604800},
		{"keep", read_number, offsetof(struct slu_settings, ticket_keep), 1, 6},
	};

	read_mapping(r, node, field->key, target, fields, COUNT(fields));
}

/* server, client: added to what is there. */
static void read_use(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	uint32_t count = sequence(r, node, field->key, 2);
	uint8_t uses = 0;

	for (uint32_t i = 0; i < count; i++) {
		yaml_node_t *item = member(r, node, i);
		const char *text = item->type == YAML_SCALAR_NODE ? (const char *)item->data.scalar.value : "";

		if (strcmp(text, "server") == 0)
			uses |= SLU_KEY_USE_SERVER;
		else if (strcmp(text, "client") == 0)
			uses |= SLU_KEY_USE_CLIENT;
		else
			refuse(r, item, "use: must be server or client");
	}
	*(uint8_t *)target |= uses;
}

static void read_premaster(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	bool on = false;

	read_bool(r, node, &on, field);
	if (on)
		*(uint8_t *)target |= SLU_KEY_USE_PREMASTER;
}

static void read_keys(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	static const struct field fields[] = {
		{"name", read_text, offsetof(struct slu_settings_key, name), 1, 128, true},
		{"file", read_path, offsetof(struct slu_settings_key, file), 1, PATH_MAX_BYTES, true},
		{"use", read_use, offsetof(struct slu_settings_key, uses)},
		{"rsa_premaster", read_premaster, offsetof(struct slu_settings_key, uses)},
		{"rate", read_number, offsetof(struct slu_settings_key, rate), 0, 10000000},
	};
	struct slu_settings *s = target;
	uint32_t count = sequence(r, node, field->key, ITEMS_MAX);

	s->keys = must(calloc(count + 1, sizeof(*s->keys)));
	s->key_count = count;
	for (uint32_t i = 0; i < count; i++) {
		yaml_node_t *item = member(r, node, i);

		read_mapping(r, item, "keys", &s->keys[i], fields, COUNT(fields));
		s->keys[i].line = (unsigned int)item->start_mark.line + 1;
		if ((s->keys[i].uses & (SLU_KEY_USE_SERVER | SLU_KEY_USE_CLIENT)) == 0)
			s->keys[i].uses |= SLU_KEY_USE_SERVER;
	}
}

static void read_names(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	static const struct field name = {"keys", read_text, 0, 1, 128};
	struct slu_settings_client *client = (void *)((char *)target - offsetof(struct slu_settings_client, keys));
	uint32_t count = sequence(r, node, field->key, ITEMS_MAX);

	client->keys = must(calloc(count + 1, sizeof(*client->keys)));
	client->key_count = count;
	for (uint32_t i = 0; i < count; i++)
		read_text(r, member(r, node, i), &client->keys[i], &name);
}

static void read_clients(struct reader *r, yaml_node_t *node, void *target, const struct field *field)
{
	static const struct field fields[] = {
		{"identity", read_text, offsetof(struct slu_settings_client, identity), 1, 512, true},
		{"keys", read_names, offsetof(struct slu_settings_client, keys)},
		{"rate", read_number, offsetof(struct slu_settings_client, rate), 0, 10000000},
		{"in_flight", read_number, offsetof(struct slu_settings_client, in_flight), 1, 1000000},
		{"tickets", read_text, offsetof(struct slu_settings_client, tickets), 1, 64},
		{"stats", read_bool, offsetof(struct slu_settings_client, stats)},
	};
	struct slu_settings *s = target;
	uint32_t count = sequence(r, node, field->key, ITEMS_MAX);

	s->clients = must(calloc(count + 1, sizeof(*s->clients)));
	s->client_count = count;
	for (uint32_t i = 0; i < count; i++) {
		yaml_node_t *item = member(r, node, i);

		s->clients[i].in_flight = 4096;
		read_mapping(r, item, "clients", &s->clients[i], fields, COUNT(fields));
		s->clients[i].line = (unsigned int)item->start_mark.line + 1;
	}
}

static void read_root(struct reader *r, yaml_node_t *root, struct slu_settings *s)
{
	static const struct field fields[] = {
		{"name", read_text, offsetof(struct slu_settings, name), 1, SLU_KEY_NAME_MAX},
		{"listen", read_listen, 0, 0, 0, true},
		{"user", read_text, offsetof(struct slu_settings, user), 1, 64},
		{"workers", read_number, offsetof(struct slu_settings, workers), 1, SLU_SETTINGS_WORKERS_MAX},
		{"lock_memory", read_bool, offsetof(struct slu_settings, lock_memory)},
		{"connections", read_number, offsetof(struct slu_settings, connections), 1, 100000},
		{"idle_s", read_number, offsetof(struct slu_settings, idle_s), 1, 86400},
		{"tls", read_tls, 0, 0, 0, true},
		{"audit", read_path, offsetof(struct slu_settings, audit), 1, PATH_MAX_BYTES},
		{"tickets", read_tickets, 0},
		{"keys", read_keys, 0, 0, 0, true},
		{"clients", read_clients, 0, 0, 0, true},
	};

	read_mapping(r, root, "document", s, fields, COUNT(fields));
}

/* ---------------------------------------------------------------- what belongs together */

static void refuse_line(struct reader *r, unsigned int line, const char *what, const char *name, const char *rule)
{
	r->wrong++;
	fprintf(r->errors, "%s:%u: %s: %s: %s\n", r->path, line, what, name, rule);
}

struct name {
	const char *text;
	unsigned int line;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static struct name *sorted_names(const struct slu_settings *s, bool keys, uint32_t count)
{
	struct name *names = must(calloc(count + 1, sizeof(*names)));

	for (uint32_t i = 0; i < count; i++)
		names[i] = keys ? (struct name){s->keys[i].name, s->keys[i].line}
				: (struct name){s->clients[i].identity, s->clients[i].line};
	qsort(names, count, sizeof(*names), by_text);
	return names;
}

static void judge_doubles(struct reader *r, const struct name *names, uint32_t count, const char *what)
{
	for (uint32_t i = 1; i < count; i++)
		if (by_text(&names[i - 1], &names[i]) == 0)
			refuse_line(r, names[i].line, what, names[i].text, "stands here twice");
}

static void judge_client(struct reader *r, const struct slu_settings *s, const struct slu_settings_client *client,
	const struct name *keys)
{
	for (uint32_t k = 0; k < client->key_count; k++) {
		const struct name wanted = {client->keys[k], 0};

		if (strcmp(wanted.text, "*") != 0 && !bsearch(&wanted, keys, s->key_count, sizeof(*keys), by_text))
			refuse_line(r, client->line, "clients", wanted.text, "there is no key of this name");
	}
	if (client->tickets && !s->ticket_secrets)
		refuse_line(r, client->line, "clients", client->identity, "tickets need the section tickets");
}

static void judge(struct reader *r, const struct slu_settings *s)
{
	struct name *keys = sorted_names(s, true, s->key_count);
	struct name *clients = sorted_names(s, false, s->client_count);

	judge_doubles(r, keys, s->key_count, "keys");
	judge_doubles(r, clients, s->client_count, "clients");
	for (uint32_t i = 0; i < s->client_count; i++)
		judge_client(r, s, &s->clients[i], keys);
	free(keys);
	free(clients);
}

static void load(struct reader *r, FILE *file, struct slu_settings *s)
{
	yaml_parser_t parser;
	yaml_node_t *root;

	if (!yaml_parser_initialize(&parser))
		abort();
	yaml_parser_set_input_file(&parser, file);
	if (!yaml_parser_load(&parser, &r->document)) {
		r->wrong++;
		fprintf(r->errors, "%s:%zu: %s\n", r->path, parser.problem_mark.line + 1, parser.problem);
		yaml_parser_delete(&parser);
		return;
	}
	root = yaml_document_get_root_node(&r->document);
	if (root)
		read_root(r, root, s);
	else
		refuse(r, NULL, "the document is empty");
	if (r->wrong == 0)
		judge(r, s);
	yaml_document_delete(&r->document);
	yaml_parser_delete(&parser);
}

static struct slu_settings *defaults(void)
{
	struct slu_settings *s = must(calloc(1, sizeof(*s)));

	s->workers = 1;
	s->lock_memory = true;
	s->connections = 1024;
	s->idle_s = 120;
	s->ticket_period_s = 43200;
	s->ticket_keep = 2;
	return s;
}

int slu_settings_read(const char *path, struct slu_settings **settings, FILE *errors)
{
	const char *slash = strrchr(path, '/');
	struct reader r = {.path = path, .errors = errors};
	FILE *file = fopen(path, "re");

	if (!file) {
		fprintf(errors, "%s: %s\n", path, strerror(errno));
		return -EINVAL;
	}
	r.folder = must(strndup(path, slash ? (size_t)(slash - path) + 1 : 0));
	*settings = defaults();
	if (fseek(file, 0, SEEK_END) == 0 && ftell(file) > (long)BYTES_MAX) {
		r.wrong++;
		fprintf(errors, "%s: larger than %u bytes\n", path, BYTES_MAX);
	} else {
		rewind(file);
		load(&r, file, *settings);
	}
	fclose(file);
	free(r.folder);
	if (r.wrong == 0 && !(*settings)->name)
		(*settings)->name = must(strdup("sluice-keyd"));
	if (r.wrong == 0)
		return 0;
	slu_settings_free(*settings);
	*settings = NULL;
	return -EINVAL;
}

static void free_key(struct slu_settings_key *key)
{
	free(key->name);
	free(key->file);
}

static void free_client(struct slu_settings_client *client)
{
	free(client->identity);
	for (uint32_t i = 0; i < client->key_count; i++)
		free(client->keys[i]);
	free(client->keys);
	free(client->tickets);
}

void slu_settings_free(struct slu_settings *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->key_count; i++)
		free_key(&s->keys[i]);
	for (uint32_t i = 0; i < s->client_count; i++)
		free_client(&s->clients[i]);
	for (uint32_t i = 0; i < SLU_SETTINGS_LISTEN_MAX; i++)
		free(s->listen[i]);
	free(s->keys);
	free(s->clients);
	free(s->name);
	free(s->user);
	free(s->certificate);
	free(s->key);
	free(s->client_ca);
	free(s->audit);
	free(s->ticket_secrets);
	free(s);
}
