/*
 * Reads nodes of a document into C values by tables of fields, and reports
 * whatever does not fit with its place and path. A value that is refused leaves
 * its target as it was, so that reading goes on with the default.
 */
#ifndef SLU_HOST_READER_H
#define SLU_HOST_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/config/document.h"
#include "host/control/generation.h"

#define SLU_READER_PATH_BYTES 256

struct slu_reader {
	struct slu_errors *errors;
	char path[SLU_READER_PATH_BYTES]; /* of the node being read: "groups[0].check" */
};

struct slu_field;
typedef void slu_field_fn(
	struct slu_reader *reader, const struct slu_node *node, void *target, const struct slu_field *field);

struct slu_field {
	const char *key;
	slu_field_fn *read;
	size_t offset;            /* of the target in the structure */
	uint64_t min, max;        /* of a number or of a length; `max` of the members of a list too */
	const char *const *words; /* of slu_reader_word(); ends with NULL */
	bool required;
	/* Of slu_reader_list() */
	slu_field_fn *member; /* reads one; its field is NULL */
	size_t member_bytes;
	ptrdiff_t count;  /* where their number is, from `offset` on */
	const char *some; /* what one is called, if there must be some; else NULL */
};

/* Reads a mapping; a node of another kind, unknown, double and missing keys are errors. */
void slu_reader_mapping(struct slu_reader *reader, const struct slu_node *node, void *target,
	const struct slu_field *fields, size_t count);

/*
 * Calls `item` for each member of a sequence, with the path at that member.
 * A node of another kind or more than `max` members are errors.
 */
typedef void slu_reader_item_fn(struct slu_reader *reader, const struct slu_node *node, size_t index, void *arg);
void slu_reader_sequence(
	struct slu_reader *reader, const struct slu_node *node, size_t max, slu_reader_item_fn *item, void *arg);

/* Adds an error at a node, at the present path. */
void slu_reader_refuse(struct slu_reader *reader, const struct slu_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The text of a scalar that is printable ASCII; NULL after an error. */
const char *slu_reader_plain(struct slu_reader *reader, const struct slu_node *node);

/* A whole number within the bounds. Returns false after an error. */
bool slu_reader_number(
	struct slu_reader *reader, const struct slu_node *node, uint64_t min, uint64_t max, uint64_t *value);

/* A unicast address that may stand in a packet on a wire. Returns false after an error. */
bool slu_reader_ip(struct slu_reader *reader, const struct slu_node *node, const char *text, struct slu_ip *ip);

/* Field readers. Targets: uint16_t, uint32_t, uint64_t, bool, int, char[SLU_NAME_BYTES], char *, char *, struct slu_ip.
 */
slu_field_fn slu_reader_u16, slu_reader_u32, slu_reader_u64, slu_reader_bool, slu_reader_word, slu_reader_name,
	slu_reader_string, slu_reader_path, slu_reader_address;

/*
 * A list into an array allocated here, at a pointer to its members, and their number
 * into a uint32_t. A member that cannot be read keeps its place, zeroed.
 */
slu_field_fn slu_reader_list;

/* The word of `words` nearest to `text`, if it is near enough to be meant; else NULL. */
const char *slu_reader_nearest(const char *text, const char *const *words, size_t count);

#endif
