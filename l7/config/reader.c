#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/config/reader.h"
#include "l7/config/site.h"

static void add_error(struct slu_reader *reader, size_t line, size_t column, const char *format, va_list arguments)
{
	char rule[512], text[1024];

	if (reader->error_count == SLU_READER_ERRORS_MAX)
		return;
	vsnprintf(rule, sizeof(rule), format, arguments);
	snprintf(text, sizeof(text), "%s:%zu:%zu%s%s: %s", reader->source, line, column, reader->path[0] ? " " : "",
		reader->path, rule);
	reader->errors = realloc(reader->errors, (reader->error_count + 1) * sizeof(char *));
	if (reader->errors == NULL)
		abort();
	reader->errors[reader->error_count] = strdup(text);
	if (reader->errors[reader->error_count++] == NULL)
		abort();
}

static void refuse_at(struct slu_reader *reader, size_t line, size_t column, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_error(reader, line, column, format, arguments);
	va_end(arguments);
}

void slu_reader_refuse(struct slu_reader *reader, const yaml_node_t *node, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_error(reader, node->start_mark.line + 1, node->start_mark.column + 1, format, arguments);
	va_end(arguments);
}

int slu_reader_open(struct slu_reader *reader, const char *source, const void *text, size_t bytes)
{
	yaml_parser_t parser;

	memset(reader, 0, sizeof(*reader));
	reader->source = source;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, text, bytes);
	if (!yaml_parser_load(&parser, &reader->document)) {
		refuse_at(reader, parser.problem_mark.line + 1, parser.problem_mark.column + 1, "%s",
			parser.problem != NULL ? parser.problem : "not readable");
	} else if (yaml_document_get_root_node(&reader->document) == NULL) {
		refuse_at(reader, 1, 1, "the document is empty");
	}
	yaml_parser_delete(&parser);
	return reader->error_count > 0 ? -EINVAL : 0;
}

void slu_reader_close(struct slu_reader *reader)
{
	for (size_t i = 0; i < reader->error_count; i++)
		free(reader->errors[i]);
	free(reader->errors);
	yaml_document_delete(&reader->document);
	memset(reader, 0, sizeof(*reader));
}

static size_t path_push(struct slu_reader *reader, const char *format, ...)
{
	size_t mark = strlen(reader->path);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reader->path + mark, sizeof(reader->path) - mark, format, arguments);
	va_end(arguments);
	return mark;
}

const char *slu_reader_scalar(struct slu_reader *reader, yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE) {
		slu_reader_refuse(reader, node, "must be a single value");
		return NULL;
	}
	for (size_t i = 0; i < node->data.scalar.length; i++) {
		unsigned char c = node->data.scalar.value[i];

		if (c < 0x20 && c != '\n' && c != '\t') {
			slu_reader_refuse(reader, node, "must not have control characters");
			return NULL;
		}
	}
	return (const char *)node->data.scalar.value;
}

static const struct slu_reader_field *field_of(const struct slu_reader_field *fields, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	return NULL;
}

static void refuse_unknown(
	struct slu_reader *reader, yaml_node_t *key, const struct slu_reader_field *fields, size_t count)
{
	char known[400] = "";

	for (size_t i = 0; i < count; i++)
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", fields[i].key);
	slu_reader_refuse(reader, key, "unknown key; known here: %s", known);
}

void slu_reader_mapping(
	struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *fields, size_t count)
{
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE) {
		slu_reader_refuse(reader, node, "must be a mapping of keys to values");
		return;
	}
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
		yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
		const char *name = slu_reader_scalar(reader, key);
		const struct slu_reader_field *field = name != NULL ? field_of(fields, count, name) : NULL;
		size_t mark;

		if (name == NULL)
			continue;
		mark = path_push(reader, "%s%.40s", reader->path[0] ? "." : "", name);
		if (field == NULL) {
			refuse_unknown(reader, key, fields, count);
		} else if (seen & 1ull << (field - fields)) {
			slu_reader_refuse(reader, key, "given twice");
		} else {
			seen |= 1ull << (field - fields);
			field->read(reader, value, (char *)target + field->offset, field);
		}
		reader->path[mark] = '\0';
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && !(seen & 1ull << i))
			slu_reader_refuse(reader, node, "key %s is missing", fields[i].key);
}

