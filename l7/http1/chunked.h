/*
 * Takes chunked framing (RFC 9112, section 7.1) off a body, byte for byte by
 * its grammar: CRLF only, no blanks around the size, bounded extensions.
 */
#ifndef SLU_L7_CHUNKED_H
#define SLU_L7_CHUNKED_H

#include "l7/http/message.h"

#define SLU_CHUNKED_EXTENSION_MAX 256u /* bytes of extensions in one message */

/* Zeroed at the start of a body. */
struct slu_chunked {
	uint8_t state;
	uint8_t digits;
	uint16_t extension_bytes;
	uint64_t left; /* of the chunk */
};

/*
 * Decodes from bytes[0..*count). At most one span of data is returned at a time:
 * `*count` becomes what was used of the bytes, `data` what of them is body (may
 * be empty). Returns -EAGAIN when all was used or a span was returned, call
 * again; 1 when the last chunk's line has been read: trailers follow at
 * bytes[*count]; -EBADMSG with `refusal`.
 */
int slu_chunked_decode(struct slu_chunked *chunked, const char *bytes, size_t *count, struct slu_span *data,
	enum slu_refusal *refusal);

#endif
