#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"
#include "host/config/reader.h"
#include "host/control/ip.h"

#define SHOWN_BYTES 48

/* A scalar as it may stand in a message: short, one line, printable. */
static const char *shown(const struct slu_node *node, char text[SHOWN_BYTES])
{
	size_t bytes, at = 0;
	const char *from = slu_node_text(node, &bytes);

	for (size_t i = 0; i < bytes; i++) {
		if (at == SHOWN_BYTES - 4) {
			memcpy(&text[at], "...", 3);
			at += 3;
			break;
		}
		text[at++] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? '?' : from[i];
	}
	/* A cut in the middle of a UTF-8 character would spoil the JSON of the API. */
	if (at == SHOWN_BYTES - 1) {
		size_t cut = at - 3;

		while (cut > 0 && (text[cut - 1] & 0xC0) == 0x80)
			cut--;
		if (cut > 0 && (text[cut - 1] & 0x80))
			cut--;
		memcpy(&text[cut], "...", 4);
	} else {
		text[at] = '\0';
	}
	return text;
}

static size_t path_push_key(struct slu_reader *reader, const struct slu_node *key)
{
	size_t mark = strlen(reader->path);
	char text[SHOWN_BYTES];

	snprintf(reader->path + mark, sizeof(reader->path) - mark, "%s%s", mark ? "." : "", shown(key, text));
	return mark;
}

static size_t path_push_index(struct slu_reader *reader, size_t index)
{
	size_t mark = strlen(reader->path);

	snprintf(reader->path + mark, sizeof(reader->path) - mark, "[%zu]", index);
	return mark;
}

static void path_pop(struct slu_reader *reader, size_t mark)
{
	reader->path[mark] = '\0';
}

void slu_reader_refuse(struct slu_reader *reader, const struct slu_node *node, const char *format, ...)
{
	va_list arguments;
	char *rule;

	va_start(arguments, format);
	rule = slu_memory_vformat(format, arguments);
	va_end(arguments);
	slu_errors_add(reader->errors, slu_node_place(node), reader->path, "%s", rule);
	free(rule);
}

