/*
 * Reads a YAML (or JSON) document into structures by tables of fields, and
 * names everything that does not fit with its place. What is refused leaves its
 * target as it was, so that one look finds every mistake.
 */
#ifndef SLU_L7_READER_H
#define SLU_L7_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#define SLU_READER_ERRORS_MAX 200u

struct slu_reader {
	yaml_document_t document;
	const char *source;
	char **errors; /* "file:line:column path: rule" */
	size_t error_count;
	char path[256];
};

struct slu_reader_field;
typedef void slu_reader_fn(
	struct slu_reader *reader, yaml_node_t *node, void *target, const struct slu_reader_field *field);

struct slu_reader_field {
	const char *key;
	slu_reader_fn *read;
	size_t offset;            /* of the target */
	uint64_t min, max;        /* of a number, or of a text's length */
	const char *const *words; /* ends with NULL; the target is an int */
	bool required;
	/* Of slu_reader_list: */
	size_t item_bytes, count_offset;
	slu_reader_fn *item;
};

/* Returns 0 with a document to be closed, or -EINVAL with the reason in errors; slu_reader_close() either way. */
int slu_reader_open(struct slu_reader *reader, const char *source, const void *text, size_t bytes);
void slu_reader_close(struct slu_reader *reader);

void slu_reader_refuse(struct slu_reader *reader, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A mapping: unknown, double and missing keys are errors. */
void slu_reader_mapping(struct slu_reader *reader, yaml_node_t *node, void *target,
	const struct slu_reader_field *fields, size_t count);

/* A scalar's text without NUL in it; NULL after an error. Lives as long as the document. */
const char *slu_reader_scalar(struct slu_reader *reader, yaml_node_t *node);

/* Targets: uint32_t, uint64_t, bool, char * (allocated), char[64], int, array pointer and uint32_t count. */
slu_reader_fn slu_reader_u32, slu_reader_u64, slu_reader_bool, slu_reader_text, slu_reader_name, slu_reader_word,
	slu_reader_list, slu_reader_texts;

#endif
