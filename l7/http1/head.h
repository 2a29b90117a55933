/*
 * Heads of HTTP/1 messages (RFC 9112), read by a grammar without leniency:
 * what two readers could understand differently is refused, never repaired.
 */
#ifndef SLU_L7_HEAD_H
#define SLU_L7_HEAD_H

#include "l7/http/message.h"

/* Remembers how far a head that has not come whole was looked at. Zeroed at the start of a message. */
struct slu_head_scan {
	uint32_t line; /* where the line that is not whole begins */
};

/*
 * Looks for the end of a head in bytes[0..count), which starts with the message
 * and may have grown since the last call. Returns the head's size with its empty
 * line; -EAGAIN when more is needed; -EBADMSG with `refusal` when it is hopeless.
 */
int slu_head_scan(struct slu_head_scan *scan, const char *bytes, size_t count, enum slu_refusal *refusal);

/*
 * Reads a whole head of `count` bytes (what slu_head_scan() returned) and
 * decides the framing of the body. Spans of `message` point into `bytes`.
 * Returns SLU_REFUSAL_NONE or why it is refused; then `message` is not to be used,
 * but for method, host and path, which are valid or empty, for the log.
 */
enum slu_refusal slu_head_request(struct slu_message *message, const char *bytes, size_t count, uint32_t target_max);

/* The same for a response to `request`. */
enum slu_refusal slu_head_response(
	struct slu_message *message, const char *bytes, size_t count, const struct slu_message *request);

/*
 * Reads the trailers of a chunked body: field lines and the empty line.
 * Fields of framing, routing and authentication are refused there (RFC 9110, section 6.5.1).
 */
enum slu_refusal slu_head_trailers(struct slu_message *message, const char *bytes, size_t count);

#endif