static bool number(struct slu_reader *reader, yaml_node_t *node, const struct slu_reader_field *field, uint64_t *value)
{
	const char *text = slu_reader_scalar(reader, node);
	unsigned long long read;

	if (text == NULL)
		return false;
	errno = 0;
	read = strtoull(text, NULL, 10);
	if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || errno != 0 || read < field->min ||
		read > field->max) {
		slu_reader_refuse(reader, node, "must be a whole number %llu..%llu, not \"%.40s\"",
			(unsigned long long)field->min, (unsigned long long)field->max, text);
		return false;
	}
	*value = read;
	return true;
}

void slu_reader_u32(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	uint64_t value;

	if (number(reader, node, field, &value))
		*(uint32_t *)target = (uint32_t)value;
}

void slu_reader_u64(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	number(reader, node, field, target);
}

void slu_reader_bool(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	const char *text = slu_reader_scalar(reader, node);

	(void)field;
	if (text == NULL)
		return;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		slu_reader_refuse(reader, node, "must be true or false, not \"%.40s\"", text);
	else
		*(bool *)target = text[0] == 't';
}

void slu_reader_text(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	const char *text = slu_reader_scalar(reader, node);
	char **place = target;

	if (text == NULL)
		return;
	if (strlen(text) < field->min || strlen(text) > field->max) {
		slu_reader_refuse(reader, node, "must have %llu to %llu bytes", (unsigned long long)field->min,
			(unsigned long long)field->max);
		return;
	}
	free(*place);
	*place = strdup(text);
	if (*place == NULL)
		abort();
}

void slu_reader_name(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	const char *text = slu_reader_scalar(reader, node);
	bool good;

	(void)field;
	if (text == NULL)
		return;
	good = isalnum((unsigned char)text[0]) && strlen(text) < SLU_SITE_NAME_BYTES;
	for (size_t i = 0; text[i] != '\0'; i++)
		good = good && (isalnum((unsigned char)text[i]) || strchr("._-", text[i]) != NULL);
	if (!good)
		slu_reader_refuse(
			reader, node, "a name has 1 to %d letters, digits, '.', '_', '-'", SLU_SITE_NAME_BYTES - 1);
	else
		strcpy(target, text);
}

void slu_reader_word(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	const char *text = slu_reader_scalar(reader, node);
	char known[200] = "";

	if (text == NULL)
		return;
	for (int i = 0; field->words[i] != NULL; i++) {
		if (strcmp(field->words[i], text) == 0) {
			*(int *)target = i;
			return;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", field->words[i]);
	}
	slu_reader_refuse(reader, node, "must be one of %s, not \"%.40s\"", known, text);
}

void slu_reader_list(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	uint32_t *count = (uint32_t *)((char *)target - field->offset + field->count_offset);
	size_t items;
	char *array;

	if (node->type != YAML_SEQUENCE_NODE) {
		slu_reader_refuse(reader, node, "must be a list");
		return;
	}
	items = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (items < field->min || items > field->max) {
		slu_reader_refuse(reader, node, "has %zu members, %llu to %llu are allowed", items,
			(unsigned long long)field->min, (unsigned long long)field->max);
		return;
	}
	array = calloc(items + 1, field->item_bytes);
	if (array == NULL)
		abort();
	*(void **)target = array;
	*count = (uint32_t)items;
	for (size_t i = 0; i < items; i++) {
		size_t mark = path_push(reader, "[%zu]", i);

		field->item(reader, yaml_document_get_node(&reader->document, node->data.sequence.items.start[i]),
			array + i * field->item_bytes, field);
		reader->path[mark] = '\0';
	}
}

/* A member of a list of texts. */
void slu_reader_texts(struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field)
{
	static const struct slu_reader_field any = {.min = 1, .max = 256};

	(void)field;
	slu_reader_text(reader, node, target, &any);
}
