/*
 * HTTP/1 messages on their way out: heads from their parts, bodies with the
 * framing that the receiver gets.
 */
#ifndef SLU_L7_WRITER_H
#define SLU_L7_WRITER_H

#include "l7/http/message.h"
#include "l7/io/outbox.h"
#include "l7/proxy/exchange.h"

enum slu_framing { SLU_FRAMING_NONE, SLU_FRAMING_LENGTH, SLU_FRAMING_CHUNKED, SLU_FRAMING_RAW };

/* Queues the request of an exchange as its server is to see it. */
void slu_writer_request(struct slu_outbox *box, const struct slu_exchange *exchange);

/* Queues the head of the response. `framing` is what the body gets; `connection` is NULL or the value of that field. */
void slu_writer_response(
	struct slu_outbox *box, const struct slu_exchange *exchange, enum slu_framing framing, const char *connection);

void slu_writer_body(
	struct slu_outbox *box, enum slu_framing framing, struct slu_buffer *owner, const char *bytes, size_t count);
void slu_writer_end(struct slu_outbox *box, enum slu_framing framing, const struct slu_message *trailers);

#endif
