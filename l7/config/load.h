/*
 * Makes a site of a document. Where the document comes from (a file, the
 * agent's API, etcd) is its caller's business.
 */
#ifndef SLU_L7_LOAD_H
#define SLU_L7_LOAD_H

#include "l7/config/reader.h"
#include "l7/config/site.h"

/*
 * Reads and checks the whole document. Returns a site with one holder; NULL with every error in
 * reader->errors, each with its place. The caller closes the reader either way.
 */
struct slu_site *slu_load_site(struct slu_reader *reader, const char *source, const void *text, size_t bytes);

#endif
