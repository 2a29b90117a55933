#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/errors.h"
#include "host/config/memory.h"

void slu_errors_init(struct slu_errors *errors, const char *source)
{
	*errors = (struct slu_errors){.source = slu_memory_copy(source)};
}

void slu_errors_clear(struct slu_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		free(errors->items[i].path);
		free(errors->items[i].rule);
	}
	free(errors->items);
	free(errors->source);
	*errors = (struct slu_errors){0};
}

void slu_errors_add(struct slu_errors *errors, struct slu_place place, const char *path, const char *format, ...)
{
	struct slu_error *error;
	va_list arguments;

	if (errors->count == SLU_ERRORS_MAX) {
		errors->suppressed++;
		return;
	}
	if ((errors->count & (errors->count - 1)) == 0)
		errors->items =
			slu_memory_resize(errors->items, errors->count ? 2 * errors->count : 1, sizeof(*errors->items));
	error = &errors->items[errors->count++];
	error->place = place;
	error->path = slu_memory_copy(path);
	va_start(arguments, format);
	error->rule = slu_memory_vformat(format, arguments);
	va_end(arguments);
}

static int compare_places(const void *left, const void *right)
{
	const struct slu_error *a = left, *b = right;

	if (a->place.line != b->place.line)
		return a->place.line < b->place.line ? -1 : 1;
	if (a->place.column != b->place.column)
		return a->place.column < b->place.column ? -1 : 1;
	return strcmp(a->rule, b->rule);
}

void slu_errors_sort(struct slu_errors *errors)
{
	if (errors->count > 1)
		qsort(errors->items, errors->count, sizeof(*errors->items), compare_places);
}

char *slu_errors_format(const struct slu_errors *errors, size_t index)
{
	const struct slu_error *error = &errors->items[index];
	const char *gap = error->path[0] != '\0' ? " " : "";

	if (error->place.line == 0)
		return slu_memory_format("%s:%s%s: %s", errors->source, gap, error->path, error->rule);
	return slu_memory_format("%s:%u:%u%s%s: %s", errors->source, error->place.line, error->place.column, gap,
		error->path, error->rule);
}
