/*
 * Small files of the state directory, replaced as a whole.
 */
#ifndef SLU_HOST_STORE_H
#define SLU_HOST_STORE_H

#include <stddef.h>

/* Makes a folder and those above it, mode 0755. Returns 0 or -errno; one that exists is fine. */
int slu_store_folder(const char *path);

/*
 * Replaces a file so that a crash leaves the old or the new content, and that
 * the new one is on disk when this returns. Mode 0600. Returns 0 or -errno.
 */
int slu_store_write(const char *path, const char *text, size_t bytes);

#endif
