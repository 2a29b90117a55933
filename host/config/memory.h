/*
 * Memory of the control plane. Its documents are bounded (SLU_CONFIG_MAX_BYTES),
 * so running out means that the machine is lost: these abort and never fail.
 */
#ifndef SLU_HOST_MEMORY_H
#define SLU_HOST_MEMORY_H

#include <stdarg.h>
#include <stddef.h>

/* Zeroed; one byte at least, so never NULL. */
void *slu_memory_zeroed(size_t count, size_t bytes);

/* realloc() to `count` items of `bytes` each; what is new is not initialised. */
void *slu_memory_resize(void *old, size_t count, size_t bytes);

char *slu_memory_copy(const char *text);

char *slu_memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *slu_memory_vformat(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

#endif