/* Edits between two words, a transposition of neighbours counting as one; `room` when longer than it is worth. */
static size_t distance(const char *a, const char *b)
{
	enum { LONGEST = 32 };
	size_t rows[3][LONGEST + 1];
	size_t a_bytes = strlen(a), b_bytes = strlen(b);

	if (a_bytes > LONGEST || b_bytes > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= b_bytes; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_bytes; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_bytes; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

			best = above[j] + 1 < best ? above[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < best)
				best = above2[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[a_bytes % 3][b_bytes];
}

const char *slu_reader_nearest(const char *text, const char *const *words, size_t count)
{
	size_t best = 0, best_distance = SIZE_MAX, longest;

	for (size_t i = 0; i < count; i++) {
		size_t found = distance(text, words[i]);

		if (found < best_distance) {
			best_distance = found;
			best = i;
		}
	}
	if (best_distance == SIZE_MAX)
		return NULL;
	longest = strlen(words[best]) > strlen(text) ? strlen(words[best]) : strlen(text);
	return 3 * best_distance <= longest + 1 ? words[best] : NULL;
}

static void refuse_unknown_key(
	struct slu_reader *reader, const struct slu_node *key, const struct slu_field *fields, size_t count)
{
	const char *words[32];
	const char *nearest;
	char known[512] = "";

	for (size_t i = 0; i < count && i < 32; i++) {
		words[i] = fields[i].key;
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", fields[i].key);
	}
	nearest = slu_reader_nearest(slu_node_text(key, NULL), words, count);
	if (nearest != NULL)
		slu_reader_refuse(reader, key, "unknown key; did you mean %s?", nearest);
	else
		slu_reader_refuse(reader, key, "unknown key; known here: %s", known);
}

static const struct slu_field *field_find(const struct slu_field *fields, size_t count, const struct slu_node *key)
{
	size_t bytes;
	const char *text = slu_node_text(key, &bytes);

	for (size_t i = 0; i < count; i++)
		if (strlen(fields[i].key) == bytes && memcmp(fields[i].key, text, bytes) == 0)
			return &fields[i];
	return NULL;
}

void slu_reader_mapping(struct slu_reader *reader, const struct slu_node *node, void *target,
	const struct slu_field *fields, size_t count)
{
	const struct slu_node *seen[32] = {NULL};

	if (slu_node_kind(node) != SLU_NODE_MAPPING) {
		slu_reader_refuse(reader, node, "must be a mapping of keys to values");
		return;
	}
	for (size_t i = 0; i < slu_node_count(node); i++) {
		const struct slu_node *key = slu_node_key(node, i), *value = slu_node_item(node, i);
		const struct slu_field *field = field_find(fields, count, key);
		size_t mark = path_push_key(reader, key);

		if (field == NULL)
			refuse_unknown_key(reader, key, fields, count);
		else if (seen[field - fields] != NULL)
			slu_reader_refuse(reader, key, "key given twice, first in line %u",
				slu_node_place(seen[field - fields]).line);
		else
			field->read(reader, value, (char *)target + field->offset, field);
		if (field != NULL && seen[field - fields] == NULL)
			seen[field - fields] = key;
		path_pop(reader, mark);
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && seen[i] == NULL)
			slu_reader_refuse(reader, node, "key %s is missing", fields[i].key);
}

void slu_reader_sequence(
	struct slu_reader *reader, const struct slu_node *node, size_t max, slu_reader_item_fn *item, void *arg)
{
	size_t count;

	if (slu_node_kind(node) != SLU_NODE_SEQUENCE) {
		slu_reader_refuse(reader, node, "must be a list");
		return;
	}
	count = slu_node_count(node);
	if (count > max) {
		slu_reader_refuse(reader, node, "has %zu members, at most %zu are allowed", count, max);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		size_t mark = path_push_index(reader, i);

		item(reader, slu_node_item(node, i), i, arg);
		path_pop(reader, mark);
	}
}

struct list {
	const struct slu_field *field;
	char *members;
};

static void read_member(struct slu_reader *reader, const struct slu_node *node, size_t index, void *arg)
{
	struct list *list = arg;

	list->field->member(reader, node, list->members + index * list->field->member_bytes, NULL);
}

void slu_reader_list(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	bool is_list = slu_node_kind(node) == SLU_NODE_SEQUENCE;
	struct list list = {.field = field};
	uint32_t count;

	if (is_list && slu_node_count(node) <= field->max) {
		count = (uint32_t)slu_node_count(node);
		list.members = slu_memory_zeroed(count, field->member_bytes);
		memcpy(target, &list.members, sizeof(list.members));
		memcpy((char *)target + field->count, &count, sizeof(count));
	}
	slu_reader_sequence(reader, node, field->max, read_member, &list);
	if (is_list && slu_node_count(node) == 0 && field->some != NULL)
		slu_reader_refuse(reader, node, "at least one %s is needed", field->some);
}

const char *slu_reader_plain(struct slu_reader *reader, const struct slu_node *node)
{
	const char *text;
	size_t bytes;

	if (slu_node_kind(node) != SLU_NODE_SCALAR) {
		slu_reader_refuse(reader, node, "must be a single value");
		return NULL;
	}
	text = slu_node_text(node, &bytes);
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] < ' ' || text[i] > '~') {
			slu_reader_refuse(reader, node, "must be printable ASCII");
			return NULL;
		}
	}
	return text;
}

