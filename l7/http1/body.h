/*
 * The body of an HTTP/1 message as it arrives: spans of data, then its end and
 * perhaps trailers. Both sides of the proxy read with it.
 */
#ifndef SLU_L7_BODY_H
#define SLU_L7_BODY_H

#include "l7/http1/chunked.h"
#include "l7/http1/head.h"
#include "l7/io/buffer.h"

struct slu_body_reader {
	uint8_t kind; /* enum slu_body */
	bool in_trailers;
	uint64_t left; /* SLU_BODY_LENGTH */
	struct slu_chunked chunked;
	struct slu_head_scan scan;
};

void slu_body_start(struct slu_body_reader *reader, enum slu_body kind, uint64_t length);

/*
 * Consumes from `buffer` up to one span of data. Returns -EAGAIN with a span (perhaps empty: then more bytes are
 * needed); 1 at the end of the message, with `trailers` filled (their spans point into the buffer, past its begin);
 * -EBADMSG with `refusal`.
 */
int slu_body_next(struct slu_body_reader *reader, struct slu_buffer *buffer, struct slu_span *data,
	struct slu_message *trailers, enum slu_refusal *refusal);

#endif
