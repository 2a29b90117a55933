#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "host/config/document.h"
#include "host/config/memory.h"

struct slu_node {
	enum slu_node_kind kind;
	struct slu_place place;
	char *text;
	size_t bytes;
	size_t count, room;
	struct slu_node **items; /* sequence: members; mapping: values */
	struct slu_node **keys;  /* mapping only */
};

struct slu_document {
	struct slu_node *root;
};

struct parsing {
	yaml_parser_t yaml;
	const char *text;
	size_t bytes;
	struct slu_errors *errors;
	size_t nodes;
};

static struct slu_place place_of(yaml_mark_t mark)
{
	return (struct slu_place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* The reader is ahead of its marks and knows only the byte. */
static struct slu_place place_of_byte(const struct parsing *parsing, size_t byte)
{
	struct slu_place place = {1, 1};

	for (size_t i = 0; i < byte && i < parsing->bytes; i++) {
		place.column++;
		if (parsing->text[i] == '\n')
			place = (struct slu_place){place.line + 1, 1};
	}
	return place;
}

static void node_free(struct slu_node *node)
{
	if (node == NULL)
		return;
	for (size_t i = 0; i < node->count; i++) {
		node_free(node->items[i]);
		if (node->keys != NULL)
			node_free(node->keys[i]);
	}
	free(node->items);
	free(node->keys);
	free(node->text);
	free(node);
}

static int next_event(struct parsing *parsing, yaml_event_t *event)
{
	yaml_parser_t *yaml = &parsing->yaml;
	const char *problem;

	if (yaml_parser_parse(yaml, event))
		return 0;
	problem = yaml->problem != NULL ? yaml->problem : "cannot be read";
	if (yaml->error == YAML_READER_ERROR)
		slu_errors_add(parsing->errors, place_of_byte(parsing, yaml->problem_offset), "",
			"no valid UTF-8 text: %s", problem);
	else
		slu_errors_add(parsing->errors, place_of(yaml->problem_mark), "", "YAML syntax: %s%s%s", problem,
			yaml->context != NULL ? ", " : "", yaml->context != NULL ? yaml->context : "");
	return -EINVAL;
}

static void refuse_properties(
	struct parsing *parsing, yaml_mark_t mark, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		slu_errors_add(parsing->errors, place_of(mark), "", "anchors (&) are not accepted");
	if (tag != NULL)
		slu_errors_add(parsing->errors, place_of(mark), "", "tags (!) are not accepted");
}

static void node_append(struct slu_node *node, struct slu_node *key, struct slu_node *item)
{
	if (node->count == node->room) {
		node->room = node->room ? 2 * node->room : 4;
		node->items = slu_memory_resize(node->items, node->room, sizeof(node->items[0]));
		if (node->kind == SLU_NODE_MAPPING)
			node->keys = slu_memory_resize(node->keys, node->room, sizeof(node->keys[0]));
	}
	if (node->kind == SLU_NODE_MAPPING)
		node->keys[node->count] = key;
	node->items[node->count++] = item;
}

static struct slu_node *parse_node(struct parsing *parsing, yaml_event_t *event, unsigned depth);

/* Appends members until the event that ends the collection. */
static int parse_members(struct parsing *parsing, struct slu_node *node, unsigned depth)
{
	for (;;) {
		struct slu_node *key = NULL, *item;
		yaml_event_t event;

		if (next_event(parsing, &event) != 0)
			return -EINVAL;
		if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		if (node->kind == SLU_NODE_MAPPING) {
			struct slu_place place = place_of(event.start_mark);

			if (event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT) {
				slu_errors_add(parsing->errors, place, "", "a key must be a word");
				yaml_event_delete(&event);
				return -EINVAL;
			}
			key = parse_node(parsing, &event, depth);
			if (key == NULL)
				return -EINVAL;
			if (next_event(parsing, &event) != 0) {
				node_free(key);
				return -EINVAL;
			}
		}
		item = parse_node(parsing, &event, depth);
		if (item == NULL) {
			node_free(key);
			return -EINVAL;
		}
		node_append(node, key, item);
	}
}

/* Makes a node of an event and, for a collection, of all that belongs to it. Consumes the event. */
static struct slu_node *parse_node(struct parsing *parsing, yaml_event_t *event, unsigned depth)
{
	struct slu_node *node = slu_memory_zeroed(1, sizeof(*node));
	bool collection = true;

	node->place = place_of(event->start_mark);
	if (++parsing->nodes > SLU_DOCUMENT_MAX_NODES) {
		slu_errors_add(parsing->errors, node->place, "", "more than %u values", SLU_DOCUMENT_MAX_NODES);
		yaml_event_delete(event);
		node_free(node);
		return NULL;
	}
	if (event->type == YAML_SCALAR_EVENT) {
		refuse_properties(parsing, event->start_mark, event->data.scalar.anchor, event->data.scalar.tag);
		node->kind = SLU_NODE_SCALAR;
		node->bytes = event->data.scalar.length;
		node->text = slu_memory_zeroed(node->bytes + 1, 1);
		memcpy(node->text, event->data.scalar.value, node->bytes);
		collection = false;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		refuse_properties(
			parsing, event->start_mark, event->data.sequence_start.anchor, event->data.sequence_start.tag);
		node->kind = SLU_NODE_SEQUENCE;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		refuse_properties(
			parsing, event->start_mark, event->data.mapping_start.anchor, event->data.mapping_start.tag);
		node->kind = SLU_NODE_MAPPING;
	} else {
		slu_errors_add(parsing->errors, node->place, "", "aliases (*) are not accepted");
		yaml_event_delete(event);
		node_free(node);
		return NULL;
	}
	yaml_event_delete(event);
	if (!collection)
		return node;
	if (depth == SLU_DOCUMENT_MAX_DEPTH)
		slu_errors_add(parsing->errors, node->place, "", "nested deeper than %u", SLU_DOCUMENT_MAX_DEPTH);
	if (depth == SLU_DOCUMENT_MAX_DEPTH || parse_members(parsing, node, depth + 1) != 0) {
		node_free(node);
		return NULL;
	}
	return node;
}

static int expect(struct parsing *parsing, yaml_event_type_t type, const char *otherwise)
{
	yaml_event_t event;
	int ret = 0;

	if (next_event(parsing, &event) != 0)
		return -EINVAL;
	if (event.type != type) {
		slu_errors_add(parsing->errors, place_of(event.start_mark), "", "%s", otherwise);
		ret = -EINVAL;
	}
	yaml_event_delete(&event);
	return ret;
}

static int parse_stream(struct parsing *parsing, struct slu_document *document)
{
	yaml_event_t event;

	if (expect(parsing, YAML_STREAM_START_EVENT, "no text") != 0 ||
		expect(parsing, YAML_DOCUMENT_START_EVENT, "the document is empty") != 0 ||
		next_event(parsing, &event) != 0)
		return -EINVAL;
	document->root = parse_node(parsing, &event, 0);
	if (document->root == NULL || expect(parsing, YAML_DOCUMENT_END_EVENT, "unexpected text") != 0)
		return -EINVAL;
	return expect(parsing, YAML_STREAM_END_EVENT, "only one document is accepted");
}

int slu_document_parse(const void *text, size_t bytes, struct slu_document **document, struct slu_errors *errors)
{
	struct parsing parsing = {.text = text, .bytes = bytes, .errors = errors};
	int ret;

	*document = NULL;
	if (!yaml_parser_initialize(&parsing.yaml))
		return -ENOMEM;
	yaml_parser_set_encoding(&parsing.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parsing.yaml, text, bytes);
	*document = slu_memory_zeroed(1, sizeof(**document));
	ret = parse_stream(&parsing, *document);
	yaml_parser_delete(&parsing.yaml);
	if (ret == 0)
		return 0;
	slu_document_free(*document);
	*document = NULL;
	return -EINVAL;
}

void slu_document_free(struct slu_document *document)
{
	if (document == NULL)
		return;
	node_free(document->root);
	free(document);
}

const struct slu_node *slu_document_root(const struct slu_document *document)
{
	return document->root;
}

enum slu_node_kind slu_node_kind(const struct slu_node *node)
{
	return node->kind;
}

struct slu_place slu_node_place(const struct slu_node *node)
{
	return node->place;
}

const char *slu_node_text(const struct slu_node *node, size_t *bytes)
{
	if (bytes != NULL)
		*bytes = node->bytes;
	return node->text;
}

size_t slu_node_count(const struct slu_node *node)
{
	return node->count;
}

const struct slu_node *slu_node_item(const struct slu_node *node, size_t index)
{
	return node->items[index];
}

const struct slu_node *slu_node_key(const struct slu_node *node, size_t index)
{
	return node->keys[index];
}

const struct slu_node *slu_node_find(const struct slu_node *node, const char *key)
{
	if (node->kind != SLU_NODE_MAPPING)
		return NULL;
	for (size_t i = 0; i < node->count; i++)
		if (strcmp(node->keys[i]->text, key) == 0)
			return node->items[i];
	return NULL;
}