bool slu_reader_number(
	struct slu_reader *reader, const struct slu_node *node, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *text = slu_reader_plain(reader, node);
	unsigned long long number = 0;
	char quote[SHOWN_BYTES];

	if (text == NULL)
		return false;
	if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text)) {
		slu_reader_refuse(reader, node, "must be a whole number %llu..%llu, not \"%s\"",
			(unsigned long long)min, (unsigned long long)max, shown(node, quote));
		return false;
	}
	errno = 0;
	number = strtoull(text, NULL, 10);
	if (errno != 0 || number < min || number > max) {
		slu_reader_refuse(reader, node, "%s is out of range, must be %llu..%llu", shown(node, quote),
			(unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*value = number;
	return true;
}

/* Why an address cannot be used on a wire between hosts, or NULL. */
static const char *reserved(const struct slu_ip *ip)
{
	static const struct {
		struct slu_ip network;
		unsigned bits;
		const char *why;
	} rows[] = {
		{{4, {0}}, 8, "is in 0.0.0.0/8, which is no host"},
		{{4, {127}}, 8, "is a loopback address"},
		{{4, {224}}, 4, "is a multicast address"},
		{{4, {240}}, 4, "is in 240.0.0.0/4, which is reserved"},
		{{6, {0}}, 128, "is the unspecified address"},
		{{6, {[15] = 1}}, 128, "is a loopback address"},
		{{6, {[10] = 0xff, 0xff}}, 96, "is an IPv4-mapped address; write it as IPv4"},
		{{6, {0xfe, 0x80}}, 10, "is a link-local address"},
		{{6, {0xff}}, 8, "is a multicast address"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (slu_ip_within(ip, &rows[i].network, rows[i].bits))
			return rows[i].why;
	return NULL;
}

bool slu_reader_ip(struct slu_reader *reader, const struct slu_node *node, const char *text, struct slu_ip *ip)
{
	char quote[SHOWN_BYTES], canonical[SLU_IP_TEXT_BYTES];
	struct slu_ip read;
	const char *why;

	if (slu_ip_parse(text, &read) != 0) {
		slu_reader_refuse(reader, node, "\"%s\" is no IPv4 or IPv6 address", shown(node, quote));
		return false;
	}
	why = reserved(&read);
	if (why != NULL) {
		slu_reader_refuse(reader, node, "%s %s", slu_ip_format(&read, canonical), why);
		return false;
	}
	*ip = read;
	return true;
}

void slu_reader_u16(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	uint64_t value;

	if (slu_reader_number(reader, node, field->min, field->max, &value))
		*(uint16_t *)target = (uint16_t)value;
}

void slu_reader_u32(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	uint64_t value;

	if (slu_reader_number(reader, node, field->min, field->max, &value))
		*(uint32_t *)target = (uint32_t)value;
}

void slu_reader_u64(struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	slu_reader_number(reader, node, field->min, field->max, target);
}

void slu_reader_bool(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	const char *text = slu_reader_plain(reader, node);
	char quote[SHOWN_BYTES];

	(void)field;
	if (text == NULL)
		return;
	if (strcmp(text, "true") == 0)
		*(bool *)target = true;
	else if (strcmp(text, "false") == 0)
		*(bool *)target = false;
	else
		slu_reader_refuse(reader, node, "must be true or false, not \"%s\"", shown(node, quote));
}

void slu_reader_word(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	const char *text = slu_reader_plain(reader, node);
	char known[256] = "", quote[SHOWN_BYTES];

	if (text == NULL)
		return;
	for (int i = 0; field->words[i] != NULL; i++) {
		if (strcmp(field->words[i], text) == 0) {
			*(int *)target = i;
			return;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "", field->words[i]);
	}
	slu_reader_refuse(reader, node, "must be one of %s, not \"%s\"", known, shown(node, quote));
}

void slu_reader_name(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	const char *text = slu_reader_plain(reader, node);
	size_t bytes;

	(void)field;
	if (text == NULL)
		return;
	bytes = strlen(text);
	for (size_t i = 0; i < bytes; i++) {
		if (!isalnum((unsigned char)text[i]) && (i == 0 || strchr("._-", text[i]) == NULL))
			bytes = 0;
	}
	if (bytes == 0 || bytes >= SLU_NAME_BYTES) {
		slu_reader_refuse(reader, node,
			"a name has 1 to %d letters, digits, '.', '_' or '-' and begins with a letter or digit",
			SLU_NAME_BYTES - 1);
		return;
	}
	memcpy(target, text, bytes + 1);
}

void slu_reader_string(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	const char *text = slu_reader_plain(reader, node);
	char **string = target;

	if (text == NULL)
		return;
	if (strlen(text) < field->min || strlen(text) > field->max) {
		slu_reader_refuse(reader, node, "must have %llu to %llu bytes", (unsigned long long)field->min,
			(unsigned long long)field->max);
		return;
	}
	free(*string);
	*string = slu_memory_copy(text);
}

void slu_reader_path(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	const char *text = slu_reader_plain(reader, node);

	if (text == NULL)
		return;
	if (text[0] != '/')
		slu_reader_refuse(reader, node, "must be an absolute path");
	else
		slu_reader_string(reader, node, target, field);
}

void slu_reader_address(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field)
{
	const char *text = slu_reader_plain(reader, node);

	(void)field;
	if (text != NULL)
		slu_reader_ip(reader, node, text, target);
}
