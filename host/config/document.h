/*
 * A YAML document as a tree of nodes that know their place in the text. It
 * accepts the part of YAML that a configuration needs: no anchors, aliases,
 * tags, or several documents; keys are scalars. JSON is within that part.
 *
 * A document is read-only after parsing; nodes live as long as the document.
 */
#ifndef SLU_HOST_DOCUMENT_H
#define SLU_HOST_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "host/config/errors.h"

#define SLU_DOCUMENT_MAX_DEPTH 16u
#define SLU_DOCUMENT_MAX_NODES 2000000u /* bounds memory: a node takes some 120 bytes, and two characters */

enum slu_node_kind { SLU_NODE_SCALAR, SLU_NODE_SEQUENCE, SLU_NODE_MAPPING };

struct slu_document;
struct slu_node;

/*
 * Reads one document. Returns 0 and a document that the caller frees: its tree
 * is whole, but `errors` may have grown by what is not accepted in it (anchors,
 * tags), so the caller looks at both. Returns -EINVAL with the reason in
 * `errors` when reading ends early (syntax, depth, number of nodes,
 * aliases), -ENOMEM.
 */
int slu_document_parse(const void *text, size_t bytes, struct slu_document **document, struct slu_errors *errors);
void slu_document_free(struct slu_document *document);
const struct slu_node *slu_document_root(const struct slu_document *document);

enum slu_node_kind slu_node_kind(const struct slu_node *node);
struct slu_place slu_node_place(const struct slu_node *node);

/* A scalar's bytes; a NUL follows them, and there may be others within. */
const char *slu_node_text(const struct slu_node *node, size_t *bytes);

/* Members of a sequence, or values of a mapping in the order of the text. */
size_t slu_node_count(const struct slu_node *node);
const struct slu_node *slu_node_item(const struct slu_node *node, size_t index);
/* The key of a mapping's value. */
const struct slu_node *slu_node_key(const struct slu_node *node, size_t index);
/* The first value with this key; NULL if there is none or `node` is no mapping. */
const struct slu_node *slu_node_find(const struct slu_node *node, const char *key);

#endif
