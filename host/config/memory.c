#define _GNU_SOURCE /* vasprintf */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/memory.h"

static void *taken(void *memory)
{
	if (memory == NULL) {
		fputs("sluice: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *slu_memory_zeroed(size_t count, size_t bytes)
{
	return taken(calloc(count ? count : 1, bytes ? bytes : 1));
}

void *slu_memory_resize(void *old, size_t count, size_t bytes)
{
	return taken(reallocarray(old, count ? count : 1, bytes));
}

char *slu_memory_copy(const char *text)
{
	return taken(strdup(text));
}

char *slu_memory_vformat(const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	return taken(text);
}

char *slu_memory_format(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = slu_memory_vformat(format, arguments);
	va_end(arguments);
	return text;
}
