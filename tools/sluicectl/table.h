/*
 * A table of text for people: columns as wide as their widest cell, numbers to
 * the right.
 */
#ifndef SLU_SLUICECTL_TABLE_H
#define SLU_SLUICECTL_TABLE_H

#include <stdio.h>

struct slu_table;

/* `headings` ends with NULL; a heading that begins with '>' makes its column right-aligned. */
struct slu_table *slu_table_create(const char *const *headings);

/* Adds the next cell, row by row. Aborts when memory is out. */
void slu_table_add(struct slu_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the headings and all whole rows, and frees the table. */
void slu_table_finish(struct slu_table *table, FILE *to);

#endif
