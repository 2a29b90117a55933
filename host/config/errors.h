/*
 * The list of everything wrong with one document. Checks add to it and go on,
 * so that one look names every mistake.
 */
#ifndef SLU_HOST_ERRORS_H
#define SLU_HOST_ERRORS_H

#include <stddef.h>

/* Where a value stands in the text; both count from 1, 0 means unknown. */
struct slu_place {
	unsigned line, column;
};

struct slu_error {
	struct slu_place place;
	char *path; /* "listeners[2].group", "" for the document itself */
	char *rule; /* what is wrong and what would be right */
};

struct slu_errors {
	char *source;      /* file name, or what stands for it */
	size_t count;      /* kept in items */
	size_t suppressed; /* beyond SLU_ERRORS_MAX, only counted */
	struct slu_error *items;
};

/* A document of pure nonsense must not become gigabytes of errors. */
#define SLU_ERRORS_MAX 1000

/* Starts an empty list. The list copies `source`. */
void slu_errors_init(struct slu_errors *errors, const char *source);

/* Frees what the list owns; the list is empty afterwards and may be initialised again. */
void slu_errors_clear(struct slu_errors *errors);

/* Adds one error. Aborts when memory is out: control plane only. */
void slu_errors_add(struct slu_errors *errors, struct slu_place place, const char *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Puts the list in the order of the text. */
void slu_errors_sort(struct slu_errors *errors);

/*
 * "file:line:column path: rule" of one error, as people and editors read it.
 * The caller frees the result.
 */
char *slu_errors_format(const struct slu_errors *errors, size_t index);

#endif
