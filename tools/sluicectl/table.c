#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sluicectl/table.h"

struct slu_table {
	char **cells; /* headings first */
	size_t count, room, columns;
	bool *right;
};

static void *taken(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static void append(struct slu_table *table, char *cell)
{
	if (table->count == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->cells = taken(reallocarray(table->cells, table->room, sizeof(*table->cells)));
	}
	table->cells[table->count++] = taken(cell);
}

struct slu_table *slu_table_create(const char *const *headings)
{
	struct slu_table *table = taken(calloc(1, sizeof(*table)));

	while (headings[table->columns] != NULL)
		table->columns++;
	table->right = taken(calloc(table->columns, sizeof(*table->right)));
	for (size_t i = 0; i < table->columns; i++) {
		table->right[i] = headings[i][0] == '>';
		append(table, strdup(headings[i] + table->right[i]));
	}
	return table;
}

void slu_table_add(struct slu_table *table, const char *format, ...)
{
	va_list arguments;
	char *cell;

	va_start(arguments, format);
	if (vasprintf(&cell, format, arguments) < 0)
		cell = NULL;
	va_end(arguments);
	append(table, cell);
}

static int width_of(const struct slu_table *table, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < table->count; i += table->columns)
		width = strlen(table->cells[i]) > width ? strlen(table->cells[i]) : width;
	return (int)width;
}

void slu_table_finish(struct slu_table *table, FILE *to)
{
	size_t rows = table->count / table->columns;
	int *widths = taken(calloc(table->columns, sizeof(*widths)));

	for (size_t column = 0; column < table->columns; column++)
		widths[column] = width_of(table, column);
	for (size_t i = 0; i < rows * table->columns; i++) {
		size_t column = i % table->columns;
		bool last = column + 1 == table->columns;

		if (table->right[column])
			fprintf(to, "%*s", widths[column], table->cells[i]);
		else if (last)
			fputs(table->cells[i], to);
		else
			fprintf(to, "%-*s", widths[column], table->cells[i]);
		fputs(last ? "\n" : "  ", to);
	}
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(widths);
	free(table->cells);
	free(table->right);
	free(table);
}
